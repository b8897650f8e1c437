//! Optimisers as graph code: the update of every parameter is recorded behind its gradient, so that the compiler fuses
//! the two. What changes from step to step (learning rates, bias corrections) is computed on the host in `f64` and given
//! to the graph as scalars.
//!
//! An [`Optimiser`] says how one parameter changes; a [`Recipe`] says which parameters change and how fast (groups,
//! schedule, clipping, accumulation, averaging); [`record`] writes both onto a graph.
//!
//! [`Sgd`], [`Adam`] and [`AdamW`] are such rules, and one of your own is no different: groups, schedules and training
//! files treat it alike. This is Lion (Chen et al. 2023):
//!
//! ```
//! use ansatz::graph::{NodeId, Unary};
//! use ansatz::optim::{At, Fit, Optimiser, within};
//! use ansatz::prelude::*;
//!
//! #[derive(Debug)]
//! struct Lion {
//!     learning_rate: f64,
//!     betas: (f64, f64),
//!     weight_decay: f64,
//! }
//!
//! impl Optimiser for Lion {
//!     fn learning_rate(&self) -> f64 {
//!         self.learning_rate
//!     }
//!
//!     fn weight_decay(&self) -> f64 {
//!         self.weight_decay
//!     }
//!
//!     // What changes from step to step: `at` knows group and schedule.
//!     fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
//!         emit("step", at.learning_rate);
//!         emit("kept", 1.0 - at.learning_rate * at.weight_decay);
//!     }
//!
//!     // c ← β₁ m + (1 − β₁) g;  p ← (1 − γ λ) p − γ sign(c);  m ← β₂ m + (1 − β₂) g.
//!     fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
//!         let (parameter, gradient) = (fit.parameter(), fit.gradient());
//!         let momentum = fit.state("momentum")?;
//!         let mixed = |fit: &mut Fit<'_>, beta: f64| {
//!             let (old, new) = (fit.scale(momentum, beta)?, fit.scale(gradient, 1.0 - beta)?);
//!             fit.add(old, new)
//!         };
//!         let (between, next) = (mixed(fit, self.betas.0)?, mixed(fit, self.betas.1)?);
//!         fit.set(momentum, next)?;
//!         let (step, kept) = (fit.scalar("step")?, fit.scalar("kept")?);
//!         let direction = fit.unary(Unary::Sign, between)?;
//!         let (moved, shrunk) = (fit.mul(step, direction)?, fit.mul(kept, parameter)?);
//!         fit.sub(shrunk, moved)
//!     }
//!
//!     fn check(&self) -> Result<()> {
//!         within("the first beta", self.betas.0, 0.0, 1.0)?;
//!         within("the second beta", self.betas.1, 0.0, 1.0)
//!     }
//! }
//!
//! net! {
//!     pub net Risk(x: [n, 4], y: [n, 1]) -> [] { x |> linear(8) |> tanh |> linear(1) |> mse(y) }
//! }
//!
//! let lion = Lion { learning_rate: 0.01, betas: (0.9, 0.99), weight_decay: 0.1 };
//! let mut trainer = Trainer::builder(Risk::<f32>::init(0), lion).schedule(Schedule::cosine(2, 50)).build()?;
//! let batch = RiskBatch { x: from_vec(vec![0.5; 12], (3, Const))?, y: from_vec(vec![1.0; 3], (3, Const))? };
//! let before = trainer.step(&batch)?.loss();
//! (0..20).try_for_each(|_| trainer.step(&batch).map(drop))?;
//! assert!(trainer.step(&batch)?.loss() < before);
//! # Ok::<(), ansatz::Error>(())
//! ```
//!
//! What takes more than arithmetic on elements has it too: [`Fit::matmul`], [`Fit::sum`], [`Fit::norm`], states of other
//! shapes than the parameter's ([`Fit::state_of`]), and by [`Fit::graph`] whatever a graph can record.

mod sgd;
mod adam;
mod adamw;
mod fit;
mod group;
mod recipe;
mod schedule;
mod record;

pub use adam::Adam;
pub use adamw::AdamW;
pub use fit::Fit;
pub use group::{Group, key_matches};
pub use recipe::Recipe;
pub(crate) use record::fitted_parameters;
pub use record::{AVERAGE, Phase, Recorded, record};
pub use schedule::Schedule;
pub use sgd::Sgd;

use crate::graph::NodeId;
use crate::{Error, Result};
use std::fmt::Debug;

/// A rule by which a parameter follows its gradient. It is recorded once for each parameter that is fitted, behind the
/// derivative; rules may treat parameters differently, by their [keys](Fit::key) or [sizes](Fit::dims), and hand some to
/// another rule.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no optimiser",
    label = "a rule such as `AdamW::new(1e-3)` is expected here, after the net"
)]
pub trait Optimiser: Debug + Send + Sync {
    /// The learning rate before any schedule.
    fn learning_rate(&self) -> f64;

    /// The weight decay of parameters that decay.
    fn weight_decay(&self) -> f64;

    /// Gives name and value of each scalar that changes from update to update, always the same names in the same order.
    /// They are computed in `f64` on the host, once for each group of parameters with rates of its own.
    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64));

    /// Records the new value of one parameter, which it gives, and [sets](Fit::set) the optimiser's own state.
    ///
    /// # Errors
    /// If a node cannot be recorded, or this parameter cannot be fitted by this rule.
    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId>;

    /// Checks the numbers it was made of.
    ///
    /// # Errors
    /// If one lies outside its range, by name.
    fn check(&self) -> Result<()>;
}

/// Where a group of parameters stands at an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// The learning rate, schedule included.
    pub learning_rate: f64,
    /// The weight decay of the group.
    pub weight_decay: f64,
    /// Which update this is, counted from 1.
    pub update: u64,
}

/// Checks a number of an optimiser.
///
/// # Errors
/// Unless `value` is at least `low` and below `high`; `what` is its name, `the learning rate`.
pub fn within(what: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..high).contains(&value) {
        return Ok(());
    }
    let range = if high.is_infinite() { format!("{low} or more") } else { format!("from {low} to below {high}") };
    Err(Error::value(format!("{what} is {value}; it must be a number {range}")))
}
