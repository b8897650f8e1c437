//! A schedule as a device runs it: kernels compiled, operands named.

use super::{Device, LIMITS, merge, told};
use crate::Result;
use crate::compile::Program;
use crate::graph::DType;
use crate::kernel::call::Call;
use crate::kernel::cuda::blas::Products;
use crate::kernel::cuda::driver::{Function, Module};
use crate::kernel::cuda::print::{Likeness, Source, Task};
use crate::kernel::nest::{Moving, Nest};
use crate::kernel::schedule::{Home, Schedule, Slot};
use crate::kernel::tiled::Tiled;
use crate::kernel::view::View;
use crate::kernel::work::Work;
use std::ops::Range;
use std::sync::Arc;

/// What workspaces of a program share on a device.
#[derive(Debug)]
pub(in crate::run) struct Plan {
    pub device: Device,
    pub(super) sequence: Sequence,
    /// The kernels by their numbers in the source.
    pub functions: Arc<[Function]>,
    /// What launches use for themselves.
    pub scratch: usize,
    pub float: DType,
    /// Has loaded the functions.
    _module: Arc<Module>,
}

/// The launches of a schedule, in order.
#[derive(Debug)]
pub(super) struct Sequence {
    pub launches: Vec<Launch>,
    /// The operands of all launches.
    pub slots: Vec<Slot>,
}

/// A launch, and its operands among those of the sequence.
#[derive(Debug)]
pub(super) struct Launch {
    pub what: What,
    pub operands: Range<usize>,
}

/// How a launch is done.
#[derive(Debug)]
pub(super) enum What {
    /// By the device.
    Tasks(Vec<Task>),
    /// By launching the body again and again.
    Loop(Nest, Box<Sequence>),
    /// By the host.
    Call(Call),
}

impl Plan {
    /// The plan of a program on a device.
    ///
    /// # Errors
    /// If a kernel cannot be compiled.
    pub fn of(device: &Device, program: &Program) -> Result<Arc<Self>> {
        let own = |plan: &Plan| plan.device == *device;
        let products = Products::new(&device.0, program.precision());
        let source = Source::new(program.dtype()).with_products(products);
        program.prepared(own, || Ok(Self::make(device, source, &[program])?.remove(0)))
    }

    /// Compiles the kernels of several programs together, which is faster than one by one; of products too, if they are to be
    /// printed.
    #[cfg(test)]
    pub fn prepare(device: &Device, programs: &[&Program], printed: bool) -> Result<()> {
        for float in [DType::F32, DType::F64] {
            let alike: Vec<&Program> = programs.iter().copied().filter(|program| program.dtype() == float).collect();
            let Some(first) = alike.first() else { continue };
            let mut source = Source::new(float);
            if !printed {
                source = source.with_products(Products::new(&device.0, first.precision()));
            }
            for (program, plan) in alike.iter().zip(Self::make(device, source, &alike)?) {
                program.prepared(|plan: &Plan| plan.device == *device, || Ok(plan))?;
            }
        }
        Ok(())
    }

    fn make(device: &Device, source: Source, programs: &[&Program]) -> Result<Vec<Arc<Self>>> {
        let mut source = source.with_shared(device.0.shared()).on(device.0.capability());
        let print = |program: &&Program| told(Sequence::new(&program.schedule, &mut source, &|_| LIMITS.align));
        let sequences = programs.iter().map(print).collect::<Result<Vec<_>>>()?;
        let module = Arc::new(told(device.0.module(&source.text(), source.flush()))?);
        let function = |(number, &shared): (usize, &u32)| told(module.function(&Source::name(number), shared));
        let functions = source.shared().iter().enumerate().map(function).collect::<Result<Arc<[_]>>>()?;
        let plan = |sequence| {
            Arc::new(Plan {
                device: device.clone(),
                sequence,
                functions: Arc::clone(&functions),
                scratch: source.scratch_bytes(),
                float: source.float(),
                _module: Arc::clone(&module),
            })
        };
        Ok(sequences.into_iter().map(plan).collect())
    }
}

impl Sequence {
    /// Every operand begins at a multiple of so many bytes.
    fn new(schedule: &Schedule, source: &mut Source, aligned: &dyn Fn(Home) -> usize) -> Result<Self, String> {
        let mut sequence = Sequence { launches: Vec::new(), slots: Vec::new() };
        while let Some(step) = schedule.steps.get(sequence.launches.len()) {
            let first = sequence.launches.len();
            match merge::side_by_side(schedule, first) {
                1 => {
                    let (slots, work) = schedule.resolved(step);
                    let what = Self::what(&slots, work, source, aligned)?;
                    sequence.push(slots, what);
                }
                count => sequence.merge(schedule, first..first + count, source, aligned)?,
            }
        }
        Ok(sequence)
    }

