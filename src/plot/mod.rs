//! Figures of a training as PNG: curves over the epochs, grids of images with what the model says of them, and pictures of
//! the plane.
//!
//! Text is set in Ubuntu Light (Ubuntu Font Licence 1.0), which is part of the program, so no system library is needed.

mod plane;
mod file;

pub use plane::{Board, Plane};

use crate::{Error, Result};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::register_font;
use std::ops::Range;
use std::path::Path;
use std::sync::Once;

/// A figure: diagrams one below the other, and image grids and boards beside them.
///
/// ```no_run
/// use ansatz::plot::{Diagram, Figure};
///
/// Figure::new("digits")
///     .diagram(Diagram::new("loss").logarithmic().curve("training", vec![2.3, 0.4, 0.1]))
///     .save("out/digits.png")?;
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Figure {
    title: String,
    diagrams: Vec<Diagram>,
    grids: Vec<Grid>,
    boards: Vec<Board>,
}

/// Curves over the epochs, from 1.
#[derive(Clone, Debug, Default)]
pub struct Diagram {
    title: String,
    logarithmic: bool,
    curves: Vec<(String, Vec<f64>)>,
}

/// Grey images in rows, each with a caption.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    title: String,
    columns: usize,
    pictures: Vec<Picture>,
}

/// A grey image.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Row by row from the top, from 0 (paper) to 1 (ink).
    pub pixels: Vec<f64>,
    /// What stands below it.
    pub caption: String,
    /// Whether it is marked red.
    pub wrong: bool,
}

impl Figure {
    /// An empty figure.
    pub fn new(title: impl Into<String>) -> Self {
        Figure { title: title.into(), ..Figure::default() }
    }

    /// Adds a diagram below the others.
    pub fn diagram(mut self, diagram: Diagram) -> Self {
        self.diagrams.push(diagram);
        self
    }

    /// Adds a grid of images to the right.
    pub fn grid(mut self, grid: Grid) -> Self {
        self.grids.push(grid);
        self
    }

    /// Adds pictures of the plane to the right.
    pub fn board(mut self, board: Board) -> Self {
        self.boards.push(board);
        self
    }

    /// Draws the figure to a PNG file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        let columns = u32::from(!self.diagrams.is_empty()) + self.grids.len() as u32;
        let boards = self.boards.iter().map(Board::size);
        let (boards_width, boards_height) = boards.fold((0, 0), |(w, h), size| (w + size.0, h.max(size.1)));
        let width = (PANEL.0 * columns + boards_width).max(PANEL.0);
        let height = HEADER + if columns == 0 { boards_height.max(1) } else { boards_height.max(PANEL.1) };
        let failed = |problem| Error::io("write", path, std::io::Error::other(problem));
        let fine = self.draw(width * FINE, height * FINE).map_err(failed)?;
        file::write(path, width, height, &coarsen(&fine, width as usize, height as usize))
    }

    fn draw(&self, width: u32, height: u32) -> Result<Vec<u8>, String> {
        load_font();
        let mut pixels = vec![0; (width * height * 3) as usize];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(|e| e.to_string())?;
            let (header, body) = area.split_vertically(HEADER * FINE);
            write(&header, &self.title, (MARGIN, HEADER / 2), 26, INK, Anchor::Left)?;
            let mut rest = body;
            if !self.diagrams.is_empty() {
                let (left, right) = rest.split_horizontally(PANEL.0 * FINE);
                for (area, diagram) in left.split_evenly((self.diagrams.len(), 1)).iter().zip(&self.diagrams) {
                    diagram.draw(area)?;
                }
                rest = right;
            }
            for grid in &self.grids {
                let (left, right) = rest.split_horizontally(PANEL.0 * FINE);
                grid.draw(&left)?;
                rest = right;
            }
            for board in &self.boards {
                let (left, right) = rest.split_horizontally(board.size().0 * FINE);
                board.draw(&left)?;
                rest = right;
            }
            area.present().map_err(|e| e.to_string())?;
        }
        Ok(pixels)
    }
}

impl Diagram {
    /// A diagram without curves.
    pub fn new(title: impl Into<String>) -> Self {
        Diagram { title: title.into(), ..Diagram::default() }
    }

