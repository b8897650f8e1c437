//! Lays out what is a launch of its own. A loop's body is a schedule of its own, over memory that the loop's launch holds as one buffer.
//!
//! Carries and stacks are to the body what tensors of the state are to a program: a step updates them, in place where
//! that is legal. So a carry lies where the loop's result lies, and each step writes its position of a stack itself.

use super::fuse;
use super::homes::{Body, Homes};
use crate::compile::memory;
use crate::graph::{DType, Graph, Loop, NodeId, Op, StateKind, StateSlot};
use crate::kernel::limits::Limits;
use crate::kernel::nest::{Moving, Nest};
use crate::kernel::schedule::BufferId;
use crate::kernel::view::View;
use crate::kernel::work::Work;
use crate::ops::{Kind, Operands};
use std::sync::Arc;

/// Lays out the body of a loop.
pub(super) fn body(nest: &Loop, limits: &Limits) -> Body {
    let mut graph = nest.body.clone();
    let outputs = std::mem::take(&mut graph.outputs);
    for node in &mut graph.nodes {
        if let Op::Input(slot @ 1..) = node.op {
            let carry = slot <= nest.carries;
            node.op = if carry { Op::State(slot - 1) } else { Op::Input(slot - nest.carries) };
        }
    }
    graph.inputs.drain(1..=nest.carries);
    for (name, value) in &outputs {
        let node = &graph[*value];
        let (dims, dtype) = (node.dims.clone(), node.dtype);
        graph.states.push(StateSlot { key: name.clone(), kind: StateKind::Session, dims, dtype, update: Some(*value) });
    }
    let mut schedule = fuse(&graph, limits);
    memory::lay_out(&mut schedule, limits);
    let part = |dims: &[usize], dtype: DType| (dims.iter().product(), dtype);
    Body {
        schedule: Arc::new(schedule),
        inputs: graph.inputs[1..].iter().map(|slot| part(&slot.dims, slot.dtype)).collect(),
        states: graph.states.iter().map(|slot| part(&slot.dims, slot.dtype)).collect(),
    }
}

/// The work of a node that is a launch of its own, and the buffers that it names.
///
/// # Errors
/// The operand that has to be kept in memory first.
pub(super) fn alone(graph: &Graph, homes: &Homes, id: NodeId) -> Result<(Work, Vec<BufferId>), NodeId> {
    let mut operands = homes.operands();
    let work = match graph[id].op.kind() {
        Kind::Alone(launch) => launch(graph, id, &mut operands)?,
        Kind::Loop(nest) => Work::Loop(repeat(graph, nest, homes, id, &mut operands)?),
        _ => return Err(id),
    };
    Ok((work, operands.buffers))
}

fn repeat(graph: &Graph, nest: &Loop, homes: &Homes, id: NodeId, operands: &mut Operands<'_>) -> Result<Nest, NodeId> {
    let home = &homes.loops[&id];
    let moving = |operand: usize, offset: usize, step: usize, (len, element): (usize, DType)| Moving {
        view: View { operand, offset, strides: vec![step as isize, 1], element },
        len,
    };
    let memory = View::dense(operands.number(home.memory), 0, DType::Bool);
    let counter = operands.number(home.counter);
    let results = home.results.iter().zip(&home.body.states).enumerate();
    let states = results.map(|(i, (&buffer, &part))| {
        moving(operands.number(buffer), 0, if i < nest.carries { 0 } else { part.0 }, part)
    });
    let states = states.collect();
    let mut placed = |x: NodeId| match graph[x].is_empty() {
        true => Ok(View::dense(memory.operand, 0, graph[x].dtype)),
        false => operands.dense(graph, x),
    };
    let (carries, others) = graph[id].inputs.split_at(nest.carries);
    let begins = carries.iter().map(|&x| placed(x)).collect::<Result<_, _>>()?;
    let mut inputs = vec![moving(counter, 0, 0, (1, DType::Index))];
    for (i, (&x, &part)) in others.iter().zip(&home.body.inputs).enumerate() {
        let View { operand, offset, .. } = placed(x)?;
        inputs.push(moving(operand, offset, if i < nest.slices { part.0 } else { 0 }, part));
    }
    let (count, reverse, body) = (nest.count, nest.reverse, Arc::clone(&home.body.schedule));
    Ok(Nest { count, reverse, body, inputs, states, begins, memory })
}
