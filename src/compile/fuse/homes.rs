//! Which nodes are kept in memory, and where.

use super::affine::{groups, strides};
use super::alone::alone;
use super::kernel::{Failure, build};
use super::nest::Body;
use crate::graph::{DType, Graph, NodeId, Op, ReduceOp};
use crate::kernel::limits::Limits;
use crate::kernel::schedule::{Buffer, BufferId, Home};
use crate::kernel::tiled::Fold;
use crate::kernel::view::View;
use crate::ops::Kind;
use std::collections::{HashMap, HashSet};

/// A node seen in memory: element = `offset + Σ position[axis] * strides[axis]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub buffer: BufferId,
    pub offset: usize,
    pub strides: Vec<usize>,
}

/// Something that a launch has to write.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// The values of `source`, or their combination over the axes of `fold`, written to `target`. `target.strides`
    /// count the axes of the result.
    Compute { source: NodeId, fold: Option<(Fold, Vec<usize>)>, target: Place },
    /// A node that is a launch of its own: a matrix product, a loop, a folded key.
    Alone(NodeId),
}

/// A task, and what it takes to do it alone.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub task: Task,
    /// The node for which it is done: tasks stand in the order of nodes.
    node: NodeId,
    /// The buffers that it names, if no node was kept since that it may read.
    pub operands: Option<Vec<BufferId>>,
}

/// What is kept and how it comes there.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes {
    pub buffers: Vec<Buffer>,
    /// The buffer that holds a node, contiguous in the node's own axes.
    pub home: Vec<Option<BufferId>>,
    /// Where a node can be read, itself or through views.
    pub place: Vec<Option<Place>>,
    /// In an order in which each follows what it reads.
    pub tasks: Vec<Planned>,
    /// The buffer of each output.
    pub outputs: Vec<BufferId>,
    /// Slots of the state and the buffer that holds the new value.
    pub updates: Vec<(usize, BufferId)>,
    pub loops: HashMap<NodeId, LoopHome>,
}

/// The memory of a loop.
#[derive(Clone, Debug)]
pub(super) struct LoopHome {
    pub body: Body,
    /// The buffer of each result.
    pub results: Vec<BufferId>,
    /// What the body works in.
    pub memory: BufferId,
    /// The number of the step.
    pub counter: BufferId,
}

impl Place {
    /// Whether the elements lie one after the other.
    pub fn dense(&self, dims: &[usize]) -> bool {
        let axes = dims.iter().zip(&self.strides).zip(strides(dims));
        axes.into_iter().all(|((&size, &own), dense)| size == 1 || own == dense)
    }
}

/// Decides what is kept: what products, reductions and the user need in memory, what is too dear to compute again for each
/// use, and what a task turns out not to be able to compute where it reads it.
pub(super) fn homes(graph: &Graph, limits: &Limits) -> Homes {
    let mut homes = Homes { home: vec![None; graph.nodes.len()], ..Homes::default() };
    let mut keep: Vec<bool> = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes() {
        keep[id.index()] |= is_boundary(&node.op);
        if matches!(node.op.kind(), Kind::Alone | Kind::Loop) {
            for &operand in node.inputs.iter().filter(|operand| !graph[**operand].is_empty()) {
                keep[viewed(graph, operand).index()] = true;
            }
        }
    }
    let mut copied: HashSet<usize> = HashSet::new();
    let mut shown: HashSet<NodeId> = HashSet::new();
    for (_, output) in &graph.outputs {
        let base = unshaped(graph, *output);
        if !is_stored(&graph[base].op) && !graph[base].is_empty() {
            keep[base.index()] = true;
            shown.insert(base);
        }
    }
    for (slot, state) in graph.states.iter().enumerate() {
        let Some(value) = state.update.filter(|&value| graph[value].op != Op::State(slot)) else { continue };
        let base = unshaped(graph, value);
        let computed = !is_stored(&graph[base].op) && !matches!(graph[base].op, Op::Concat { .. });
        if computed && !graph[base].is_empty() && shown.insert(base) {
            keep[base.index()] = true;
        } else {
            copied.insert(slot);
        }
    }
    keep_expensive(graph, limits, &mut keep);

    for (id, node) in graph.nodes() {
        let computed = keep[id.index()] && !matches!(node.op.kind(), Kind::Loop | Kind::Part);
        let home = stored(&node.op).or(computed.then_some(Home::Arena(0)));
        homes.home[id.index()] = if let Op::Part(i) = node.op {
            Some(homes.loops[&node.inputs[0]].results[i])
        } else {
            home.map(|home| homes.buffer(node.len(), node.dtype, home))
        };
        let place = match homes.home[id.index()] {
            Some(buffer) => Some(Place { buffer, offset: 0, strides: strides(&node.dims) }),
            None => homes.seen(graph, id),
        };
        homes.place.push(place);
        if let Op::Loop(nest) = &node.op {
            homes.repeat(id, nest.results(), Body::new(nest, limits));
        }
        if home == Some(Home::Arena(0)) || matches!(node.op, Op::Loop(_)) {
            homes.write(graph, limits, id);
        }
    }
    for (_, output) in &graph.outputs {
        let base = unshaped(graph, *output);
        let buffer = match homes.home[base.index()] {
            Some(buffer) if !is_stored(&graph[base].op) => buffer,
            _ => homes.copy(graph, limits, base),
        };
        homes.outputs.push(buffer);
    }
    for (slot, state) in graph.states.iter().enumerate() {
        let Some(value) = state.update.filter(|&value| graph[value].op != Op::State(slot)) else { continue };
        let buffer = match copied.contains(&slot) {
            true => homes.copy(graph, limits, value),
            false => homes.home[unshaped(graph, value).index()].expect("updates that are not copied are kept"),
        };
        homes.updates.push((slot, buffer));
    }
    homes
}

