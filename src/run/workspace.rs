//! What a run needs beside state and inputs, made once.

use super::State;
use super::arena::Arena;
use super::state::StateLayout;
use crate::compile::{Inner, Launch, Place, Plan, Program, Step};
use crate::kernel::cpu::{Operand, Real, Scratch, parallel};
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// Memory for the intermediate values of one program, and the addresses of all its operands.
#[derive(Debug)]
pub struct Workspace {
    pub(super) arena: Arena,
    pub(super) scratch: Kept,
    /// The addresses of `Program::slots`, and those within loops.
    pub(super) frame: Frame,
    /// Operands that are inputs: position and input.
    pub(super) inputs: Vec<(usize, usize)>,
    /// Operands that are state: position and byte in the arena of the state.
    pub(super) states: Vec<(usize, usize)>,
    /// The state whose addresses are in `operands`.
    pub(super) bound: *mut u8,
    pub(super) layout: Arc<StateLayout>,
    /// Which program this is for.
    pub(super) program: Arc<()>,
    pub(super) threads: usize,
}

/// The addresses of all operands of a list of launches.
#[derive(Debug)]
pub(super) struct Frame {
    pub operands: Vec<Operand>,
    /// The same for each loop among the launches, in order, with its number.
    pub loops: Vec<(usize, Frame)>,
    /// How many launches there are.
    pub launches: usize,
    /// What each launch has taken, while someone measures.
    pub times: Vec<Duration>,
}

impl Frame {
    fn new<T: Real>(operands: Vec<Operand>, steps: &[Step<T>]) -> Self {
        let inner = |(i, step): (usize, &Step<T>)| match &step.launch {
            Launch::Loop(nest) => {
                let unbound = |slot: &Inner| Operand { pointer: std::ptr::null_mut(), len: slot.len };
                Some((i, Frame::new(nest.slots.iter().map(unbound).collect(), &nest.steps)))
            }
            _ => None,
        };
        let loops = steps.iter().enumerate().filter_map(inner).collect();
        Frame { operands, loops, launches: steps.len(), times: Vec::new() }
    }
}

/// Scratch memory has nothing to show.
pub(super) struct Kept(pub Scratch);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

// SAFETY: the addresses are of its own arena, or are replaced before they are used.
unsafe impl Send for Workspace {}
// SAFETY: a shared workspace only shows its outputs.
unsafe impl Sync for Workspace {}

impl Program {
    /// Memory to run this program in, on states like `state`.
    ///
    /// # Errors
    /// If a tensor that the program uses is not in the state, or has another shape or element type there.
    pub fn workspace(&self, state: &State) -> Result<Workspace> {
        let mut binding = Vec::with_capacity(self.states.len());
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
            binding.push(state.layout.offsets[slot]);
        }
        let arena = Arena::new(self.arena_bytes);
        let mut operands = Vec::with_capacity(self.slots.len());
        let mut workspace = Workspace {
            scratch: Kept(Scratch::new()),
            frame: Frame::new::<f32>(Vec::new(), &[]),
            inputs: Vec::new(),
            states: Vec::new(),
            bound: std::ptr::null_mut(),
            layout: Arc::clone(&state.layout),
            program: Arc::clone(&self.identity),
            threads: if self.divides { parallel::threads() } else { 1 },
            arena,
        };
        for (position, slot) in self.slots.iter().enumerate() {
            let pointer = match slot.place {
                Place::Input(i) => {
                    workspace.inputs.push((position, i));
                    std::ptr::null_mut()
                }
                Place::State(i) => {
                    workspace.states.push((position, binding[i]));
                    std::ptr::null_mut()
                }
                Place::Arena(offset) => workspace.arena.pointer().wrapping_add(offset),
            };
            operands.push(Operand { pointer, len: slot.len });
        }
        workspace.frame = match &self.plan {
            Plan::F32(steps) => Frame::new(operands, steps),
            Plan::F64(steps) => Frame::new(operands, steps),
        };
        workspace.scratch.0.reserve(match &self.plan {
            Plan::F32(steps) => scratch_bytes(steps, workspace.threads),
            Plan::F64(steps) => scratch_bytes(steps, workspace.threads),
        });
        Ok(workspace)
    }
}

impl Workspace {
    /// The bytes of its memory: intermediate values at their peak, and what the kernels use while they run.
    pub fn bytes(&self) -> usize {
        self.arena.bytes() + self.scratch.0.bytes()
    }
}

fn scratch_bytes<T: Real>(steps: &[Step<T>], threads: usize) -> usize {
    let bytes = |step: &Step<T>| match &step.launch {
        Launch::Fused(kernel) => kernel.scratch_bytes(threads),
        Launch::Products(gemms) => gemms.iter().map(|g| g.scratch_bytes::<T>(threads)).max().unwrap_or(0),
        Launch::Chain(chain) => chain.scratch_bytes(threads),
        Launch::Pooling(pooling) => pooling.scratch_bytes::<T>(threads),
        Launch::Convolution(work) => work.scratch_bytes::<T>(threads),
        Launch::Loop(nest) => scratch_bytes(&nest.steps, threads),
        Launch::Attention(work) => work.scratch_bytes::<T>(threads),
        Launch::Lookup(_) | Launch::FoldIn(_) | Launch::Call(_) => 0,
    };
    steps.iter().map(bytes).max().unwrap_or(0)
}
