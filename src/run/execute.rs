//! The run itself: walks the list of launches.

use super::workspace::Frame;
use super::{Data, State, Workspace};
use crate::compile::{Launch, Nest, Plan, Program, Step};
use crate::kernel::cpu::denormal::Denormals;
use crate::kernel::cpu::{Beyond, Operand, Real, Scratch, gemm, parallel, random};
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Instant;

impl Program {
    /// Computes the outputs and updates the state in place. Inputs are checked for number, type and length; nothing is
    /// allocated. `f32` programs take denormal numbers, below 1.2e-38, for zero.
    ///
    /// # Errors
    /// If an input does not fit its declaration, or the workspace was made for another program or kind of state; the state
    /// is then unchanged. If the program calculates an index beyond a table; the state may then be partly updated.
    pub fn run(&self, state: &mut State, inputs: &[Data<'_>], workspace: &mut Workspace) -> Result<()> {
        // Borrowed alone, so it may be written.
        self.launch(state, inputs, workspace)
    }

    /// Computes the outputs of a program that updates nothing.
    ///
    /// # Errors
    /// As for [`Program::run`], and if the program has updates.
    pub fn evaluate(&self, state: &State, inputs: &[Data<'_>], workspace: &mut Workspace) -> Result<()> {
        if let Some(slot) = self.states.iter().find(|slot| slot.update.is_some()) {
            return Err(Error::value(format!(
                "the program updates `{}`, so it needs the state to itself; call `run` in place of `evaluate`",
                slot.key
            )));
        }
        // No launch of a program without updates writes to the state.
        self.launch(state, inputs, workspace)
    }

    /// The i-th output of the last run.
    pub fn output<'w>(&self, workspace: &'w Workspace, i: usize) -> Data<'w> {
        let output = &self.outputs[i];
        workspace.arena.read(output.offset, output.dims.iter().product(), output.dtype)
    }

