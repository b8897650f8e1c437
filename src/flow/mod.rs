//! Normalizing flows: invertible maps with the logarithm of their determinant, which turn one density into another.
//!
//! By the change of variables ln p(x) = ln q(z) + ln |det ∂z/∂x|, a map z(x) and a simple density q give a density p.

mod continuous;
mod spline;

pub use continuous::{Trace, cnf};
pub use spline::spline;

#[cfg(test)]
mod spline_tests;
