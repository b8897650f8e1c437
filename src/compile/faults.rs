//! Faults planted in schedules, which their verification must find.

use super::compile;
use super::sample::sample;
use crate::graph::DType;
use crate::kernel::cpu::LIMITS;
use crate::kernel::schedule::{BufferId, Home, Schedule};
use crate::kernel::view::{Access, View};
use proptest::prelude::*;

/// The views of a launch that see any element, each with what is done with it and its extents.
fn views(schedule: &Schedule, step: usize) -> Vec<(Access, View, Vec<usize>)> {
    let mut views = Vec::new();
    schedule.steps[step].work.clone().views_mut(&mut |access, view, extents| {
        views.push((access, view.clone(), extents.to_vec()));
    });
    views
}

/// The schedule with one view changed.
fn changed(schedule: &Schedule, step: usize, number: usize, change: impl Fn(&mut View)) -> Schedule {
    let mut schedule = schedule.clone();
    let mut at = 0;
    schedule.steps[step].work.views_mut(&mut |_, view, _| {
        if at == number {
            change(view);
        }
        at += 1;
    });
    schedule
}

/// Every fault of each kind that can be planted.
fn faults(schedule: &Schedule) -> Vec<(&'static str, Schedule)> {
    let mut faults = Vec::new();
    for (number, step) in schedule.steps.iter().enumerate() {
        let views = views(schedule, number);
        for (i, (access, view, extents)) in views.iter().enumerate().filter(|(_, seen)| !seen.2.contains(&0)) {
            let len = schedule.buffers[step.operands[view.operand]].len;
            faults.push(("an offset", changed(schedule, number, i, |view| view.offset += len)));
            for axis in (0..extents.len()).filter(|&axis| extents[axis] > 1) {
                faults.push(("a stride", changed(schedule, number, i, |view| view.strides[axis] += len as isize)));
                if *access == Access::Write {
                    faults.push(("a stride of 0", changed(schedule, number, i, |view| view.strides[axis] = 0)));
                }
            }
        }
        // A launch that runs after one that needs it.
        let needs = |later: &usize| {
            let reads = &schedule.steps[*later];
            reads.operands.iter().any(|id| step.writes.contains(id) && !reads.writes.contains(id))
                && step.writes.iter().any(|id| reads_some(schedule, *later, *id))
        };
        if let Some(later) = (number + 1..schedule.steps.len()).find(needs) {
            let mut other = schedule.clone();
            other.steps.swap(number, later);
            faults.push(("the order", other));
        }
        // A result over an operand that is read elsewhere than where it is written.
        for &target in &step.writes {
            for &source in step.operands.iter().filter(|id| reads_some(schedule, number, **id)) {
                let [from, to] = [source, target].map(|id| &schedule.buffers[id]);
                let both = matches!((from.home, to.home), (Home::Arena(_), Home::Arena(_)));
                if both && to.len > 0 && !step.writes.contains(&source) && !step.replaces(source, target) {
                    let mut other = schedule.clone();
                    other.buffers[target].home = from.home;
                    other.bytes += to.bytes();
                    faults.push(("an update in place", other));
                }
            }
        }
    }
    faults
}

fn reads_some(schedule: &Schedule, step: usize, id: BufferId) -> bool {
    views(schedule, step).iter().any(|(access, view, extents)| {
        *access == Access::Read && !extents.contains(&0) && schedule.steps[step].operands[view.operand] == id
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn planted_faults_are_found(choices in prop::collection::vec(any::<u16>(), 20..200)) {
        let program = compile(&sample(&choices, DType::F32).graph, &LIMITS).unwrap();
        for (kind, schedule) in faults(&program.schedule) {
            prop_assert!(schedule.verify().is_err(), "{kind} is not found in\n{program}");
        }
    }
}

#[test]
fn faults_of_every_kind_are_planted() {
    let mut kinds: Vec<&str> = Vec::new();
    for case in crate::ops::cases(DType::F64).unwrap() {
        let Ok(program) = compile(&case.graph, &LIMITS) else { continue };
        for (kind, schedule) in faults(&program.schedule) {
            assert!(schedule.verify().is_err(), "{kind} is not found in {}\n{program}", case.name);
            kinds.push(kind);
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["a stride", "a stride of 0", "an offset", "an update in place", "the order"]);
}
