//! The trainer: a state and the programs that change it.

use super::anomaly;
use super::batches::{countable, fed};
use super::metrics::Metrics;
use super::origin::Origin;
use super::programs::{GRADIENT_NORM, Memory, Mode, Programs, Turn, compiled, state_slots, training_graph};
use super::settings::{Builder, NotFinite, Settings};
use crate::data::{Dataset, Pass};
use crate::kernel::cost::Speed;
use crate::nn::{self, Batch, Net, Slot, Source, Trainable, Visitor};
use crate::optim::{AVERAGE, Optimiser, Phase, Recipe};
use crate::run::{Profile, State, compile_for};
use crate::tensor::{Feed, Float, HostTensor};
use crate::{Error, Result};
use std::fmt;
use std::marker::PhantomData;

/// Fits the parameters of a net. While it exists, the truth is its state; models are snapshots of it.
///
/// Equal seed, data and number of threads give equal bits.
pub struct Trainer<N, E: Float = f32> {
    pub(super) recipe: Recipe,
    pub(super) settings: Settings,
    /// Who moves, one after the other; one if the training is no game.
    turns: Vec<Turn>,
    pub(super) state: State,
    pub(super) clock: Clock,
    pub(super) best: Option<N>,
    /// One program for each mode and each choice of run-time dimensions that came lately, all over one state.
    programs: Programs,
    pub(super) feed: Feed,
    pub(super) dims: Vec<usize>,
    scalars: Vec<f64>,
    pub(super) metrics: Metrics,
    /// Finite if the last step took every new number.
    good: f64,
    skipped: u64,
    /// The data that it was trained on last, and that of the file from which it goes on.
    pub(super) data: Option<Origin>,
    pub(super) resumed: Option<Origin>,
    element: PhantomData<E>,
}

/// How far a training is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clock {
    /// Batches seen; keys the random draws.
    pub steps: u64,
    /// Updates made.
    pub updates: u64,
    /// Epochs finished.
    pub epoch: u64,
    /// Batches seen in this epoch.
    pub position: u64,
    /// Samples seen in this epoch, and the sums of the results over them.
    pub samples: u64,
    pub sums: Vec<f64>,
    /// The least loss so far, its epoch (from 1), and the epochs since.
    pub best_loss: f64,
    pub best_epoch: u64,
    pub waited: u64,
}

/// No net is asked for here, so that what is none is told once, by the function that takes it.
impl<E: Float, N> Trainer<N, E> {
    /// Begins the description of a training.
    ///
    /// ```no_run
    /// # use ansatz::{optim::AdamW, train::Trainer, nn::Trainable};
    /// # fn example<Risk: Trainable<f32>>(risk: Risk) -> ansatz::Result<()> {
    /// let mut trainer = Trainer::builder(risk, AdamW::new(1e-3)).batch_size(64).epochs(20).build()?;
    /// # Ok(()) }
    /// ```
    pub fn builder(model: N, optimiser: impl Optimiser + 'static) -> Builder<N, E>
    where
        N: Trainable<E>,
    {
        Builder::new(model, optimiser)
    }
}

impl<E: Float, N: Net<E>> Trainer<N, E> {
    pub(super) fn start(model: &N, recipe: Recipe, settings: Settings) -> Result<Self> {
        let slots = nn::slots::<E, N>();
        recipe.check_groups(&slots)?;
        let turns = match &settings.players[..] {
            [] => vec![Turn::all(&slots)],
            players => players.iter().map(|player| Turn::of::<E, N>(player, &slots)).collect::<Result<_>>()?,
        };
        let mut state = State::on(&settings.device, &state_slots::<E>(&slots, &recipe)?)?;
        model.visit(&nn::Path::root(), &mut IntoState { state: &mut state, prefix: "" })?;
        if recipe.average.is_some() {
            model.visit(&nn::Path::root(), &mut IntoState { state: &mut state, prefix: AVERAGE })?;
        }
        let clock = Clock {
            steps: 0,
            updates: 0,
            epoch: 0,
            position: 0,
            samples: 0,
            sums: Vec::new(),
            best_loss: f64::INFINITY,
            best_epoch: 0,
            waited: 0,
        };
        Ok(Trainer {
            recipe,
            settings,
            turns,
            state,
            clock,
            best: None,
            programs: Programs::default(),
            feed: Feed::default(),
            dims: Vec::new(),
            scalars: Vec::new(),
            metrics: Metrics::default(),
            good: 0.0,
            skipped: 0,
            data: None,
            resumed: None,
            element: PhantomData,
        })
    }

