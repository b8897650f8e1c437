//! Loops: the body runs step after step. The derivative is a loop too, which runs the other way: the loop stores the
//! carries of each step, and the reverse loop computes the step again from them and passes the cotangents back. It
//! adds up the cotangents of what the body captures, and stacks those of the slices. A loop may also store what the
//! reverse loop would compute again, or bring a body for it ([`LoopGradient`]).

mod build;
mod cases;

pub use build::{Body, Loop, LoopGradient, Looped};

use super::cases::Case;
use super::causal::{Course, Site};
use super::kind::{Kind, Operands};
use super::rule::{Cotangents, Rule, Walk};
use super::verify::{expect, operand};
use super::{interpret, random, total};
use crate::Result;
use crate::graph::{DType, Graph, InputSlot, Node, NodeId, Op};
use crate::kernel::work::{self as kernel, Work};
use cases::{fold_in_cases, loop_cases, part_cases};
use std::sync::Arc;

impl<'a> Rule<'a> for &'a Loop {
    fn arity(&self) -> Option<usize> {
        Some(self.body.inputs().len().saturating_sub(1))
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        verify(graph, node, self)?;
        let (len, dtype) = self.whole();
        Ok((vec![len], dtype))
    }

    fn kind(&self) -> Kind<'a> {
        Kind::Loop(self)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.repeat(self)
    }

    fn value(&self, _: &Graph, _: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        repeat(self, operands)
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, walk: Walk) -> Result<Vec<Option<NodeId>>> {
        vjp(graph, y, c.0, walk)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        loop_cases(float)
    }
}

/// The i-th result of a loop.
pub(super) struct Part(pub usize);

impl Rule<'_> for Part {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let Op::Loop(nest) = &operand(graph, node, 0).op else { return Err("is a part of what is no loop".into()) };
        Ok(nest.results().get(self.0).ok_or("is a result that the loop does not have")?.clone())
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Part(self.0)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.result(self.0)
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        match &operand(graph, node, 0).op {
            Op::Loop(nest) => Ok(part(nest, self.0, operands[0])),
            _ => unreachable!("only a loop has parts in a verified graph"),
        }
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // It is that of this one result of the operand.
        Ok(vec![Some(c.one()?)])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        part_cases(float)
    }
}

/// A key and a number, as another key.
pub(super) struct FoldIn;

impl Rule<'_> for FoldIn {
    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        expect(operand(graph, node, 0), &[4], DType::Index)?;
        expect(operand(graph, node, 1), &[], DType::Index)?;
        Ok((vec![4], DType::Index))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(fold_in)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.computed(&[at.none(0), at.none(1)])
    }

    fn value(&self, _: &Graph, _: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        // The key that follows from a key and the number of a step.
        let key = [0, 1, 2, 3].map(|i| operands[0][i] as u64);
        Ok(random::fold_in(key, operands[1][0] as u64).map(|word| word as f64).to_vec())
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None, None])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        fold_in_cases(float)
    }
}

fn fold_in(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let [key, number] = [0, 1].map(|i| graph[id].inputs[i]);
    let (key, number) = (operands.dense(graph, key)?, operands.dense(graph, number)?);
    Ok(Work::FoldIn(kernel::FoldIn { key, number, to: operands.dense(graph, id)? }))
}

