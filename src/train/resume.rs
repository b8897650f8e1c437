//! Training files: everything from which a training goes on bit by bit as if it had never stopped.

use super::checkpoint::{Entry, TensorFile, name, stored, write};
use super::origin::{Origin, recipe};
use super::settings::Settings;
use super::trainer::{Clock, Trainer};
use crate::graph::{StateKind, StateSlot};
use crate::nn::{self, Net, Slot, Source, Visitor};
use crate::run::State;
use crate::tensor::{Float, HostTensor};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the note that says how far the training is.
pub(super) const NOTE: &str = "ansatz.training";
/// Where the tensors of the best model stand.
const BEST: &str = "optimiser.best.";

impl<E: Float, N: Net<E>> Trainer<N, E> {
    /// Writes a training file: the model under its own keys, the optimiser's state, and how far the training is.
    /// [`load`](super::load) reads the model from it.
    ///
    /// # Errors
    /// If it cannot be written; an earlier file of that name is then still there.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut entries: Vec<Entry<'_>> = Vec::new();
        for (i, slot) in self.state.slots().iter().enumerate() {
            // The key of random draws follows from seed and step, which stand in the note.
            if slot.kind != StateKind::Key {
                entries.push(Entry { key: &slot.key, dims: &slot.dims, data: self.state.get(i)? });
            }
        }
        let mut best = Best(Vec::new());
        if let Some(model) = &self.best {
            model.visit(&nn::Path::root(), &mut best)?;
        }
        for (slot, values) in &best.0 {
            entries.push(Entry { key: &slot.key, dims: &slot.dims, data: E::data(values) });
        }
        // A buffer may hold infinities by intent, as a mask.
        let kept = |(_, slot): &(usize, &StateSlot)| matches!(slot.kind, StateKind::Parameter | StateKind::Optimiser);
        for (i, StateSlot { key, .. }) in self.state.slots().iter().enumerate().filter(kept) {
            if self.state.get(i)?.is_finite() {
                continue;
            }
            return Err(Error::value(format!(
                "`{key}` holds numbers that are not finite: {} is not written, and what stood there before still does",
                path.as_ref().display()
            )));
        }
        let mut note = self.clock.note(&self.settings, self.recipe.accumulate, N::NAME);
        note["recipe"] = json!(recipe(&self.recipe));
        if let Some(data) = self.resumed.or(self.data) {
            note["data"] = data.note();
        }
        let note = note.to_string();
        write(path.as_ref(), &entries, &BTreeMap::from([(NOTE, &*note), ("format", "pt")]))
    }

    /// Goes on where a training file ends. The trainer must be built for the same net with the same optimiser and schedule;
    /// the seed is taken from the file. [`Trainer::fit`] on the same data then gives the bits of an uninterrupted training,
    /// and on other data is an error.
    ///
    /// # Errors
    /// If the file cannot be read or does not fit; the error lists every mismatch, and the trainer is unchanged.
    pub fn resume(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.go_on(path.as_ref(), true)
    }

    /// As [`Trainer::resume`], with the numbers of this training's optimiser, schedule and groups where they are others than
    /// those of the file.
    ///
    /// # Errors
    /// Those of [`Trainer::resume`] else.
    pub fn resume_otherwise(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.go_on(path.as_ref(), false)
    }

    /// Lets a resumed training go on with other data than it had before.
    pub fn take_other_data(&mut self) -> &mut Self {
        self.resumed = None;
        self
    }

    fn go_on(&mut self, path: &Path, same: bool) -> Result<()> {
        let file = TensorFile::open(path)?;
        let mut problems = Vec::new();
        let (mut seed, mut clock, mut data) = (0, None, None);
        match file.note(NOTE).map(|note| serde_json::from_str::<Value>(note).ok()) {
            None => {
                problems.push(format!("it is a model file, without the note `{NOTE}`; `train::load` reads the model"));
            }
            Some(note) => match note.as_ref().and_then(|note| Some((note, Clock::read(note)?))) {
                None => problems.push(format!("the note `{NOTE}` on how far the training is cannot be read")),
                Some((note, (read_seed, read))) => {
                    (seed, clock, data) = (read_seed, Some(read), note.get("data").and_then(Origin::read));
                    let ours = recipe(&self.recipe);
                    if let Some(theirs) = note["recipe"].as_str().filter(|theirs| same && *theirs != ours) {
                        problems.push(format!(
                            "the recipe is `{theirs}` in the file and `{ours}` in this training, which \
                             `Trainer::resume_otherwise` allows"
                        ));
                    }
                    // Within an epoch or an update, the batches that are left depend on these.
                    for (name, ours) in
                        [("batch_size", self.settings.batch_size), ("accumulate", self.recipe.accumulate)]
                    {
                        if note[name] != ours {
                            problems
                                .push(format!("`{name}` is {} in the file and {ours} in this training", note[name]));
                        }
                    }
                }
            },
        }
        let mut state = State::on(self.state.device(), self.state.slots())?;
        for (i, slot) in self.state.slots().iter().enumerate() {
            if slot.kind != StateKind::Key
                && let Some(problem) = fill::<E>(&file, slot, &mut state, i)?
            {
                problems.push(problem);
            }
        }
        let mut has_best = false;
        for key in file.keys() {
            match key.strip_prefix(BEST) {
                Some(_) => has_best = true,
                None if state.position(&key).is_none() => {
                    problems.push(format!("`{key}` is in the file, but not in this training"));
                }
                None => {}
            }
        }
        let (Some(clock), true) = (clock, problems.is_empty()) else { return Err(file.error(problems)) };
        let best = if has_best { Some(N::build(&nn::Path::root(), &mut BestOf(&file))?) } else { None };
        self.settings.seed = seed;
        self.clock = clock;
        self.best = best;
        self.state = state;
        self.resumed = data;
        Ok(())
    }
}

