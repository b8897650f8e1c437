//! Lays out one op that goes by indices: its operands lie dense in memory.

use super::homes::Homes;
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::lookup::{Kind, Lookup};
use crate::kernel::schedule::BufferId;

/// The launch of a `Gather`, `ScatterAdd` or `Put` node, and the buffers that it names.
///
/// # Errors
/// The operand that has to be kept in memory first.
pub(super) fn lookup(graph: &Graph, homes: &Homes, id: NodeId) -> Result<(Lookup, Vec<BufferId>), NodeId> {
    let mut operands: Vec<BufferId> = Vec::new();
    let mut view = |x: NodeId| homes.dense(graph, x, &mut operands);
    let inputs = &graph[id].inputs;
    let (kind, table, index) = match graph[id].op {
        Op::Gather => (Kind::Gather { table: view(inputs[0])? }, inputs[0], inputs[1]),
        Op::ScatterAdd => (Kind::ScatterAdd { values: view(inputs[0])? }, id, inputs[1]),
        Op::Put => (Kind::Put { table: view(inputs[0])?, values: view(inputs[2])? }, inputs[0], inputs[1]),
        _ => return Err(id),
    };
    let (rows, width) = (graph[table].dims[0], graph[table].dims[1..].iter().product());
    let (count, index, out) = (graph[index].len(), view(index)?, view(id)?);
    Ok((Lookup { kind, rows, width, index, count, out }, operands))
}
