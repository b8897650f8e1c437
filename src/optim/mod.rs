//! Optimisers as graph code: the update of every parameter is recorded behind its gradient, so that the compiler fuses
//! the two. What changes from step to step (learning rates, bias corrections) is computed on the host in `f64` and given
//! to the graph as scalars.
//!
//! An [`Optimiser`] says how one parameter changes; a [`Recipe`] says which parameters change and how fast (groups,
//! schedule, clipping, accumulation, averaging); [`record`] writes both onto a graph.

mod adam;
mod adamw;
mod group;
mod record;
mod recipe;
mod schedule;
mod sgd;

pub use adam::Adam;
pub use adamw::AdamW;
pub use group::{Group, key_matches};
pub use recipe::Recipe;
pub use record::{AVERAGE, Fit, Phase, record};
pub use schedule::Schedule;
pub use sgd::Sgd;

use crate::graph::NodeId;
use crate::{Error, Result};
use std::fmt::Debug;

/// A rule by which a parameter follows its gradient.
pub trait Optimiser: Debug + Send + Sync {
    /// The learning rate before any schedule.
    fn learning_rate(&self) -> f64;

    /// The weight decay of parameters that decay.
    fn weight_decay(&self) -> f64;

    /// Gives name and value of each scalar that changes from update to update, always the same names in the same order.
    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64));

    /// Records the new value of one parameter, and of the optimiser's own state.
    ///
    /// # Errors
    /// If a node cannot be recorded.
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

/// An error unless `value` is at least `low` and below `high`.
pub(crate) fn within(what: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..high).contains(&value) {
        return Ok(());
    }
    let range = if high.is_infinite() { format!("{low} or more") } else { format!("from {low} to below {high}") };
    Err(Error::value(format!("{what} is {value}; it must be a number {range}")))
}
