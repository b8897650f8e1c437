//! Monotone splines of rational quadratics (Gregory, Delbourgo 1982; Durkan et al. 2019, "Neural spline flows").

use crate::graph::{Binary, Compare, Graph, NodeId, Unary};
use crate::tensor::composite::{back, clamp, logsumexp, scale};
use crate::tensor::{Float, Shape, Var, record_two};
use crate::{Error, Result};

/// The least width and height of a bin, as a share of all, and the least slope at a knot.
const LEAST: f64 = 1e-3;

/// A monotone map of each element, and the logarithm of its slope: inside of [−bound, bound] a spline of K rational
/// quadratics, outside the identity. `parameters` has 3K − 1 numbers for each element, side by side along the last axis: K
/// for the widths and K for the heights of the bins, whose shares are their softmax, and K − 1 for the slopes at the knots
/// between, which are their softplus; all zeros give the identity. With `inverse`, the inverse map and the logarithm of its
/// slope.
///
/// # Errors
/// At [`Scope::finish`](crate::tensor::Scope::finish): if `parameters` has not 3K − 1 numbers for each element, K > 1, or
/// `bound` is not positive.
pub fn spline<S: Shape, P: Shape, E: Float>(
    x: &Var<S, E>,
    parameters: &Var<P, E>,
    bound: f64,
    inverse: bool,
) -> (Var<S, E>, Var<S, E>) {
    record_two(&[x.erased(), parameters.erased()], *x.shape(), &|g, n| {
        let dims = g[n[0]].dims.clone();
        let [y, slope] = map(g, n[0], n[1], bound, inverse)?;
        Ok([g.reshape(y, &dims)?, g.reshape(slope, &dims)?])
    })
}

