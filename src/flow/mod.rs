//! Flows from noise to data.
//!
//! Flow matching and diffusion learn the velocity of points on a [`Path`] from noise to data, or something that it follows
//! from ([`Prediction`]); a [`Process`] makes samples of it. In `net!`, `path(s, kind = cosine)` is the path of a training
//! loss.
//!
//! Normalizing flows are invertible maps with the logarithm of their determinant, which turn one density into another: by
//! the change of variables ln p(x) = ln q(z) + ln |det ∂z/∂x|, a map z(x) and a simple density q give a density p.

mod path;
mod prediction;
mod process;
mod continuous;
mod spline;
mod affine;
mod elementwise;
mod permute;

pub use affine::affine;
pub use continuous::{Trace, cnf};
pub use elementwise::{Elementwise, elementwise};
pub use path::{At, Path, path};
pub use permute::permute;
pub use prediction::Prediction;
pub use process::{Process, Sampler};
pub use spline::spline;

use crate::Result;
use crate::kernel::cpu::random;
use crate::tensor::{Cpu, Float, Shape, Tensor, from_vec};

/// Standard normal draws on the host, which depend on the seed alone: points from which the inverse of a flow makes samples.
///
/// # Errors
/// If the memory for them cannot be had.
pub fn noise<S: Shape, E: Float>(shape: S, seed: u64) -> Result<Tensor<S, E, Cpu>> {
    let key = [seed as u32, (seed >> 32) as u32, 0, 0];
    let path = crate::tensor::Path::root().child("noise").hash();
    let draw = |i| <E as Float>::from_f64(random::normal(key, path, i));
    from_vec((0..shape.num_elements() as u64).map(draw).collect(), shape)
}

#[cfg(test)]
mod spline_tests;
