//! Executes a program: (state, inputs) → (state, outputs), in place.

mod data;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod state;
mod workspace;
mod execute;
mod profile;
mod cache;

pub use crate::compile::Program;
pub use crate::kernel::precision::Precision;

use crate::Result;
use crate::graph::Graph;

/// The program that computes the outputs and updates of `graph` on this processor.
///
/// # Errors
/// If the graph mixes `f32` and `f64`: a program computes in one of them.
pub fn compile(graph: &Graph) -> Result<Program> {
    compile_for(graph, &Device::cpu(), Precision::Full)
}

/// The program that computes the outputs and updates of `graph` on a device.
///
/// # Errors
/// As for [`compile`], and if a graph of `f64` numbers is to be less than exact.
pub fn compile_for(graph: &Graph, device: &Device, precision: Precision) -> Result<Program> {
    crate::compile::compile(graph, device.limits(), precision)
}

pub use cache::{Cache, SharedCache};
pub use data::{Data, DataMut};
pub use device::Device;
pub use profile::Profile;
pub use state::State;
pub use workspace::Workspace;

#[cfg(all(test, feature = "check"))]
mod tests;
#[cfg(all(test, feature = "check"))]
mod attention;
#[cfg(all(test, feature = "check"))]
mod loops;
#[cfg(all(test, feature = "check"))]
mod narrow;