/// Whether the loop's operands and results are what its body takes and gives.
fn verify(graph: &Graph, node: &Node, nest: &Loop) -> Result<(), String> {
    let body = &nest.body;
    super::verify(body).map_err(|problem| format!("has a body in which {problem}"))?;
    if !body.states().is_empty() {
        return Err("has a body with state of its own".into());
    }
    let (inputs, outputs) = (body.inputs().len(), body.outputs().len());
    if inputs < 1 + nest.carries + nest.slices || outputs < nest.carries || outputs == 0 {
        return Err(format!("has a body of {inputs} inputs and {outputs} outputs, too few"));
    }
    if !body.inputs()[0].dims.is_empty() || body.inputs()[0].dtype != DType::Index {
        return Err("has a body whose first input is not the number of the step".into());
    }
    if node.inputs.len() + 1 != inputs {
        return Err(format!("has {} operands for the {} inputs of its body", node.inputs.len(), inputs - 1));
    }
    let stated = |(dims, dtype): &(Vec<usize>, DType)| format!("{dtype:?}{dims:?}");
    for (i, (expected, &operand)) in nest.operands().iter().zip(&node.inputs).enumerate() {
        let found = (graph[operand].dims.clone(), graph[operand].dtype);
        if found != *expected {
            return Err(format!("needs {} as operand {i} and finds {}", stated(expected), stated(&found)));
        }
    }
    if let LoopGradient::Given(back) = &nest.gradient {
        let reals = node.inputs[nest.carries..].iter().filter(|x| graph[**x].dtype.is_float()).count();
        let wanted = [inputs + nest.carries + reals, 2 * nest.carries + reals];
        if [back.inputs().len(), back.outputs().len()] != wanted || outputs != nest.carries || nest.slices > 0 {
            return Err("has a body for its derivative that does not fit it".into());
        }
    }
    for (i, (first, (_, next))) in body.inputs()[1..].iter().zip(&body.outputs()[..nest.carries]).enumerate() {
        let next = &body[*next];
        if (&first.dims, first.dtype) != (&next.dims, next.dtype) {
            let (first, next) = ((first.dims.clone(), first.dtype), (next.dims.clone(), next.dtype));
            return Err(format!("begins carry {i} as {} and goes on with {}", stated(&first), stated(&next)));
        }
    }
    let (len, dtype) = nest.whole();
    if (&node.dims[..], node.dtype) != (&[len], dtype) {
        return Err(format!("has results of {len} {dtype:?} elements and claims {:?}{:?}", node.dtype, node.dims));
    }
    Ok(())
}

/// All results, one after the other.
fn repeat(nest: &Loop, operands: &[&[f64]]) -> Result<Vec<f64>> {
    let (carries, rest) = operands.split_at(nest.carries);
    let (stacked, captures) = rest.split_at(nest.slices);
    let mut carries: Vec<Vec<f64>> = carries.iter().map(|x| x.to_vec()).collect();
    let results = nest.results();
    let mut stacks: Vec<Vec<f64>> =
        results[nest.carries..].iter().map(|(dims, _)| vec![0.0; dims.iter().product()]).collect();
    for n in 0..nest.count {
        let step = if nest.reverse { nest.count - 1 - n } else { n };
        let part = |x: &[f64]| {
            let len = x.len() / nest.count;
            x[step * len..][..len].to_vec()
        };
        let mut inputs = vec![vec![step as f64]];
        inputs.append(&mut carries);
        inputs.extend(stacked.iter().map(|x| part(x)));
        inputs.extend(captures.iter().map(|x| x.to_vec()));
        let values = interpret::values(&nest.body, &[], &inputs)?;
        let mut outputs = nest.body.outputs().iter().map(|(_, id)| values[id.index()].clone());
        carries.extend(outputs.by_ref().take(nest.carries));
        for (stack, value) in stacks.iter_mut().zip(outputs) {
            stack[step * value.len()..][..value.len()].copy_from_slice(&value);
        }
    }
    Ok(carries.into_iter().chain(stacks).flatten().collect())
}

/// The i-th of all results, which `whole` has one after the other.
fn part(nest: &Loop, i: usize, whole: &[f64]) -> Vec<f64> {
    let lens: Vec<usize> = nest.results().iter().map(|(dims, _)| dims.iter().product()).collect();
    let start: usize = lens[..i].iter().sum();
    whole[start..start + lens[i]].to_vec()
}

