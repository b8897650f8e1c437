//! How a training goes: everything that is chosen before the first step.

use super::Trainer;
use crate::nn::Net;
use crate::optim::{Group, Optimiser, Recipe, Schedule};
use crate::tensor::Float;
use crate::{Device, Error, Precision, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A training that is being described; [`Builder::build`] makes the trainer.
#[derive(Debug)]
pub struct Builder<N, E: Float = f32> {
    model: N,
    recipe: Recipe,
    settings: Settings,
    /// What makes the trainer of a net: what is none is told where the description begins, and only there.
    start: fn(&N, Recipe, Settings) -> Result<Trainer<N, E>>,
}

/// What follows a step that was refused because its loss or a gradient is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotFinite {
    /// The training ends with an error, which says where the numbers began.
    #[default]
    Stop,
    /// The batch is passed over, and counted by [`Trainer::skipped`]; the means of the epoch leave it out.
    Skip,
}

/// What the loop needs to know.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub seed: u64,
    pub batch_size: usize,
    pub drop_last: bool,
    pub epochs: u64,
    pub updates: Option<u64>,
    pub not_finite: NotFinite,
    pub patience: Option<u64>,
    pub metrics: Option<PathBuf>,
    pub checkpoint: Option<PathBuf>,
    pub stop: Option<Arc<AtomicBool>>,
    pub progress: bool,
    pub prefetch: usize,
    pub players: Vec<String>,
    pub device: Device,
    pub precision: Precision,
}

impl<E: Float, N> Builder<N, E> {
    pub(super) fn new(model: N, optimiser: impl Optimiser + 'static) -> Self
    where
        N: Net<E>,
    {
        let settings = Settings {
            seed: 0,
            batch_size: 32,
            drop_last: false,
            epochs: 1,
            updates: None,
            not_finite: NotFinite::Stop,
            patience: None,
            metrics: None,
            checkpoint: None,
            stop: None,
            progress: false,
            prefetch: 0,
            players: Vec::new(),
            device: Device::cpu(),
            precision: Precision::Full,
        };
        Builder { model, recipe: Recipe::new(optimiser), settings, start: Trainer::start }
    }

    /// Decides the order of the samples and every random draw; 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Where the training runs; on this processor unless set. Files, models and data stay on the host: a training can go on
    /// from a file on another device.
    pub fn device(mut self, device: &Device) -> Self {
        self.settings.device = device.clone();
        self
    }

    /// How exact the programs of the training are; [`Precision::Full`] unless set. Parameters and what the optimiser keeps are
    /// `f32` in each, and so are files and models.
    ///
    /// ```
    /// use ansatz::Precision;
    /// use ansatz::prelude::*;
    ///
    /// net! {
    ///     pub net Line(x: [n, 3], y: [n, 1]) -> [] { mse(x |> linear(8) |> gelu |> linear(1), y) }
    /// }
    ///
    /// let builder = Trainer::builder(Line::<f32>::init(0), AdamW::new(1e-3)).precision(Precision::Bf16);
    /// # builder.build()?;
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    pub fn precision(mut self, precision: Precision) -> Self {
        self.settings.precision = precision;
        self
    }

    /// Samples in a batch; 32 unless set. The last batch of an epoch may be smaller.
    pub fn batch_size(mut self, samples: usize) -> Self {
        self.settings.batch_size = samples;
        self
    }

    /// Leaves out the last batch of an epoch where it would be smaller than the others; each epoch leaves out other samples.
    /// Norms over a batch need it where a single sample could be left.
    pub fn drop_last(mut self) -> Self {
        self.settings.drop_last = true;
        self
    }

    /// How often [`Trainer::fit`] goes through the samples; once unless set.
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.settings.epochs = epochs;
        self
    }

    /// Ends [`Trainer::fit`] after so many updates in all, even within an epoch.
    pub fn updates(mut self, updates: u64) -> Self {
        self.settings.updates = Some(updates);
        self
    }

