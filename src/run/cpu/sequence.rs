//! A list of launches over the addresses of their operands.

use super::nest::Loop;
use crate::kernel::cpu::{Fault, Kernel, Operand, Prepared, PreparedChain, Real, Scratch};
use crate::kernel::schedule::{Home, Schedule};
use crate::kernel::work::Work;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The launches of a schedule, prepared, in order.
#[derive(Debug)]
pub(super) struct Sequence<T: Real> {
    launches: Vec<Launch<T>>,
    /// The operands of all launches, and where they lie.
    pub operands: Vec<Operand>,
    pub homes: Vec<Home>,
    /// Operands that are not in the arena.
    outside: Vec<usize>,
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
        What::Kernel(match work {
            Work::Fused(tiled) => Box::new(Prepared::new(&tiled)),
            Work::Chain(chain) => Box::new(PreparedChain::new(&chain)),
            Work::Products(gemms) => Box::new(gemms),
            Work::Attention(work) => work,
            Work::Lookup(lookup) => Box::new(lookup),
            Work::Pooling(pooling) => Box::new(pooling),
            Work::Convolution(work) => work,
            Work::FoldIn(work) => Box::new(work),
            Work::Call(call) => call,
            Work::Loop(nest) => return What::Loop(Box::new(Loop::new(nest))),
        })
    }
}

impl<T: Real> Sequence<T> {
    pub fn new(schedule: &Schedule) -> Self {
        let (mut operands, mut homes, mut launches) = (Vec::new(), Vec::new(), Vec::new());
        for step in &schedule.steps {
            let (slots, work) = schedule.resolved(step);
            let first = operands.len();
            operands.extend(slots.iter().map(|slot| Operand { pointer: std::ptr::null_mut(), len: slot.len }));
            homes.extend(slots.iter().map(|slot| slot.home));
            launches.push(Launch { what: What::new(work), operands: first..operands.len() });
        }
        let outside = (0..homes.len()).filter(|&i| !matches!(homes[i], Home::Arena(_))).collect();
        Sequence { launches, operands, homes, outside, times: Vec::new() }
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
    pub fn bind(&mut self, address: impl Fn(Home) -> *mut u8) {
        for (operand, &home) in self.operands.iter_mut().zip(&self.homes) {
            operand.pointer = address(home);
        }
    }

    /// Gives operands outside of the arena their addresses, those for which there is one.
    pub fn rebind(&mut self, address: impl Fn(Home) -> Option<*mut u8>) {
        for &i in &self.outside {
            if let Some(pointer) = address(self.homes[i]) {
                self.operands[i].pointer = pointer;
            }
        }
    }

    /// Runs all launches.
    ///
    /// # Errors
    /// If an index is beyond its table.
    ///
    /// # Safety
    /// The schedule is verified, and the operands have the addresses of memory that holds what it says and that nothing
    /// else uses, except to read what is only read here.
    pub unsafe fn run(&mut self, threads: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        let Sequence { launches, operands, times, .. } = self;
        for (number, launch) in launches.iter_mut().enumerate() {
            let begin = (!times.is_empty()).then(Instant::now);
            let operands = &operands[launch.operands.clone()];
            // SAFETY: as the caller says.
            unsafe {
                match &mut launch.what {
                    What::Kernel(kernel) => kernel.launch(operands, threads, scratch)?,
                    What::Loop(nest) => nest.launch(operands, threads, scratch)?,
                }
            }
            if let Some(begin) = begin {
                times[number] += begin.elapsed();
            }
        }
        Ok(())
    }

    pub fn start_clock(&mut self) {
        self.times = vec![Duration::ZERO; self.launches.len()];
        self.loops().for_each(|(_, nest)| nest.body.start_clock());
    }

    pub fn stop_clock(&mut self, times: &mut Vec<Duration>) {
        let own = std::mem::take(&mut self.times);
        let mut loops = self.loops().peekable();
        for (number, time) in own.into_iter().enumerate() {
            times.push(time);
            if let Some((_, nest)) = loops.next_if(|(at, _)| *at == number) {
                nest.body.stop_clock(times);
            }
        }
    }

    fn loops(&mut self) -> impl Iterator<Item = (usize, &mut Loop<T>)> {
        self.launches.iter_mut().enumerate().filter_map(|(number, launch)| match &mut launch.what {
            What::Kernel(_) => None,
            What::Loop(nest) => Some((number, &mut **nest)),
        })
    }
}
