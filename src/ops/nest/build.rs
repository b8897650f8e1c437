//! Loops: a node with a graph of its own, the body, that runs so many times.
//!
//! A step reads its number, the carries that the step before has left, its own part of stacked operands, and values of
//! the outer graph; it gives the next carries, and values that the loop stacks. All that a body reads is an input of
//! the body: it holds no state, and what it captures are operands of the loop.

use crate::graph::*;
use crate::{Error, Result};
use std::sync::Arc;

/// A body and how often it runs.
///
/// The inputs of the body are, in this order: the number of the step (one `Index`), the carries, the slices, the
/// captures. Its outputs are the next carries, then the values to stack. The operands of the node are the first
/// carries, the stacked operands `[count, ..]` that the slices are taken from, and the captures; its results
/// ([`Op::Part`]) are the last carries, then the stacks `[count, ..]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    /// What each step computes.
    pub body: Graph,
    /// How many steps there are.
    pub count: usize,
    /// Whether the last step runs first. Step i reads and writes position i of what is stacked either way.
    pub reverse: bool,
    /// How many values go from step to step.
    pub carries: usize,
    /// How many operands are read a position a step.
    pub slices: usize,
    /// How its derivative comes by what each step computed.
    pub gradient: LoopGradient,
    /// Whether it stays a loop even if there is one step, so that what it computes again is not taken from where it was
    /// computed before.
    pub apart: bool,
}

/// How the derivative of a loop comes by what each step computed. Once derivatives are taken, it says no more.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LoopGradient {
    /// The loop stores the carries of each step, and the reverse loop computes the step again.
    #[default]
    Rerun,
    /// The loop also stores what the derivative of a step reads.
    Store,
    /// Another body for the reverse loop, which stores nothing. It reads the number of the step, the carries after the
    /// step, their cotangents, sums of cotangents for the captured reals, and the captures; it gives the carries before
    /// the step, their cotangents, and the sums. All carries are real; there are no slices and no stacks.
    Given(Arc<Graph>),
}

impl Loop {
    /// Shape and element type of each result.
    pub fn results(&self) -> Vec<(Vec<usize>, DType)> {
        let shape = |(i, (_, id)): (usize, &(String, NodeId))| {
            let node = &self.body[*id];
            let stack = (i >= self.carries).then_some(self.count);
            (stack.into_iter().chain(node.dims.iter().copied()).collect(), node.dtype)
        };
        self.body.outputs.iter().enumerate().map(shape).collect()
    }

    /// Shape and element type of each operand.
    pub fn operands(&self) -> Vec<(Vec<usize>, DType)> {
        let shape = |(i, slot): (usize, &InputSlot)| {
            let stack = (self.carries..self.carries + self.slices).contains(&i).then_some(self.count);
            (stack.into_iter().chain(slot.dims.iter().copied()).collect(), slot.dtype)
        };
        self.body.inputs.iter().skip(1).enumerate().map(shape).collect()
    }

    /// The size and element type of the node: of all results together, one after the other; the type of the reals
    /// among them.
    pub(crate) fn whole(&self) -> (usize, DType) {
        let results = self.results();
        let len = results.iter().map(|(dims, _)| dims.iter().product::<usize>()).sum();
        let real = results.iter().find(|(_, dtype)| dtype.is_float());
        (len, real.or(results.first()).map_or(DType::Index, |(_, dtype)| *dtype))
    }
}

impl Node {
    /// How many results the node has.
    pub fn results(&self) -> usize {
        if let Op::Loop(nest) = &self.op { nest.body.outputs.len() } else { 1 }
    }

    /// Which result of its operand the node reads.
    pub(crate) fn part(&self) -> usize {
        if let Op::Part(i) = self.op { i } else { 0 }
    }
}

