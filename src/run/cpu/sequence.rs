//! A list of launches, and the addresses of their operands.

use super::nest::Loop;
use crate::kernel::cpu::{Fault, Kernel, Operand, Real, Scratch};
use crate::kernel::schedule::{Home, Schedule};
use crate::kernel::work::Work;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The launches of a schedule, prepared, in order. Many frames can share them.
#[derive(Debug)]
pub(super) struct Sequence<T: Real> {
    launches: Vec<Launch<T>>,
    /// Where the operands of all launches lie.
    pub homes: Vec<Home>,
    lens: Vec<usize>,
    /// Operands that are not in the arena.
    outside: Vec<usize>,
}

/// The addresses of all operands of a sequence.
#[derive(Debug)]
pub(super) struct Frame {
    pub operands: Vec<Operand>,
    /// Those within each loop among the launches, in order.
    loops: Vec<Frame>,
    /// What each launch has taken, while someone measures.
    times: Vec<Duration>,
}

/// A launch and its operands among those of the sequence.
#[derive(Debug)]
struct Launch<T: Real> {
    what: What<T>,
    operands: Range<usize>,
}

#[derive(Debug)]
enum What<T: Real> {
    Kernel(Box<dyn Kernel<T>>),
    Loop(Box<Loop<T>>),
}

impl<T: Real> What<T> {
    /// Decides how to run the work.
    fn new(work: Work) -> Self {
        match T::prepare(work) {
            Ok(kernel) => What::Kernel(kernel),
            Err(nest) => What::Loop(Box::new(Loop::new(*nest))),
        }
    }
}

impl<T: Real> Sequence<T> {
    pub fn new(schedule: &Schedule) -> Self {
        let (mut homes, mut lens, mut launches) = (Vec::new(), Vec::new(), Vec::new());
        for step in &schedule.steps {
            let (slots, work) = schedule.resolved(step);
            let first = homes.len();
            homes.extend(slots.iter().map(|slot| slot.home));
            lens.extend(slots.iter().map(|slot| slot.len));
            launches.push(Launch { what: What::new(work), operands: first..homes.len() });
        }
        let outside = (0..homes.len()).filter(|&i| !matches!(homes[i], Home::Arena(_))).collect();
        Sequence { launches, homes, lens, outside }
    }

    /// A frame without addresses.
    pub fn frame(&self) -> Frame {
        let unbound = |&len: &usize| Operand { pointer: std::ptr::null_mut(), len };
        let inner = |launch: &Launch<T>| match &launch.what {
            What::Kernel(_) => None,
            What::Loop(nest) => Some(nest.body.frame()),
        };
        Frame {
            operands: self.lens.iter().map(unbound).collect(),
            loops: self.launches.iter().filter_map(inner).collect(),
            times: Vec::new(),
        }
    }

    /// Whether a launch has enough work for several threads.
    pub fn divides(&self) -> bool {
        self.launches.iter().any(|launch| match &launch.what {
            What::Kernel(kernel) => kernel.divides(),
            What::Loop(nest) => nest.body.divides(),
        })
    }

    /// The scratch memory that a run on so many threads uses.
    pub fn scratch_bytes(&self, threads: usize) -> usize {
        let bytes = |launch: &Launch<T>| match &launch.what {
            What::Kernel(kernel) => kernel.scratch_bytes(threads),
            What::Loop(nest) => nest.body.scratch_bytes(threads),
        };
        self.launches.iter().map(bytes).max().unwrap_or(0)
    }

    /// Gives all operands their addresses.
    pub fn bind(&self, frame: &mut Frame, address: impl Fn(Home) -> *mut u8) {
        for (operand, &home) in frame.operands.iter_mut().zip(&self.homes) {
            operand.pointer = address(home);
        }
    }

    /// Gives operands outside of the arena their addresses, those for which there is one.
    pub fn rebind(&self, frame: &mut Frame, address: impl Fn(Home) -> Option<*mut u8>) {
        for &i in &self.outside {
            if let Some(pointer) = address(self.homes[i]) {
                frame.operands[i].pointer = pointer;
            }
        }
    }

    /// Runs all launches.
    ///
    /// # Errors
    /// What could not be done.
    ///
    /// # Safety
    /// The schedule is verified, and the operands have the addresses of memory that holds what it says and that nothing
    /// else uses, except to read what is only read here.
    pub unsafe fn run(&self, frame: &mut Frame, threads: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        let Frame { operands, loops, times } = frame;
        let mut loops = loops.iter_mut();
        for (number, launch) in self.launches.iter().enumerate() {
            let begin = (!times.is_empty()).then(Instant::now);
            let operands = &operands[launch.operands.clone()];
            // SAFETY: as the caller says.
            unsafe {
                match &launch.what {
                    What::Kernel(kernel) => kernel.launch(operands, threads, scratch)?,
                    What::Loop(nest) => {
                        let inner = loops.next().expect("a frame has a frame for each loop");
                        nest.launch(operands, inner, threads, scratch)?;
                    }
                }
            }
            if let Some(begin) = begin {
                times[number] += begin.elapsed();
            }
        }
        Ok(())
    }

    /// Starts to measure what each launch takes.
    pub fn start_clock(&self, frame: &mut Frame) {
        frame.times = vec![Duration::ZERO; self.launches.len()];
        self.loops().zip(&mut frame.loops).for_each(|((_, nest), inner)| nest.body.start_clock(inner));
    }

    /// Stops to measure. Adds what each launch has taken, those within a loop after the loop.
    pub fn stop_clock(&self, frame: &mut Frame, times: &mut Vec<Duration>) {
        let mut loops = self.loops().zip(&mut frame.loops).peekable();
        for (number, time) in std::mem::take(&mut frame.times).into_iter().enumerate() {
            times.push(time);
            if let Some(((_, nest), inner)) = loops.next_if(|((at, _), _)| *at == number) {
                nest.body.stop_clock(inner, times);
            }
        }
    }

    fn loops(&self) -> impl Iterator<Item = (usize, &Loop<T>)> {
        self.launches.iter().enumerate().filter_map(|(number, launch)| match &launch.what {
            What::Kernel(_) => None,
            What::Loop(nest) => Some((number, &**nest)),
        })
    }
}
