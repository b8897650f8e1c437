//! Runs a plan: feeds the inputs, launches, and fetches the outputs.

use super::plan::{Launch, Plan, Sequence, What};
use super::{Device, Tensors, told};
use crate::Result;
use crate::compile::{Output, Program};
use crate::graph::DType;
use crate::kernel::call::Call;
use crate::kernel::cpu::{Fault, Kernel, Operand, Scratch};
use crate::kernel::cuda::driver::{Graph, Memory, Pinned, Stream};
use crate::kernel::cuda::print::{Argument, Place, Task};
use crate::kernel::nest::{Moving, Nest};
use crate::kernel::schedule::Home;
use crate::kernel::view::View;
use crate::run::Data;
use crate::run::cpu::Arena;
use crate::run::device::{Part, Trouble};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A program made ready for a device: memory for its inputs and intermediate values, and for what the host gives and takes.
#[derive(Debug)]
pub(in crate::run) struct Engine {
    /// The work of a run, recorded for a state that begins at this address.
    recorded: Option<(u64, Graph)>,
    plan: Arc<Plan>,
    stream: Stream,
    memory: Memory,
    /// Where each tensor of the state begins.
    states: Vec<usize>,
    inputs: Vec<Passage>,
    outputs: Vec<Passage>,
    /// The record of what went wrong, see `Fault` in the text of the kernels.
    fault: Passage,
    /// Where the memory begins that launches use for themselves.
    scratch: usize,
    host: Pinned,
    /// What each launch has taken, while someone measures.
    times: Vec<Duration>,
    /// Whether runs can be recorded, and whether one has been.
    records: bool,
    warm: bool,
}

/// What goes from the host to the device or back: where it begins on both, and its bytes.
#[derive(Clone, Copy, Debug)]
struct Passage {
    device: usize,
    host: usize,
    bytes: usize,
}

/// The bytes of a record of what went wrong.
const FAULT: usize = 16;
/// A graph of more launches takes long to record.
const MOST_RECORDED: usize = 4096;

impl Engine {
    pub fn new(device: &Device, program: &Program, states: Vec<usize>) -> Result<Self> {
        let plan = Plan::of(device, program)?;
        let (mut on_device, mut on_host) = (program.schedule.bytes, 0);
        let take = |bytes: &mut usize, size: usize| {
            let first = bytes.next_multiple_of(super::LIMITS.align);
            *bytes = first + size;
            first
        };
        let size = |dims: &[usize], dtype: DType| dims.iter().product::<usize>() * dtype.size();
        let mut passage =
            |bytes: usize| Passage { device: take(&mut on_device, bytes), host: take(&mut on_host, bytes), bytes };
        let inputs = program.inputs().iter().map(|slot| passage(size(&slot.dims, slot.dtype))).collect();
        let fault = passage(FAULT);
        let output = |output: &Output| {
            let bytes = size(&output.dims, output.dtype);
            Passage { device: output.offset, host: take(&mut on_host, bytes), bytes }
        };
        let outputs = program.outputs().iter().map(output).collect();
        let scratch = take(&mut on_device, plan.scratch);
        Ok(Engine {
            recorded: None,
            stream: told(Stream::new(&device.0))?,
            memory: told(Memory::new(&device.0, on_device))?,
            states,
            inputs,
            outputs,
            fault,
            scratch,
            host: told(Pinned::new(&device.0, on_host))?,
            times: Vec::new(),
            records: plan.sequence.tasks().is_some_and(|tasks| tasks <= MOST_RECORDED),
            warm: false,
            plan,
        })
    }