/// The body of a loop while it is written: a graph ([`Deref`](std::ops::Deref)) whose nodes are not those of the outer
/// graph. [`Body::lift`] brings a node of the outer graph in. State read in the body, the key of random draws
/// included, is lifted by itself; each step draws other numbers, because its key is the outer key with the step's
/// number folded in ([`Graph::fold_in`]).
#[derive(Debug)]
pub struct Body {
    graph: Graph,
    count: usize,
    /// First carries, stacked operands, captures.
    operands: Vec<NodeId>,
    carries: usize,
    slices: usize,
    gradient: LoopGradient,
}

/// The results of a loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Looped {
    /// The carries after the last step; the first ones if there is no step.
    pub carries: Vec<NodeId>,
    /// What each step gave, `[count, ..]`.
    pub stacks: Vec<NodeId>,
}

impl Graph {
    /// Runs a body `count` times and gives the carries after the last step. `body` gets the outer graph to lift nodes
    /// from, the body to write to, and the carries before a step; it gives those after.
    ///
    /// # Errors
    /// Those of `body`, and those of [`Body::finish`].
    pub fn repeat(
        &mut self,
        count: usize,
        carries: &[NodeId],
        body: impl FnOnce(&Graph, &mut Body, &[NodeId]) -> Result<Vec<NodeId>>,
    ) -> Result<Vec<NodeId>> {
        let looped =
            self.scan(count, carries, &[], |outer, inner, carries, _| Ok((body(outer, inner, carries)?, vec![])));
        Ok(looped?.carries)
    }

    /// The same, where each step also reads its position of stacked operands `[count, ..]` and gives values to stack.
    ///
    /// # Errors
    /// If a stacked operand is not `count` long; those of `body`, and those of [`Body::finish`].
    pub fn scan(
        &mut self,
        count: usize,
        carries: &[NodeId],
        stacked: &[NodeId],
        body: impl FnOnce(&Graph, &mut Body, &[NodeId], &[NodeId]) -> Result<(Vec<NodeId>, Vec<NodeId>)>,
    ) -> Result<Looped> {
        let mut inner = Body::new(self, count, carries, stacked)?;
        let (own, slices) = (inner.carries(), inner.slices());
        let (next, stacks) = body(self, &mut inner, &own, &slices)?;
        inner.finish(self, &next, &stacks)
    }

    /// A key for random draws that follows from a key and a number, the number of a step.
    ///
    /// # Errors
    /// If `key` is no key of four indices or `number` is not one index.
    pub fn fold_in(&mut self, key: NodeId, number: NodeId) -> Result<NodeId> {
        for (x, dims) in [(key, &[4][..]), (number, &[])] {
            let found = &self[x];
            if found.dtype != DType::Index || found.dims != dims {
                let problem = format!("takes Index{dims:?}, not {:?}{:?}", found.dtype, found.dims);
                return Err(Error::shape("fold_in", problem));
            }
        }
        Ok(self.push(Op::FoldIn, vec![key, number], vec![4], DType::Index))
    }

    /// The value of a node as what was appended since the graph had `since` nodes computes it. Its derivative keeps what
    /// that reads from before alone, and computes the rest again (Griewank 1992; Chen et al. 2016).
    pub(crate) fn checkpoint(&mut self, since: usize, node: NodeId) -> Result<NodeId> {
        let mut body = Graph::new();
        body.input("step", &[], DType::Index);
        let (inner, captures) = self.extract(&mut body, since, &[], &[node]);
        inner.into_iter().for_each(|value| body.output("value", value));
        let (gradient, apart) = (LoopGradient::Rerun, false);
        let nest = Loop { body, count: 1, reverse: false, carries: 0, slices: 0, gradient, apart };
        let stack = self.nest(nest, captures)[0];
        let dims = self[node].dims.clone();
        self.reshape(stack, &dims)
    }

