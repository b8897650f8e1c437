//! What each op means, in one place per op: its file appends it to graphs and answers for it (`ops::rule::Rule`). The list of
//! ops below is closed, so that a forgotten answer does not compile; passes ask an op what kind it is, and know none by name.
//!
//! - [`verify`] is the specification of a well-formed graph.
//! - [`interpret`] is the meaning of a graph, in plain f64 loops: the judge of every backend.
//! - [`vjp`] is the derivative of a node, as further nodes of the same graph.
//! - [`cases`] are the examples that the tests of derivatives and kernels walk.

mod rule;
mod kind;
mod simplify;
mod attention;
mod cases;
mod causal;
mod conv;
mod custom;
mod elementwise;
mod flip;
mod index;
mod interpret;
mod joins;
mod leaf;
mod logic;
mod lookup;
mod matmul;
mod nest;
mod pool;
mod random;
mod reduce;
mod special;
mod term;
mod verify;
mod views;

pub use attention::{Attend, Attention};
pub use cases::{Case, Domain};
pub use custom::{Custom, Foreign, Function, Values};
pub use interpret::{Interpretation, interpret};
pub use leaf::Distribution;
pub use nest::{Body, Loop, LoopGradient, Looped};
pub use reduce::ReduceOp;
pub use rule::Walk;
pub use verify::verify;

pub(crate) use causal::{Obstacle, causal, obstacle, tells_apart};
#[cfg(all(test, feature = "check"))]
pub(crate) use elementwise::{binary_domains, jumps, unary_domain};
pub(crate) use interpret::evaluate;
pub(crate) use kind::{Boundary, Fused, Kind, Operands, Place, Seen, number};
pub(crate) use simplify::Rewriter;

use crate::graph::{Binary, Compare, Conv, DType, Graph, NodeId, Pass, Pool, Unary, Window};
use crate::{Error, Result};
use rule::{Rule, ops};
use std::sync::Arc;

