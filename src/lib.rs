//! Ansatz.
#![warn(missing_docs)]

extern crate self as ansatz;

pub mod error;
pub mod kernel;
pub mod graph;
pub mod ops;
pub mod grad;
pub mod run;
pub mod tensor;
pub mod nn;
pub mod optim;
pub mod data;
pub mod train;
#[cfg(feature = "check")]
pub mod check;

pub use error::{Error, Result};