impl Homes {
    /// A node that lies dense in memory, among the operands of a launch.
    ///
    /// # Errors
    /// The node, if it has to be kept in memory first.
    pub fn dense(&self, graph: &Graph, id: NodeId, operands: &mut Vec<BufferId>) -> Result<View, NodeId> {
        let dense = |place: &&Place| place.dense(&graph[id].dims);
        let place = self.place[id.index()].as_ref().filter(dense).ok_or(id)?;
        Ok(View::dense(number(operands, place.buffer), place.offset, graph[id].dtype))
    }

    fn buffer(&mut self, len: usize, dtype: DType, home: Home) -> BufferId {
        self.buffers.push(Buffer { len, element: dtype, home });
        self.buffers.len() - 1
    }

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
        if matches!(node.op.kind(), Kind::Alone | Kind::Loop) {
            self.plan(graph, limits, id, Task::Alone(id));
        } else if let Op::Reduce { op, axes } = &node.op {
            let fold = match op {
                ReduceOp::Sum => Fold::Sum,
                ReduceOp::Max => Fold::Max,
                ReduceOp::Min => Fold::Min,
            };
            compute(self, node.inputs[0], Some((fold, axes.clone())), 0);
        } else if let Op::ArgMax { axis } = node.op {
            compute(self, node.inputs[0], Some((Fold::ArgMax, vec![axis])), 0);
        } else if let Op::Concat { axis } = node.op {
            let (step, mut offset) = (strides(&node.dims)[axis], 0);
            for &source in &node.inputs {
                compute(self, source, None, offset);
                offset += graph[source].dims[axis] * step;
            }
        } else {
            compute(self, id, None, 0);
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

    /// Where a view can be read, given where its operand can.
    pub fn seen(&self, graph: &Graph, id: NodeId) -> Option<Place> {
        let node = &graph[id];
        if !is_view(&node.op) {
            return None;
        }
        let mut place = self.place[node.inputs[0].index()].clone()?;
        if let Op::Broadcast { axes } = &node.op {
            for &axis in axes {
                place.strides.insert(axis, 0);
            }
        } else if let Op::Permute { order } = &node.op {
            place.strides = order.iter().map(|&axis| place.strides[axis]).collect();
        } else if let Op::Slice { axis, start } = node.op {
            place.offset += start * place.strides[axis];
        } else {
            place.strides = reshaped(&graph[node.inputs[0]].dims, &place.strides, &node.dims)?;
        }
        Some(place)
    }
}

/// The number of a buffer among the operands of a launch.
pub(super) fn number(operands: &mut Vec<BufferId>, buffer: BufferId) -> usize {
    operands.iter().position(|&known| known == buffer).unwrap_or_else(|| {
        operands.push(buffer);
        operands.len() - 1
    })
}

/// The strides of the same elements under another shape, if one stride for each axis can express them.
fn reshaped(from: &[usize], strides: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let mut result = vec![0; to.len()];
    for [old, new] in groups(from, to) {
        // Axes of one position do not move, whatever their stride.
        let mut long = old.rev().filter(|&axis| from[axis] != 1);
        let innermost = long.next();
        let mut step = innermost.map_or(0, |axis| strides[axis]);
        let mut reach = step * innermost.map_or(1, |axis| from[axis]);
        for axis in long {
            if strides[axis] != reach {
                return None;
            }
            reach *= from[axis];
        }
        for axis in new.rev() {
            result[axis] = if to[axis] == 1 { 0 } else { step };
            step *= to[axis];
        }
    }
    Some(result)
}

/// Whether the op only says where the elements of its operand are seen.
pub(super) fn is_view(op: &Op) -> bool {
    op.kind() == Kind::View
}

/// Where values lie that a run is given.
fn stored(op: &Op) -> Option<Home> {
    if let Op::Input(i) = *op {
        Some(Home::Input(i))
    } else if let Op::State(i) = *op {
        Some(Home::State(i))
    } else {
        None
    }
}

fn is_stored(op: &Op) -> bool {
    op.kind() == Kind::Stored
}

/// Whether the values can only be read from memory.
pub(super) fn is_boundary(op: &Op) -> bool {
    matches!(op.kind(), Kind::Boundary | Kind::Part | Kind::Alone)
}

/// What a chain of views looks at.
fn viewed(graph: &Graph, mut id: NodeId) -> NodeId {
    while is_view(&graph[id].op) {
        id = graph[id].inputs[0];
    }
    id
}

/// The node before it was given other shapes, which changes nothing in memory.
fn unshaped(graph: &Graph, mut id: NodeId) -> NodeId {
    while graph[id].op == Op::Reshape {
        id = graph[id].inputs[0];
    }
    id
}

/// What computing a node at the place of use costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// In passes over a tile of registers.
    rows: usize,
    /// Tensors read.
    loads: usize,
}

