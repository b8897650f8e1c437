#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

extern crate self as ansatz;

pub mod error;
use ansatz_kernel as kernel;
pub mod graph;
pub mod ops;
pub mod grad;
mod compile;
mod run;
pub mod tensor;
pub mod nn;
pub mod optim;
pub mod ode;
pub mod flow;
pub mod transport;
pub mod data;
pub mod text;
pub mod train;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "check")]
pub mod check;
pub mod models;

#[doc = include_str!("language.md")]
pub mod language {
    #[doc = include_str!("errors.md")]
    pub mod errors {}
}

pub use error::{Error, Result};
pub use run::{Device, Precision};

/// What a graph becomes, for the benches and the tests that compile graphs by hand.
#[doc(hidden)]
pub mod engine {
    pub use crate::run::{Program, State, Workspace, compile};
    pub use crate::tensor::{Data, DataMut};
}

#[doc(hidden)]
pub use dfdx;

#[doc(hidden)]
pub use ansatz_macros::__import;
pub use ansatz_macros::net;

/// What a program that declares and trains nets needs: `use ansatz::prelude::*;`.
pub mod prelude {
    pub use crate::data::{self, Dataset};
    pub use crate::net;
    pub use crate::nn::{Batch, Model, Net, Session, Trainable};
    pub use crate::optim::{Adam, AdamW, Schedule, Sgd};
    pub use crate::tensor::{Const, ConstDim, Cpu, Dim, Indices, Tensor, from_vec, to_vec};
    pub use crate::train::{self, Trainer};
    pub use crate::{Device, Error, Result};
}