    /// Runs all launches and waits for them. The first run launches one by one, the second records what the following ones
    /// launch at once.
    ///
    /// # Errors
    /// What could not be done.
    ///
    /// # Safety
    /// As for [`run::device::Engine::run`](crate::run::device::Engine::run).
    pub unsafe fn run(&mut self, state: &Tensors, inputs: &[Data<'_>]) -> Result<(), Trouble> {
        let first = state.push().map_err(Trouble::Device)?;
        self.stream.context().enter()?;
        for (passage, input) in self.inputs.iter().zip(inputs) {
            let bytes = input.bytes();
            // SAFETY: the host has room for so many bytes, and the device has done with those of the run before.
            unsafe { self.host.pointer().add(passage.host).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
        if self.recorded.as_ref().is_some_and(|(state, _)| *state != first) {
            self.recorded = None;
        }
        let mut times = std::mem::take(&mut self.times);
        // SAFETY: the schedule is verified, so that views stay inside their operands; these lie where the engine has made
        // room for them. What is recorded is replayed for the addresses that it was recorded with.
        unsafe {
            if self.records && self.warm && times.is_empty() {
                if self.recorded.is_none() {
                    let graph = self.stream.capture(|| self.launch(first, &mut times))?;
                    self.recorded = Some((first, graph));
                }
                if let Some((_, graph)) = &self.recorded {
                    self.stream.replay(graph)?;
                }
            } else {
                self.launch(first, &mut times)?;
            }
        }
        self.times = times;
        self.stream.wait()?;
        self.warm = true;
        // SAFETY: the device has written it.
        match unsafe { Data::at(self.host.pointer().add(self.fault.host), FAULT / 4, DType::Index) } {
            Data::Index(&[any, index, low, high]) if any != 0 => {
                let rows = (u64::from(high) << 32 | u64::from(low)) as usize;
                Err(Fault::Beyond { index, rows }.into())
            }
            _ => Ok(()),
        }
    }

    /// Gives the stream the work of a run.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn launch(&self, state: u64, times: &mut Vec<Duration>) -> Result<(), Trouble> {
        let Engine { plan, stream, memory, inputs, outputs, fault, host, .. } = self;
        let device = |byte: usize| memory.at() + byte as u64;
        let address = |home: Home| match home {
            Home::Arena(offset) => device(offset),
            Home::Input(i) => device(inputs[i].device),
            Home::State(i) => state + self.states[i] as u64,
        };
        let (fault_at, scratch) = (device(fault.device), device(self.scratch));
        let mut run = Run { plan, stream, scratch, fault: fault_at, arguments: Vec::new(), times, launch: 0 };
        // SAFETY: as the caller says; the host waits before it touches its memory again.
        unsafe {
            stream.clear(fault_at, FAULT)?;
            for &Passage { device: to, host: from, bytes } in inputs {
                stream.upload(device(to), host.pointer().add(from), bytes)?;
            }
            run.sequence(&plan.sequence, &address)?;
            for &Passage { device: from, host: to, bytes } in outputs.iter().chain([fault]) {
                stream.download(host.pointer().add(to), device(from), bytes)?;
            }
        }
        Ok(())
    }

    /// The elements of an output.
    pub fn output(&self, part: Part) -> Data<'_> {
        let first = self.host.pointer().wrapping_add(self.outputs[part.number].host);
        // SAFETY: the device has written them there, if the program has run.
        unsafe { Data::at(first, part.len, part.dtype) }
    }

    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    pub fn start_clock(&mut self) {
        self.times = vec![Duration::ZERO; self.plan.sequence.len()];
    }

    pub fn stop_clock(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.times)
    }
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    stream: &'a Stream,
    scratch: u64,
    fault: u64,
    arguments: Vec<u64>,
    /// What each launch has taken, while someone measures; those within a loop after the loop.
    times: &'a mut Vec<Duration>,
    launch: usize,
}

