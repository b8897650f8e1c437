//! All launches of a run, in order, and the memory that they touch.

use super::view::DType;
use super::work::Work;

/// The number of a buffer within a schedule.
pub type BufferId = usize;

/// All launches of a run, in order, and the buffers they touch.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// The launches.
    pub steps: Vec<Step>,
    /// What their operands are.
    pub buffers: Vec<Buffer>,
    /// The buffer of each output.
    pub outputs: Vec<BufferId>,
    /// The bytes of the arena.
    pub bytes: usize,
}

/// One launch.
#[derive(Clone, Debug)]
pub struct Step {
    /// What runs.
    pub work: Work,
    /// The buffers that the views of the work name.
    pub operands: Vec<BufferId>,
    /// Which of them are written, in the order of the views.
    pub writes: Vec<BufferId>,
}

/// A contiguous tensor in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// The number of elements.
    pub len: usize,
    /// Their type.
    pub element: DType,
    /// Where it lies.
    pub home: Home,
}

/// Which memory a buffer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// The i-th input of the run.
    Input(usize),
    /// The i-th tensor of the state.
    State(usize),
    /// The arena, from this byte.
    Arena(usize),
}

/// An operand of a launch, whose memory no other operand of the launch shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it begins.
    pub home: Home,
    /// The number of elements.
    pub len: usize,
}

impl Buffer {
    /// The bytes of its elements.
    pub fn bytes(&self) -> usize {
        self.len * self.element.size()
    }
}

impl Step {
    /// A launch of this work.
    pub fn new(mut work: Work, operands: Vec<BufferId>) -> Self {
        let mut writes = Vec::new();
        work.views_mut(&mut |access, view, _| {
            let buffer = operands[view.operand];
            if access.writes() && !writes.contains(&buffer) {
                writes.push(buffer);
            }
        });
        Step { work, operands, writes }
    }

    /// Whether `target` may lie where `source` is, see [`Work::replaces`].
    pub fn replaces(&self, source: BufferId, target: BufferId) -> bool {
        let number = |buffer| self.operands.iter().position(|&known| known == buffer);
        matches!((number(source), number(target)), (Some(source), Some(target)) if self.work.replaces(source, target))
    }
}

impl Schedule {
    /// How many kernels a run launches.
    pub fn launches(&self) -> usize {
        self.steps.iter().map(|step| step.work.launches()).sum()
    }

    /// The operands of a launch, and its work over them; buffers that share memory are one operand.
    pub fn resolved(&self, step: &Step) -> (Vec<Slot>, Work) {
        let mut slots: Vec<Slot> = Vec::new();
        let mut number = Vec::new();
        for &buffer in &step.operands {
            let Buffer { len, home, .. } = self.buffers[buffer];
            let slot = Slot { home, len };
            number.push(slots.iter().position(|known| *known == slot).unwrap_or_else(|| {
                slots.push(slot);
                slots.len() - 1
            }));
        }
        let mut work = step.work.clone();
        work.views_mut(&mut |_, view, _| view.operand = number[view.operand]);
        (slots, work)
    }
}
