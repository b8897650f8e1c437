//! From a graph to a program: simplify → fuse → schedule → memory → plan.
//!
//! Each stage is a function from one form to the next. `fuse` decides which nodes are kept in memory and groups them
//! into launches, `memory` lays their buffers out in one arena, and the plan resolves every operand to an offset, so
//! that a run only walks a list.

mod simplify;
mod fuse;
mod memory;
mod program;
mod listing;
#[cfg(test)]
pub(crate) mod sample;

pub use program::Program;
pub use simplify::simplify;

pub(crate) use program::{Inner, Launch, Nest, Place, Plan, Step};

pub(crate) use fuse::Piece;

use crate::Result;
use crate::graph::Graph;

/// The program that computes the outputs and updates of `graph`.
///
/// # Errors
/// If the graph mixes `f32` and `f64`: a program computes in one of them.
pub fn compile(graph: &Graph) -> Result<Program> {
    let graph = simplify(graph);
    let dtype = program::float_type(&graph)?;
    let schedule = fuse::fuse(&graph);
    let layout = memory::layout(&schedule);
    Ok(Program::new(&graph, dtype, schedule, layout))
}