    fn push(&mut self, slots: Vec<Slot>, what: What) {
        let operands = self.slots.len()..self.slots.len() + slots.len();
        self.slots.extend(slots);
        self.launches.push(Launch { what, operands });
    }

    fn what(slots: &[Slot], work: Work, source: &mut Source, aligned: &dyn Fn(Home) -> usize) -> Result<What, String> {
        let alignments: Vec<usize> = slots.iter().map(|slot| aligned(slot.home)).collect();
        Ok(match work {
            Work::Loop(nest) => {
                let first = |view: &View, step: isize| {
                    let bytes = [view.offset, step.unsigned_abs()].map(|elements| elements * view.element.size());
                    1 << (alignments[view.operand] | bytes[0] | bytes[1]).trailing_zeros()
                };
                let moving = |Moving { view, .. }: &Moving| first(view, view.strides[0]);
                let within = |home| match home {
                    Home::Input(i) => moving(&nest.inputs[i]),
                    Home::State(i) => moving(&nest.states[i]),
                    Home::Arena(offset) => 1 << (first(&nest.memory, 0) | offset).trailing_zeros(),
                };
                let body = Box::new(Sequence::new(&nest.body, source, &within)?);
                What::Loop(nest, body)
            }
            Work::Call(call) => What::Call(*call),
            work => What::Tasks(source.tasks(&work, alignments)?),
        })
    }

    /// Adds steps that need nothing of each other: those that are alike are done by the launch of the first of them.
    fn merge(
        &mut self,
        schedule: &Schedule,
        steps: Range<usize>,
        source: &mut Source,
        aligned: &dyn Fn(Home) -> usize,
    ) -> Result<(), String> {
        let resolved: Vec<(Vec<Slot>, Work)> =
            schedule.steps[steps].iter().map(|step| schedule.resolved(step)).collect();
        let mut groups: Vec<(Likeness, Vec<usize>)> = Vec::new();
        for (number, (slots, work)) in resolved.iter().enumerate() {
            let Work::Fused(tiled) = work else { continue };
            let alignments: Vec<usize> = slots.iter().map(|slot| aligned(slot.home)).collect();
            let Some(likeness) = source.likeness(tiled, &alignments) else { continue };
            match groups.iter_mut().find(|(known, _)| *known == likeness) {
                Some((_, members)) => members.push(number),
                None => groups.push((likeness, vec![number])),
            }
        }
        groups.retain(|(_, members)| members.len() > 1);
        for (number, (slots, work)) in resolved.iter().enumerate() {
            let group = groups.iter().find(|(_, members)| members.contains(&number));
            let (slots, what) = match group {
                None => (slots.clone(), Self::what(slots, work.clone(), source, aligned)?),
                Some((_, members)) if members[0] != number => (slots.clone(), What::Tasks(Vec::new())),
                Some((likeness, members)) => {
                    let (slots, tileds) = together(members.iter().map(|&member| &resolved[member]));
                    (slots, What::Tasks(source.merged(likeness, &tileds)?))
                }
            };
            self.push(slots, what);
        }
        Ok(())
    }

    /// Where an operand lies.
    pub fn home(&self, launch: &Launch, operand: usize) -> Home {
        self.slots[launch.operands.start + operand].home
    }

    /// How many tasks a run has; none if the host has to do some of the work.
    pub fn tasks(&self) -> Option<usize> {
        let tasks = |launch: &Launch| match &launch.what {
            What::Tasks(tasks) => Some(tasks.len()),
            What::Loop(nest, body) => Some(nest.count * body.tasks()?),
            What::Call(_) => None,
        };
        self.launches.iter().map(tasks).sum()
    }

    /// How many launches there are, those of loops once.
    pub fn len(&self) -> usize {
        let within = |launch: &Launch| if let What::Loop(_, body) = &launch.what { body.len() } else { 0 };
        self.launches.iter().map(|launch| 1 + within(launch)).sum()
    }
}

/// The operands of several fused kernels, each once, and the kernels over these.
fn together<'a>(members: impl Iterator<Item = &'a (Vec<Slot>, Work)>) -> (Vec<Slot>, Vec<Tiled>) {
    let (mut slots, mut tileds) = (Vec::new(), Vec::new());
    for (own, work) in members {
        let Work::Fused(tiled) = work else { continue };
        let mut tiled = tiled.clone();
        tiled.views_mut(&mut |_, view, _| {
            let slot = own[view.operand];
            view.operand = slots.iter().position(|known| *known == slot).unwrap_or(slots.len());
            if view.operand == slots.len() {
                slots.push(slot);
            }
        });
        tileds.push(tiled);
    }
    (slots, tileds)
}

/// Adds the kernels of a schedule to a source. How many tasks a run has, see [`Sequence::tasks`].
#[cfg(test)]
pub(super) fn print(schedule: &Schedule, source: &mut Source) -> Result<Option<usize>, String> {
    Sequence::new(schedule, source, &|_| LIMITS.align).map(|sequence| sequence.tasks())
}
