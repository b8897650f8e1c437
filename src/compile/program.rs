//! The program: every launch prepared, every operand resolved to an offset. Room `run` executes it.

use super::fuse::{BufferId, Home, Schedule, Work};
use super::memory::Layout;
use crate::graph::{DType, Graph, InputSlot, StateSlot};
use crate::kernel::cpu::{Gemm, Prepared, Real};
use crate::kernel::tiled::{Source, Tiled};
use crate::{Error, Result};
use std::fmt;
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
    listing: Vec<Line>,
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

#[derive(Debug)]
struct Line {
    tiled: Result<Tiled, Vec<Gemm>>,
    operands: Vec<String>,
    bytes: usize,
}

impl Program {
    pub(super) fn new(graph: &Graph, dtype: DType, schedule: Schedule, layout: Layout) -> Self {
        let place = |buffer: BufferId| match schedule.buffers[buffer].home {
            Home::Input(i) => Place::Input(i),
            Home::State(i) => Place::State(i),
            // Only an empty buffer is in no launch.
            Home::Arena => Place::Arena(layout.offsets[buffer].unwrap_or(0)),
        };
        let outputs = graph.outputs.iter().zip(&schedule.outputs).map(|((name, id), &buffer)| Output {
            name: name.clone(),
            dims: graph[*id].dims.clone(),
            dtype: graph[*id].dtype,
            offset: layout.offsets[buffer].unwrap_or(0),
        });
        let outputs = outputs.collect();

        let mut slots: Vec<Slot> = Vec::new();
        let mut listing = Vec::new();
        let mut works = Vec::new();
        for step in &schedule.steps {
            // Buffers that share memory are one operand.
            let mut own: Vec<Slot> = Vec::new();
            let mut names: Vec<String> = Vec::new();
            let mut number = Vec::new();
            for &buffer in &step.operands {
                let slot = Slot { place: place(buffer), len: schedule.buffers[buffer].len };
                number.push(own.iter().position(|known| *known == slot).unwrap_or_else(|| {
                    names.push(name(graph, slot.place));
                    own.push(slot);
                    own.len() - 1
                }));
            }
            let bytes = |&buffer: &BufferId| schedule.buffers[buffer].len * schedule.buffers[buffer].dtype.size();
            let work = renumbered(&step.work, &number);
            listing.push(Line {
                tiled: match &work {
                    Work::Fused(tiled) => Ok(tiled.clone()),
                    Work::Products(gemms) => Err(gemms.clone()),
                },
                operands: names,
                bytes: step.operands.iter().map(bytes).sum(),
            });
            let first = slots.len();
            slots.extend(own);
            works.push((work, first..slots.len()));
        }
        let divides = schedule.steps.iter().any(|step| work(&step.work) >= WORTH_DIVIDING);
        let plan = match dtype {
            DType::F64 => Plan::F64(steps(works)),
            _ => Plan::F32(steps(works)),
        };
        let (inputs, states) = (graph.inputs.clone(), graph.states.clone());
        Program {
            inputs,
            states,
            outputs,
            plan,
            slots,
            arena_bytes: layout.bytes,
            divides,
            identity: Arc::new(()),
            listing,
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
        self.listing.len()
    }
}

/// The one float type of a graph; `f32` if it has none.
pub(super) fn float_type(graph: &Graph) -> Result<DType> {
    let has = |dtype| graph.nodes().any(|(_, node)| node.dtype == dtype);
    match (has(DType::F32), has(DType::F64)) {
        (true, true) => Err(Error::shape(
            "compile",
            "the graph mixes f32 and f64 numbers; a program computes in one of them, so declare all parts with the same",
        )),
        (false, true) => Ok(DType::F64),
        _ => Ok(DType::F32),
    }
}

/// Below this work a launch stays on one thread.
const WORTH_DIVIDING: usize = 1 << 20;

/// Multiply-adds of a product; for a fused kernel as many as take the same time.
fn work(work: &Work) -> usize {
    match work {
        Work::Fused(tiled) => {
            let rows = tiled.sources.len() + tiled.rows.len() + tiled.stores.len() + tiled.accumulations.len();
            tiled.dims.iter().product::<usize>() * rows * 8
        }
        Work::Products(gemms) => gemms.iter().map(|gemm| gemm.batch * gemm.m * gemm.n * gemm.k).sum(),
    }
}

fn steps<T: Real>(works: Vec<(Work, Range<usize>)>) -> Vec<Step<T>> {
    let prepare = |(work, operands)| {
        let launch = match work {
            Work::Fused(tiled) => Launch::Fused(Box::new(Prepared::new(&tiled))),
            Work::Products(gemms) => Launch::Products(gemms),
        };
        Step { launch, operands }
    };
    works.into_iter().map(prepare).collect()
}

/// The work with operand `i` called `number[i]`.
fn renumbered(work: &Work, number: &[usize]) -> Work {
    let mut work = work.clone();
    match &mut work {
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
    }
    work
}

fn name(graph: &Graph, place: Place) -> String {
    match place {
        Place::Input(i) => format!("input {}", graph.inputs[i].name),
        Place::State(i) => format!("state {}", graph.states[i].key),
        Place::Arena(offset) => format!("@{offset}"),
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, bytes) = (self.listing.len(), self.arena_bytes);
        writeln!(f, "{:?} program: {count} launches, {bytes} bytes of workspace", self.dtype)?;
        for (i, line) in self.listing.iter().enumerate() {
            match &line.tiled {
                Ok(tiled) => fused(f, i, tiled, &line.operands)?,
                Err(gemms) => {
                    for gemm in gemms {
                        let [a, b, c] = [&gemm.a, &gemm.b, &gemm.c].map(|view| &line.operands[view.operand]);
                        let (batch, m, n, k) = (gemm.batch, gemm.m, gemm.n, gemm.k);
                        writeln!(f, "{i:4}  product {batch} × [{m}, {k}]·[{k}, {n}]  {a} · {b} → {c}")?;
                    }
                }
            }
            writeln!(f, "        {} bytes of operands", line.bytes)?;
        }
        for output in &self.outputs {
            writeln!(f, "output {} : {:?}{:?} @{}", output.name, output.dtype, output.dims, output.offset)?;
        }
        Ok(())
    }
}

