//! Distances between clouds of points as losses D(f_θ#α, β) of a net (Peyré, equation 9), where the rows of tensors are points.

use crate::graph::{Binary, Compare, DType, Distribution, Graph, NodeId, ReduceOp, Unary};
use crate::tensor::composite::{back, logsumexp, mean, mean_all, mse, scale};
use crate::tensor::{Float, Scope, Shape, Var, record};
use crate::{Error, Result};

/// The Sinkhorn divergence OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y) of the rows of two tensors, for half the squared distance as
/// cost (Genevay, Peyré, Cuturi 2018; Feydy et al. 2019), in the logarithmic domain. [`Sinkhorn`](super::Sinkhorn) is the same
/// on the host.
///
/// The potentials are found in so many turns, in the first half of which ε falls to its value. The gradient is that at the
/// optimum, where potentials do not count (Danskin 1967): it costs no more memory with more turns, and is as exact as the
/// turns suffice; of second order it is not.
///
/// # Errors
/// At [`Scope::finish`]: if the clouds are no two matrices with rows of one length, ε is not positive, or there is no turn.
pub fn sinkhorn_divergence<X: Shape, Y: Shape, E: Float>(
    x: &Var<X, E>,
    y: &Var<Y, E>,
    epsilon: f64,
    turns: usize,
) -> Var<(), E> {
    record(&[x.erased(), y.erased()], (), &|g, n| {
        expect_clouds(g, "sinkhorn_divergence", n[0], n[1])?;
        if !(epsilon > 0.0 && epsilon.is_finite() && turns > 0) {
            let problem = format!("takes ε above 0 and at least one turn, not {epsilon} and {turns}");
            return Err(Error::shape("sinkhorn_divergence", problem));
        }
        let [x, y] = centred(g, n[0], n[1])?;
        let [fixed_x, fixed_y] = [x, y].map(|cloud| g.stop_gradient(cloud));
        let across = potentials(g, fixed_x, fixed_y, epsilon, turns)?;
        let within_x = potentials(g, fixed_x, fixed_x, epsilon, turns)?;
        let within_y = potentials(g, fixed_y, fixed_y, epsilon, turns)?;
        let mut value = g.constant(0.0, &[], g[x].dtype);
        for (cloud, fixed, other, own) in [(x, fixed_y, across[1], within_x[1]), (y, fixed_x, across[0], within_y[1])] {
            let towards = extended(g, cloud, fixed, other, epsilon)?;
            let same = if cloud == x { fixed_x } else { fixed_y };
            let itself = extended(g, cloud, same, own, epsilon)?;
            let difference = g.binary(Binary::Sub, towards, itself)?;
            let mean = mean_all(g, difference)?;
            value = g.binary(Binary::Add, value, mean)?;
        }
        Ok(value)
    })
}

/// Both clouds, moved by the middle of the second, which changes no distance: squares of large numbers would leave few digits
/// for their difference.
fn centred(g: &mut Graph, x: NodeId, y: NodeId) -> Result<[NodeId; 2]> {
    let middle = mean(g, y, &[0])?;
    let middle = g.stop_gradient(middle);
    let mut moved = [x, y];
    for cloud in &mut moved {
        let middle = back(g, middle, *cloud, &[0])?;
        *cloud = g.binary(Binary::Sub, *cloud, middle)?;
    }
    Ok(moved)
}

/// The potentials of two clouds after so many turns, without a gradient.
fn potentials(g: &mut Graph, x: NodeId, y: NodeId, epsilon: f64, turns: usize) -> Result<[NodeId; 2]> {
    let costs = half_squares(g, x, y)?;
    let dtype = g[costs].dtype;
    let greatest = g.reduce(ReduceOp::Max, costs, &[0, 1])?;
    // ln(greatest / ε), at least 0.
    let ratio = scale(g, greatest, epsilon.recip())?;
    let one = g.constant(1.0, &[], dtype);
    let ratio = g.binary(Binary::Max, ratio, one)?;
    let fall = g.unary(Unary::Ln, ratio)?;
    let starts = [0, 1].map(|axis| {
        let len = g[costs].dims[axis];
        g.constant(0.0, &[len], dtype)
    });
    let ends = g.repeat(turns, &starts, |outer, body, carries| {
        let (costs, fall, step) = (body.lift(outer, costs), body.lift(outer, fall), body.step());
        // ε · (greatest / ε)^max(0, 1 − 2 step / turns)
        let step = body.cast(step, dtype);
        let passed = scale(body, step, -2.0 / turns as f64)?;
        let one = body.constant(1.0, &[], dtype);
        let left = body.binary(Binary::Add, passed, one)?;
        let left = body.unary(Unary::Relu, left)?;
        let above = body.binary(Binary::Mul, left, fall)?;
        let factor = body.unary(Unary::Exp, above)?;
        let now = scale(body, factor, epsilon)?;
        let second = soft_minimum(body, costs, carries[0], now, 0)?;
        let first = soft_minimum(body, costs, second, now, 1)?;
        if x != y {
            return Ok(vec![first, second]);
        }
        // Between a cloud and itself both potentials are one, and the mean of two turns is nearer to it.
        let sum = body.binary(Binary::Add, first, second)?;
        let mean = scale(body, sum, 0.5)?;
        Ok(vec![mean, mean])
    })?;
    Ok([g.stop_gradient(ends[0]), g.stop_gradient(ends[1])])
}

/// The potential of a cloud that belongs to that of another one.
fn extended(g: &mut Graph, cloud: NodeId, other: NodeId, potential: NodeId, epsilon: f64) -> Result<NodeId> {
    let costs = half_squares(g, cloud, other)?;
    let epsilon = g.constant(epsilon, &[], g[costs].dtype);
    soft_minimum(g, costs, potential, epsilon, 1)
}

