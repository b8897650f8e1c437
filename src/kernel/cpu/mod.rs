//! The processor: vectorised mathematics, fused kernels, matrix products, random numbers.

pub mod random;
