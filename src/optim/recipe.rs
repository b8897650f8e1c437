//! Which parameters change, and how fast.

use super::{At, Group, Optimiser, Schedule, within};
use crate::graph::StateKind;
use crate::nn::Slot;
use crate::{Error, Result};

/// How the parameters of a net are fitted: the optimiser and everything around it.
#[derive(Debug)]
pub struct Recipe {
    /// The rule by which each parameter follows its gradient.
    pub optimiser: Box<dyn Optimiser>,
    /// Parameters that are special; the first group that fits a parameter decides.
    pub groups: Vec<Group>,
    /// Whether weight decay acts on biases and scales too, as PyTorch's default is. Ours leaves them alone.
    pub decay_everything: bool,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// The greatest norm of all gradients together; longer ones are scaled down to it.
    pub clip: Option<f64>,
    /// How many batches make one update; their gradients are averaged.
    pub accumulate: usize,
    /// The share of the old average in the exponential moving average of the parameters, if there is one.
    pub average: Option<f64>,
    /// Whether a loss that is not finite leaves everything as it was, and such a gradient its parameter.
    pub guard: bool,
}

impl Recipe {
    /// An optimiser alone: every parameter, a constant rate.
    pub fn new(optimiser: impl Optimiser + 'static) -> Self {
        Recipe {
            optimiser: Box::new(optimiser),
            groups: Vec::new(),
            decay_everything: false,
            schedule: Schedule::Constant,
            clip: None,
            accumulate: 1,
            average: None,
            guard: true,
        }
    }

    /// Checks every number.
    ///
    /// # Errors
    /// If one lies outside its range, by name.
    pub fn check(&self) -> Result<()> {
        self.optimiser.check()?;
        self.schedule.check()?;
        for group in &self.groups {
            within("a group's learning rate", group.learning_rate.unwrap_or(0.0), 0.0, f64::INFINITY)?;
            within("a group's weight decay", group.weight_decay.unwrap_or(0.0), 0.0, f64::INFINITY)?;
        }
        if let Some(norm) = self.clip
            && (norm.is_nan() || norm <= 0.0)
        {
            return Err(Error::value(format!("gradients are clipped at a norm of {norm}; it must be above 0")));
        }
        if self.accumulate == 0 {
            return Err(Error::value("an update needs at least one batch; accumulate over 1 or more"));
        }
        within("the share of the old average", self.average.unwrap_or(0.0), 0.0, 1.0)
    }

    /// Checks that each group holds a parameter.
    ///
    /// # Errors
    /// If one holds none, by its pattern.
    pub fn check_groups(&self, slots: &[Slot]) -> Result<()> {
        self.groups.iter().try_for_each(|group| group.check(slots))
    }

    /// The rates of a parameter, or nothing if it is frozen.
    pub(super) fn rates(&self, slot: &Slot) -> Option<Rates> {
        let group = self.groups.iter().find(|group| group.holds(slot));
        if group.is_some_and(|group| group.frozen) {
            return None;
        }
        let default = if slot.decay || self.decay_everything { self.optimiser.weight_decay() } else { 0.0 };
        Some(Rates {
            learning_rate: group.and_then(|g| g.learning_rate).unwrap_or_else(|| self.optimiser.learning_rate()),
            weight_decay: group.and_then(|g| g.weight_decay).unwrap_or(default),
        })
    }

    /// The distinct rates of the fitted parameters, in the order of their first appearance. Each has its own scalars.
    pub(super) fn distinct_rates(&self, slots: &[Slot]) -> Vec<Rates> {
        let mut distinct = Vec::new();
        for rates in slots.iter().filter(|slot| slot.kind == StateKind::Parameter).filter_map(|slot| self.rates(slot)) {
            if !distinct.contains(&rates) {
                distinct.push(rates);
            }
        }
        distinct
    }

    /// The values of the scalars that [`record`](super::record) declared as inputs, in order, at an update counted
    /// from 0: of the training, and of the parameters of `slots`, which in a game are those of a player.
    pub fn scalars(&self, slots: &[Slot]) -> impl Fn(u64, u64, &mut Vec<f64>) + use<'_> {
        let distinct = self.distinct_rates(slots);
        move |update, own, values| {
            values.clear();
            let factor = self.schedule.factor(update);
            for rates in &distinct {
                self.optimiser.scalars(&rates.at(factor, own + 1), &mut |_, value| values.push(value));
            }
        }
    }
}

/// The learning rate (before the schedule) and weight decay of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    pub learning_rate: f64,
    pub weight_decay: f64,
}

impl Rates {
    pub fn at(&self, factor: f64, update: u64) -> At {
        At { learning_rate: self.learning_rate * factor, weight_decay: self.weight_decay, update }
    }
}
