//! Which nodes are kept in memory, and where.

use super::Body;
use super::affine::{groups, strides};
use crate::graph::{DType, Graph, NodeId, Op, ReduceOp};
use crate::kernel::limits::Limits;
use crate::kernel::schedule::{Buffer, BufferId, Home};
use crate::kernel::tiled::Fold;
use crate::kernel::view::View;
use crate::ops::Kind;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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

/// What is kept and how it comes there.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes {
    pub buffers: Vec<Buffer>,
    /// The buffer that holds a node, contiguous in the node's own axes.
    pub home: Vec<Option<BufferId>>,
    /// Where a node can be read, itself or through views.
    pub place: Vec<Option<Place>>,
    /// In an order in which each follows what it reads.
    pub tasks: Vec<Task>,
    /// The buffer of each output.
    pub outputs: Vec<BufferId>,
    /// Slots of the state and the buffer that holds the new value.
    pub updates: Vec<(usize, BufferId)>,
    pub loops: HashMap<NodeId, LoopHome>,
}

/// The memory of a loop.
#[derive(Clone, Debug)]
pub(super) struct LoopHome {
    pub body: Arc<Body>,
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

/// Decides what is kept: what products, reductions and the user need in memory, nodes of `kept`, and what is too dear
/// to compute again for each use.
pub(super) fn homes(
    graph: &Graph,
    limits: &Limits,
    kept: &HashSet<NodeId>,
    nests: &HashMap<NodeId, Arc<Body>>,
) -> Homes {
    let mut homes = Homes { home: vec![None; graph.nodes.len()], ..Homes::default() };
    let mut keep: Vec<bool> = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes() {
        keep[id.index()] = kept.contains(&id) || keep[id.index()] || is_boundary(graph, id);
        if is_alone(&node.op) || matches!(node.op, Op::Loop(_)) {
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
        if let Op::Loop(nest) = &node.op {
            homes.repeat(id, nest.results(), &nests[&id]);
            continue;
        }
        if let Op::Part(i) = node.op {
            let buffer = homes.loops[&node.inputs[0]].results[i];
            homes.home[id.index()] = Some(buffer);
            homes.place.push(Some(Place { buffer, offset: 0, strides: strides(&node.dims) }));
            continue;
        }
        let home = match node.op {
            Op::Input(i) => Some(Home::Input(i)),
            Op::State(i) => Some(Home::State(i)),
            _ => keep[id.index()].then_some(Home::Arena(0)),
        };
        homes.home[id.index()] = home.map(|home| homes.buffer(node.len(), node.dtype, home));
        let place = match homes.home[id.index()] {
            Some(buffer) => Some(Place { buffer, offset: 0, strides: strides(&node.dims) }),
            None => homes.seen(graph, id),
        };
        homes.place.push(place);
        if home == Some(Home::Arena(0)) {
            homes.write(graph, id);
        }
    }
    for (_, output) in &graph.outputs {
        let base = unshaped(graph, *output);
        let buffer = match homes.home[base.index()] {
            Some(buffer) if !is_stored(&graph[base].op) => buffer,
            _ => homes.copy(graph, base),
        };
        homes.outputs.push(buffer);
    }
    for (slot, state) in graph.states.iter().enumerate() {
        let Some(value) = state.update.filter(|&value| graph[value].op != Op::State(slot)) else { continue };
        let buffer = match copied.contains(&slot) {
            true => homes.copy(graph, value),
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
    fn repeat(&mut self, id: NodeId, results: Vec<(Vec<usize>, DType)>, body: &Arc<Body>) {
        let buffer = |(dims, dtype): (Vec<usize>, DType)| self.buffer(dims.iter().product(), dtype, Home::Arena(0));
        let results = results.into_iter().map(buffer).collect();
        let memory = self.buffer(body.schedule.bytes, DType::Bool, Home::Arena(0));
        let counter = self.buffer(1, DType::Index, Home::Arena(0));
        self.loops.insert(id, LoopHome { body: Arc::clone(body), results, memory, counter });
        self.place.push(None);
        self.tasks.push(Task::Alone(id));
    }

    /// A fresh buffer with the values of a node.
    fn copy(&mut self, graph: &Graph, source: NodeId) -> BufferId {
        let node = &graph[source];
        let buffer = self.buffer(node.len(), node.dtype, Home::Arena(0));
        if !node.is_empty() {
            let target = Place { buffer, offset: 0, strides: strides(&node.dims) };
            self.tasks.push(Task::Compute { source, fold: None, target });
        }
        buffer
    }

    /// The tasks that fill the home of a node.
    fn write(&mut self, graph: &Graph, id: NodeId) {
        let node = &graph[id];
        let Some(target) = self.place[id.index()].clone() else { return };
        match &node.op {
            op if is_alone(op) => self.tasks.push(Task::Alone(id)),
            Op::Reduce { op, axes } => {
                let fold = match op {
                    ReduceOp::Sum => Fold::Sum,
                    ReduceOp::Max => Fold::Max,
                    ReduceOp::Min => Fold::Min,
                };
                let fold = Some((fold, axes.clone()));
                self.tasks.push(Task::Compute { source: node.inputs[0], fold, target });
            }
            Op::ArgMax { axis } => {
                let fold = Some((Fold::ArgMax, vec![*axis]));
                self.tasks.push(Task::Compute { source: node.inputs[0], fold, target });
            }
            Op::Concat { axis } => {
                let mut offset = 0;
                for &source in &node.inputs {
                    let part = Place { offset, ..target.clone() };
                    offset += graph[source].dims[*axis] * target.strides[*axis];
                    self.tasks.push(Task::Compute { source, fold: None, target: part });
                }
            }
            _ => self.tasks.push(Task::Compute { source: id, fold: None, target }),
        }
    }

    /// Where a view can be read, given where its operand can.
    pub fn seen(&self, graph: &Graph, id: NodeId) -> Option<Place> {
        let node = &graph[id];
        if !is_view(&node.op) {
            return None;
        }
        let mut place = self.place[node.inputs[0].index()].clone()?;
        match &node.op {
            Op::Broadcast { axes } => {
                for &axis in axes {
                    place.strides.insert(axis, 0);
                }
            }
            Op::Permute { order } => place.strides = order.iter().map(|&axis| place.strides[axis]).collect(),
            Op::Slice { axis, start } => place.offset += start * place.strides[*axis],
            _ => place.strides = reshaped(&graph[node.inputs[0]].dims, &place.strides, &node.dims)?,
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

fn is_stored(op: &Op) -> bool {
    op.kind() == Kind::Stored
}

/// Whether the node can only be read from memory.
pub(super) fn is_boundary(graph: &Graph, id: NodeId) -> bool {
    let node = &graph[id];
    // Registers are real numbers, which storing rounds.
    let rounds = node.op == Op::Cast && node.dtype == DType::Index && graph[node.inputs[0]].dtype.is_float();
    rounds || matches!(node.op.kind(), Kind::Boundary | Kind::Part | Kind::Alone)
}

/// Whether a node is a launch of its own, which reads its operands from memory and fills its home.
fn is_alone(op: &Op) -> bool {
    op.kind() == Kind::Alone
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
