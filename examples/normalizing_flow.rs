//! Learns the density of distributions of the plane twice, by a continuous normalizing flow and by couplings of splines, and
//! draws both.
//!
//! ```text
//! cargo run --release --example normalizing_flow                    # moons and gaussians
//! cargo run --release --example normalizing_flow -- pinwheel
//! ```
//!
//! With `--epochs 3`, which is not enough, it prints
//!
//! ```text
//! moons
//! gaussians
//! moons: continuous flow, held-out log-likelihood -2.0621, mass on the picture 0.9965
//! moons: couplings, held-out log-likelihood -1.7694, mass on the picture 0.9999
//! moons: couplings of zuko, of the same sizes and training, -1.7030
//! gaussians: continuous flow, held-out log-likelihood -2.3142, mass on the picture 0.9950
//! gaussians: couplings, held-out log-likelihood -2.2461, mass on the picture 0.9997
//! out/normalizing_flow.png
//! ```

mod shared;

use ansatz::data::{Samples, Toy, normal_points};
use ansatz::nn::Batch;
use ansatz::plot::{Board, Diagram, Figure, Plane as Picture};
use ansatz::prelude::*;
use ansatz::train::{Builder, History};
use shared::{Options, Program, say};

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

    /// The same density in finer steps.
    pub net Fine(x: [n, Plane]) -> [n] {
        let (z, log_det) = cnf(x, s = 1..0, by = tsit5(32), Field);
        normal_log_prob(z, over = Plane) + log_det
    }

    /// Noise flows to samples.
    pub net Sample(z: [n, Plane]) -> [n, Plane] {
        z |> ode(s = 0..1, by = tsit5(8), Field)
    }

    /// Each half bends the other by splines (Durkan et al. 2019).
    pub flow Couplings(x: [n, Plane]) {
        x |> [[coupling(hidden = (64, 64), bins = 8, bound = 5), reverse]; 6]
    }

    pub net CouplingsLikelihood(x: [n, Plane]) -> [] {
        -mean(Couplings.log_prob(x))
    }
}

type Points = Tensor<(usize, Plane), f32, Cpu>;

const SAMPLES: usize = 1 << 14;
const PROGRAM: Program = Program {
    name: "normalizing_flow",
    about: "Learns the density of distributions of the plane, by a continuous normalizing flow and by couplings of splines.",
    length: (16, "epochs"),
    options: &[],
    words: "moons gaussians checkerboard pinwheel swissroll …",
};
const BATCH: usize = 256;
/// Cells of the density in a row, and how far it reaches.
const CELLS: usize = 200;
const EDGE: f64 = 4.0;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let toys = match &options.words[..] {
        [] => vec![Toy::Moons, Toy::Gaussians],
        names => names.iter().map(|name| name.parse()).collect::<Result<_>>()?,
    };
    let (mut figure, mut pictures, mut lines) = (Figure::new("Normalizing flows"), Vec::new(), Vec::new());
    for &toy in &toys {
        say!("{toy}");
        pictures.push(frame(toy, "data").points(toy.sample(3000, 3), 0));

        let net = Trainer::builder(Likelihood::init(options.seed), Adam::new(4e-3));
        let (model, curve, found) = train(&options, toy, "continuous", net, |x| LikelihoodBatch { x })?;
        figure = figure.diagram(diagram(toy, "continuous flow", &curve));
        let field = model.density.field;
        let fine = Fine { field: field.clone() };
        let samples = Sample { field }.forward(tensor(&normal_points(3000, 5))?)?;
        let mass = show(toy, "continuous", |grid| fine.forward(grid), &samples, &mut pictures)?;
        lines
            .push(format!("{toy}: continuous flow, held-out log-likelihood {found:.4}, mass on the picture {mass:.4}"));

        let net = Trainer::builder(CouplingsLikelihood::init(options.seed), Adam::new(2e-3));
        let (model, curve, found) = train(&options, toy, "couplings", net, |x| CouplingsLikelihoodBatch { x })?;
        figure = figure.diagram(diagram(toy, "couplings", &curve));
        let flow = model.couplings;
        let mass = show(toy, "couplings", |grid| flow.log_prob(grid), &flow.sample(3000, 5)?, &mut pictures)?;
        lines.push(format!("{toy}: couplings, held-out log-likelihood {found:.4}, mass on the picture {mass:.4}"));
        if toy == Toy::Moons {
            lines.push(format!("{toy}: couplings of zuko, of the same sizes and training, {:.4}", zuko()));
        }
    }
    let board = Board::new("Data; density and samples of the continuous flow; of the couplings", 5, pictures);
    let picture = options.path("normalizing_flow.png");
    figure.board(board).save(&picture)?;
    lines.iter().for_each(|line| say!("{line}"));
    say!("{}", picture.display());
    Ok(())
}

