//! Solutions as part of a net: fixed steps as a loop of the graph, with three ways to the gradient.

use super::Method;
use super::field::{Field, stand_in};
use crate::graph::{Binary, Body, DType, Graph, LoopGradient, NodeId};
use crate::tensor::{Erased, Float, Shape, Var, record};
use crate::{Error, Result};
use std::cell::Cell;
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
    let (middle, time, value) = stand_ins(y);
    let slope = field(time.clone(), value.clone());
    record(&[y.erased(), middle.erased(), time.erased(), value.erased(), slope.erased()], *y.shape(), &|g, n| {
        let field = recorded(g, [n[1], n[2], n[3]], &n[4..])?;
        Ok(solve(g, n[0], how, &field)?[0])
    })
}

/// The solution, and the integral over the span of a rate that the field gives beside the derivative: the length or the kinetic
/// energy of the path, say (Finlay et al. 2020).
///
/// # Errors
/// Those of [`integrate`].
pub fn integrate_along<S: Shape, Q: Shape, E: Float>(
    y: &Var<S, E>,
    how: &Integral,
    field: impl FnOnce(Var<(), E>, Var<S, E>) -> (Var<S, E>, Var<Q, E>),
) -> (Var<S, E>, Var<Q, E>) {
    let (middle, time, value) = stand_ins(y);
    let (slope, rate) = field(time.clone(), value.clone());
    let operands = [y.erased(), middle.erased(), time.erased(), value.erased(), slope.erased(), rate.erased()];
    solved(&operands, (*y.shape(), *rate.shape()), how, &|g, n| recorded(g, [n[1], n[2], n[3]], &n[4..]))
}

/// Stand-ins of the middle of a step, of the time and of the value, to record a field on.
pub(crate) fn stand_ins<S: Shape, E: Float>(y: &Var<S, E>) -> (Var<(), E>, Var<(), E>, Var<S, E>) {
    let middle = record(&[y.erased()], (), &|g, _| Ok(stand_in(g, &[], E::DTYPE)));
    let time: Var<(), E> = record(&[y.erased()], (), &|g, _| Ok(stand_in(g, &[], E::DTYPE)));
    y.erased().tracer.set_halfway(time.id(), middle.id());
    let value = record(&[y.erased()], *y.shape(), &|g, n| {
        let dims = g[n[0]].dims.clone();
        Ok(stand_in(g, &dims, E::DTYPE))
    });
    (middle, time, value)
}

/// The field that was recorded on stand-ins.
pub(crate) fn recorded(graph: &Graph, stand_ins: [NodeId; 3], slopes: &[NodeId]) -> Result<Field> {
    let since = stand_ins[0].index();
    let updated = graph.states().iter().find(|slot| slot.update.is_some_and(|id| id.index() >= since));
    if let Some(slot) = updated {
        return Err(Error::shape("ode", format!("the field cannot update `{}`; update it outside", slot.key)));
    }
    Field::extract(graph, stand_ins, slopes)
}

/// The solution that begins as the first operand, and the integral of the rate of the field, which is made of all operands.
pub(crate) fn solved<S: Shape, Q: Shape, E: Float>(
    operands: &[&Erased],
    (value, rate): (S, Q),
    how: &Integral,
    field: &dyn Fn(&mut Graph, &[NodeId]) -> Result<Field>,
) -> (Var<S, E>, Var<Q, E>) {
    let beside = Cell::new(None);
    let end = record(operands, value, &|g, n| {
        let field = field(g, n)?;
        let carries = solve(g, n[0], how, &field)?;
        beside.set(carries.get(1).copied());
        Ok(carries[0])
    });
    let missing = || Error::shape("ode", "there is no solution to integrate along");
    let integral = record(&[end.erased()], rate, &|_, _| beside.get().ok_or_else(missing));
    (end, integral)
}

