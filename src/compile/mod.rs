//! From a graph to a program: simplify → fuse → narrow → memory.
//!
//! Each stage is a function from one form to the next. `fuse` decides which nodes are kept in memory and groups them
//! into launches, `narrow` stores some of what lies between them with sixteen bits where that is wanted, and `memory` lays their
//! buffers out in one arena. A program is these launches as data, the same for every float type; what a device prepares for
//! them is the device's own.

mod simplify;
mod fuse;
mod narrow;
mod memory;
mod program;
mod listing;
#[cfg(all(test, feature = "check"))]
pub(crate) mod sample;
#[cfg(all(test, feature = "check"))]
mod faults;
#[cfg(all(test, feature = "check"))]
pub(crate) mod rounded;

pub use program::{Output, Program};
pub use simplify::simplify;

use crate::graph::Graph;
use crate::kernel::limits::Limits;
use crate::kernel::precision::Precision;
use crate::ops::Kind;
use crate::{Error, Result};

/// What tests compile for: the processor, with chains of even the smallest tensors.
#[cfg(test)]
pub(crate) const LIMITS: Limits = crate::kernel::cpu::LIMITS.chaining_all();

/// Whether the bytes of all nodes together can be counted, those of loop bodies included: places in memory are numbers, and
/// what wraps around would be another place.
fn countable(graph: &Graph, total: &mut usize) -> Result<()> {
    for (_, node) in graph.nodes() {
        *total = node.len().saturating_mul(node.dtype.size()).saturating_add(*total);
        // Room for what is copied and rounded up.
        if *total > isize::MAX as usize / 8 {
            let (op, dims, dtype) = (&node.op, &node.dims, node.dtype);
            let problem = format!("{op:?} gives {dtype:?}{dims:?}, which is more than any memory holds");
            return Err(Error::shape("compile", problem));
        }
        if let Kind::Loop(nest) = node.op.kind() {
            countable(&nest.body, total)?;
        }
    }
    Ok(())
}

/// The program that computes the outputs and updates of `graph`, in launches that keep to the limits of a device.
///
/// # Errors
/// If the graph mixes `f32` and `f64`: a program computes in one of them. If it computes in `f64`, and a lower precision is
/// asked for.
pub fn compile(graph: &Graph, limits: &Limits, precision: Precision) -> Result<Program> {
    countable(graph, &mut 0)?;
    let graph = simplify(graph);
    let dtype = program::float_type(&graph)?;
    precision.fits(dtype).map_err(Error::value)?;
    let mut schedule = fuse::fuse(&graph, limits);
    if precision == Precision::Bf16 {
        narrow::narrow(&mut schedule, limits);
    }
    memory::lay_out(&mut schedule, limits);
    let program = Program::new(&graph, (dtype, precision), schedule);
    match program.schedule.verify() {
        Ok(()) => Ok(program),
        Err(problem) => Err(Error::value(format!("the compiler has a fault: a program in which {problem}\n{program}"))),
    }
}
