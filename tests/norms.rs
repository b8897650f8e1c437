//! Normalisation from the outside: values against the formula in plain loops, gradients, keys.
#![deny(warnings)]

use ansatz::nn;
use ansatz::prelude::*;

net! {
    pub dim Features = 5;

    pub net Layer(x: [n, t, Features]) -> [n, t, Features] { x |> ln: layer_norm }
    pub net Rms(x: [n, t, Features]) -> [n, t, Features] { x |> rms: rms_norm(eps = 1e-3) }

    /// A block as transformers have it, with the norm before.
    pub net Block(x: [n, Features]) -> [n, Features] { x + (x |> [layer_norm, linear(7), gelu, linear(Features)]) }
    pub net Loss(x: [n, Features]) -> [] { x |> [Block; 2] |> rms_norm |> linear(3) |> layer_norm |> tanh |> square |> mean }
}

fn sample() -> Vec<f64> {
    (0..30).map(|i| (f64::from(i) * 1.3).sin() * 3.0 + 0.5).collect()
}

fn weights() -> [Vec<f64>; 2] {
    [vec![1.0, -2.0, 0.5, 3.0, 0.0], vec![0.1, 0.2, -0.3, 0.4, 0.0]]
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
    }
}

#[test]
fn layer_norm_is_its_formula() {
    let [weight, bias] = weights();
    let mut net: Layer<f64> = Layer::init(0);
    assert_eq!(to_vec(&net.ln.weight), [1.0; 5]);
    assert_eq!(to_vec(&net.ln.bias), [0.0; 5]);
    net.ln.weight = from_vec(weight.clone(), (Features,)).expect("five numbers");
    net.ln.bias = from_vec(bias.clone(), (Features,)).expect("five numbers");
    let x = from_vec(sample(), (2, 3, Features)).expect("thirty numbers");
    let rows = sample();
    let expected = rows.chunks(5).flat_map(|row| {
        let mean = row.iter().sum::<f64>() / 5.0;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5.0;
        let y = |i: usize| (row[i] - mean) / (variance + 1e-5).sqrt() * weight[i] + bias[i];
        (0..5).map(y).collect::<Vec<_>>()
    });
    close(&to_vec(&net.forward(x).expect("it runs")), &expected.collect::<Vec<_>>());
}

#[test]
fn rms_norm_is_its_formula() {
    let [weight, _] = weights();
    let mut net: Rms<f64> = Rms::init(0);
    net.rms.weight = from_vec(weight.clone(), (Features,)).expect("five numbers");
    let x = from_vec(sample(), (2, 3, Features)).expect("thirty numbers");
    let rows = sample();
    let expected = rows.chunks(5).flat_map(|row| {
        let power = row.iter().map(|x| x * x).sum::<f64>() / 5.0;
        (0..5).map(|i| row[i] / (power + 1e-3).sqrt() * weight[i]).collect::<Vec<_>>()
    });
    close(&to_vec(&net.forward(x).expect("it runs")), &expected.collect::<Vec<_>>());
}

#[test]
fn norms_are_parts_like_others() {
    assert_eq!(Block::PARAMETERS, 10 + 5 * 7 + 7 + 7 * 5 + 5);
    let keys: Vec<String> = nn::slots::<f32, Block>().into_iter().map(|slot| slot.key).collect();
    assert_eq!(keys[..3], ["sequential1.0.weight", "sequential1.0.bias", "sequential1.1.weight"]);
    assert!(nn::slots::<f32, Layer>().iter().all(|slot| !slot.decay));
}

ansatz::gradcheck!(Loss);
