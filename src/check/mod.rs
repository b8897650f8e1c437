//! Property tests of derivatives: any function and what claims to be its derivative are compared with finite differences
//! in f64, on inputs that proptest draws and shrinks. Finite differences decide, never another library.

mod derivative;
mod compiled;
mod difference;
mod net;
#[cfg(test)]
mod ops;

pub use crate::ops::Domain;
pub use derivative::{Failure, Input, Passed, Settings, derivative, strategy};
pub use net::{NetSettings, net};
