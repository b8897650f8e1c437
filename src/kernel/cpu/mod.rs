//! The processor: vectorised mathematics, fused kernels, matrix products, random numbers.
