//! Lays out a loop: its body is a schedule of its own, over memory that the loop's launch holds as one buffer.
//!
//! Carries and stacks are to the body what tensors of the state are to a program: a step updates them, in place where
//! that is legal. So a carry lies where the loop's result lies, and each step writes its position of a stack itself.

use super::homes::{Homes, Place};
use super::{BufferId, Schedule, fuse};
use crate::compile::memory::{self, Layout};
use crate::graph::{Graph, Loop, NodeId, Op, StateKind, StateSlot};
use std::sync::Arc;

/// The body of a loop, laid out. Its input 0 is the number of the step, the others are slices and captures; its states
/// are the carries, then the stacks.
#[derive(Clone, Debug)]
pub(in crate::compile) struct Nest {
    pub count: usize,
    pub reverse: bool,
    pub carries: usize,
    pub slices: usize,
    pub schedule: Schedule,
    pub layout: Layout,
    /// The bytes of one step's position of each carry and slice.
    pub inputs: Vec<usize>,
    /// The bytes of each carry, and of one step's position of each stack.
    pub results: Vec<usize>,
}

/// A loop among the operands of its launch.
#[derive(Clone, Debug)]
pub(in crate::compile) struct Repeat {
    pub nest: Arc<Nest>,
    /// Where carries, stacked operands and captures begin.
    pub inputs: Vec<Piece>,
    /// Which operands are the last carries and the stacks.
    pub results: Vec<usize>,
    /// Which operand is the memory of the body.
    pub memory: usize,
}

/// A place in an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub operand: usize,
    /// In bytes.
    pub offset: usize,
}

/// The number of the step lies behind what the body computes.
const COUNTER: usize = 64;

impl Nest {
    /// Lays out the body of a loop.
    pub fn new(nest: &Loop) -> Self {
        let bytes = |dims: &[usize], dtype: crate::graph::DType| dims.iter().product::<usize>() * dtype.size();
        let mut body = nest.body.clone();
        let outputs = std::mem::take(&mut body.outputs);
        for node in &mut body.nodes {
            if let Op::Input(slot @ 1..) = node.op
                && slot <= nest.carries
            {
                node.op = Op::State(slot - 1);
            }
        }
        for (name, value) in &outputs {
            let node = &body[*value];
            let (dims, dtype) = (node.dims.clone(), node.dtype);
            body.states.push(StateSlot {
                key: name.clone(),
                kind: StateKind::Session,
                dims,
                dtype,
                update: Some(*value),
            });
        }
        let schedule = fuse(&body);
        let layout = memory::layout(&schedule);
        Nest {
            count: nest.count,
            reverse: nest.reverse,
            carries: nest.carries,
            slices: nest.slices,
            inputs: body.inputs[1..].iter().map(|slot| bytes(&slot.dims, slot.dtype)).collect(),
            results: body.states.iter().map(|slot| bytes(&slot.dims, slot.dtype)).collect(),
            schedule,
            layout,
        }
    }

    /// The memory that the body needs beside carries, stacks and what it reads.
    pub fn bytes(&self) -> usize {
        self.counter() + COUNTER
    }

    /// Where in that memory the number of the step is.
    pub fn counter(&self) -> usize {
        self.layout.bytes.next_multiple_of(COUNTER)
    }
}

impl Repeat {
    /// Whether result `target` may lie where `source` is: it is the carry that begins as `source`, of which nothing else
    /// is read after the loop has begun.
    pub fn replaces(&self, source: usize, target: usize) -> bool {
        let carries = self.nest.carries;
        let begins = |i: usize| self.inputs[i] == Piece { operand: source, offset: 0 };
        (0..carries).any(|i| self.results[i] == target && begins(i))
            && self.inputs[carries..].iter().all(|piece| piece.operand != source)
    }
}

/// The launch of a `Loop` node, and the buffers that it names.
///
/// # Errors
/// The operand that has to be kept in memory first.
pub(super) fn repeat(graph: &Graph, homes: &Homes, id: NodeId) -> Result<(Repeat, Vec<BufferId>), NodeId> {
    let home = &homes.loops[&id];
    let mut operands: Vec<BufferId> = Vec::new();
    let mut number = |buffer: BufferId| {
        operands.iter().position(|&known| known == buffer).unwrap_or_else(|| {
            operands.push(buffer);
            operands.len() - 1
        })
    };
    let memory = number(home.memory);
    let results: Vec<usize> = home.results.iter().map(|&buffer| number(buffer)).collect();
    let mut inputs = Vec::with_capacity(graph[id].inputs.len());
    for &x in &graph[id].inputs {
        let node = &graph[x];
        if node.is_empty() {
            inputs.push(Piece { operand: memory, offset: 0 });
            continue;
        }
        let dense = |place: &&Place| place.dense(&node.dims);
        let place = homes.place[x.index()].as_ref().filter(dense).ok_or(x)?;
        inputs.push(Piece { operand: number(place.buffer), offset: place.offset * node.dtype.size() });
    }
    Ok((Repeat { nest: Arc::clone(&home.nest), inputs, results, memory }, operands))
}
