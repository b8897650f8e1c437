//! Steps that stand side by side and need nothing of each other: those that are alike become one launch.

use crate::kernel::schedule::{BufferId, Home, Schedule, Step};
use crate::kernel::work::Work;

/// So many steps are looked at together.
const MOST: usize = 1024;

/// How many steps from the first on are fused kernels over one axis of which none touches what another writes; 1 if there
/// are no two.
pub(super) fn side_by_side(schedule: &Schedule, first: usize) -> usize {
    let steps = &schedule.steps[first..];
    let alike = |step: &&Step| matches!(&step.work, Work::Fused(tiled) if tiled.dims.len() == 1);
    let fits = |&(number, step): &(usize, &Step)| {
        steps[..number].iter().all(|before| !touches(schedule, before, step) && !touches(schedule, step, before))
    };
    steps.iter().take(MOST).take_while(alike).enumerate().take_while(fits).count().max(1)
}

/// Whether a step touches what another one writes.
fn touches(schedule: &Schedule, step: &Step, writer: &Step) -> bool {
    writer.writes.iter().any(|&written| step.operands.iter().any(|&operand| share(schedule, written, operand)))
}

/// Whether two buffers share memory.
fn share(schedule: &Schedule, a: BufferId, b: BufferId) -> bool {
    let [a, b] = [a, b].map(|buffer| &schedule.buffers[buffer]);
    match (a.home, b.home) {
        (Home::Arena(first), Home::Arena(second)) => first < second + b.bytes() && second < first + a.bytes(),
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::schedule::Buffer;
    use crate::kernel::tiled::copy;
    use crate::kernel::view::DType;

    /// Copies of four numbers from buffer to buffer, of which these are the homes.
    fn copies(homes: &[Home], steps: &[[usize; 2]]) -> Schedule {
        let buffers = homes.iter().map(|&home| Buffer { len: 4, element: DType::F32, home }).collect();
        let step = |&[from, to]: &[usize; 2]| Step::new(Work::Fused(copy(4, [DType::F32; 2])), vec![from, to]);
        Schedule { steps: steps.iter().map(step).collect(), buffers, ..Schedule::default() }
    }

    #[test]
    fn steps_that_need_each_other_are_not_side_by_side() {
        use Home::{Arena, State};
        let homes = [State(0), State(1), Arena(0), Arena(16), Arena(24), State(0)];
        for (steps, expected) in [
            (&[[0, 2], [0, 3], [1, 3]][..], 2),
            (&[[0, 2], [1, 3]], 2),
            (&[[0, 2], [2, 3]], 1),
            (&[[2, 1], [0, 2]], 1),
            // Buffers that overlap, and two of one tensor.
            (&[[0, 3], [1, 4]], 1),
            (&[[0, 2], [3, 5]], 1),
            (&[[3, 1], [2, 0], [4, 5]], 2),
        ] {
            assert_eq!(side_by_side(&copies(&homes, steps), 0), expected, "{steps:?}");
        }
    }
}
