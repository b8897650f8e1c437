//! What each op means, in one place per op: value, derivative and test cases. The list of ops is closed
//! ([`Op`]), and every function here matches on it without a rest arm, so a forgotten rule does not
//! compile.
//!
//! - [`verify`] is the specification of a well-formed graph.
//! - [`interpret`] is the meaning of a graph, in plain f64 loops: the judge of every backend.
//! - [`vjp`] is the derivative of a node, as further nodes of the same graph.
//! - [`cases`] are the examples that the tests of derivatives and kernels walk.

mod attention;
mod cases;
mod causal;
mod conv;
mod elementwise;
mod index;
mod interpret;
mod leaf;
mod logic;
mod lookup;
mod matmul;
mod nest;
mod pool;
mod reduce;
mod special;
mod structure;
mod term;
mod verify;

pub use cases::{Case, Domain, cases};

pub(crate) use causal::{Obstacle, causal, tells_apart};
pub(crate) use interpret::evaluate;
pub use interpret::{Interpretation, interpret};
pub use nest::Walk;
pub use verify::verify;

use crate::graph::{Binary, Graph, NodeId, Op};
use crate::{Error, Result};

/// The vector-Jacobian product of one node: given the cotangent c of its value y, the cotangent cᵀ ∂y/∂x of each
/// operand x, recorded as further nodes. `None` for an operand that the value does not depend on smoothly (indices,
/// truth values, keys).
///
/// A loop has a cotangent for each of its results, where there is one, all other nodes have one; the cotangent of a
/// `Part` is that of this one result of its operand. `walk` is the reverse walk, by which a loop differentiates its
/// body.
///
/// # Errors
/// If a cotangent has not the shape and element type of its value.
pub fn vjp(graph: &mut Graph, node: NodeId, cotangents: &[Option<NodeId>], walk: Walk) -> Result<Vec<Option<NodeId>>> {
    if let Op::Loop(_) = graph[node].op {
        return nest::vjp(graph, node, cotangents, walk);
    }
    let y = node;
    let Some(c) = cotangents.first().copied().flatten() else { return Ok(vec![None; graph[y].inputs.len()]) };
    if graph[y].dims != graph[c].dims || graph[y].dtype != graph[c].dtype {
        let (value, given) = (&graph[y], &graph[c]);
        return Err(Error::shape(
            "vjp",
            format!(
                "the cotangent of a value {:?}{:?} must be of its shape, and is {:?}{:?}",
                value.dtype, value.dims, given.dtype, given.dims
            ),
        ));
    }
    if !graph[y].dtype.is_float() {
        return Ok(vec![None; graph[y].inputs.len()]);
    }
    let (op, inputs) = (graph[y].op.clone(), graph[y].inputs.clone());
    let x = |i: usize| inputs[i];
    Ok(match op {
        Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::Iota { .. } => vec![],
        Op::Random { .. } => vec![None],
        Op::Unary(op) => elementwise::unary_vjp(graph, op, x(0), y, c),
        Op::Binary(op) => elementwise::binary_vjp(graph, op, x(0), x(1), y, c).map(Some).to_vec(),
        Op::Compare(_) => vec![None, None],
        Op::Select => {
            let [yes, no] = logic::select_vjp(graph, x(0), c)?;
            vec![None, Some(yes), Some(no)]
        }
        Op::StopGradient => vec![None],
        Op::Cast => vec![logic::cast_vjp(graph, x(0), c)],
        Op::Reduce { op, axes } => vec![Some(reduce::reduce_vjp(graph, op, x(0), y, c, &axes)?)],
        Op::ArgMax { .. } => vec![None],
        Op::Broadcast { axes } => vec![Some(structure::broadcast_vjp(graph, c, &axes)?)],
        Op::Reshape => vec![Some(structure::reshape_vjp(graph, x(0), c)?)],
        Op::Permute { order } => vec![Some(structure::permute_vjp(graph, c, &order)?)],
        Op::Slice { axis, start } => vec![Some(structure::slice_vjp(graph, x(0), c, axis, start)?)],
        Op::Pad { axis, start } => vec![Some(structure::pad_vjp(graph, x(0), c, axis, start)?)],
        Op::Concat { axis } => structure::concat_vjp(graph, &inputs, c, axis)?,
        Op::MatMul { transpose_left, transpose_right } => {
            matmul::matmul_vjp(graph, x(0), x(1), c, [transpose_left, transpose_right])?.map(Some).to_vec()
        }
        Op::Gather => vec![Some(lookup::gather_vjp(graph, x(0), x(1), c)?), None],
        Op::ScatterAdd => vec![Some(graph.gather(c, x(1))?), None],
        Op::Put => {
            let [table, values] = lookup::put_vjp(graph, x(0), x(1), c)?;
            vec![Some(table), None, Some(values)]
        }
        Op::Pool { pool, window } => pool::pool_vjp(graph, pool, window, &inputs, c)?,
        Op::Conv { pass, conv } => conv::conv_vjp(graph, pass, conv, x(0), x(1), c)?.map(Some).to_vec(),
        Op::Attention(op) => attention::attention_vjp(graph, y, c, &op)?,
        Op::AttentionGradient(op) => attention::gradient_vjp(graph, y, c, &op, walk)?,
        Op::FoldIn => vec![None, None],
        Op::Loop(_) => unreachable!("loops were differentiated above"),
        Op::Part(_) => vec![Some(c)],
    })
}

/// The sum of nodes of equal shape, added in pairs: rounding errors grow with the logarithm of their number.
/// `None` if there are none.
pub(crate) fn total(graph: &mut Graph, terms: &[NodeId]) -> Result<Option<NodeId>> {
    match *terms {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => {
            let (left, right) = terms.split_at(terms.len() / 2);
            let sums = [total(graph, left)?, total(graph, right)?];
            let [Some(left), Some(right)] = sums else {
                unreachable!("both halves of two or more terms have terms");
            };
            Ok(Some(graph.binary(Binary::Add, left, right)?))
        }
    }
}
