//! Functions that go by indices.

use super::var::record;
use super::{ConstDim, Element, In, Scope, Shape, Var};

/// The rows of a table at the indices, which point into its first axis: `[D, ..]` at `[i, ..] in D` gives
/// `[i, .., ..]`, the shape `shape`.
pub fn gather<S, I, Dst, D, T>(table: &Var<S, T>, index: &Var<I, In<D>>, shape: Dst) -> Var<Dst, T>
where
    S: Shape,
    I: Shape,
    Dst: Shape,
    D: super::Dim,
    T: Element,
{
    record(&[table.erased(), index.erased()], shape, &|g, n| g.gather(n[0], n[1]))
}

/// The position along the last axis, 0, 1, 2, …, as an index into `D`. It is an error of the recording if the axis is
/// longer than `D`.
pub fn positions<S: Shape, D: ConstDim>(scope: &Scope, shape: S) -> Var<S, In<D>> {
    scope.positions(shape, D::SIZE)
}
