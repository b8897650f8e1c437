//! Lays the buffers of a schedule out in one arena: buffers that are not alive together share memory, and a kernel
//! writes over an operand that nobody reads afterwards.

use super::fuse::{BufferId, Home, Schedule, Step, Work};
use crate::kernel::tiled::{Cell, Source, View};

/// Where the buffers lie in the arena.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// The first byte of each buffer that is in the arena.
    pub offsets: Vec<Option<usize>>,
    /// The size of the arena.
    pub bytes: usize,
}

/// Buffers begin on cache lines.
const LINE: usize = 64;

/// The steps during which memory is in use, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Life {
    first: usize,
    last: usize,
}

/// Offsets for all buffers of the arena.
pub(super) fn layout(schedule: &Schedule) -> Layout {
    let lives = lives(schedule);
    let owners = owners(schedule, &lives);

    // One block for all buffers that take each other's memory over.
    let mut blocks: Vec<(usize, Life, BufferId)> = Vec::new();
    for (buffer, life) in lives.iter().enumerate() {
        let Some(life) = life else { continue };
        let owner = owners[buffer];
        match blocks.iter_mut().find(|block| block.2 == owner) {
            Some((_, whole, _)) => {
                *whole = Life { first: whole.first.min(life.first), last: whole.last.max(life.last) };
            }
            None => blocks.push((size(schedule, buffer), *life, owner)),
        }
    }
    blocks.sort_by_key(|&(size, life, _)| (std::cmp::Reverse(size), life.first));

    let mut placed: Vec<(usize, usize, Life, BufferId)> = Vec::new();
    for (size, life, owner) in blocks {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, _, other, _)| other.first <= life.last && life.first <= other.last)
            .map(|&(offset, size, ..)| (offset, offset + size))
            .collect();
        taken.sort_unstable();
        let (mut end, mut best) = (0, None);
        for (from, to) in taken {
            if from >= end + size && best.is_none_or(|(gap, _)| from - end < gap) {
                best = Some((from - end, end));
            }
            end = end.max(to);
        }
        placed.push((best.map_or(end, |(_, offset)| offset), size, life, owner));
    }
    let offset = |buffer: BufferId| placed.iter().find(|block| block.3 == owners[buffer]).map(|block| block.0);
    Layout {
        offsets: lives.iter().enumerate().map(|(buffer, life)| life.and_then(|_| offset(buffer))).collect(),
        bytes: placed.iter().map(|&(offset, size, ..)| offset + size).max().unwrap_or(0),
    }
}

/// From the first write to the last access; outputs stay to the end. None outside the arena.
fn lives(schedule: &Schedule) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; schedule.buffers.len()];
    let end = schedule.steps.len();
    let touched = schedule.steps.iter().enumerate().flat_map(|(at, step)| step.operands.iter().map(move |&b| (at, b)));
    for (at, buffer) in touched.chain(schedule.outputs.iter().map(|&buffer| (end, buffer))) {
        if schedule.buffers[buffer].home == Home::Arena {
            let life = lives[buffer].get_or_insert(Life { first: at, last: at });
            life.last = at;
        }
    }
    lives
}

/// For each buffer the one whose memory it takes over, itself if none.
fn owners(schedule: &Schedule, lives: &[Option<Life>]) -> Vec<BufferId> {
    let mut owners: Vec<BufferId> = (0..schedule.buffers.len()).collect();
    for (at, step) in schedule.steps.iter().enumerate() {
        let mut given: Vec<BufferId> = Vec::new();
        for &target in &step.writes {
            let begins = |buffer: BufferId| lives[buffer].is_some_and(|life| life.first == at);
            let ends = |buffer: BufferId| lives[buffer].is_some_and(|life| life.last == at);
            let donor = step.operands.iter().copied().find(|&source| {
                begins(target)
                    && ends(source)
                    && !step.writes.contains(&source)
                    && !given.contains(&source)
                    && size(schedule, source) == size(schedule, target)
                    && replaces(step, source, target)
            });
            if let Some(source) = donor {
                owners[target] = owners[source];
                given.push(source);
            }
        }
    }
    owners
}

/// Whether the step reads `source` only at the very element of `target` that it writes.
pub(super) fn replaces(step: &Step, source: BufferId, target: BufferId) -> bool {
    let Work::Fused(tiled) = &step.work else { return false };
    let mut stores = tiled.stores.iter().filter(|store| step.operands[store.view.operand] == target);
    let (Some(store), None) = (stores.next(), stores.next()) else { return false };
    let accumulated = tiled.accumulations.iter().any(|other| step.operands[other.view.operand] == target);
    let same = |load: &View| {
        (load.offset, &load.strides) == (store.view.offset, &store.view.strides)
            && (load.cell == Cell::Bool) == (store.view.cell == Cell::Bool)
    };
    !accumulated
        && tiled.sources.iter().all(|other| match other {
            Source::Load(view) => step.operands[view.operand] != source || same(view),
            Source::Random { key, .. } => step.operands[*key] != source,
            Source::Constant(_) | Source::Position { .. } => true,
        })
}

fn size(schedule: &Schedule, buffer: BufferId) -> usize {
    let buffer = &schedule.buffers[buffer];
    (buffer.len * buffer.dtype.size()).next_multiple_of(LINE)
}
