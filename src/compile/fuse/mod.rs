//! Turns a graph into launches: fused kernels and matrix products, in the order in which they run.
//!
//! - `keep` decides which nodes are kept in memory, by `cost` and by what launches need; all others are computed where they
//!   are used. `homes` says where they lie.
//! - `kernel` builds one fused kernel from the nodes it stores, folding views into the strides of its loads.
//! - `nest` lays out what is launched alone: ops by their rules, and loops, whose bodies are schedules of their own.
//! - `group` joins stores and reductions over one iteration space into one kernel.
//! - `depend` keeps what must run before what.
//! - `order` puts updates of the state in place where that is legal, and all launches in order.
//! - `chain` lets kernels that agree on an axis run slab after slab.

mod affine;
mod homes;
mod cost;
mod keep;
mod kernel;
mod nest;
mod depend;
mod group;
mod order;
mod chain;

use crate::graph::{Graph, Node, NodeId};
use crate::kernel::limits::Limits;
use crate::kernel::schedule::Schedule;
use crate::ops::{Boundary, Kind};

/// The launches that compute the outputs and updates of `graph`.
pub(super) fn fuse(graph: &Graph, limits: &Limits) -> Schedule {
    let graph = lower(graph);
    let homes = keep::homes(&graph, limits);
    let groups = group::group(&graph, limits, &homes);
    let mut schedule = order::order(&graph, limits, homes, groups);
    chain::chains(&mut schedule, limits);
    schedule
}

/// Writes padding as what it is made of: zeros before and after the operand.
fn lower(graph: &Graph) -> Graph {
    let mut lowered = Graph { inputs: graph.inputs.clone(), states: graph.states.clone(), ..Graph::default() };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (_, node) in graph.nodes() {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|x| renamed[x.index()]).collect();
        let Node { op, dims, dtype, .. } = node.clone();
        let Kind::Boundary(Boundary::Padded { axis, start }) = op.kind() else {
            renamed.push(lowered.push(op, inputs, dims, dtype));
            continue;
        };
        let size = lowered[inputs[0]].dims[axis];
        let mut parts = Vec::new();
        for (len, operand) in [(start, None), (size, Some(inputs[0])), (dims[axis] - start - size, None)] {
            if len > 0 {
                let mut strip = dims.clone();
                strip[axis] = len;
                parts.push(operand.unwrap_or_else(|| lowered.constant(0.0, &strip, dtype)));
            }
        }
        renamed
            .push(lowered.concat(&parts, axis).expect("zeros and what they surround have one shape but for the axis"));
    }
    for slot in &mut lowered.states {
        slot.update = slot.update.map(|value| renamed[value.index()]);
    }
    lowered.outputs = graph.outputs.iter().map(|(name, value)| (name.clone(), renamed[value.index()])).collect();
    lowered
}
