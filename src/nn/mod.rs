//! The layers that the language knows, and what every declared net is.

mod model;
mod net;

pub use model::{Init, Model, Path, Slot, Source, Visitor, slots};
pub use net::{Batch, Net, Outputs};
