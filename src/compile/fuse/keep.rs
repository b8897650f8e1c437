//! Which nodes are kept in memory, and the tasks that bring them there.

use super::affine::strides;
use super::cost::{keep_expensive, viewed};
use super::homes::{Body, Homes, LoopHome, Planned, Task};
use super::kernel::{Failure, build};
use super::nest::{alone, body};
use crate::graph::{DType, Graph, NodeId};
use crate::kernel::limits::Limits;
use crate::kernel::schedule::{BufferId, Home};
use crate::kernel::tiled::Fold;
use crate::ops::{Boundary, Kind, Place, Seen};
use std::collections::HashSet;

/// Decides what is kept: what products, reductions and the user need in memory, what is too dear to compute again for each
/// use, and what a task turns out not to be able to compute where it reads it.
pub(super) fn homes(graph: &Graph, limits: &Limits) -> Homes {
    let mut homes = Homes { home: vec![None; graph.nodes.len()], ..Homes::default() };
    let mut keep: Vec<bool> = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes() {
        keep[id.index()] |= node.op.kind().is_boundary();
        if node.op.kind().is_alone() {
            for &operand in node.inputs.iter().filter(|operand| !graph[**operand].is_empty()) {
                keep[viewed(graph, operand).index()] = true;
            }
        }
    }
    let mut copied: HashSet<usize> = HashSet::new();
    let mut shown: HashSet<NodeId> = HashSet::new();
    for (_, output) in &graph.outputs {
        let base = unshaped(graph, *output);
        if graph[base].given().is_none() && !graph[base].is_empty() {
            keep[base.index()] = true;
            shown.insert(base);
        }
    }
    for (slot, state) in graph.states.iter().enumerate() {
        let Some(value) = state.update.filter(|&value| graph[value].given() != Some(Home::State(slot))) else {
            continue;
        };
        let base = unshaped(graph, value);
        let computed = !matches!(graph[base].op.kind(), Kind::Stored(_) | Kind::Boundary(Boundary::Joined(_)));
        if computed && !graph[base].is_empty() && shown.insert(base) {
            keep[base.index()] = true;
        } else {
            copied.insert(slot);
        }
    }
    keep_expensive(graph, limits, &mut keep);

    for (id, node) in graph.nodes() {
        let kind = node.op.kind();
        let home = match kind {
            Kind::Stored(home) => Some(home),
            Kind::Loop(_) | Kind::Part(_) => None,
            Kind::View(_) | Kind::Fused(_) | Kind::Boundary(_) | Kind::Alone(_) => {
                keep[id.index()].then_some(Home::Arena(0))
            }
        };
        homes.home[id.index()] = match kind {
            Kind::Part(i) => Some(homes.loops[&node.inputs[0]].results[i]),
            _ => home.map(|home| homes.buffer(node.len(), node.dtype, home)),
        };
        let place = match homes.home[id.index()] {
            Some(buffer) => Some(Place { buffer, offset: 0, strides: strides(&node.dims) }),
            None => homes.seen(graph, id),
        };
        homes.place.push(place);
        if let Kind::Loop(nest) = kind {
            homes.repeat(id, nest.results(), body(nest, limits));
        }
        if home == Some(Home::Arena(0)) || kind.is_alone() {
            homes.write(graph, limits, id);
        }
    }
    for (_, output) in &graph.outputs {
        let base = unshaped(graph, *output);
        let buffer = match homes.home[base.index()] {
            Some(buffer) if graph[base].given().is_none() => buffer,
            _ => homes.copy(graph, limits, base),
        };
        homes.outputs.push(buffer);
    }
    for (slot, state) in graph.states.iter().enumerate() {
        let Some(value) = state.update.filter(|&value| graph[value].given() != Some(Home::State(slot))) else {
            continue;
        };
        let buffer = match copied.contains(&slot) {
            true => homes.copy(graph, limits, value),
            false => homes.home[unshaped(graph, value).index()].expect("updates that are not copied are kept"),
        };
        homes.updates.push((slot, buffer));
    }
    homes
}

