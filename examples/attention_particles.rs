//! Tokens as particles: attention by itself moves each token towards those it attends to, and over the depth they gather
//! (Peyré, "The Mathematics of Artificial Intelligence", equations 13 and 14; Geshkovski, Letrouit, Polyanskiy and Rigollet,
//! "A mathematical perspective on transformers"; in causal order Karagodin, Polyanskiy and Rigollet, "Clustering in causal
//! attention masking").
//!
//! ```text
//! cargo run --release --example attention_particles
//! ```
//!
//! prints
//!
//! ```text
//! circle, β = 2: clusters 38 → 26 → 2 → 2 → 2
//! circle, β = 8: clusters 40 → 21 → 5 → 5 → 4
//! circle, β = 2, causal: clusters 38 → 25 → 12 → 4 → 5
//! circle, β = 8, causal: clusters 41 → 18 → 8 → 6 → 4
//! sphere, β = 6: clusters 127 → 6 → 4 → 4 → 4
//! sphere, β = 6, causal: clusters 129 → 17 → 8 → 8 → 7
//! plane: clusters of directions 40 → 23 → 5 → 4 → 4
//! out/attention_particles.png
//! ```

mod shared;

use ansatz::data::normal_points;
use ansatz::nn::{Path, Slot, Source};
use ansatz::plot::{Board, Figure, Plane as Picture};
use ansatz::prelude::*;
use shared::{Program, say};
use std::f64::consts::PI;
use std::ops::Range;

net! {
    use ansatz::models::particles::Move;

    /// A layer, which moves the tokens for a time of 1/16, and a norm.
    net Layer(x: [n, t, d]; causal: bool, norm = rms_norm) -> [n, t, d] {
        x + (x |> attention: Move(1, causal)) / 16 |> norm
    }

    /// Of three numbers with mean 0 and variance 1 there is a circle.
    pub net Circle = Layer(d = 3, causal = false, norm = layer_norm);
    pub net CausalCircle = Layer(d = 3, causal = true, norm = layer_norm);
    /// Of three numbers with mean square 1 there is a sphere.
    pub net Sphere = Layer(d = 3, causal = false);
    pub net CausalSphere = Layer(d = 3, causal = true);

    /// Without a norm, equation 13 as it stands.
    pub net Plane(x: [n, t, 2]) -> [n, t, 2] { x + (x |> attention: Move(1, false)) / 16 }
}

const PROGRAM: Program = Program {
    name: "attention_particles",
    about: "Shows how attention by itself moves tokens, and they gather.",
    length: (0, ""),
    options: &[],
    words: "",
};
/// The steps of a token in a layer are 1/16 long.
const STEPS: usize = 16;
/// Tokens in a sequence.
const TOKENS: usize = 160;

/// Weights that are multiples of 1: Q = β, K = V = 1, and norms as they begin.
struct Plain {
    beta: f32,
}

impl Source<f32> for Plain {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<f32>> {
        let gain = match &*slot.key {
            key if key.ends_with("q.weight") => self.beta,
            key if key.ends_with("bias") => 0.0,
            _ => 1.0,
        };
        Ok(match slot.dims[..] {
            [rows, columns] => {
                (0..rows * columns).map(|i| if i / columns == i % columns { gain } else { 0.0 }).collect()
            }
            _ => vec![gain; slot.dims.iter().product()],
        })
    }
}

/// The states of some tokens after each layer.
type Course<const D: usize> = Vec<Vec<[f64; D]>>;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let seed = options.seed + 6;
    let mut pictures = vec![];

    for (beta, causal) in [(2.0, false), (8.0, false), (2.0, true), (8.0, true)] {
        let course =
            if causal { course::<3, CausalCircle>(beta, 16, seed)? } else { course::<3, Circle>(beta, 16, seed)? };
        let order = if causal { ", causal" } else { "" };
        say!("circle, β = {beta}{order}: clusters {}", counts(&course));
        pictures.push(world_lines(format!("circle over depth, β = {beta}{order}"), &course));
    }
    for causal in [false, true] {
        let course =
            if causal { course::<3, CausalSphere>(6.0, 32, seed)? } else { course::<3, Sphere>(6.0, 32, seed)? };
        let order = if causal { ", causal" } else { "" };
        say!("sphere, β = 6{order}: clusters {}", counts(&course));
        for time in [0, 2, 6, 32] {
            pictures.push(globe(format!("sphere{order}, depth {time}"), &course[..=time * STEPS]));
        }
    }
    let course = course::<2, Plane>(1.0, 8, seed)?;
    say!("plane: clusters of directions {}", counts(&course));
    for time in [0, 1, 2, 8] {
        pictures.push(plane(time, &course[..=time * STEPS]));
    }

    let picture = options.path("attention_particles.png");
    let title = "On a circle (angle over depth), on a sphere, in the plane; in causal order, orange tokens come after blue ones";
    Figure::new("Attention moves tokens, and they gather").board(Board::new(title, 4, pictures)).save(&picture)?;
    say!("{}", picture.display());
    Ok(())
}

