//! Continuous normalizing flows: the solution of a differential equation together with the logarithm of its determinant.

use crate::grad::vjp;
use crate::graph::{Binary, Graph, NodeId};
use crate::ode::{Field, Integral, solve, stand_in};
use crate::ops::total;
use crate::tensor::{Float, ReduceShapeTo, Shape, Var, record};
use crate::{Error, Result};

/// How the trace of ∂f/∂x comes about.
#[derive(Clone, Debug)]
pub enum Trace<'a, S: Shape, E: Float> {
    /// As many derivatives as the last axis is long.
    Exact,
    /// One derivative along these directions, of which each component has mean 0 and variance 1: the mean of
    /// ε·(∂f/∂x)·ε is the trace (Hutchinson 1990; FFJORD, Grathwohl et al. 2019).
    Hutchinson(&'a Var<S, E>),
}

/// The solution z of x′ = f(s, x) at the end of the span that begins as `x`, and ln |det ∂z/∂x| for the points along the last
/// axis: the integral of the trace of ∂f/∂x (Chen et al. 2018, theorem 1). The field must take each point by itself, as
/// layers on the last axis do. The shape of the determinant is that of `x` without its last axis.
///
/// # Errors
/// At [`Scope::finish`](crate::tensor::Scope::finish): if `x` has no axis, and those of
/// [`integrate`](crate::ode::integrate).
pub fn cnf<S, Rows, E>(
    x: &Var<S, E>,
    how: &Integral,
    trace: Trace<'_, S, E>,
    field: impl FnOnce(Var<(), E>, Var<S, E>) -> Var<S, E>,
) -> (Var<S, E>, Var<Rows, E>)
where
    S: Shape + ReduceShapeTo<Rows, S::LastAxis>,
    Rows: Shape,
    E: Float,
{
    let dims: Vec<usize> = x.shape().concrete().into();
    let width = dims.last().copied().unwrap_or_default();
    let rows: usize = dims.iter().rev().skip(1).product();
    let time: Var<(), E> = record(&[x.erased()], (), &|g, _| Ok(stand_in(g, &[], E::DTYPE)));
    let value: Var<S, E> = record(&[x.erased()], *x.shape(), &|g, _| Ok(stand_in(g, &dims, E::DTYPE)));
    let slope = field(time.clone(), value.clone());
    let mut operands = vec![x.erased(), time.erased(), value.erased(), slope.erased()];
    if let Trace::Hutchinson(noise) = trace {
        operands.push(noise.erased());
    }
    // Points and logarithms side by side are the value of an equation of their own.
    let both: Var<(usize, usize), E> = record(&operands, (rows, width + 1), &|g, n| {
        let Some(last) = dims.len().checked_sub(1) else {
            return Err(Error::shape("cnf", "a point is the last axis of a tensor, and this is a scalar"));
        };
        let field = with_trace(&Field::extract(g, [n[1], n[2]], n[3])?, n.get(4).copied())?;
        let start = g.pad(n[0], last, 0, width + 1)?;
        let end = solve(g, start, how, &field)?;
        g.reshape(end, &[rows, width + 1])
    });
    let z = record(&[both.erased()], *x.shape(), &|g, n| {
        let points = g.slice(n[0], 1, 0, width)?;
        g.reshape(points, &dims)
    });
    let mut leading = Rows::Concrete::default();
    (0..Rows::NUM_DIMS).for_each(|axis| leading[axis] = dims[axis]);
    let shape = Rows::from_concrete(&leading).expect("ReduceShapeTo promises that the leading axes are those of x");
    let log_det = record(&[both.erased()], shape, &|g, n| {
        let logarithms = g.slice(n[0], 1, width, 1)?;
        g.reshape(logarithms, &dims[..dims.len() - 1])
    });
    (z, log_det)
}

/// The equation of points and logarithms side by side: (x, l)′ = (f, tr ∂f/∂x).
fn with_trace(field: &Field, noise: Option<NodeId>) -> Result<Field> {
    let mut graph = Graph::new();
    let slots = field.graph.inputs();
    let mut input = |name: &str, dims: &[usize], dtype| graph.input(name, dims, dtype);
    let time = input("s", &slots[0].dims, slots[0].dtype);
    let (dims, dtype) = (slots[1].dims.clone(), slots[1].dtype);
    let last = dims.len() - 1;
    let width = dims[last];
    let both_dims = [&dims[..last], &[width + 1]].concat();
    let both = input("y", &both_dims, dtype);
    let inside: Vec<NodeId> = slots[2..].iter().map(|slot| input(&slot.name, &slot.dims, slot.dtype)).collect();
    let directions = noise.map(|_| input("noise", &dims, dtype));
    let x = graph.slice(both, last, 0, width)?;
    let slope = field.inline(&mut graph, time, x, &inside);
    let trace = match directions {
        Some(noise) => {
            let product = vjp(&mut graph, &[(slope, noise)], &[x])?[0];
            let product = graph.binary(Binary::Mul, product, noise)?;
            let trace = graph.sum(product, &[last])?;
            graph.reshape(trace, &[&dims[..last], &[1]].concat())?
        }
        None => {
            let ones = graph.constant(1.0, &[&dims[..last], &[1]].concat(), dtype);
            let mut terms = Vec::with_capacity(width);
            for i in 0..width {
                let unit = graph.pad(ones, last, i, width)?;
                let row = vjp(&mut graph, &[(slope, unit)], &[x])?[0];
                terms.push(graph.slice(row, last, i, 1)?);
            }
            total(&mut graph, &terms)?.unwrap_or(ones)
        }
    };
    let slopes = graph.concat(&[slope, trace], last)?;
    graph.output("slope", slopes);
    let captures = field.captures.iter().copied().chain(noise).collect();
    Ok(Field { graph, captures })
}
