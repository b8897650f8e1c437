//! Turns a graph into launches: fused kernels and matrix products, in the order in which they run.
//!
//! - `homes` decides which nodes are kept in memory; all others are computed where they are used.
//! - `kernel` builds one fused kernel from the nodes it stores, folding views into the strides of its loads.
//! - `product` lays out one matrix product, `lookup` rows by their indices, `nest` one loop, whose body is a schedule of its own; each is launched `alone`.
//! - `group` joins stores and reductions over one iteration space into one kernel.
//! - `order` puts updates of the state in place where that is legal, and all launches in order.
//! - `chain` lets kernels that agree on an axis run slab after slab.

mod affine;
mod homes;
mod kernel;
mod product;
mod lookup;
mod attention;
mod nest;
mod alone;
mod group;
mod order;
mod chain;

pub(crate) use nest::Piece;
pub(super) use nest::{Nest, Repeat};

use crate::graph::{DType, Graph, Node, NodeId, Op};
use crate::kernel::call::Call;
use crate::kernel::chain::Chain;
use crate::kernel::conv::Convolution;
use crate::kernel::cpu::{Attention, Gemm, Lookup};
use crate::kernel::pool::Pooling;
use crate::kernel::tiled::{Source, Tiled, View};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The number of a buffer within a schedule.
pub(super) type BufferId = usize;

/// A contiguous tensor in memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Buffer {
    /// The number of elements.
    pub len: usize,
    /// Their type.
    pub dtype: DType,
    /// What memory it is in.
    pub home: Home,
}

/// What memory a buffer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// The i-th input of the run.
    Input(usize),
    /// The i-th tensor of the state.
    State(usize),
    /// The arena of the workspace.
    Arena,
}

/// One step of a run.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What runs.
    pub work: Work,
    /// The buffers that the views of the work name.
    pub operands: Vec<BufferId>,
    /// Which of them are written.
    pub writes: Vec<BufferId>,
}

impl Step {
    /// Whether `target` may lie where `source` is: the step reads `source` only at the very element of `target` that it
    /// writes.
    pub fn replaces(&self, source: BufferId, target: BufferId) -> bool {
        let tiled = match &self.work {
            Work::Fused(tiled) => tiled,
            Work::Loop(repeat) => {
                let number = |buffer| self.operands.iter().position(|&known| known == buffer);
                return matches!((number(source), number(target)), (Some(s), Some(t)) if repeat.replaces(s, t));
            }
            Work::Chain(chain) => {
                let number = |buffer| self.operands.iter().position(|&known| known == buffer);
                return matches!((number(source), number(target)), (Some(s), Some(t)) if chain::replaces(chain, s, t));
            }
            Work::Lookup(lookup) => {
                let number = |buffer| self.operands.iter().position(|&known| known == buffer);
                return matches!((number(source), number(target)), (Some(s), Some(t)) if lookup.replaces(s, t));
            }
            _ => return false,
        };
        let mut stores = tiled.stores.iter().filter(|store| self.operands[store.view.operand] == target);
        let (Some(store), None) = (stores.next(), stores.next()) else { return false };
        let accumulated = tiled.accumulations.iter().any(|other| self.operands[other.view.operand] == target);
        let same = |load: &View| {
            let View { offset, strides, cell, .. } = &store.view;
            (load.offset, &load.strides, load.cell) == (*offset, strides, *cell)
        };
        !accumulated
            && tiled.sources.iter().all(|other| match other {
                Source::Load(view) => self.operands[view.operand] != source || same(view),
                Source::Random { key, .. } => self.operands[*key] != source,
                Source::Constant(_) | Source::Position { .. } => true,
            })
    }
}

/// What a step does.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// A fused kernel.
    Fused(Tiled),
    /// Matrix products, one after the other.
    Products(Vec<Gemm>),
    /// Attention or its derivative.
    Attention(Box<Attention>),
    /// Rows by their indices.
    Lookup(Lookup),
    /// Fused kernels, slab after slab.
    Chain(Chain),
    /// Windows over planes.
    Pooling(Pooling),
    /// A convolution or one of its derivatives.
    Convolution(Box<Convolution>),
    /// The steps of a loop, one after the other.
    Loop(Repeat),
    /// A key for random draws: which operands are the key, the number folded in, and the new key.
    FoldIn([usize; 3]),
    /// A function from outside of the library.
    Call(Box<Call>),
}

