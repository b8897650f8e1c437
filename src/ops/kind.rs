//! How programs come by the values of a node: what a pass knows of an op without knowing the op.

use super::index::strides;
use crate::graph::{Graph, Loop, Node, NodeId};
use crate::kernel::schedule::{BufferId, Home};
use crate::kernel::tiled::{Code, Fold};
use crate::kernel::view::View;
use crate::kernel::work::Work;

/// How programs come by the values of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// They are given to the run, or kept from the one before.
    Stored(Home),
    /// They are those of the operand, seen in another order or several times.
    View(Seen<'a>),
    /// They are computed wherever they are read.
    Fused(Fused),
    /// A fused kernel computes them from its operands, and others read them from memory.
    Boundary(Boundary<'a>),
    /// A launch of its own computes them.
    Alone(Launch),
    /// The steps of a body compute them, several results at once.
    Loop(&'a Loop),
    /// They are this one of several results.
    Part(usize),
}

/// How a view sees its operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// Repeated along these new axes.
    Repeated(&'a [usize]),
    /// Axis i is axis `order[i]` of the operand.
    Turned(&'a [usize]),
    /// Along `axis` from `start` on.
    From { axis: usize, start: usize },
    /// In row-major order under another shape.
    Shaped,
}

/// What is computed where it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fused {
    /// One number.
    Constant(f64),
    /// The position along this axis.
    Position(usize),
    /// A draw, by the key that is the operand.
    Random { path: u64, normal: bool },
    /// What the code makes of the operands.
    Row(Code),
    /// The operand as the node's element type.
    Cast,
    /// The operand.
    Same,
}

/// What a fused kernel writes from its operands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Boundary<'a> {
    /// The elements of the operand, combined over these axes.
    Fold(Fold, &'a [usize]),
    /// The operands one after the other along this axis.
    Joined(usize),
    /// The operand from `start` of `axis` on, and zeros around it.
    Padded { axis: usize, start: usize },
}

/// Lays out the launch of a node over the buffers in which its operands lie.
///
/// The error is the operand that has to be kept in memory first.
pub(crate) type Launch = fn(&Graph, NodeId, &mut Operands<'_>) -> Result<Work, NodeId>;

impl Kind<'_> {
    /// Whether the values can only be read from memory.
    pub fn is_boundary(&self) -> bool {
        matches!(self, Kind::Boundary(_) | Kind::Part(_) | Kind::Alone(_))
    }

    /// Whether one launch computes them, which no other node joins.
    pub fn is_alone(&self) -> bool {
        matches!(self, Kind::Alone(_) | Kind::Loop(_))
    }
}

impl Node {
    /// Where its values lie, if they are given to the run.
    pub(crate) fn given(&self) -> Option<Home> {
        if let Kind::Stored(home) = self.op.kind() { Some(home) } else { None }
    }

    /// The number that every element is, if that is known.
    pub(crate) fn constant(&self) -> Option<f64> {
        if let Kind::Fused(Fused::Constant(value)) = self.op.kind() { Some(value) } else { None }
    }
}

/// A node seen in memory: element = `offset + Σ position[axis] * strides[axis]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub buffer: BufferId,
    pub offset: usize,
    pub strides: Vec<usize>,
}

impl Place {
    /// Whether the elements lie one after the other.
    pub fn dense(&self, dims: &[usize]) -> bool {
        let axes = dims.iter().zip(&self.strides).zip(strides(dims));
        axes.into_iter().all(|((&size, &own), dense)| size == 1 || own == dense)
    }
}

/// The buffers that a launch names, by the places of its operands.
pub(crate) struct Operands<'a> {
    /// Where each node can be read, itself or through views.
    pub places: &'a [Option<Place>],
    /// Those that it has named.
    pub buffers: Vec<BufferId>,
}

impl<'a> Operands<'a> {
    /// Where a node lies.
    ///
    /// # Errors
    /// The node, if it has to be kept in memory first.
    pub fn place(&self, id: NodeId) -> Result<&'a Place, NodeId> {
        self.places[id.index()].as_ref().ok_or(id)
    }

    /// A node that lies dense in memory.
    ///
    /// # Errors
    /// The node, if it has to be kept in memory first.
    pub fn dense(&mut self, graph: &Graph, id: NodeId) -> Result<View, NodeId> {
        let place = self.place(id)?;
        match place.dense(&graph[id].dims) {
            true => Ok(View::dense(self.number(place.buffer), place.offset, graph[id].dtype)),
            false => Err(id),
        }
    }

    /// The number of a buffer among the operands.
    pub fn number(&mut self, buffer: BufferId) -> usize {
        number(&mut self.buffers, buffer)
    }
}

/// The number of a buffer among the operands of a launch.
pub(crate) fn number(operands: &mut Vec<BufferId>, buffer: BufferId) -> usize {
    operands.iter().position(|&known| known == buffer).unwrap_or_else(|| {
        operands.push(buffer);
        operands.len() - 1
    })
}
