//! Three ways to learn a generator of eight normal distributions, without a likelihood and without paths: a game against a
//! discriminator, the Sinkhorn divergence, and the sliced Wasserstein distance.
//!
//! ```text
//! cargo run --release --example generators
//! ```
//!
//! With `--epochs 30`, which is not enough, it prints
//!
//! ```text
//! game: sliced Wasserstein 0.1708, between fresh data 0.1818, ratio 0.94; 0.80 of the points near one of the eight
//! Sinkhorn: sliced Wasserstein 0.7376, between fresh data 0.1818, ratio 4.06; 0.11 of the points near one of the eight
//! slices: sliced Wasserstein 0.2973, between fresh data 0.1818, ratio 1.64; 0.55 of the points near one of the eight
//! out/generators.png
//! ```

mod shared;

use ansatz::data::{Samples, Toy, normal_points};
use ansatz::nn::Net;
use ansatz::optim::Group;
use ansatz::plot::{Board, Diagram, Figure, Plane as Picture};
use ansatz::prelude::*;
use ansatz::train::{Builder, History};
use ansatz::transport::{directions, sliced_wasserstein};
use shared::{Options, Program, say};

net! {
    pub dim Plane = 2;

    pub net Generator(z: [n, Plane]) -> [n, Plane] {
        z |> [[linear(128), leaky_relu(slope = 0.2)]; 3] |> linear(Plane)
    }

    /// How real a point looks, as a logit. Waves of the point let it tell near from nearer.
    pub net Discriminator(x: [n, Plane]) -> [n, 1] {
        concat(x, sin(x), cos(x), sin(2 * x), cos(2 * x)) |> [[linear(128), leaky_relu(slope = 0.2)]; 3] |> linear(1)
    }

    /// Generative adversarial nets (Goodfellow et al. 2014) that compare each made point with a real one
    /// (Jolicoeur-Martineau 2019), and a price on the discriminator's slope at both, each estimated along one direction
    /// (Mescheder et al. 2018): together they tend to an equilibrium and miss no mode (Huang et al. 2024).
    pub net Gan(x: [n, Plane]) -> (discriminator: [], generator: []) {
        let judge = discriminator: Discriminator;
        let made = normal([n, Plane]) |> generator: Generator;
        let slope = |x| (judge(x + 0.01 * normal([n, Plane])) - judge(x)) / 0.01;
        let lead = judge(x) - judge(made);
        (
            discriminator = mean(softplus(-lead)) + 0.05 * mean(square(slope(x)) + square(slope(made))),
            generator = mean(softplus(lead)),
        )
    }

    /// The survey's D(f_θ#α, β) as a divergence of entropic transport (Genevay, Peyré, Cuturi 2018).
    pub net BySinkhorn(x: [n, Plane]) -> [] {
        sinkhorn_divergence(normal([n, Plane]) |> generator: Generator, x, epsilon = 0.05, turns = 30)
    }

    /// The same along lines (Deshpande et al. 2018).
    pub net BySlices(x: [n, Plane]) -> [] {
        sliced_wasserstein(normal([n, Plane]) |> generator: Generator, x, directions = 32)
    }
}

