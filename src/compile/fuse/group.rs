//! Joins tasks over one iteration space into one kernel, so that what they share is read and computed once.

use super::alone::alone;
use super::homes::{Homes, Task};
use super::kernel::{Failure, build};
use crate::graph::{Graph, NodeId};
use crate::kernel::limits::Limits;
use crate::kernel::schedule::{BufferId, Step};
use std::collections::HashSet;

/// The number of a group.
pub(super) type GroupId = usize;

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
    /// Groups that must run before.
    pub after: Vec<GroupId>,
}

/// How many groups are tried, the latest first.
const TRIED: usize = 8;

/// The groups of all tasks.
///
/// # Errors
/// A node that has to be kept in memory first.
pub(super) fn group(graph: &Graph, limits: &Limits, homes: &Homes) -> Result<Vec<Group>, NodeId> {
    let mut groups: Vec<Group> = Vec::new();
    let mut writers: Vec<Vec<GroupId>> = vec![Vec::new(); homes.buffers.len()];
    for (number, task) in homes.tasks.iter().enumerate() {
        let (source, target) = match task {
            Task::Compute { source, target, .. } => (*source, target.buffer),
            Task::Alone(id) => {
                let (work, operands) = alone(graph, homes, *id)?;
                let Step { operands, writes, .. } = Step::new(work, operands);
                let reads: Vec<BufferId> = operands.into_iter().filter(|buffer| !writes.contains(buffer)).collect();
                let after = producers(&writers, &reads);
                writes.iter().for_each(|&buffer| writers[buffer].push(groups.len()));
                groups.push(Group { tasks: vec![number], len: 0, reads, writes, after });
                continue;
            }
        };
        let len = graph[source].len();
        let alone = match build(graph, limits, homes, &[number], &|_| true) {
            Ok(built) => built,
            Err(Failure::Keep(node)) => return Err(node),
            Err(Failure::Conflict) => return Err(source),
        };
        let reads: Vec<BufferId> = alone.operands.into_iter().filter(|&buffer| buffer != target).collect();
        let joined = candidates(homes, &groups, &reads, len).into_iter().find_map(|id| {
            if leads_elsewhere(&groups, &writers, id, &reads) {
                return None;
            }
            let tasks: Vec<usize> = groups[id].tasks.iter().copied().chain([number]).collect();
            let built = build(graph, limits, homes, &tasks, &|_| true).ok()?;
            (built.tiled.rows.len() <= limits.rows).then_some((id, tasks, built))
        });
        let id = match joined {
            Some((id, tasks, built)) => {
                let group = &mut groups[id];
                group.tasks = tasks;
                if !group.writes.contains(&target) {
                    group.writes.push(target);
                }
                group.reads = built.operands.into_iter().filter(|buffer| !group.writes.contains(buffer)).collect();
                id
            }
            None => {
                groups.push(Group { tasks: vec![number], len, reads, writes: vec![target], after: Vec::new() });
                groups.len() - 1
            }
        };
        groups[id].after = producers(&writers, &groups[id].reads);
        if !writers[target].contains(&id) {
            writers[target].push(id);
        }
    }
    Ok(groups)
}

/// Groups over as many elements that write or read what the task reads, the latest first.
fn candidates(homes: &Homes, groups: &[Group], reads: &[BufferId], len: usize) -> Vec<GroupId> {
    let shares = |group: &Group| {
        reads
            .iter()
            .any(|read| group.writes.contains(read) || (homes.buffers[*read].len == len && group.reads.contains(read)))
    };
    let alike = groups.iter().enumerate().rev().filter(|(_, group)| group.len == len && shares(group));
    alike.map(|(id, _)| id).take(TRIED).collect()
}

/// Whether what is read comes from `start` by way of another group, so that it cannot be computed in `start` itself.
fn leads_elsewhere(groups: &[Group], writers: &[Vec<GroupId>], start: GroupId, reads: &[BufferId]) -> bool {
    let mut seen = HashSet::new();
    let mut open: Vec<GroupId> = producers(writers, reads).into_iter().filter(|&id| id != start).collect();
    while let Some(id) = open.pop() {
        if id == start {
            return true;
        }
        if seen.insert(id) {
            open.extend(&groups[id].after);
        }
    }
    false
}

fn producers(writers: &[Vec<GroupId>], reads: &[BufferId]) -> Vec<GroupId> {
    let mut all: Vec<GroupId> = reads.iter().flat_map(|&buffer| &writers[buffer]).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}
