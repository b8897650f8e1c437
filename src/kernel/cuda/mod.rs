//! NVIDIA's devices: their libraries, looked for at run time, and work printed as the text of kernels.

mod library;
pub mod blas;
pub mod driver;
pub mod nvrtc;
pub mod print;

pub use library::folders;
