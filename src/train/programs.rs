//! The programs of a training: one for each mode and each choice of run-time dimensions, all over one state.

use crate::graph::{Binary, Graph, NodeId, StateKind, StateSlot};
use crate::nn::{self, Net, Slot};
use crate::optim::{self, Phase, Recipe, Recorded};
use crate::run::{Cache, Precision, Program, State, Workspace, compile_for};
use crate::tensor::{Float, Scope};
use crate::{Error, Result};
use std::fmt;

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A batch of a training, at the turn of this place.
    Train(Phase, usize),
    /// The results alone; dropout is off.
    Evaluate,
}

/// Who moves: the result that falls, and the parameters that change.
#[derive(Debug)]
pub struct Turn {
    /// The result; `None` is the loss of the net.
    pub loss: Option<&'static str>,
    /// The parameters, and all buffers.
    pub slots: Vec<Slot>,
}

impl Turn {
    /// The one turn of a training whose parameters all follow the loss.
    pub fn all(slots: &[Slot]) -> Self {
        Turn { loss: None, slots: slots.to_vec() }
    }

    /// The turn of a player: it lessens the result of its name by the parameters below its name.
    pub fn of<E: Float, N: Net<E>>(player: &str, slots: &[Slot]) -> Result<Self> {
        let own = |slot: &&Slot| slot.key.strip_prefix(player).is_some_and(|rest| rest.starts_with('.'));
        let slots: Vec<Slot> = slots.iter().filter(own).cloned().collect();
        let Some(&loss) = N::OUTPUTS.iter().find(|name| **name == player) else {
            let results = N::OUTPUTS.join("`, `");
            return Err(Error::value(format!(
                "`{player}` cannot take a turn: `{}` has no result of this name for it to lessen, but `{results}`",
                N::NAME
            )));
        };
        if slots.iter().all(|slot| slot.kind != StateKind::Parameter) {
            return Err(Error::value(format!(
                "`{player}` cannot take a turn: `{}` has no parameters below this name; label its part `{player}: …`",
                N::NAME
            )));
        }
        Ok(Turn { loss: Some(loss), slots })
    }
}

/// A compiled program and its scratch memory.
pub struct Compiled {
    pub program: Program,
    pub names: Names,
    pub workspace: Workspace,
}

impl Compiled {
    fn new((graph, names): (Graph, Names), state: &State, precision: Precision) -> Result<Self> {
        let program = compile_for(&graph, state.device(), precision)?;
        let workspace = program.workspace(state)?;
        Ok(Compiled { program, names, workspace })
    }
}

/// The programs of a training that came lately, by mode and run-time dimensions.
pub type Programs = Cache<(Mode, Vec<usize>), Compiled>;

/// The program for this mode and these dimensions, compiled if it is new.
pub fn compiled<'p, E: Float, N: Net<E>>(
    programs: &'p mut Programs,
    key: &(Mode, Vec<usize>),
    turn: &Turn,
    recipe: &Recipe,
    (state, precision): (&State, Precision),
) -> Result<&'p mut Compiled> {
    programs.get_or_make(key, || {
        let recorded = match key.0 {
            Mode::Train(phase, _) => training_graph::<E, N>(&key.1, turn, recipe, phase),
            Mode::Evaluate => Ok(finish(trace::<E, N>(false, &key.1, turn)?)),
        };
        Compiled::new(recorded?, state, precision)
    })
}

/// What the outputs of a program are called, and which of them is the loss.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub all: Vec<&'static str>,
    pub loss: usize,
    /// Whether one more output, the last, is finite where every new number was taken.
    pub guarded: bool,
}

