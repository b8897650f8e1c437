//! A net of your own: change it, and `cargo run` trains it again.

use ansatz::prelude::*;

net! {
    pub dim Pixels = 64;
    pub dim Digit = 10;

    /// A multi-layer perceptron.
    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu
          |> fc2: linear(128) |> relu
          |> fc3: linear(Digit)
    }

    /// What is made small, and what is shown beside it.
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }
}

fn main() -> Result<()> {
    let (train, test) = data::digits::<Pixels, Digit, f32>()?.split(0.8, 7)?;
    let mut trainer = Trainer::builder(Risk::init(1), AdamW::new(2e-3)).batch_size(64).epochs(10).build()?;
    trainer.fit(&train, Some(&test))?;
    println!("test: {}", trainer.evaluate(&test)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    ansatz::gradcheck!(super::Risk);
}
