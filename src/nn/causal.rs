//! Whether a net can be read piece by piece: what it gives at a position depends on no later one.

use super::{Net, trace};
use crate::graph::{Graph, Node, Op};
use crate::tensor::Float;
use crate::{Error, Result};

/// How many positions a net of these run-time dimensions reads: as many as its causal attentions go along, or its
/// `positions`; 0 if it has neither.
///
/// # Errors
/// If another operation than causal attention mixes positions.
pub(super) fn positions<E: Float, M: Net<E>>(dims: &[usize]) -> Result<usize> {
    let graph = trace::<E, M>(dims, false)?;
    // Axes of positions are those whose size changes with that of the dimension.
    for (i, &size) in dims.iter().enumerate().filter(|(_, size)| **size > 0) {
        let others = [size + 1, size - 1].map(|other| [&dims[..i], &[other], &dims[i + 1..]].concat());
        let Some(other) = others.iter().find_map(|dims| trace::<E, M>(dims, false).ok()) else { continue };
        if find(&graph, &other, counts).is_none() {
            continue;
        }
        return match find(&graph, &other, mixes) {
            None => Ok(size),
            Some(node) => Err(Error::value(format!(
                "`{}` cannot be read piece by piece: {:?} goes over positions, which causal attention alone may do",
                M::NAME,
                node.op
            ))),
        };
    }
    Ok(0)
}

/// Whether an axis of the i-th operand is one of positions.
type Along<'a> = &'a dyn Fn(usize, usize) -> bool;

/// The first node for which `holds`, in a graph or in the bodies of its loops. `other` is the same graph for another
/// number of positions.
fn find<'g>(graph: &'g Graph, other: &Graph, holds: fn(&Node, Along<'_>) -> bool) -> Option<&'g Node> {
    graph.nodes.iter().zip(&other.nodes).find_map(|(node, twin)| {
        if let (Op::Loop(own), Op::Loop(twin)) = (&node.op, &twin.op) {
            return find(&own.body, &twin.body, holds);
        }
        // The parts of what attention gives.
        if node.inputs.first().is_some_and(|x| matches!(graph[*x].op, Op::Attention(_))) {
            return None;
        }
        let along = |operand: usize, axis: usize| {
            let at = node.inputs.get(operand).zip(twin.inputs.get(operand));
            let (own, twin) = at.map_or((node, twin), |(a, b)| (&graph[*a], &other[*b]));
            own.dims.get(axis) != twin.dims.get(axis)
        };
        holds(node, &along).then_some(node)
    })
}

/// Whether an operation tells positions apart.
fn counts(node: &Node, along: Along<'_>) -> bool {
    match &node.op {
        Op::Iota { axis } => along(0, *axis),
        Op::Attention(how) => how.causal && along(0, 2),
        _ => false,
    }
}

/// Whether an operation makes what it gives at one position of others.
fn mixes(node: &Node, along: Along<'_>) -> bool {
    match &node.op {
        Op::Reduce { axes, .. } => axes.iter().any(|&axis| along(0, axis)),
        Op::ArgMax { axis } | Op::Slice { axis, .. } | Op::Pad { axis, .. } => along(0, *axis),
        Op::Concat { axis } => (0..node.inputs.len()).any(|operand| along(operand, *axis)),
        Op::MatMul { transpose_left, .. } => along(0, node.dims.len() - 1 - usize::from(*transpose_left)),
        Op::Gather | Op::ScatterAdd | Op::Put => along(0, 0),
        Op::Pool { .. } => (node.dims.len().saturating_sub(2)..node.dims.len()).any(|axis| along(0, axis)),
        Op::Conv { .. } => along(0, 2) || along(0, 3),
        Op::Attention(how) => !how.causal && along(1, 2),
        _ => false,
    }
}
