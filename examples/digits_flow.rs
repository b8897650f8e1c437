//! Draws handwritten digits on demand: a U-Net learns by flow matching how noise becomes a digit of a given class, and
//! classifier-free guidance makes the classes clear. A classifier that knows only real digits says how often it reads what was
//! asked for.
//!
//! ```text
//! cargo run --release --example digits_flow              # several minutes
//! cargo run --release --example digits_flow -- --quick   # less than one, and no claim
//! ```

mod shared;

use ansatz::data::{Images, digits, normal_points};
use ansatz::ode::{self, Trajectory};
use ansatz::plot::{Diagram, Figure, Grid, Picture};
use ansatz::prelude::*;
use ansatz::train::History;
use shared::{Options, Program, say};
use std::path::Path;

net! {
    pub dim Digit  = 10;
    pub dim Pixels = 64;

    /// Two convolutions, told the time and the class in between, beside a skip connection.
    net Block(x: [n, c, h, w], told: [n, d]; width: usize) -> [n, channels = width, h, w] {
        let y = x |> norm1: group_norm(8) |> silu |> conv1: conv2d(width, padding = 1);
        let y = y + (told |> linear(width) |> [n, width] -> [n, width, 1, 1]);
        let y = y |> norm2: group_norm(8) |> silu |> conv2: conv2d(width, padding = 1);
        y + (x |> skip: conv2d(width, kernel = 1))
    }

    /// The velocity of an image at the time s: a U-Net of two sizes (Ronneberger et al. 2015; Ho et al. 2020). Where `known` is
    /// 0, it is told no class.
    pub net Velocity(x: [n, 1, 8, 8], s: [n, 1], digit: [n] in Digit, known: [n, 1]) -> [n, 1, 8, 8] {
        let angle = s * exp(to_real(positions([16], 16)) / 4);
        let time = concat(sin(angle), cos(angle)) |> time: linear(128);
        let told = silu(time + known * (digit |> class: embedding(128))) |> both: linear(128) |> silu;
        let fine = x |> stem: conv2d(32, padding = 1) |> down: Block(told, 32);
        let coarse = fine |> halve: conv2d(64, stride = 2, padding = 1)
            |> middle1: Block(told, 64) |> middle2: Block(told, 64);
        concat(upsample(coarse), fine, over = channels) |> up: Block(told, 32)
            |> norm: group_norm(8) |> silu |> out: conv2d(1, padding = 1)
    }

    /// Conditional flow matching (Lipman et al. 2023) on straight paths, E ‖ x1 − x0 − g((1−s) x0 + s x1, s) ‖², in which one
    /// image of ten comes without its class.
    pub net Matching(x1: [n, 1, 8, 8], digit: [n] in Digit) -> [] {
        let x0 = normal([n, 1, 8, 8]);
        let s = uniform([n, 1]);
        let t = s |> [n, 1] -> [n, 1, 1, 1];
        let g = velocity: Velocity((1 - t) * x0 + t * x1, s, digit, bernoulli([n, 1], p = 0.9));
        mse(g, x1 - x0)
    }

    /// Classifier-free guidance (Ho, Salimans 2022): from the velocity without a class past the one with it.
    pub net Guided(x: [n, 1, 8, 8], s: [n, 1], digit: [n] in Digit) -> [n, 1, 8, 8] {
        let velocity = Velocity;
        let free = velocity(x, s, digit, 0 * s);
        free + 2 * (velocity(x, s, digit, 0 * s + 1) - free)
    }

    /// The classifier of the example `digits`.
    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu |> dropout(0.2) |> fc2: linear(128) |> relu |> fc3: linear(Digit)
    }

    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }
}

type Digits = Images<Const<1>, Const<8>, Const<8>, Digit>;

const PROGRAM: Program = Program {
    name: "digits_flow",
    about: "Draws handwritten digits on demand, by flow matching with classifier-free guidance.",
    length: (120, "epochs"),
    options: &[("quick", "", "ten epochs, less than a minute, and no claim")],
    words: "",
};
/// How many digits of each class are judged.
const EACH: usize = 100;
const BATCH: usize = 128;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let epochs = if options.has("quick") { 10 } else { options.length };

    let classifier = classifier()?;
    let (velocity, history) = train(&options, epochs)?;
    let (weights, picture) = (options.path("digits_flow.safetensors"), options.path("digits_flow.png"));
    velocity.save(&weights)?;

    let flow = Flow { session: Session::new(&Guided { velocity })? };
    let asked: Vec<u32> = (0..10 * EACH as u32).map(|i| i % 10).collect();
    let path = flow.carry(&asked, 7)?;
    let logits = to_vec(&classifier.forward(images(&path.end.y)?)?);
    let read: Vec<u32> = logits.chunks_exact(10).map(greatest).collect();
    let recognised = asked.iter().zip(&read).filter(|(asked, read)| asked == read).count() as f64 / asked.len() as f64;
    draw(&path, &read, &history, &picture)?;

    match epochs < PROGRAM.length.0 {
        true => say!("recognised after a short training, of which nothing is claimed: {recognised:.3}"),
        false => say!("recognised: {recognised:.3}"),
    }
    say!("{}", weights.display());
    say!("{}", picture.display());
    Ok(())
}

