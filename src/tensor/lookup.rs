//! Functions that go by indices.

use super::var::record;
use super::{Element, In, Shape, Var};

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