impl Run<'_> {
    /// # Safety
    /// As for [`Engine::run`], with operands at these addresses.
    unsafe fn sequence(&mut self, sequence: &Sequence, address: &dyn Fn(Home) -> u64) -> Result<(), Trouble> {
        for launch in &sequence.launches {
            let own = self.launch;
            self.launch += 1;
            let begin = Instant::now();
            let operand = |number: usize| address(sequence.home(launch, number));
            // SAFETY: as the caller says.
            unsafe {
                match &launch.what {
                    What::Tasks(tasks) => tasks.iter().try_for_each(|task| self.task(task, &operand)),
                    What::Loop(nest, body) => self.repeat(nest, body, &operand),
                    What::Call(call) => self.call(call, sequence, launch, &operand),
                }?;
            }
            if !self.times.is_empty() {
                self.stream.wait()?;
                self.times[own] += begin.elapsed();
            }
        }
        Ok(())
    }

    /// # Safety
    /// As for `sequence`.
    unsafe fn task(&mut self, task: &Task, operand: &dyn Fn(usize) -> u64) -> Result<(), Trouble> {
        let address = |place: Place| operand(place.operand) + place.byte as u64;
        // SAFETY: as the caller says.
        unsafe {
            match task {
                Task::Kernel(launch) => {
                    let value = |argument: &Argument| match *argument {
                        Argument::Operand(place) => place.map_or(0, address),
                        Argument::Scratch(byte) => self.scratch + byte as u64,
                        Argument::Fault => self.fault,
                        Argument::Value(value) => value,
                    };
                    self.arguments.clear();
                    self.arguments.extend(launch.arguments.iter().map(value));
                    let function = &self.plan.functions[launch.kernel];
                    let sizes = [launch.grid, launch.block, launch.shared];
                    self.stream.launch(function, sizes, &mut self.arguments, launch.table)
                }
                Task::Clear(place, bytes) => self.stream.clear(address(*place), *bytes),
                Task::Product { plan, places, scratch, accumulate } => {
                    let workspace = self.scratch + *scratch as u64;
                    self.stream.product(plan, places.map(address), workspace, *accumulate)
                }
                Task::Copy(from, to, bytes) => self.stream.copy(address(*to), address(*from), *bytes),
            }?;
        }
        Ok(())
    }

    /// # Safety
    /// As for `sequence`.
    unsafe fn repeat(&mut self, nest: &Nest, body: &Sequence, operand: &dyn Fn(usize) -> u64) -> Result<(), Trouble> {
        let first = |view: &View| operand(view.operand) + (view.offset * view.element.size()) as u64;
        for (begin, carry) in nest.begins.iter().zip(&nest.states) {
            let (from, to) = (first(begin), first(&carry.view));
            if from != to {
                // SAFETY: both hold the carry; they are buffers of their own where they are not the same one.
                unsafe { self.stream.copy(to, from, carry.len * begin.element.size()) }?;
            }
        }
        let counter = first(&nest.inputs[0].view);
        let launch = self.launch;
        for n in 0..nest.count {
            let position = if nest.reverse { nest.count - 1 - n } else { n };
            let moved = |Moving { view, .. }: &Moving| {
                let step = view.strides[0] * view.element.size() as isize * position as isize;
                first(view).wrapping_add_signed(step as i64)
            };
            let address = |home: Home| match home {
                Home::Input(i) => moved(&nest.inputs[i]),
                Home::State(i) => moved(&nest.states[i]),
                Home::Arena(offset) => first(&nest.memory) + offset as u64,
            };
            // SAFETY: the counter lies in memory of the loop's own; the rest is as the caller says.
            unsafe {
                self.stream.write(counter, position as u32)?;
                self.launch = launch;
                self.sequence(body, &address)?;
            }
        }
        self.launch = launch + body.len();
        Ok(())
    }

    /// # Safety
    /// As for `sequence`.
    unsafe fn call(
        &mut self,
        call: &Call,
        sequence: &Sequence,
        launch: &Launch,
        operand: &dyn Fn(usize) -> u64,
    ) -> Result<(), Trouble> {
        let size = self.plan.float.size();
        let slots = &sequence.slots[launch.operands.clone()];
        let hosts: Vec<Arena> = slots.iter().map(|slot| Arena::new(slot.len * size)).collect();
        // SAFETY: operands of a call are real numbers, so many as their slots say, in memory of both sides.
        unsafe {
            for (number, host) in hosts.iter().enumerate() {
                self.stream.download(host.pointer(), operand(number), host.bytes())?;
            }
            self.stream.wait()?;
            let operands: Vec<Operand> = hosts
                .iter()
                .zip(slots)
                .map(|(host, slot)| Operand { pointer: host.pointer(), len: slot.len })
                .collect();
            let mut scratch = Scratch::new();
            match self.plan.float {
                DType::F64 => Kernel::<f64>::launch(call, &operands, 1, &mut scratch)?,
                _ => Kernel::<f32>::launch(call, &operands, 1, &mut scratch)?,
            }
            let written = call.result.operand;
            self.stream.upload(operand(written), hosts[written].pointer(), hosts[written].bytes())?;
            Ok(())
        }
    }
}