impl Work {
    /// Calls operand `i` by the name `number[i]`.
    pub fn renumber(&mut self, number: &[usize]) {
        match self {
            Work::Fused(tiled) => {
                for source in &mut tiled.sources {
                    match source {
                        Source::Load(view) => view.operand = number[view.operand],
                        Source::Random { key, .. } => *key = number[*key],
                        Source::Constant(_) | Source::Position { .. } => {}
                    }
                }
                let stores = tiled.stores.iter_mut().map(|store| &mut store.view);
                for view in stores.chain(tiled.accumulations.iter_mut().map(|accumulation| &mut accumulation.view)) {
                    view.operand = number[view.operand];
                }
            }
            Work::Products(gemms) => {
                for gemm in gemms {
                    for view in [&mut gemm.a, &mut gemm.b, &mut gemm.c] {
                        view.operand = number[view.operand];
                    }
                }
            }
            Work::Chain(chain) => {
                let operands = chain.links.iter_mut().flat_map(|link| &mut link.operands);
                operands.for_each(|moving| moving.operand = number[moving.operand]);
            }
            Work::Pooling(Pooling { x, positions, y, .. }) => {
                [x, y].into_iter().chain(positions).for_each(|span| span.operand = number[span.operand]);
            }
            Work::Convolution(work) => {
                let spans = work.operands.iter_mut().chain([&mut work.result]);
                spans.for_each(|span| span.operand = number[span.operand]);
            }
            Work::Loop(repeat) => {
                repeat.inputs.iter_mut().for_each(|piece| piece.operand = number[piece.operand]);
                let own = repeat.results.iter_mut().chain([&mut repeat.memory]);
                own.for_each(|operand| *operand = number[*operand]);
            }
            Work::Attention(work) => work.views_mut().for_each(|view| view.operand = number[view.operand]),
            Work::Lookup(lookup) => lookup.pieces_mut().for_each(|piece| piece.operand = number[piece.operand]),
            Work::FoldIn(operands) => operands.iter_mut().for_each(|operand| *operand = number[*operand]),
            Work::Call(call) => {
                let spans = call.operands.iter_mut().map(|(span, _)| span).chain([&mut call.result]);
                spans.for_each(|span| span.operand = number[span.operand]);
            }
        }
    }
}

/// All steps of a run, in order, and the buffers they touch.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub steps: Vec<Step>,
    pub buffers: Vec<Buffer>,
    /// The buffer of each output.
    pub outputs: Vec<BufferId>,
}

/// The launches that compute the outputs and updates of `graph`.
pub(super) fn fuse(graph: &Graph) -> Schedule {
    let graph = lower(graph);
    let mut nests = HashMap::new();
    for (id, node) in graph.nodes() {
        if let Op::Loop(nest) = &node.op {
            nests.insert(id, Arc::new(Nest::new(nest)));
        }
    }
    let mut kept = HashSet::new();
    loop {
        match attempt(&graph, &kept, &nests) {
            Ok(schedule) => return schedule,
            // The node cannot be computed where it is used, so it is kept in memory.
            Err(node) => {
                assert!(kept.insert(node), "node {} cannot be laid out although it is kept\n{graph}", node.index())
            }
        }
    }
}

fn attempt(graph: &Graph, kept: &HashSet<NodeId>, nests: &HashMap<NodeId, Arc<Nest>>) -> Result<Schedule, NodeId> {
    let homes = homes::homes(graph, kept, nests);
    let groups = group::group(graph, &homes)?;
    let mut schedule = order::order(graph, homes, groups);
    chain::chains(&mut schedule);
    Ok(schedule)
}

/// Writes padding as what it is made of: zeros before and after the operand.
fn lower(graph: &Graph) -> Graph {
    let mut lowered = Graph { inputs: graph.inputs.clone(), states: graph.states.clone(), ..Graph::default() };
    let mut renamed: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (_, node) in graph.nodes() {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|x| renamed[x.index()]).collect();
        let Node { op, dims, dtype, .. } = node.clone();
        let Op::Pad { axis, start } = op else {
            renamed.push(lowered.push(op, inputs, dims, dtype));
            continue;
        };
        let size = lowered[inputs[0]].dims[axis];
        let mut parts = Vec::new();
        for (len, operand) in [(start, None), (size, Some(inputs[0])), (dims[axis] - start - size, None)] {
            if len > 0 {
                let mut strip = dims.clone();
                strip[axis] = len;
                parts.push(operand.unwrap_or_else(|| lowered.push(Op::Constant(0.0), vec![], strip, dtype)));
            }
        }
        renamed.push(lowered.push(Op::Concat { axis }, parts, dims, dtype));
    }
    for slot in &mut lowered.states {
        slot.update = slot.update.map(|value| renamed[value.index()]);
    }
    lowered.outputs = graph.outputs.iter().map(|(name, value)| (name.clone(), renamed[value.index()])).collect();
    lowered
}
