//! Trains a residual network of the library on images and shows which classes it confuses.
//!
//! ```text
//! cargo run --release --example resnet                    # the handwritten digits of this crate, three seeds
//! cargo run --release --example resnet -- --cifar FOLDER  # CIFAR-10, the folder cifar-10-batches-bin, one seed
//! ```
//!
//! With `--epochs 8` it prints
//!
//! ```text
//! seed 1: 0.9916
//! seed 2: 0.9916
//! seed 3: 1.0000
//! out/resnet.png
//! test accuracy: 0.9944
//! ```
//!
//! `--resume` goes on where an interrupted run has ended, after its last whole epoch, bit for bit as if it had not been.

mod shared;

use ansatz::data::{Augment, Dataset, Images, Part};
use ansatz::plot::{Diagram, Figure, Grid, Picture};
use ansatz::prelude::*;
use ansatz::tensor::Const;
use ansatz::train::History;
use shared::{Options, Program, say};
use std::path::Path;

net! {
    use ansatz::models::resnet::CifarResNet;

    pub dim Class = 10;

    /// The empirical risk on digits.
    pub net DigitsRisk(image: [n, 1, 8, 8], class: [n] in Class) -> (loss: [], correct: [], answer: [n] in Class) {
        let logits = image |> net: CifarResNet(width = 12, depth = 1, classes = Class);
        let answer = argmax(logits, over = Class);
        (loss = cross_entropy(logits, class), correct = mean(answer == class), answer = answer)
    }

    /// The empirical risk on CIFAR-10.
    pub net CifarRisk(image: [n, 3, 32, 32], class: [n] in Class) -> (loss: [], correct: [], answer: [n] in Class) {
        let logits = image |> net: CifarResNet(depth = 3, classes = Class);
        let answer = argmax(logits, over = Class);
        (loss = cross_entropy(logits, class), correct = mean(answer == class), answer = answer)
    }
}

const PROGRAM: Program = Program {
    name: "resnet",
    about: "Trains a residual network on images and shows which classes it confuses.",
    length: (24, "epochs"),
    options: &[("cifar", "FOLDER", "CIFAR-10, the folder cifar-10-batches-bin, instead of digits; takes longer")],
    words: "",
};

type Digits = Images<Const<1>, Const<8>, Const<8>, Class>;
type Cifar = Images<Const<3>, Const<32>, Const<32>, Class>;

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    let folder = options.value("cifar");
    let mut accuracies = vec![];
    let (mut confused, mut classes, mut history) = (vec![0_u32; 100], vec![], None);
    for seed in options.seed..options.seed + if folder.is_some() { 1 } else { 3 } {
        let (answers, labels, names, run) = match folder {
            Some(folder) => cifar(&options, folder, seed)?,
            None => digits(&options, seed)?,
        };
        let right = answers.iter().zip(&labels).filter(|(answer, label)| answer == label).count();
        accuracies.push(right as f64 / labels.len() as f64);
        say!("seed {seed}: {:.4}", accuracies[accuracies.len() - 1]);
        for (answer, label) in answers.iter().zip(&labels) {
            confused[10 * *label as usize + *answer as usize] += 1;
        }
        // What was finished before has no curves.
        (classes, history) = (names, Some(run).filter(|run| !run.epochs.is_empty()));
    }
    if let Some(history) = history {
        let picture = options.path("resnet.png");
        draw(&confused, &classes, &history, &picture)?;
        say!("{}", picture.display());
    }
    say!("test accuracy: {:.4}", accuracies.iter().sum::<f64>() / accuracies.len() as f64);
    Ok(())
}

/// What the net answers, the labels, the names of the classes, and how it went.
type Run = (Vec<u32>, Vec<u32>, Vec<String>, History);