/// The spline on a flat list of elements, and the logarithms of its slopes.
fn map(g: &mut Graph, x: NodeId, parameters: NodeId, bound: f64, inverse: bool) -> Result<[NodeId; 2]> {
    let (elements, numbers) = (g[x].len(), g[parameters].len());
    let each = numbers / elements.max(1);
    if each * elements != numbers || each % 3 != 2 || each < 5 {
        return Err(Error::shape(
            "spline",
            format!("{elements} elements take 3K − 1 parameters each for K > 1 bins, not {numbers} in all"),
        ));
    }
    if !(bound > 0.0 && bound.is_finite()) {
        return Err(Error::shape("spline", format!("the bound of a spline is positive, {bound} is not")));
    }
    let bins = each.div_ceil(3);
    if LEAST * bins as f64 >= 1.0 {
        let most = (1.0 / LEAST) as usize - 1;
        return Err(Error::shape("spline", format!("{bins} bins leave no room between knots; take {most} at most")));
    }
    let x = g.reshape(x, &[elements])?;
    let parameters = g.reshape(parameters, &[elements, each])?;
    let widths = g.slice(parameters, 1, 0, bins)?;
    let heights = g.slice(parameters, 1, bins, bins)?;
    let slopes = g.slice(parameters, 1, 2 * bins, bins - 1)?;
    let [left, width] = knots(g, widths, bound)?;
    let [low, height] = knots(g, heights, bound)?;
    let slopes = slopes_at_knots(g, slopes)?;

    let edge = g.constant_like(bound, x);
    let magnitude = g.unary(Unary::Abs, x)?;
    let inside = g.compare(Compare::Lt, magnitude, edge)?;
    let zero = g.constant_like(0.0, x);
    let z = g.select(inside, x, zero)?;
    let bin = bin_of(g, z, if inverse { low } else { left })?;
    let mut pick = |values: NodeId| -> Result<NodeId> {
        let chosen = g.binary(Binary::Mul, bin, values)?;
        g.sum(chosen, &[1])
    };
    let (left, width, low, height) = (pick(left)?, pick(width)?, pick(low)?, pick(height)?);
    let [before, after] = slopes;
    let (before, after) = (pick(before)?, pick(after)?);
    let mean = g.binary(Binary::Div, height, width)?;

    // Equations 4, 5, 9 and 29 of Durkan et al.
    let share = if inverse {
        share_of_height(g, z, [low, height, mean, before, after])?
    } else {
        let along = g.binary(Binary::Sub, z, left)?;
        g.binary(Binary::Div, along, width)?
    };
    // Rounding may leave the bin by a little.
    let share = clamp(g, share, 0.0, 1.0)?;
    let one = g.constant_like(1.0, share);
    let rest = g.binary(Binary::Sub, one, share)?;
    let product = g.binary(Binary::Mul, share, rest)?;
    let bend = bend(g, before, after, mean)?;
    let bent = g.binary(Binary::Mul, bend, product)?;
    let denominator = g.binary(Binary::Add, mean, bent)?;
    let share_square = g.unary(Unary::Square, share)?;
    let rest_square = g.unary(Unary::Square, rest)?;

    let value = if inverse {
        let along = g.binary(Binary::Mul, share, width)?;
        g.binary(Binary::Add, left, along)?
    } else {
        let first = g.binary(Binary::Mul, mean, share_square)?;
        let second = g.binary(Binary::Mul, before, product)?;
        let sum = g.binary(Binary::Add, first, second)?;
        let sum = g.binary(Binary::Mul, height, sum)?;
        let up = g.binary(Binary::Div, sum, denominator)?;
        g.binary(Binary::Add, low, up)?
    };
    let first = g.binary(Binary::Mul, after, share_square)?;
    let second = g.binary(Binary::Mul, mean, product)?;
    let second = scale(g, second, 2.0)?;
    let third = g.binary(Binary::Mul, before, rest_square)?;
    let sum = g.binary(Binary::Add, first, second)?;
    let sum = g.binary(Binary::Add, sum, third)?;
    let mut slope = g.unary(Unary::Ln, sum)?;
    for (factor, sign) in
        [(mean, Binary::Add), (mean, Binary::Add), (denominator, Binary::Sub), (denominator, Binary::Sub)]
    {
        let logarithm = g.unary(Unary::Ln, factor)?;
        slope = g.binary(sign, slope, logarithm)?;
    }
    if inverse {
        slope = g.unary(Unary::Neg, slope)?;
    }
    let value = clamp(g, value, -bound, bound)?;
    Ok([g.select(inside, value, x)?, g.select(inside, slope, zero)?])
}

/// Where each bin begins and how long it is, `[elements, bins]` each: shares of [−bound, bound] by a softmax.
fn knots(g: &mut Graph, x: NodeId, bound: f64) -> Result<[NodeId; 2]> {
    let bins = g[x].dims[1];
    let total = logsumexp(g, x, &[1])?;
    let total = back(g, total, x, &[1])?;
    let shares = g.binary(Binary::Sub, x, total)?;
    let shares = g.unary(Unary::Exp, shares)?;
    let shares = scale(g, shares, 2.0 * bound * (1.0 - LEAST * bins as f64))?;
    let least = g.constant_like(2.0 * bound * LEAST, shares);
    let lengths = g.binary(Binary::Add, shares, least)?;
    // A bin begins at the sum of those before it: a product with the matrix of ones above the diagonal.
    let (row, column) = (g.iota(&[bins, bins], 0)?, g.iota(&[bins, bins], 1)?);
    let earlier = g.compare(Compare::Lt, row, column)?;
    let earlier = g.cast(earlier, g[x].dtype);
    let begins = g.matmul(lengths, earlier, [false, false])?;
    let edge = g.constant_like(bound, begins);
    Ok([g.binary(Binary::Sub, begins, edge)?, lengths])
}

