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

use crate::{Error, Result};
use std::path::Path;

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io("read", path, e))
}
