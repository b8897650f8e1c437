//! Solutions as part of a net: fixed steps as a loop of the graph, with three ways to the gradient.

use super::Method;
use super::field::{Field, stand_in};
use crate::graph::{Binary, Body, DType, Graph, LoopGradient, NodeId, Op};
use crate::tensor::{Float, Shape, Var, record};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// How a net solves y′ = f(s, y): over which time, by which method, in how many steps of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct Integral {
    /// From where to where the time runs; backwards if the start is greater.
    pub span: Range<f64>,
    /// What a step does.
    pub method: &'static Method,
    /// How many there are.
    pub steps: usize,
    /// How the gradient comes by the values between.
    pub gradient: Gradient,
}

/// How the gradient of a solution comes by the values between start and end. The first two give the exact derivative of
/// what was computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gradient {
    /// Everything that the derivative reads is stored: fastest, and memory grows with the number of steps.
    #[default]
    Stored,
    /// About √steps values are stored, and what lies between them is computed again (Griewank 1992).
    Recompute,
    /// The adjoint equation is solved backwards, together with the equation itself (Pontryagin et al. 1962; Chen et al.
    /// 2018): memory does not grow with the number of steps, and the gradient is that of the exact solution, up to the
    /// error of the steps.
    Adjoint,
}

/// The solution of y′ = f(s, y) at the end of the span, which begins as `y`. `field` is recorded once; it gets the time
/// and the value, and may capture any tensor. A random draw in it is one draw for all times.
///
/// # Errors
/// At [`Scope::finish`](crate::tensor::Scope::finish): if the span is not finite, there is no step, or the field
/// updates a state.
pub fn integrate<S: Shape, E: Float>(
    y: &Var<S, E>,
    how: &Integral,
    field: impl FnOnce(Var<(), E>, Var<S, E>) -> Var<S, E>,
) -> Var<S, E> {
    let time: Var<(), E> = record(&[y.erased()], (), &|g, _| Ok(stand_in(g, &[], E::DTYPE)));
    let value: Var<S, E> = record(&[y.erased()], *y.shape(), &|g, n| {
        let dims = g[n[0]].dims.clone();
        Ok(stand_in(g, &dims, E::DTYPE))
    });
    let slope = field(time.clone(), value.clone());
    record(&[y.erased(), time.erased(), value.erased(), slope.erased()], *y.shape(), &|g, n| {
        let &[y, time, value, slope] = n else { unreachable!("four operands are recorded") };
        let updated = g.states().iter().find(|slot| slot.update.is_some_and(|id| id.index() >= time.index()));
        if let Some(slot) = updated {
            return Err(Error::shape("ode", format!("the field cannot update `{}`; update it outside", slot.key)));
        }
        let field = Field::extract(g, [time, value], slope)?;
        solve(g, y, how, &field)
    })
}

/// The loop over all steps.
pub(crate) fn solve(graph: &mut Graph, y: NodeId, how: &Integral, field: &Field) -> Result<NodeId> {
    let Integral { span, method, steps, gradient } = how;
    if !(span.start.is_finite() && span.end.is_finite()) {
        return Err(Error::shape("ode", format!("a solution needs finite times, not {span:?}")));
    }
    if *steps == 0 {
        return Err(Error::shape("ode", "a solution takes at least one step"));
    }
    let dtype = graph[y].dtype;
    let h = (span.end - span.start) / *steps as f64;
    let start = graph.constant(span.start, &[], dtype);
    let stepping = Stepping { method, field, h, dtype };
    match gradient {
        Gradient::Stored => stepping.run(graph, *steps, y, start, &field.captures, LoopGradient::Store),
        Gradient::Adjoint => {
            let back = Arc::new(stepping.back(graph, y, span.start)?);
            stepping.run(graph, *steps, y, start, &field.captures, LoopGradient::Given(back))
        }
        Gradient::Recompute => {
            // Parts of about √steps steps: the outer loop stores where parts begin, and only one part at a time is
            // computed again with its steps stored.
            let length = (*steps as f64).sqrt().ceil() as usize;
            let parts = steps / length;
            let carries = graph.repeat(parts, &[y], |outer, body, carries| {
                let captures: Vec<NodeId> = field.captures.iter().map(|&x| body.lift(outer, x)).collect();
                let (start, step) = (body.lift(outer, start), body.step());
                let begin = after(body, start, step, h * length as f64, dtype)?;
                Ok(vec![stepping.run(body, length, carries[0], begin, &captures, LoopGradient::Rerun)?])
            })?;
            let begin = graph.constant(span.start + h * (parts * length) as f64, &[], dtype);
            let rest = steps - parts * length;
            stepping.run(graph, rest, carries[0], begin, &field.captures, LoopGradient::Rerun)
        }
    }
}

/// begin + step · length
fn after(graph: &mut Graph, begin: NodeId, step: NodeId, length: f64, dtype: DType) -> Result<NodeId> {
    let step = graph.cast(step, dtype);
    let length = graph.constant(length, &[], dtype);
    let passed = graph.binary(Binary::Mul, step, length)?;
    graph.binary(Binary::Add, begin, passed)
}

/// What all steps have in common.
struct Stepping<'a> {
    method: &'a Method,
    field: &'a Field,
    h: f64,
    dtype: DType,
}

