//! Continuous normalizing flows: the solution of a differential equation together with the logarithm of its determinant.

use crate::grad::vjp;
use crate::graph::{Binary, Graph, NodeId};
use crate::ode::{Field, Integral, recorded, solved, stand_ins};
use crate::ops::total;
use crate::tensor::{Float, ReduceShapeTo, Shape, Var};
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
    let (middle, time, value) = stand_ins(x);
    let slope = field(time.clone(), value.clone());
    let mut operands = vec![x.erased(), middle.erased(), time.erased(), value.erased(), slope.erased()];
    if let Trace::Hutchinson(noise) = trace {
        operands.push(noise.erased());
    }
    let dims = x.shape().concrete();
    let mut leading = Rows::Concrete::default();
    (0..Rows::NUM_DIMS).for_each(|axis| leading[axis] = dims[axis]);
    let rows = Rows::from_concrete(&leading).expect("ReduceShapeTo promises that the leading axes are those of x");
    solved(&operands, (*x.shape(), rows), how, &|g, n| {
        with_trace(&recorded(g, [n[1], n[2], n[3]], &n[4..5])?, n.get(5).copied())
    })
}

/// The same field, and beside it the trace of its derivative.
fn with_trace(field: &Field, noise: Option<NodeId>) -> Result<Field> {
    let slots = field.graph.inputs();
    let (dims, dtype) = (slots[2].dims.clone(), slots[2].dtype);
    let Some((&width, leading)) = dims.split_last() else {
        return Err(Error::shape("cnf", "a point is the last axis of a tensor, and this is a scalar"));
    };
    let last = leading.len();
    let mut graph = Graph::new();
    let inputs: Vec<NodeId> = slots.iter().map(|slot| graph.input(&*slot.name, &slot.dims, slot.dtype)).collect();
    let directions = noise.map(|_| graph.input("noise", &dims, dtype));
    let (x, slope) = (inputs[2], field.inline(&mut graph, [inputs[0], inputs[1], inputs[2]], &inputs[3..])[0]);
    let trace = match directions {
        Some(noise) => {
            let product = vjp(&mut graph, &[(slope, noise)], &[x])?[0];
            let product = graph.binary(Binary::Mul, product, noise)?;
            graph.sum(product, &[last])?
        }
        None => {
            let ones = graph.constant(1.0, &[leading, &[1]].concat(), dtype);
            let mut terms = Vec::with_capacity(width);
            for i in 0..width {
                let unit = graph.pad(ones, last, i, width)?;
                let row = vjp(&mut graph, &[(slope, unit)], &[x])?[0];
                terms.push(graph.slice(row, last, i, 1)?);
            }
            let trace = total(&mut graph, &terms)?.unwrap_or(ones);
            graph.reshape(trace, leading)?
        }
    };
    graph.output("slope", slope);
    graph.output("slope", trace);
    let captures = field.captures.iter().copied().chain(noise).collect();
    Ok(Field { graph, captures })
}
