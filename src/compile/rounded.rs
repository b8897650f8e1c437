//! What narrow memory means, said a second time: all numbers are `f32`, and a function from outside rounds those that a
//! program stores with sixteen bits. So kernels that know nothing of sixteen bits judge those that do.

use super::Program;
use super::memory;
use crate::kernel::call::{Call, Function, Tensor};
use crate::kernel::limits::Limits;
use crate::kernel::schedule::{Buffer, BufferId, Home, Schedule, Step};
use crate::kernel::view::{DType, View};
use crate::kernel::work::Work;
use std::sync::Arc;

/// The same launches, one link of a chain after the other, with calls that round. How many numbers are rounded in a run.
pub(crate) fn rounded(program: &Program, limits: &Limits) -> (Program, usize) {
    let mut count = 0;
    let schedule = wide(&program.schedule, limits, &mut count);
    (program.with(schedule), count)
}

fn wide(schedule: &Schedule, limits: &Limits, count: &mut usize) -> Schedule {
    let mut wide = Schedule { steps: Vec::new(), ..schedule.clone() };
    let narrow = |id: BufferId| schedule.buffers[id].element == DType::Bf16;
    for buffer in wide.buffers.iter_mut().filter(|buffer| buffer.element == DType::Bf16) {
        buffer.element = DType::F32;
    }
    // Where the results of launches lie before they are rounded.
    let mut rough: Vec<Option<BufferId>> = vec![None; schedule.buffers.len()];
    let mut steps: Vec<(Work, Vec<BufferId>)> = Vec::new();
    for Step { work, operands, .. } in &schedule.steps {
        match work {
            Work::Chain(chain) => {
                let links = chain.links.iter().map(|link| (Work::Fused(link.tiled.clone()), operands.clone()));
                steps.extend(links);
            }
            Work::Loop(nest) => {
                let mut nest = nest.clone();
                let body = self::wide(&nest.body, limits, count);
                wide.buffers[operands[nest.memory.operand]].len = body.bytes;
                nest.body = Arc::new(body);
                steps.push((Work::Loop(nest), operands.clone()));
            }
            other => steps.push((other.clone(), operands.clone())),
        }
    }
    let writes = |(work, operands): &(Work, Vec<BufferId>), id: BufferId| {
        Step::new(work.clone(), operands.clone()).writes.contains(&id)
    };
    for at in 0..steps.len() {
        let (mut work, operands) = steps[at].clone();
        let mut named: Vec<BufferId> = Vec::new();
        let mut done: Vec<BufferId> = Vec::new();
        work.views_mut(&mut |access, view, _| {
            let mut id = operands[view.operand];
            if narrow(id) {
                view.element = DType::F32;
            }
            if narrow(id) && access.writes() {
                let len = schedule.buffers[id].len;
                let apart = *rough[id].get_or_insert_with(|| {
                    wide.buffers.push(Buffer { len, element: DType::F32, home: Home::Arena(0) });
                    wide.buffers.len() - 1
                });
                done.push(id);
                id = apart;
            }
            view.operand = named.iter().position(|&known| known == id).unwrap_or_else(|| {
                named.push(id);
                named.len() - 1
            });
        });
        wide.steps.push(Step::new(work, named));
        done.dedup();
        for id in done.into_iter().filter(|&id| !steps[at + 1..].iter().any(|later| writes(later, id))) {
            let len = schedule.buffers[id].len;
            *count += len;
            let [from, result] = [0, 1].map(|operand| View::dense(operand, 0, DType::F32));
            let call = Call { function: Arc::new(Round), operands: vec![(from, vec![len])], result, len };
            wide.steps.push(Step::new(Work::Call(Box::new(call)), vec![rough[id].expect("it is written"), id]));
        }
    }
    memory::lay_out(&mut wide, limits);
    wide.verify().expect("the launches are those of a program");
    wide
}

/// The nearest number of eight significant bits.
#[derive(Debug)]
struct Round;

impl Function for Round {
    fn value(&self, operands: &[Tensor<'_>]) -> Vec<f64> {
        operands[0].elements.iter().map(|&x| nearest(x)).collect()
    }
}

/// By the distances to the multiples of the last place below and above, the even one if both are equal.
fn nearest(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let place = x.abs().log2().floor().max(-126.0) - 7.0;
    let multiple = x / place.exp2();
    let rounded = multiple.round_ties_even() * place.exp2();
    // The greatest of all, and what would follow it.
    if rounded.abs() >= 128f64.exp2() { rounded.signum() * f64::INFINITY } else { rounded }
}