impl Homes {
    /// The buffers of a loop.
    fn repeat(&mut self, id: NodeId, results: Vec<(Vec<usize>, DType)>, body: Body) {
        let buffer = |(dims, dtype): (Vec<usize>, DType)| self.buffer(dims.iter().product(), dtype, Home::Arena(0));
        let results = results.into_iter().map(buffer).collect();
        let memory = self.buffer(body.schedule.bytes, DType::Bool, Home::Arena(0));
        let counter = self.buffer(1, DType::Index, Home::Arena(0));
        self.loops.insert(id, LoopHome { body, results, memory, counter });
    }

    /// A fresh buffer with the values of a node.
    fn copy(&mut self, graph: &Graph, limits: &Limits, source: NodeId) -> BufferId {
        let node = &graph[source];
        let buffer = self.buffer(node.len(), node.dtype, Home::Arena(0));
        if !node.is_empty() {
            let target = Place { buffer, offset: 0, strides: strides(&node.dims) };
            let end = NodeId(graph.nodes.len() as u32);
            self.plan(graph, limits, end, Task::Compute { source, fold: None, target });
        }
        buffer
    }

    /// Keeps a node in memory that is read at all, though this was not foreseen.
    fn keep(&mut self, graph: &Graph, limits: &Limits, id: NodeId) {
        let node = &graph[id];
        let known = self.home[id.index()];
        assert!(known.is_none(), "node {} cannot be laid out although it is kept\n{graph}", id.index());
        let buffer = self.buffer(node.len(), node.dtype, Home::Arena(0));
        self.home[id.index()] = Some(buffer);
        self.place[id.index()] = Some(Place { buffer, offset: 0, strides: strides(&node.dims) });
        self.write(graph, limits, id);
    }

    /// Plans the tasks that fill the home of a node.
    fn write(&mut self, graph: &Graph, limits: &Limits, id: NodeId) {
        let node = &graph[id];
        let compute = |homes: &mut Self, source: NodeId, fold: Option<(Fold, Vec<usize>)>, offset: usize| {
            let Some(place) = homes.place[id.index()].clone() else { return };
            homes.plan(graph, limits, id, Task::Compute { source, fold, target: Place { offset, ..place } });
        };
        match node.op.kind() {
            Kind::Alone(_) | Kind::Loop(_) => self.plan(graph, limits, id, Task::Alone(id)),
            Kind::Boundary(Boundary::Fold(fold, axes)) => compute(self, node.inputs[0], Some((fold, axes.to_vec())), 0),
            Kind::Boundary(Boundary::Joined(axis)) => {
                let (step, mut offset) = (strides(&node.dims)[axis], 0);
                for &source in &node.inputs {
                    compute(self, source, None, offset);
                    offset += graph[source].dims[axis] * step;
                }
            }
            Kind::Boundary(Boundary::Padded { .. }) => unreachable!("padding is lowered to what it is made of"),
            Kind::Stored(_) | Kind::View(_) | Kind::Fused(_) | Kind::Part(_) => compute(self, id, None, 0),
        }
    }

    /// Puts a task where its node stands, and keeps what it cannot do without. All tasks before it are of earlier nodes,
    /// so that what is kept now is there when it runs; those behind it read it where they would have computed it.
    fn plan(&mut self, graph: &Graph, limits: &Limits, node: NodeId, task: Task) {
        let mut at = self.tasks.partition_point(|planned| planned.node <= node);
        for planned in &mut self.tasks[at..] {
            planned.operands = None;
        }
        self.tasks.insert(at, Planned { task, node, operands: None });
        let operands = loop {
            let missing = match &self.tasks[at].task {
                Task::Alone(id) => match alone(graph, self, *id) {
                    Ok((_, operands)) => break operands,
                    Err(missing) => missing,
                },
                Task::Compute { source, .. } => match build(graph, limits, self, &[at], &|_| true) {
                    Ok(built) => break built.operands,
                    Err(Failure::Keep(missing)) => missing,
                    Err(Failure::Conflict) => *source,
                },
            };
            let before = self.tasks.len();
            self.keep(graph, limits, missing);
            at += self.tasks.len() - before;
        };
        self.tasks[at].operands = Some(operands);
    }
}

/// The node before it was given other shapes, which changes nothing in memory.
fn unshaped(graph: &Graph, mut id: NodeId) -> NodeId {
    while let Kind::View(Seen::Shaped) = graph[id].op.kind() {
        id = graph[id].inputs[0];
    }
    id
}
