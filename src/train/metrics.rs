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
    /// Opens a file to append to, for a training of which so many epochs are finished. Where a killed training went further,
    /// its epochs come again, and are taken out; half a line goes too.
    pub fn open(path: &Path, finished: u64) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        }
        let failed = |e| Error::io("write", path, e);
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() {
            let text = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
            let kept = kept(&text, finished);
            if kept < text.len() {
                file.set_len(kept as u64).map_err(failed)?;
            }
        }
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

/// How many bytes of a file of metrics are to stay: its whole lines, and of those none behind the last finished epoch, if
/// the lines at its end lead back to that without a gap. Others are of other trainings.
fn kept(text: &[u8], finished: u64) -> usize {
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let mut end = whole;
    let mut expected = None;
    while let Some(last) = end.checked_sub(1) {
        let begin = text[..last].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
        let line = serde_json::from_slice::<Value>(&text[begin..last]).ok();
        let Some(epoch) = line.and_then(|line| line.get("epoch")?.as_u64()) else { break };
        if expected.is_some_and(|expected| expected != epoch) {
            break;
        }
        if epoch == finished {
            return end;
        }
        expected = epoch.checked_sub(1);
        end = begin;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_that_come_again_are_taken_out_and_those_of_others_are_not() {
        let lines = |epochs: &[u64]| epochs.iter().map(|e| format!("{{\"epoch\":{e}}}\n")).collect::<String>();
        for (before, finished, after) in [
            (&[1, 2, 3][..], 2, &[1, 2][..]),
            (&[1, 2, 3, 4, 5], 2, &[1, 2]),
            (&[1, 2, 3], 3, &[1, 2, 3]),
            (&[1, 2, 1, 2, 3], 2, &[1, 2, 1, 2]),
            // A new training, and one whose lines are elsewhere.
            (&[1, 2, 3], 0, &[1, 2, 3]),
            (&[5, 6], 3, &[5, 6]),
            (&[1, 3], 1, &[1, 3]),
            (&[], 4, &[]),
        ] {
            for half in ["", "{\"epo", "{\"epoch\":9}"] {
                let text = lines(before) + half;
                assert_eq!(text[..kept(text.as_bytes(), finished)], lines(after), "{before:?} {finished}");
            }
        }
    }
}