    /// Trains on one batch: forward, gradients, and (unless the batch only accumulates) the update. Gives the scalar
    /// results before the update, and `gradient_norm` if gradients are clipped.
    ///
    /// # Errors
    /// If the batch does not fit the net, or the loss or a gradient is not finite, with where those numbers began. The state
    /// is then as it was before the step; but where the loss is finite and gradients are not clipped, numbers that stay
    /// finite have moved.
    pub fn step(&mut self, batch: &N::Batch) -> Result<&Metrics> {
        self.feed_batch(batch)?;
        self.step_on_feed()
    }

    /// Trains on these samples of a data set, as [`Trainer::step`].
    ///
    /// # Errors
    /// Those of the data set and of [`Trainer::step`].
    pub fn step_on(&mut self, data: &dyn Dataset<N::Batch>, rows: &[u32]) -> Result<&Metrics> {
        self.feed_rows(data, self.training_pass(), rows)?;
        self.step_on_feed()
    }

    /// The means of the scalar results over all samples, without dropout. Random draws of the net do not depend on how
    /// far the training is.
    ///
    /// # Errors
    /// If there is no sample or one cannot be read.
    pub fn evaluate(&mut self, data: &dyn Dataset<N::Batch>) -> Result<Metrics> {
        if data.is_empty() {
            return Err(Error::value("there is no sample to evaluate on"));
        }
        let mut means = Metrics::default();
        let rows: Vec<u32> = (0..countable(data)?).collect();
        // The upper half of the steps belongs to evaluation: its draws are those of no training step.
        let mut step = 1 << 63;
        self.each_batch(data, Pass::Evaluation, rows.chunks(self.settings.batch_size), |trainer, batch| {
            trainer.run(Mode::Evaluate, step)?;
            step += 1;
            let share = batch.len() as f64 / rows.len() as f64;
            means.values.resize(trainer.metrics.values.len(), 0.0);
            means.values.iter_mut().zip(&trainer.metrics.values).for_each(|(mean, value)| *mean += share * value);
            Ok(true)
        })?;
        means.names.clone_from(&self.metrics.names);
        means.loss = self.metrics.loss;
        Ok(means)
    }

    /// The model as it is now.
    ///
    /// # Errors
    /// Only if the declared net lists other tensors than it builds from.
    pub fn model(&self) -> Result<N> {
        N::build(&nn::Path::root(), &mut FromState { state: &self.state, prefix: "" })
    }

    /// The model of the averaged parameters; frozen ones and buffers are as they are now.
    ///
    /// # Errors
    /// If the training keeps no average.
    pub fn averaged(&self) -> Result<N> {
        if self.recipe.average.is_none() {
            return Err(Error::value("this training keeps no average of its parameters; `Builder::average` does"));
        }
        N::build(&nn::Path::root(), &mut FromState { state: &self.state, prefix: AVERAGE })
    }

    /// The model after the best epoch of [`Trainer::fit`], if early stopping looks for it.
    pub fn best(&self) -> Option<&N> {
        self.best.as_ref()
    }

    /// The updates made so far.
    pub fn updates(&self) -> u64 {
        self.clock.updates
    }

    /// The batches that were passed over because their loss or gradients were not finite, see [`NotFinite::Skip`].
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The learning rate of the next update, before groups.
    pub fn learning_rate(&self) -> f64 {
        self.recipe.optimiser.learning_rate() * self.recipe.schedule.factor(self.clock.updates)
    }

