//! What devices execute: launches as pure data, and the kernels of each device. Knows no graph and no ops.
//!
//! A crate of its own, so that what uses it can change without compiling kernels again. Only the library should depend on it.
//!
//! `work` is the launch language: kinds of work over views of operands, the same for every device. Nothing of it knows
//! threads, scratch memory, caches or addresses; `cpu` does.

pub mod view;
pub mod bf16;
pub mod elementwise;
pub mod tiled;
pub mod chain;
pub mod gemm;
pub mod attention;
pub mod conv;
pub mod pool;
pub mod lookup;
pub mod call;
pub mod nest;
pub mod work;
pub mod cost;
pub mod schedule;
mod verify;
pub mod limits;
pub mod precision;
pub mod random;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;

pub use view::DType;
