//! Data sets: loaders, seeded orders and splits, batches.

mod csv;
mod digits;
mod idx;
mod images;
mod labelled;
mod samples;
mod shuffle;
mod toy;

pub use self::csv::{Classes, csv};
pub use digits::digits;
pub use idx::idx;
pub use images::{Augment, Images, Part};
pub use labelled::Labelled;
pub use samples::{Dataset, Pass, Samples};
pub use shuffle::{epoch_order, shuffled, split};
pub use toy::{Toy, normal_points};
