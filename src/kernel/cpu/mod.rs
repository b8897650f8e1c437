//! The processor: vectorised mathematics, fused kernels, matrix products, random numbers.

pub mod tiled;
mod task;
pub mod attention;
pub mod gemm;
mod lookup;
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
mod pool;
#[cfg(test)]
mod tests;

pub use attention::Attention;
pub use chain::{MOST_OPERANDS, PreparedChain};
pub use gemm::{Factor, Gemm, MatrixView, gemm};
pub use lookup::{Beyond, Kind, Lookup, Place};
pub use math::Real;
pub use scratch::Scratch;
pub use tiled::Prepared;

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