/// The cotangents of the loop's operands, from those of its results (`None`: nothing depends on it).
///
/// With carries cᵢ₊₁ = f(i, cᵢ, xᵢ, w) and values yᵢ = g(i, cᵢ, xᵢ, w), the reverse loop has the carries c̄ and w̄:
/// c̄ ← c̄·∂f/∂c + ȳᵢ·∂g/∂c and w̄ ← w̄ + c̄·∂f/∂w + ȳᵢ·∂g/∂w, and stacks x̄ᵢ = c̄·∂f/∂x + ȳᵢ·∂g/∂x.
fn vjp(graph: &mut Graph, node: NodeId, cotangents: &[Option<NodeId>], walk: Walk) -> Result<Vec<Option<NodeId>>> {
    if let Op::Loop(nest) = &graph[node].op
        && let LoopGradient::Given(body) = nest.gradient.clone()
    {
        let (body, nest) = ((*body).clone(), nest.clone());
        return Ok(given_vjp(graph, node, cotangents, &nest, body));
    }
    let stored = store_carries(graph, node);
    let Op::Loop(nest) = graph[node].op.clone() else { unreachable!("the derivative of a loop is taken of a loop") };
    let operands = graph[node].inputs.clone();
    let (first, rest) = operands.split_at(nest.carries);
    let (stacked, captures) = rest.split_at(nest.slices);
    let real = |graph: &Graph, x: &NodeId| graph[*x].dtype.is_float();
    let reals = |graph: &Graph, list: &[NodeId]| -> Vec<(usize, NodeId)> {
        list.iter().copied().enumerate().filter(|(_, x)| real(graph, x)).collect()
    };

    // What the reverse loop begins with and reads, with the slots of its body in the same order.
    let mut body = Graph::new();
    let step = body.input("step", &[], DType::Index);
    let mut given: Vec<NodeId> = Vec::new();
    let mut slot = |body: &mut Graph, graph: &Graph, name: String, operand: NodeId, slice: bool| {
        given.push(operand);
        let node = &graph[operand];
        body.input(name, &node.dims[usize::from(slice)..], node.dtype)
    };
    let mut next_cotangents = Vec::new();
    for (i, x) in reals(graph, first) {
        let last = cotangents.get(i).copied().flatten().unwrap_or_else(|| graph.constant_like(0.0, x));
        next_cotangents.push((i, slot(&mut body, graph, format!("cotangent {i}"), last, false)));
    }
    // One step has no sums: what it adds is stacked.
    let mut sums = Vec::new();
    for (i, x) in reals(graph, captures).into_iter().filter(|_| nest.count != 1) {
        let zero = graph.constant_like(0.0, x);
        sums.push((i, slot(&mut body, graph, format!("sum {i}"), zero, false)));
    }
    let mut inputs = vec![step];
    inputs.extend(stored.iter().enumerate().map(|(i, &x)| slot(&mut body, graph, format!("carry {i}"), x, true)));
    inputs.extend(stacked.iter().enumerate().map(|(i, &x)| slot(&mut body, graph, format!("slice {i}"), x, true)));
    let mut stack_cotangents = Vec::new();
    for (i, c) in cotangents.iter().enumerate().skip(nest.carries).filter_map(|(i, c)| Some((i, (*c)?))) {
        stack_cotangents.push((i, slot(&mut body, graph, format!("cotangent {i}"), c, true)));
    }
    inputs.extend(captures.iter().enumerate().map(|(i, &x)| slot(&mut body, graph, format!("capture {i}"), x, false)));

    let values = body.inline(&nest.body, &inputs);
    let again = body.nodes.len();
    let outputs = nest.body.outputs();
    let pairs: Vec<(NodeId, NodeId)> = next_cotangents
        .iter()
        .chain(&stack_cotangents)
        .map(|&(i, c)| (values[outputs[i].1.index()], c))
        .filter(|(y, _)| body[*y].dtype.is_float())
        .collect();
    let own = &inputs[1..];
    let wrt: Vec<NodeId> = own.iter().copied().filter(|x| real(&body, x)).collect();
    let mut found = walk(&mut body, &pairs, &wrt)?.into_iter();
    // By the operands of the loop: carries, slices, captures.
    let parts: Vec<Option<NodeId>> = own.iter().map(|x| if real(&body, x) { found.next() } else { None }).collect();
    let (of_carries, rest) = parts.split_at(nest.carries);
    let (of_slices, of_captures) = rest.split_at(nest.slices);
    for part in of_carries.iter().flatten() {
        body.output("cotangent", *part);
    }
    for (part, (_, sum)) in of_captures.iter().flatten().zip(&sums) {
        let sum = total(&mut body, &[*sum, *part])?.expect("two terms have a sum");
        body.output("sum", sum);
    }
    for part in of_slices.iter().flatten() {
        body.output("slice", *part);
    }
    for part in of_captures.iter().flatten().filter(|_| nest.count == 1) {
        body.output("part", *part);
    }
    if body.outputs().is_empty() {
        return Ok(vec![None; operands.len()]);
    }
    let carries = next_cotangents.len() + sums.len();
    let mut slices = stored.len() + stacked.len() + stack_cotangents.len();
    if nest.gradient == LoopGradient::Store {
        let kept = read_again(&nest, &body, &values, again);
        let stacks = store(graph, node, &kept);
        let read: Vec<NodeId> = kept.iter().map(|x| values[x.index()]).collect();
        take_from_slices(&mut body, &read, 1 + carries + slices);
        let place = carries + slices;
        given.splice(place..place, stacks);
        slices += read.len();
    }
    let gradient = nest.gradient.clone();
    // What one step computes again would else be found to be computed already.
    let apart = nest.count == 1 && gradient == LoopGradient::Rerun;
    let reverse = Loop { body, count: nest.count, reverse: !nest.reverse, carries, slices, gradient, apart };
    let mut results = graph.nest(reverse, given).into_iter();
    let mut next = |x: &NodeId| if real(graph, x) { results.next() } else { None };
    let of_carries: Vec<_> = first.iter().map(&mut next).collect();
    if nest.count == 1 {
        let of_slices: Vec<_> = stacked.iter().map(&mut next).collect();
        let parts: Vec<_> = captures.iter().map(&mut next).collect();
        let of_captures = parts.into_iter().zip(captures).map(|(part, x)| {
            let dims = graph[*x].dims.clone();
            part.map(|part| graph.reshape(part, &dims)).transpose()
        });
        return Ok([of_carries, of_slices, of_captures.collect::<Result<_>>()?].concat());
    }
    let of_captures: Vec<_> = captures.iter().map(&mut next).collect();
    let of_slices: Vec<_> = stacked.iter().map(&mut next).collect();
    Ok([of_carries, of_slices, of_captures].concat())
}