const PROGRAM: Program = Program {
    name: "generators",
    about: "Learns a generator of eight normal distributions in three ways: a game, and two distances of transport.",
    length: (100, "epochs"),
    options: &[],
    words: "",
};
const SAMPLES: usize = 1 << 14;
const BATCH: usize = 256;
const EDGE: f64 = 4.2;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let data = Toy::Gaussians.sample(SAMPLES, 1);
    let mut pictures = vec![Picture::new("data", -EDGE, EDGE).points(Toy::Gaussians.sample(2000, 2), 0)];
    let (mut losses, mut lines) = (vec![], vec![]);

    let game = Trainer::builder(Gan::init(options.seed), Adam { betas: (0.5, 0.99), ..Adam::new(1e-3) })
        .alternate(["discriminator", "generator"])
        .group(Group::matching("generator.*").learning_rate(5e-4));
    let (gan, history) = fit(&options, "game", game, Samples::new(&GanBatch { x: tensor(&data)? })?, options.length)?;
    let of = |name: &str| history.epochs.iter().filter_map(|epoch| epoch.train.get(name)).collect();
    let players =
        Diagram::new("the game").curve("discriminator", of("discriminator")).curve("generator", of("generator"));
    losses.push(players);
    judge("game", &gan.generator, &mut pictures, &mut lines)?;

    let (net, history) = fit(
        &options,
        "sinkhorn",
        Trainer::builder(BySinkhorn::init(options.seed), Adam::new(2e-3)),
        Samples::new(&BySinkhornBatch { x: tensor(&data)? })?,
        (options.length * 12).div_ceil(100),
    )?;
    losses.push(Diagram::new("Sinkhorn divergence").logarithmic().curve("training", history.train_loss()));
    judge("Sinkhorn", &net.generator, &mut pictures, &mut lines)?;

    let (net, history) = fit(
        &options,
        "slices",
        Trainer::builder(BySlices::init(options.seed), Adam::new(2e-3)),
        Samples::new(&BySlicesBatch { x: tensor(&data)? })?,
        options.length.div_ceil(4),
    )?;
    losses.push(Diagram::new("squared sliced distance").logarithmic().curve("training", history.train_loss()));
    judge("slices", &net.generator, &mut pictures, &mut lines)?;

    let figure = Figure::new("Generators of eight normal distributions");
    let figure = losses.into_iter().fold(figure, Figure::diagram);
    let picture = options.path("generators.png");
    figure.board(Board::new("What they make of normal noise", 4, pictures)).save(&picture)?;
    lines.iter().for_each(|line| say!("{line}"));
    say!("{}", picture.display());
    Ok(())
}

fn fit<N: Net<f32>>(
    options: &Options,
    by: &str,
    builder: Builder<N>,
    data: Samples<N::Batch>,
    epochs: u64,
) -> Result<(N, History)>
where
    Samples<N::Batch>: Dataset<N::Batch>,
{
    let updates = epochs * (SAMPLES / BATCH) as u64;
    let schedule = Schedule::cosine(updates / 20, updates);
    let builder = builder.seed(options.seed).batch_size(BATCH).epochs(epochs).schedule(schedule).average(0.995);
    let (trainer, history) = options.fit(&format!("generators.{by}"), builder, &data, None)?;
    Ok((trainer.averaged()?, history))
}

fn tensor(points: &[[f64; 2]]) -> Result<Tensor<(usize, Plane), f32, Cpu>> {
    from_vec(points.iter().flatten().map(|&x| x as f32).collect(), (points.len(), Plane))
}

/// A picture of what a generator makes, and how far it is from the data, as a ratio to the distance between fresh data; and
/// the share of points within three deviations of one of the eight.
fn judge(name: &str, generator: &Generator, pictures: &mut Vec<Picture>, lines: &mut Vec<String>) -> Result<()> {
    let made = to_vec(&generator.forward(tensor(&normal_points(2000, 77))?)?);
    let made: Vec<[f64; 2]> = made.chunks_exact(2).map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
    let lines_of_sight = directions(200, 2, 5);
    let (data, fresh) = (Toy::Gaussians.sample(2000, 100), Toy::Gaussians.sample(2000, 101));
    let distance = sliced_wasserstein(&made, &data, &lines_of_sight, 2.0)?;
    let between = sliced_wasserstein(&fresh, &data, &lines_of_sight, 2.0)?;
    let centre = |i: i32| (f64::from(i) * std::f64::consts::FRAC_PI_4).sin_cos();
    let far = |[x, y]: &[f64; 2], (sin, cos): (f64, f64)| (x - 8f64.sqrt() * cos).hypot(y - 8f64.sqrt() * sin);
    let near = made.iter().filter(|point| (0..8).any(|i| far(point, centre(i)) < 0.75)).count();
    let share = near as f64 / made.len() as f64;
    lines.push(format!(
        "{name}: sliced Wasserstein {distance:.4}, between fresh data {between:.4}, ratio {:.2}; {share:.2} of the points near one of the eight",
        distance / between
    ));
    pictures.push(Picture::new(name, -EDGE, EDGE).points(made, 0));
    Ok(())
}