/// The slopes at the left and at the right knot of each bin, `[elements, bins]` each; 1 at both ends.
fn slopes_at_knots(g: &mut Graph, x: NodeId) -> Result<[NodeId; 2]> {
    let (elements, dtype) = (g[x].dims[0], g[x].dtype);
    // Zero parameters give the slope 1.
    let shift = g.constant_like((1.0 - LEAST).exp_m1().ln(), x);
    let shifted = g.binary(Binary::Add, x, shift)?;
    let positive = g.unary(Unary::Softplus, shifted)?;
    let least = g.constant_like(LEAST, positive);
    let inner = g.binary(Binary::Add, positive, least)?;
    let end = g.constant(1.0, &[elements, 1], dtype);
    Ok([g.concat(&[end, inner], 1)?, g.concat(&[inner, end], 1)?])
}

/// 1 for the bin that an element lies in, 0 for the others, `[elements, bins]`.
fn bin_of(g: &mut Graph, x: NodeId, begins: NodeId) -> Result<NodeId> {
    let (bins, dtype) = (g[begins].dims[1], g[begins].dtype);
    let x = back(g, x, begins, &[1])?;
    let behind = g.compare(Compare::Ge, x, begins)?;
    let behind = g.cast(behind, dtype);
    // The last bin that begins before the element: behind its begin and not behind the next one's.
    let next = g.slice(behind, 1, 1, bins - 1)?;
    let next = g.pad(next, 1, 0, bins)?;
    let first = g.iota(&[g[begins].dims[0], bins], 1)?;
    let zero = g.constant_like(0.0, first);
    let first = g.compare(Compare::Eq, first, zero)?;
    let one = g.constant_like(1.0, behind);
    // Rounding may put an element before the first bin.
    let behind = g.select(first, one, behind)?;
    g.binary(Binary::Sub, behind, next)
}

/// before + after − 2 mean
fn bend(g: &mut Graph, before: NodeId, after: NodeId, mean: NodeId) -> Result<NodeId> {
    let sum = g.binary(Binary::Add, before, after)?;
    let twice = scale(g, mean, 2.0)?;
    g.binary(Binary::Sub, sum, twice)
}

/// How far along its bin the map takes the value y: the root of a quadratic equation (equations 6 to 8 and 29), in the
/// form that does not cancel.
fn share_of_height(g: &mut Graph, y: NodeId, [low, height, mean, before, after]: [NodeId; 5]) -> Result<NodeId> {
    // All in shares of the height, so that no number is as small as a product of two lengths.
    let up = g.binary(Binary::Sub, y, low)?;
    let up = g.binary(Binary::Div, up, height)?;
    let bend = bend(g, before, after, mean)?;
    let bent = g.binary(Binary::Mul, up, bend)?;
    let a = g.binary(Binary::Sub, mean, before)?;
    let a = g.binary(Binary::Add, a, bent)?;
    let b = g.binary(Binary::Sub, before, bent)?;
    let c = g.binary(Binary::Mul, mean, up)?;
    let c = g.unary(Unary::Neg, c)?;
    let square = g.unary(Unary::Square, b)?;
    let product = g.binary(Binary::Mul, a, c)?;
    let product = scale(g, product, 4.0)?;
    let discriminant = g.binary(Binary::Sub, square, product)?;
    // It is positive, and rounding may say that it is not.
    let least = g.constant_like(1e-20, discriminant);
    let large = g.compare(Compare::Gt, discriminant, least)?;
    let discriminant = g.select(large, discriminant, least)?;
    let root = g.unary(Unary::Sqrt, discriminant)?;
    // −2c / (b + √…) where b is positive, and (√… − b) / 2a where it is not: neither takes the difference of two numbers
    // that are nearly one.
    let zero = g.constant_like(0.0, b);
    let positive = g.compare(Compare::Ge, b, zero)?;
    let up = [scale(g, c, -2.0)?, g.binary(Binary::Sub, root, b)?];
    let down = [g.binary(Binary::Add, b, root)?, scale(g, a, 2.0)?];
    let (up, down) = (g.select(positive, up[0], up[1])?, g.select(positive, down[0], down[1])?);
    g.binary(Binary::Div, up, down)
}