/// The same by a reverse body that the loop brings.
fn given_vjp(
    graph: &mut Graph,
    node: NodeId,
    cotangents: &[Option<NodeId>],
    nest: &Loop,
    body: Graph,
) -> Vec<Option<NodeId>> {
    let operands = graph[node].inputs.clone();
    let (first, captures) = operands.split_at(nest.carries);
    let mut given = Vec::new();
    for (i, (dims, dtype)) in nest.results().into_iter().enumerate() {
        given.push(graph.push(Op::Part(i), vec![node], dims, dtype));
    }
    for (i, &x) in first.iter().enumerate() {
        given.push(cotangents.get(i).copied().flatten().unwrap_or_else(|| graph.constant_like(0.0, x)));
    }
    let real: Vec<bool> = captures.iter().map(|x| graph[*x].dtype.is_float()).collect();
    for (&x, _) in captures.iter().zip(&real).filter(|(_, real)| **real) {
        given.push(graph.constant_like(0.0, x));
    }
    let carries = given.len();
    given.extend(captures);
    let gradient = LoopGradient::Rerun;
    let (count, reverse) = (nest.count, !nest.reverse);
    let reverse = Loop { body, count, reverse, carries, slices: 0, gradient, apart: false };
    let mut results = graph.nest(reverse, given).into_iter().skip(nest.carries);
    let of_carries: Vec<_> = (0..nest.carries).map(|_| results.next()).collect();
    of_carries.into_iter().chain(real.into_iter().map(|real| if real { results.next() } else { None })).collect()
}

/// The nodes of a loop's body whose values the reverse body, which has them at `values` and goes on from `again`, reads:
/// all but those that it has anyway, that cost nothing, or that depend on the number of the step and captures alone. A loop
/// within the body is no value, and has by now results of its own for its own derivative: it runs again.
fn read_again(nest: &Loop, reverse: &Graph, values: &[NodeId], again: usize) -> Vec<NodeId> {
    let mut varies: Vec<bool> = Vec::with_capacity(nest.body.nodes.len());
    let mut free = varies.clone();
    for node in &nest.body.nodes {
        let view = matches!(node.op.kind(), Kind::View(_));
        let (here, costless) = match node.op {
            Op::Input(i) => ((1..=nest.carries + nest.slices).contains(&i), true),
            _ => (node.inputs.iter().any(|x| varies[x.index()]), view && node.inputs.iter().all(|x| free[x.index()])),
        };
        varies.push(here);
        free.push(costless);
    }
    let mut read = vec![false; reverse.nodes.len()];
    let backward = reverse.nodes[again..].iter().flat_map(|node| &node.inputs);
    for x in backward.chain(reverse.outputs.iter().map(|(_, id)| id)) {
        read[x.index()] = true;
    }
    let values_of = nest.body.nodes().filter(|(_, node)| !matches!(node.op.kind(), Kind::Loop(_)));
    let nodes = values_of.map(|(id, _)| id);
    nodes.filter(|id| varies[id.index()] && !free[id.index()] && read[values[id.index()].index()]).collect()
}

