//! Learns to carry normal noise to distributions of the plane by flow matching, and shows how it goes there.
//!
//! ```text
//! cargo run --release --example flow_matching                              # moons and checkerboard
//! cargo run --release --example flow_matching -- --transport pinwheel swissroll gaussians
//! ```
//!
//! With `--epochs 10` it prints
//!
//! ```text
//! moons
//! checkerboard
//! moons: sliced Wasserstein 0.1059, between fresh data 0.0883, ratio 1.20
//! checkerboard: sliced Wasserstein 0.1550, between fresh data 0.1545, ratio 1.00
//! out/flow_matching.png
//! ```
//!
//! `--transport` pairs noise and data within each batch by optimal transport, which straightens the paths (Tong et al.
//! 2024, "minibatch OT").

mod shared;

use ansatz::data::{Pass, Toy, normal_points};
use ansatz::ode;
use ansatz::plot::{Board, Diagram, Figure, Plane as Picture};
use ansatz::prelude::*;
use ansatz::tensor::Feed;
use ansatz::train::History;
use ansatz::transport::{Pairing, directions, sliced_wasserstein};
use shared::{Options, Program, say};

net! {
    pub dim Plane = 2;

    /// The velocity of a point at the time s.
    pub net Velocity(x: [n, Plane], s: [n, 1]) -> [n, Plane] {
        // Waves of x let the field turn sharply.
        concat(x, s, sin(x), cos(x), sin(2 * x), cos(2 * x))
            |> linear(256) |> silu |> linear(256) |> silu |> linear(256) |> silu |> linear(Plane)
    }

    /// Conditional flow matching (Lipman et al. 2023): E ‖ x1 − x0 − g((1−s) x0 + s x1, s) ‖².
    pub net FlowMatching(x0: [n, Plane], x1: [n, Plane]) -> [] {
        let s = uniform([n, 1]);
        let g = velocity: Velocity((1 - s) * x0 + s * x1, s);
        square(x1 - x0 - g) |> sum(over = Plane) |> mean
    }
}

const SAMPLES: usize = 1 << 16;
const BATCH: usize = 256;
const PROGRAM: Program = Program {
    name: "flow_matching",
    about: "Learns to carry normal noise to distributions of the plane by flow matching, and shows how it goes there.",
    length: (40, "epochs"),
    options: &[("transport", "", "pairs noise and data within each batch by optimal transport")],
    words: "moons checkerboard pinwheel swissroll gaussians …",
};
/// Points of a distance, directions, and pairs of clouds that it is the mean of.
const CLOUD: usize = 1000;
const DIRECTIONS: usize = 200;
const PAIRS: u64 = 10;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let toys = match &options.words[..] {
        [] => vec![Toy::Moons, Toy::Checkerboard],
        names => names.iter().map(|name| name.parse()).collect::<Result<_>>()?,
    };

    let (mut losses, mut pictures, mut lines) = (Diagram::new("flow matching loss"), Vec::new(), Vec::new());
    for &toy in &toys {
        let pairing = if options.has("transport") { Pairing::Exact } else { Pairing::Independent };
        let (model, history) = train(&options, toy, pairing)?;
        losses = losses.curve(toy.name(), history.train_loss());
        let flow = Flow { session: Session::new(&model)? };
        pictures.extend(show(&flow, toy)?);
        lines.push(judge(&flow, toy)?);
    }
    let title = "From noise at s = 0 to data at s = 1, paths, and the velocity at s = 0.5";
    let figure = Figure::new("Flow matching").diagram(losses).board(Board::new(title, 6, pictures));
    let picture = options.path("flow_matching.png");
    figure.save(&picture)?;
    lines.iter().for_each(|line| say!("{line}"));
    say!("{}", picture.display());
    Ok(())
}

/// The averaged velocity field after a training.
fn train(options: &Options, toy: Toy, pairing: Pairing) -> Result<(Velocity, History)> {
    say!("{toy}");
    let pairs = Pairs { x0: normal_points(SAMPLES, 1), x1: toy.sample(SAMPLES, 2), pairing };
    let updates = options.length * SAMPLES.div_ceil(BATCH) as u64;
    let builder = Trainer::builder(FlowMatching::init(options.seed), Adam::new(2e-3))
        .seed(options.seed)
        .batch_size(BATCH)
        .epochs(options.length)
        .schedule(Schedule::cosine(updates / 20, updates))
        .average(0.998);
    let (trainer, history) = options.fit(&format!("flow_matching.{toy}"), builder, &pairs, None)?;
    Ok((trainer.averaged()?.velocity, history))
}

/// Pairs of noise and data, which each batch puts together anew.
struct Pairs {
    x0: Vec<[f64; 2]>,
    x1: Vec<[f64; 2]>,
    pairing: Pairing,
}

impl Dataset<FlowMatchingBatch> for Pairs {
    fn len(&self) -> usize {
        self.x1.len()
    }