    /// Makes the upward axis logarithmic; values of zero and below are left out.
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic = true;
        self
    }

    /// Adds a curve of one value per epoch. Values that are not finite are left out.
    pub fn curve(mut self, name: impl Into<String>, values: Vec<f64>) -> Self {
        self.curves.push((name.into(), values));
        self
    }

    fn draw(&self, area: &Canvas<'_>) -> Result<(), String> {
        let shown = |v: &f64| v.is_finite() && (!self.logarithmic || *v > 0.0);
        let values = || self.curves.iter().flat_map(|(_, values)| values.iter().copied().filter(shown));
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            return write(area, "no finite values", (PANEL.0 / 2, 60), 18, FAINT, Anchor::Middle);
        }
        let epochs = self.curves.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
        let upward = if self.logarithmic {
            // One octave at least, so that a flat curve has an axis.
            let (low, high) = (low.min(high / 2.0), high.max(low * 2.0));
            Upward { range: low / 1.15..high * 1.15, logarithmic: true }
        } else {
            let room = ((high - low) * 0.06).max(high.abs() * 1e-3).max(1e-9);
            Upward { range: low - room..high + room, logarithmic: false }
        };
        let failed = |e: DrawingAreaErrorKind<_>| e.to_string();
        write(area, &self.title, (MARGIN, 20), 20, INK, Anchor::Left)?;
        let onward = Epochs(1.0..(epochs as f64).max(2.0));
        let mut chart = ChartBuilder::on(area)
            .margin_top(40 * FINE)
            .margin_right(24 * FINE)
            .margin_bottom(8 * FINE)
            .margin_left(MARGIN * FINE)
            .x_label_area_size(44 * FINE)
            .y_label_area_size(56 * FINE)
            .build_cartesian_2d(onward, upward)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE.stroke_width(FINE))
            .axis_style(TRANSPARENT)
            .x_desc("epoch")
            .axis_desc_style(font(15, FAINT))
            .label_style(font(14, FAINT))
            .x_labels(9)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| short(*y))
            .draw()
            .map_err(failed)?;
        for (i, (_, values)) in self.curves.iter().enumerate() {
            let points = values.iter().enumerate().filter(|(_, v)| shown(v)).map(|(i, &v)| (i as f64 + 1.0, v));
            let style = COLOURS[i % COLOURS.len()].stroke_width(2 * FINE + 1);
            chart.draw_series(LineSeries::new(points, style)).map_err(failed)?;
        }
        // The key, from the right: a line and a name for each curve.
        let mut right = PANEL.0 - 24;
        for (i, (name, values)) in self.curves.iter().enumerate().rev() {
            let last = values.last().map_or(String::new(), |v| format!("  {}", short(*v)));
            let text = format!("{name}{last}");
            let text_width = font(15, INK).font.box_size(&text).map_err(|e| e.to_string())?.0 / FINE;
            write(area, &text, (right, 20), 15, FAINT, Anchor::Right)?;
            let (end, middle) = (right.saturating_sub(text_width + 8), 18);
            let line = vec![at(end.saturating_sub(22), middle), at(end, middle)];
            let style = COLOURS[i % COLOURS.len()].stroke_width(3 * FINE);
            area.draw(&PathElement::new(line, style)).map_err(failed)?;
            right = end.saturating_sub(22 + 20);
        }
        Ok(())
    }
}

impl Grid {
    /// Images in rows of so many.
    pub fn new(title: impl Into<String>, columns: usize, pictures: Vec<Picture>) -> Self {
        Grid { title: title.into(), columns: columns.max(1), pictures }
    }

    fn draw(&self, area: &Canvas<'_>) -> Result<(), String> {
        write(area, &self.title, (MARGIN, 20), 20, INK, Anchor::Left)?;
        let rows = self.pictures.len().div_ceil(self.columns).max(1) as u32;
        let (left, top) = (MARGIN, 44);
        let cell = (PANEL.0 - 2 * MARGIN) / self.columns as u32;
        let cell_height = ((PANEL.1 - top - 12) / rows).min(cell + CAPTION);
        let side = (cell.min(cell_height.saturating_sub(CAPTION))).saturating_sub(GAP);
        for (i, picture) in self.pictures.iter().enumerate() {
            let (column, row) = ((i % self.columns) as u32, (i / self.columns) as u32);
            let corner = (left + column * cell + (cell - side) / 2, top + row * cell_height);
            picture.draw(area, corner, side)?;
        }
        Ok(())
    }
}

