//! The run itself: checks what is given, and lets the device run.

use super::device::{Part, Trouble};
use super::{Data, State, Workspace};
use crate::compile::{Output, Program};
use crate::kernel::cpu::Fault;
use crate::{Error, Result};
use std::sync::Arc;

impl Program {
    /// Computes the outputs and updates the state in place. Inputs are checked for number, type and length; nothing is
    /// allocated. `f32` programs take denormal numbers, below 1.2e-38, for zero.
    ///
    /// # Errors
    /// If an input does not fit its declaration, or the workspace was made for another program or kind of state; the state
    /// is then unchanged. If the program calculates an index beyond a table; the state may then be partly updated.
    pub fn run(&self, state: &mut State, inputs: &[Data<'_>], workspace: &mut Workspace) -> Result<()> {
        // Borrowed alone, so it may be written.
        let done = self.launch(state, inputs, workspace);
        state.memory.updated();
        done
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
        let Output { dims, dtype, offset, .. } = &self.outputs[i];
        workspace.engine.output(Part { number: i, offset: *offset, len: dims.iter().product(), dtype: *dtype })
    }

    fn launch(&self, state: &State, inputs: &[Data<'_>], workspace: &mut Workspace) -> Result<()> {
        if !Arc::ptr_eq(&workspace.program, &self.identity) {
            return Err(Error::value("the workspace was made for another program; make one with `Program::workspace`"));
        }
        if !Arc::ptr_eq(&workspace.layout, &state.layout) && workspace.layout != state.layout {
            return Err(Error::value("the workspace was made for another state; make one with `Program::workspace`"));
        }
        self.check(inputs)?;
        // SAFETY: schedules are verified when they are made; inputs and state were checked, and a program with updates
        // borrows the state alone.
        let done = unsafe { workspace.engine.run(&state.memory, inputs) };
        done.map_err(|trouble| match trouble {
            Trouble::Device(problem) => problem,
            Trouble::Fault(Fault::Beyond { index, rows }) => Error::value(format!(
                "an index that the program calculates is {index}, but the table that it points into has {rows} rows"
            )),
            Trouble::Fault(Fault::Count { function, given, expected }) => Error::value(format!(
                "`{function}` gave {given} elements, and its shape has {expected}; its value must agree with its shape"
            )),
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
