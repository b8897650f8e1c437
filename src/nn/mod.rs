//! The layers that the language knows, and what every declared net is.

mod model;
mod net;
mod init;
mod declared;
mod linear;
mod embedding;
mod norm;
mod channels;
mod conv;
mod masked;
mod actnorm;
mod invertible;
mod repeat;
mod compiled;
mod call;
mod session;
mod causal;
mod stream;
mod tape;

pub use crate::tensor::Path;
pub use actnorm::ActNorm;
pub use call::{forward, gradient, loss};
pub use channels::{BatchNorm, GroupNorm};
pub use conv::{
    Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Slide, UnbiasedConv1d, UnbiasedConv2d, UnbiasedConvTranspose1d,
    UnbiasedConvTranspose2d,
};
pub use declared::Declared;
pub use embedding::Embedding;
pub use init::{Fan, Init, Seeded, Start, init, try_init};
pub use invertible::InvertibleLinear;
pub use linear::{Linear, UnbiasedLinear};
pub use masked::{Degrees, MaskedLinear};
pub use model::{Model, Slot, Source, Visitor, slots};
pub use net::{
    Batch, BatchFor, BatchOf, Bindings, Env, HasLoss, Net, NoLoss, Outputs, Scalar, Trainable, Value, trace,
};
pub use norm::{LayerNorm, RmsNorm};
pub use repeat::Repeat;
pub use session::Session;
pub use stream::Stream;
pub use tape::on_tape;
