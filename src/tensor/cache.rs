//! Rows that outlive a run: keys and values of what was read before.

use crate::graph::{Binary, Compare, DType, Graph, NodeId, StateKind};
use crate::{Error, Result};

/// Writes `x [n, .., t, e]` to the places `start..start + t` of a memory that outlives the run, `start` a real number, and
/// gives the whole memory `[n, .., places, e]`. Places that no run has written hold zeros. The memory is a session tensor of this key; programs
/// update it in place.
///
/// It is an error of the run if x goes beyond the last place.
pub(super) fn kept(g: &mut Graph, key: &str, x: NodeId, start: NodeId, places: usize) -> Result<NodeId> {
    let (dims, dtype) = (g[x].dims.clone(), g[x].dtype);
    let &[n, ref rest @ .., t, e] = &dims[..] else {
        return Err(Error::shape("attention", format!("keeps rows of each sample, [n, .., t, e], not {dims:?}")));
    };
    let (rank, width) = (dims.len(), rest.iter().product::<usize>() * e);
    let memory = g.state(key, StateKind::Session, &[n * places, width], dtype)?;
    let whole = [n, t];
    // Places are calculated as reals, of which f32 has all whole numbers up to 2²⁴.
    if dtype == DType::F32 && n * places >= 1 << 24 {
        let problem = format!("{n} samples of {places} places are too many for f32; take fewer samples");
        return Err(Error::shape("attention", problem));
    }
    let real = |g: &mut Graph, axis: usize| {
        let number = g.iota(&whole, axis)?;
        Ok::<_, Error>(g.cast(number, dtype))
    };
    let (sample, step) = (real(g, 0)?, real(g, 1)?);
    let start = g.broadcast(start, &[0, 1], &whole)?;
    let place = g.binary(Binary::Add, start, step)?;
    let last = g.constant_like(places as f64, place);
    let own = g.binary(Binary::Mul, sample, last)?;
    let row = g.binary(Binary::Add, own, place)?;
    // A place behind the last is no row of the next sample, but none at all, which the run refuses.
    let inside = g.compare(Compare::Lt, place, last)?;
    let none = g.constant_like((n * places) as f64, row);
    let row = g.select(inside, row, none)?;
    let index = g.cast(row, DType::Index);
    let index = g.reshape(index, &[n * t])?;

    let order: Vec<usize> = [0, rank - 2].into_iter().chain(1..rank - 2).chain([rank - 1]).collect();
    let values = g.permute(x, &order)?;
    let values = g.reshape(values, &[n * t, width])?;
    let next = g.put(memory, index, values)?;
    g.update(memory, next)?;

    let apart: Vec<usize> = [n, places].into_iter().chain(rest.iter().copied()).chain([e]).collect();
    let next = g.reshape(next, &apart)?;
    let back: Vec<usize> = [0].into_iter().chain(2..rank - 1).chain([1, rank - 1]).collect();
    g.permute(next, &back)
}