/// A recorded net, its scalar results by name, and the loss among them.
pub(super) struct Traced {
    pub graph: Graph,
    scalars: Vec<(&'static str, NodeId)>,
    pub loss: NodeId,
}

pub(super) fn trace<E: Float, N: Net<E>>(training: bool, dims: &[usize], turn: &Turn) -> Result<Traced> {
    let scope = Scope::new(training);
    let results = N::trace(&scope, dims);
    let graph = scope.finish()?;
    let is_scalar = |id: NodeId| graph[id].dims.is_empty() && graph[id].dtype.is_float();
    let all = N::OUTPUTS.iter().copied().zip(results.iter().copied());
    let scalars: Vec<(&'static str, NodeId)> = all.filter(|&(_, id)| is_scalar(id)).collect();
    let loss = match turn.loss {
        None => nn::loss::<E, N>(&graph, &results)?,
        Some(wanted) => scalars.iter().find(|(name, _)| *name == wanted).map(|&(_, id)| id).ok_or_else(|| {
            Error::value(format!("`{wanted}` cannot be lessened: the result of `{}` is no real scalar", N::NAME))
        })?,
    };
    Ok(Traced { graph, scalars, loss })
}

/// Declares the results as outputs.
fn finish(Traced { mut graph, scalars, loss }: Traced) -> (Graph, Names) {
    for &(name, id) in &scalars {
        graph.output(name, id);
    }
    let loss = scalars.iter().position(|&(_, id)| id == loss).unwrap_or(0);
    (graph, Names { all: scalars.into_iter().map(|(name, _)| name).collect(), loss, guarded: false })
}

/// The graph of a batch of a training.
pub fn training_graph<E: Float, N: Net<E>>(
    dims: &[usize],
    turn: &Turn,
    recipe: &Recipe,
    phase: Phase,
) -> Result<(Graph, Names)> {
    let mut traced = trace::<E, N>(true, dims, turn)?;
    let Recorded { good, clipped } = optim::record(&mut traced.graph, traced.loss, &turn.slots, recipe, phase)?;
    traced.scalars.extend(clipped.map(|norm| (GRADIENT_NORM, norm)));
    let (mut graph, mut names) = finish(traced);
    names.guarded = good.is_some();
    if let Some(good) = good {
        graph.output("good", good);
    }
    Ok((graph, names))
}

/// The name under which the global norm of the gradients is shown.
pub const GRADIENT_NORM: &str = "gradient_norm";

/// Everything that outlives a step: the model, the key of random draws, and what the optimiser keeps.
pub fn state_slots<E: Float>(slots: &[Slot], recipe: &Recipe) -> Result<Vec<StateSlot>> {
    // The optimiser names its state while it records, so it records: on a graph of the parameters alone, whose result
    // is their sum.
    let mut graph = Graph::new();
    let mut total = graph.constant(0.0, &[], E::DTYPE);
    for slot in slots {
        let node = graph.state(&*slot.key, slot.kind, &slot.dims, E::DTYPE)?;
        if slot.kind == StateKind::Parameter {
            let axes: Vec<usize> = (0..slot.dims.len()).collect();
            let sum = graph.sum(node, &axes)?;
            total = graph.binary(Binary::Add, total, sum)?;
        }
    }
    graph.key()?;
    optim::record(&mut graph, total, slots, recipe, Phase::Update)?;
    let mut states = graph.states().to_vec();
    for state in &mut states {
        state.update = None;
    }
    Ok(states)
}

/// The bytes that a training holds while it steps on batches of one size. Programs for other sizes that came lately are
/// kept beside it, each with a workspace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Parameters, buffers, and what the optimiser keeps.
    pub state: usize,
    /// Intermediate values at their peak, and the memory that kernels use while they run.
    pub workspace: usize,
    /// The batch.
    pub inputs: usize,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.state + self.workspace + self.inputs
    }
}

/// In megabytes of a million bytes.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [state, workspace, inputs, total] =
            [self.state, self.workspace, self.inputs, self.total()].map(|bytes| bytes as f64 / 1e6);
        write!(f, "{total:.1} MB: state {state:.1}, workspace {workspace:.1}, batch {inputs:.1}")
    }
}
