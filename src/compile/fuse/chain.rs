//! Joins kernels that agree on an axis into chains, which run slab after slab: the passes of a normalisation or a softmax
//! then read their tensor from memory once.

use super::{Buffer, BufferId, Home, Schedule, Step, Work};
use crate::kernel::chain::{Chain, Link, Moving};
use crate::kernel::cpu::MOST_OPERANDS;
use crate::kernel::tiled::{Cell, Source, Tiled, View};
use std::collections::{BTreeSet, HashMap};

/// A tensor of fewer bytes stays in the cache anyway.
const LARGE: usize = if cfg!(test) { 1 } else { 128 << 10 };
/// What a slab may touch: a part of the second-level cache.
const SLAB: usize = if cfg!(test) { 16 } else { 192 << 10 };
/// A slab that touches more is no better than a whole tensor.
const LARGEST_SLAB: usize = 4 << 20;
/// Fewer slabs divide badly among threads.
const FEWEST: usize = if cfg!(test) { 2 } else { 4 };
/// How many of the next steps are looked at.
const WINDOW: usize = 12;
/// The most axes that the layout of a kernel takes.
const MOST_AXES: usize = 8;

/// Joins what can be joined.
pub(super) fn chains(schedule: &mut Schedule) {
    let mut steps: Vec<Option<Step>> = std::mem::take(&mut schedule.steps).into_iter().map(Some).collect();
    let memory = Memory::new(&schedule.buffers);
    for first in 0..steps.len() {
        let drafts = candidates(&steps[first..], &memory).into_iter();
        let drafts = drafts.map(|candidate| Draft::new(&steps, first, candidate, &memory));
        let best = drafts.filter(|draft| draft.saved > 0).max_by_key(|draft| (draft.saved, draft.size));
        if let Some(step) = best.and_then(|draft| draft.finish(&mut steps, &memory)) {
            steps[first] = Some(step);
        }
        schedule.steps.extend(steps[first].take());
    }
}

/// The buffers, of which those of one tensor of the state are the same memory: its old value and its new one.
struct Memory<'a> {
    buffers: &'a [Buffer],
    /// The first buffer of the same memory.
    first: Vec<BufferId>,
}

impl<'a> Memory<'a> {
    fn new(buffers: &'a [Buffer]) -> Self {
        let first = |(id, buffer): (usize, &Buffer)| match buffer.home {
            Home::State(_) => buffers.iter().position(|other| other.home == buffer.home).unwrap_or(id),
            _ => id,
        };
        Memory { buffers, first: buffers.iter().enumerate().map(first).collect() }
    }

    fn bytes(&self, buffer: BufferId) -> usize {
        self.buffers[buffer].len * self.buffers[buffer].dtype.size()
    }

    /// What a view of a step looks at.
    fn seen(&self, step: &Step, view: &View) -> BufferId {
        self.first[step.operands[view.operand]]
    }

    fn touches(&self, step: &Step, buffer: BufferId) -> bool {
        step.operands.iter().any(|&own| self.first[own] == self.first[buffer])
    }

    /// For each buffer of a kernel its stride along the axis, if slabs see parts of their own, the same in all views.
    fn partitions(&self, step: &Step, tiled: &Tiled, axis: usize) -> HashMap<BufferId, Option<usize>> {
        let mut parts: HashMap<BufferId, Option<usize>> = HashMap::new();
        for view in views(tiled) {
            let own = apart(view, &tiled.dims, axis);
            let known = parts.entry(self.seen(step, view)).or_insert(own);
            *known = known.filter(|_| *known == own);
        }
        parts
    }
}

/// An axis: the buffer is seen `stride` elements further on at each of `size` positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    buffer: BufferId,
    stride: usize,
    size: usize,
}

/// The axes along which a step, and those after it, walk over large tensors that it touches.
fn candidates(steps: &[Option<Step>], memory: &Memory<'_>) -> BTreeSet<Candidate> {
    let mut found = BTreeSet::new();
    let Some(first) = steps[0].as_ref().filter(|step| fused(step).is_some()) else { return found };
    for step in steps.iter().take(WINDOW).flatten() {
        for view in fused(step).into_iter().flat_map(views) {
            let buffer = memory.seen(step, view);
            if memory.bytes(buffer) < LARGE || !memory.touches(first, buffer) {
                continue;
            }
            for (axis, &size) in fused(step).map_or(&[][..], |tiled| &tiled.dims).iter().enumerate() {
                let stride = fused(step).and_then(|tiled| apart(view, &tiled.dims, axis));
                if let Some(stride) = stride.filter(|_| size >= FEWEST) {
                    found.insert(Candidate { buffer, stride, size });
                }
            }
        }
    }
    found
}

