//! Faults planted in schedules, which their verification must find.

use super::sample::sample;
use super::{LIMITS, compile};
use crate::graph::DType;
use crate::kernel::precision::Precision;
use crate::kernel::schedule::{BufferId, Home, Schedule};
use crate::kernel::tiled::{Source, Tiled};
use crate::kernel::view::{Access, View};
use crate::kernel::work::Work;
use proptest::prelude::*;
use std::collections::HashMap;

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

/// When a byte is read or written: the slab, the link, and the point of its iteration space; all points of a fold are one.
type Moment = (usize, usize, Option<usize>);

/// The moments at which a launch reads each byte of one operand, and writes each byte of another.
fn moments(work: &Work, source: usize, target: usize) -> Option<[HashMap<usize, Vec<Moment>>; 2]> {
    let links: Vec<(&Tiled, usize, usize)> = match work {
        Work::Fused(tiled) => vec![(tiled, 0, 1)],
        Work::Chain(chain) => chain.links.iter().map(|link| (&link.tiled, link.axis, chain.slabs)).collect(),
        _ => return None,
    };
    let mut moments = [HashMap::new(), HashMap::new()];
    for (number, (tiled, axis, slabs)) in links.into_iter().enumerate() {
        let len = tiled.dims[axis] / slabs;
        for point in 0..tiled.dims.iter().product() {
            let mut position = vec![0; tiled.dims.len()];
            let mut rest = point;
            for axis in (0..position.len()).rev() {
                (rest, position[axis]) = (rest / tiled.dims[axis], rest % tiled.dims[axis]);
            }
            let mut see = |kind: usize, view: &View, point: Option<usize>| {
                let steps = position.iter().zip(&view.strides).map(|(&at, &stride)| at as isize * stride);
                let element = view.offset + steps.sum::<isize>() as usize;
                for byte in element * view.element.size()..(element + 1) * view.element.size() {
                    let all: &mut Vec<Moment> = moments[kind].entry(byte).or_default();
                    all.push((position[axis] / len, number, point));
                }
            };
            for load in &tiled.sources {
                match load {
                    Source::Load(view) if view.operand == source => see(0, view, Some(point)),
                    _ => {}
                }
            }
            for store in tiled.stores.iter().filter(|store| store.view.operand == target) {
                see(1, &store.view, Some(point));
            }
            for fold in tiled.accumulations.iter().filter(|fold| fold.view.operand == target) {
                see(1, &fold.view, None);
            }
        }
    }
    Some(moments)
}

/// Whether a byte that is written may be read afterwards: in a later link, by another point, or in another slab, which
/// another thread may compute at any time.
fn lost([reads, writes]: &[HashMap<usize, Vec<Moment>>; 2]) -> bool {
    writes.iter().any(|(byte, written)| {
        let read = reads.get(byte).map_or(&[][..], |read| read);
        written.iter().any(|&(slab, link, point)| {
            read.iter()
                .any(|&(other, at, by)| other != slab || at > link || (at == link && (by != point || by.is_none())))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_in_place(choices in prop::collection::vec(any::<u16>(), 20..200)) {
        let program = compile(&sample(&choices, DType::F64).graph, &LIMITS, Precision::Full).unwrap();
        for step in &program.schedule.steps {
            for (source, target) in (0..step.operands.len()).flat_map(|a| (0..step.operands.len()).map(move |b| (a, b))) {
                if source != target
                    && step.work.replaces(source, target)
                    && let Some(moments) = moments(&step.work, source, target)
                {
                    prop_assert!(!lost(&moments), "operand {target} over {source} in {:?} of\n{program}", step.work);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn planted_faults_are_found(choices in prop::collection::vec(any::<u16>(), 20..200)) {
        let program = compile(&sample(&choices, DType::F32).graph, &LIMITS, Precision::Full).unwrap();
        for (kind, schedule) in faults(&program.schedule) {
            prop_assert!(schedule.verify().is_err(), "{kind} is not found in\n{program}");
        }
    }
}

#[test]
fn faults_of_every_kind_are_planted() {
    let mut kinds: Vec<&str> = Vec::new();
    for case in crate::ops::cases(DType::F64).unwrap() {
        let Ok(program) = compile(&case.graph, &LIMITS, Precision::Full) else { continue };
        for (kind, schedule) in faults(&program.schedule) {
            assert!(schedule.verify().is_err(), "{kind} is not found in {}\n{program}", case.name);
            kinds.push(kind);
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["a stride", "a stride of 0", "an offset", "an update in place", "the order"]);
}