    fn launch(&self, state: &State, inputs: &[Data<'_>], workspace: &mut Workspace) -> Result<()> {
        if !Arc::ptr_eq(&workspace.program, &self.identity) {
            return Err(Error::value("the workspace was made for another program; make one with `Program::workspace`"));
        }
        if !Arc::ptr_eq(&workspace.layout, &state.layout) && workspace.layout != state.layout {
            return Err(Error::value("the workspace was made for another state; make one with `Program::workspace`"));
        }
        self.check(inputs)?;
        if workspace.bound != state.arena.pointer() {
            workspace.bound = state.arena.pointer();
            for &(position, offset) in &workspace.states {
                workspace.frame.operands[position].pointer = workspace.bound.wrapping_add(offset);
            }
        }
        for &(position, input) in &workspace.inputs {
            workspace.frame.operands[position].pointer = pointer(&inputs[input]);
        }
        let Workspace { frame, scratch, threads, .. } = workspace;
        let (scratch, threads) = (&mut scratch.0, *threads);
        // SAFETY: the plan keeps every view inside its operand; the arena is this workspace's, inputs are only read,
        // and the state is only written by programs with updates, which borrow it alone.
        let mut walk = || unsafe {
            match &self.plan {
                Plan::F32(steps) => Denormals::FLUSHED.during(|| walk(steps, frame, threads, scratch)),
                Plan::F64(steps) => Denormals::KEPT.during(|| walk(steps, frame, threads, scratch)),
            }
        };
        let done = if threads > 1 { parallel::install(walk) } else { walk() };
        done.map_err(|Beyond { index, rows }| {
            Error::value(format!(
                "an index that the program calculates is {index}, but the table that it points into has {rows} rows"
            ))
        })
    }

    fn check(&self, inputs: &[Data<'_>]) -> Result<()> {
        if inputs.len() != self.inputs.len() {
            let names: Vec<&str> = self.inputs.iter().map(|slot| &*slot.name).collect();
            return Err(Error::value(format!(
                "the program takes {} inputs ({}) and was given {}",
                names.len(),
                names.join(", "),
                inputs.len()
            )));
        }
        for (slot, data) in self.inputs.iter().zip(inputs) {
            let len = slot.dims.iter().product::<usize>();
            if data.dtype() != slot.dtype {
                return Err(Error::value(format!(
                    "the input `{}` holds {:?} elements and was given {:?}",
                    slot.name,
                    slot.dtype,
                    data.dtype()
                )));
            }
            if data.len() != len {
                return Err(Error::value(format!(
                    "the input `{}` is {:?}, {len} elements, and was given {}",
                    slot.name,
                    slot.dims,
                    data.len()
                )));
            }
            if let (Some(space), Data::Index(values)) = (slot.space, data)
                && let Some(at) = values.iter().position(|&value| value as usize >= space)
            {
                return Err(Error::value(format!(
                    "element {at} of the input `{}` is {}, which is no index into a space of {space}",
                    slot.name, values[at]
                )));
            }
        }
        Ok(())
    }
}

/// # Safety
/// Every view of every step stays inside its operand; nothing else uses what the steps write.
unsafe fn walk<T: Real>(
    steps: &[Step<T>],
    frame: &mut Frame,
    threads: usize,
    scratch: &mut Scratch,
) -> Result<(), Beyond> {
    let Frame { operands, loops, times, .. } = frame;
    let mut loops = loops.iter_mut();
    for (number, step) in steps.iter().enumerate() {
        let begin = (!times.is_empty()).then(Instant::now);
        let operands = &operands[step.operands.clone()];
        // SAFETY: as the caller says.
        unsafe {
            match &step.launch {
                Launch::Fused(kernel) => kernel.launch(operands, threads, scratch),
                Launch::Products(gemms) => {
                    gemms.iter().for_each(|product| gemm::<T>(product, operands, threads, scratch));
                }
                Launch::Chain(chain) => chain.launch(operands, threads, scratch),
                Launch::Pooling(pooling) => pooling.launch::<T>(operands, threads, scratch),
                Launch::Convolution(work) => work.launch::<T>(operands, threads, scratch),
                Launch::Loop(nest) => {
                    let (_, inner) = loops.next().expect("a workspace has a frame for each loop");
                    repeat(nest, operands, inner, threads, scratch)?;
                }
                Launch::Attention(work) => work.launch::<T>(operands, threads, scratch),
                Launch::Lookup(lookup) => lookup.launch::<T>(operands, threads)?,
                Launch::Call(call) => call.launch::<T>(operands),
                Launch::FoldIn([key, number, to]) => {
                    let key: [u32; 4] = operands[*key].pointer.cast::<[u32; 4]>().read();
                    let number: u32 = operands[*number].pointer.cast::<u32>().read();
                    operands[*to].pointer.cast::<[u32; 4]>().write(random::fold_in(key, number));
                }
            }
        }
        if let Some(begin) = begin {
            times[number] += begin.elapsed();
        }
    }
    Ok(())
}

/// # Safety
/// As for [`walk`], for the operands of the loop; they hold all pieces that the loop names.
unsafe fn repeat<T: Real>(
    nest: &Nest<T>,
    operands: &[Operand],
    frame: &mut Frame,
    threads: usize,
    scratch: &mut Scratch,
) -> Result<(), Beyond> {
    let address = |piece: &crate::compile::Piece| operands[piece.operand].pointer.wrapping_add(piece.offset);
    for carry in &nest.carries {
        let (from, to) = (address(&carry.from), operands[carry.to].pointer);
        if from != to {
            // SAFETY: both hold the carry; they are buffers of their own where they are not the same one.
            unsafe { std::ptr::copy_nonoverlapping(from, to, carry.bytes) };
        }
    }
    for (own, slot) in frame.operands.iter_mut().zip(&nest.slots) {
        own.pointer = address(&slot.piece);
    }
    let position = |n: usize| if nest.reverse { nest.count - 1 - n } else { n };
    let counter = address(&nest.counter).cast::<u32>();
    for n in 0..nest.count {
        for &(slot, bytes) in &nest.moving {
            frame.operands[slot].pointer = address(&nest.slots[slot].piece).wrapping_add(position(n) * bytes);
        }
        // SAFETY: the counter is aligned and lies in memory of the loop's own; the rest is as the caller says.
        unsafe {
            counter.write(position(n) as u32);
            walk(&nest.steps, frame, threads, scratch)?;
        }
    }
    Ok(())
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