/// A chain that is being put together.
struct Draft {
    size: usize,
    /// The steps, in a form in which the axis of the chain stands by itself, and the number of that axis.
    members: Vec<(usize, Tiled, usize)>,
    /// For every buffer that is touched: its stride along the axis, if slabs see parts of their own.
    strides: HashMap<BufferId, Option<usize>>,
    written: Vec<BufferId>,
    /// Bytes that need not come from memory once more.
    saved: usize,
}

impl Draft {
    fn new(steps: &[Option<Step>], first: usize, candidate: Candidate, memory: &Memory<'_>) -> Self {
        let Candidate { buffer, stride, size } = candidate;
        let strides = HashMap::from([(buffer, Some(stride))]);
        let mut draft = Draft { size, members: Vec::new(), strides, written: Vec::new(), saved: 0 };
        let mut passed: Vec<&Step> = Vec::new();
        for (at, step) in steps.iter().enumerate().skip(first).take(WINDOW) {
            let Some(step) = step else { continue };
            // A member runs before the steps that it passes: it must not need them, nor change what they see.
            let free = passed.iter().all(|other| {
                !step.writes.iter().any(|&buffer| memory.touches(other, buffer))
                    && !other.writes.iter().any(|&buffer| memory.touches(step, buffer))
            });
            if free && draft.take(at, step, memory) {
                continue;
            }
            if at == first {
                break;
            }
            passed.push(step);
        }
        draft
    }

    /// Adds a step, if it fits.
    fn take(&mut self, at: usize, step: &Step, memory: &Memory<'_>) -> bool {
        let Some(tiled) = fused(step) else { return false };
        if tiled.sources.iter().any(|source| matches!(source, Source::Random { .. }))
            || views(tiled).count() > MOST_OPERANDS
        {
            return false;
        }
        let whole = (0..tiled.dims.len()).map(|axis| (tiled.clone(), axis));
        let split = views(tiled).filter_map(|view| {
            let stride = self.strides.get(&memory.seen(step, view)).copied().flatten()?;
            split(tiled, view, stride, self.size)
        });
        let Some((tiled, axis)) = whole.chain(split).find(|(tiled, axis)| self.fits(step, tiled, *axis, memory)) else {
            return false;
        };
        for (buffer, own) in memory.partitions(step, &tiled, axis) {
            let known = self.strides.insert(buffer, own);
            match known {
                Some(known) if known != own => {
                    self.strides.insert(buffer, None);
                }
                Some(Some(_)) if !self.members.is_empty() && memory.bytes(buffer) >= LARGE => {
                    self.saved += memory.bytes(buffer);
                }
                _ => {}
            }
        }
        let new: Vec<BufferId> = step.writes.iter().copied().filter(|b| !self.written.contains(b)).collect();
        self.written.extend(new);
        self.members.push((at, tiled, axis));
        true
    }

    /// Whether the kernel walks with the chain along this axis, and each of its slabs is independent of all others.
    fn fits(&self, step: &Step, tiled: &Tiled, axis: usize, memory: &Memory<'_>) -> bool {
        if tiled.dims[axis] != self.size || tiled.reduced.get(axis) == Some(&true) {
            return false;
        }
        let still = |source: &Source| !matches!(source, Source::Position { strides, .. } if strides[axis] != 0);
        let parts = memory.partitions(step, tiled, axis);
        let along = parts.iter().any(|(buffer, own)| own.is_some() && self.strides.get(buffer) == Some(own));
        let independent = parts.iter().all(|(buffer, own)| {
            let written = self.written.iter().chain(&step.writes).any(|&other| memory.first[other] == *buffer);
            !written || (own.is_some() && self.strides.get(buffer).is_none_or(|known| known == own))
        });
        along && independent && tiled.sources.iter().all(still)
    }

