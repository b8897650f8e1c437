//! Ops that move elements and compute nothing. The derivative of each is another of them, or a sum.

use super::cases::{Case, Domain};
use super::index::{strides, walk, without};
use crate::Result;
use crate::graph::{DType, Graph, NodeId};

/// Repeats the operand along the new axes.
pub(super) fn broadcast(x: &[f64], dims: &[usize], axes: &[usize]) -> Vec<f64> {
    walk(dims, &without(dims, axes)).map(|i| x[i]).collect()
}

/// Axis i of the result is axis `order[i]` of the operand, whose shape is `from`.
pub(super) fn permute(x: &[f64], from: &[usize], order: &[usize]) -> Vec<f64> {
    let steps = strides(from);
    let dims: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
    let weights: Vec<usize> = order.iter().map(|&axis| steps[axis]).collect();
    walk(&dims, &weights).map(|i| x[i]).collect()
}

/// The part of `axis` that begins at `start`; `from` is the operand's shape.
pub(super) fn slice(x: &[f64], from: &[usize], dims: &[usize], axis: usize, start: usize) -> Vec<f64> {
    let steps = strides(from);
    walk(dims, &steps).map(|i| x[i + start * steps[axis]]).collect()
}

/// Zeros around the operand, whose shape is `from`.
pub(super) fn pad(x: &[f64], from: &[usize], dims: &[usize], axis: usize, start: usize) -> Vec<f64> {
    let mut y = vec![0.0; dims.iter().product()];
    place(&mut y, x, from, dims, axis, start);
    y
}

/// Operands one after the other along `axis`, each with its shape.
pub(super) fn concat(operands: &[(&[f64], &[usize])], dims: &[usize], axis: usize) -> Vec<f64> {
    let mut y = vec![0.0; dims.iter().product()];
    let mut start = 0;
    for (x, from) in operands {
        place(&mut y, x, from, dims, axis, start);
        start += from[axis];
    }
    y
}

/// Writes `x` of shape `from` into `y` of shape `dims`, beginning at `start` of `axis`.
fn place(y: &mut [f64], x: &[f64], from: &[usize], dims: &[usize], axis: usize, start: usize) {
    let steps = strides(dims);
    for (i, &element) in walk(from, &steps).zip(x) {
        y[i + start * steps[axis]] = element;
    }
}

/// The sum over what was repeated.
pub(super) fn broadcast_vjp(graph: &mut Graph, c: NodeId, axes: &[usize]) -> Result<NodeId> {
    graph.sum(c, axes)
}

/// The same elements under the operand's shape.
pub(super) fn reshape_vjp(graph: &mut Graph, x: NodeId, c: NodeId) -> Result<NodeId> {
    let dims = graph[x].dims.clone();
    graph.reshape(c, &dims)
}

/// The inverse order.
pub(super) fn permute_vjp(graph: &mut Graph, c: NodeId, order: &[usize]) -> Result<NodeId> {
    let mut inverse = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        inverse[from] = to;
    }
    graph.permute(c, &inverse)
}

/// Zeros where nothing was taken.
pub(super) fn slice_vjp(graph: &mut Graph, x: NodeId, c: NodeId, axis: usize, start: usize) -> Result<NodeId> {
    let len = graph[x].dims[axis];
    graph.pad(c, axis, start, len)
}

/// The part where the operand stands.
pub(super) fn pad_vjp(graph: &mut Graph, x: NodeId, c: NodeId, axis: usize, start: usize) -> Result<NodeId> {
    let len = graph[x].dims[axis];
    graph.slice(c, axis, start, len)
}

/// Each operand's part.
pub(super) fn concat_vjp(
    graph: &mut Graph,
    operands: &[NodeId],
    c: NodeId,
    axis: usize,
) -> Result<Vec<Option<NodeId>>> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(operands.len());
    for &x in operands {
        parts.push(Some(pad_vjp(graph, x, c, axis, start)?));
        start += graph[x].dims[axis];
    }
    Ok(parts)
}

