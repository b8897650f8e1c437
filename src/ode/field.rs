//! A field that was recorded once, as a graph of its own that can be put in many places.

use crate::grad::vjp;
use crate::graph::{Graph, NodeId};
use crate::{Error, Result};

/// dy/ds as a function of the time, the time in the middle of the step, the value, and captures: a graph with these inputs
/// in this order. Outputs behind the first are rates whose integrals run along the solution.
#[derive(Debug)]
pub(crate) struct Field {
    pub graph: Graph,
    /// The nodes of the outer graph that it captures.
    pub captures: Vec<NodeId>,
}

/// Stands for the time or the value while a field is recorded. What reads it is copied, so no run computes with it; a
/// value that escapes from the field is not a number.
pub(crate) fn stand_in(graph: &mut Graph, dims: &[usize], dtype: crate::graph::DType) -> NodeId {
    graph.constant(f64::NAN, dims, dtype)
}

impl Field {
    /// The part of a graph that computes the slope, and rates behind it, from the stand-ins of the middle of the step, of the
    /// time and of the value, which were recorded before them in this order.
    ///
    /// # Errors
    /// If the slope has another shape or element type than the value.
    pub fn extract(outer: &Graph, [middle, time, value]: [NodeId; 3], slopes: &[NodeId]) -> Result<Self> {
        let (found, wanted) = (&outer[slopes[0]], &outer[value]);
        if (&found.dims, found.dtype) != (&wanted.dims, wanted.dtype) {
            let problem = format!(
                "the field gives {:?}{:?} for a value {:?}{:?}, and should give its derivative, of the same shape",
                found.dtype, found.dims, wanted.dtype, wanted.dims
            );
            return Err(Error::shape("ode", problem));
        }
        let mut graph = Graph::new();
        let known = [("s", time), ("middle", middle), ("y", value)]
            .map(|(name, id)| (id, graph.input(name, &outer[id].dims, outer[id].dtype)));
        let (inner, captures) = outer.extract(&mut graph, middle.index(), &known, slopes);
        inner.into_iter().for_each(|slope| graph.output("slope", slope));
        Ok(Field { graph, captures })
    }

    /// Appends the field at a time, a middle of the step, a value and the captures' nodes to a graph; gives the slope and the
    /// rates.
    pub fn inline(&self, graph: &mut Graph, at: [NodeId; 3], captures: &[NodeId]) -> Vec<NodeId> {
        let inputs: Vec<NodeId> = at.into_iter().chain(captures.iter().copied()).collect();
        let nodes = graph.inline(&self.graph, &inputs);
        self.graph.outputs().iter().map(|(_, id)| nodes[id.index()]).collect()
    }

    /// A graph of time, middle, value, the cotangents λ of the slopes f, and the captures: it gives f, then λ·∂f/∂y, then λ·∂f/∂w for
    /// each captured real w.
    pub fn products(&self) -> Result<Graph> {
        let mut graph = Graph::new();
        let slots = self.graph.inputs();
        let input = |graph: &mut Graph, i: usize| {
            let slot = &slots[i];
            graph.input(slot.name.clone(), &slot.dims, slot.dtype)
        };
        let at = [0, 1, 2].map(|i| input(&mut graph, i));
        let outputs = self.graph.outputs().iter().map(|(_, id)| &self.graph[*id]);
        let cotangents: Vec<NodeId> = outputs.map(|node| graph.input("cotangent", &node.dims, node.dtype)).collect();
        let captures: Vec<NodeId> = (3..slots.len()).map(|i| input(&mut graph, i)).collect();
        let slopes = self.inline(&mut graph, at, &captures);
        let reals = captures.into_iter().filter(|x| graph[*x].dtype.is_float());
        let wrt: Vec<NodeId> = std::iter::once(at[2]).chain(reals).collect();
        let pairs: Vec<(NodeId, NodeId)> = slopes.iter().copied().zip(cotangents).collect();
        let products = vjp(&mut graph, &pairs, &wrt)?;
        slopes.into_iter().chain(products).for_each(|product| graph.output("product", product));
        Ok(graph)
    }
}
