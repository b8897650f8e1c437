//! Functions that move elements: broadcasting, dropping axes, joining.

use super::reduce::{axes_of, reduced};
use super::var::record;
use super::{Axes, BroadcastShapeTo, Element, Erased, ReduceShapeTo, Shape, Var};
use crate::Error;

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
