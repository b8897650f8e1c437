//! Joins kernels that agree on an axis into chains, which run slab after slab: the passes of a normalisation or a softmax
//! then read their tensor from memory once.

use crate::kernel::chain::{Chain, Link};
use crate::kernel::limits::{ChainLimits, Limits};
use crate::kernel::schedule::{Buffer, BufferId, Home, Schedule, Step};
use crate::kernel::tiled::{Source, Tiled};
use crate::kernel::view::View;
use crate::kernel::work::Work;
use crate::ops::number;
use std::collections::{BTreeSet, HashMap};

/// How many of the next steps are looked at.
const WINDOW: usize = 12;

/// Joins what can be joined.
pub(super) fn chains(schedule: &mut Schedule, limits: &Limits) {
    let mut steps: Vec<Option<Step>> = std::mem::take(&mut schedule.steps).into_iter().map(Some).collect();
    let memory = Memory::new(&schedule.buffers, limits);
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
    /// The most axes of a kernel.
    axes: usize,
    limits: &'a ChainLimits,
    /// The first buffer of the same memory.
    first: Vec<BufferId>,
}

impl<'a> Memory<'a> {
    fn new(buffers: &'a [Buffer], limits: &'a Limits) -> Self {
        let mut states = HashMap::new();
        let first = |(id, buffer): (usize, &Buffer)| match buffer.home {
            Home::State(slot) => *states.entry(slot).or_insert(id),
            Home::Input(_) | Home::Arena(_) => id,
        };
        let first = buffers.iter().enumerate().map(first).collect();
        Memory { buffers, axes: limits.axes, limits: &limits.chain, first }
    }

    fn bytes(&self, buffer: BufferId) -> usize {
        self.buffers[buffer].bytes()
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
        for view in tiled.views() {
            let own = view.apart(&tiled.dims, axis);
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
        for view in fused(step).into_iter().flat_map(Tiled::views) {
            let buffer = memory.seen(step, view);
            if memory.bytes(buffer) < memory.limits.large || !memory.touches(first, buffer) {
                continue;
            }
            for (axis, &size) in fused(step).map_or(&[][..], |tiled| &tiled.dims).iter().enumerate() {
                let stride = fused(step).and_then(|tiled| view.apart(&tiled.dims, axis));
                if let Some(stride) = stride.filter(|_| size >= memory.limits.fewest_slabs) {
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
            || tiled.views().count() > memory.limits.views
        {
            return false;
        }
        let whole = (0..tiled.dims.len()).map(|axis| (tiled.clone(), axis));
        let split = tiled.views().filter_map(|view| {
            let stride = self.strides.get(&memory.seen(step, view)).copied().flatten()?;
            split(tiled, view, stride, self.size).filter(|(tiled, _)| tiled.dims.len() <= memory.axes)
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
                Some(Some(_)) if !self.members.is_empty() && memory.bytes(buffer) >= memory.limits.large => {
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
        if each > memory.limits.largest_slab {
            return None;
        }
        let most = (memory.limits.slab / each).clamp(1, self.size / memory.limits.fewest_slabs);
        let len = (1..=most).rev().find(|&len| self.size.is_multiple_of(len))?;
        let mut operands: Vec<BufferId> = Vec::new();
        let mut links = Vec::new();
        for (at, mut tiled, axis) in self.members {
            let step = steps[at].take()?;
            tiled.views_mut(&mut |_, view, _| view.operand = number(&mut operands, step.operands[view.operand]));
            links.push(Link { tiled, axis });
        }
        Some(Step { work: Work::Chain(Chain { slabs: self.size / len, links }), operands, writes: self.written })
    }
}

fn fused(step: &Step) -> Option<&Tiled> {
    match &step.work {
        Work::Fused(tiled) => Some(tiled),
        _ => None,
    }
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
        tiled.strides_mut().for_each(widen);
        Some((tiled, axis + usize::from(parts[0] > 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::LIMITS;
    use crate::compile::fuse::fuse;
    use crate::compile::simplify;
    use crate::graph::{Binary, DType, Graph, Unary};

    fn works(graph: &Graph) -> Vec<Work> {
        fuse(&simplify(graph), &LIMITS).steps.into_iter().map(|step| step.work).collect()
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