fn keep_expensive(graph: &Graph, limits: &Limits, keep: &mut [bool]) {
    let uses = uses(graph);
    let mut costs = vec![Cost::default(); graph.nodes.len()];
    for (id, node) in graph.nodes() {
        let at = id.index();
        if is_stored(&node.op) || keep[at] || matches!(node.op, Op::Loop(_)) {
            costs[at] = Cost { rows: 0, loads: 1 };
            continue;
        }
        let mut cost = Cost { rows: node.op.passes(), loads: 0 };
        for input in &node.inputs {
            cost.rows += costs[input.index()].rows;
            cost.loads += costs[input.index()].loads;
        }
        if let Op::Broadcast { .. } = node.op {
            let base = viewed(graph, id);
            // A single number is computed once for all tiles of a kernel, which is cheaper than another launch.
            let free = usize::from(graph[base].len() == 1);
            if costs[base.index()].rows > free && node.len() > graph[base].len() {
                keep[base.index()] = true;
            }
            // What is repeated stays in the cache.
            cost = Cost::default();
        } else if !is_view(&node.op)
            && ((uses[at] > 1 && cost.rows + 2 * cost.loads.saturating_sub(1) > limits.dear) || cost.rows > limits.rows)
        {
            let narrow = narrowest(graph, id);
            keep[narrow.index()] = true;
            cost = Cost { rows: if narrow == id { 0 } else { 2 }, loads: 1 };
        }
        costs[at] = cost;
    }
}

/// The node itself, or truth values from which it follows in a step or two: they take a quarter of the memory.
fn narrowest(graph: &Graph, id: NodeId) -> NodeId {
    let mut at = id;
    for _ in 0..2 {
        let varying = |x: &&NodeId| !matches!(graph[**x].op, Op::Constant(_));
        let mut operands = graph[at].inputs.iter().filter(varying);
        let (Some(&only), None) = (operands.next(), operands.next()) else { return id };
        if graph[only].len() != graph[id].len() || graph[at].op.passes() > 1 {
            return id;
        }
        if graph[only].dtype == DType::Bool {
            return only;
        }
        at = only;
    }
    id
}

/// How many computations read each node, through views as well.
fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes.len()];
    for (id, node) in graph.nodes().rev() {
        let weight = if is_view(&node.op) { uses[id.index()] } else { 1 };
        for input in &node.inputs {
            uses[input.index()] += weight;
        }
    }
    uses
}
