//! Work that is a launch of its own, which no other joins.

use super::attention::attention;
use super::homes::Homes;
use super::nest::repeat;
use super::product::products;
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::call::Call;
use crate::kernel::conv::{Convolution, Pass, phases};
use crate::kernel::lookup::{Kind, Lookup};
use crate::kernel::pool::Pooling;
use crate::kernel::schedule::BufferId;
use crate::kernel::view::View;
use crate::kernel::work::{FoldIn, Work};

/// The work of a node, and the buffers that it names.
///
/// # Errors
/// The operand that has to be kept in memory first.
pub(super) fn alone(graph: &Graph, homes: &Homes, id: NodeId) -> Result<(Work, Vec<BufferId>), NodeId> {
    let mut operands = Vec::new();
    let mut view = |x: NodeId| homes.dense(graph, x, &mut operands);
    let inputs = &graph[id].inputs;
    let work = match graph[id].op {
        Op::MatMul { .. } => {
            let (gemms, operands) = products(graph, homes, id)?;
            return Ok((Work::Products(gemms), operands));
        }
        Op::Loop(_) => {
            let (work, operands) = repeat(graph, homes, id)?;
            return Ok((Work::Loop(work), operands));
        }
        Op::Attention(_) | Op::AttentionGradient(_) => {
            let (work, operands) = attention(graph, homes, id)?;
            return Ok((Work::Attention(Box::new(work)), operands));
        }
        Op::Gather => {
            let table = Kind::Gather { table: view(inputs[0])? };
            Work::Lookup(lookup(graph, table, [inputs[0], inputs[1], id], &mut view)?)
        }
        Op::ScatterAdd => {
            let values = Kind::ScatterAdd { values: view(inputs[0])? };
            Work::Lookup(lookup(graph, values, [id, inputs[1], id], &mut view)?)
        }
        Op::Put => {
            let both = Kind::Put { table: view(inputs[0])?, values: view(inputs[2])? };
            Work::Lookup(lookup(graph, both, [inputs[0], inputs[1], id], &mut view)?)
        }
        Op::Pool { pool, window } => Work::Pooling(Pooling {
            pool,
            window,
            count: window.count().map_err(|_| id)?,
            planes: graph[id].dims[..graph[id].dims.len() - 2].iter().product(),
            x: view(inputs[0])?,
            positions: inputs.get(1).map(|&x| view(x)).transpose()?,
            y: view(id)?,
        }),
        Op::Conv { pass, conv } => {
            let [a, b] = [0, 1].map(|i| &*graph[inputs[i]].dims);
            let weights = match pass {
                Pass::Forward | Pass::Data => b,
                Pass::Weight => &graph[id].dims,
            };
            let count = conv.count().map_err(|_| id)?;
            Work::Convolution(Box::new(Convolution {
                pass,
                conv,
                count,
                batch: a[0],
                inputs: weights[1],
                outputs: weights[0] / conv.groups,
                phases: phases(pass, &conv, count),
                operands: [view(inputs[0])?, view(inputs[1])?],
                result: view(id)?,
            }))
        }
        Op::FoldIn => Work::FoldIn(FoldIn { key: view(inputs[0])?, number: view(inputs[1])?, to: view(id)? }),
        Op::Custom(ref op) => {
            let operands = inputs.iter().map(|&x| Ok((view(x)?, graph[x].dims.clone()))).collect::<Result<_, _>>()?;
            let (function, result, len) = (op.0.clone(), view(id)?, graph[id].len());
            Work::Call(Box::new(Call { function, operands, result, len }))
        }
        Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::Iota { .. } | Op::Random { .. } => return Err(id),
        Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast | Op::StopGradient => return Err(id),
        Op::Reduce { .. } | Op::ArgMax { .. } | Op::Broadcast { .. } | Op::Reshape | Op::Permute { .. } => {
            return Err(id);
        }
        Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } | Op::Part(_) => return Err(id),
    };
    Ok((work, operands))
}

/// Rows of a table by their indices, from the nodes of table, indices and result.
fn lookup(
    graph: &Graph,
    kind: Kind,
    [table, index, out]: [NodeId; 3],
    view: &mut dyn FnMut(NodeId) -> Result<View, NodeId>,
) -> Result<Lookup, NodeId> {
    let (rows, width) = (graph[table].dims[0], graph[table].dims[1..].iter().product());
    Ok(Lookup { kind, rows, width, index: view(index)?, count: graph[index].len(), out: view(out)? })
}
