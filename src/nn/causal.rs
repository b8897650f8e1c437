//! Whether a net can be read piece by piece: what it gives at a position depends on no later one, and what it needs of
//! earlier ones is kept.

use super::net::trace_on;
use super::{Net, trace};
use crate::graph::{Graph, NodeId};
use crate::kernel::schedule::Home;
use crate::ops::{Obstacle, causal, tells_apart};
use crate::tensor::{Float, Scope};
use crate::{Error, Result};

/// How many positions a net of these run-time dimensions reads: as many as its causal attentions go along, or its
/// `positions`. 0 if it has neither and treats every element of a batch by itself.
///
/// # Errors
/// If it is not known to give for the pieces what it gives for the whole.
pub(super) fn positions<E: Float, M: Net<E>>(dims: &[usize], places: usize) -> Result<usize> {
    let whole = |dims: &[usize]| trace::<E, M>(dims, false);
    let piece = |dims: &[usize]| trace_on::<E, M>(&Scope::streaming::<E>(places), dims);
    let judge = |i: usize| match pair(dims, i, &piece) {
        // All pieces are equally long.
        None => Ok(()),
        Some([(count, one), (more, other)]) => {
            causal(&one, &other, count, start(&one))?;
            causal(&other, &one, more, start(&other))
        }
    };
    // The dimension of positions is the one along which some op tells them apart.
    let own = (0..dims.len())
        .find(|&i| pair(dims, i, &whole).is_some_and(|[(_, one), (_, other)]| tells_apart(&one, &other)));
    match own {
        Some(i) => judge(i).map(|()| dims[i]),
        None => (0..dims.len()).try_for_each(judge).map(|()| 0),
    }
    .map_err(|obstacle| refusal(M::NAME, &obstacle))
}

/// The graph for two sizes of one of the dimensions; of two or more, so that there is something to be mixed. The size
/// itself is one of them where it can be.
fn pair(dims: &[usize], i: usize, graph: &dyn Fn(&[usize]) -> Result<Graph>) -> Option<[(usize, Graph); 2]> {
    let size = dims[i];
    let sizes = (size..=size + 8).chain((size.saturating_sub(8)..size).rev());
    let mut graphs = sizes.filter(|&size| size > 1).filter_map(|size| {
        let mut dims = dims.to_vec();
        dims[i] = size;
        Some((size, graph(&dims).ok()?))
    });
    let (first, second) = (graphs.next()?, graphs.next()?);
    // Where a size makes two shapes equal, a step between them is left out.
    if first.1.nodes().count() == second.1.nodes().count() {
        return Some([first, second]);
    }
    graphs.next().map(|third| [second, third])
}

/// The input that says how many positions were read before.
fn start(graph: &Graph) -> Option<NodeId> {
    graph.nodes().find(|(_, node)| node.given() == Some(Home::Input(0))).map(|(id, _)| id)
}

fn refusal(net: &str, Obstacle { op, problem, behind }: &Obstacle) -> Error {
    let layer = behind.as_ref().map(|key| key.rsplit_once('.').map_or(key.as_str(), |(layer, _)| layer));
    let behind = layer.map(|layer| format!(", behind `{layer}`")).unwrap_or_default();
    Error::value(format!(
        "`{net}` cannot be read piece by piece: {op} {problem}{behind}; give it whole inputs by `forward` or a `Session`"
    ))
}
