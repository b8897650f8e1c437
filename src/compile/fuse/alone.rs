//! Work that is a launch of its own, which no other joins.

use super::attention::attention;
use super::homes::{Homes, Place};
use super::lookup::lookup;
use super::nest::repeat;
use super::product::products;
use super::{BufferId, Work};
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::call::Call;
use crate::kernel::conv::{Convolution, Pass, phases};
use crate::kernel::pool::{Pooling, Span};

/// The work of a node, the buffers that it names, and those of them that it writes.
///
/// # Errors
/// The operand that has to be kept in memory first.
pub(super) fn alone(graph: &Graph, homes: &Homes, id: NodeId) -> Result<(Work, Vec<BufferId>, Vec<BufferId>), NodeId> {
    let own = || homes.home[id.index()].ok_or(id);
    if let Op::Custom(op) = &graph[id].op {
        let (mut buffers, mut operands) = (Vec::new(), Vec::new());
        for &x in &graph[id].inputs {
            let dims = graph[x].dims.clone();
            let place = homes.place[x.index()].as_ref().filter(|place| place.dense(&dims)).ok_or(x)?;
            operands.push((Span { operand: buffers.len(), offset: place.offset }, dims));
            buffers.push(place.buffer);
        }
        let result = Span { operand: buffers.len(), offset: 0 };
        buffers.push(own()?);
        let call = Call { function: op.0.clone(), operands, result, len: graph[id].len() };
        return Ok((Work::Call(Box::new(call)), buffers, vec![own()?]));
    }
    match graph[id].op {
        Op::MatMul { .. } => {
            let (gemms, operands) = products(graph, homes, id)?;
            Ok((Work::Products(gemms), operands, vec![own()?]))
        }
        Op::Loop(_) => {
            let (work, operands) = repeat(graph, homes, id)?;
            let writes = work.results.iter().chain([&work.memory]).map(|&i| operands[i]).collect();
            Ok((Work::Loop(work), operands, writes))
        }
        Op::Attention(_) | Op::AttentionGradient(_) => {
            let (work, operands) = attention(graph, homes, id)?;
            Ok((Work::Attention(Box::new(work)), operands, vec![own()?]))
        }
        Op::Gather | Op::ScatterAdd | Op::Put => {
            let (work, operands) = lookup(graph, homes, id)?;
            Ok((Work::Lookup(work), operands, vec![own()?]))
        }
        Op::Pool { pool, window } => {
            let (mut operands, mut spans) = (Vec::new(), Vec::new());
            for &x in &graph[id].inputs {
                let place = homes.place[x.index()].as_ref().filter(|place| place.dense(&graph[x].dims)).ok_or(x)?;
                spans.push(Span { operand: operands.len(), offset: place.offset });
                operands.push(place.buffer);
            }
            let (planes, count) = (&graph[id].dims[..graph[id].dims.len() - 2], window.count().map_err(|_| id)?);
            let work = Pooling {
                pool,
                window,
                count,
                planes: planes.iter().product(),
                x: spans[0],
                positions: spans.get(1).copied(),
                y: Span { operand: operands.len(), offset: 0 },
            };
            operands.push(own()?);
            Ok((Work::Pooling(work), operands, vec![own()?]))
        }
        Op::Conv { pass, conv } => {
            let (mut buffers, mut spans) = (Vec::new(), Vec::new());
            for &x in &graph[id].inputs {
                let place = homes.place[x.index()].as_ref().filter(|place| place.dense(&graph[x].dims)).ok_or(x)?;
                spans.push(Span { operand: buffers.len(), offset: place.offset });
                buffers.push(place.buffer);
            }
            let [a, b] = [0, 1].map(|i| &*graph[graph[id].inputs[i]].dims);
            let weights = match pass {
                Pass::Forward | Pass::Data => b,
                Pass::Weight => &graph[id].dims,
            };
            let count = conv.count().map_err(|_| id)?;
            let work = Convolution {
                pass,
                conv,
                count,
                batch: a[0],
                inputs: weights[1],
                outputs: weights[0] / conv.groups,
                phases: phases(pass, &conv, count),
                operands: [spans[0], spans[1]],
                result: Span { operand: buffers.len(), offset: 0 },
            };
            buffers.push(own()?);
            Ok((Work::Convolution(Box::new(work)), buffers, vec![own()?]))
        }
        Op::FoldIn => {
            let mut operands = Vec::new();
            for &x in &graph[id].inputs {
                let first = |place: &&Place| place.offset == 0 && place.dense(&graph[x].dims);
                let place = homes.place[x.index()].as_ref().filter(first).ok_or(x)?;
                operands.push(place.buffer);
            }
            operands.push(own()?);
            Ok((Work::FoldIn([0, 1, 2]), operands, vec![own()?]))
        }
        _ => Err(id),
    }
}
