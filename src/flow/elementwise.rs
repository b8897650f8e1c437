//! Invertible functions of each element.

use crate::Result;
use crate::graph::{Binary, Compare, Graph, NodeId, Unary};
use crate::tensor::composite::{compare_with, scale};
use crate::tensor::{Float, Shape, Var, record_two};

/// A function with an inverse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elementwise {
    /// x.
    Identity,
    /// 1 / (1 + e⁻ˣ), onto (0, 1).
    Sigmoid,
    /// ln x − ln(1 − x), its inverse.
    Logit,
    /// tanh x, onto (−1, 1).
    Tanh,
    /// eˣ, onto the positive numbers.
    Exp,
    /// ln x, its inverse.
    Ln,
    /// x where positive, else this slope times x.
    LeakyRelu(f64),
}

/// The function of each element and the logarithm of its slope; with `inverse`, those of the inverse function.
pub fn elementwise<S: Shape, E: Float>(x: &Var<S, E>, function: Elementwise, inverse: bool) -> (Var<S, E>, Var<S, E>) {
    record_two(&[x.erased()], *x.shape(), &|g, n| match (function, inverse) {
        (Elementwise::Identity, _) => Ok([n[0], g.constant_like(0.0, n[0])]),
        (Elementwise::Sigmoid, false) | (Elementwise::Logit, true) => sigmoid(g, n[0]),
        (Elementwise::Sigmoid, true) | (Elementwise::Logit, false) => logit(g, n[0]),
        (Elementwise::Tanh, false) => tanh(g, n[0]),
        (Elementwise::Tanh, true) => artanh(g, n[0]),
        (Elementwise::Exp, false) | (Elementwise::Ln, true) => Ok([g.unary(Unary::Exp, n[0])?, n[0]]),
        (Elementwise::Exp, true) | (Elementwise::Ln, false) => {
            let y = g.unary(Unary::Ln, n[0])?;
            Ok([y, g.unary(Unary::Neg, y)?])
        }
        (Elementwise::LeakyRelu(slope), false) => leaky(g, n[0], slope),
        (Elementwise::LeakyRelu(slope), true) => leaky(g, n[0], 1.0 / slope),
    })
}

/// The slope is σ(x) σ(−x).
fn sigmoid(g: &mut Graph, x: NodeId) -> Result<[NodeId; 2]> {
    let y = g.unary(Unary::Sigmoid, x)?;
    let up = g.unary(Unary::Softplus, x)?;
    let opposite = g.unary(Unary::Neg, x)?;
    let down = g.unary(Unary::Softplus, opposite)?;
    let sum = g.binary(Binary::Add, up, down)?;
    Ok([y, g.unary(Unary::Neg, sum)?])
}

/// The slope is 1 / (x (1 − x)).
fn logit(g: &mut Graph, x: NodeId) -> Result<[NodeId; 2]> {
    let up = g.unary(Unary::Ln, x)?;
    let opposite = g.unary(Unary::Neg, x)?;
    let down = g.unary(Unary::Log1p, opposite)?;
    let sum = g.binary(Binary::Add, up, down)?;
    Ok([g.binary(Binary::Sub, up, down)?, g.unary(Unary::Neg, sum)?])
}

/// The slope is 1 − tanh² x = 4 / (eˣ + e⁻ˣ)², whose logarithm is 2 (ln 2 − x − softplus(−2x)).
fn tanh(g: &mut Graph, x: NodeId) -> Result<[NodeId; 2]> {
    let y = g.unary(Unary::Tanh, x)?;
    let twice = scale(g, x, -2.0)?;
    let tail = g.unary(Unary::Softplus, twice)?;
    let two = g.constant_like(std::f64::consts::LN_2, x);
    let slope = g.binary(Binary::Sub, two, x)?;
    let slope = g.binary(Binary::Sub, slope, tail)?;
    Ok([y, scale(g, slope, 2.0)?])
}

/// ½ (ln(1 + x) − ln(1 − x)), whose slope is 1 / (1 − x²).
fn artanh(g: &mut Graph, x: NodeId) -> Result<[NodeId; 2]> {
    let up = g.unary(Unary::Log1p, x)?;
    let opposite = g.unary(Unary::Neg, x)?;
    let down = g.unary(Unary::Log1p, opposite)?;
    let difference = g.binary(Binary::Sub, up, down)?;
    let sum = g.binary(Binary::Add, up, down)?;
    Ok([scale(g, difference, 0.5)?, g.unary(Unary::Neg, sum)?])
}

fn leaky(g: &mut Graph, x: NodeId, slope: f64) -> Result<[NodeId; 2]> {
    let positive = compare_with(g, Compare::Gt, x, 0.0)?;
    let scaled = scale(g, x, slope)?;
    let (zero, logarithm) = (g.constant_like(0.0, x), g.constant_like(slope.ln(), x));
    Ok([g.select(positive, x, scaled)?, g.select(positive, zero, logarithm)?])
}
