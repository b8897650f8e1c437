//! Pictures of the plane: points, paths, arrows and densities.

use super::{Anchor, COLOURS, Canvas, FINE, INK, LINE, MARGIN, PAPER, blend, write};
use plotters::prelude::*;

/// Pictures of the plane in rows, all of one size.
#[derive(Clone, Debug, Default)]
pub struct Board {
    title: String,
    columns: usize,
    planes: Vec<Plane>,
}

/// A square part of the plane, and what is drawn on it, one over the other.
#[derive(Clone, Debug)]
pub struct Plane {
    title: String,
    low: f64,
    high: f64,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
enum Layer {
    Points(Vec<[f64; 2]>, usize),
    Paths(Vec<Vec<[f64; 2]>>, usize),
    Arrows(Vec<[[f64; 2]; 2]>),
    Density(Vec<f64>),
    Shares(Vec<f64>),
}

impl Board {
    /// Pictures in rows of so many.
    pub fn new(title: impl Into<String>, columns: usize, planes: Vec<Plane>) -> Self {
        Board { title: title.into(), columns: columns.max(1), planes }
    }

    /// Points of the figure.
    pub(super) fn size(&self) -> (u32, u32) {
        let rows = self.planes.len().div_ceil(self.columns) as u32;
        (2 * MARGIN + self.columns as u32 * CELL, TOP + rows * (CELL + TITLE) + MARGIN / 2)
    }

    pub(super) fn draw(&self, area: &Canvas<'_>) -> Result<(), String> {
        write(area, &self.title, (MARGIN, 20), 20, INK, Anchor::Left)?;
        for (i, plane) in self.planes.iter().enumerate() {
            let (column, row) = ((i % self.columns) as u32, (i / self.columns) as u32);
            let corner = (MARGIN + column * CELL, TOP + row * (CELL + TITLE));
            write(area, &plane.title, (corner.0, corner.1 + TITLE / 2), 15, super::FAINT, Anchor::Left)?;
            let side = (CELL - SPACE) * FINE;
            let part = area
                .clone()
                .shrink(((corner.0 * FINE) as i32, ((corner.1 + TITLE) * FINE) as i32), (side as i32, side as i32));
            plane.draw(&part, f64::from(side))?;
        }
        Ok(())
    }
}

/// The size of a picture with the space around it, in points.
const CELL: u32 = 316;
const SPACE: u32 = 12;
const TITLE: u32 = 28;
const TOP: u32 = 40;

impl Plane {
    /// The square from `low` to `high` on both axes.
    pub fn new(title: impl Into<String>, low: f64, high: f64) -> Self {
        Plane { title: title.into(), low, high, layers: Vec::new() }
    }

    /// Adds points, in one of the colours of curves.
    pub fn points(mut self, points: Vec<[f64; 2]>, colour: usize) -> Self {
        self.layers.push(Layer::Points(points, colour));
        self
    }

    /// Adds a line through each of these lists of points.
    pub fn paths(mut self, paths: Vec<Vec<[f64; 2]>>, colour: usize) -> Self {
        self.layers.push(Layer::Paths(paths, colour));
        self
    }

    /// Adds an arrow from each point by each displacement.
    pub fn arrows(mut self, arrows: Vec<[[f64; 2]; 2]>) -> Self {
        self.layers.push(Layer::Arrows(arrows));
        self
    }

    /// Adds a density as shades: its values in the middle of equal squares, as many in a row as there are rows, from the
    /// lower left, row by row.
    pub fn density(mut self, values: Vec<f64>) -> Self {
        self.layers.push(Layer::Density(values));
        self
    }

    /// Adds shares from 0 to 1 as light tints from the second colour of curves to the first, laid out like a density.
    pub fn shares(mut self, values: Vec<f64>) -> Self {
        self.layers.push(Layer::Shares(values));
        self
    }

    fn draw(&self, area: &Canvas<'_>, side: f64) -> Result<(), String> {
        area.fill(&PAPER).map_err(|e| e.to_string())?;
        let place = |[x, y]: [f64; 2]| {
            let share = |z: f64| (z - self.low) / (self.high - self.low);
            ((share(x) * side).round() as i32, ((1.0 - share(y)) * side).round() as i32)
        };
        let inside = |[x, y]: &[f64; 2]| (self.low..=self.high).contains(x) && (self.low..=self.high).contains(y);
        for layer in &self.layers {
            match layer {
                Layer::Points(points, colour) => {
                    let style = COLOURS[colour % COLOURS.len()].mix(0.45).filled();
                    for &point in points.iter().filter(|point| inside(point)) {
                        area.draw(&Circle::new(place(point), FINE as i32 + 1, style)).map_err(|e| e.to_string())?;
                    }
                }
                Layer::Paths(paths, colour) => {
                    let style = COLOURS[colour % COLOURS.len()].mix(0.35).stroke_width(FINE);
                    for path in paths {
                        // A path is drawn up to where it leaves the picture.
                        let shown: Vec<_> = path.iter().take_while(|point| inside(point)).map(|&p| place(p)).collect();
                        area.draw(&PathElement::new(shown, style)).map_err(|e| e.to_string())?;
                    }
                }
                Layer::Arrows(arrows) => {
                    let style = INK.mix(0.75).stroke_width(FINE + 1);
                    for &[from, by] in arrows {
                        let to = [from[0] + by[0], from[1] + by[1]];
                        let tip = |turn: f64| {
                            let (sin, cos) = turn.sin_cos();
                            [to[0] - 0.3 * (cos * by[0] - sin * by[1]), to[1] - 0.3 * (sin * by[0] + cos * by[1])]
                        };
                        let line = [from, to, tip(0.5), to, tip(-0.5)].map(place).to_vec();
                        area.draw(&PathElement::new(line, style)).map_err(|e| e.to_string())?;
                    }
                }
                Layer::Density(values) => {
                    let greatest = values.iter().copied().filter(|v| v.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
                    squares(area, values, side, &|value| shade((value / greatest).clamp(0.0, 1.0).sqrt()))?;
                }
                Layer::Shares(values) => squares(area, values, side, &|share| {
                    let full = blend(COLOURS[1], COLOURS[0], share.clamp(0.0, 1.0));
                    blend(PAPER, full, 0.1 + 0.5 * (share - 0.5).abs())
                })?,
            }
        }
        let corners = [(0, 0), (side as i32 - 1, side as i32 - 1)];
        area.draw(&Rectangle::new(corners, LINE.stroke_width(FINE))).map_err(|e| e.to_string())
    }
}

/// Values in the middle of equal squares, from the lower left.
fn squares(area: &Canvas<'_>, values: &[f64], side: f64, colour: &dyn Fn(f64) -> RGBColor) -> Result<(), String> {
    let width = (values.len() as f64).sqrt() as usize;
    let edge = |i: usize| (i as f64 / width as f64 * side).round() as i32;
    for (i, &value) in values.iter().take(width * width).enumerate() {
        let (column, row) = (i % width, width - 1 - i / width);
        let corners = [(edge(column), edge(row)), (edge(column + 1), edge(row + 1))];
        area.draw(&Rectangle::new(corners, colour(value).filled())).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// From paper over blue to dark.
fn shade(share: f64) -> RGBColor {
    if share < 0.6 { blend(PAPER, COLOURS[0], share / 0.6) } else { blend(COLOURS[0], INK, (share - 0.6) / 0.4) }
}
