//! Reductions: sums and extremes over axes, and the position of the greatest.

use super::cases::{Case, Domain};
use super::index::{strides, walk, without};
use super::special::{greatest, least};
use crate::Result;
use crate::graph::{Binary, Compare, DType, Graph, NodeId, ReduceOp};

/// Combines the elements along `axes` of an operand of shape `from`. Extremes are NaN if any element is.
pub(super) fn reduce(op: ReduceOp, x: &[f64], from: &[usize], axes: &[usize], len: usize) -> Vec<f64> {
    let (start, combine): (f64, fn(f64, f64) -> f64) = match op {
        ReduceOp::Sum => (0.0, |a, b| a + b),
        ReduceOp::Max => (f64::NEG_INFINITY, greatest),
        ReduceOp::Min => (f64::INFINITY, least),
    };
    let mut y = vec![start; len];
    for (i, &element) in walk(from, &without(from, axes)).zip(x) {
        y[i] = combine(y[i], element);
    }
    y
}

/// The position of the greatest element along `axis`, the first of equals; the first NaN is the greatest of all.
pub(super) fn argmax(x: &[f64], from: &[usize], axis: usize, len: usize) -> Vec<f64> {
    let mut best: Vec<Option<(f64, usize)>> = vec![None; len];
    let step = strides(from)[axis];
    for (flat, (i, &element)) in walk(from, &without(from, &[axis])).zip(x).enumerate() {
        let greater = match best[i] {
            None => true,
            Some((known, _)) => !known.is_nan() && (element > known || element.is_nan()),
        };
        if greater {
            best[i] = Some((element, flat / step % from[axis]));
        }
    }
    best.into_iter().map(|found| found.map_or(0.0, |(_, position)| position as f64)).collect()
}

/// Of a sum: the cotangent, repeated. Of an extreme: shared equally among the elements that reach it, as PyTorch's
/// `amax` and `amin` do.
pub(super) fn reduce_vjp(
    graph: &mut Graph,
    op: ReduceOp,
    x: NodeId,
    y: NodeId,
    c: NodeId,
    axes: &[usize],
) -> Result<NodeId> {
    let (dims, dtype) = (graph[x].dims.clone(), graph[x].dtype);
    match op {
        ReduceOp::Sum => graph.broadcast(c, axes, &dims),
        ReduceOp::Max | ReduceOp::Min => {
            let extreme = graph.broadcast(y, axes, &dims)?;
            let reached = graph.compare(Compare::Eq, x, extreme)?;
            let ones = graph.cast(reached, dtype);
            let count = graph.sum(ones, axes)?;
            let share = graph.binary(Binary::Div, c, count)?;
            let share = graph.broadcast(share, axes, &dims)?;
            let zero = graph.constant_like(0.0, x);
            graph.select(reached, share, zero)
        }
    }
}

const ALL: Domain = Domain::reals(-3.0, 3.0);

pub(super) fn reduce_cases(op: ReduceOp, float: DType) -> Result<Vec<Case>> {
    let shapes: [(&[usize], &[usize]); 7] = [
        (&[5], &[0]),
        (&[4, 3], &[0]),
        (&[4, 3], &[1]),
        (&[4, 3], &[0, 1]),
        (&[2, 3, 4], &[1]),
        (&[2, 3, 4], &[0, 2]),
        (&[1, 3], &[0]),
    ];
    let mut cases: Vec<Case> = shapes
        .into_iter()
        .map(|(from, axes)| {
            Case::new(format!("{op:?} of {from:?} over {axes:?}"), float, &[(from, ALL)], |graph, x| {
                graph.reduce(op, x[0], axes)
            })
        })
        .collect::<Result<_>>()?;
    if op == ReduceOp::Sum {
        cases.push(Case::new("Sum of no elements", float, &[(&[0, 3], ALL)], |graph, x| graph.sum(x[0], &[0]))?);
    }
    Ok(cases)
}

pub(super) fn argmax_cases(float: DType) -> Result<Vec<Case>> {
    let along = |axis| {
        Case::new(format!("ArgMax over {axis}"), float, &[(&[4, 5, 3], ALL)], move |graph, x| graph.argmax(x[0], axis))
    };
    let ties = Case::new("ArgMax of equals", float, &[(&[6, 7], Domain::Indices(3))], |graph, x| {
        let x = graph.cast(x[0], float);
        graph.argmax(x, 1)
    });
    [along(0), along(1), along(2), ties].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_of_nan_are_nan() {
        assert!(reduce(ReduceOp::Max, &[1.0, f64::NAN, 3.0], &[3], &[0], 1)[0].is_nan());
        assert_eq!(argmax(&[1.0, f64::NAN, 3.0, f64::NAN], &[4], 0, 1), [1.0]);
    }
}