/// −ε ln of the mean of e^((p − C)/ε) along an axis of the costs, which belongs to the potential p.
fn soft_minimum(g: &mut Graph, costs: NodeId, potential: NodeId, epsilon: NodeId, axis: usize) -> Result<NodeId> {
    let spread = back(g, potential, costs, &[1 - axis])?;
    let slack = g.binary(Binary::Sub, spread, costs)?;
    let wide = back(g, epsilon, costs, &[0, 1])?;
    let exponent = g.binary(Binary::Div, slack, wide)?;
    let sum = logsumexp(g, exponent, &[axis])?;
    let count = g.constant_like((g[costs].dims[axis] as f64).ln(), sum);
    let mean = g.binary(Binary::Sub, count, sum)?;
    let epsilon = back(g, epsilon, mean, &[0])?;
    g.binary(Binary::Mul, mean, epsilon)
}

/// ½ |xᵢ − yⱼ|²
fn half_squares(g: &mut Graph, x: NodeId, y: NodeId) -> Result<NodeId> {
    let products = g.matmul(x, y, [false, true])?;
    let mut squares = [x, y].into_iter().zip([1, 0]).map(|(cloud, axis)| {
        let square = g.unary(Unary::Square, cloud)?;
        let sum = g.sum(square, &[1])?;
        let half = scale(g, sum, 0.5)?;
        back(g, half, products, &[axis])
    });
    let (of_x, of_y) = (squares.next(), squares.next());
    drop(squares);
    let (Some(of_x), Some(of_y)) = (of_x, of_y) else { unreachable!("there are two clouds") };
    let sum = g.binary(Binary::Add, of_x?, of_y?)?;
    g.binary(Binary::Sub, sum, products)
}

/// The squared sliced Wasserstein distance of order 2 between the rows of two tensors of one shape: the mean, over directions
/// that are drawn anew in each step, of the mean squared difference of the sorted projections (Bonneel et al. 2015). On the
/// line it is the exact squared distance. Ranks are counted, in time quadratic in the number of points.
///
/// # Errors
/// At [`Scope::finish`]: if the clouds are no matrices of one shape, or there is no direction.
pub fn sliced_wasserstein_loss<S: Shape, E: Float>(
    scope: &Scope,
    x: &Var<S, E>,
    y: &Var<S, E>,
    directions: usize,
) -> Var<(), E> {
    let dims: Vec<usize> = x.shape().concrete().into();
    let width = dims.last().copied().unwrap_or_default();
    let draws: Var<(usize, usize), E> = scope.draw(Distribution::Normal, (directions, width));
    record(&[x.erased(), y.erased(), draws.erased()], (), &|g, n| {
        expect_clouds(g, "sliced_wasserstein", n[0], n[1])?;
        if g[n[0]].dims != g[n[1]].dims || directions == 0 {
            let problem = format!(
                "takes clouds of one shape and at least one direction, not {:?}, {:?} and {directions}",
                g[n[0]].dims, g[n[1]].dims
            );
            return Err(Error::shape("sliced_wasserstein", problem));
        }
        let square = g.unary(Unary::Square, n[2])?;
        let square = g.sum(square, &[1])?;
        let inverse = g.unary(Unary::Rsqrt, square)?;
        let inverse = back(g, inverse, n[2], &[1])?;
        let directions = g.binary(Binary::Mul, n[2], inverse)?;
        let sorted = centred(g, n[0], n[1])?.map(|cloud| {
            let projections = g.matmul(directions, cloud, [false, true])?;
            sort_rows(g, projections)
        });
        let [x, y] = sorted;
        mse(g, x?, y?)
    })
}

/// The rows of a matrix, each from its least element to its greatest, one after the other. Each element goes to the place that
/// its rank says: the number of those that are less, or equal and before it.
fn sort_rows(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    let (rows, len, dtype) = (g[x].dims[0], g[x].dims[1], g[x].dtype);
    if dtype == DType::F32 && rows * len > 1 << f32::MANTISSA_DIGITS {
        let problem = format!("{rows} directions of {len} points are more places than an f32 counts; take fewer");
        return Err(Error::shape("sliced_wasserstein", problem));
    }
    let cube = [rows, len, len];
    let own = g.broadcast(x, &[2], &cube)?;
    let other = g.broadcast(x, &[1], &cube)?;
    let (own_place, other_place) = (g.iota(&cube, 1)?, g.iota(&cube, 2)?);
    let less = g.compare(Compare::Lt, other, own)?;
    let equal = g.compare(Compare::Eq, other, own)?;
    let before = g.compare(Compare::Lt, other_place, own_place)?;
    let counts = g.select(equal, before, less)?;
    let counts = g.cast(counts, dtype);
    let rank = g.sum(counts, &[2])?;
    let row = g.iota(&[rows, len], 0)?;
    let row = g.cast(row, dtype);
    let begin = scale(g, row, len as f64)?;
    let place = g.binary(Binary::Add, begin, rank)?;
    let place = g.cast(place, DType::Index);
    let place = g.reshape(place, &[rows * len])?;
    let x = g.reshape(x, &[rows * len])?;
    g.scatter_add(x, place, rows * len)
}

fn expect_clouds(g: &Graph, name: &'static str, x: NodeId, y: NodeId) -> Result<()> {
    match (&g[x].dims[..], &g[y].dims[..]) {
        (&[n, a], &[m, b]) if a == b && n > 0 && m > 0 => Ok(()),
        (x, y) => {
            Err(Error::shape(name, format!("takes two clouds of points, [n, d] and [m, d], not {x:?} and {y:?}")))
        }
    }
}
