//! Ops from outside of the library.

use super::var::record;
use super::{Erased, Float, Shape, Var};
use crate::graph::Custom;
use std::sync::Arc;

/// An op from outside of the library, of at least one operand; `shape` is that of the result, which the op gives too. A
/// function that calls it is a step of a net: `x |> crate::running_mean -> [n, t]`.
pub fn custom<Dst: Shape, E: Float, const N: usize>(
    op: impl Custom,
    operands: &[Erased; N],
    shape: Dst,
) -> Var<Dst, E> {
    const { assert!(N > 0, "a custom op needs an operand") };
    let op: Arc<dyn Custom> = Arc::new(op);
    let operands: Vec<&Erased> = operands.iter().collect();
    record(&operands, shape, &|graph, nodes| graph.foreign(Arc::clone(&op), nodes))
}
