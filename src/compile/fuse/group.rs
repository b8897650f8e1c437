//! Joins tasks over one iteration space into one kernel, so that what they share is read and computed once.

use super::depend::{Dependences, GroupId};
use super::homes::{Homes, Planned, Task};
use super::kernel::build;
use super::nest::alone;
use crate::graph::Graph;
use crate::kernel::limits::Limits;
use crate::kernel::schedule::{BufferId, Step};
use std::collections::BTreeSet;

/// Tasks that one launch does.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Positions in the list of tasks, ascending.
    pub tasks: Vec<usize>,
    /// The number of elements of the iteration space; 0 for what is launched alone.
    pub len: usize,
    /// Buffers read that other groups or the user fill.
    pub reads: Vec<BufferId>,
    /// Buffers written, wholly or in part.
    pub writes: Vec<BufferId>,
}

/// All groups, and what must run before what.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    pub groups: Vec<Group>,
    pub dependences: Dependences,
    /// For each buffer the groups that write to it.
    writers: Vec<Vec<GroupId>>,
    /// For each buffer the groups that read it.
    readers: Vec<BTreeSet<GroupId>>,
}

/// How many groups are tried, the latest first.
const TRIED: usize = 8;

/// The groups of all tasks.
pub(super) fn group(graph: &Graph, limits: &Limits, homes: &Homes) -> Groups {
    let buffers = homes.buffers.len();
    let mut all =
        Groups { writers: vec![Vec::new(); buffers], readers: vec![BTreeSet::new(); buffers], ..Groups::default() };
    for (number, planned) in homes.tasks.iter().enumerate() {
        let (source, target) = match &planned.task {
            Task::Compute { source, target, .. } => (*source, target.buffer),
            Task::Alone(id) => {
                let (work, operands) = alone(graph, homes, *id).expect("the launch was laid out before");
                let Step { operands, writes, .. } = Step::new(work, operands);
                let reads = operands.into_iter().filter(|buffer| !writes.contains(buffer)).collect();
                all.push(Group { tasks: vec![number], len: 0, reads, writes });
                continue;
            }
        };
        let len = graph[source].len();
        let reads = reads(graph, limits, homes, (number, planned), target);
        let joined = all.candidates(homes, &reads, len).into_iter().find_map(|id| {
            if all.leads_elsewhere(id, &reads) {
                return None;
            }
            let tasks: Vec<usize> = all.groups[id].tasks.iter().copied().chain([number]).collect();
            let built = build(graph, limits, homes, &tasks, &|_| true).ok()?;
            (built.tiled.rows.len() <= limits.rows).then_some((id, tasks, built))
        });
        match joined {
            Some((id, tasks, built)) => {
                let group = &mut all.groups[id];
                group.tasks = tasks;
                if !group.writes.contains(&target) {
                    group.writes.push(target);
                    all.writers[target].push(id);
                }
                let group = &mut all.groups[id];
                group.reads = built.operands.into_iter().filter(|buffer| !group.writes.contains(buffer)).collect();
                all.depend(id);
            }
            None => all.push(Group { tasks: vec![number], len, reads, writes: vec![target] }),
        }
    }
    all
}

/// What a task reads when it is done alone.
fn reads(
    graph: &Graph,
    limits: &Limits,
    homes: &Homes,
    (number, planned): (usize, &Planned),
    target: BufferId,
) -> Vec<BufferId> {
    let operands = planned.operands.clone().unwrap_or_else(|| {
        // More is kept than when the task was planned: it has less to compute.
        build(graph, limits, homes, &[number], &|_| true).expect("the kernel was built before").operands
    });
    operands.into_iter().filter(|&buffer| buffer != target).collect()
}

impl Groups {
    fn push(&mut self, group: Group) {
        let id = self.groups.len();
        group.writes.iter().for_each(|&buffer| self.writers[buffer].push(id));
        self.groups.push(group);
        self.dependences.push();
        self.depend(id);
    }

    /// A group runs after those that fill what it reads.
    fn depend(&mut self, id: GroupId) {
        for &buffer in &self.groups[id].reads {
            self.readers[buffer].insert(id);
            for &writer in &self.writers[buffer] {
                self.dependences.add(writer, id);
            }
        }
    }

    /// Groups over as many elements that write or read what the task reads, the latest first.
    fn candidates(&self, homes: &Homes, reads: &[BufferId], len: usize) -> Vec<GroupId> {
        let mut alike = BTreeSet::new();
        for &read in reads {
            let fits = |id: &GroupId| self.groups[*id].len == len && self.groups[*id].touches(read);
            alike.extend(self.writers[read].iter().copied().filter(fits));
            if homes.buffers[read].len == len {
                alike.extend(self.readers[read].iter().rev().copied().filter(fits).take(TRIED));
            }
        }
        alike.into_iter().rev().take(TRIED).collect()
    }

    /// Whether what is read comes from `start` by way of another group, so that it cannot be computed in `start` itself.
    fn leads_elsewhere(&self, start: GroupId, reads: &[BufferId]) -> bool {
        let open = reads.iter().flat_map(|&buffer| &self.writers[buffer]).copied().filter(|&id| id != start);
        self.dependences.leads_to(start, open.collect())
    }
}

impl Group {
    /// Whether the group still reads a buffer, or writes it.
    fn touches(&self, buffer: BufferId) -> bool {
        self.reads.contains(&buffer) || self.writes.contains(&buffer)
    }
}
