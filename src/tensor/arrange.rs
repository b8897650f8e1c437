//! Functions that move elements: broadcasting, dropping axes, joining.

use super::reduce::{axes_of, reduced};
use super::var::record;
use super::{Axes, BroadcastShapeTo, Element, Erased, Float, ReduceShapeTo, Shape, Var};
use crate::Error;
use crate::graph::Compare;

/// Repeats `x` along the axes `Ax` of the result, which are new.
pub fn broadcast<S, Dst, Ax, T>(x: &Var<S, T>, shape: Dst) -> Var<Dst, T>
where
    S: Shape + BroadcastShapeTo<Dst, Ax>,
    Dst: Shape,
    Ax: Axes,
    T: Element,
{
    let axes = axes_of::<Dst, Ax>();
    record(&[x.erased()], shape, &|g, n| g.broadcast(n[0], &axes, shape.concrete().as_ref()))
}

/// Drops the axes `Ax`, which have size 1.
pub fn squeeze<S, Dst, Ax, T>(x: &Var<S, T>) -> Var<Dst, T>
where
    S: Shape + ReduceShapeTo<Dst, Ax>,
    Dst: Shape,
    Ax: Axes,
    T: Element,
{
    let axes = axes_of::<S, Ax>();
    let shape: Dst = reduced(x.shape(), &axes);
    record(&[x.erased()], shape, &|g, n| match axes.iter().find(|&&axis| g[n[0]].dims[axis] != 1) {
        Some(axis) => Err(Error::shape("squeeze", format!("axis {axis} of {:?} is not 1 and cannot go", g[n[0]].dims))),
        None => g.reshape(n[0], shape.concrete().as_ref()),
    })
}

/// Operands one after the other along `axis`; `shape` is that of the result.
pub fn concat<Dst: Shape, T: Element, const N: usize>(operands: &[Erased; N], axis: usize, shape: Dst) -> Var<Dst, T> {
    const { assert!(N > 0, "concat needs an operand") };
    let operands: Vec<&Erased> = operands.iter().collect();
    record(&operands, shape, &|g, n| g.concat(n, axis))
}

/// The same elements in row-major order under another shape.
pub fn reshape<S: Shape, Dst: Shape, T: Element>(x: &Var<S, T>, shape: Dst) -> Var<Dst, T> {
    record(&[x.erased()], shape, &|g, n| g.reshape(n[0], shape.concrete().as_ref()))
}

/// Splits the axes of `x` into parts of the sizes `split`, puts them into `order`, repeats them along the axes `new` of
/// the parts `full`, and reads the result under `shape`: the pattern `[n, (h e)] -> [h, n, e]` has the split
/// `[n, h, e]` and the order `[1, 0, 2]`.
pub fn rearrange<Dst: Shape, T: Element>(
    x: &Erased,
    split: &[usize],
    order: &[usize],
    new: &[usize],
    full: &[usize],
    shape: Dst,
) -> Var<Dst, T> {
    record(&[x], shape, &|g, n| {
        let mut parts = g.reshape(n[0], split)?;
        if !order.is_sorted() {
            parts = g.permute(parts, order)?;
        }
        if !new.is_empty() {
            parts = g.broadcast(parts, new, full)?;
        }
        g.reshape(parts, shape.concrete().as_ref())
    })
}

/// The part of `x` along `axis` that begins at `start` and has the size that `shape` says.
pub fn slice<Dst: Shape, T: Element>(x: &Erased, axis: usize, start: usize, shape: Dst) -> Var<Dst, T> {
    record(&[x], shape, &|g, n| g.slice(n[0], axis, start, shape.concrete().as_ref()[axis]))
}

/// `x` at the place `start` of an axis of the size that `shape` says, with zeros around it.
pub fn pad<Dst: Shape, T: Element>(x: &Erased, axis: usize, start: usize, shape: Dst) -> Var<Dst, T> {
    record(&[x], shape, &|g, n| g.pad(n[0], axis, start, shape.concrete().as_ref()[axis]))
}

/// A row for each index, with 1 at the index: `[..] in D` gives `[.., D]`.
pub fn one_hot<Dst: Shape, E: Float>(index: &Erased, shape: Dst) -> Var<Dst, E> {
    record(&[index], shape, &|g, n| {
        let dims = shape.concrete();
        let dims = dims.as_ref();
        let last = dims.len() - 1;
        let (index, places) = (g.broadcast(n[0], &[last], dims)?, g.iota(dims, last)?);
        let hit = g.compare(Compare::Eq, index, places)?;
        Ok(g.cast(hit, E::DTYPE))
    })
}