/// Learns to read real digits; four of five teach, and the others say how well it reads.
fn classifier() -> Result<Mlp> {
    let (train, test) = digits::<Pixels, Digit, f32>()?.split(0.8, 1)?;
    let mut trainer = Trainer::builder(Risk::init(1), AdamW { weight_decay: 0.05, ..AdamW::new(2e-3) })
        .seed(1)
        .batch_size(64)
        .epochs(60)
        .schedule(Schedule::cosine(60, 60 * train.len().div_ceil(64) as u64))
        .build()?;
    trainer.fit(&train, None)?;
    say!("a classifier reads real digits that it has not seen: {}", trainer.evaluate(&test)?);
    Ok(trainer.model()?.mlp)
}

/// The averaged velocity field after so many passes over the same real digits.
fn train(options: &Options, epochs: u64) -> Result<(Velocity, History)> {
    // Pixels from −1, paper, to 1, ink.
    let (train, _) = Digits::digits()?.split(0.8, 1)?;
    let train = train.normalise(&[0.5], &[0.5])?;
    let updates = epochs * train.len().div_ceil(BATCH) as u64;
    let builder = Trainer::builder(Matching::init(options.seed), Adam::new(2e-3))
        .seed(options.seed)
        .batch_size(BATCH)
        .epochs(epochs)
        .schedule(Schedule::cosine(updates / 20, updates))
        .clip(1.0)
        .average(0.995);
    say!("{} parameters", Velocity::PARAMETERS);
    let (trainer, history) = options.fit("digits_flow", builder, &train, None)?;
    Ok((trainer.averaged()?.velocity, history))
}

/// The guided velocity field.
struct Flow {
    session: Session<f32, Guided>,
}

impl Flow {
    /// What noise becomes that is told these classes, at all times from 0 to 1.
    fn carry(&self, asked: &[u32], seed: u64) -> Result<Trajectory> {
        let n = asked.len();
        let digit: Indices<(usize,), Digit> = Indices::new(asked.to_vec(), (n,))?;
        let velocity = |s: f64, x: &[f64], out: &mut [f64]| {
            let x = from_vec(x.iter().map(|&x| x as f32).collect(), (n, Const::<1>, Const::<8>, Const::<8>))?;
            let s = from_vec(vec![s as f32; n], (n, Const::<1>))?;
            let found = to_vec(&self.session.run(&GuidedBatch { x, s, digit: digit.clone() })?);
            out.iter_mut().zip(found).for_each(|(out, found)| *out = f64::from(found));
            Ok(())
        };
        let noise = normal_points(32 * n, seed);
        ode::midpoint(20).trajectory(velocity, 0.0..1.0, noise.as_flattened())
    }
}

/// From paper at −1 and ink at 1 to what a classifier and a picture take.
fn ink(x: f64) -> f64 {
    ((x + 1.0) / 2.0).clamp(0.0, 1.0)
}

fn images(flat: &[f64]) -> Result<Tensor<(usize, Pixels), f32, Cpu>> {
    from_vec(flat.iter().map(|&x| ink(x) as f32).collect(), (flat.len() / 64, Pixels))
}

/// The position of the greatest logit.
fn greatest(logits: &[f32]) -> u32 {
    (1..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best }) as u32
}

/// The loss; one digit of each class from noise to the end; and more of them, as they are read.
fn draw(path: &Trajectory, read: &[u32], history: &History, file: &Path) -> Result<()> {
    let picture = |flat: &[f64], i: usize, caption: String, wrong: bool| Picture {
        width: 8,
        pixels: flat[64 * i..64 * (i + 1)].iter().map(|&x| ink(x)).collect(),
        caption,
        wrong,
    };
    let times = [0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 1.0];
    let states: Vec<Vec<f64>> = times.iter().map(|&s| path.at(s)).collect();
    let over_time = (0..10).flat_map(|digit| {
        let at = |(s, state): (&f64, &Vec<f64>)| picture(state, digit, format!("s = {s}"), false);
        times.iter().zip(&states).map(at).collect::<Vec<_>>()
    });
    let more = (0..70).map(|i| 10 * (1 + i % 7) + i / 7).map(|i| {
        let (asked, read) = (i as u32 % 10, read[i]);
        let caption = if asked == read { asked.to_string() } else { format!("{asked} read as {read}") };
        picture(&path.end.y, i, caption, asked != read)
    });
    Figure::new("Digits on demand, by flow matching")
        .diagram(Diagram::new("flow matching loss").curve("training", history.train_loss()))
        .grid(Grid::new("From noise to a digit of each class", times.len(), over_time.collect()))
        .grid(Grid::new("More of them, and how a classifier of real digits reads them", 7, more.collect()))
        .save(file)
}