    /// The chain as one step; its members are taken from `steps`.
    fn finish(self, steps: &mut [Option<Step>], memory: &Memory<'_>) -> Option<Step> {
        let moving = self.strides.iter().filter(|(_, stride)| stride.is_some());
        let each = moving.map(|(&buffer, _)| memory.bytes(buffer) / self.size).sum::<usize>().max(1);
        if each > LARGEST_SLAB {
            return None;
        }
        let most = (SLAB / each).clamp(1, self.size / FEWEST);
        let len = (1..=most).rev().find(|&len| self.size.is_multiple_of(len))?;
        let mut operands: Vec<BufferId> = Vec::new();
        let mut links = Vec::new();
        for (at, mut tiled, axis) in self.members {
            let step = steps[at].take()?;
            tiled.dims[axis] = len;
            let dims = tiled.dims.clone();
            let mut own: Vec<Moving> = Vec::new();
            each_view(&mut tiled, |view| {
                let buffer = step.operands[view.operand];
                let operand = operands.iter().position(|&known| known == buffer).unwrap_or_else(|| {
                    operands.push(buffer);
                    operands.len() - 1
                });
                let reach = dims.iter().zip(&view.strides).map(|(&n, &s)| n.saturating_sub(1) * s.unsigned_abs());
                let moving = Moving {
                    operand,
                    step: view.strides[axis].unsigned_abs() * len,
                    bytes: match view.cell {
                        Cell::Float => None,
                        Cell::Index => Some(4),
                        Cell::Bool => Some(1),
                    },
                    len: view.offset + reach.sum::<usize>() + 1,
                    apart: self.strides.get(&memory.first[buffer]).copied().flatten().is_some(),
                };
                let alike = |known: &Moving| (known.operand, known.step) == (moving.operand, moving.step);
                view.operand = own.iter().position(alike).unwrap_or_else(|| {
                    own.push(moving);
                    own.len() - 1
                });
                own[view.operand].len = own[view.operand].len.max(moving.len);
            });
            links.push(Link { tiled, operands: own });
        }
        Some(Step { work: Work::Chain(Chain { slabs: self.size / len, links }), operands, writes: self.written })
    }
}

/// Whether the chain may write `target` where `source` is: one link writes it, element by element from there, and links
/// before it see no other slab's part of `source`.
pub(super) fn replaces(chain: &Chain, source: usize, target: usize) -> bool {
    let touches = |link: &Link, operand: usize| link.operands.iter().any(|moving| moving.operand == operand);
    let mut writers = (0..chain.links.len()).filter(|&i| touches(&chain.links[i], target));
    let (Some(writer), None) = (writers.next(), writers.next()) else { return false };
    let Link { tiled, operands } = &chain.links[writer];
    let of = |view: &View, operand: usize| operands[view.operand].operand == operand;
    let mut stores = tiled.stores.iter().filter(|store| of(&store.view, target));
    let (Some(store), None) = (stores.next(), stores.next()) else { return false };
    let step = operands[store.view.operand].step;
    let same = |view: &View| {
        (view.offset, &view.strides, view.cell) == (store.view.offset, &store.view.strides, store.view.cell)
            && operands[view.operand].step == step
    };
    let loads = |tiled: &Tiled, fits: &dyn Fn(&View) -> bool| {
        tiled.sources.iter().all(|source| !matches!(source, Source::Load(view) if !fits(view)))
    };
    let accumulated = tiled.accumulations.iter().any(|other| of(&other.view, target) || of(&other.view, source));
    let stored = tiled.stores.iter().any(|store| of(&store.view, source));
    let alone = |(i, link): (usize, &Link)| {
        let mut seen = link.operands.iter().filter(|moving| moving.operand == source);
        i == writer || (i < writer && seen.all(|moving| moving.apart && moving.step == step)) || !touches(link, source)
    };
    !accumulated
        && !stored
        && loads(tiled, &|view| !of(view, target) && (!of(view, source) || same(view)))
        && chain.links.iter().enumerate().all(alone)
}

fn fused(step: &Step) -> Option<&Tiled> {
    match &step.work {
        Work::Fused(tiled) => Some(tiled),
        _ => None,
    }
}

fn views(tiled: &Tiled) -> impl Iterator<Item = &View> {
    let loads = tiled.sources.iter().filter_map(|source| match source {
        Source::Load(view) => Some(view),
        _ => None,
    });
    let stores = tiled.stores.iter().map(|store| &store.view);
    loads.chain(stores).chain(tiled.accumulations.iter().map(|accumulation| &accumulation.view))
}

fn each_view(tiled: &mut Tiled, mut visit: impl FnMut(&mut View)) {
    for source in &mut tiled.sources {
        if let Source::Load(view) = source {
            visit(view);
        }
    }
    tiled.stores.iter_mut().for_each(|store| visit(&mut store.view));
    tiled.accumulations.iter_mut().for_each(|accumulation| visit(&mut accumulation.view));
}