/// Fits a net to a distribution; gives the model, how it learned, and the held-out log-likelihood.
fn train<N: Trainable<f32>>(
    options: &Options,
    toy: Toy,
    by: &str,
    builder: Builder<N>,
    batch: impl Fn(Points) -> N::Batch,
) -> Result<(N, History, f64)>
where
    N::Batch: Batch,
{
    let samples = |count, seed| Samples::new(&batch(tensor(&toy.sample(count, seed))?));
    let (train, test) = (samples(SAMPLES, 1)?, samples(4000, 2)?);
    let updates = options.length * SAMPLES.div_ceil(BATCH) as u64;
    let schedule = Schedule::cosine(updates / 20, updates);
    let builder = builder.seed(options.seed).batch_size(BATCH).epochs(options.length).schedule(schedule).clip(5.0);
    let (mut trainer, history) = options.fit(&format!("normalizing_flow.{toy}.{by}"), builder, &train, Some(&test))?;
    let held_out = -trainer.evaluate(&test)?.loss();
    Ok((trainer.model()?, history, held_out))
}

fn diagram(toy: Toy, by: &str, history: &History) -> Diagram {
    let losses = Diagram::new(format!("{toy}, {by}: negative log-likelihood"));
    losses.curve("training", history.train_loss()).curve("held out", history.validation_loss())
}

/// The held-out log-likelihood that `tests/fixtures/flows.py` found, the mean of its seeds.
fn zuko() -> f64 {
    let file = include_str!("../tests/fixtures/flows.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap_or_default();
    let found: Vec<f64> =
        file["moons"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect();
    found.iter().sum::<f64>() / found.len() as f64
}

fn tensor(points: &[[f64; 2]]) -> Result<Points> {
    from_vec(points.iter().flatten().map(|&x| x as f32).collect(), (points.len(), Plane))
}

fn frame(toy: Toy, title: &str) -> Picture {
    Picture::new(format!("{toy}, {title}"), -EDGE, EDGE)
}

/// Adds the pictures of a density and its samples; gives the mass on the picture.
fn show(
    toy: Toy,
    by: &str,
    log_prob: impl Fn(Points) -> Result<Tensor<(usize,), f32, Cpu>>,
    samples: &Points,
    pictures: &mut Vec<Picture>,
) -> Result<f64> {
    let step = 2.0 * EDGE / CELLS as f64;
    let middle = |i: usize| (i as f64 + 0.5) * step - EDGE;
    let grid: Vec<[f64; 2]> = (0..CELLS * CELLS).map(|i| [middle(i % CELLS), middle(i / CELLS)]).collect();
    let logarithms = to_vec(&log_prob(tensor(&grid)?)?);
    let densities: Vec<f64> = logarithms.iter().map(|&l| f64::from(l).exp()).collect();
    let mass = densities.iter().sum::<f64>() * step * step;
    let samples = to_vec(samples).chunks_exact(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
    pictures.push(frame(toy, by).density(densities));
    pictures.push(frame(toy, by).points(samples, 0));
    Ok(mass)
}
