//! What each op means, in one place per op: a file of this room answers for it (`ops::rule::Rule`), and the list of ops is
//! closed ([`Op`](crate::graph::Op)), so that a forgotten answer does not compile.
//!
//! - [`verify`] is the specification of a well-formed graph.
//! - [`interpret`] is the meaning of a graph, in plain f64 loops: the judge of every backend.
//! - [`vjp`] is the derivative of a node, as further nodes of the same graph.
//! - [`cases`] are the examples that the tests of derivatives and kernels walk.

mod rule;
mod attention;
mod cases;
mod causal;
mod conv;
mod custom;
mod elementwise;
mod index;
mod interpret;
mod leaf;
mod logic;
mod lookup;
mod matmul;
mod nest;
mod pool;
mod random;
mod reduce;
mod special;
mod structure;
mod term;
mod verify;

pub use cases::{Case, Domain};

pub(crate) use causal::{Obstacle, causal, tells_apart};
#[cfg(all(test, feature = "check"))]
pub(crate) use elementwise::{binary_domains, jumps, unary_domain};
pub(crate) use interpret::evaluate;
pub use interpret::{Interpretation, interpret};
pub(crate) use rule::Kind;
pub use rule::{Walk, cases};
pub use verify::verify;

use crate::graph::{Binary, Graph, NodeId};
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
    let none = vec![None; graph[node].inputs.len()];
    let op = graph[node].op.clone();
    if op.kind() != Kind::Loop {
        let Some(c) = cotangents.first().copied().flatten() else { return Ok(none) };
        let (value, given) = (&graph[node], &graph[c]);
        if value.dims != given.dims || value.dtype != given.dtype {
            return Err(Error::shape(
                "vjp",
                format!(
                    "the cotangent of a value {:?}{:?} must be of its shape, and is {:?}{:?}",
                    value.dtype, value.dims, given.dtype, given.dims
                ),
            ));
        }
        if !value.dtype.is_float() {
            return Ok(none);
        }
    }
    rule::with(&op, |rule| rule.vjp(graph, node, rule::Cotangents(cotangents), walk))
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