impl Stepping<'_> {
    /// A loop of `count` steps from `y` at the time `start`.
    fn run(
        &self,
        graph: &mut Graph,
        count: usize,
        y: NodeId,
        start: NodeId,
        captures: &[NodeId],
        gradient: LoopGradient,
    ) -> Result<NodeId> {
        let mut body = Body::new(graph, count, &[y], &[])?;
        body.set_gradient(gradient);
        // A constant start is no capture: the reverse body of the adjoint method reads the field's captures alone.
        let inside: Vec<NodeId> = captures.iter().map(|&x| body.lift(graph, x)).collect();
        let start = match graph[start].op {
            Op::Constant(value) => body.constant(value, &[], self.dtype),
            _ => body.lift(graph, start),
        };
        let (step, y) = (body.step(), body.carries()[0]);
        let time = after(&mut body, start, step, self.h, self.dtype)?;
        let next = self.step(&mut body, time, y, &inside)?;
        Ok(body.finish(graph, &[next], &[])?.carries[0])
    }

    /// One step forward.
    fn step(&self, graph: &mut Graph, time: NodeId, y: NodeId, captures: &[NodeId]) -> Result<NodeId> {
        let mut slopes: Vec<NodeId> = Vec::new();
        for i in 0..self.stages() {
            let at = self.moved(graph, y, self.h, self.method.a[i], &slopes)?;
            let time = self.at(graph, time, self.method.c[i] * self.h)?;
            slopes.push(self.field.inline(graph, time, at, captures));
        }
        self.moved(graph, y, self.h, self.method.b, &slopes)
    }

    /// The reverse body of the adjoint method: one step back of y′ = f, λ′ = −λ·∂f/∂y, and of the sums of λ·∂f/∂w over the
    /// captures w.
    fn back(&self, outer: &Graph, y: NodeId, start: f64) -> Result<Graph> {
        let mut graph = Graph::new();
        let step = graph.input("step", &[], DType::Index);
        let (dims, dtype) = (&outer[y].dims, self.dtype);
        let value = graph.input("value", dims, dtype);
        let adjoint = graph.input("cotangent", dims, dtype);
        let captured = || self.field.captures.iter().map(|&x| &outer[x]);
        let mut sums = Vec::new();
        for node in captured().filter(|node| node.dtype.is_float()) {
            sums.push(graph.input("sum", &node.dims, node.dtype));
        }
        let captures: Vec<NodeId> = captured().map(|x| graph.input("capture", &x.dims, x.dtype)).collect();
        let products = self.field.products()?;
        // The time at the end of the step, where the step back begins.
        let end = graph.constant(start + self.h, &[], dtype);
        let time = after(&mut graph, end, step, self.h, dtype)?;
        let (mut slopes, mut changes): (Vec<NodeId>, Vec<NodeId>) = Default::default();
        for i in 0..self.stages() {
            let at = self.moved(&mut graph, value, -self.h, self.method.a[i], &slopes)?;
            // λ grows by h · λ·∂f/∂y per step back.
            let adjoint = self.moved(&mut graph, adjoint, self.h, self.method.a[i], &changes)?;
            let time = self.at(&mut graph, time, -self.method.c[i] * self.h)?;
            let inputs: Vec<NodeId> = [time, at, adjoint].into_iter().chain(captures.iter().copied()).collect();
            let nodes = graph.inline(&products, &inputs);
            let found: Vec<NodeId> = products.outputs().iter().map(|(_, id)| nodes[id.index()]).collect();
            slopes.push(found[0]);
            changes.push(found[1]);
            for (sum, product) in sums.iter_mut().zip(&found[2..]) {
                *sum = self.moved(&mut graph, *sum, self.h, &self.method.b[i..=i], &[*product])?;
            }
        }
        let value = self.moved(&mut graph, value, -self.h, self.method.b, &slopes)?;
        let adjoint = self.moved(&mut graph, adjoint, self.h, self.method.b, &changes)?;
        graph.output("value", value);
        graph.output("cotangent", adjoint);
        sums.into_iter().for_each(|sum| graph.output("sum", sum));
        Ok(graph)
    }

    /// The stages that the step needs; a last one for the next step alone is left out.
    fn stages(&self) -> usize {
        self.method.stages() - usize::from(self.method.first_same_as_last())
    }

    fn at(&self, graph: &mut Graph, time: NodeId, by: f64) -> Result<NodeId> {
        if by == 0.0 {
            return Ok(time);
        }
        let by = graph.constant(by, &[], self.dtype);
        graph.binary(Binary::Add, time, by)
    }

    /// x + h Σᵢ wᵢ kᵢ
    fn moved(&self, graph: &mut Graph, x: NodeId, h: f64, weights: &[f64], slopes: &[NodeId]) -> Result<NodeId> {
        let mut sum = x;
        for (weight, &slope) in weights.iter().zip(slopes).filter(|(weight, _)| **weight != 0.0) {
            let weight = graph.constant_like(h * weight, slope);
            let part = graph.binary(Binary::Mul, weight, slope)?;
            sum = graph.binary(Binary::Add, sum, part)?;
        }
        Ok(sum)
    }
}
