//! Functions that are written in terms of graph ops, in numerically stable forms. Derivatives and fusion come from the
//! ops. Nothing here is generic: the typed functions only add the shapes.

use crate::graph::{Binary, Compare, DType, Graph, NodeId, ReduceOp, Unary};
use crate::{Error, Result};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// ½ x (1 + erf(x / √2))
pub fn gelu(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    let scaled = scale(g, x, FRAC_1_SQRT_2)?;
    let erf = g.unary(Unary::Erf, scaled)?;
    half_times_one_plus(g, x, erf)
}

/// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), written as x σ(√(8/π) (x + 0.044715 x³)), which keeps its digits where
/// tanh is near −1.
pub fn gelu_tanh(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    let slope = 2.0 * FRAC_2_PI.sqrt();
    let square = g.unary(Unary::Square, x)?;
    let cubic = scale(g, square, 0.044715 * slope)?;
    let linear = g.constant_like(slope, x);
    let factor = g.binary(Binary::Add, cubic, linear)?;
    let argument = g.binary(Binary::Mul, x, factor)?;
    let gate = g.unary(Unary::Sigmoid, argument)?;
    g.binary(Binary::Mul, x, gate)
}

fn half_times_one_plus(g: &mut Graph, x: NodeId, y: NodeId) -> Result<NodeId> {
    let half = scale(g, x, 0.5)?;
    let one = g.constant_like(1.0, y);
    let sum = g.binary(Binary::Add, y, one)?;
    g.binary(Binary::Mul, half, sum)
}

pub fn silu(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    let gate = g.unary(Unary::Sigmoid, x)?;
    g.binary(Binary::Mul, x, gate)
}

/// ln x − ln(1 − x)
pub fn logit(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    let up = g.unary(Unary::Ln, x)?;
    let opposite = g.unary(Unary::Neg, x)?;
    let down = g.unary(Unary::Log1p, opposite)?;
    g.binary(Binary::Sub, up, down)
}

pub fn leaky_relu(g: &mut Graph, x: NodeId, slope: f64) -> Result<NodeId> {
    let positive = compare_with(g, Compare::Gt, x, 0.0)?;
    let scaled = scale(g, x, slope)?;
    g.select(positive, x, scaled)
}

/// The exponential sees no positive number: where it overflowed, the derivative of the choice would be 0 · ∞.
pub fn elu(g: &mut Graph, x: NodeId, alpha: f64) -> Result<NodeId> {
    let positive = compare_with(g, Compare::Gt, x, 0.0)?;
    let zero = g.constant_like(0.0, x);
    let negative_part = g.select(positive, zero, x)?;
    let curve = g.unary(Unary::Expm1, negative_part)?;
    let curve = scale(g, curve, alpha)?;
    g.select(positive, x, curve)
}

/// Small powers by the functions that compute them exactly.
pub fn powf(g: &mut Graph, x: NodeId, exponent: f64) -> Result<NodeId> {
    match exponent {
        -1.0 => g.unary(Unary::Recip, x),
        -0.5 => g.unary(Unary::Rsqrt, x),
        0.5 => g.unary(Unary::Sqrt, x),
        1.0 => Ok(x),
        2.0 => g.unary(Unary::Square, x),
        3.0 => {
            let square = g.unary(Unary::Square, x)?;
            g.binary(Binary::Mul, square, x)
        }
        _ => {
            let exponent = g.constant_like(exponent, x);
            g.binary(Binary::Pow, x, exponent)
        }
    }
}

pub fn clamp(g: &mut Graph, x: NodeId, low: f64, high: f64) -> Result<NodeId> {
    if low > high || low.is_nan() || high.is_nan() {
        return Err(Error::value(format!(
            "clamp is given the bounds {low} and {high}; the first must not exceed the second"
        )));
    }
    // Choices, and no extremes: the derivative is 1 at the bounds too, and is not shared with them.
    let mut bounded = x;
    for (beyond, bound) in [(Compare::Lt, low), (Compare::Gt, high)] {
        let outside = compare_with(g, beyond, x, bound)?;
        let bound = g.constant_like(bound, x);
        bounded = g.select(outside, bound, bounded)?;
    }
    Ok(bounded)
}

