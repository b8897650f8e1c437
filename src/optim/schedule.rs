//! Learning rates over time, computed on the host.

use super::within;
use crate::{Error, Result};
use std::f64::consts::PI;

/// By which factor the learning rate is multiplied at each update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// Always 1.
    #[default]
    Constant,
    /// `factor` to the number of full periods of `every` updates.
    Step {
        /// Updates between two changes.
        every: u64,
        /// What the rate is multiplied by at each change.
        factor: f64,
    },
    /// Linear from 1/`warmup` to 1, then half a cosine from 1 to `floor` at update `total`
    /// (Loshchilov and Hutter 2017, without restarts), and `floor` from there on.
    Cosine {
        /// Updates of the linear rise.
        warmup: u64,
        /// The update at which the floor is reached.
        total: u64,
        /// The least factor.
        floor: f64,
    },
    /// Half a cosine from 1/`initial_divisor` up to 1, and another one down to 1/(`initial_divisor` · `final_divisor`)
    /// (Smith and Topin 2019, in the form of PyTorch's `OneCycleLR`). The learning rate is the greatest one.
    OneCycle {
        /// The number of updates of the cycle.
        total: u64,
        /// The share of them in which the rate rises; PyTorch's is 0.3.
        rise: f64,
        /// PyTorch's `div_factor` is 25.
        initial_divisor: f64,
        /// PyTorch's `final_div_factor` is 1e4.
        final_divisor: f64,
    },
}

impl Schedule {
    /// A cosine with warm-up that ends at zero.
    pub fn cosine(warmup: u64, total: u64) -> Self {
        Schedule::Cosine { warmup, total, floor: 0.0 }
    }

    /// One cycle with PyTorch's constants.
    pub fn one_cycle(total: u64) -> Self {
        Schedule::OneCycle { total, rise: 0.3, initial_divisor: 25.0, final_divisor: 1e4 }
    }

    /// The factor at an update, counted from 0.
    pub fn factor(&self, update: u64) -> f64 {
        match *self {
            Schedule::Constant => 1.0,
            Schedule::Step { every, factor } => factor.powf((update / every) as f64),
            Schedule::Cosine { warmup, .. } if update < warmup => (update + 1) as f64 / warmup as f64,
            Schedule::Cosine { warmup, total, floor } => {
                cosine(1.0, floor, (update - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64)
            }
            Schedule::OneCycle { total, rise, initial_divisor, final_divisor } => {
                let (first, last) = (1.0 / initial_divisor, 1.0 / (initial_divisor * final_divisor));
                // A rise of one update or less is none: the first update is the top.
                let (top, end) = ((rise * total as f64 - 1.0).max(0.0), total as f64 - 1.0);
                let at = (update as f64).min(end);
                match at < top {
                    true => cosine(first, 1.0, at / top),
                    false if at == top => 1.0,
                    false => cosine(1.0, last, (at - top) / (end - top)),
                }
            }
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match *self {
            Schedule::Constant => Ok(()),
            Schedule::Step { every: 0, .. } => Err(Error::value("a step schedule needs at least one update a step")),
            Schedule::Step { factor, .. } => within("the factor of the step schedule", factor, 0.0, f64::INFINITY),
            Schedule::Cosine { warmup, total, floor } => {
                if warmup >= total {
                    return Err(Error::value(format!(
                        "the cosine schedule warms up for {warmup} updates of {total}; it must end after the warm-up"
                    )));
                }
                within("the floor of the cosine schedule", floor, 0.0, f64::INFINITY)
            }
            Schedule::OneCycle { total, rise, initial_divisor, final_divisor } => {
                if total < 2 {
                    return Err(Error::value("one cycle needs at least two updates"));
                }
                within("the rising share of the cycle", rise, 0.0, 1.0)?;
                within("the initial divisor of the cycle", initial_divisor, 1.0, f64::INFINITY)?;
                within("the final divisor of the cycle", final_divisor, 1.0, f64::INFINITY)
            }
        }
    }
}

/// From `a` at 0 to `b` at 1 along half a cosine; constant outside.
fn cosine(a: f64, b: f64, at: f64) -> f64 {
    b + (a - b) * 0.5 * (1.0 + (PI * at.clamp(0.0, 1.0)).cos())
}
