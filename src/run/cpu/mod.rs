//! Programs on the processor.

mod arena;
mod sequence;
mod nest;

pub(super) use arena::Arena;

use super::Data;
use crate::compile::Program;
use crate::graph::DType;
use crate::kernel::cpu::denormal::Denormals;
use crate::kernel::cpu::{Fault, Scratch, parallel};
use crate::kernel::schedule::Home;
use sequence::{Frame, Sequence};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A schedule made ready for the processor: memory for its intermediate values, and kernels over the addresses of all
/// their operands.
pub(super) struct Engine {
    arena: Arena,
    launches: Arc<Launches>,
    frame: Frame,
    /// Where each tensor of the state begins, and what they were last counted from.
    states: Vec<usize>,
    bound: *mut u8,
    scratch: Scratch,
    threads: usize,
}

/// Launches of one float type, which the engines of a program share.
enum Launches {
    F32(Sequence<f32>),
    F64(Sequence<f64>),
}

/// Calls a method of the launches, whatever their type.
macro_rules! launches {
    ($launches:expr, $all:ident => $do:expr) => {
        match $launches {
            Launches::F32($all) => $do,
            Launches::F64($all) => $do,
        }
    };
}

// SAFETY: the addresses are of its own arena, or are replaced before they are used.
unsafe impl Send for Engine {}
// SAFETY: a shared engine only shows its memory.
unsafe impl Sync for Engine {}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        launches!(&*self.launches, all => write!(f, "{all:?}"))
    }
}

impl Engine {
    /// Makes a program ready, or takes what was made for another engine. The tensors of its state begin at these bytes of
    /// the state's arena.
    /// None if the system does not give the memory.
    pub fn new(program: &Program, states: Vec<usize>) -> Option<Self> {
        let schedule = &program.schedule;
        let prepare = || {
            Ok(Arc::new(match program.dtype() {
                DType::F64 => Launches::F64(Sequence::new(schedule)),
                _ => Launches::F32(Sequence::new(schedule)),
            }))
        };
        let launches = program.prepared(|_: &Launches| true, prepare).expect("the processor can prepare every launch");
        let arena = Arena::try_new(schedule.bytes)?;
        let threads = if launches!(&*launches, all => all.divides()) { parallel::threads() } else { 1 };
        let mut scratch = Scratch::new();
        let frame = launches!(&*launches, all => {
            scratch.reserve(all.scratch_bytes(threads));
            let mut frame = all.frame();
            all.bind(&mut frame, |home| match home {
                Home::Arena(offset) => arena.pointer().wrapping_add(offset),
                // They are told before each run.
                Home::Input(_) | Home::State(_) => std::ptr::null_mut(),
            });
            frame
        });
        Some(Engine { arena, launches, frame, states, bound: std::ptr::null_mut(), scratch, threads })
    }

    /// Runs all launches. `f32` programs take denormal numbers, below 1.2e-38, for zero.
    ///
    /// # Errors
    /// What could not be done.
    ///
    /// # Safety
    /// The schedule is verified; the inputs are as many and as long as it says; `state` is the first byte of a state of
    /// the layout that the engine was made for, which nothing else uses if the schedule writes to it.
    pub unsafe fn run(&mut self, state: *mut u8, inputs: &[Data<'_>]) -> Result<(), Fault> {
        let Engine { launches, frame, states, bound, scratch, threads, .. } = self;
        let threads = *threads;
        let fresh = std::mem::replace(bound, state) != state;
        launches!(&**launches, all => all.rebind(frame, |home| match home {
            Home::Input(i) => Some(pointer(&inputs[i])),
            Home::State(i) if fresh => Some(state.wrapping_add(states[i])),
            Home::State(_) | Home::Arena(_) => None,
        }));
        // SAFETY: as the caller says.
        let mut run = || unsafe {
            match &**launches {
                Launches::F32(all) => Denormals::FLUSHED.during(|| all.run(frame, threads, scratch)),
                Launches::F64(all) => Denormals::KEPT.during(|| all.run(frame, threads, scratch)),
            }
        };
        if threads > 1 { parallel::install(run) } else { run() }
    }

    /// Elements of the arena.
    pub fn read(&self, offset: usize, len: usize, dtype: DType) -> Data<'_> {
        self.arena.read(offset, len, dtype)
    }

    /// The bytes of its memory: intermediate values at their peak, and what the kernels use while they run.
    pub fn bytes(&self) -> usize {
        self.arena.bytes() + self.scratch.bytes()
    }

    /// Starts to measure what each launch takes.
    pub fn start_clock(&mut self) {
        launches!(&*self.launches, all => all.start_clock(&mut self.frame));
    }

    /// Stops to measure. What each launch has taken, those within a loop after the loop.
    pub fn stop_clock(&mut self) -> Vec<Duration> {
        let mut times = Vec::new();
        launches!(&*self.launches, all => all.stop_clock(&mut self.frame, &mut times));
        times
    }
}

/// Inputs are never written, though an operand could be.
fn pointer(data: &Data<'_>) -> *mut u8 {
    match data {
        Data::F32(values) => values.as_ptr().cast_mut().cast(),
        Data::F64(values) => values.as_ptr().cast_mut().cast(),
        Data::Index(values) => values.as_ptr().cast_mut().cast(),
        Data::Bool(values) => values.as_ptr().cast_mut(),
    }
}
