//! A net that remembers from run to run.

use super::compiled::{Compiled, state};
use super::{BatchOf, Net};
use crate::graph::{StateKind, StateSlot};
use crate::run::{Cache, Data, DataMut, State, Workspace};
use crate::tensor::Feed;
use crate::tensor::Float;
use crate::{Error, Result};
use std::marker::PhantomData;
use std::sync::Arc;

/// A net for inference step by step: what its layers keep, as [`cached`](crate::tensor::cached) does, lasts from run to run
/// and is updated in place. Weights stay where programs read them, and all choices of run-time dimensions share them and
/// what is kept: a program for the whole of a prompt, one for each token after it.
#[derive(Debug)]
pub struct Stream<E: Float, M: Net<E>> {
    state: State,
    programs: Cache<Vec<usize>, Arc<Compiled>>,
    workspaces: Cache<Vec<usize>, Workspace>,
    feed: Feed,
    seed: u64,
    step: u64,
    net: PhantomData<fn() -> (E, M)>,
}

impl<E: Float, M: Net<E>> Stream<E, M> {
    /// A stream with a copy of the net's weights, which has kept nothing yet.
    ///
    /// # Errors
    /// If the model shows other tensors than its type lists.
    pub fn new(model: &M) -> Result<Self> {
        Ok(Stream {
            state: state(model)?,
            programs: Cache::new(),
            workspaces: Cache::new(),
            feed: Feed::default(),
            seed: 0,
            step: 0,
            net: PhantomData,
        })
    }

    /// The same stream with another seed for nets that draw.
    pub fn with_seed(self, seed: u64) -> Self {
        Stream { seed, step: 0, ..self }
    }

    /// The results of the net, as it is used after training; what it keeps is updated.
    ///
    /// # Errors
    /// If inputs disagree on a dimension, the net cannot take these dimensions, it keeps tensors of another shape since an
    /// earlier run, or an index is beyond its table.
    pub fn run(&mut self, batch: &impl BatchOf<M>) -> Result<M::Output> {
        let dims = batch.dims()?;
        let make = || Ok(Arc::new(Compiled::inference::<E, M>(&dims)?));
        let compiled = Arc::clone(self.programs.get_or_make(&dims, make)?);
        self.admit(&compiled)?;
        if compiled.draws {
            self.state.set_key(self.seed, self.step);
            self.step += 1;
        }
        self.feed.clear();
        batch.feed(&mut self.feed);
        let workspace = self.workspaces.get_or_make(&dims, || compiled.program.workspace(&self.state))?;
        compiled.program.run(&mut self.state, &self.feed.data(), workspace)?;
        compiled.collect(workspace, M::OUTPUTS.len())
    }

    /// Forgets what is kept: needed before a run with another number of samples. Weights and programs stay.
    pub fn reset(&mut self) {
        let slots = self.state.slots().iter().filter(|slot| slot.kind != StateKind::Session).cloned().collect();
        self.replace(slots);
    }

    /// The tensors that are kept, by their keys, with their shapes.
    pub fn kept(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let kept = self.state.slots().iter().filter(|slot| slot.kind == StateKind::Session);
        kept.map(|slot| (&*slot.key, &*slot.dims))
    }

    /// Makes room for what a program keeps.
    fn admit(&mut self, compiled: &Compiled) -> Result<()> {
        let mut fresh = Vec::new();
        for wanted in compiled.program.states().iter().filter(|slot| slot.kind == StateKind::Session) {
            match self.state.position(&wanted.key).map(|slot| &self.state.slots()[slot]) {
                None => fresh.push(wanted.clone()),
                Some(known) if known.dims == wanted.dims => {}
                Some(known) => {
                    return Err(Error::value(format!(
                        "`{}` keeps {:?} since an earlier run, and these inputs take {:?}; call `reset` before inputs of \
                         another number of samples",
                        wanted.key, known.dims, wanted.dims
                    )));
                }
            }
        }
        if !fresh.is_empty() {
            self.replace(self.state.slots().iter().cloned().chain(fresh).collect());
        }
        Ok(())
    }

    /// A state of these slots, with the values that are known.
    fn replace(&mut self, slots: Vec<StateSlot>) {
        let mut state = State::new(&slots);
        for (slot, to) in slots.iter().enumerate() {
            let Some(known) = self.state.position(&to.key) else { continue };
            match (self.state.get(known), state.get_mut(slot)) {
                (Data::F32(from), DataMut::F32(to)) => to.copy_from_slice(from),
                (Data::F64(from), DataMut::F64(to)) => to.copy_from_slice(from),
                (Data::Index(from), DataMut::Index(to)) => to.copy_from_slice(from),
                (Data::Bool(from), DataMut::Bool(to)) => to.copy_from_slice(from),
                _ => unreachable!("a slot keeps its element type"),
            }
        }
        self.state = state;
        // They belong to the old state.
        self.workspaces = Cache::new();
    }
}
