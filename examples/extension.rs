//! What the library does not have, in one file of your own: a differentiable op, a layer, an optimiser and a solver. They
//! learn how far a pendulum swings that was kicked now and then and forgets old kicks.
//!
//! ```text
//! cargo run --release --example extension
//! ```
//!
//! prints
//!
//! ```text
//! step    0: mean squared error 2.526659
//! step  400: mean squared error 0.008161
//! step  800: mean squared error 0.014445
//! step 1200: mean squared error 0.002024
//! step 1600: mean squared error 0.000242
//! step 2000: mean squared error 0.000001
//! kicks that it has not seen: the greatest error of 256 angles is 0.011
//! ```

use ansatz::graph::{Custom, Function, Graph, NodeId, Values};
use ansatz::ode::{Method, Solver, Steps};
use ansatz::optim::{At, Fit, Optimiser, within};
use ansatz::prelude::*;
use ansatz::tensor::{Float, Shape, Var};

/// An op: sums along the last axis that forget, y_t = x_t + decay · y_{t−1}. Its transpose runs from the end, so that its
/// derivative is itself, of any order.
#[derive(Clone, Copy, Debug)]
struct Leaky {
    decay: f64,
    reverse: bool,
}

impl Function for Leaky {
    fn value(&self, operands: &[Values<'_>]) -> Vec<f64> {
        let mut y = operands[0].elements.to_vec();
        for row in y.chunks_mut(operands[0].dims.last().copied().unwrap_or(1).max(1)) {
            if self.reverse {
                (1..row.len()).rev().for_each(|t| row[t - 1] += self.decay * row[t]);
            } else {
                (1..row.len()).for_each(|t| row[t] += self.decay * row[t - 1]);
            }
        }
        y
    }
}

impl Custom for Leaky {
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        match operands {
            [dims] if !dims.is_empty() => Ok(dims.to_vec()),
            _ => Err(format!("takes one tensor with a last axis, not {operands:?}")),
        }
    }

    fn vjp(&self, graph: &mut Graph, _: &[NodeId], _: NodeId, c: NodeId) -> ansatz::Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.custom(Leaky { reverse: !self.reverse, ..*self }, &[c])?)])
    }

    /// Elements along the last axis are combined.
    fn axes(&self, operands: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
        let last = operands[0].len() - 1;
        vec![(0..=last).map(|axis| (axis < last).then_some(axis)).collect()]
    }
}

/// What a net calls.
fn leaky<S: Shape, E: Float>(x: &Var<S, E>, decay: f64) -> Var<S, E> {
    ansatz::tensor::custom(Leaky { decay, reverse: false }, &[x.erase()], *x.shape())
}

/// A solver: the method of order 3 with the least bound of its error (Ralston 1962).
const RALSTON: Method = Method {
    name: "ralston",
    order: 3,
    a: &[&[], &[1.0 / 2.0], &[0.0, 3.0 / 4.0]],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0],
    c: &[0.0, 1.0 / 2.0, 3.0 / 4.0],
    error: None,
    dense: None,
};

/// An optimiser: the mean direction of the last gradients, and steps that are as long as they are told, however steep it is:
/// m ← β m + (1 − β) g;  p ← p − γ √n m / ‖m‖.
#[derive(Clone, Copy, Debug)]
struct Steady {
    learning_rate: f64,
    beta: f64,
}

impl Optimiser for Steady {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        0.0
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        emit("step", at.learning_rate);
    }

    fn update(&self, fit: &mut Fit<'_>) -> ansatz::Result<NodeId> {
        let (parameter, mean) = (fit.parameter(), fit.state("mean")?);
        let (old, new) = (fit.scale(mean, self.beta)?, fit.scale(fit.gradient(), 1.0 - self.beta)?);
        let mean_now = fit.add(old, new)?;
        fit.set(mean, mean_now)?;
        let elements: usize = fit.dims(parameter).iter().product();
        let (norm, least) = (fit.norm(mean_now)?, fit.constant(1e-12));
        let (norm, length) = (fit.maximum(norm, least)?, fit.scalar("step")?);
        let direction = fit.div(mean_now, norm)?;
        let step = fit.mul(direction, length)?;
        let step = fit.scale(step, (elements as f64).sqrt())?;
        fit.sub(parameter, step)
    }

    fn check(&self) -> ansatz::Result<()> {
        within("the learning rate", self.learning_rate, 0.0, f64::INFINITY)?;
        within("beta", self.beta, 0.0, 1.0)
    }
}

net! {
    pub dim Kicks = 12;

    /// A layer: `width` waves over the plane, and how much of each there is.
    pub net Waves(y: [n, d]; width = 16) -> [n, d] {
        param directions: [width, d] = normal(1.0);
        param amounts: [d, width] = normal(0.1);
        einsum(sin(einsum(y[n, j], directions[i, j] -> [n, i]))[n, i], amounts[j, i] -> [n, j])
    }

    /// From the kicks to the angle: the op, the layer as the right side of an equation, and the solver.
    pub net Pendulum(kicks: [n, Kicks]) -> [n, 1] {
        kicks |> crate::leaky(0.8) -> [n, Kicks]
              |> start: linear(2)
              |> ode(s = 0..2, by = crate::RALSTON(8), |y, s| y |> field: Waves())
              |> angle: linear(1)
    }

    pub net Error(kicks: [n, Kicks], angle: [n, 1]) -> [] {
        kicks |> pendulum: Pendulum |> mse(angle)
    }
}

/// θ″ = −sin θ for a time of 2, from rest at the bottom with what is left of the kicks as speed.
fn swing(kicks: &[f32]) -> ansatz::Result<f32> {
    let speed = kicks.iter().fold(0.0, |speed, kick| 0.8 * speed + f64::from(*kick));
    let pendulum = |_: f64, y: &[f64], dy: &mut [f64]| {
        (dy[0], dy[1]) = (y[1], -y[0].sin());
        Ok(())
    };
    let solver = Solver { method: &RALSTON, steps: Steps::Fixed(64) };
    Ok(solver.solve(pendulum, 0.0..2.0, &[0.0, speed])?.y[0] as f32)
}

/// Kicks, and the angles to which they lead.
fn examples(count: usize, shift: f32) -> ansatz::Result<ErrorBatch<f32>> {
    let kicks: Vec<f32> = (0..12 * count).map(|i| (12.9898 * (i as f32 + shift)).sin()).collect();
    let angles = kicks.chunks(12).map(swing).collect::<ansatz::Result<Vec<f32>>>()?;
    Ok(ErrorBatch { kicks: from_vec(kicks, (count, Kicks))?, angle: from_vec(angles, (count, Const))? })
}

fn main() -> ansatz::Result<()> {
    const STEPS: u64 = 2000;
    let (train, test) = (examples(256, 0.0)?, examples(256, 5000.5)?);
    let mut trainer = Trainer::builder(Error::init(1), Steady { learning_rate: 0.01, beta: 0.9 })
        .schedule(Schedule::cosine(0, STEPS))
        .build()?;
    for step in 0..=STEPS {
        let loss = trainer.step(&train)?.loss();
        if step % 400 == 0 {
            println!("step {step:>4}: mean squared error {loss:.6}");
        }
    }
    let net = trainer.model()?.pendulum;
    let angles = to_vec(&net.forward(test.kicks.clone())?);
    let off: f32 = angles.iter().zip(to_vec(&test.angle)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("kicks that it has not seen: the greatest error of 256 angles is {off:.3}");
    Ok(())
}