    /// Copies what computes `nodes` since the graph had `since` nodes to another graph, and gives their nodes there. `known`
    /// are nodes that stand for others there; what else is read from before, and parts of the state wherever they stand,
    /// become inputs there, which capture the nodes of the second result.
    pub(crate) fn extract(
        &self,
        to: &mut Graph,
        since: usize,
        known: &[(NodeId, NodeId)],
        nodes: &[NodeId],
    ) -> (Vec<NodeId>, Vec<NodeId>) {
        let own = |id: NodeId| id.index() >= since && !matches!(self[id].op, Op::State(_));
        let mut needed = vec![false; self.nodes.len()];
        nodes.iter().for_each(|node| needed[node.index()] = true);
        for (id, node) in self.nodes().rev().filter(|(id, _)| own(*id)) {
            if needed[id.index()] {
                node.inputs.iter().for_each(|x| needed[x.index()] = true);
            }
        }
        let mut renamed: Vec<Option<NodeId>> = vec![None; self.nodes.len()];
        for &(outer, inner) in known {
            renamed[outer.index()] = Some(inner);
        }
        let mut captures = Vec::new();
        for (id, node) in self.nodes().filter(|(id, _)| needed[id.index()] && !own(*id)) {
            captures.push(id);
            renamed[id.index()] = Some(to.input(format!("outer {}", captures.len()), &node.dims, node.dtype));
        }
        for (id, node) in self.nodes().filter(|(id, _)| needed[id.index()] && own(*id)) {
            if renamed[id.index()].is_none() {
                let inputs = node.inputs.iter().filter_map(|x| renamed[x.index()]).collect();
                renamed[id.index()] = Some(to.push(node.op.clone(), inputs, node.dims.clone(), node.dtype));
            }
        }
        let copies = nodes.iter().map(|node| renamed[node.index()].expect("the nodes themselves are needed"));
        (copies.collect(), captures)
    }

    /// Appends a loop and the nodes of its results.
    pub(crate) fn nest(&mut self, nest: Loop, operands: Vec<NodeId>) -> Vec<NodeId> {
        let (results, (len, dtype)) = (nest.results(), nest.whole());
        let whole = self.push(Op::Loop(Arc::new(nest)), operands, vec![len], dtype);
        let parts = results.into_iter().enumerate();
        parts.map(|(i, (dims, dtype))| self.push(Op::Part(i), vec![whole], dims, dtype)).collect()
    }

    /// Appends the nodes of a graph without state, with `inputs` for its inputs; gives the node of each.
    pub(crate) fn inline(&mut self, body: &Graph, inputs: &[NodeId]) -> Vec<NodeId> {
        let mut renamed: Vec<NodeId> = Vec::with_capacity(body.nodes.len());
        for node in &body.nodes {
            renamed.push(if let Op::Input(i) = node.op {
                inputs[i]
            } else {
                let operands = node.inputs.iter().map(|x| renamed[x.index()]).collect();
                self.push(node.op.clone(), operands, node.dims.clone(), node.dtype)
            });
        }
        renamed
    }
}

impl Body {
    /// A body that begins with these carries of the outer graph and reads these stacked operands, a position a step.
    ///
    /// # Errors
    /// If a stacked operand is not `count` long.
    pub fn new(outer: &Graph, count: usize, carries: &[NodeId], stacked: &[NodeId]) -> Result<Self> {
        let mut graph = Graph::new();
        graph.input("step", &[], DType::Index);
        for (i, &carry) in carries.iter().enumerate() {
            graph.input(format!("carry {i}"), &outer[carry].dims, outer[carry].dtype);
        }
        for (i, &x) in stacked.iter().enumerate() {
            let Some((_, dims)) = outer[x].dims.split_first().filter(|(len, _)| **len == count) else {
                let problem =
                    format!("a stack for {count} steps begins with an axis of {count}, not {:?}", outer[x].dims);
                return Err(Error::shape("a loop", problem));
            };
            graph.input(format!("slice {i}"), dims, outer[x].dtype);
        }
        let operands = carries.iter().chain(stacked).copied().collect();
        let (carries, slices) = (carries.len(), stacked.len());
        Ok(Body { graph, count, operands, carries, slices, gradient: LoopGradient::Rerun })
    }

    /// Chooses how the loop's derivative comes by what each step computed.
    pub fn set_gradient(&mut self, gradient: LoopGradient) {
        self.gradient = gradient;
    }

    /// The number of the step, from 0: one `Index`.
    pub fn step(&self) -> NodeId {
        NodeId(0)
    }