fn fused(f: &mut fmt::Formatter<'_>, i: usize, tiled: &Tiled, operands: &[String]) -> fmt::Result {
    write!(f, "{i:4}  fused {:?}", tiled.dims)?;
    if tiled.reduced.contains(&true) {
        let axes: Vec<usize> = (0..tiled.dims.len()).filter(|&axis| tiled.reduced[axis]).collect();
        write!(f, " over {axes:?}")?;
    }
    writeln!(f)?;
    for (register, source) in tiled.sources.iter().enumerate() {
        match source {
            Source::Load(view) => {
                let (operand, offset) = (&operands[view.operand], view.offset);
                writeln!(f, "        r{register} = {operand} + {offset} by {:?}", view.strides)?;
            }
            Source::Constant(value) => writeln!(f, "        r{register} = {value}")?,
            Source::Position { strides, offset } => {
                writeln!(f, "        r{register} = position {offset} by {strides:?}")?
            }
            Source::Random { normal, path, .. } => {
                let distribution = if *normal { "normal" } else { "uniform" };
                writeln!(f, "        r{register} = {distribution} {path:016x}")?;
            }
        }
    }
    for (j, row) in tiled.rows.iter().enumerate() {
        let [a, b, c] = row.args;
        writeln!(f, "        r{} = {:?} r{a} r{b} r{c}", tiled.sources.len() + j, row.code)?;
    }
    for store in &tiled.stores {
        let (operand, offset) = (&operands[store.view.operand], store.view.offset);
        writeln!(f, "        {operand} + {offset} by {:?} ← r{}", store.view.strides, store.register)?;
    }
    for accumulation in &tiled.accumulations {
        let (operand, offset) = (&operands[accumulation.view.operand], accumulation.view.offset);
        let (fold, register, strides) = (accumulation.fold, accumulation.register, &accumulation.view.strides);
        writeln!(f, "        {operand} + {offset} by {strides:?} ← {fold:?} r{register}")?;
    }
    Ok(())
}
