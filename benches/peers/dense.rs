//! Perceptrons, a flow and a differential equation.

use crate::numbers::{bits, build, input, labels, uniform};
use crate::{measure, train};
use ansatz::prelude::*;

net! {
    pub dim Pixels = 784;
    pub dim Class = 10;
    pub dim Plane = 2;

    pub dim State = 64;

    pub net Mlp(x: [n, Pixels]) -> [n, Class] {
        x |> fc1: linear(512) |> relu |> fc2: linear(512) |> relu |> fc3: linear(Class)
    }

    pub net Risk(x: [n, Pixels], y: [n] in Class) -> [] {
        cross_entropy(mlp: Mlp(x), y)
    }

    pub net LargestLogit(x: [n, Pixels]) -> [] {
        max(mlp: Mlp(x))
    }

    pub net Velocity(x: [n, Plane], s: [n, 1]) -> [n, Plane] {
        concat(x, s) |> linear(64) |> silu |> linear(64) |> silu |> linear(64) |> silu |> linear(Plane)
    }

    pub net FlowMatching(x1: [n, Plane]) -> [] {
        let x0 = normal([n, Plane]);
        let s = uniform([n, 1]);
        let g = velocity: Velocity((1 - s) * x0 + s * x1, s);
        square(x1 - x0 - g) |> sum(over = Plane) |> mean
    }

    pub net Node(y0: [n, State], y1: [n, State]) -> [] {
        mse(ode(y0, s = 0..1, by = rk4(8), [linear(128), tanh, linear(State)]), y1)
    }
}

/// One step of the perceptron.
pub fn mlp() -> ansatz::Result<()> {
    let batch = RiskBatch { x: tensor(&input(1000, 128 * 784), 128)?, y: labels(1001, 128)? };
    train("mlp", Trainer::builder(build::<Risk>()?, Adam::new(1e-3)).build()?, batch)
}

/// One step of flow matching.
pub fn flow() -> ansatz::Result<()> {
    let batch = FlowMatchingBatch { x1: tensor(&circle(), 256)? };
    train("flow", Trainer::builder(build::<FlowMatching>()?, Adam::new(1e-3)).build()?, batch)
}

/// One step of a neural differential equation.
pub fn node() -> ansatz::Result<()> {
    let y0 = tensor(&input(1000, 256 * 64), 256)?;
    let batch = NodeBatch { y0, y1: tensor(&uniform(1001, 256 * 64, 1.0), 256)? };
    train("node", Trainer::builder(build::<Node>()?, Adam::new(1e-3)).build()?, batch)
}

/// The perceptron's largest logit.
pub fn infer_mlp() -> ansatz::Result<()> {
    let session = Session::new(&build::<LargestLogit>()?)?;
    let batch = LargestLogitBatch { x: tensor(&input(1000, 784), 1)? };
    measure("infer_mlp", || Ok(f64::from(to_vec(&session.run(&batch)?)[0])))
}

/// 256 points on the circle of radius 2.
fn circle() -> Vec<f32> {
    let angle = |i| bits(1000, i) as f64 / 16_777_216.0 * std::f64::consts::TAU;
    (0..256).flat_map(|i| [2.0 * angle(i).cos(), 2.0 * angle(i).sin()]).map(|x| x as f32).collect()
}

fn tensor<D: ConstDim>(values: &[f32], rows: usize) -> ansatz::Result<Tensor<(usize, D), f32, Cpu>> {
    from_vec(values.to_vec(), (rows, D::default()))
}
