//! A batch belongs to its net.
use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Digit = 10;

    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> [] {
        x |> linear(Digit) |> cross_entropy(y)
    }

    pub net Other(x: [n, Pixels], y: [n] in Digit) -> [] {
        x |> linear(Digit) |> cross_entropy(y)
    }
}

fn gradient(risk: &Risk, batch: OtherBatch) -> ansatz::Result<()> {
    let _ = risk.gradient(&batch)?;
    Ok(())
}

fn run(session: &Session<f32, Risk>, batch: OtherBatch) -> ansatz::Result<()> {
    let _ = session.run(&batch)?;
    Ok(())
}

fn main() {}
