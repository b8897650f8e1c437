//! Puts new values of the state in place where that is legal, and all launches in order.

use super::depend::{Dependences, GroupId};
use super::group::{Group, Groups};
use super::homes::{Homes, Task};
use super::kernel::{Built, build};
use super::nest::alone;
use crate::graph::Graph;
use crate::kernel::limits::Limits;
use crate::kernel::schedule::{Buffer, BufferId, Home, Schedule, Step};
use crate::kernel::tiled;
use crate::kernel::work::Work;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The schedule of all groups.
pub(super) fn order(graph: &Graph, limits: &Limits, mut homes: Homes, all: Groups) -> Schedule {
    let Groups { mut groups, mut dependences, .. } = all;
    // What nobody outside its own kernel reads need not be stored.
    let read: HashSet<BufferId> = groups.iter().flat_map(|group| &group.reads).copied().collect();
    let last: HashSet<BufferId> =
        homes.outputs.iter().copied().chain(homes.updates.iter().map(|(_, buffer)| *buffer)).collect();
    let written = |buffer: BufferId| read.contains(&buffer) || last.contains(&buffer);
    for group in &mut groups {
        match homes.tasks[group.tasks[0]].task {
            // All or nothing: a loop has several results, and memory besides.
            Task::Alone(_) if group.writes.iter().any(|&buffer| written(buffer)) => {}
            _ => group.writes.retain(|&buffer| written(buffer)),
        }
    }

    let mut steps: Vec<Option<Step>> = groups
        .iter_mut()
        .map(|group| {
            if group.writes.is_empty() {
                return None;
            }
            let step = step(graph, limits, &homes, group, &written);
            group.reads = step.operands.iter().copied().filter(|buffer| !group.writes.contains(buffer)).collect();
            Some(step)
        })
        .collect();
    place_updates(&mut homes, &mut groups, &mut dependences, &mut steps);
    let sequence = sequence(&homes, &groups, &dependences, limits.late);
    let steps = sequence.into_iter().filter_map(|id| steps[id].take()).collect();
    Schedule { steps, buffers: homes.buffers, outputs: homes.outputs, bytes: 0 }
}

fn step(graph: &Graph, limits: &Limits, homes: &Homes, group: &Group, written: &dyn Fn(BufferId) -> bool) -> Step {
    if let Task::Alone(id) = homes.tasks[group.tasks[0]].task {
        let (work, operands) = alone(graph, homes, id).expect("the launch was laid out before");
        return Step::new(work, operands);
    }
    let Built { tiled, operands } =
        build(graph, limits, homes, &group.tasks, written).expect("the kernel was built before");
    Step::new(Work::Fused(tiled), operands)
}

/// Moves new values of the state to where the old ones are, after all that read the old ones. Where that cannot be,
/// the new value is copied at the end.
fn place_updates(
    homes: &mut Homes,
    groups: &mut Vec<Group>,
    dependences: &mut Dependences,
    steps: &mut Vec<Option<Step>>,
) {
    let mut readers: HashMap<BufferId, Vec<GroupId>> = HashMap::new();
    let mut writers: HashMap<BufferId, Vec<GroupId>> = HashMap::new();
    for (id, group) in groups.iter().enumerate() {
        group.reads.iter().for_each(|&buffer| readers.entry(buffer).or_default().push(id));
        group.writes.iter().for_each(|&buffer| writers.entry(buffer).or_default().push(id));
    }
    let olds: HashMap<Home, BufferId> = homes.buffers.iter().enumerate().rev().map(|(id, b)| (b.home, id)).collect();
    for (slot, buffer) in homes.updates.clone() {
        if homes.buffers[buffer].len == 0 {
            continue;
        }
        let state = olds.get(&Home::State(slot)).copied();
        let readers = state.and_then(|state| readers.get(&state)).map_or(&[][..], |readers| readers);
        let writers = writers.get(&buffer).map_or(&[][..], |writers| writers);
        if let &[writer] = writers
            && readers.iter().all(|&reader| match reader == writer {
                true => matches!((state, &steps[writer]), (Some(state), Some(step)) if step.replaces(state, buffer)),
                false => !dependences.leads_to(writer, vec![reader]),
            })
        {
            readers.iter().filter(|&&reader| reader != writer).for_each(|&reader| dependences.add(reader, writer));
            homes.buffers[buffer].home = Home::State(slot);
            continue;
        }
        homes.buffers.push(Buffer { home: Home::State(slot), ..homes.buffers[buffer].clone() });
        let target = homes.buffers.len() - 1;
        let copying = groups.len();
        steps.push(Some(copy(homes, buffer, target)));
        groups.push(Group { tasks: Vec::new(), len: 0, reads: vec![buffer], writes: vec![target] });
        dependences.push();
        readers.iter().chain(writers).for_each(|&before| dependences.add(before, copying));
    }
}

fn copy(homes: &Homes, source: BufferId, target: BufferId) -> Step {
    let Buffer { len, element, .. } = homes.buffers[source];
    Step::new(Work::Fused(tiled::copy(len, [element; 2])), vec![source, target])
}

/// An order that respects all dependences. Updates of the state run as soon as they can: what they read is still in
/// the cache, and its memory is free afterwards; or, if they are to be `late`, when nothing else is left. All else keeps the
/// order in which it was recorded.
fn sequence(homes: &Homes, groups: &[Group], dependences: &Dependences, late: bool) -> Vec<GroupId> {
    let mut waiting: Vec<usize> = (0..groups.len()).map(|id| dependences.before(id).len()).collect();
    let priority = |id: GroupId| {
        let updates = groups[id].writes.iter().any(|&buffer| matches!(homes.buffers[buffer].home, Home::State(_)));
        Reverse((updates == late, groups[id].tasks.first().copied().unwrap_or(usize::MAX), id))
    };
    let mut ready: BinaryHeap<_> = (0..groups.len()).filter(|&id| waiting[id] == 0).map(priority).collect();
    let mut sequence = Vec::with_capacity(groups.len());
    while let Some(Reverse((_, _, id))) = ready.pop() {
        sequence.push(id);
        for &follower in dependences.after(id) {
            waiting[follower] -= 1;
            if waiting[follower] == 0 {
                ready.push(priority(follower));
            }
        }
    }
    assert_eq!(sequence.len(), groups.len(), "dependences between launches are acyclic");
    sequence
}
