//! Training: files of models, figures.

mod checkpoint;
#[cfg(feature = "plot")]
pub mod plot;

pub use checkpoint::{Load, Loaded, load, load_into, save};

/// The note by which a training file is known: how far the training is.
const TRAINING_NOTE: &str = "ansatz.training";
