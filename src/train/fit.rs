//! The loop over epochs.

use super::batches::countable;
use super::metrics::{Epoch, History, Metrics, MetricsFile};
use super::origin::Origin;
use super::programs::GRADIENT_NORM;
use super::progress::Bar;
use super::settings::Settings;
use super::trainer::{Clock, Trainer};
use crate::data::{Dataset, epoch_order};
use crate::nn::Net;
use crate::tensor::Float;
use crate::{Error, Result};
use std::sync::atomic::Ordering;
use std::time::Instant;

impl<E: Float, N: Net<E>> Trainer<N, E> {
    /// Trains for the epochs that are left, in a new seeded order each; evaluates on the validation samples after each.
    ///
    /// # Errors
    /// If there is no sample, one cannot be read, a file cannot be written, or the loss or a gradient is not finite (unless
    /// such batches are [passed over](super::NotFinite::Skip)); the state is then that of the last good step.
    pub fn fit(
        &mut self,
        train: &dyn Dataset<N::Batch>,
        validation: Option<&dyn Dataset<N::Batch>>,
    ) -> Result<History> {
        if train.is_empty() || validation.is_some_and(|data| data.is_empty()) {
            return Err(Error::value("there is no sample to train on or to validate with"));
        }
        if self.settings.drop_last && train.len() < self.settings.batch_size {
            return Err(Error::value(format!(
                "{} samples are less than a batch of {}, and `drop_last` leaves out what is less",
                train.len(),
                self.settings.batch_size
            )));
        }
        countable(train)?;
        // Without a file nobody asks for it.
        if self.settings.checkpoint.is_some() || self.resumed.is_some() || self.data.is_some() {
            let data = Origin::of(train)?;
            if let Some(before) = self.resumed {
                before.check(&data)?;
                self.resumed = None;
            }
            self.data = Some(data);
        }
        let epoch = self.clock.epoch;
        let mut metrics_file =
            self.settings.metrics.as_deref().map(|path| MetricsFile::open(path, epoch)).transpose()?;
        let mut history = History { best_epoch: self.clock.best_epoch, ..History::default() };
        let mut order = Vec::new();
        let Settings { epochs, batch_size, progress, .. } = self.settings;
        let done = self.clock.epoch * train.len() as u64 + self.clock.position * batch_size as u64;
        let mut bar = Bar::new(progress, epochs, train.len(), done);
        while self.clock.epoch < self.settings.epochs && !self.is_done() {
            epoch_order(train.len(), self.settings.seed, self.clock.epoch, &mut order);
            let Some(mut epoch) = self.epoch(train, &order, &mut bar)? else { break };
            epoch.validation = validation.map(|data| self.evaluate(data)).transpose()?;
            self.judge(&epoch)?;
            let noted = metrics_file.as_mut().map_or(Ok(()), |file| file.write(&epoch));
            bar.epoch(&epoch);
            history.epochs.push(epoch);
            history.best_epoch = self.clock.best_epoch;
            if let Some(path) = self.settings.checkpoint.clone() {
                self.save(path)?;
            }
            // What was learnt is safe, whatever became of the metrics.
            noted?;
            if self.settings.patience.is_some_and(|patience| self.clock.waited >= patience) {
                history.stopped_early = true;
                break;
            }
        }
        if self.is_stopped() && self.clock.epoch < self.settings.epochs {
            history.interrupted = true;
            if let Some(path) = self.settings.checkpoint.clone() {
                self.save(path)?;
            }
        }
        if let Some(last) = history.epochs.last() {
            bar.finish(last);
        }
        Ok(history)
    }

