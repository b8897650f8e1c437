//! The one small graph in the middle: untyped nodes that the typed front records, the derivative extends,
//! and the compiler turns into a program.
//!
//! A graph describes a function `(state, inputs) → (state, outputs)`. Nodes stand in topological order: the inputs
//! of a node have smaller ids than the node.

mod build;
mod print;

#[doc(inline)]
pub use crate::kernel::DType;
#[doc(inline)]
pub use crate::kernel::conv::{Conv, Pass};
#[doc(inline)]
pub use crate::kernel::elementwise::{Binary, Compare, Unary};
#[doc(inline)]
pub use crate::kernel::pool::{Pool, Window};
pub use crate::ops::{
    Attend, Attention, Body, Custom, Distribution, Foreign, Function, Loop, LoopGradient, Looped, Op, ReduceOp, Values,
};
pub(crate) use build::misfit;

/// The name of a node within its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One value of the graph: what computes it, from what, and its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What computes the value.
    pub op: Op,
    /// The operands, in the order the op defines.
    pub inputs: Vec<NodeId>,
    /// The size of each axis; empty for a scalar.
    pub dims: Vec<usize>,
    /// The element type.
    pub dtype: DType,
}

impl Node {
    /// The number of elements; the greatest number where there are more than can be counted, which no program computes.
    pub fn len(&self) -> usize {
        self.dims.iter().fold(1, |len, &size| len.saturating_mul(size))
    }

    /// Whether there is no element: an axis has size 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a tensor of the state is for; each checkpoint and each check says which kinds it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// Fitted by the optimiser.
    Parameter,
    /// Belongs to the model but is not fitted (running statistics).
    Buffer,
    /// Belongs to an optimiser (moments, averaged weights).
    Optimiser,
    /// Lives as long as a session (key-value caches).
    Session,
    /// The seed and step that random draws are keyed by: four `Index` elements, seed then step, low word first.
    Key,
}

/// What the key of random draws is called among the tensors of the state.
pub const KEY: &str = "key";

/// A tensor that outlives a run: `Op::State(i)` reads the i-th of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSlot {
    /// The path of labels, as PyTorch names it: `mlp.fc1.weight`.
    pub key: String,
    /// What it is for.
    pub kind: StateKind,
    /// The size of each axis.
    pub dims: Vec<usize>,
    /// The element type.
    pub dtype: DType,
    /// The value after the run, if the run changes it.
    pub update: Option<NodeId>,
}

/// A tensor given to each run: `Op::Input(i)` reads the i-th of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSlot {
    /// The name in the declaration.
    pub name: String,
    /// The size of each axis.
    pub dims: Vec<usize>,
    /// The element type.
    pub dtype: DType,
    /// For indices into a space of known size, that size: all elements are below it.
    pub space: Option<usize>,
}

/// A function `(state, inputs) → (state, outputs)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) states: Vec<StateSlot>,
    pub(crate) inputs: Vec<InputSlot>,
    pub(crate) outputs: Vec<(String, NodeId)>,
}

impl std::ops::Index<NodeId> for Graph {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }
}