    /// The learning rate over time; constant unless set.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.recipe.schedule = schedule;
        self
    }

    /// Adds a group of parameters that are fitted in their own way. The first group that fits a parameter decides; one that
    /// fits none is an error.
    pub fn group(mut self, group: Group) -> Self {
        self.recipe.groups.push(group);
        self
    }

    /// Lets weight decay act on biases and scales too, as PyTorch does by default.
    pub fn decay_everything(mut self) -> Self {
        self.recipe.decay_everything = true;
        self
    }

    /// A game instead of one loss: the players move in turn, an update each. A player lessens the result of its name by the
    /// parameters below its name, and takes all others as they are; it has moments of its own, and a learning rate of its own
    /// by a [`Group`]. A name that stands twice moves twice in a round. The schedule counts the updates of all.
    ///
    /// ```
    /// use ansatz::prelude::*;
    ///
    /// net! {
    ///     net Generator(z: [n, 2]) -> [n, 2] { z |> linear(8) |> relu |> linear(2) }
    ///     net Discriminator(x: [n, 2]) -> [n, 1] { x |> linear(8) |> relu |> linear(1) }
    ///
    ///     /// Generative adversarial nets (Goodfellow et al. 2014), with the generator's loss that does not saturate.
    ///     pub net Gan(x: [n, 2]) -> (discriminator: [], generator: []) {
    ///         let judge = discriminator: Discriminator;
    ///         let fake = judge(normal([n, 2]) |> generator: Generator);
    ///         (discriminator = mean(softplus(-judge(x)) + softplus(fake)), generator = mean(softplus(-fake)))
    ///     }
    /// }
    ///
    /// let mut trainer = Trainer::builder(Gan::init(1), Adam { betas: (0.5, 0.9), ..Adam::new(1e-3) })
    ///     .alternate(["discriminator", "generator"])
    ///     .build()?;
    /// let batch = GanBatch { x: from_vec(vec![0.5; 8], (4, Const))? };
    /// println!("{}", trainer.step(&batch)?); // the discriminator moves
    /// println!("{}", trainer.step(&batch)?); // the generator moves
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    pub fn alternate(mut self, players: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.players = players.into_iter().map(Into::into).collect();
        self
    }

    /// Scales the gradients down to this global norm where it is longer.
    pub fn clip(mut self, norm: f64) -> Self {
        self.recipe.clip = Some(norm);
        self
    }

    /// Makes an update from the mean gradient of so many batches.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.recipe.accumulate = batches;
        self
    }

    /// Keeps an exponential moving average of the parameters, of which each update keeps this share (0.999, say).
    /// It begins at the first parameters; [`Trainer::averaged`] reads it.
    pub fn average(mut self, share: f64) -> Self {
        self.recipe.average = Some(share);
        self
    }

    /// Lets a loss or gradients that are not finite spoil the parameters. This saves a sum over the gradients.
    pub fn unguarded(mut self) -> Self {
        self.recipe.guard = false;
        self
    }

    /// What follows a step whose loss or gradients are not finite, which have reached no parameter; [`NotFinite::Stop`] unless
    /// set.
    pub fn not_finite(mut self, then: NotFinite) -> Self {
        self.settings.not_finite = then;
        self
    }

    /// Ends [`Trainer::fit`] when the loss (of validation, if there is one) has not fallen for so many epochs.
    pub fn early_stopping(mut self, patience: u64) -> Self {
        self.settings.patience = Some(patience);
        self
    }

    /// Appends a line of JSON to this file after each epoch.
    pub fn metrics(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.metrics = Some(path.into());
        self
    }

    /// Writes a training file after each epoch, from which [`Trainer::resume`] goes on.
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.checkpoint = Some(path.into());
        self
    }

    /// Ends [`Trainer::fit`] after the batch in which this becomes true, as a handler of signals may say: the training
    /// file is written, and [`Trainer::resume`] goes on as if nothing had been.
    ///
    /// ```no_run
    /// # use ansatz::{optim::AdamW, train::Trainer, nn::Trainable};
    /// # use std::sync::{Arc, atomic::AtomicBool};
    /// # fn example<Risk: Trainable<f32>>(risk: Risk, told: Arc<AtomicBool>) -> ansatz::Result<()> {
    /// let builder = Trainer::builder(risk, AdamW::new(1e-3)).checkpoint("training.safetensors").stop(told);
    /// # builder.build().map(drop) }
    /// ```
    pub fn stop(mut self, told: Arc<AtomicBool>) -> Self {
        self.settings.stop = Some(told);
        self
    }

    /// Shows a bar with the results, the samples per second and the time that is left; where the output is no terminal, a
    /// line for each epoch (with the feature `progress`).
    pub fn progress(mut self) -> Self {
        self.settings.progress = true;
        self
    }

    /// Prepares so many batches ahead on a second thread in [`Trainer::fit`] and [`Trainer::evaluate`]; none unless set.
    /// Order, draws and errors are those without. It pays where a batch takes long to prepare and a core is free.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.settings.prefetch = batches;
        self
    }

    /// Makes the trainer: the state of the model and of the optimiser is laid out.
    ///
    /// # Errors
    /// If a number lies outside its range, or no parameter is left to fit; if a net of `f64` is to be less than exact.
    pub fn build(self) -> Result<Trainer<N, E>> {
        self.recipe.check()?;
        self.settings.precision.fits(E::DTYPE).map_err(Error::value)?;
        if self.settings.batch_size == 0 {
            return Err(Error::value("a batch needs at least one sample"));
        }
        if self.settings.patience == Some(0) {
            return Err(Error::value("early stopping needs a patience of at least one epoch"));
        }
        (self.start)(&self.model, self.recipe, self.settings)
    }
}
