//! The least time of a training step on a GPU that need not be there: from the bytes that each launch moves and what it
//! computes, against what an H200 does in a second. The five largest launches of each net show where the time would go, and
//! all of them, in order, if the program is given `all`. With `run`, each net also makes its steps, on a device that is there,
//! and a line of JSON tells what they took.
//!
//! Launches are those of a device if one can be opened, and a driver that stands in for one will do; else the processor's, of
//! which there are more.
//!
//! ```text
//! ANSATZ_CUDA=target/release/deps/standin cargo bench -p ansatz-benches --features ansatz/cuda --bench predict
//! ```

use ansatz::Precision;
use ansatz::nn::Net;
use ansatz::optim::{AdamW, Sgd};
use ansatz::prelude::*;
use ansatz::train::Speed;
use std::time::Instant;

net! {
    use ansatz::models::gpt2::{Gpt2Small, Gpt2Token};
    use ansatz::models::ResNet;
    use ansatz::models::resnet::Bottleneck;

    pub dim Class = 1000;
    pub net GptReads(tokens: [n, t] in Gpt2Token, next: [n, t] in Gpt2Token) -> [] { cross_entropy(model: Gpt2Small(tokens), next) }
    pub net ResNetSees(image: [n, 3, 224, 224], class: [n] in Class) -> [] {
        let logits = ResNet(image, block = Bottleneck, depth1 = 3, depth2 = 4, depth3 = 6, depth4 = 3, classes = Class);
        cross_entropy(logits, class)
    }
}

/// What was measured on an H200: 4.3 TB/s, and 67 TFLOP/s of f32 as its data sheet has it; 2 µs from kernel to kernel in a
/// recorded step.
const H200: Speed = Speed { bytes: 4.3e12, operations: 67e12, launch: 2e-6 };

fn main() -> Result<()> {
    // `cargo test --benches` runs this too, and need not wait for weights.
    if told("--test") {
        return Ok(());
    }
    let device = Device::cuda(0).unwrap_or_default();
    println!("launches of {device}");
    for precision in [Precision::Full, Precision::Tf32] {
        let device = device.clone().with_precision(precision);
        let mut trainer = Trainer::builder(GptReads::init(0), AdamW::new(6e-4)).device(&device).build()?;
        if precision == Precision::Full {
            show("GPT-2 124M, 8 × 1024 tokens", 8192, &trainer, &[8, 1024])?;
        }
        let tokens = |from: usize| (from..from + 8192).map(|i| (i * i % 50_257) as u32).collect::<Vec<u32>>();
        let batch =
            GptReadsBatch { tokens: Indices::new(tokens(0), (8, 1024))?, next: Indices::new(tokens(1), (8, 1024))? };
        measure("gpt2", 8192, precision, &mut trainer, &batch)?;
    }
    let mut trainer = Trainer::builder(ResNetSees::init(0), Sgd::new(0.01)).device(&device).build()?;
    show("ResNet-50, 128 images", 128, &trainer, &[128])?;
    let pixels: Vec<f32> = (0..128 * 3 * 224 * 224).map(|i| (i as f32 * 0.37).sin()).collect();
    let class: Vec<u32> = (0..128).map(|i| i * 7 % 1000).collect();
    let batch =
        ResNetSeesBatch { image: from_vec(pixels, (128, Const, Const, Const))?, class: Indices::new(class, (128,))? };
    measure("resnet50", 128, Precision::Full, &mut trainer, &batch)
}

fn told(word: &str) -> bool {
    std::env::args().any(|argument| argument == word)
}

/// Steps before the clock starts: kernels are compiled, and a step is recorded.
const WARMUP: usize = 3;
const STEPS: u32 = 10;

fn measure<N: Net<f32>>(
    net: &str,
    units: usize,
    precision: Precision,
    trainer: &mut Trainer<N>,
    batch: &N::Batch,
) -> Result<()> {
    if !told("run") {
        return Ok(());
    }
    for _ in 0..WARMUP {
        trainer.step(batch)?;
    }
    let begin = Instant::now();
    let mut loss = 0.0;
    for _ in 0..STEPS {
        loss = trainer.step(batch)?.loss();
    }
    let seconds = begin.elapsed().as_secs_f64() / f64::from(STEPS);
    println!(
        "{{\"net\": \"{net}\", \"precision\": \"{precision:?}\", \"milliseconds\": {:.3}, \"per_second\": {:.0}, \"loss\": {loss}}}",
        1e3 * seconds,
        units as f64 / seconds
    );
    Ok(())
}

fn show<N: Net<f32>>(what: &str, units: usize, trainer: &Trainer<N>, dims: &[usize]) -> Result<()> {
    let profile = trainer.predict(dims, &H200)?;
    let total = profile.total().as_secs_f64();
    println!(
        "{what}: {} launches, at least {:.2} ms, {:.0} a second",
        profile.launches().len(),
        1e3 * total,
        units as f64 / total
    );
    let mut launches: Vec<_> = profile.launches().iter().collect();
    if !told("all") {
        launches.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        launches.truncate(5);
    }
    for (title, time) in launches {
        println!("{:6.1} %  {:8.3} ms  {}", 100.0 * time.as_secs_f64() / total, 1e3 * time.as_secs_f64(), title.trim());
    }
    Ok(())
}