    /// The carries before the step.
    pub fn carries(&self) -> Vec<NodeId> {
        (1..=self.carries).map(|i| NodeId(i as u32)).collect()
    }

    /// The step's position of each stacked operand.
    pub fn slices(&self) -> Vec<NodeId> {
        (1 + self.carries..=self.carries + self.slices).map(|i| NodeId(i as u32)).collect()
    }

    /// The node of the body that reads a node of the outer graph; the same one each time.
    pub fn lift(&mut self, outer: &Graph, node: NodeId) -> NodeId {
        let captured = self.operands.iter().skip(self.carries + self.slices).position(|known| *known == node);
        if let Some(captured) = captured {
            let slot = Op::Input(1 + self.carries + self.slices + captured);
            let known = self.graph.nodes().find(|(_, node)| node.op == slot);
            return known.expect("what was lifted has a node").0;
        }
        self.operands.push(node);
        self.graph.input(format!("outer %{}", node.0), &outer[node].dims, outer[node].dtype)
    }

    /// Ends the body, which gives the next carries and the values to stack, and appends the loop to the outer graph.
    ///
    /// # Errors
    /// If the next carries have other shapes or element types than the first, or the body has inputs of its own,
    /// outputs, or updates of the state: a value that changes from step to step is a carry.
    pub fn finish(self, outer: &mut Graph, next: &[NodeId], stacks: &[NodeId]) -> Result<Looped> {
        let Body { graph, count, mut operands, carries, slices, gradient } = self;
        let refuse = |problem: String| Err(Error::shape("a loop", problem));
        if next.len() != carries {
            return refuse(format!("it begins with {carries} carries, and a step gives {}", next.len()));
        }
        for (i, &value) in next.iter().enumerate() {
            let (node, slot) = (&graph[value], &graph.inputs[1 + i]);
            if (&node.dims, node.dtype) != (&slot.dims, slot.dtype) {
                return refuse(format!(
                    "carry {i} begins as {:?}{:?}, and a step gives {:?}{:?}",
                    slot.dtype, slot.dims, node.dtype, node.dims
                ));
            }
        }
        if graph.inputs.len() != 1 + operands.len() || !graph.outputs.is_empty() {
            return refuse(
                "a body has no inputs and outputs of its own; lift what it reads, return what it gives".into(),
            );
        }
        if let Some(slot) = graph.states.iter().find(|slot| slot.update.is_some()) {
            return refuse(format!(
                "a body cannot update `{}`; make it a carry and update it after the loop",
                slot.key
            ));
        }
        // State becomes an input that the outer graph's state is the operand of.
        let mut body = Graph { inputs: graph.inputs, ..Graph::default() };
        let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
        for node in graph.nodes {
            let inputs = node.inputs.iter().map(|x| renamed[x.index()]).collect();
            renamed.push(if let Op::State(i) = node.op {
                let slot = &graph.states[i];
                operands.push(outer.state(slot.key.clone(), slot.kind, &slot.dims, slot.dtype)?);
                let lifted = body.input(slot.key.clone(), &slot.dims, slot.dtype);
                match slot.kind {
                    StateKind::Key => body.fold_in(lifted, NodeId(0))?,
                    _ => lifted,
                }
            } else {
                body.push(node.op, inputs, node.dims, node.dtype)
            });
        }
        for (i, value) in next.iter().enumerate() {
            body.output(format!("carry {i}"), renamed[value.index()]);
        }
        for (i, value) in stacks.iter().enumerate() {
            body.output(format!("stack {i}"), renamed[value.index()]);
        }
        let nest = Loop { body, count, reverse: false, carries, slices, gradient, apart: false };
        let mut parts = outer.nest(nest, operands);
        let stacks = parts.split_off(carries);
        Ok(Looped { carries: parts, stacks })
    }
}

impl std::ops::Deref for Body {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        &self.graph
    }
}

impl std::ops::DerefMut for Body {
    fn deref_mut(&mut self) -> &mut Graph {
        &mut self.graph
    }
}
