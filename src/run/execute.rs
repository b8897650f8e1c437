//! The run itself: walks the list of launches.

use super::{Data, State, Workspace};
use crate::compile::{Launch, Plan, Program, Step};
use crate::kernel::cpu::{Operand, Real, Scratch, gemm, parallel};
use crate::{Error, Result};
use std::sync::Arc;

impl Program {
    /// Computes the outputs and updates the state in place. Inputs are checked for number, type and length; nothing is
    /// allocated.
    ///
    /// # Errors
    /// If an input does not fit its declaration, or the workspace was made for another program or kind of state.
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
                workspace.operands[position].pointer = workspace.bound.wrapping_add(offset);
            }
        }
        for &(position, input) in &workspace.inputs {
            workspace.operands[position].pointer = pointer(&inputs[input]);
        }
        let Workspace { operands, scratch, threads, .. } = workspace;
        let (operands, scratch, threads) = (&operands[..], &mut scratch.0, *threads);
        // SAFETY: the plan keeps every view inside its operand; the arena is this workspace's, inputs are only read,
        // and the state is only written by programs with updates, which borrow it alone.
        let mut walk = || unsafe {
            match &self.plan {
                Plan::F32(steps) => walk(steps, operands, threads, scratch),
                Plan::F64(steps) => walk(steps, operands, threads, scratch),
            }
        };
        if threads > 1 {
            parallel::install(walk)
        } else {
            walk()
        }
        Ok(())
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
        }
        Ok(())
    }
}

/// # Safety
/// Every view of every step stays inside its operand; nothing else uses what the steps write.
unsafe fn walk<T: Real>(steps: &[Step<T>], operands: &[Operand], threads: usize, scratch: &mut Scratch) {
    for step in steps {
        let operands = &operands[step.operands.clone()];
        // SAFETY: as the caller says.
        unsafe {
            match &step.launch {
                Launch::Fused(kernel) => kernel.launch(operands, threads, scratch),
                Launch::Products(gemms) => {
                    gemms.iter().for_each(|product| gemm::<T>(product, operands, threads, scratch));
                }
            }
        }
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