    /// Lets [`Trainer::fit`] go on until so many updates are made in all, instead of what [`Builder::updates`] has said: a
    /// training in stages, between which one can look at the model, save, or stop. The epochs still bound it.
    ///
    /// ```
    /// # use ansatz::prelude::*;
    /// # net! { pub net Risk(x: [n, 2]) -> [] { x |> linear(1) |> square |> mean } }
    /// # let data = ansatz::data::Samples::new(&RiskBatch { x: from_vec(vec![0.5; 16], (8, Const))? })?;
    /// let mut trainer = Trainer::builder(Risk::init(1), Adam::new(1e-2)).batch_size(2).epochs(3).build()?;
    /// for updates in [5, 10] {
    ///     trainer.until(updates).fit(&data, None)?;
    ///     assert_eq!(trainer.updates(), updates);
    /// }
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    ///
    /// [`Builder::updates`]: super::Builder::updates
    pub fn until(&mut self, updates: u64) -> &mut Self {
        self.settings.updates = Some(updates);
        self
    }

    fn is_done(&self) -> bool {
        self.is_stopped() || self.settings.updates.is_some_and(|updates| self.clock.updates >= updates)
    }

    fn is_stopped(&self) -> bool {
        self.settings.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// The batches of an epoch that are left; nothing if the updates ran out within it.
    fn epoch(&mut self, train: &dyn Dataset<N::Batch>, order: &[u32], bar: &mut Bar) -> Result<Option<Epoch>> {
        let begin = Instant::now();
        let Settings { batch_size, drop_last, .. } = self.settings;
        let rest = if drop_last { order.len() % batch_size } else { 0 };
        let end = order.len() - rest;
        // A resumed epoch has seen some.
        let seen = (self.clock.position as usize * batch_size).min(end);
        let batches = order[seen..end].chunks(batch_size);
        let mut samples = 0;
        let mut learning_rate = self.learning_rate();
        let whole = self.each_batch(train, self.training_pass(), batches, |trainer, rows| {
            if trainer.is_done() {
                return Ok(false);
            }
            learning_rate = trainer.learning_rate();
            let skipped = trainer.skipped();
            trainer.step_on_feed()?;
            let taken = trainer.skipped() == skipped;
            let Trainer { clock, metrics, .. } = trainer;
            clock.position += 1;
            if !taken {
                return Ok(true);
            }
            clock.samples += rows.len() as u64;
            samples += rows.len();
            clock.sums.resize(metrics.values.len().max(clock.sums.len()), 0.0);
            for (sum, value) in clock.sums.iter_mut().zip(&metrics.values) {
                *sum += rows.len() as f64 * value;
            }
            bar.advance(rows.len(), clock.epoch + 1, &|| clock.means(metrics));
            Ok(true)
        })?;
        if !whole {
            return Ok(None);
        }
        let train = self.clock.means(&self.metrics);
        self.clock.epoch += 1;
        self.clock.position = 0;
        self.clock.samples = 0;
        self.clock.sums.clear();
        Ok(Some(Epoch {
            epoch: self.clock.epoch,
            updates: self.clock.updates,
            train,
            validation: None,
            learning_rate,
            samples_per_second: samples as f64 / begin.elapsed().as_secs_f64(),
        }))
    }

    /// Is this the best epoch so far?
    fn judge(&mut self, epoch: &Epoch) -> Result<()> {
        let loss = epoch.validation.as_ref().unwrap_or(&epoch.train).loss();
        if loss < self.clock.best_loss {
            self.clock.best_loss = loss;
            self.clock.best_epoch = epoch.epoch;
            self.clock.waited = 0;
            if self.settings.patience.is_some() {
                self.best = Some(self.model()?);
            }
        } else {
            self.clock.waited += 1;
        }
        Ok(())
    }
}

impl Clock {
    /// The means of the results over the epoch so far. The norm of the gradients is a fact about single updates.
    fn means(&self, last: &Metrics) -> Metrics {
        let names: Vec<&'static str> = last.names.iter().copied().filter(|name| *name != GRADIENT_NORM).collect();
        let values = self.sums.iter().take(names.len()).map(|sum| sum / self.samples as f64).collect();
        Metrics { names, values, loss: last.loss }
    }
}