/// Sends tokens through layers that share their weights, for so long a time.
fn course<const D: usize, N>(beta: f32, time: usize, seed: u64) -> Result<Course<D>>
where
    N: Net<
            f32,
            Batch: From<Tensor<(usize, usize, Const<D>), f32, Cpu>>,
            Output = Tensor<(usize, usize, Const<D>), f32, Cpu>,
        >,
{
    let net = N::build(&Path::root(), &mut Plain { beta })?;
    let session = Session::new(&net)?;
    let mut x: Vec<f32> =
        normal_points(TOKENS * D, seed).as_flattened()[..TOKENS * D].iter().map(|&x| x as f32).collect();
    let mut course = vec![];
    for _ in 0..=time * STEPS {
        x = to_vec(&session.run(&N::Batch::from(from_vec(x, (1, TOKENS, Const))?))?);
        course.push(x.chunks_exact(D).map(|x| std::array::from_fn(|i| f64::from(x[i]))).collect());
    }
    Ok(course)
}

/// How many directions there are, nearly equal ones counted once, at five depths.
fn counts<const D: usize>(course: &[Vec<[f64; D]>]) -> String {
    let count = |tokens: &[[f64; D]]| {
        let mut seen: Vec<[f64; D]> = vec![];
        for token in tokens {
            let length = token.iter().map(|x| x * x).sum::<f64>().sqrt();
            let unit = token.map(|x| x / length);
            let near = |other: &[f64; D]| other.iter().zip(unit).map(|(a, b)| a * b).sum::<f64>() > 0.995;
            if !seen.iter().any(near) {
                seen.push(unit);
            }
        }
        seen.len()
    };
    let counts = (0..5).map(|i| count(&course[i * (course.len() - 1) / 4]).to_string());
    counts.collect::<Vec<_>>().join(" → ")
}

/// The angle of each token on its circle, upwards, over the depth.
fn world_lines(title: String, course: &[Vec<[f64; 3]>]) -> Picture {
    let angle = |[x, y, z]: [f64; 3]| (x + y - 2.0 * z).atan2(3f64.sqrt() * (x - y)) / PI;
    let onward = |depth: usize| 2.0 * depth as f64 / (course.len() - 1) as f64 - 1.0;
    let lines = |tokens: Range<usize>| {
        let line = |token| {
            let places = course.iter().enumerate().map(|(depth, tokens)| [onward(depth), angle(tokens[token])]);
            let places: Vec<[f64; 2]> = places.collect();
            // A line that leaves above comes back from below.
            places.chunk_by(|a, b| (a[1] - b[1]).abs() < 1.0).map(<[_]>::to_vec).collect::<Vec<_>>()
        };
        tokens.flat_map(line).collect()
    };
    Picture::new(title, -1.02, 1.02).paths(lines(TOKENS / 2..TOKENS), 1).paths(lines(0..TOKENS / 2), 0)
}

/// Tokens on the sphere, seen from above, and how they came there.
fn globe(title: String, course: &[Vec<[f64; 3]>]) -> Picture {
    let seen = |[x, y, z]: [f64; 3]| {
        let (depth, right) = ((x + y) / 2f64.sqrt(), (y - x) / 2f64.sqrt());
        [right, 0.8 * z - 0.6 * depth]
    };
    let edge = (0..=120)
        .map(|i| (f64::from(i) / 60.0 * PI).sin_cos())
        .map(|(sin, cos)| [3f64.sqrt() * cos, 3f64.sqrt() * sin]);
    let picture = Picture::new(title, -1.85, 1.85).paths(vec![edge.collect()], 3);
    tails(picture, course.iter().map(|tokens| tokens.iter().map(|&token| seen(token)).collect()).collect())
}

/// Tokens of the plane, which they leave exponentially fast, in a measure that grows as they do.
fn plane(time: usize, course: &[Vec<[f64; 2]>]) -> Picture {
    let measure = |depth: usize| (1.0 + 1.0 / STEPS as f64).powi(-(depth as i32) - 1);
    let shrunk =
        |(depth, tokens): (usize, &Vec<[f64; 2]>)| tokens.iter().map(|x| x.map(|x| x * measure(depth))).collect();
    let picture = Picture::new(format!("no norm, in a growing measure, depth {time}"), -2.8, 2.8);
    tails(picture, course.iter().enumerate().map(shrunk).collect())
}

/// Where tokens are, and the way that they came.
fn tails(picture: Picture, course: Course<2>) -> Picture {
    let Some(now) = course.last() else { return picture };
    let tails =
        |tokens: Range<usize>| tokens.map(|token| course.iter().map(|tokens| tokens[token]).collect()).collect();
    let (first, second) = (0..TOKENS / 2, TOKENS / 2..TOKENS);
    let picture = picture.paths(tails(second.clone()), 1).paths(tails(first.clone()), 0);
    picture.points(now[second].to_vec(), 1).points(now[first].to_vec(), 0)
}