    /// What a step on a batch of these run-time dimensions (in the order of [`Batch::dims`]) holds in memory, known
    /// before any step is made.
    ///
    /// # Errors
    /// If the net cannot take these dimensions.
    pub fn memory(&mut self, dims: &[usize]) -> Result<Memory> {
        let key = (Mode::Train(Phase::Update, 0), dims.to_vec());
        let compiled = compiled::<E, N>(
            &mut self.programs,
            &key,
            &self.turns[0],
            &self.recipe,
            (&self.state, self.settings.precision),
        )?;
        let inputs = compiled.program.inputs().iter();
        let inputs = inputs.map(|input| input.dims.iter().product::<usize>() * input.dtype.size()).sum();
        let workspace = compiled.workspace.bytes();
        Ok(Memory { state: self.state.bytes(), workspace, inputs })
    }

    /// The least time that a step with an update would take on a device of this speed, launch by launch: nothing runs, and
    /// the device need not be there. The dimensions are as for [`Trainer::memory`].
    ///
    /// # Errors
    /// If the net cannot take these dimensions.
    pub fn predict(&self, dims: &[usize], speed: &Speed) -> Result<Profile> {
        let (graph, _) = training_graph::<E, N>(dims, &self.turns[0], &self.recipe, Phase::Update)?;
        Ok(compile_for(&graph, &self.settings.device, self.settings.precision)?.predicted(speed))
    }

    /// Where the time of a step with an update goes, measured over so many of them, one after the other on one batch. They
    /// run on a copy of the state: the training stays as it is.
    ///
    /// # Errors
    /// If the batch does not fit the net.
    pub fn profile(&mut self, batch: &N::Batch, steps: u32) -> Result<Profile> {
        self.feed_batch(batch)?;
        let turn = self.feed_scalars();
        let mut state = self.state.copy()?;
        state.set_key(self.settings.seed, self.clock.steps);
        let key = (Mode::Train(Phase::Update, turn), self.dims.clone());
        let compiled = compiled::<E, N>(
            &mut self.programs,
            &key,
            &self.turns[turn],
            &self.recipe,
            (&self.state, self.settings.precision),
        )?;
        compiled.program.profile(&mut state, &self.feed.data(), &mut compiled.workspace, steps)
    }

    fn feed_batch(&mut self, batch: &N::Batch) -> Result<()> {
        self.feed.clear();
        batch.feed(&mut self.feed);
        self.dims.clear();
        self.dims.extend(batch.dims()?);
        Ok(())
    }

    /// The scalars of the optimiser, behind the batch.
    fn feed_scalars(&mut self) -> usize {
        let (turn, moved) = self.turn();
        self.recipe.scalars(&self.turns[turn].slots)(self.clock.updates, moved, &mut self.scalars);
        for &scalar in &self.scalars {
            self.feed.slice(&[<E as Float>::from_f64(scalar)]);
        }
        turn
    }

    pub(super) fn feed_rows(&mut self, data: &dyn Dataset<N::Batch>, pass: Pass, rows: &[u32]) -> Result<()> {
        self.feed.clear();
        self.dims.clear();
        fed(data, rows, pass, &mut self.feed, &mut self.dims)
    }

    /// The pass over the data that the next step belongs to.
    pub(super) fn training_pass(&self) -> Pass {
        Pass::Training { seed: self.settings.seed, epoch: self.clock.epoch }
    }

    pub(super) fn step_on_feed(&mut self) -> Result<&Metrics> {
        let batches = self.recipe.accumulate as u64;
        let phase = if self.clock.steps % batches == batches - 1 { Phase::Update } else { Phase::Accumulate };
        let turn = self.feed_scalars();
        self.run(Mode::Train(phase, turn), self.clock.steps)?;
        let clipped = self.metrics.get(GRADIENT_NORM);
        let finite = [self.metrics.loss(), self.good, clipped.unwrap_or(0.0)].iter().all(|x| x.is_finite());
        if !finite && (self.settings.not_finite == NotFinite::Stop || !self.recipe.guard) {
            return Err(self.refused(turn));
        }
        self.clock.steps += 1;
        self.clock.updates += u64::from(finite && phase == Phase::Update);
        self.skipped += u64::from(!finite);
        Ok(&self.metrics)
    }

