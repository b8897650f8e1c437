//! The program: what is launched, on what.

use crate::graph::{DType, Graph, InputSlot, StateSlot};
use crate::kernel::precision::Precision;
use crate::kernel::schedule::{Home, Schedule};
use crate::ops::Kind;
use crate::{Error, Result};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

/// A compiled graph: `(state, inputs) → (state, outputs)`. Many workspaces can share one program.
#[derive(Debug)]
pub struct Program {
    pub(crate) inputs: Vec<InputSlot>,
    pub(crate) states: Vec<StateSlot>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) schedule: Schedule,
    /// What the workspaces of this program hold as well, to be told from those of others.
    pub(crate) identity: Arc<()>,
    /// What devices have made of the schedule, for all workspaces to share.
    prepared: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
    dtype: DType,
    precision: Precision,
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

impl Program {
    pub(super) fn new(graph: &Graph, (dtype, precision): (DType, Precision), schedule: Schedule) -> Self {
        let outputs = graph.outputs.iter().zip(&schedule.outputs).map(|((name, id), &buffer)| Output {
            name: name.clone(),
            dims: graph[*id].dims.clone(),
            dtype: graph[*id].dtype,
            offset: match schedule.buffers[buffer].home {
                Home::Arena(offset) => offset,
                Home::Input(_) | Home::State(_) => unreachable!("outputs are copied to the arena"),
            },
        });
        let outputs = outputs.collect();
        let (inputs, states) = (graph.inputs.clone(), graph.states.clone());
        let (identity, prepared) = (Arc::new(()), Mutex::default());
        Program { inputs, states, outputs, schedule, identity, prepared, dtype, precision }
    }

    /// The same program with other launches.
    #[cfg(all(test, feature = "check"))]
    pub(super) fn with(&self, schedule: Schedule) -> Self {
        let mut outputs = self.outputs.clone();
        for (output, &buffer) in outputs.iter_mut().zip(&schedule.outputs) {
            if let Home::Arena(offset) = schedule.buffers[buffer].home {
                output.offset = offset;
            }
        }
        let (inputs, states) = (self.inputs.clone(), self.states.clone());
        let (identity, prepared) = (Arc::new(()), Mutex::default());
        Program { inputs, states, outputs, schedule, identity, prepared, dtype: self.dtype, precision: self.precision }
    }

    /// What a device has made of the schedule, made if it is not there: the first `P` for which `own` holds.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn prepared<P: Any + Send + Sync>(
        &self,
        own: impl Fn(&P) -> bool,
        make: impl FnOnce() -> Result<Arc<P>>,
    ) -> Result<Arc<P>> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = prepared.iter().filter_map(|known| Arc::clone(known).downcast::<P>().ok()).find(|known| own(known));
        match known {
            Some(known) => Ok(known),
            None => {
                let made = make()?;
                prepared.push(Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
                Ok(made)
            }
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

    /// How exact it is.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The type of its real numbers.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The bytes of intermediate values that are alive at once, at their peak: the arena of a workspace.
    pub fn workspace_bytes(&self) -> usize {
        self.schedule.bytes
    }

    /// How many kernels and matrix products a run launches.
    pub fn launches(&self) -> usize {
        self.schedule.launches()
    }
}

/// The one float type of a graph; `f32` if it has none.
pub(super) fn float_type(graph: &Graph) -> Result<DType> {
    if has(graph, DType::Bf16) {
        let problem =
            "a node holds bf16 numbers, which are for memory alone; declare it as f32, and take `Precision::Bf16`";
        return Err(Error::shape("compile", problem));
    }
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
    graph.nodes().any(|(_, node)| {
        let within = if let Kind::Loop(nest) = node.op.kind() { has(&nest.body, dtype) } else { false };
        within || node.dtype == dtype
    })
}
