//! Training steps and inference of fixed nets, weights and batches that other libraries run too, as one JSON line:
//! `cargo bench -p ansatz-benches --bench peers -- mlp` (without a name it lists them).
//!
//! `PEER_SECS` sets how long the timed phase lasts; the first and the eighth loss show whether two libraries compute the
//! same. `PEER_PROFILE=1` lists the launches of a training step and the time of each instead.

mod dense;
mod gpt;
mod images;
mod numbers;

use ansatz::prelude::*;
use std::time::{Duration, Instant};

/// Steps before the clock starts.
const WARMUP: usize = 3;
/// The step whose loss is compared, counted from 1.
const COMPARED: usize = 8;

/// A name and what measures it.
type Workload = (&'static str, fn() -> ansatz::Result<()>);

const WORKLOADS: &[Workload] = &[
    ("mlp", dense::mlp),
    ("flow", dense::flow),
    ("node", dense::node),
    ("resnet20", images::resnet20),
    ("resnet18", images::resnet18),
    ("unet", images::unet),
    ("gpt", gpt::gpt),
    ("infer_mlp", dense::infer_mlp),
    ("infer_gpt", gpt::infer_gpt),
];

fn main() -> ansatz::Result<()> {
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    match WORKLOADS.iter().find(|(name, _)| Some(*name) == named.as_deref()) {
        Some((_, run)) => run(),
        None => {
            // `cargo bench` without a workload and `cargo test --benches` come here too.
            let names: Vec<&str> = WORKLOADS.iter().map(|(name, _)| *name).collect();
            println!("name a workload: {}", names.join(", "));
            Ok(())
        }
    }
}

/// Measures the steps of a training; with `PEER_PROFILE`, prints where their time goes instead.
pub fn train<N: Net<f32>>(workload: &str, mut trainer: Trainer<N>, batch: N::Batch) -> ansatz::Result<()> {
    if std::env::var_os("PEER_PROFILE").is_some() {
        println!("{}", trainer.profile(&batch, 10)?);
        return Ok(());
    }
    measure(workload, || Ok(trainer.step(&batch)?.loss()))
}

/// Runs steps until the time is over and prints the line.
pub fn measure(workload: &str, mut step: impl FnMut() -> ansatz::Result<f64>) -> ansatz::Result<()> {
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
