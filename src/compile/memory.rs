//! Lays the buffers of a schedule out in one arena: buffers that are not alive together share memory, and a kernel
//! writes over an operand that nobody reads afterwards.

use crate::kernel::limits::Limits;
use crate::kernel::schedule::{BufferId, Home, Schedule};
use std::collections::{BTreeMap, HashMap};

/// The steps during which memory is in use, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Life {
    first: usize,
    last: usize,
}

/// Gives every buffer of the arena its place.
pub(super) fn lay_out(schedule: &mut Schedule, limits: &Limits) {
    let lives = lives(schedule);
    let size = |buffer: BufferId| schedule.buffers[buffer].bytes().next_multiple_of(limits.align);
    let owners = owners(schedule, &lives, &size);

    // One block for all buffers that take each other's memory over.
    let mut blocks: BTreeMap<BufferId, (usize, Life)> = BTreeMap::new();
    for (buffer, life) in lives.iter().enumerate() {
        let Some(life) = life else { continue };
        let (_, whole) = blocks.entry(owners[buffer]).or_insert_with(|| (size(buffer), *life));
        *whole = Life { first: whole.first.min(life.first), last: whole.last.max(life.last) };
    }
    let mut blocks: Vec<_> = blocks.into_iter().map(|(owner, (size, life))| (size, life, owner)).collect();
    blocks.sort_by_key(|&(size, life, _)| (std::cmp::Reverse(size), life.first));

    let mut places = HashMap::new();
    let mut placed: Vec<(usize, usize, Life)> = Vec::new();
    for (size, life, owner) in blocks {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, _, other)| other.first <= life.last && life.first <= other.last)
            .map(|&(offset, size, _)| (offset, offset + size))
            .collect();
        taken.sort_unstable();
        let (mut end, mut best) = (0, None);
        for (from, to) in taken {
            if from >= end + size && best.is_none_or(|(gap, _)| from - end < gap) {
                best = Some((from - end, end));
            }
            end = end.max(to);
        }
        let offset = best.map_or(end, |(_, offset)| offset);
        places.insert(owner, offset);
        placed.push((offset, size, life));
    }
    schedule.bytes = placed.iter().map(|&(offset, size, _)| offset + size).max().unwrap_or(0);
    for (buffer, owner) in owners.into_iter().enumerate().filter(|(buffer, _)| lives[*buffer].is_some()) {
        schedule.buffers[buffer].home = Home::Arena(places[&owner]);
    }
}

/// From the first write to the last access; outputs stay to the end. None outside the arena.
fn lives(schedule: &Schedule) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; schedule.buffers.len()];
    let end = schedule.steps.len();
    let touched = schedule.steps.iter().enumerate().flat_map(|(at, step)| step.operands.iter().map(move |&b| (at, b)));
    for (at, buffer) in touched.chain(schedule.outputs.iter().map(|&buffer| (end, buffer))) {
        if matches!(schedule.buffers[buffer].home, Home::Arena(_)) {
            let life = lives[buffer].get_or_insert(Life { first: at, last: at });
            life.last = at;
        }
    }
    lives
}

/// For each buffer the one whose memory it takes over, itself if none.
fn owners(schedule: &Schedule, lives: &[Option<Life>], size: &dyn Fn(BufferId) -> usize) -> Vec<BufferId> {
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
                    && size(source) == size(target)
                    && step.replaces(source, target)
            });
            if let Some(source) = donor {
                owners[target] = owners[source];
                given.push(source);
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::LIMITS;
    use crate::compile::fuse::fuse;
    use crate::compile::simplify;
    use crate::graph::{DType, Graph, Unary};

    #[test]
    fn a_chain_of_kernels_needs_one_buffer() {
        let mut graph = Graph::new();
        let mut x = graph.input("x", &[64, 64], DType::F32);
        let weight = graph.input("w", &[64, 64], DType::F32);
        for _ in 0..4 {
            let product = graph.matmul(x, weight, [false, true]).unwrap();
            x = graph.unary(Unary::Tanh, product).unwrap();
        }
        graph.output("y", x);
        let mut schedule = fuse(&simplify(&graph), &LIMITS);
        lay_out(&mut schedule, &LIMITS);
        assert_eq!(schedule.steps.len(), 8);
        // One product's operand and its result, which the function replaces in place.
        assert_eq!(schedule.bytes, 2 * 64 * 64 * 4);
    }
}