impl Picture {
    fn draw(&self, area: &Canvas<'_>, corner: (u32, u32), side: u32) -> Result<(), String> {
        let failed = |e: DrawingAreaErrorKind<_>| e.to_string();
        let width = self.width.max(1);
        let longest = width.max(self.pixels.len().div_ceil(width)) as u32;
        // Pixel borders fall on whole points of the fine drawing, so neighbours leave no seam.
        let edge = |origin: u32, i: usize| (origin * FINE + i as u32 * side * FINE / longest) as i32;
        for (i, &ink) in self.pixels.iter().enumerate() {
            let (column, row) = (i % width, i / width);
            let corners =
                [(edge(corner.0, column), edge(corner.1, row)), (edge(corner.0, column + 1), edge(corner.1, row + 1))];
            area.draw(&Rectangle::new(corners, blend(PAPER, INK, ink.clamp(0.0, 1.0)).filled())).map_err(failed)?;
        }
        if self.wrong {
            let (x, y) = corner;
            let frame = [
                (x - 3, y - 3, side + 6, 3),
                (x - 3, y + side, side + 6, 3),
                (x - 3, y, 3, side),
                (x + side, y, 3, side),
            ];
            for (x, y, width, height) in frame {
                area.draw(&Rectangle::new([at(x, y), at(x + width, y + height)], RED.filled())).map_err(failed)?;
            }
        }
        let colour = if self.wrong { RED } else { FAINT };
        write(area, &self.caption, (corner.0 + side / 2, corner.1 + side + 14), 15, colour, Anchor::Middle)
    }
}

type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// The figure is drawn this much larger and then averaged, which smooths every edge.
const FINE: u32 = 3;
/// The size of a diagram column or a grid, in points.
const PANEL: (u32, u32) = (760, 700);
const HEADER: u32 = 64;
const MARGIN: u32 = 28;
const CAPTION: u32 = 32;
const GAP: u32 = 10;

const INK: RGBColor = RGBColor(30, 34, 42);
const FAINT: RGBColor = RGBColor(96, 104, 117);
const LINE: RGBColor = RGBColor(228, 231, 236);
const PAPER: RGBColor = RGBColor(244, 245, 247);
const RED: RGBColor = RGBColor(214, 40, 40);
const COLOURS: [RGBColor; 4] =
    [RGBColor(37, 99, 235), RGBColor(234, 138, 16), RGBColor(16, 150, 106), RGBColor(147, 51, 200)];

/// The axis of epochs: marks at whole numbers alone.
struct Epochs(Range<f64>);

impl Ranged for Epochs {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.0.start) / (self.0.end - self.0.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let most = hint.max_num_points().clamp(2, 10) as f64;
        let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]
            .into_iter()
            .find(|step| (self.0.end - self.0.start) / step <= most)
            .unwrap_or(((self.0.end - self.0.start) / most).ceil());
        let first = (1..).map(|i| f64::from(i) * step).take_while(|&x| x <= self.0.end);
        first.filter(|&x| x >= self.0.start).collect()
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

/// The axis of values: marks at 1, 2 and 5 times powers of ten.
struct Upward {
    range: Range<f64>,
    logarithmic: bool,
}

impl Ranged for Upward {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let scale = |x: f64| if self.logarithmic { x.ln() } else { x };
        let (start, end) = (scale(self.range.start), scale(self.range.end));
        limit.0 + ((scale(*value) - start) / (end - start) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let Range { start, end } = self.range;
        let most = hint.max_num_points().clamp(2, 8);
        if !self.logarithmic {
            let rough = (end - start) / most as f64;
            let power = 10f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&s| s >= rough).unwrap_or(rough);
            let (first, last) = ((start / step).ceil() as i64, (end / step).floor() as i64);
            return (first..=last).map(|i| i as f64 * step).collect();
        }
        let decades = start.log10().floor() as i32..=end.log10().ceil() as i32;
        let marks = |factors: &[f64]| -> Vec<f64> {
            let all = decades.clone().flat_map(|d| factors.iter().map(move |f| f * 10f64.powi(d)));
            all.filter(|mark| self.range.contains(mark)).collect()
        };
        [&[1.0, 2.0, 3.0, 5.0][..], &[1.0, 2.0, 5.0], &[1.0, 3.0]]
            .into_iter()
            .map(marks)
            .find(|marks| marks.len() <= most)
            .unwrap_or_else(|| marks(&[1.0]))
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

#[derive(Clone, Copy)]
enum Anchor {
    Left,
    Middle,
    Right,
}

/// A point of the figure on the fine drawing.
fn at(x: u32, y: u32) -> (i32, i32) {
    ((x * FINE) as i32, (y * FINE) as i32)
}

fn font(size: u32, colour: RGBColor) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::Name(FONT), f64::from(size * FINE), FontStyle::Normal);
    TextStyle { color: colour.to_backend_color(), ..TextStyle::from(font) }
}

