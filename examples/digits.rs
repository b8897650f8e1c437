//! Trains a multi-layer perceptron on handwritten digits and shows what it learned.
//!
//! ```text
//! cargo run --release --example digits
//! ```
//!
//! prints
//!
//! ```text
//! 50826 parameters
//! test accuracy: 0.9833
//! out/digits.safetensors
//! out/digits.png
//! ```

mod shared;

use ansatz::data::{Labelled, digits};
use ansatz::plot::{Diagram, Figure, Grid, Picture};
use ansatz::prelude::*;
use ansatz::train::History;
use shared::{Program, say};
use std::path::Path;

net! {
    /// 8 × 8 grey values.
    pub dim Pixels = 64;
    pub dim Digit  = 10;

    /// A multi-layer perceptron: x_{l+1} = σ(W_l x_l + b_l).
    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu |> dropout(0.2)
          |> fc2: linear(128) |> relu
          |> fc3: linear(Digit)
    }

    /// The empirical risk.
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }
}

const PROGRAM: Program = Program {
    name: "digits",
    about: "Trains a multi-layer perceptron on handwritten digits and shows what it learned.",
    length: (60, "epochs"),
    options: &[],
    words: "",
};
const BATCH: usize = 64;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let (train, test) = digits::<Pixels, Digit, f32>()?.split(0.8, 1)?;
    let updates = options.length * train.len().div_ceil(BATCH) as u64;

    let builder = Trainer::builder(Risk::init(options.seed), AdamW { weight_decay: 0.05, ..AdamW::new(2e-3) })
        .seed(options.seed)
        .batch_size(BATCH)
        .epochs(options.length)
        .schedule(Schedule::cosine(updates / 20, updates));
    say!("{} parameters", Mlp::PARAMETERS);
    let (trainer, history) = options.fit("digits", builder, &train, Some(&test))?;

    let model = trainer.model()?.mlp;
    let (weights, picture) = (options.path("digits.safetensors"), options.path("digits.png"));
    model.save(&weights)?;
    let accuracy = draw(&model, &test, &history, &picture)?;

    say!("test accuracy: {accuracy:.4}");
    say!("{}", weights.display());
    say!("{}", picture.display());
    Ok(())
}

/// Draws the loss, the accuracy and some test digits; gives the share of right answers on all of them.
fn draw(model: &Mlp, test: &Labelled<Pixels, Digit, f32>, history: &History, path: &Path) -> Result<f64> {
    let logits = to_vec(&model.forward(test.features())?);
    let answers: Vec<u32> = logits.chunks_exact(10).map(greatest).collect();
    let (labels, pixels) = (test.labels(), to_vec(&test.features()));
    let wrong: Vec<bool> = answers.iter().zip(labels.values()).map(|(answer, label)| answer != label).collect();
    let accuracy = 1.0 - wrong.iter().filter(|&&wrong| wrong).count() as f64 / wrong.len() as f64;

    // Every wrong answer first, then others, so that the mistakes can be judged by eye.
    let (mut shown, others): (Vec<usize>, Vec<usize>) = (0..answers.len()).partition(|&i| wrong[i]);
    shown.extend(others);
    let picture = |&i: &usize| Picture {
        width: 8,
        pixels: pixels[64 * i..64 * (i + 1)].iter().map(|&ink| f64::from(ink)).collect(),
        caption: if wrong[i] {
            format!("{} read as {}", labels.values()[i], answers[i])
        } else {
            answers[i].to_string()
        },
        wrong: wrong[i],
    };
    let pictures = shown.iter().take(40).map(picture).collect();
    let correct = |of: &dyn Fn(&ansatz::train::Epoch) -> Option<f64>| history.epochs.iter().filter_map(of).collect();
    Figure::new("Handwritten digits, 64-256-128-10")
        .diagram(
            Diagram::new("cross entropy")
                .logarithmic()
                .curve("training", history.train_loss())
                .curve("test", history.validation_loss()),
        )
        .diagram(
            Diagram::new("accuracy")
                .curve("training", correct(&|epoch| epoch.train.get("correct")))
                .curve("test", correct(&|epoch| epoch.validation.as_ref()?.get("correct"))),
        )
        .grid(Grid::new("Test digits, wrong answers first", 8, pictures))
        .save(path)?;
    Ok(accuracy)
}

/// The position of the greatest logit.
fn greatest(logits: &[f32]) -> u32 {
    let first_greatest = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (1..logits.len()).fold(0, first_greatest) as u32
}
