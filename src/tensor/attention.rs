//! Attention, and positions that turn queries and keys.

use super::cache::kept;
use super::composite::scale;
use super::var::{Erased, record};
use super::{Float, Shape, Var};
use crate::graph::{Attend, Binary, Compare, DType, Graph, NodeId, Unary};
use crate::{Error, Result};
use ansatz_shapes as shapes;

/// What [`attention`] can be told.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// Whether a query sees no key at a later position.
    pub causal: bool,
    /// What scores are multiplied by; 1/√e if not given.
    pub scale: Option<f64>,
    /// Whether a query sees only keys less than so many positions away, its own included.
    pub window: Option<usize>,
    /// Truth values for each key `[.., s]` or each score `[.., h, t, s]`: who is seen. Or reals that are added to the
    /// scores. Axes of size 1 broadcast.
    pub mask: Option<Erased>,
    /// How many keys each sample has `[..]`, indices: those behind are not seen.
    pub lengths: Option<Erased>,
    /// The position of the first query among the keys `[..]`, indices; s − t if not given.
    pub start: Option<Erased>,
    /// Whether scores fall with the distance, in each head by its own slope (Press et al. 2022, "ALiBi").
    pub alibi: bool,
}

/// `softmax(scale · q kᵀ) v`: queries `[.., h, t, e]`, keys `[.., g, s, e]` and values `[.., g, s, f]` give
/// `[.., h, t, f]`, the shape `shape`. Each head of keys serves h / g heads of queries. Memory grows with the lengths, not
/// with their product. A query that sees no key gets zeros.
///
/// In a net that is read by a [`Stream`](crate::nn::Stream), causal attention also sees the keys of earlier runs.
pub fn attention<Q, K, V, Dst, E>(
    q: &Var<Q, E>,
    k: &Var<K, E>,
    v: &Var<V, E>,
    shape: Dst,
    how: Attention,
) -> Var<Dst, E>
where
    Q: Shape,
    K: Shape,
    V: Shape,
    Dst: Shape,
    E: Float,
{
    let mut operands = vec![q.erased(), k.erased(), v.erased()];
    let given = [&how.mask, &how.lengths, &how.start];
    operands.extend(given.iter().filter_map(|operand| operand.as_ref()));
    let given = given.map(Option::is_some);
    let tracer = &q.erased().tracer;
    let stream = tracer.start().filter(|_| how.causal && how.start.is_none()).zip(tracer.keep());
    record(&operands, shape, &|g, n| match stream {
        Some((start, (places, number))) => {
            if given != [false; 3] || g[n[0]].dims.iter().rev().nth(1) != g[n[1]].dims.iter().rev().nth(1) {
                let problem = "goes on from run to run without `mask` and `lengths`, with a key for each query";
                return Err(Error::shape("attention", problem));
            }
            let keys = kept(g, &format!("attention {number}.keys"), n[1], start, places)?;
            let values = kept(g, &format!("attention {number}.values"), n[2], start, places)?;
            let lead = g[keys].dims[..g[keys].dims.len() - 3].to_vec();
            let start = g.broadcast(start, &(0..lead.len()).collect::<Vec<_>>(), &lead)?;
            let start = g.cast(start, DType::Index);
            attend(g, &[n[0], keys, values, start], [false, false, true], &how)
        }
        None => attend(g, n, given, &how),
    })
}

/// x with pairs of numbers of the last axis turned by `position · base^(−2i/e)`, the i-th pair; the last axis but one holds
/// the positions (Su et al. 2021, "RoFormer"). Pairs are the i-th numbers of both halves, as in GPT-NeoX and Llama, or
/// neighbours where `interleaved`, as in GPT-J. `start` is the first position of each sample, `[..]` indices over the
/// leading axes of x.
pub fn rotary<S: Shape, E: Float>(x: &Var<S, E>, base: f64, interleaved: bool, start: Option<Erased>) -> Var<S, E> {
    let mut operands = vec![x.erased()];
    operands.extend(start.as_ref());
    let stream = x.erased().tracer.start();
    record(&operands, *x.shape(), &|g, n| turned(g, n[0], base, interleaved, n.get(1).copied().or(stream)))
}

fn attend(g: &mut Graph, n: &[NodeId], given: [bool; 3], how: &Attention) -> Result<NodeId> {
    let mut rest = n[3..].iter().copied();
    let [mask, lengths, start] = given.map(|given| given.then(|| rest.next()).flatten());
    let dims = shapes::attention(&g[n[0]].dims, &g[n[1]].dims, &g[n[2]].dims)
        .map_err(|_| Error::shape("attention", "queries, keys and values do not fit"))?;
    let (lead, keys) = (dims.len() - 3, g[n[1]].dims[dims.len() - 2]);
    let scores = [&dims[..lead + 2], &[keys]].concat();
    let mut seen: Vec<NodeId> = Vec::new();
    let mut bias = None;
    match mask {
        Some(mask) if g[mask].dtype != DType::Bool => bias = Some(spread(g, mask, &scores)?),
        Some(mask) if g[mask].dims.len() == lead + 1 => seen.push(g.broadcast(mask, &[lead, lead + 1], &scores)?),
        Some(mask) => seen.push(spread(g, mask, &scores)?),
        None => {}
    }
    if let Some(lengths) = lengths {
        // For each sample and key, before it is repeated for all queries.
        let own = [&dims[..lead], &[keys]].concat();
        let position = g.iota(&own, lead)?;
        let lengths = g.broadcast(lengths, &[lead], &own)?;
        let inside = g.compare(Compare::Lt, position, lengths)?;
        seen.push(g.broadcast(inside, &[lead, lead + 1], &scores)?);
    }
    let mask = match seen[..] {
        [] => None,
        [only] => Some(only),
        [first, second, ..] => {
            let hidden = g.constant_like(0.0, first);
            Some(g.select(first, second, hidden)?)
        }
    };
    let slopes = if how.alibi { Some(slopes(g, dims[lead], g[n[0]].dtype)?) } else { None };
    let how = Attend { scale: how.scale, causal: how.causal, window: how.window, bias, mask, slopes, start };
    g.attention(n[0], n[1], n[2], &how)
}