/// Text whose vertical middle is at the point.
fn write(
    area: &Canvas<'_>,
    text: &str,
    point: (u32, u32),
    size: u32,
    colour: RGBColor,
    anchor: Anchor,
) -> Result<(), String> {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    let horizontal = match anchor {
        Anchor::Left => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::Right => HPos::Right,
    };
    let style = font(size, colour).pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at(point.0, point.1), style)).map_err(|e| e.to_string())
}

const FONT: &str = "ansatz";

fn load_font() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        // The file is part of the program and is a font.
        let _ = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
}

/// A number with three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size => {
            let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
            let text = format!("{value:.decimals$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
    }
}

fn blend(from: RGBColor, to: RGBColor, share: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Averages squares of `FINE` × `FINE` pixels.
fn coarsen(fine: &[u8], width: usize, height: usize) -> Vec<u8> {
    let scale = FINE as usize;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let mut sum = 0;
                for dy in 0..scale {
                    let row = (y * scale + dy) * width * scale;
                    for dx in 0..scale {
                        sum += u32::from(fine[(row + x * scale + dx) * 3 + channel]);
                    }
                }
                pixels.push(((sum + FINE * FINE / 2) / (FINE * FINE)) as u8);
            }
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_png_of_its_panels() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("new/figure.png");
        let loss: Vec<f64> = (0..30).map(|i| 2.3 * (-0.15 * f64::from(i)).exp() + 0.03).collect();
        let validation: Vec<f64> = loss.iter().map(|x| x + 0.02).collect();
        let pictures: Vec<Picture> = (0..40)
            .map(|i| Picture {
                width: 8,
                pixels: (0..64).map(|p| f64::from((p * (i + 3)) % 17) / 16.0).collect(),
                caption: if i % 9 == 4 { "7, not 1".to_owned() } else { format!("{}", i % 10) },
                wrong: i % 9 == 4,
            })
            .collect();
        let figure = Figure::new("Two diagrams and a grid")
            .diagram(Diagram::new("loss").logarithmic().curve("training", loss).curve("validation", validation))
            .diagram(Diagram::new("accuracy").curve("validation", vec![0.1, 0.8, f64::NAN, 0.97]))
            .grid(Grid::new("test digits", 8, pictures));
        figure.save(&path).expect("the figure is drawn");
        let bytes = std::fs::read(&path).expect("the file");
        assert_eq!(bytes[1..4], *b"PNG");
        let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((size(16), size(20)), (2 * PANEL.0, HEADER + PANEL.1));
        if let Some(copy) = std::env::var_os("FIGURE") {
            std::fs::copy(&path, copy).expect("a copy");
        }
    }

    #[test]
    fn a_board_makes_room_for_its_rows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("board.png");
        let plane = Plane::new("all layers", -1.0, 1.0)
            .density((0..64).map(f64::from).collect())
            .shares(vec![0.0, 0.5, 1.0, f64::NAN])
            .points(vec![[0.0, 0.0], [5.0, f64::NAN]], 0)
            .paths(vec![vec![[-0.5, 0.0], [0.5, 0.2], [3.0, 0.0]], vec![]], 1)
            .arrows(vec![[[0.0, 0.0], [0.5, 0.5]]]);
        let board = Board::new("a board", 2, vec![plane; 5]);
        let size = board.size();
        Figure::new("Planes").board(board).save(&path).expect("the figure is drawn");
        let bytes = std::fs::read(&path).expect("the file");
        let found = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((found(16), found(20)), (size.0.max(PANEL.0), HEADER + size.1));
    }

    #[test]
    fn nothing_to_draw_is_no_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Figure::new("").save(folder.path().join("a.png")).expect("an empty figure");
        let figure = Figure::new("x").diagram(Diagram::new("y").logarithmic().curve("z", vec![0.0, f64::NAN]));
        figure.save(folder.path().join("b.png")).expect("a figure of nothing");
        let figure = Figure::new("x").diagram(Diagram::new("y").logarithmic().curve("z", vec![0.5]));
        figure.save(folder.path().join("c.png")).expect("a figure of one point");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.5, 0.0123456, 1.0, 12.345, 1234.5, 1e-7, 1e6].map(short),
            ["0", "0.5", "0.0123", "1", "12.3", "1234", "1.0e-7", "1.0e6"]
        );
    }
}
