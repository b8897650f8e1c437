//! A net whose head cannot be read leaves its names, and so does a dimension.
use ansatz::prelude::*;

mod declared {
    ansatz::net! {
        pub dim Pixels = 784;
        pub dim Digit = 10;
        pub dim Wide = 2 ** Pixels;

        pub net Mlp(x: &[n, Pixels]) -> [n, Digit] {
            x |> fc1: linear(256) |> relu |> fc2: linear(Digit)
        }

        pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
            let logits = mlp: Mlp(x);
            (loss = cross_entropy(logits, y), correct = mean(argmax(logits) == y))
        }
    }
}

use declared::{Digit, Mlp, MlpBatch, Pixels, Risk, RiskBatch, Wide};

fn train(x: Tensor<(usize, Pixels), f32, Cpu>, y: Indices<(usize,), Digit>) -> ansatz::Result<()> {
    let mlp: Mlp<f32> = Mlp::init(0);
    let logits = mlp.forward(x.clone())?;
    println!("{:?} {:?}", to_vec(&logits), mlp.fc1.weight);
    let _: MlpBatch<f32> = MlpBatch { x: x.clone() };
    let risk: Risk<f32> = Risk::init(1);
    let (loss, gradient) = risk.gradient(&RiskBatch { x, y })?;
    println!("{:?} {:?}", to_vec(&loss), gradient.mlp.fc2);
    Ok(())
}

fn wide(_: Tensor<(Wide,), f32, Cpu>) {}

fn main() {
    let _ = (train, wide, Mlp::PARAMETERS, Mlp::multiply_adds(8));
}
