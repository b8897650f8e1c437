//! Executes a program: (state, inputs) → (state, outputs), in place.

mod data;
mod arena;
mod state;
mod workspace;
mod execute;
mod profile;
mod cache;

pub use crate::compile::Program;
pub use cache::Cache;
pub use data::{Data, DataMut};
pub use profile::Profile;
pub use state::State;
pub use workspace::Workspace;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod attention;
#[cfg(test)]
mod loops;
