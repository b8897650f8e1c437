//! What a run needs beside state and inputs, made once.

use super::State;
use super::device::Engine;
use super::state::StateLayout;
use crate::compile::Program;
use crate::{Error, Result};
use std::sync::Arc;

/// Memory for the intermediate values of one program, and its launches made ready to run in it.
#[derive(Debug)]
pub struct Workspace {
    pub(super) engine: Engine,
    pub(super) layout: Arc<StateLayout>,
    /// Which program this is for.
    pub(super) program: Arc<()>,
}

impl Program {
    /// Memory to run this program in, on states like `state`.
    ///
    /// # Errors
    /// If a tensor that the program uses is not in the state, or has another shape or element type there, or the device of
    /// the state does not give the memory.
    pub fn workspace(&self, state: &State) -> Result<Workspace> {
        let mut offsets = Vec::with_capacity(self.states.len());
        for wanted in &self.states {
            let Some(slot) = state.position(&wanted.key) else {
                return Err(Error::value(format!(
                    "the program uses `{}` {:?}, which is not in the state; make the state from the slots of all its programs",
                    wanted.key, wanted.dims
                )));
            };
            let found = &state.slots()[slot];
            if (&found.dims, found.dtype) != (&wanted.dims, wanted.dtype) {
                return Err(Error::value(format!(
                    "`{}` is {:?}{:?} in the program and {:?}{:?} in the state",
                    wanted.key, wanted.dtype, wanted.dims, found.dtype, found.dims
                )));
            }
            offsets.push(state.layout.offsets[slot]);
        }
        Ok(Workspace {
            engine: Engine::new(state.device(), self, offsets)?,
            layout: Arc::clone(&state.layout),
            program: Arc::clone(&self.identity),
        })
    }
}

impl Workspace {
    /// The bytes of its memory: intermediate values at their peak, and what the kernels use while they run.
    pub fn bytes(&self) -> usize {
        self.engine.bytes()
    }
}
