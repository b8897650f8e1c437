//! The program: every launch prepared, every operand resolved to an offset. Room `run` executes it.

use super::fuse::{self, Home, Piece, Repeat, Schedule, Work};
use super::listing::{self, Line};
use super::memory::Layout;
use crate::graph::{DType, Graph, InputSlot, Op, StateSlot};
use crate::kernel::call::Call;
use crate::kernel::conv::Convolution;
use crate::kernel::cpu::{Attention, Gemm, Lookup, Prepared, PreparedChain, Real};
use crate::kernel::pool::Pooling;
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// A compiled graph: `(state, inputs) → (state, outputs)`. Many workspaces can share one program.
#[derive(Debug)]
pub struct Program {
    pub(crate) inputs: Vec<InputSlot>,
    pub(crate) states: Vec<StateSlot>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) plan: Plan,
    /// What the views of the launches name, launch after launch.
    pub(crate) slots: Vec<Slot>,
    /// The size of the arena that a workspace has.
    pub(crate) arena_bytes: usize,
    /// Whether a launch has enough work for several threads; small programs lose more by waking one than they gain.
    pub(crate) divides: bool,
    /// What the workspaces of this program hold as well, to be told from those of others.
    pub(crate) identity: Arc<()>,
    /// What each launch does, for reading.
    pub(super) listing: Vec<Line>,
    launches: usize,
    dtype: DType,
}

/// A result of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name in the declaration.
    pub name: String,
    /// The size of each axis.
    pub dims: Vec<usize>,
    /// The element type.
    pub dtype: DType,
    /// The first byte in the arena.
    pub(crate) offset: usize,
}

/// Launches of one float type, in order.
#[derive(Debug)]
pub(crate) enum Plan {
    F32(Vec<Step<f32>>),
    F64(Vec<Step<f64>>),
}

/// One launch and its operands, a range of `Program::slots`.
#[derive(Debug)]
pub(crate) struct Step<T: Real> {
    pub launch: Launch<T>,
    pub operands: Range<usize>,
}

/// What is launched.
#[derive(Debug)]
pub(crate) enum Launch<T: Real> {
    /// A fused kernel.
    Fused(Box<Prepared<T>>),
    /// Matrix products, one after the other.
    Products(Vec<Gemm>),
    /// Attention or its derivative.
    Attention(Box<Attention>),
    /// Rows by their indices.
    Lookup(Lookup),
    /// Fused kernels, slab after slab.
    Chain(Box<PreparedChain<T>>),
    /// Windows over planes.
    Pooling(Box<Pooling>),
    /// A convolution or one of its derivatives.
    Convolution(Box<Convolution>),
    /// A loop.
    Loop(Box<Nest<T>>),
    /// A key for random draws: which operands are the key, the number folded in, and the new key.
    FoldIn([usize; 3]),
    /// A function from outside of the library.
    Call(Box<Call>),
}

/// Where an operand begins and how many elements it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub place: Place,
    pub len: usize,
}

/// Which memory an operand is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The i-th input.
    Input(usize),
    /// The i-th tensor of the program's state.
    State(usize),
    /// The arena of the workspace, from this byte.
    Arena(usize),
}

/// A loop over launches of its own.
#[derive(Debug)]
pub(crate) struct Nest<T: Real> {
    pub count: usize,
    /// Whether the last step runs first.
    pub reverse: bool,
    /// What each step launches.
    pub steps: Vec<Step<T>>,
    /// What the views of the launches name.
    pub slots: Vec<Inner>,
    /// Slots that move on with each step, and by how many bytes.
    pub moving: Vec<(usize, usize)>,
    /// What the carries begin with.
    pub carries: Vec<Carry>,
    /// Where the number of the step is, as one `u32`.
    pub counter: Piece,
}

/// An operand within a loop: where it begins in the operands of the loop, and how many elements it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    pub piece: Piece,
    pub len: usize,
}

/// The first value of a carry, to be copied to the operand `to` unless it lies there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carry {
    pub from: Piece,
    pub to: usize,
    pub bytes: usize,
}

impl Program {
    pub(super) fn new(graph: &Graph, dtype: DType, schedule: Schedule, layout: Layout) -> Self {
        let outputs = graph.outputs.iter().zip(&schedule.outputs).map(|((name, id), &buffer)| Output {
            name: name.clone(),
            dims: graph[*id].dims.clone(),
            dtype: graph[*id].dtype,
            offset: layout.offsets[buffer].unwrap_or(0),
        });
        let outputs = outputs.collect();
        let name = |place: Place| match place {
            Place::Input(i) => format!("input {}", graph.inputs[i].name),
            Place::State(i) => format!("state {}", graph.states[i].key),
            Place::Arena(offset) => format!("@{offset}"),
        };
        let listing = listing::lines(&schedule, &layout, &name);
        let launches = listing::launches(&schedule);
        let divides = divides(&schedule);
        let (plan, slots) = match dtype {
            DType::F64 => {
                let (steps, slots) = steps(&schedule, &layout);
                (Plan::F64(steps), slots)
            }
            _ => {
                let (steps, slots) = steps(&schedule, &layout);
                (Plan::F32(steps), slots)
            }
        };
        Program {
            inputs: graph.inputs.clone(),
            states: graph.states.clone(),
            outputs,
            plan,
            slots,
            arena_bytes: layout.bytes,
            divides,
            identity: Arc::new(()),
            listing,
            launches,
            dtype,
        }
    }

    /// The tensors given to each run.
    pub fn inputs(&self) -> &[InputSlot] {
        &self.inputs
    }

    /// The tensors of the state that the program reads or updates.
    pub fn states(&self) -> &[StateSlot] {
        &self.states
    }

