//! Executes a program: (state, inputs) → (state, outputs), in place.

mod data;

pub use data::{Data, DataMut};
