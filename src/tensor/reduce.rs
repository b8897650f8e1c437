//! Reductions over axes that the type names, and what goes along one.

use super::composite;
use super::var::record;
use super::{Axes, Float, HasAxes, HasDim, In, ReduceShapeTo, Shape, Var};
use crate::Result;
use crate::graph::{Graph, NodeId, ReduceOp};

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident = $operation:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name<S, Dst, Ax, E>(x: &Var<S, E>) -> Var<Dst, E>
        where
            S: Shape + ReduceShapeTo<Dst, Ax>,
            Dst: Shape,
            Ax: Axes,
            E: Float,
        {
            reduce(x, $operation)
        }
    )*};
}

reductions! {
    /// The sum along the axes `Ax`, which go.
    sum = |g, x, axes| g.sum(x, axes);
    /// The mean along the axes `Ax`, which go.
    mean = composite::mean;
    /// The greatest element along the axes `Ax`, which go.
    max = |g, x, axes| g.reduce(ReduceOp::Max, x, axes);
    /// The least element along the axes `Ax`, which go.
    min = |g, x, axes| g.reduce(ReduceOp::Min, x, axes);
    /// ln Σ eˣ along the axes `Ax`, which go, without overflow.
    logsumexp = composite::logsumexp;
    /// The logarithm of the standard normal density, summed along the axes `Ax`, which go: Σ −x²/2 − ln(2π)/2.
    normal_log_prob = composite::normal_log_prob;
}

/// The variance along the axes `Ax`, which go: the mean squared distance from the mean, or with n − 1 in place of n if
/// `unbiased`.
pub fn var<S, Dst, Ax, E>(x: &Var<S, E>, unbiased: bool) -> Var<Dst, E>
where
    S: Shape + ReduceShapeTo<Dst, Ax>,
    Dst: Shape,
    Ax: Axes,
    E: Float,
{
    let operation = if unbiased {
        |g: &mut Graph, x, axes: &[usize]| composite::var(g, x, axes, true)
    } else {
        |g: &mut Graph, x, axes: &[usize]| composite::var(g, x, axes, false)
    };
    reduce(x, operation)
}

/// The position of the greatest element along the axis `Ax`, which is of the dimension `D` and goes; the first of
/// equals.
pub fn argmax<S, Dst, Ax, D, E>(x: &Var<S, E>) -> Var<Dst, In<D>>
where
    S: Shape + ReduceShapeTo<Dst, Ax> + HasDim<Ax, Dim = D>,
    Dst: Shape,
    Ax: Axes,
    D: super::Dim,
    E: Float,
{
    let axes = axes_of::<S, Ax>();
    record(&[x.erased()], reduced(x.shape(), &axes), &|g, n| g.argmax(n[0], axes[0]))
}

/// eˣ / Σ eˣ along the axes `Ax`.
pub fn softmax<S: Shape + HasAxes<Ax>, Ax: Axes, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| composite::softmax(g, n[0], &axes_of::<S, Ax>()))
}

/// ln softmax x = x − ln Σ eˣ along the axes `Ax`.
pub fn log_softmax<S: Shape + HasAxes<Ax>, Ax: Axes, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| composite::log_softmax(g, n[0], &axes_of::<S, Ax>()))
}

/// The elements of the axis `Ax` in the opposite order.
pub fn flip<S: Shape + HasAxes<Ax>, Ax: Axes, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| axes_of::<S, Ax>().into_iter().try_fold(n[0], |x, axis| g.flip(x, axis)))
}

fn reduce<S, Dst, Ax, E>(x: &Var<S, E>, operation: fn(&mut Graph, NodeId, &[usize]) -> Result<NodeId>) -> Var<Dst, E>
where
    S: Shape + ReduceShapeTo<Dst, Ax>,
    Dst: Shape,
    Ax: Axes,
    E: Float,
{
    let axes = axes_of::<S, Ax>();
    record(&[x.erased()], reduced(x.shape(), &axes), &|g, n| operation(g, n[0], &axes))
}

/// The axes as numbers, ascending. dfdx calls the axes of a scalar `Axis<0>`, so what lies beyond the rank is none.
pub(crate) fn axes_of<S: Shape, Ax: Axes>() -> Vec<usize> {
    let mut axes: Vec<usize> =
        Ax::as_array().into_iter().map(|axis| axis as usize).filter(|&a| a < S::NUM_DIMS).collect();
    axes.sort_unstable();
    axes
}

/// The shape without `axes`.
pub(crate) fn reduced<S: Shape, Dst: Shape>(shape: &S, axes: &[usize]) -> Dst {
    let dims = shape.concrete();
    let kept = (0..S::NUM_DIMS).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis]);
    let mut reduced = Dst::Concrete::default();
    for (i, size) in kept.enumerate() {
        reduced[i] = size;
    }
    Dst::from_concrete(&reduced).expect("ReduceShapeTo promises that the remaining dimensions are those of the result")
}
