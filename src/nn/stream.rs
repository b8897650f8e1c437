//! A net that is read piece by piece, and remembers from run to run.

use super::causal::positions;
use super::compiled::{Compiled, state};
use super::net::trace_on;
use super::{BatchOf, Net};
use crate::graph::{StateKind, StateSlot};
use crate::run::{Cache, Device, State, Workspace};
use crate::tensor::{Feed, Float, Scope};
use crate::{Error, Result};
use std::marker::PhantomData;
use std::sync::Arc;

/// A causal net that reads its input piece by piece: each run goes on where the one before has stopped, as if all had been
/// one run. Causal attention keeps keys and values, which are updated in place, and `positions` and `rotary` count on.
/// A net is refused unless it is known to give for the pieces what it gives for the whole.
///
/// Weights stay where programs read them, and all choices of run-time dimensions share them and what is kept: a program for
/// the whole of a prompt, one for each token after it.
///
/// ```
/// use ansatz::nn::Stream;
/// use ansatz::prelude::*;
///
/// net! {
///     pub dim Embed = 8;
///
///     pub net Next(x: [n, t, Embed]) -> [n, t, Embed] {
///         let by_head = |z| z |> [n, t, (2 e)] -> [n, 2, t, e];
///         let (q, k) = (by_head(x |> linear(Embed)) |> rotary, by_head(x |> linear(Embed)) |> rotary);
///         attention(q, k, by_head(x), causal = true) |> [n, 2, t, e] -> [n, t, (2 e)]
///     }
/// }
///
/// let next: Next = Next::init(0);
/// let x = |range: std::ops::Range<usize>| {
///     let values = range.clone().flat_map(|t| (0..8).map(move |i| ((t * 8 + i) as f32).sin())).collect();
///     from_vec(values, (1, range.len(), Embed))
/// };
/// let whole = to_vec(&next.forward(x(0..6)?)?);
/// let mut stream = Stream::new(&next, 16)?;
/// let parts = [stream.run(&NextBatch::from(x(0..4)?))?, stream.run(&NextBatch::from(x(4..6)?))?];
/// let parts: Vec<f32> = parts.iter().flat_map(to_vec).collect();
/// assert!(whole.iter().zip(parts).all(|(a, b)| (a - b).abs() < 1e-5));
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream<E: Float, M: Net<E>> {
    state: State,
    places: usize,
    read: usize,
    programs: Cache<Vec<usize>, Arc<Ready>>,
    workspaces: Cache<Vec<usize>, Workspace>,
    feed: Feed,
    seed: u64,
    step: u64,
    net: PhantomData<fn() -> (E, M)>,
}

/// A program, and how many positions it reads.
#[derive(Debug)]
struct Ready {
    compiled: Compiled,
    length: usize,
}

impl<E: Float, M: Net<E>> Stream<E, M> {
    /// A stream of at most so many positions with a copy of the net's weights, which has read nothing yet.
    ///
    /// # Errors
    /// If the model shows other tensors than its type lists.
    pub fn new(model: &M, places: usize) -> Result<Self> {
        Ok(Stream {
            state: state(model)?,
            places,
            read: 0,
            programs: Cache::new(),
            workspaces: Cache::new(),
            feed: Feed::default(),
            seed: 0,
            step: 0,
            net: PhantomData,
        })
    }

