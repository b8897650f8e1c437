//! Executes a program: (state, inputs) → (state, outputs), in place.

mod data;
mod cpu;
mod state;
mod workspace;
mod execute;
mod profile;
mod cache;

pub use crate::compile::Program;

use crate::Result;
#[cfg(test)]
use crate::compile::LIMITS;
use crate::graph::Graph;
#[cfg(not(test))]
use crate::kernel::cpu::LIMITS;

/// The program that computes the outputs and updates of `graph` on this processor.
///
/// # Errors
/// If the graph mixes `f32` and `f64`: a program computes in one of them.
pub fn compile(graph: &Graph) -> Result<Program> {
    crate::compile::compile(graph, &LIMITS)
}

pub use cache::Cache;
pub use data::{Data, DataMut};
pub use profile::Profile;
pub use state::State;
pub use workspace::Workspace;

#[cfg(all(test, feature = "check"))]
mod tests;
#[cfg(all(test, feature = "check"))]
mod attention;
#[cfg(all(test, feature = "check"))]
mod loops;
