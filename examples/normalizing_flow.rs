//! Learns the density of distributions of the plane by a continuous normalizing flow and draws it.
//!
//! ```text
//! cargo run --release --example normalizing_flow                    # moons and gaussians
//! cargo run --release --example normalizing_flow -- pinwheel
//! ```

use ansatz::data::{Samples, Toy, normal_points};
use ansatz::plot::{Board, Diagram, Figure, Plane as Picture};
use ansatz::prelude::*;

net! {
    pub dim Plane = 2;

    /// The velocity at the time s: its first layers are linear in s.
    pub net Field(x: [n, Plane], s: []) -> [n, Plane] {
        let y = tanh(linear(64)(x) + s * linear(64)(x));
        tanh(linear(64)(y) + s * linear(64)(y)) |> linear(Plane)
    }

    /// ln p(x) = ln q(z) + ln |det ∂z/∂x|: x flows back to normal noise z (Grathwohl et al. 2019).
    pub net Density(x: [n, Plane]) -> [n] {
        let (z, log_det) = cnf(x, s = 1..0, by = tsit5(8), Field);
        normal_log_prob(z, over = Plane) + log_det
    }

    /// The negative log-likelihood of the data.
    pub net Likelihood(x: [n, Plane]) -> [] {
        -mean(density: Density(x))
    }

    /// Noise flows to samples.
    pub net Sample(z: [n, Plane]) -> [n, Plane] {
        z |> ode(s = 0..1, by = tsit5(8), Field)
    }
}

const SAMPLES: usize = 1 << 14;
const EPOCHS: u64 = 16;
const BATCH: usize = 256;
/// Cells of the density in a row, and how far it reaches.
const CELLS: usize = 200;
const EDGE: f64 = 4.0;

fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let toys = match &names[..] {
        [] => vec![Toy::Moons, Toy::Gaussians],
        names => names.iter().map(|name| name.parse()).collect::<Result<_>>()?,
    };
    let (mut figure, mut pictures, mut lines) = (Figure::new("Continuous normalizing flow"), Vec::new(), Vec::new());
    for &toy in &toys {
        println!("{toy}");
        let train = Samples::new(&LikelihoodBatch { x: tensor(&toy.sample(SAMPLES, 1))? })?;
        let test = Samples::new(&LikelihoodBatch { x: tensor(&toy.sample(4000, 2))? })?;
        let updates = EPOCHS * SAMPLES.div_ceil(BATCH) as u64;
        let mut trainer = Trainer::builder(Likelihood::init(1), Adam::new(4e-3))
            .seed(1)
            .batch_size(BATCH)
            .epochs(EPOCHS)
            .schedule(Schedule::cosine(updates / 20, updates))
            .clip(5.0)
            .progress()
            .build()?;
        let history = trainer.fit(&train, Some(&test))?;
        let losses = Diagram::new(format!("{toy}: negative log-likelihood"));
        let losses = losses.curve("training", history.train_loss()).curve("held out", history.validation_loss());
        figure = figure.diagram(losses);
        let held_out = -trainer.evaluate(&test)?.loss();
        let density = trainer.model()?.density;
        let mass = show(&density, toy, &mut pictures)?;
        lines.push(format!("{toy}: held-out log-likelihood {held_out:.4}, mass on the picture {mass:.4}"));
    }
    let board = Board::new("Data, the learned density, samples", 3, pictures);
    figure.board(board).save("out/normalizing_flow.png")?;
    lines.iter().for_each(|line| println!("{line}"));
    println!("out/normalizing_flow.png");
    Ok(())
}

fn tensor(points: &[[f64; 2]]) -> Result<Tensor<(usize, Plane), f32, Cpu>> {
    from_vec(points.iter().flatten().map(|&x| x as f32).collect(), (points.len(), Plane))
}

/// Adds the pictures of a density; gives its mass on them.
fn show(density: &Density, toy: Toy, pictures: &mut Vec<Picture>) -> Result<f64> {
    let step = 2.0 * EDGE / CELLS as f64;
    let middle = |i: usize| (i as f64 + 0.5) * step - EDGE;
    let grid: Vec<[f64; 2]> = (0..CELLS * CELLS).map(|i| [middle(i % CELLS), middle(i / CELLS)]).collect();
    let logarithms = to_vec(&density.forward(tensor(&grid)?)?);
    let densities: Vec<f64> = logarithms.iter().map(|&l| f64::from(l).exp()).collect();
    let mass = densities.iter().sum::<f64>() * step * step;

    let sample = Sample { field: density.field.clone() };
    let samples = to_vec(&sample.forward(tensor(&normal_points(3000, 5))?)?);
    let samples = samples.chunks_exact(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
    let frame = |title: &str| Picture::new(format!("{toy}, {title}"), -EDGE, EDGE);
    pictures.push(frame("data").points(toy.sample(3000, 3), 0));
    pictures.push(frame("density").density(densities));
    pictures.push(frame("samples").points(samples, 0));
    Ok(mass)
}
