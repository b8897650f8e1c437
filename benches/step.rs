//! One training step of the digits net, and one prediction.

use ansatz::prelude::*;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

net! {
    pub dim Pixels = 64;
    pub dim Digit = 10;

    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu |> fc2: linear(128) |> relu |> fc3: linear(Digit)
    }

    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> [] {
        cross_entropy(mlp: Mlp(x), y)
    }
}

const BATCH: u32 = 64;

fn digits(c: &mut Criterion) {
    let digits = data::digits::<Pixels, Digit, f32>().expect("the dims are those of the digits");
    let rows: Vec<u32> = (0..BATCH).collect();
    let mut group = c.benchmark_group("digits");
    group.throughput(Throughput::Elements(BATCH.into()));

    let mut trainer = Trainer::builder(Risk::init(1), AdamW::new(1e-3)).build().expect("the settings are in range");
    group.bench_function("training step", |b| {
        b.iter(|| trainer.step_on(&digits, &rows).expect("the loss is finite").loss())
    });

    let batch = MlpBatch { x: digits.select(&rows).expect("there are more samples").features() };
    let session = trainer.model().and_then(|risk| risk.mlp.session()).expect("the model is as its type says");
    group.bench_function("inference", |b| b.iter(|| session.run(&batch).expect("the batch fits")));
    group.finish();
}

criterion_group!(benches, digits);
criterion_main!(benches);