    /// The results.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The type of its real numbers.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The bytes of intermediate values that are alive at once, at their peak: the arena of a workspace.
    pub fn workspace_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// How many kernels and matrix products a run launches.
    pub fn launches(&self) -> usize {
        self.launches
    }
}

/// The one float type of a graph; `f32` if it has none.
pub(super) fn float_type(graph: &Graph) -> Result<DType> {
    match (has(graph, DType::F32), has(graph, DType::F64)) {
        (true, true) => Err(Error::shape(
            "compile",
            "the graph mixes f32 and f64 numbers; a program computes in one of them, so declare all parts with the same",
        )),
        (false, true) => Ok(DType::F64),
        _ => Ok(DType::F32),
    }
}

fn has(graph: &Graph, dtype: DType) -> bool {
    graph.nodes().any(|(_, node)| match &node.op {
        Op::Loop(nest) => node.dtype == dtype || has(&nest.body, dtype),
        _ => node.dtype == dtype,
    })
}

/// Below this work a launch stays on one thread.
const WORTH_DIVIDING: usize = 1 << 20;

fn divides(schedule: &Schedule) -> bool {
    schedule.steps.iter().any(|step| match &step.work {
        Work::Fused(tiled) => {
            // As many multiply-adds as take the same time.
            let rows = tiled.sources.len() + tiled.rows.len() + tiled.stores.len() + tiled.accumulations.len();
            tiled.dims.iter().product::<usize>() * rows * 8 >= WORTH_DIVIDING
        }
        Work::Products(gemms) => gemms.iter().any(|gemm| gemm.threads(2) > 1),
        // Only what does not fit in the cache is chained.
        Work::Chain(_) => true,
        Work::Pooling(pooling) => pooling.threads(2) > 1,
        Work::Convolution(work) => work.threads(2) > 1,
        Work::Loop(repeat) => divides(&repeat.nest.schedule),
        Work::Attention(work) => work.threads(2) > 1,
        Work::Lookup(lookup) => lookup.threads(2) > 1,
        Work::FoldIn(_) | Work::Call(_) => false,
    })
}

/// The launches of a schedule, prepared, and what their operands are.
fn steps<T: Real>(schedule: &Schedule, layout: &Layout) -> (Vec<Step<T>>, Vec<Slot>) {
    let mut slots: Vec<Slot> = Vec::new();
    let mut steps = Vec::with_capacity(schedule.steps.len());
    for step in &schedule.steps {
        let (own, work) = resolved(schedule, layout, step);
        let launch = match work {
            Work::Fused(tiled) => Launch::Fused(Box::new(Prepared::new(&tiled))),
            Work::Products(gemms) => Launch::Products(gemms),
            Work::Chain(chain) => Launch::Chain(Box::new(PreparedChain::new(&chain))),
            Work::Pooling(pooling) => Launch::Pooling(Box::new(pooling)),
            Work::Convolution(work) => Launch::Convolution(work),
            Work::Loop(repeat) => Launch::Loop(Box::new(nest(&repeat))),
            Work::Attention(work) => Launch::Attention(work),
            Work::Lookup(lookup) => Launch::Lookup(lookup),
            Work::FoldIn(operands) => Launch::FoldIn(operands),
            Work::Call(call) => Launch::Call(call),
        };
        let first = slots.len();
        slots.extend(own);
        steps.push(Step { launch, operands: first..slots.len() });
    }
    (steps, slots)
}

/// The operands of a step, and its work over them; buffers that share memory are one operand.
pub(super) fn resolved(schedule: &Schedule, layout: &Layout, step: &fuse::Step) -> (Vec<Slot>, Work) {
    let mut own: Vec<Slot> = Vec::new();
    let mut number = Vec::new();
    for &buffer in &step.operands {
        let place = match schedule.buffers[buffer].home {
            Home::Input(i) => Place::Input(i),
            Home::State(i) => Place::State(i),
            // Only an empty buffer is in no launch.
            Home::Arena => Place::Arena(layout.offsets[buffer].unwrap_or(0)),
        };
        let slot = Slot { place, len: schedule.buffers[buffer].len };
        number.push(own.iter().position(|known| *known == slot).unwrap_or_else(|| {
            own.push(slot);
            own.len() - 1
        }));
    }
    let mut work = step.work.clone();
    work.renumber(&number);
    (own, work)
}

/// A loop whose body is prepared: what the body calls input, state and arena lies in operands of the loop.
fn nest<T: Real>(repeat: &Repeat) -> Nest<T> {
    let laid_out = &repeat.nest;
    let (steps, places) = steps(&laid_out.schedule, &laid_out.layout);
    let (carries, slices) = (laid_out.carries, laid_out.slices);
    let counter = Piece { operand: repeat.memory, offset: laid_out.counter() };
    let mut moving = Vec::new();
    let mut slots = Vec::with_capacity(places.len());
    for (position, slot) in places.into_iter().enumerate() {
        let piece = match slot.place {
            Place::Input(0) => counter,
            Place::Input(i) => {
                if (carries + 1..=carries + slices).contains(&i) {
                    moving.push((position, laid_out.inputs[i - 1]));
                }
                repeat.inputs[i - 1]
            }
            Place::State(i) => {
                if i >= carries {
                    moving.push((position, laid_out.results[i]));
                }
                Piece { operand: repeat.results[i], offset: 0 }
            }
            Place::Arena(offset) => Piece { operand: repeat.memory, offset },
        };
        slots.push(Inner { piece, len: slot.len });
    }
    let begin = |i: usize| Carry { from: repeat.inputs[i], to: repeat.results[i], bytes: laid_out.results[i] };
    Nest {
        count: laid_out.count,
        reverse: laid_out.reverse,
        steps,
        slots,
        moving,
        carries: (0..carries).map(begin).collect(),
        counter,
    }
}
