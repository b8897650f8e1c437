//! Lays the buffers of a schedule out in one arena: buffers that are not alive together share memory, and a kernel
//! writes over an operand that nobody reads afterwards.

use super::fuse::{BufferId, Home, Schedule};

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

fn size(schedule: &Schedule, buffer: BufferId) -> usize {
    let buffer = &schedule.buffers[buffer];
    (buffer.len * buffer.dtype.size()).next_multiple_of(LINE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::fuse::fuse;
    use crate::compile::sample::sample;
    use crate::compile::simplify;
    use crate::graph::{DType, Graph, Unary};
    use proptest::prelude::*;

    /// Follows the schedule with a map of who owns each byte of the arena: whatever is read, and every output at the
    /// end, must still be owned by its buffer; what is written over while it is read must be replaced point by point.
    fn verify(schedule: &Schedule, layout: &Layout) -> Result<(), String> {
        let range = |buffer: BufferId| {
            let offset = layout.offsets[buffer]?;
            Some(offset..offset + schedule.buffers[buffer].len * schedule.buffers[buffer].dtype.size())
        };
        let mut owner: Vec<Option<BufferId>> = vec![None; layout.bytes];
        let owned = |owner: &[Option<BufferId>], buffer: BufferId| match range(buffer) {
            Some(range) => owner[range].iter().all(|known| *known == Some(buffer)),
            None => true,
        };
        for (at, step) in schedule.steps.iter().enumerate() {
            for &buffer in step.operands.iter().filter(|buffer| !step.writes.contains(buffer)) {
                if !owned(&owner, buffer) {
                    return Err(format!("step {at} reads buffer {buffer}, which is lost"));
                }
                for &target in &step.writes {
                    let (Some(read), Some(write)) = (range(buffer), range(target)) else { continue };
                    let overlap = read.start < write.end && write.start < read.end;
                    if overlap && (read.start != write.start || !step.replaces(buffer, target)) {
                        return Err(format!("step {at} writes {target} over {buffer}, which it still reads"));
                    }
                }
            }
            for (i, &target) in step.writes.iter().enumerate() {
                let Some(write) = range(target) else { continue };
                let clash = |&other: &BufferId| {
                    range(other).is_some_and(|other| other.start < write.end && write.start < other.end)
                };
                if step.writes[..i].iter().any(clash) || !write.start.is_multiple_of(LINE) {
                    return Err(format!("step {at} writes {target} over another result or off a cache line"));
                }
                owner[write].fill(Some(target));
            }
        }
        for step in &schedule.steps {
            if let crate::compile::fuse::Work::Loop(repeat) = &step.work {
                verify(&repeat.nest.schedule, &repeat.nest.layout)?;
            }
        }
        match schedule.outputs.iter().find(|&&buffer| !owned(&owner, buffer)) {
            Some(buffer) => Err(format!("output buffer {buffer} is lost")),
            None => Ok(()),
        }
    }

    #[test]
    fn a_chain_of_kernels_needs_one_buffer() {
        let mut graph = Graph::new();
        let mut x = graph.input("x", &[64, 64], DType::F32);
        let weight = graph.input("w", &[64, 64], DType::F32);
        for _ in 0..4 {
            let product = graph.matmul(x, weight, [false, false]).unwrap();
            x = graph.unary(Unary::Tanh, product).unwrap();
        }
        graph.output("y", x);
        let schedule = fuse(&simplify(&graph));
        assert_eq!(schedule.steps.len(), 8);
        // One product's operand and its result, which the function replaces in place.
        assert_eq!(layout(&schedule).bytes, 2 * 64 * 64 * 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn nothing_alive_is_written_over(choices in prop::collection::vec(any::<u16>(), 20..300)) {
            let schedule = fuse(&simplify(&sample(&choices, DType::F32).graph));
            let result = verify(&schedule, &layout(&schedule));
            prop_assert!(result.is_ok(), "{}", result.unwrap_err());
        }
    }
}