const ALL: Domain = Domain::reals(-3.0, 3.0);

pub(super) fn broadcast_cases(float: DType) -> Result<Vec<Case>> {
    let shapes: [(&[usize], &[usize], &[usize]); 5] = [
        (&[], &[0], &[4]),
        (&[3], &[0], &[4, 3]),
        (&[4], &[1], &[4, 3]),
        (&[3, 2], &[0, 2], &[4, 3, 5, 2]),
        (&[2, 3], &[1, 3], &[2, 1, 3, 2]),
    ];
    shapes
        .into_iter()
        .map(|(from, axes, to)| {
            Case::new(format!("Broadcast {from:?} to {to:?}"), float, &[(from, ALL)], |graph, x| {
                graph.broadcast(x[0], axes, to)
            })
        })
        .collect()
}

pub(super) fn reshape_cases(float: DType) -> Result<Vec<Case>> {
    let shapes: [(&[usize], &[usize]); 3] = [(&[4, 6], &[2, 2, 6]), (&[1, 1], &[]), (&[2, 3, 4], &[4, 6])];
    let reshapes = shapes.into_iter().map(|(from, to)| {
        Case::new(format!("Reshape {from:?} to {to:?}"), float, &[(from, ALL)], |graph, x| graph.reshape(x[0], to))
    });
    // After a permutation the elements must be moved.
    let moved = Case::new("Reshape of a permutation", float, &[(&[3, 4], ALL)], |graph, x| {
        let turned = graph.permute(x[0], &[1, 0])?;
        graph.reshape(turned, &[2, 6])
    });
    reshapes.chain([moved]).collect()
}

pub(super) fn permute_cases(float: DType) -> Result<Vec<Case>> {
    let orders: [(&[usize], &[usize]); 3] =
        [(&[3, 4], &[1, 0]), (&[2, 3, 4], &[2, 0, 1]), (&[2, 3, 4, 5], &[0, 2, 1, 3])];
    orders
        .into_iter()
        .map(|(from, order)| {
            Case::new(format!("Permute {from:?} by {order:?}"), float, &[(from, ALL)], |graph, x| {
                graph.permute(x[0], order)
            })
        })
        .collect()
}

pub(super) fn slice_cases(float: DType) -> Result<Vec<Case>> {
    [(0, 1, 2), (1, 0, 3), (1, 3, 2), (1, 2, 0)]
        .into_iter()
        .map(|(axis, start, len)| {
            let name = format!("Slice {start}..{} of axis {axis}", start + len);
            Case::new(name, float, &[(&[3, 5], ALL)], |graph, x| graph.slice(x[0], axis, start, len))
        })
        .collect()
}

pub(super) fn pad_cases(float: DType) -> Result<Vec<Case>> {
    [(0, 1, 5), (1, 0, 4), (1, 2, 4)]
        .into_iter()
        .map(|(axis, start, len)| {
            let name = format!("Pad axis {axis} to {len} from {start}");
            Case::new(name, float, &[(&[3, 2], ALL)], |graph, x| graph.pad(x[0], axis, start, len))
        })
        .collect()
}

pub(super) fn concat_cases(float: DType) -> Result<Vec<Case>> {
    let rows = Case::new("Concat rows", float, &[(&[2, 3], ALL), (&[1, 3], ALL), (&[4, 3], ALL)], |graph, x| {
        graph.concat(x, 0)
    });
    let columns = Case::new("Concat columns", float, &[(&[2, 3], ALL), (&[2, 1], ALL)], |graph, x| graph.concat(x, 1));
    let twice =
        Case::new("Concat of one operand twice", float, &[(&[2, 3], ALL)], |graph, x| graph.concat(&[x[0], x[0]], 1));
    let single = Case::new("Concat of one operand", float, &[(&[2, 3], ALL)], |graph, x| graph.concat(x, 0));
    [rows, columns, twice, single].into_iter().collect()
}