    /// The same stream on a device: its weights and what it has kept move there.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn on(self, device: &Device) -> Result<Self> {
        Ok(Stream { state: self.state.moved(device)?, programs: Cache::new(), workspaces: Cache::new(), ..self })
    }

    /// The same stream with another seed for nets that draw.
    pub fn with_seed(self, seed: u64) -> Self {
        Stream { seed, step: 0, ..self }
    }

    /// How many positions it has room for, and how many it has read.
    pub fn places(&self) -> (usize, usize) {
        (self.places, self.read)
    }

    /// The results of the net at the positions of this batch, as it is used after training.
    ///
    /// # Errors
    /// If inputs disagree on a dimension, the net cannot take these dimensions or is not causal, it has kept another number
    /// of samples, or there is no room for so many positions more.
    pub fn run(&mut self, batch: &impl BatchOf<M>) -> Result<M::Output> {
        let dims = batch.dims()?;
        let places = self.places;
        let device = self.state.device();
        let ready = || Ok(Arc::new(ready::<E, M>(&dims, places, device)?));
        let ready = Arc::clone(self.programs.get_or_make(&dims, ready)?);
        let Ready { compiled, length } = &*ready;
        if self.read + length > places {
            return Err(Error::value(format!(
                "a stream of {places} positions has read {}, and has no room for {length} more; make a longer one, or `reset` it",
                self.read
            )));
        }
        self.admit(compiled)?;
        if compiled.draws {
            self.state.set_key(self.seed, self.step);
            self.step += 1;
        }
        self.feed.clear();
        self.feed.index_slice(&[self.read as u32]);
        batch.feed(&mut self.feed);
        let workspace = self.workspaces.get_or_make(&dims, || compiled.program.workspace(&self.state))?;
        compiled.program.run(&mut self.state, &self.feed.data(), workspace)?;
        self.read += length;
        compiled.collect(workspace, M::OUTPUTS.len())
    }

    /// Forgets what it has read. Weights, programs and the memory of what was read stay.
    pub fn reset(&mut self) {
        self.read = 0;
    }

    /// Makes room for what a program keeps.
    fn admit(&mut self, compiled: &Compiled) -> Result<()> {
        let mut fresh = Vec::new();
        for wanted in compiled.program.states().iter().filter(|slot| slot.kind == StateKind::Session) {
            match self.state.position(&wanted.key).map(|slot| &self.state.slots()[slot]) {
                None => fresh.push(wanted.clone()),
                Some(known) if known.dims == wanted.dims => {}
                // Nothing is read any more of what other samples have left.
                Some(_) if self.read == 0 => fresh.push(wanted.clone()),
                Some(known) => {
                    return Err(Error::value(format!(
                        "a stream that has read {} samples side by side cannot go on with {}; call `reset` before another \
                         number of samples",
                        known.dims[0] / self.places,
                        wanted.dims[0] / self.places
                    )));
                }
            }
        }
        if !fresh.is_empty() {
            let stays = |slot: &&StateSlot| fresh.iter().all(|wanted| wanted.key != slot.key);
            return self
                .replace(self.state.slots().iter().filter(stays).cloned().chain(fresh.iter().cloned()).collect());
        }
        Ok(())
    }

    /// A state of these slots, with the values that are known.
    fn replace(&mut self, slots: Vec<StateSlot>) -> Result<()> {
        let mut state = State::on(self.state.device(), &slots)?;
        for (slot, to) in slots.iter().enumerate() {
            let known = self.state.position(&to.key).filter(|&known| self.state.slots()[known].dims == to.dims);
            if let Some(known) = known {
                state.set(slot, self.state.get(known)?);
            }
        }
        self.state = state;
        // They belong to the old state.
        self.workspaces = Cache::new();
        Ok(())
    }
}

/// The program that reads a batch of these run-time dimensions.
fn ready<E: Float, M: Net<E>>(dims: &[usize], places: usize, device: &Device) -> Result<Ready> {
    let length = positions::<E, M>(dims, places)?;
    let compiled = Compiled::new(&trace_on::<E, M>(&Scope::streaming::<E>(places), dims)?, device)?;
    Ok(Ready { compiled, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::net! {
        pub net Next(x: [n, t, 6]) -> [n, t, 6] {
            let by_head = |z| z |> [n, t, (2 e)] -> [n, 2, t, e];
            attention(by_head(x), by_head(x |> linear(6)), by_head(x |> linear(6)), causal = true)
                |> [n, 2, t, e] -> [n, t, (2 e)]
        }
    }

    /// A step on one position moves rows in place: the program copies no memory.
    #[test]
    fn a_step_works_in_place() {
        let graph = trace_on::<f32, Next>(&Scope::streaming::<f32>(1000), &[1, 1]).unwrap();
        let program = crate::run::compile(&graph).unwrap();
        assert!(program.workspace_bytes() < 1000 * 6 * 4 / 2, "{program}");
    }
}