/// `x` in the shape `dims`: aligned at the right, axes of size 1 are repeated.
fn spread(g: &mut Graph, x: NodeId, dims: &[usize]) -> Result<NodeId> {
    let own = g[x].dims.clone();
    let fits = shapes::broadcast(dims, &own).ok().filter(|(whole, _)| whole == dims);
    let Some((_, [_, spread])) = fits else {
        return Err(Error::shape("attention", format!("a mask {own:?} does not broadcast to the scores {dims:?}")));
    };
    let kept: Vec<usize> =
        (0..own.len()).filter(|axis| !spread.squeezed.contains(axis)).map(|axis| own[axis]).collect();
    let x = g.reshape(x, &kept)?;
    g.broadcast(x, &spread.inserted, dims)
}

/// The slopes of Press et al.: for a power of two of heads `2^(−8 i / heads)`, i from 1; else those of the next lower
/// power, then every other one of the next higher.
fn slopes(g: &mut Graph, heads: usize, dtype: DType) -> Result<NodeId> {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let mut geometric = |count: usize, first: f64, step: f64| {
        let i = g.iota(&[count], 0)?;
        let i = g.cast(i, dtype);
        let exponent = scale(g, i, step * -8.0 * std::f64::consts::LN_2)?;
        let shift = g.constant_like(first * -8.0 * std::f64::consts::LN_2, exponent);
        let exponent = g.binary(Binary::Add, exponent, shift)?;
        g.unary(Unary::Exp, exponent)
    };
    let step = 1.0 / power as f64;
    let first = geometric(power, step, step)?;
    if power == heads {
        return Ok(first);
    }
    let rest = geometric(heads - power, step / 2.0, step)?;
    g.concat(&[first, rest], 0)
}

fn turned(g: &mut Graph, x: NodeId, base: f64, interleaved: bool, start: Option<NodeId>) -> Result<NodeId> {
    let (dims, dtype) = (g[x].dims.clone(), g[x].dtype);
    let [.., t, e] = dims[..] else {
        return Err(Error::shape("rotary", format!("takes […, t, e], not {dims:?}")));
    };
    if e % 2 != 0 {
        return Err(Error::shape("rotary", format!("turns pairs of numbers, and the last axis of {dims:?} is odd")));
    }
    let rank = dims.len();
    let half = [&dims[..rank - 1], &[e / 2]].concat();
    // The angles of each position and pair, of each sample where there is a start; the rest repeats them.
    let samples = start.map_or(vec![], |start| g[start].dims.clone());
    let table = [&samples[..], &[t, e / 2]].concat();
    let lead = samples.len();
    let position = g.iota(&table, lead)?;
    let mut position = g.cast(position, dtype);
    if let Some(start) = start {
        let start = g.cast(start, dtype);
        let start = g.broadcast(start, &[lead, lead + 1], &table)?;
        position = g.binary(Binary::Add, position, start)?;
    }
    let pair = g.iota(&table, lead + 1)?;
    let pair = g.cast(pair, dtype);
    let exponent = scale(g, pair, -2.0 / e as f64 * base.ln())?;
    let frequency = g.unary(Unary::Exp, exponent)?;
    let angle = g.binary(Binary::Mul, position, frequency)?;
    let inserted: Vec<usize> = (lead..rank - 2).collect();
    let [cos, sin] = [Unary::Cos, Unary::Sin].map(|f| -> Result<NodeId> {
        let y = g.unary(f, angle)?;
        g.broadcast(y, &inserted, &half)
    });
    let (cos, sin) = (cos?, sin?);
    let [first, second] = [0, 1].map(|i| -> Result<NodeId> {
        if !interleaved {
            return g.slice(x, rank - 1, i * (e / 2), e / 2);
        }
        let pairs = g.reshape(x, &[&half[..], &[2]].concat())?;
        let one = g.slice(pairs, rank, i, 1)?;
        g.reshape(one, &half)
    });
    let (first, second) = (first?, second?);
    let mut product = |a: NodeId, b: NodeId| g.binary(Binary::Mul, a, b);
    let [ac, bs, bc, as_] = [product(first, cos)?, product(second, sin)?, product(second, cos)?, product(first, sin)?];
    let (first, second) = (g.binary(Binary::Sub, ac, bs)?, g.binary(Binary::Add, bc, as_)?);
    if !interleaved {
        return g.concat(&[first, second], rank - 1);
    }
    let one = [&half[..], &[1]].concat();
    let (first, second) = (g.reshape(first, &one)?, g.reshape(second, &one)?);
    let pairs = g.concat(&[first, second], rank)?;
    g.reshape(pairs, &dims)
}
