//! The numbers that a training shows.

use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The scalar results of a net, by name: of one batch, or their means over the samples of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    pub(super) names: Vec<&'static str>,
    pub(super) values: Vec<f64>,
    pub(super) loss: usize,
}

impl Metrics {
    /// The result that is trained.
    pub fn loss(&self) -> f64 {
        self.values.get(self.loss).copied().unwrap_or(f64::NAN)
    }

    /// The result of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All results, in the order of the declaration.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.names.iter().copied().zip(self.values.iter().copied())
    }

    fn json(&self) -> Value {
        Value::Object(self.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>())
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name} {value:.4}", if i == 0 { "" } else { "  " })?;
        }
        Ok(())
    }
}

/// What happened in one epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u64,
    /// The updates made since the beginning.
    pub updates: u64,
    /// Means over the samples of the epoch, taken while the parameters changed.
    pub train: Metrics,
    /// Means over the validation samples after the epoch.
    pub validation: Option<Metrics>,
    /// The learning rate of the optimiser at the last update, schedule included.
    pub learning_rate: f64,
    /// Training samples per second.
    pub samples_per_second: f64,
}

/// What happened in a training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The finished epochs, in order.
    pub epochs: Vec<Epoch>,
    /// The epoch with the least loss (of validation, if there is one), from 1; 0 before the first.
    pub best_epoch: u64,
    /// Whether early stopping ended it.
    pub stopped_early: bool,
    /// Whether it was [told to stop](super::Builder::stop) before its last epoch ended.
    pub interrupted: bool,
}

impl History {
    /// The training loss of each epoch.
    pub fn train_loss(&self) -> Vec<f64> {
        self.epochs.iter().map(|epoch| epoch.train.loss()).collect()
    }

    /// The validation loss of each epoch, if there is one.
    pub fn validation_loss(&self) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| Some(epoch.validation.as_ref()?.loss())).collect()
    }
}

/// A file of one JSON object per epoch.
#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens a file to append to.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        let file = File::options().create(true).append(true).open(path).map_err(|e| Error::io("write", path, e))?;
        Ok(MetricsFile { path: path.to_owned(), file })
    }

    /// Appends a line.
    pub fn write(&mut self, epoch: &Epoch) -> Result<()> {
        let mut line = json!({
            "epoch": epoch.epoch,
            "updates": epoch.updates,
            "learning_rate": epoch.learning_rate,
            "samples_per_second": epoch.samples_per_second,
            "train": epoch.train.json(),
        });
        if let Some(validation) = &epoch.validation {
            line["validation"] = validation.json();
        }
        writeln!(self.file, "{line}").map_err(|e| Error::io("write", &self.path, e))
    }
}
