//! Training steps and inference of fixed nets, weights and batches that other libraries run too, as one JSON line:
//! `cargo bench --bench peers -- mlp` (or `flow`, `node`, `infer_mlp`).
//!
//! `PEER_SECS` sets how long the timed phase lasts, `PEER_THREADS` the threads; the first and the eighth loss show
//! whether two libraries compute the same.

use ansatz::nn::{Path, Slot, Source};
use ansatz::prelude::*;
use std::time::{Duration, Instant};

/// Steps before the clock starts.
const WARMUP: usize = 3;
/// The step whose loss is compared, counted from 1.
const COMPARED: usize = 8;

net! {
    pub dim Pixels = 784;
    pub dim Class = 10;
    pub dim Plane = 2;

    pub dim State = 64;

    pub net Mlp(x: [n, Pixels]) -> [n, Class] {
        x |> fc1: linear(512) |> relu |> fc2: linear(512) |> relu |> fc3: linear(Class)
    }

    pub net Risk(x: [n, Pixels], y: [n] in Class) -> [] {
        cross_entropy(mlp: Mlp(x), y)
    }

    pub net LargestLogit(x: [n, Pixels]) -> [] {
        max(mlp: Mlp(x))
    }

    pub net Velocity(x: [n, Plane], s: [n, 1]) -> [n, Plane] {
        concat(x, s) |> linear(64) |> silu |> linear(64) |> silu |> linear(64) |> silu |> linear(Plane)
    }

    pub net FlowMatching(x1: [n, Plane]) -> [] {
        let x0 = normal([n, Plane]);
        let s = uniform([n, 1]);
        let g = velocity: Velocity((1 - s) * x0 + s * x1, s);
        square(x1 - x0 - g) |> sum(over = Plane) |> mean
    }

    pub net Node(y0: [n, State], y1: [n, State]) -> [] {
        mse(ode(y0, s = 0..1, by = rk4(8), [linear(128), tanh, linear(State)]), y1)
    }
}

fn main() -> ansatz::Result<()> {
    let workload = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    match workload.as_deref() {
        Some("mlp") => {
            let (x, y) = (tensor(&input(1000, 128 * 784), 128)?, labels(1001, 128)?);
            let mut trainer = Trainer::builder(build::<Risk>()?, Adam::new(1e-3)).build()?;
            let batch = RiskBatch { x, y };
            measure("mlp", || Ok(trainer.step(&batch)?.loss()))
        }
        Some("flow") => {
            let batch = FlowMatchingBatch { x1: tensor(&circle(), 256)? };
            let mut trainer = Trainer::builder(build::<FlowMatching>()?, Adam::new(1e-3)).build()?;
            measure("flow", || Ok(trainer.step(&batch)?.loss()))
        }
        Some("node") => {
            let batch =
                NodeBatch { y0: tensor(&input(1000, 256 * 64), 256)?, y1: tensor(&uniform(1001, 256 * 64, 1.0), 256)? };
            let mut trainer = Trainer::builder(build::<Node>()?, Adam::new(1e-3)).build()?;
            measure("node", || Ok(trainer.step(&batch)?.loss()))
        }
        Some("infer_mlp") => {
            let session = Session::new(&build::<LargestLogit>()?)?;
            let batch = LargestLogitBatch { x: tensor(&input(1000, 784), 1)? };
            measure("infer_mlp", || Ok(f64::from(to_vec(&session.run(&batch)?)[0])))
        }
        _ => {
            // `cargo bench` without a workload and `cargo test --benches` come here too.
            println!("name a workload: mlp, flow, node or infer_mlp");
            Ok(())
        }
    }
}

/// Runs steps until the time is over and prints the line.
fn measure(workload: &str, mut step: impl FnMut() -> ansatz::Result<f64>) -> ansatz::Result<()> {
    let seconds = std::env::var("PEER_SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(3.0);
    let mut losses = Vec::new();
    for _ in 0..WARMUP {
        losses.push(step()?);
    }
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs_f64(seconds) || losses.len() < COMPARED {
        let before = Instant::now();
        losses.push(step()?);
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let line = serde_json::json!({
        "peer": "ours",
        "workload": workload,
        "median_ms": times[times.len() / 2],
        "min_ms": times[0],
        "steps": times.len(),
        "peak_rss_mb": peak_resident_mb().unwrap_or(0.0),
        "loss_first": losses[0],
        "loss_8": losses[COMPARED - 1],
        "loss_last": losses[losses.len() - 1],
    });
    println!("{line}");
    Ok(())
}

fn peak_resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// The 24 upper bits of splitmix64 at `seed · 2³² + i`.
fn bits(seed: u64, i: u64) -> u64 {
    let mut z = ((seed << 32) + i).wrapping_add(0x9E37_79B9_7F4A_7C15);
    for (shift, factor) in [(30, 0xBF58_476D_1CE4_E5B9_u64), (27, 0x94D0_49BB_1331_11EB)] {
        z = (z ^ (z >> shift)).wrapping_mul(factor);
    }
    (z ^ (z >> 31)) >> 40
}

/// Uniform on [−bound, bound).
fn uniform(seed: u64, len: usize, bound: f64) -> Vec<f32> {
    (0..len as u64).map(|i| (bits(seed, i) as f32 / 8_388_608.0 - 1.0) * bound as f32).collect()
}

/// Of variance 1.
fn input(seed: u64, len: usize) -> Vec<f32> {
    uniform(seed, len, 3.0_f64.sqrt())
}

/// 256 points on the circle of radius 2.
fn circle() -> Vec<f32> {
    let angle = |i| bits(1000, i) as f64 / 16_777_216.0 * std::f64::consts::TAU;
    (0..256).flat_map(|i| [2.0 * angle(i).cos(), 2.0 * angle(i).sin()]).map(|x| x as f32).collect()
}

fn tensor<D: ConstDim>(values: &[f32], rows: usize) -> ansatz::Result<Tensor<(usize, D), f32, Cpu>> {
    from_vec(values.to_vec(), (rows, D::default()))
}

fn labels(seed: u64, len: usize) -> ansatz::Result<Indices<(usize,), Class>> {
    let values: Vec<u32> = (0..len as u64).map(|i| ((bits(seed, i) * 10) >> 24) as u32).collect();
    Indices::new(values, (len,))
}

/// Weights are numbered in the order of declaration; number k is uniform with seed k and variance 1 / fan in. Biases
/// are zero.
#[derive(Default)]
struct Weights {
    next: u64,
}

impl Source<f32> for Weights {
    fn tensor(&mut self, slot: &Slot) -> ansatz::Result<Vec<f32>> {
        let len = slot.dims.iter().product();
        let &[_, fan_in] = &*slot.dims else { return Ok(vec![0.0; len]) };
        self.next += 1;
        Ok(uniform(self.next - 1, len, (3.0 / fan_in as f64).sqrt()))
    }
}

fn build<M: Model<f32>>() -> ansatz::Result<M> {
    M::build(&Path::root(), &mut Weights::default())
}
