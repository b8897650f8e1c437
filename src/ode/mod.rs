//! Solvers of ordinary differential equations y′ = f(s, y): on the host over any function, and as part of a net.
//!
//! A [`Method`] is an explicit Runge-Kutta method, a table of numbers; a [`Solver`] is a method with a choice of steps:
//! a fixed number of them ([`rk4`]`(8)`), or as many as a tolerance takes ([`dopri5`]`(1e-6)`).
//!
//! ```
//! use ansatz::ode;
//!
//! // y′ = −y from y(0) = 1 gives y(1) = 1/e.
//! let solved = ode::tsit5(1e-9).solve(|_, y, dy| Ok(dy[0] = -y[0]), 0.0..1.0, &[1.0])?;
//! assert!((solved.y[0] - (-1f64).exp()).abs() < 1e-8);
//! # Ok::<(), ansatz::Error>(())
//! ```
//!
//! In a net, [`integrate`] takes fixed steps, which are a loop of its graph.
//!
//! Time may run backwards (`1.0..0.0`). No method here is made for stiff equations, whose fast decaying parts force
//! steps much smaller than the solution needs: an adaptive solver then says that it took too many.

mod method;
mod solve;
mod steps;
mod layer;
mod field;

pub(crate) use field::Field;
pub use layer::{Gradient, Integral, integrate, integrate_along};
pub(crate) use layer::{recorded, solved, stand_ins};
pub use method::{BOSH3, DOPRI5, EULER, HEUN, MIDPOINT, Method, RK4, TSIT5};
pub use solve::{Solved, Solver, Steps, Tolerance, Trajectory};
pub use solve::{bosh3, dopri5, euler, heun, midpoint, rk4, tsit5};

#[cfg(test)]
mod tests;

#[cfg(test)]
mod layer_tests;
