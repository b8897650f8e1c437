//! The programs in which the language was first thought out, compiled and run.

#![deny(warnings)]

use ansatz::prelude::*;
use ansatz::tensor::{Const, HasShape};

net! {
    pub dim Pixels = 784;
    pub dim Digit = 10;
    pub dim Plane = 2;
    pub dim Embed = 12;

    /// A multi-layer perceptron: x_{l+1} = σ(W_l x_l + b_l).
    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu
          |> fc2: linear(128) |> relu
          |> fc3: linear(Digit)
    }

    /// The empirical risk.
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }

    /// Basic residual block (He et al. 2016).
    net Basic(x: [n, c, h, w]; width: usize, stride: usize = 1) -> [n, width, ceil_div(h, stride), ceil_div(w, stride)] {
        let y = x
            |> conv1: conv2d(width, kernel = 3, stride, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> conv2: conv2d(width, kernel = 3, padding = 1, bias = false) |> bn2: batch_norm;
        let skip = if stride == 1 && c == width { x } else {
            x |> downsample: [conv2d(width, kernel = 1, stride, bias = false), batch_norm]
        };
        relu(y + skip)
    }

    pub net ResNet18(image: [n, 3, h = 32, w = 32]; classes: usize = 10) -> [n, classes] {
        image
            |> conv1: conv2d(64, kernel = 3, padding = 1, bias = false) |> bn1: batch_norm |> relu
            |> layer1: [Basic(64); 2]
            |> layer2: [Basic(128, stride = 2), Basic(128)]
            |> layer3: [Basic(256, stride = 2), Basic(256)]
            |> layer4: [Basic(512, stride = 2), Basic(512)]
            |> mean(over = (h, w))
            |> fc: linear(classes)
    }

    /// Causal multi-head self-attention.
    net SelfAttention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        attention(by_head(q), by_head(k), by_head(v), causal = true, scale = 1 / sqrt(d / heads))
            |> [n, heads, t, e] -> [n, t, (heads e)]
            |> c_proj: linear(d)
    }

    pub net Attend(x: [n, t, Embed]) -> [n, t, Embed] { x |> SelfAttention(3) }

    pub net Velocity(x: [n, Plane], s: [n, 1]) -> [n, Plane] {
        concat(x, s) |> linear(128) |> silu |> linear(128) |> silu |> linear(Plane)
    }

    /// Conditional flow matching: E ‖ x1 − x0 − g((1−s) x0 + s x1, s) ‖².
    pub net FlowMatching(x1: [n, Plane]) -> [] {
        let x0 = normal([n, Plane]);
        let s = uniform([n, 1]);
        let g = velocity: Velocity((1 - s) * x0 + s * x1, s);
        square(x1 - x0 - g) |> sum(over = Plane) |> mean
    }

    net Field(x: [n, 64], s: []) -> [n, 64] { x |> linear(64) |> |y| tanh(y + s) }

    /// A neural ODE as a layer.
    pub net NeuralOde(x: [n, 64]) -> [n, 64] {
        ode(x, s = 0..1, by = rk4(8), |x, s| field: Field(x, s))
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 1.7).sin()).collect()
}

#[test]
fn the_perceptron_has_a_risk() {
    let risk: Risk = Risk::init(1);
    assert_eq!(Mlp::PARAMETERS, 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
    let x = from_vec(numbers(4 * 784), (4, Pixels)).unwrap();
    let y = ansatz::tensor::Indices::new([1, 2, 3, 9], (4,)).unwrap();
    let output = risk.forward(x, y).unwrap();
    let loss = to_vec(&output.loss)[0];
    assert!((1.5..3.5).contains(&loss), "{loss}");
}

#[test]
fn the_residual_network_has_pytorchs_parameters() {
    // torchvision's resnet18 with a stem of 3x3 and ten classes.
    assert_eq!(ResNet18::PARAMETERS, 11_173_962);
    let net: ResNet18 = ResNet18::init(1);
    let logits = net.forward(from_vec(numbers(3 * 32 * 32), (1, Const, Const, Const)).unwrap()).unwrap();
    assert!(to_vec(&logits).iter().all(|logit| logit.is_finite()));
}

#[test]
fn attention_is_causal() {
    let net: Attend = Attend::init(1);
    let x = numbers(5 * 12);
    let mut later = x.clone();
    later[4 * 12..].fill(3.0);
    let run = |x: Vec<f32>| to_vec(&net.forward(from_vec(x, (1, 5, Embed)).unwrap()).unwrap());
    let (y, z) = (run(x), run(later));
    assert_eq!(y[..4 * 12], z[..4 * 12]);
    assert_ne!(y[4 * 12..], z[4 * 12..]);
}

#[test]
fn flows_run() {
    let matching: FlowMatching = FlowMatching::init(1);
    let loss = matching.forward(from_vec(numbers(16), (8, Plane)).unwrap()).unwrap();
    assert!(to_vec(&loss)[0] > 0.0);
    let velocity = matching.velocity;
    let v = velocity.forward(from_vec(numbers(4), (2, Plane)).unwrap(), from_vec(vec![0.5; 2], (2, Const)).unwrap());
    assert_eq!(v.unwrap().shape().0, 2);
    let ode: NeuralOde = NeuralOde::init(1);
    let y = ode.forward(from_vec(numbers(64), (1, Const)).unwrap()).unwrap();
    assert!(to_vec(&y).iter().all(|y| y.is_finite()));
}
