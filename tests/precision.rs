//! Trainings whose numbers are stored with sixteen bits.

use ansatz::Precision;
use ansatz::data::{Images, Samples, digits};
use ansatz::nn::Trainable;
use ansatz::prelude::*;
use ansatz::text::{Tokens, Windows};

net! {
    use ansatz::models::Gpt2;

    pub dim Grey = 1;
    pub dim Row = 8;
    pub dim Column = 8;
    pub dim Pixels = 64;
    pub dim Digit = 10;
    pub dim Token = 12;
    pub dim Place = 8;

    pub net Mlp(x: [n, Pixels], y: [n] in Digit) -> [] {
        cross_entropy(x |> linear(48) |> layer_norm |> gelu |> linear(Digit), y)
    }
    pub net Conv(x: [n, Grey, Row, Column], y: [n] in Digit) -> [] {
        let seen = x |> conv2d(8, kernel = 3, padding = 1) |> batch_norm |> relu |> max_pool2d(2);
        let seen = seen |> conv2d(16, kernel = 3, padding = 1) |> batch_norm |> relu |> avg_pool2d(2);
        cross_entropy(seen |> flatten |> linear(Digit), y)
    }
    pub net Reads(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(Gpt2(tokens, vocabulary = Token, places = Place, width = 24, layers = 2, heads = 3), next)
    }
}

/// The mean loss over the data before a training, after it with full numbers, and after it with narrow ones.
fn losses<N: Trainable<f32>>(model: impl Fn() -> N, data: &dyn Dataset<N::Batch>, epochs: u64) -> [f64; 3] {
    let train = |precision: Precision, epochs: u64| -> Result<f64> {
        let builder = Trainer::<N, f32>::builder(model(), AdamW::new(3e-3)).seed(4).batch_size(32).drop_last();
        let mut trainer = builder.epochs(epochs.max(1)).precision(precision).build()?;
        if epochs > 0 {
            trainer.fit(data, None)?;
        }
        Ok(trainer.evaluate(data)?.loss())
    };
    [(Precision::Full, 0), (Precision::Full, epochs), (Precision::Bf16, epochs)]
        .map(|(precision, epochs)| train(precision, epochs).unwrap_or_else(|problem| panic!("{}: {problem}", N::NAME)))
}

/// The training learns, and what narrow numbers lose of what it learns is a part in twenty.
fn learns([first, full, half]: [f64; 3]) {
    assert!(full < 0.5 * first, "from {first} to {full}");
    assert!((half - full).abs() < 0.05 * (first - full), "from {first} to {full} in full, and to {half}");
    assert!(half != full, "nothing is rounded");
}

#[test]
fn perceptrons_learn_in_sixteen_bits() -> Result<()> {
    let digits = digits::<Pixels, Digit, f32>()?;
    let data = Samples::new(&MlpBatch { x: digits.features(), y: digits.labels() })?;
    learns(losses(|| Mlp::init(1), &data, 3));
    Ok(())
}

#[test]
fn convolutional_nets_learn_in_sixteen_bits() -> Result<()> {
    let images = Images::<Grey, Row, Column, Digit>::digits()?;
    let data = Samples::new(&ConvBatch { x: images.pixels(), y: images.labels() })?;
    learns(losses(|| Conv::init(1), &data, 3));
    Ok(())
}

#[test]
fn transformers_learn_in_sixteen_bits() -> Result<()> {
    // Each number follows from the two before it.
    let mut stream = vec![1u32, 5];
    (0..1500).for_each(|i| stream.push((stream[i] + 3 * stream[i + 1] + 1) % 11));
    let data = Windows::new(Tokens::<Token>::new(stream)?, 8usize)?;
    learns(losses(|| Reads::init(1), &data, 12));
    Ok(())
}

#[test]
fn narrow_numbers_belong_to_nets_of_f32() {
    let builder = Trainer::<Mlp<f64>, f64>::builder(Mlp::init(1), AdamW::new(1e-3)).precision(Precision::Bf16);
    let problem = builder.build().expect_err("they are f64").to_string();
    let expected =
        "`Precision::Bf16` is for numbers of f32, and these are f64; take a net of f32, or `Precision::Full`";
    assert_eq!(problem, expected);
}
