//! The processor: vectorised mathematics, fused kernels, matrix products, random numbers.

mod tiled;
mod task;
mod attention;
pub mod gemm;
mod lookup;
mod fold_in;
mod limits;
pub mod random;
pub mod denormal;
pub mod parallel;
pub mod math;
pub mod scratch;
mod vectorized;
mod rows;
mod fold;
mod strided;
mod call;
mod chain;
mod conv;
mod layout;
mod prepare;
mod widened;
mod pool;
#[cfg(test)]
mod tests;

use chain::PreparedChain;
pub use limits::LIMITS;
pub use math::Real;
pub use scratch::Scratch;
use tiled::Prepared;

use std::fmt::Debug;

/// Work that the processor is ready to run, over reals of type `T`.
pub trait Kernel<T>: Debug + Send + Sync {
    /// Whether it has enough work for several threads; a small program loses more by waking one than it gains.
    fn divides(&self) -> bool;

    /// The scratch memory that a launch on at most so many threads uses.
    fn scratch_bytes(&self, most: usize) -> usize;

    /// Runs on at most `most` threads.
    ///
    /// # Errors
    /// What could not be done.
    ///
    /// # Safety
    /// Every view of the work stays inside its operand, which is aligned for the view's elements and holds such. What is
    /// written is used nowhere else during the call, and overlaps what is read only where [`Work::replaces`] says so.
    ///
    /// [`Work::replaces`]: crate::work::Work::replaces
    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault>;
}

/// Why a launch could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An index is beyond the rows of its table.
    Beyond {
        /// The index.
        index: u32,
        /// The number of rows.
        rows: usize,
    },
    /// A function from outside gave another number of elements than its result has.
    Count {
        /// What was called.
        function: String,
        /// How many it gave.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
}

/// An untyped operand of a launch; the views of the kernel say what its elements are.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// The first element.
    pub pointer: *mut u8,
    /// The number of elements.
    pub len: usize,
}

// SAFETY: an operand is only an address; whoever launches a kernel on it vouches for the memory behind it.
unsafe impl Send for Operand {}
// SAFETY: as above.
unsafe impl Sync for Operand {}