ops! {
    /// The i-th input of the run.
    Input(i: usize) => leaf::Input: leaf::Input(*i);
    /// The i-th tensor of the state, as it was before the run.
    State(i: usize) => leaf::State: leaf::State(*i);
    /// One number in every element; any shape, any element type.
    Constant(value: f64) => leaf::Constant: leaf::Constant(*value);
    /// The position along an axis, as an `Index`.
    Iota {
        /// The axis that is counted.
        axis: usize
    } => leaf::Iota: leaf::Iota(*axis);
    /// One draw per element, keyed by (seed, step, path, position). Operand: the key.
    Random {
        /// What is drawn.
        distribution: Distribution,
        /// The hash of the label path.
        path: u64
    } => leaf::Random: leaf::Random(*distribution, *path);
    /// A function of one real number.
    Unary(f: Unary) => Unary: *f;
    /// A function of two real numbers.
    Binary(f: Binary) => Binary: *f;
    /// A comparison of two reals or two indices; gives `Bool`.
    Compare(f: Compare) => Compare: *f;
    /// `if a { b } else { c }`, elementwise. Operands: `Bool`, then two of the node's type.
    Select => logic::Select: logic::Select;
    /// `Bool` (0 or 1), `Index` or a real as the node's element type. To `Bool`: is it other than zero?
    Cast => logic::Cast: logic::Cast;
    /// The operand, which the derivative takes for a constant. Once derivatives are taken, it is its operand.
    StopGradient => logic::StopGradient: logic::StopGradient;
    /// Removes axes by combining their elements.
    Reduce {
        /// How elements combine.
        op: ReduceOp,
        /// The axes that go, ascending.
        axes: Vec<usize>
    } => reduce::Reduce<'_>: reduce::Reduce { op: *op, axes };
    /// The position of the greatest element along an axis, the first of equals; gives `Index`.
    ArgMax {
        /// The axis that goes.
        axis: usize
    } => reduce::ArgMax: reduce::ArgMax(axis);
    /// Inserts axes, repeating the operand along them.
    Broadcast {
        /// Where the new axes stand in the result, ascending.
        axes: Vec<usize>
    } => views::Broadcast<'_>: views::Broadcast(axes);
    /// The same elements in row-major order under another shape.
    Reshape => views::Reshape: views::Reshape;
    /// Axis i of the result is axis `order[i]` of the operand.
    Permute {
        /// The order of the axes.
        order: Vec<usize>
    } => views::Permute<'_>: views::Permute(order);
    /// The part of an axis that begins at `start` and is as long as the node's own size there.
    Slice {
        /// The axis that is cut.
        axis: usize,
        /// The first position taken.
        start: usize
    } => views::Slice: views::Slice { axis: *axis, start: *start };
    /// The elements of an axis in the opposite order.
    Flip {
        /// The axis whose elements change places.
        axis: usize
    } => flip::Flip: flip::Flip(*axis);
    /// Zeros around the operand along an axis: the operand begins at `start`, the node's own size says where it ends.
    Pad {
        /// The axis that grows.
        axis: usize,
        /// Where the operand begins.
        start: usize
    } => joins::Pad: joins::Pad { axis: *axis, start: *start };
    /// Operands one after the other along an axis.
    Concat {
        /// The axis that grows.
        axis: usize
    } => joins::Concat: joins::Concat(*axis);
    /// Matrix product over the last two axes; leading axes are equal and run in parallel.
    /// `[.., m, k] · [.., k, n] → [.., m, n]`; a transposed operand is stored as `[.., k, m]` or `[.., n, k]`.
    MatMul {
        /// Whether the left operand is stored transposed.
        transpose_left: bool,
        /// Whether the right operand is stored transposed.
        transpose_right: bool
    } => matmul::MatMul: matmul::MatMul([*transpose_left, *transpose_right]);
    /// Rows of a table by their indices. Operands: the table `[rows, ..]`, indices `[i, ..]`; gives `[i, .., ..]`.
    Gather => lookup::Gather: lookup::Gather;
    /// For each row of a table the sum of the values that have its index. Operands: values `[i, .., ..]`, indices
    /// `[i, ..]`; gives `[rows, ..]`.
    ScatterAdd => lookup::ScatterAdd: lookup::ScatterAdd;
    /// A table with some rows replaced; of equal indices the last one's row stays. Operands: the table, indices, the rows.
    Put => lookup::Put: lookup::Put;
    /// Windows over the last two axes. Operands: the tensor, and for some the positions within each plane.
    Pool {
        /// What happens at each window.
        pool: Pool,
        /// The windows.
        window: Window
    } => pool::Pooling: pool::Pooling(*pool, *window);
    /// One pass of a convolution over the last two axes, of operands with four.
    Conv {
        /// Which tensor is computed.
        pass: Pass,
        /// The geometry.
        conv: Conv
    } => conv::Convolution: conv::Convolution(*pass, *conv);
    /// Scaled dot-product attention, [`Graph::attention`]. One axis: the result as `[n, t, h, f]`,
    /// then the logarithms of the softmax's denominators, `[n, h, t]`.
    Attention(how: Attention) => attention::Forward<'_>: attention::Forward(how);
    /// Its derivative from those of result and logarithms. One axis: the cotangents of the queries as `[n, t, h, e]`, of
    /// the keys as `[n, s, g, e]`, of the values as `[n, s, g, f]`; where `t = s` these three lie side by side, as
    /// `[n, t, (h + g) e + g f]`.
    AttentionGradient(how: Attention) => attention::Backward<'_>: attention::Backward(how);
    /// The key that follows from a key and the number of a step. Operands: the key, one `Index`.
    FoldIn => nest::FoldIn: nest::FoldIn;
    /// A body that runs so many times. It has several results, which only `Part` reads.
    Loop(nest: Arc<Loop>) => &Loop: &**nest;
    /// The i-th result of a loop.
    Part(i: usize) => nest::Part: nest::Part(*i);
    /// An op from outside of the library.
    Custom(op: Foreign) => Foreign: *op;
}

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
    if !matches!(op.kind(), Kind::Loop(_)) {
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
    op.with(|rule| rule.vjp(graph, node, rule::Cotangents(cotangents), walk))
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
