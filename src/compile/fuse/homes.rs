//! Where nodes lie in memory, and what is to be done so that they do.

use super::affine::groups;
use crate::graph::{DType, Graph, NodeId};
use crate::kernel::schedule::{Buffer, BufferId, Home, Schedule};
use crate::kernel::tiled::Fold;
use crate::ops::{Kind, Operands, Place, Seen};
use std::collections::HashMap;
use std::sync::Arc;

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
    pub node: NodeId,
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

/// The body of a loop, laid out. Its states are the carries, then the stacks.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub schedule: Arc<Schedule>,
    /// Elements and type of one step's part of each slice and capture, and of each state.
    pub inputs: Vec<(usize, DType)>,
    pub states: Vec<(usize, DType)>,
}

impl Homes {
    /// Names no buffer yet.
    pub fn operands(&self) -> Operands<'_> {
        Operands { places: &self.place, buffers: Vec::new() }
    }

    /// Where a view can be read, given where its operand can.
    pub fn seen(&self, graph: &Graph, id: NodeId) -> Option<Place> {
        let node = &graph[id];
        let Kind::View(seen) = node.op.kind() else { return None };
        let mut place = self.place[node.inputs[0].index()].clone()?;
        match seen {
            Seen::Repeated(axes) => axes.iter().for_each(|&axis| place.strides.insert(axis, 0)),
            Seen::Turned(order) => place.strides = order.iter().map(|&axis| place.strides[axis]).collect(),
            Seen::From { axis, start } => place.offset += start * place.strides[axis],
            Seen::Shaped => place.strides = reshaped(&graph[node.inputs[0]].dims, &place.strides, &node.dims)?,
        }
        Some(place)
    }

    /// One more buffer.
    pub fn buffer(&mut self, len: usize, dtype: DType, home: Home) -> BufferId {
        self.buffers.push(Buffer { len, element: dtype, home });
        self.buffers.len() - 1
    }
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