/// The mean along `axes`, which go.
pub fn mean(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId> {
    let count: usize = axes.iter().map(|&axis| g[x].dims[axis]).product();
    let sum = g.sum(x, axes)?;
    divide(g, sum, count as f64)
}

/// The mean of all elements.
pub fn mean_all(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    let axes = all_axes(g, x);
    mean(g, x, &axes)
}

/// The variance along `axes`, which go: the mean squared distance from the mean, with n − 1 in place of n if
/// `unbiased`.
pub fn var(g: &mut Graph, x: NodeId, axes: &[usize], unbiased: bool) -> Result<NodeId> {
    let count: usize = axes.iter().map(|&axis| g[x].dims[axis]).product();
    let mean = mean(g, x, axes)?;
    let mean = back(g, mean, x, axes)?;
    let distance = g.binary(Binary::Sub, x, mean)?;
    let square = g.unary(Unary::Square, distance)?;
    let sum = g.sum(square, axes)?;
    divide(g, sum, count as f64 - f64::from(u8::from(unbiased)))
}

/// x / √(moment + eps), where the moment lacks `axes`.
pub fn standardised(g: &mut Graph, x: NodeId, moment: NodeId, eps: f64, axes: &[usize]) -> Result<NodeId> {
    let eps = g.constant_like(eps, moment);
    let moment = g.binary(Binary::Add, moment, eps)?;
    let scale = g.unary(Unary::Rsqrt, moment)?;
    let scale = back(g, scale, x, axes)?;
    g.binary(Binary::Mul, x, scale)
}

/// The mean over `axes`, x − mean, and the variance.
pub fn moments(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<(NodeId, NodeId, NodeId)> {
    let count: usize = axes.iter().map(|&axis| g[x].dims[axis]).product();
    let center = mean(g, x, axes)?;
    let wide = back(g, center, x, axes)?;
    let centered = g.binary(Binary::Sub, x, wide)?;
    let square = g.unary(Unary::Square, centered)?;
    let sum = g.sum(square, axes)?;
    Ok((center, centered, divide(g, sum, count as f64)?))
}

/// Standardised over groups of channels and all that follows them.
pub fn grouped(g: &mut Graph, x: NodeId, groups: usize, eps: f64) -> Result<NodeId> {
    let dims = g[x].dims.clone();
    if dims.len() < 2 || groups == 0 || !dims[1].is_multiple_of(groups) {
        return Err(Error::shape("group_norm", format!("{groups} groups do not divide the channels of {dims:?}")));
    }
    let rest: usize = dims[1..].iter().product();
    let x = g.reshape(x, &[dims[0], groups, rest / groups])?;
    let (_, centered, variance) = moments(g, x, &[2])?;
    let y = standardised(g, centered, variance, eps, &[2])?;
    g.reshape(y, &dims)
}

/// ln Σ eˣ along `axes`, which go. The greatest element is taken out first, so nothing overflows; an infinite result
/// comes out as that, not as ∞ − ∞.
pub fn logsumexp(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId> {
    let greatest = g.reduce(ReduceOp::Max, x, axes)?;
    let greatest_finite = if g[x].dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    let shift = clamp(g, greatest, -greatest_finite, greatest_finite)?;
    // The result does not depend on the shift, so its derivative by the shift is zero, of every order.
    let shift = g.stop_gradient(shift);
    let spread = back(g, shift, x, axes)?;
    let shifted = g.binary(Binary::Sub, x, spread)?;
    let log = log_sum(g, shifted, axes)?;
    g.binary(Binary::Add, log, shift)
}

/// eˣ / Σ eˣ along `axes`.
pub fn softmax(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId> {
    let shifted = below_greatest(g, x, axes)?;
    let exp = g.unary(Unary::Exp, shifted)?;
    let sum = g.sum(exp, axes)?;
    let sum = back(g, sum, x, axes)?;
    g.binary(Binary::Div, exp, sum)
}

/// x − ln Σ eˣ along `axes`.
pub fn log_softmax(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId> {
    let shifted = below_greatest(g, x, axes)?;
    let log = log_sum(g, shifted, axes)?;
    let log = back(g, log, x, axes)?;
    g.binary(Binary::Sub, shifted, log)
}

/// x − max x. What it is used for does not depend on the shift, so derivatives may take the shift for a constant.
pub fn below_greatest(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId> {
    let greatest = g.reduce(ReduceOp::Max, x, axes)?;
    let greatest = g.stop_gradient(greatest);
    let greatest = back(g, greatest, x, axes)?;
    g.binary(Binary::Sub, x, greatest)
}

/// ln Σ eˣ along `axes`, without a shift.
pub fn log_sum(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId> {
    let exp = g.unary(Unary::Exp, x)?;
    let sum = g.sum(exp, axes)?;
    g.unary(Unary::Ln, sum)
}

/// The mean squared distance.
pub fn mse(g: &mut Graph, a: NodeId, b: NodeId) -> Result<NodeId> {
    let distance = g.binary(Binary::Sub, a, b)?;
    let square = g.unary(Unary::Square, distance)?;
    mean_all(g, square)
}

/// The mean of −t ln σ(x) − (1 − t) ln(1 − σ(x)) = softplus(x) − t x.
pub fn bce_with_logits(g: &mut Graph, logits: NodeId, targets: NodeId) -> Result<NodeId> {
    let softplus = g.unary(Unary::Softplus, logits)?;
    let product = g.binary(Binary::Mul, targets, logits)?;
    let loss = g.binary(Binary::Sub, softplus, product)?;
    mean_all(g, loss)
}

/// Repeats a reduced tensor along the axes that went, to the shape of `like`.
pub fn back(g: &mut Graph, reduced: NodeId, like: NodeId, axes: &[usize]) -> Result<NodeId> {
    let dims = g[like].dims.clone();
    g.broadcast(reduced, axes, &dims)
}

/// x · c
pub fn scale(g: &mut Graph, x: NodeId, factor: f64) -> Result<NodeId> {
    let factor = g.constant_like(factor, x);
    g.binary(Binary::Mul, x, factor)
}

/// x / c
pub fn divide(g: &mut Graph, x: NodeId, divisor: f64) -> Result<NodeId> {
    let divisor = g.constant_like(divisor, x);
    g.binary(Binary::Div, x, divisor)
}

pub fn compare_with(g: &mut Graph, op: Compare, x: NodeId, value: f64) -> Result<NodeId> {
    let value = g.constant_like(value, x);
    g.compare(op, x, value)
}

pub fn all_axes(g: &Graph, x: NodeId) -> Vec<usize> {
    (0..g[x].dims.len()).collect()
}

/// Σ −x²/2 − ln(2π)/2 along `axes`.
pub fn normal_log_prob(g: &mut Graph, x: NodeId, axes: &[usize]) -> Result<NodeId> {
    let square = g.unary(Unary::Square, x)?;
    let half = scale(g, square, -0.5)?;
    let sum = g.sum(half, axes)?;
    let count: usize = axes.iter().map(|&axis| g[x].dims[axis]).product();
    let constant = g.constant_like(-0.5 * count as f64 * std::f64::consts::TAU.ln(), sum);
    g.binary(Binary::Add, sum, constant)
}