/// Makes nodes of a body inputs, the ones from `place` on, which are slices.
fn take_from_slices(body: &mut Graph, nodes: &[NodeId], place: usize) {
    for node in &mut body.nodes {
        if let Op::Input(i) = &mut node.op
            && *i >= place
        {
            *i += nodes.len();
        }
    }
    for (i, x) in nodes.iter().enumerate() {
        let node = &mut body.nodes[x.index()];
        (node.op, node.inputs) = (Op::Input(place + i), vec![]);
        let slot = InputSlot { name: format!("kept {i}"), dims: node.dims.clone(), dtype: node.dtype, space: None };
        body.inputs.insert(place + i, slot);
    }
}

/// Makes the loop stack the carries that each step begins with; gives the stacks.
fn store_carries(graph: &mut Graph, node: NodeId) -> Vec<NodeId> {
    let Op::Loop(nest) = &mut graph.nodes[node.index()].op else { return vec![] };
    let nest = Arc::make_mut(nest);
    let carry = |i: usize| {
        let known = nest.body.nodes().find(|(_, node)| node.op == Op::Input(1 + i)).map(|(id, _)| id);
        known.unwrap_or_else(|| {
            let slot = nest.body.inputs[1 + i].clone();
            nest.body.push(Op::Input(1 + i), vec![], slot.dims, slot.dtype)
        })
    };
    let carries: Vec<NodeId> = (0..nest.carries).map(carry).collect();
    store(graph, node, &carries)
}

/// Makes the loop stack nodes of its body, where it does not yet; gives the stacks. The results that the loop had keep
/// their places.
fn store(graph: &mut Graph, node: NodeId, values: &[NodeId]) -> Vec<NodeId> {
    let Op::Loop(nest) = &mut graph.nodes[node.index()].op else { return vec![] };
    let nest = Arc::make_mut(nest);
    let mut places = Vec::with_capacity(values.len());
    for &value in values {
        let stacked = nest.body.outputs.iter().skip(nest.carries).position(|(_, id)| *id == value);
        places.push(stacked.map_or(nest.body.outputs.len(), |place| nest.carries + place));
        if stacked.is_none() {
            let name = format!("stored {}", nest.body.outputs.len() - nest.carries);
            nest.body.output(name, value);
        }
    }
    let (results, (len, dtype)) = (nest.results(), nest.whole());
    let whole = &mut graph.nodes[node.index()];
    (whole.dims, whole.dtype) = (vec![len], dtype);
    let stack = |place: usize| {
        let (dims, dtype) = results[place].clone();
        graph.push(Op::Part(place), vec![node], dims, dtype)
    };
    places.into_iter().map(stack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Binary;

    fn broken(change: impl FnOnce(&mut Graph, NodeId, &mut Loop)) -> String {
        let mut graph = Graph::new();
        let x = graph.input("x", &[3], DType::F64);
        let y = graph.input("y", &[2, 3], DType::F64);
        let looped = graph.scan(2, &[x], &[y], |_, body, carries, slices| {
            let sum = body.binary(Binary::Add, carries[0], slices[0])?;
            Ok((vec![sum], vec![sum]))
        });
        let last = looped.unwrap().carries[0];
        graph.output("last", last);
        super::super::verify(&graph).unwrap();
        let whole = graph[last].inputs[0];
        let Op::Loop(nest) = graph[whole].op.clone() else { panic!("{graph}") };
        let mut nest = (*nest).clone();
        change(&mut graph, whole, &mut nest);
        graph.nodes[whole.index()].op = Op::Loop(Arc::new(nest));
        super::super::verify(&graph).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_rule_that_a_loop_breaks() {
        for (message, expected) in [
            (broken(|_, _, nest| nest.count = 3), "needs F64[3, 3] as operand 1 and finds F64[2, 3]"),
            (
                broken(|graph, whole, _| graph.nodes[whole.index()].dims[0] = 8),
                "has results of 9 F64 elements and claims F64[8]",
            ),
            (broken(|_, _, nest| nest.carries = 3), "has a body of 3 inputs and 2 outputs, too few"),
            (
                broken(|graph, whole, _| graph.outputs[0].1 = whole),
                "%2 is given whole, and only the parts of a loop are values",
            ),
            (
                broken(|graph, whole, _| graph.nodes[whole.index() + 1].op = Op::Part(2)),
                "is a result that the loop does not have",
            ),
            (
                broken(|_, _, nest| nest.body.outputs[0].1 = NodeId(0)),
                "begins carry 0 as F64[3] and goes on with Index[]",
            ),
        ] {
            assert!(message.ends_with(expected), "{message}");
        }
    }
}