    /// The error of a step whose loss or gradients are not finite, with where that began.
    fn refused(&mut self, turn: usize) -> Error {
        let Trainer { turns, recipe, state, feed, dims, .. } = &*self;
        let whole = !self.metrics.loss().is_finite() || recipe.clip.is_some();
        let (state_is, told) = match recipe.guard {
            // A search that fails leaves the message shorter.
            true => {
                let told = anomaly::told::<E, N>(dims, &turns[turn], recipe, state, &feed.data());
                let state_is = match whole {
                    true => "the model is as it was before it",
                    false => "numbers that would not be finite are as they were before it, and others have moved",
                };
                (state_is, told.unwrap_or_default())
            }
            false => ("the model is spoilt", String::new()),
        };
        Error::value(format!(
            "the results of batch {} are not finite ({}){told}; {state_is}. Try a smaller learning rate than {:e}, clip the \
             gradients, or look for bad numbers in the data",
            self.clock.steps + 1,
            self.metrics,
            self.learning_rate(),
        ))
    }

    /// Whose turn it is, by the first place of the player, and how often that has moved.
    fn turn(&self) -> (usize, u64) {
        let round = self.turns.len() as u64;
        let (rounds, place) = (self.clock.updates / round, (self.clock.updates % round) as usize);
        let own = |turn: &&Turn| turn.loss == self.turns[place].loss;
        let each = self.turns.iter().filter(own).count() as u64;
        let now = self.turns[..place].iter().filter(own).count() as u64;
        (self.turns.iter().position(|turn| own(&turn)).unwrap_or(place), rounds * each + now)
    }

    /// Runs a program on the inputs fed, and reads its outputs.
    fn run(&mut self, mode: Mode, step: u64) -> Result<()> {
        self.state.set_key(self.settings.seed, step);
        let Trainer { settings, turns, recipe, state, feed, metrics, good, .. } = self;
        let key = (mode, self.dims.clone());
        let turn = if let Mode::Train(_, turn) = mode { turn } else { 0 };
        let compiled = compiled::<E, N>(&mut self.programs, &key, &turns[turn], recipe, (state, settings.precision))?;
        compiled.program.run(state, &feed.data(), &mut compiled.workspace)?;
        if metrics.names != compiled.names.all {
            metrics.names.clone_from(&compiled.names.all);
        }
        metrics.loss = compiled.names.loss;
        metrics.values.clear();
        let value = |i: usize| {
            let output = compiled.program.output(&compiled.workspace, i);
            E::slice(&output).and_then(|values| values.first()).map_or(f64::NAN, |&value| Float::to_f64(value))
        };
        metrics.values.extend((0..compiled.names.all.len()).map(value));
        *good = if compiled.names.guarded { value(compiled.names.all.len()) } else { 0.0 };
        Ok(())
    }
}

impl<E: Float, N: Net<E>> fmt::Debug for Trainer<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("net", &N::NAME)
            .field("recipe", &self.recipe)
            .field("settings", &self.settings)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// Writes a model into a state. With a prefix, tensors that the state has no slot for are left out.
struct IntoState<'a> {
    state: &'a mut State,
    prefix: &'a str,
}

impl<E: Float> Visitor<E> for IntoState<'_> {
    fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
        let position = self.state.position(&format!("{}{}", self.prefix, slot.key));
        let Some(position) = position else {
            return if self.prefix.is_empty() { Err(missing(&slot.key)) } else { Ok(()) };
        };
        let values = tensor.to_vec();
        if self.state.set(position, E::data(&values)) { Ok(()) } else { Err(missing(&slot.key)) }
    }
}

/// Reads a model from a state: each tensor under the prefix if it is there, else under its own key.
pub(super) struct FromState<'a> {
    pub state: &'a State,
    pub prefix: &'a str,
}

impl<E: Float> Source<E> for FromState<'_> {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>> {
        let position = self.state.position(&format!("{}{}", self.prefix, slot.key));
        let position = position.or_else(|| self.state.position(&slot.key)).ok_or_else(|| missing(&slot.key))?;
        E::slice(&self.state.get(position)?).map(<[E]>::to_vec).ok_or_else(|| missing(&slot.key))
    }
}

fn missing(key: &str) -> Error {
    Error::value(format!("the state holds no `{key}` of this shape; the net describes other tensors than it uses"))
}
