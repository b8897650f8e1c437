//! What someone may add to the library in a crate of their own, with its public names alone: optimisers that need more
//! than arithmetic on elements, a solver, layers with parameters, and a differentiable op.
#![deny(warnings)]

mod adafactor;
mod lamb;
mod muon;
pub mod layers;
pub mod ops;
pub mod solvers;

pub use adafactor::Adafactor;
pub use lamb::Lamb;
pub use muon::Muon;
