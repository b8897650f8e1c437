//! Rows that outlive a run: keys and values of what was read before.

use super::var::record;
use super::{ConstDim, Float, In, Scope, Shape, Var};
use crate::graph::{Binary, Compare, DType, Graph, NodeId, StateKind};
use crate::{Error, Result};

/// Writes `x [n, .., t, e]` to the places `start..start + t` of a memory that outlives the run, `start [n]` its own for each
/// sample, and gives the whole memory `[n, .., T, e]`, the shape `shape`. Places that no run has written hold zeros. The
/// memory is a session tensor of this path; programs update it in place.
///
/// It is an error of the recording if the path keeps rows already, and of the run if a sample goes beyond T.
pub fn cached<S, P, Dst, T, E>(scope: &Scope, x: &Var<S, E>, start: &Var<P, In<T>>, shape: Dst) -> Var<Dst, E>
where
    S: Shape,
    P: Shape,
    Dst: Shape,
    T: ConstDim,
    E: Float,
{
    let dims = shape.concrete();
    let [samples, rest @ .., _, width] = dims.as_ref() else {
        scope.fail(Error::shape("cached", "takes rows of each sample, [n, .., t, e]"));
        return scope.constant(0.0, shape);
    };
    let memory = (samples * T::SIZE, rest.iter().product::<usize>() * width);
    let memory: Var<(usize, usize), E> = scope.state("cache", StateKind::Session, memory);
    let operands = [x.erased(), start.erased(), memory.erased()];
    record(&operands, shape, &|g, n| kept(g, n[0], n[1], n[2], T::SIZE))
}

fn kept(g: &mut Graph, x: NodeId, start: NodeId, memory: NodeId, places: usize) -> Result<NodeId> {
    let dims = g[x].dims.clone();
    let (n, t, rank) = (dims[0], dims[dims.len() - 2], dims.len());
    let (rows, width) = (g[memory].dims[0], g[memory].dims[1]);
    if g[start].dims != [n] {
        let problem = format!("begins at one place for each of {n} samples, not at {:?}", g[start].dims);
        return Err(Error::shape("cached", problem));
    }
    // Places are calculated as reals, of which f32 has all whole numbers up to 2²⁴.
    let dtype = g[x].dtype;
    if dtype == DType::F32 && rows >= 1 << 24 {
        let problem = format!("{n} samples of {places} places are too many for f32; take fewer samples");
        return Err(Error::shape("cached", problem));
    }
    if g.is_updated(memory) {
        let problem = "keeps the rows of one use in a run; give each use a layer of its own";
        return Err(Error::shape("cached", problem));
    }
    let whole = [n, t];
    let real = |g: &mut Graph, axis: usize| {
        let number = g.iota(&whole, axis)?;
        Ok::<_, Error>(g.cast(number, dtype))
    };
    let (sample, step) = (real(g, 0)?, real(g, 1)?);
    let start = g.cast(start, dtype);
    let start = g.broadcast(start, &[1], &whole)?;
    let place = g.binary(Binary::Add, start, step)?;
    let last = g.constant_like(places as f64, place);
    let own = g.binary(Binary::Mul, sample, last)?;
    let row = g.binary(Binary::Add, own, place)?;
    // A place behind the last is no row of the next sample, but none at all, which the run refuses.
    let inside = g.compare(Compare::Lt, place, last)?;
    let none = g.constant_like(rows as f64, row);
    let row = g.select(inside, row, none)?;
    let index = g.cast(row, DType::Index);
    let index = g.reshape(index, &[n * t])?;

    let order: Vec<usize> = [0, rank - 2].into_iter().chain(1..rank - 2).chain([rank - 1]).collect();
    let values = g.permute(x, &order)?;
    let values = g.reshape(values, &[n * t, width])?;
    let next = g.put(memory, index, values)?;
    g.update(memory, next)?;

    let apart: Vec<usize> =
        [n, places].into_iter().chain(dims[1..rank - 2].iter().copied()).chain([dims[rank - 1]]).collect();
    let next = g.reshape(next, &apart)?;
    let back: Vec<usize> = [0].into_iter().chain(2..rank - 1).chain([1, rank - 1]).collect();
    g.permute(next, &back)
}
