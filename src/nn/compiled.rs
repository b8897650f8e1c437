//! Nets as programs, and their tensors as the state that programs run on.

use super::{Model, Net, Outputs, Slot, Value, Visitor, slots, trace};
use crate::graph::{DType, Graph, KEY, StateKind, StateSlot};
use crate::run::{Data, Device, Precision, Program, SharedCache, State, Workspace, compile_for};
use crate::tensor::{Float, HostTensor, Path};
use crate::{Error, Result};
use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A graph as a program, with what a caller wants to know of it.
#[derive(Debug)]
pub(super) struct Compiled {
    pub program: Program,
    /// Whether it uses the key of random draws.
    pub draws: bool,
}

impl Compiled {
    pub fn new(graph: &Graph, device: &Device) -> Result<Self> {
        let draws = graph.states().iter().any(|slot| slot.kind == StateKind::Key);
        Ok(Compiled { program: compile_for(graph, device, Precision::Full)?, draws })
    }

    /// The net for these run-time dimensions, as it is used after training.
    pub fn inference<E: Float, M: Net<E>>(dims: &[usize], device: &Device) -> Result<Self> {
        Compiled::new(&trace::<E, M>(dims, false)?, device)
    }

    /// The i-th output of the last run.
    pub fn value<'a>(&'a self, workspace: &'a Workspace, i: usize) -> Value<'a> {
        Value { dims: &self.program.outputs()[i].dims, data: self.program.output(workspace, i) }
    }

    /// The first `count` outputs of the last run as host tensors.
    pub fn collect<O: Outputs>(&self, workspace: &Workspace, count: usize) -> Result<O> {
        let values: Vec<Value<'_>> = (0..count).map(|i| self.value(workspace, i)).collect();
        O::collect(&values)
    }
}

/// What a program of [`remembered`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Forward,
    Backward,
    Gradient,
}

type Key = (TypeId, Purpose, Vec<usize>);

/// Programs for calls that keep nothing between them: the ones used last, of the whole process. They hold no weights.
static PROGRAMS: SharedCache<Key, Compiled> = SharedCache::with_capacity(64);

/// The program of a net for a purpose and run-time dimensions, compiled if it is new.
pub(super) fn remembered<M: 'static>(
    purpose: Purpose,
    dims: &[usize],
    graph: impl FnOnce() -> Result<Graph>,
) -> Result<Arc<Compiled>> {
    let key = (TypeId::of::<M>(), purpose, dims.to_vec());
    // A function of Rust in the net may run nets of its own while it is recorded.
    PROGRAMS.get_or_make(&key, || Compiled::new(&graph()?, &Device::cpu()))
}

/// A state of the tensors of a model and the key of random draws.
///
/// # Errors
/// If the model shows other tensors than its type lists.
pub(super) fn state<E: Float, M: Model<E>>(model: &M) -> Result<State> {
    let slot =
        |slot: Slot| StateSlot { key: slot.key, kind: slot.kind, dims: slot.dims, dtype: E::DTYPE, update: None };
    let mut slots: Vec<StateSlot> = slots::<E, M>().into_iter().map(slot).collect();
    slots.push(StateSlot {
        key: KEY.to_owned(),
        kind: StateKind::Key,
        dims: vec![4],
        dtype: DType::Index,
        update: None,
    });
    let mut state = State::on(&Device::cpu(), &slots)?;
    model.visit(&Path::root(), &mut Writer { state: &mut state, next: 0 })?;
    Ok(state)
}

/// The step of the next call that keeps nothing between calls: no two draw the same.
pub(super) fn next_step() -> u64 {
    static STEPS: AtomicU64 = AtomicU64::new(0);
    STEPS.fetch_add(1, Ordering::Relaxed)
}

/// Copies the tensors of a model, which come in the order of the slots.
struct Writer<'a> {
    state: &'a mut State,
    next: usize,
}

impl<E: Float> Visitor<E> for Writer<'_> {
    fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
        let place =
            self.state.slots().get(self.next).filter(|known| known.key == slot.key && known.dims == tensor.dims());
        if place.is_none() {
            return Err(Error::value(format!("the model shows `{}` where its type lists another tensor", slot.key)));
        }
        let to = E::slice_mut(self.state.get_mut(self.next)?).expect("the slots were made for this element type");
        tensor.copy_into(to);
        self.next += 1;
        Ok(())
    }
}

/// The elements of an output, which is known to be of this type.
pub(super) fn reals<'a, E: Float>(data: &Data<'a>) -> &'a [E] {
    E::slice(data).expect("derivatives have the element type of the net")
}
