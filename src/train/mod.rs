//! Training: the loop, its files, and gradients for hand-written loops.

mod settings;
mod trainer;
mod anomaly;
mod batches;
mod fit;
mod metrics;
mod origin;
mod progress;
mod programs;
mod checkpoint;
mod resume;

pub use checkpoint::{Load, Loaded, Mapping, UNREAD, load, load_into, save};
pub use metrics::{Epoch, History, Metrics};
pub use programs::Memory;
pub use settings::{Builder, NotFinite};
pub use trainer::Trainer;

pub use crate::kernel::cost::Speed;
pub use crate::run::Profile;

use resume::NOTE as TRAINING_NOTE;
