//! What a graph is asked, how nodes are appended, and what builders expect of operands. The methods that append an op stand
//! beside it, in `ops`.

use super::*;
use crate::kernel::schedule::Home;
use crate::ops::Kind;
use crate::{Error, Result};
use ansatz_shapes::{self as shapes, Misfit};

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// All nodes with their ids, in topological order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i as u32), node))
    }

    /// The tensors that outlive a run.
    pub fn states(&self) -> &[StateSlot] {
        &self.states
    }

    /// The tensor of the state that a node reads, if it reads one.
    pub fn state_of(&self, node: NodeId) -> Option<&StateSlot> {
        if let Some(Home::State(slot)) = self[node].given() { Some(&self.states[slot]) } else { None }
    }

    /// The tensors given to each run.
    pub fn inputs(&self) -> &[InputSlot] {
        &self.inputs
    }

    /// The named results.
    pub fn outputs(&self) -> &[(String, NodeId)] {
        &self.outputs
    }

    /// Whether a node is several results at once, which has no value of its own.
    pub(crate) fn is_whole(&self, node: NodeId) -> bool {
        matches!(self[node].op.kind(), Kind::Loop(_))
    }

    /// Lets the state stay as it is.
    pub(crate) fn forget_updates(&mut self) {
        self.states.iter_mut().for_each(|slot| slot.update = None);
    }

    /// A named result.
    pub fn output(&mut self, name: impl Into<String>, node: NodeId) {
        self.outputs.push((name.into(), node));
    }

    /// Sets the value that a tensor of the state has after the run.
    ///
    /// # Errors
    /// If `state` is no state node or the new value has another shape or element type.
    pub fn update(&mut self, state: NodeId, value: NodeId) -> Result<()> {
        let (Some(Home::State(slot)), same) =
            (self[state].given(), self[state].dims == self[value].dims && self[state].dtype == self[value].dtype)
        else {
            return Err(Error::shape("update", "only a tensor of the state can be updated"));
        };
        if !same {
            let (old, new) = (&self[state], &self[value]);
            return Err(Error::shape("update", format!("a state of shape {:?} is given {:?}", old.dims, new.dims)));
        }
        self.states[slot].update = Some(value);
        Ok(())
    }

    pub(crate) fn push(&mut self, op: Op, inputs: Vec<NodeId>, dims: Vec<usize>, dtype: DType) -> NodeId {
        self.nodes.push(Node { op, inputs, dims, dtype });
        NodeId(self.nodes.len() as u32 - 1)
    }

    pub(crate) fn push_like(&mut self, op: Op, inputs: Vec<NodeId>, like: NodeId) -> NodeId {
        let (dims, dtype) = (self[like].dims.clone(), self[like].dtype);
        self.push(op, inputs, dims, dtype)
    }

    pub(crate) fn expect_float(&self, op: &'static str, x: NodeId) -> Result<()> {
        let found = self[x].dtype;
        if found.is_float() { Ok(()) } else { Err(Error::shape(op, format!("takes real numbers, not {found:?}"))) }
    }

    pub(crate) fn expect_same(&self, op: &'static str, a: NodeId, b: NodeId) -> Result<()> {
        shapes::same(&self[a].dims, &self[b].dims).map_err(misfit(op))?;
        if self[a].dtype != self[b].dtype {
            let (a, b) = (self[a].dtype, self[b].dtype);
            return Err(Error::shape(op, format!("the operands have element types {a:?} and {b:?}")));
        }
        Ok(())
    }
}

pub(crate) fn misfit(op: &'static str) -> impl Fn(Misfit<usize>) -> Error {
    move |misfit| {
        Error::shape(
            op,
            match misfit {
                Misfit::Size { operand, axis, expected, found } => {
                    format!("axis {axis} of operand {operand} should be {expected} and is {found}")
                }
                Misfit::Rank { operand, expected, found } => {
                    format!("operand {operand} should have {expected} axes and has {found}")
                }
                Misfit::Axis { axis, rank } => {
                    format!("axis {axis} of {rank} does not exist or is given twice")
                }
            },
        )
    }
}