/// The loop over all steps; gives the end of the solution, and the integrals of the field's rates.
pub(crate) fn solve(graph: &mut Graph, y: NodeId, how: &Integral, field: &Field) -> Result<Vec<NodeId>> {
    let Integral { span, method, steps, gradient } = how;
    if !(span.start.is_finite() && span.end.is_finite()) {
        return Err(Error::shape("ode", format!("a solution needs finite times, not {span:?}")));
    }
    if *steps == 0 {
        return Err(Error::shape("ode", "a solution takes at least one step"));
    }
    method.check()?;
    let dtype = graph[y].dtype;
    let h = (span.end - span.start) / *steps as f64;
    let start = graph.constant(span.start, &[], dtype);
    let stepping = Stepping { method, field, h, dtype };
    let rates = field.graph.outputs()[1..].iter().map(|(_, id)| &field.graph[*id].dims);
    let zeros: Vec<NodeId> = rates.map(|dims| graph.constant(0.0, dims, dtype)).collect();
    let begin: Vec<NodeId> = std::iter::once(y).chain(zeros).collect();
    match gradient {
        Gradient::Stored => stepping.run(graph, *steps, &begin, start, &field.captures, LoopGradient::Store),
        Gradient::Adjoint => {
            let back = Arc::new(stepping.back(graph, &begin, span.start)?);
            stepping.run(graph, *steps, &begin, start, &field.captures, LoopGradient::Given(back))
        }
        Gradient::Recompute => {
            // Parts of about √steps steps: the outer loop stores where parts begin, and only one part at a time is
            // computed again with its steps stored.
            let length = (*steps as f64).sqrt().ceil() as usize;
            let parts = steps / length;
            let carries = graph.repeat(parts, &begin, |outer, body, carries| {
                let captures: Vec<NodeId> = field.captures.iter().map(|&x| body.lift(outer, x)).collect();
                let (start, step) = (body.lift(outer, start), body.step());
                let begin = after(body, start, step, h * length as f64, dtype)?;
                stepping.run(body, length, carries, begin, &captures, LoopGradient::Rerun)
            })?;
            let begin = graph.constant(span.start + h * (parts * length) as f64, &[], dtype);
            let rest = steps - parts * length;
            stepping.run(graph, rest, &carries, begin, &field.captures, LoopGradient::Rerun)
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
    /// A loop of `count` steps at the time `start`, from a value and integrals.
    fn run(
        &self,
        graph: &mut Graph,
        count: usize,
        begin: &[NodeId],
        start: NodeId,
        captures: &[NodeId],
        gradient: LoopGradient,
    ) -> Result<Vec<NodeId>> {
        let mut body = Body::new(graph, count, begin, &[])?;
        body.set_gradient(gradient);
        // A constant start is no capture: the reverse body of the adjoint method reads the field's captures alone.
        let inside: Vec<NodeId> = captures.iter().map(|&x| body.lift(graph, x)).collect();
        let start = if let Some(value) = graph[start].constant() {
            body.constant(value, &[], self.dtype)
        } else {
            body.lift(graph, start)
        };
        let (step, carries) = (body.step(), body.carries());
        let time = after(&mut body, start, step, self.h, self.dtype)?;
        let next = self.step(&mut body, time, &carries, &inside)?;
        Ok(body.finish(graph, &next, &[])?.carries)
    }

    /// One step forward of a value and integrals.
    fn step(&self, graph: &mut Graph, time: NodeId, carries: &[NodeId], captures: &[NodeId]) -> Result<Vec<NodeId>> {
        let middle = self.at(graph, time, 0.5 * self.h)?;
        // For each carry its slopes at the stages.
        let mut slopes: Vec<Vec<NodeId>> = vec![Vec::new(); carries.len()];
        for i in 0..self.method.evaluations() {
            let at = self.moved(graph, carries[0], self.h, self.method.a[i], &slopes[0])?;
            let time = self.at(graph, time, self.method.c[i] * self.h)?;
            let found = self.field.inline(graph, [time, middle, at], captures);
            slopes.iter_mut().zip(found).for_each(|(slopes, slope)| slopes.push(slope));
        }
        let ends = carries.iter().zip(&slopes);
        ends.map(|(&carry, slopes)| self.moved(graph, carry, self.h, self.method.b, slopes)).collect()
    }

    /// The reverse body of the adjoint method: one step back of y′ = f, λ′ = −λ·∂f/∂y, and of the sums of λ·∂f/∂w over the
    /// captures w. Of integrals the cotangents do not change.
    fn back(&self, outer: &Graph, begin: &[NodeId], start: f64) -> Result<Graph> {
        let mut graph = Graph::new();
        let step = graph.input("step", &[], DType::Index);
        let dtype = self.dtype;
        let carried = |graph: &mut Graph, name: &str| -> Vec<NodeId> {
            begin.iter().map(|&x| graph.input(name, &outer[x].dims, dtype)).collect()
        };
        let (values, adjoints) = (carried(&mut graph, "value"), carried(&mut graph, "cotangent"));
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
        let middle = self.at(&mut graph, time, -0.5 * self.h)?;
        let (mut slopes, mut changes) = (vec![Vec::new(); begin.len()], Vec::new());
        for i in 0..self.method.evaluations() {
            let at = self.moved(&mut graph, values[0], -self.h, self.method.a[i], &slopes[0])?;
            // λ grows by h · λ·∂f/∂y per step back.
            let adjoint = self.moved(&mut graph, adjoints[0], self.h, self.method.a[i], &changes)?;
            let time = self.at(&mut graph, time, -self.method.c[i] * self.h)?;
            let inputs = [time, middle, at, adjoint].into_iter().chain(adjoints[1..].iter().chain(&captures).copied());
            let nodes = graph.inline(&products, &inputs.collect::<Vec<_>>());
            let mut found = products.outputs().iter().map(|(_, id)| nodes[id.index()]);
            slopes.iter_mut().zip(found.by_ref()).for_each(|(slopes, slope)| slopes.push(slope));
            changes.extend(found.next());
            for (sum, product) in sums.iter_mut().zip(found) {
                *sum = self.moved(&mut graph, *sum, self.h, &self.method.b[i..=i], &[product])?;
            }
        }
        for (value, slopes) in values.into_iter().zip(&slopes) {
            let before = self.moved(&mut graph, value, -self.h, self.method.b, slopes)?;
            graph.output("value", before);
        }
        let adjoint = self.moved(&mut graph, adjoints[0], self.h, self.method.b, &changes)?;
        let cotangents = [adjoint].into_iter().chain(adjoints[1..].iter().copied());
        cotangents.for_each(|cotangent| graph.output("cotangent", cotangent));
        sums.into_iter().for_each(|sum| graph.output("sum", sum));
        Ok(graph)
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