    fn feed(&self, rows: &[u32], _: Pass, feed: &mut Feed, dims: &mut Vec<usize>) -> Result<()> {
        let x1: Vec<[f64; 2]> = rows.iter().map(|&row| self.x1[row as usize]).collect();
        // The order of the rows is another one in each epoch, so a data point meets other noise each time.
        let mut x0: Vec<[f64; 2]> = rows.iter().map(|&row| self.x0[row as usize]).collect();
        x0.rotate_right(1);
        x0 = self.pairing.partners(&x1, &x0, 0)?.into_iter().map(|noise| x0[noise]).collect();
        let batch = FlowMatchingBatch { x0: tensor(&x0)?, x1: tensor(&x1)? };
        dims.extend(ansatz::nn::Batch::dims(&batch)?);
        ansatz::nn::Batch::feed(&batch, feed);
        Ok(())
    }
}

fn tensor(points: &[[f64; 2]]) -> Result<Tensor<(usize, Plane), f32, Cpu>> {
    from_vec(points.iter().flatten().map(|&x| x as f32).collect(), (points.len(), Plane))
}

/// A velocity field and what it carries.
struct Flow {
    session: Session<f32, Velocity>,
}

impl Flow {
    fn velocity(&self, s: f64, points: &[f64], out: &mut [f64]) -> Result<()> {
        let count = points.len() / 2;
        let x = from_vec(points.iter().map(|&x| x as f32).collect(), (count, Plane))?;
        let s = from_vec(vec![s as f32; count], (count, Const))?;
        let velocities = to_vec(&self.session.run(&VelocityBatch { x, s })?);
        out.iter_mut().zip(velocities).for_each(|(out, velocity)| *out = f64::from(velocity));
        Ok(())
    }

    /// Where these points are at all times from 0 to 1.
    fn carry(&self, points: &[[f64; 2]]) -> Result<ode::Trajectory> {
        ode::dopri5(1e-4).trajectory(|s, x, v| self.velocity(s, x, v), 0.0..1.0, points.as_flattened())
    }
}

fn pairs(flat: &[f64]) -> Vec<[f64; 2]> {
    flat.chunks_exact(2).map(|p| [p[0], p[1]]).collect()
}

/// Samples over time, paths and the field.
fn show(flow: &Flow, toy: Toy) -> Result<Vec<Picture>> {
    // As far as the data reaches, and at least most of the noise.
    let edge = toy.sample(1000, 3).as_flattened().iter().fold(3.3, |edge: f64, x| edge.max(1.1 * x.abs()));
    let frame = |title: String| Picture::new(title, -edge, edge);
    let path = flow.carry(&normal_points(3000, 77))?;
    let mut pictures: Vec<Picture> =
        [0.0, 0.4, 0.7, 1.0].map(|s| frame(format!("{toy}, s = {s}")).points(pairs(&path.at(s)), 0)).to_vec();

    let times: Vec<Vec<[f64; 2]>> = (0..=60).map(|i| pairs(&path.at(f64::from(i) / 60.0))).collect();
    let paths = (0..200).map(|i| times.iter().map(|points| points[i]).collect()).collect();
    let ends = |points: &[[f64; 2]]| points[..200].to_vec();
    pictures.push(frame("paths".into()).paths(paths, 0).points(ends(&times[0]), 1).points(ends(&times[60]), 2));

    let lattice = |i: usize| (i as f64 + 0.5) / 18.0 * 2.0 * edge - edge;
    let points: Vec<[f64; 2]> = (0..18 * 18).map(|i| [lattice(i % 18), lattice(i / 18)]).collect();
    let mut velocities = vec![0.0; 2 * points.len()];
    flow.velocity(0.5, points.as_flattened(), &mut velocities)?;
    let longest = velocities.chunks_exact(2).map(|v| v[0].hypot(v[1])).fold(1e-9, f64::max);
    let scale = edge / 9.0 / longest * 1.6;
    let arrow = |(&from, v): (&[f64; 2], &[f64])| [from, [v[0] * scale, v[1] * scale]];
    let arrows = points.iter().zip(velocities.chunks_exact(2)).map(arrow).collect();
    pictures.push(frame("velocity at s = 0.5".into()).points(pairs(&path.at(0.5)), 0).arrows(arrows));
    Ok(pictures)
}

/// The distance of generated points from data beside that of data from data.
fn judge(flow: &Flow, toy: Toy) -> Result<String> {
    let directions = directions(DIRECTIONS, 2, 5);
    let (mut generated, mut fresh) = (0.0, 0.0);
    for pair in 0..PAIRS {
        let data = toy.sample(CLOUD, 1000 + pair);
        let other = toy.sample(CLOUD, 2000 + pair);
        let samples = pairs(&flow.carry(&normal_points(CLOUD, 3000 + pair))?.end.y);
        generated += sliced_wasserstein(&samples, &data, &directions, 2.0)? / PAIRS as f64;
        fresh += sliced_wasserstein(&other, &data, &directions, 2.0)? / PAIRS as f64;
    }
    let ratio = generated / fresh;
    Ok(format!("{toy}: sliced Wasserstein {generated:.4}, between fresh data {fresh:.4}, ratio {ratio:.2}"))
}
