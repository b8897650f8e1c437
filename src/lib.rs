//! Ansatz.
#![warn(missing_docs)]

extern crate self as ansatz;

pub mod error;
pub mod graph;
pub mod kernel;

pub use error::{Error, Result};
