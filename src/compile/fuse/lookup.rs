//! Lays out one op that goes by indices: its operands lie dense in memory.

use super::BufferId;
use super::homes::{Homes, Place};
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::cpu;

/// The launch of a `Gather`, `ScatterAdd` or `Put` node, and the buffers that it names.
///
/// # Errors
/// The operand that has to be kept in memory first.
pub(super) fn lookup(graph: &Graph, homes: &Homes, id: NodeId) -> Result<(cpu::Lookup, Vec<BufferId>), NodeId> {
    let mut operands: Vec<BufferId> = Vec::new();
    let mut piece = |id: NodeId| {
        let dense = |place: &&Place| place.dense(&graph[id].dims);
        let place = homes.place[id.index()].as_ref().filter(dense).ok_or(id)?;
        let operand = operands.iter().position(|&known| known == place.buffer).unwrap_or_else(|| {
            operands.push(place.buffer);
            operands.len() - 1
        });
        Ok(cpu::Place { operand, offset: place.offset * graph[id].dtype.size() })
    };
    let node = &graph[id];
    let (kind, table, index, values) = match node.op {
        Op::Gather => (cpu::Kind::Gather, node.inputs[0], node.inputs[1], id),
        // What a kind does not use is the result.
        Op::ScatterAdd => (cpu::Kind::ScatterAdd, id, node.inputs[1], node.inputs[0]),
        Op::Put => (cpu::Kind::Put, node.inputs[0], node.inputs[1], node.inputs[2]),
        _ => return Err(id),
    };
    let rows = graph[table].dims[0];
    let bytes = graph[table].dims[1..].iter().product::<usize>() * node.dtype.size();
    let count = graph[index].len();
    let (table, index, values, out) = (piece(table)?, piece(index)?, piece(values)?, piece(id)?);
    Ok((cpu::Lookup { kind, rows, bytes, count, table, index, values, out }, operands))
}