fn digits(options: &Options, seed: u64) -> Result<Run> {
    let (train, test) = Digits::digits()?.split(0.8, seed)?;
    let (mean, deviation) = train.statistics();
    let train = train.normalise(&mean, &deviation)?.augment(Augment::new().crop(1));
    let test = test.normalise(&mean, &deviation)?;
    let (risk, history) = fit(options, DigitsRisk::init(seed), &train, &test, seed)?;
    risk.save(options.path("resnet.safetensors"))?;
    let output = risk.session()?.run(&DigitsRiskBatch::from((test.pixels(), test.labels())))?;
    Ok((output.answer.values().to_vec(), test.labels().values().to_vec(), test.classes().to_vec(), history))
}

fn cifar(options: &Options, folder: &str, seed: u64) -> Result<Run> {
    let (train, test) = (Cifar::cifar10(folder, Part::Train)?, Cifar::cifar10(folder, Part::Test)?);
    let (mean, deviation) = train.statistics();
    let train = train.normalise(&mean, &deviation)?.augment(Augment::new().crop(4).flip());
    let test = test.normalise(&mean, &deviation)?;
    let (risk, history) = fit(options, CifarRisk::init(seed), &train, &test, seed)?;
    risk.save(options.path("resnet.safetensors"))?;
    let (session, mut answers) = (risk.session()?, vec![]);
    for rows in (0..test.len() as u32).collect::<Vec<_>>().chunks(500) {
        let part = test.select(rows)?;
        let output = session.run(&CifarRiskBatch::from((part.pixels(), part.labels())))?;
        answers.extend_from_slice(output.answer.values());
    }
    Ok((answers, test.labels().values().to_vec(), test.classes().to_vec(), history))
}

/// Trains with augmented images, which a second thread prepares.
fn fit<N, D>(options: &Options, risk: N, train: &D, test: &D, seed: u64) -> Result<(N, History)>
where
    N: Trainable<f32>,
    D: Dataset<N::Batch> + Sync,
{
    let batch = 32;
    let updates = options.length * train.len().div_ceil(batch) as u64;
    let builder = Trainer::builder(risk, AdamW { weight_decay: 0.05, ..AdamW::new(4e-3) })
        .seed(seed)
        .batch_size(batch)
        .epochs(options.length)
        .schedule(Schedule::cosine(updates / 20, updates))
        .prefetch(4);
    let (trainer, history) = options.fit(&format!("resnet.{}.{seed}", N::NAME), builder, train, Some(test))?;
    Ok((trainer.model()?, history))
}

/// Draws how the last run went, and how often each class was taken for each other.
fn draw(confused: &[u32], classes: &[String], history: &History, path: &Path) -> Result<()> {
    // One cell of the table is a square of pixels; the root lets single mistakes be seen.
    const CELL: usize = 18;
    let share = |label: usize, answer: usize| {
        let row = &confused[10 * label..10 * (label + 1)];
        (f64::from(row[answer]) / f64::from(row.iter().sum::<u32>().max(1))).sqrt()
    };
    let pixel = |i: usize| {
        let (y, x) = (i / (10 * CELL), i % (10 * CELL));
        let inside = y % CELL > 0 && x % CELL > 0;
        if inside { share(y / CELL, x / CELL) } else { 0.08 }
    };
    let worst = (0..100).filter(|i| i / 10 != i % 10).max_by_key(|&i| confused[i]).unwrap_or_default();
    let (label, answer) = (&classes[worst / 10], &classes[worst % 10]);
    let matrix = Picture {
        width: 10 * CELL,
        pixels: (0..100 * CELL * CELL).map(pixel).collect(),
        caption: format!("most often: {label} taken for {answer}, {} times", confused[worst]),
        wrong: false,
    };
    let correct = |of: &dyn Fn(&ansatz::train::Epoch) -> Option<f64>| history.epochs.iter().filter_map(of).collect();
    Figure::new("A residual network")
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
        .grid(Grid::new("Rows are classes, columns what they were taken for", 1, vec![matrix]))
        .save(path)
}
