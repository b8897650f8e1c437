//! Where nodes lie in memory, and what is to be done so that they do.

use super::affine::{groups, strides};
use crate::graph::{DType, Graph, NodeId, Op};
use crate::kernel::schedule::{Buffer, BufferId, Home, Schedule};
use crate::kernel::tiled::Fold;
use crate::kernel::view::View;
use crate::ops::Kind;
use std::collections::HashMap;
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

impl Place {
    /// Whether the elements lie one after the other.
    pub fn dense(&self, dims: &[usize]) -> bool {
        let axes = dims.iter().zip(&self.strides).zip(strides(dims));
        axes.into_iter().all(|((&size, &own), dense)| size == 1 || own == dense)
    }
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

    /// One more buffer.
    pub fn buffer(&mut self, len: usize, dtype: DType, home: Home) -> BufferId {
        self.buffers.push(Buffer { len, element: dtype, home });
        self.buffers.len() - 1
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

/// Whether the values can only be read from memory.
pub(super) fn is_boundary(op: &Op) -> bool {
    matches!(op.kind(), Kind::Boundary | Kind::Part | Kind::Alone)
}