/// Copies a tensor of the file to a slot of the state; or says why it does not fit.
fn fill<E: Float>(file: &TensorFile, slot: &StateSlot, state: &mut State, place: usize) -> Result<Option<String>> {
    let StateSlot { key, dims, .. } = slot;
    let Some(tensor) = file.get(key) else {
        return Ok(Some(format!("`{key}` of shape {dims:?} is missing")));
    };
    if tensor.shape() != dims {
        return Ok(Some(format!("`{key}` is {:?} in the file and {dims:?} in this training", tensor.shape())));
    }
    let expected = stored(slot.dtype);
    if tensor.dtype() == expected
        && let Some(values) = tensor.values::<E>()?
        && state.set(place, E::data(&values))
    {
        return Ok(None);
    }
    let (found, expected) = (name(tensor.dtype()), name(expected));
    Ok(Some(format!("`{key}` is {found} in the file and {expected} in this training")))
}

impl Clock {
    /// Floating-point numbers are written as their bits: they must come back exactly.
    fn note(&self, settings: &Settings, accumulate: usize, net: &str) -> Value {
        json!({
            "version": 1,
            "net": net,
            "seed": settings.seed,
            "batch_size": settings.batch_size,
            "accumulate": accumulate,
            "steps": self.steps,
            "updates": self.updates,
            "epoch": self.epoch,
            "position": self.position,
            "samples": self.samples,
            "sums": self.sums.iter().map(|sum| sum.to_bits()).collect::<Vec<_>>(),
            "best_loss": self.best_loss.to_bits(),
            "best_epoch": self.best_epoch,
            "waited": self.waited,
        })
    }

    fn read(note: &Value) -> Option<(u64, Clock)> {
        let number = |name: &str| note.get(name)?.as_u64();
        if number("version")? != 1 {
            return None;
        }
        let sums = note.get("sums")?.as_array()?.iter().map(|sum| Some(f64::from_bits(sum.as_u64()?)));
        let clock = Clock {
            steps: number("steps")?,
            updates: number("updates")?,
            epoch: number("epoch")?,
            position: number("position")?,
            samples: number("samples")?,
            sums: sums.collect::<Option<_>>()?,
            best_loss: f64::from_bits(number("best_loss")?),
            best_epoch: number("best_epoch")?,
            waited: number("waited")?,
        };
        Some((number("seed")?, clock))
    }
}

/// The tensors of the best model, under their keys in the file.
struct Best<E>(Vec<(Slot, Vec<E>)>);

impl<E: Float> Visitor<E> for Best<E> {
    fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
        self.0.push((Slot { key: format!("{BEST}{}", slot.key), ..slot.clone() }, tensor.to_vec()));
        Ok(())
    }
}

struct BestOf<'a>(&'a TensorFile);

impl<E: Float> Source<E> for BestOf<'_> {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>> {
        let key = format!("{BEST}{}", slot.key);
        let tensor = self.0.get(&key).filter(|tensor| tensor.shape() == slot.dims);
        let values = tensor.map(|tensor| tensor.values()).transpose()?.flatten();
        values.ok_or_else(|| self.0.error(vec![format!("`{key}` is missing or is not {:?}", slot.dims)]))
    }
}
