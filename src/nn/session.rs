//! A net kept ready to run.

use super::compiled::{Compiled, state};
use super::{BatchOf, Net};
use crate::Result;
use crate::run::{Device, SharedCache, State, Workspace};
use crate::tensor::{Feed, Float};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A net for inference: its weights stay where programs read them, and there is one program for each choice of
/// run-time dimensions that came lately. Threads may share it; runs of nets without random draws go side by side.
#[derive(Debug)]
pub struct Session<E: Float, M: Net<E>> {
    state: RwLock<State>,
    programs: SharedCache<Vec<usize>, Ready>,
    seed: u64,
    step: AtomicU64,
    net: PhantomData<fn() -> (E, M)>,
}

/// A program and the memory of the runs that are over.
#[derive(Debug)]
struct Ready {
    compiled: Compiled,
    idle: Mutex<Vec<(Workspace, Feed)>>,
}

impl<E: Float, M: Net<E>> Session<E, M> {
    /// A session with a copy of the net's weights.
    ///
    /// # Errors
    /// If the model shows other tensors than its type lists.
    pub fn new(model: &M) -> Result<Self> {
        Ok(Session {
            state: RwLock::new(state(model)?),
            programs: SharedCache::default(),
            seed: 0,
            step: AtomicU64::new(0),
            net: PhantomData,
        })
    }

    /// The same session on a device: its weights move there.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn on(self, device: &Device) -> Result<Self> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner).moved(device)?;
        Ok(Session { state: RwLock::new(state), programs: SharedCache::default(), ..self })
    }

    /// The same session with another seed for nets that draw; its first run is the seed's step 0.
    pub fn with_seed(self, seed: u64) -> Self {
        Session { seed, step: AtomicU64::new(0), ..self }
    }

    /// The results of the net, as it is used after training.
    ///
    /// # Errors
    /// If inputs disagree on a dimension, or the net cannot take these dimensions.
    pub fn run(&self, batch: &impl BatchOf<M>) -> Result<M::Output> {
        let dims = batch.dims()?;
        let ready = self.ready(&dims)?;
        let idle = ready.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut workspace, mut feed) = match idle {
            Some(memory) => memory,
            None => (
                ready.compiled.program.workspace(&self.state.read().unwrap_or_else(PoisonError::into_inner))?,
                Feed::default(),
            ),
        };
        feed.clear();
        batch.feed(&mut feed);
        if ready.compiled.draws {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.set_key(self.seed, self.step.fetch_add(1, Ordering::Relaxed));
            ready.compiled.program.evaluate(&state, &feed.data(), &mut workspace)?;
        } else {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            ready.compiled.program.evaluate(&state, &feed.data(), &mut workspace)?;
        }
        let output = ready.compiled.collect(&workspace, M::OUTPUTS.len());
        ready.idle.lock().unwrap_or_else(PoisonError::into_inner).push((workspace, feed));
        output
    }

    fn ready(&self, dims: &Vec<usize>) -> Result<Arc<Ready>> {
        self.programs.get_or_make(dims, || {
            let device = self.state.read().unwrap_or_else(PoisonError::into_inner).device().clone();
            Ok(Ready { compiled: Compiled::inference::<E, M>(dims, &device)?, idle: Mutex::default() })
        })
    }
}