/// The stride along an axis, if positions of the axis see parts of their own: whatever the other axes do, the element's
/// number divided by the stride has the position for its remainder by the axis' size.
fn apart(view: &View, dims: &[usize], axis: usize) -> Option<usize> {
    let stride = usize::try_from(view.strides[axis]).ok().filter(|&stride| stride > 0)?;
    let period = stride * dims[axis];
    let mut reach = view.offset % period;
    for (other, (&size, &step)) in dims.iter().zip(&view.strides).enumerate() {
        let step = usize::try_from(step).ok()?;
        if other != axis && size > 1 && !step.is_multiple_of(period) {
            reach += step * (size - 1);
        }
    }
    (reach < stride).then_some(stride)
}

/// The kernel with an axis split, so that the view moves by `stride` along a part of `size` positions.
fn split(tiled: &Tiled, view: &View, stride: usize, size: usize) -> Option<(Tiled, usize)> {
    (0..tiled.dims.len()).find_map(|axis| {
        let own = usize::try_from(view.strides[axis]).ok().filter(|&own| own > 0 && stride.is_multiple_of(own))?;
        let (whole, inner) = (tiled.dims[axis], stride / own);
        if whole == size || !whole.is_multiple_of(inner * size) {
            return None;
        }
        let parts = [whole / (inner * size), size, inner];
        let weights = [inner * size, inner, 1];
        let kept: Vec<usize> = (0..3).filter(|&part| part == 1 || parts[part] > 1).collect();
        let mut tiled = tiled.clone();
        tiled.dims.splice(axis..=axis, kept.iter().map(|&part| parts[part]));
        if !tiled.reduced.is_empty() {
            let flag = tiled.reduced[axis];
            tiled.reduced.splice(axis..=axis, kept.iter().map(|_| flag));
        }
        let widen = |strides: &mut Vec<isize>| {
            let step = strides[axis];
            strides.splice(axis..=axis, kept.iter().map(|&part| step * weights[part] as isize));
        };
        for source in &mut tiled.sources {
            if let Source::Position { strides, .. } = source {
                widen(strides);
            }
        }
        each_view(&mut tiled, |view| widen(&mut view.strides));
        (tiled.dims.len() <= MOST_AXES).then_some((tiled, axis + usize::from(parts[0] > 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::fuse::fuse;
    use crate::compile::simplify;
    use crate::graph::{Binary, DType, Graph, Unary};

    fn works(graph: &Graph) -> Vec<Work> {
        fuse(&simplify(graph)).steps.into_iter().map(|step| step.work).collect()
    }

    /// x / √Σx² along an axis, times a weight.
    fn normalised(dims: &[usize], axis: usize) -> Graph {
        let mut graph = Graph::new();
        let x = graph.input("x", dims, DType::F32);
        let w = graph.input("w", &dims[dims.len() - 1..], DType::F32);
        let square = graph.unary(Unary::Square, x).unwrap();
        let sum = graph.sum(square, &[axis]).unwrap();
        let norm = graph.unary(Unary::Rsqrt, sum).unwrap();
        let norm = graph.broadcast(norm, &[axis], dims).unwrap();
        let y = graph.binary(Binary::Mul, x, norm).unwrap();
        let leading: Vec<usize> = (0..dims.len() - 1).collect();
        let w = graph.broadcast(w, &leading, dims).unwrap();
        let y = graph.binary(Binary::Mul, y, w).unwrap();
        graph.output("y", y);
        graph
    }

    #[test]
    fn passes_over_rows_are_one_chain() {
        for (dims, axis) in [(&[6, 8][..], 1), (&[6, 8], 0), (&[4, 3, 5], 1), (&[2, 4, 3, 5], 3)] {
            let works = works(&normalised(dims, axis));
            assert!(matches!(&works[..], [Work::Chain(_)]), "{dims:?} over {axis}: {works:?}");
        }
    }

    #[test]
    fn what_every_slab_would_need_is_no_chain() {
        // The sum over all elements is complete after the last slab only.
        let mut graph = Graph::new();
        let x = graph.input("x", &[6, 8], DType::F32);
        let sum = graph.sum(x, &[0, 1]).unwrap();
        let sum = graph.broadcast(sum, &[0, 1], &[6, 8]).unwrap();
        let y = graph.binary(Binary::Div, x, sum).unwrap();
        graph.output("y", y);
        assert!(works(&graph).iter().all(|work| matches!(work, Work::Fused(_))));
    }
}
