//! The layers that the language knows, and what every declared net is.

mod model;
mod net;
mod init;
mod linear;

pub use crate::tensor::Path;
pub use init::{Seeded, init};
pub use linear::{Linear, UnbiasedLinear};
pub use model::{Init, Model, Slot, Source, Visitor, slots};
pub use net::{Batch, BatchOf, Bindings, Net, Outputs, Value, trace};
