//! A syntax error in a body is the only error: all code that uses the net keeps its types.
use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Digit = 10;

    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> |> fc2: linear(Digit)
    }

    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits) == y))
    }
}

fn train(x: Tensor<(usize, Pixels), f32, Cpu>, y: Indices<(usize,), Digit>) -> ansatz::Result<()> {
    let mlp: Mlp = Mlp::init(0);
    let logits: Tensor<(usize, Digit), f32, Cpu> = mlp.forward(x.clone())?;
    println!("{:?} {:?} {:?}", to_vec(&logits), mlp.fc1.weight, to_vec(&mlp.fc2.weight));
    let _ = MlpBatch { x: x.clone() };
    let risk: Risk<f32> = Risk::init(1);
    let (loss, gradient) = risk.gradient(&RiskBatch { x, y })?;
    println!("{:?} {:?}", to_vec(&loss), gradient.mlp);
    Ok(())
}

fn main() {
    let _ = (train, Mlp::PARAMETERS, Mlp::multiply_adds(8));
}
