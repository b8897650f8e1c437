//! Training: files of models.

mod checkpoint;

pub use checkpoint::{Load, Loaded, load, load_into, save};

/// The note by which a training file is known: how far the training is.
const TRAINING_NOTE: &str = "ansatz.training";
