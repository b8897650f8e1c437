//! Adam.

use super::{At, Fit, Optimiser, within};
use crate::graph::NodeId;
use crate::{Error, Result};

/// Adam (Kingma and Ba 2015), as `torch.optim.Adam` computes it; its weight decay is a penalty added to the gradient.
/// m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  p ← p − γ/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// γ, the greatest step of an element, about.
    pub learning_rate: f64,
    /// β₁ and β₂, the shares of the first and second moment that are kept.
    pub betas: (f64, f64),
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ, the weight of the penalty λ/2 ‖p‖².
    pub weight_decay: f64,
}

impl Adam {
    /// Adam with the constants of the article: β = (0.9, 0.999), ε = 1e-8, no weight decay.
    pub fn new(learning_rate: f64) -> Self {
        Adam { learning_rate, betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0 }
    }
}

#[diagnostic::do_not_recommend]
impl Optimiser for Adam {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        scalars(self.betas, at, emit);
    }

    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let parameter = fit.parameter();
        let mut gradient = fit.gradient();
        if fit.weight_decay() != 0.0 {
            let penalty = fit.scale(parameter, fit.weight_decay())?;
            gradient = fit.add(gradient, penalty)?;
        }
        step(fit, parameter, gradient, self.betas, self.epsilon)
    }

    fn check(&self) -> Result<()> {
        check(self)
    }
}

/// The scalars of Adam and AdamW: the rate with the first bias correction, the inverse root of the second.
pub(super) fn scalars(betas: (f64, f64), at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
    let update = at.update as f64;
    emit("step_size", at.learning_rate / (1.0 - betas.0.powf(update)));
    emit("second_correction", 1.0 / (1.0 - betas.1.powf(update)).sqrt());
}

/// Records the moments and the step from `from` along them.
pub(super) fn step(
    fit: &mut Fit<'_>,
    from: NodeId,
    gradient: NodeId,
    betas: (f64, f64),
    epsilon: f64,
) -> Result<NodeId> {
    let first = fit.state("exp_avg")?;
    let (kept, entering) = (fit.scale(first, betas.0)?, fit.scale(gradient, 1.0 - betas.0)?);
    let mean = fit.add(kept, entering)?;
    fit.set(first, mean)?;
    let second = fit.state("exp_avg_sq")?;
    let square = fit.square(gradient)?;
    let (kept, entering) = (fit.scale(second, betas.1)?, fit.scale(square, 1.0 - betas.1)?);
    let variance = fit.add(kept, entering)?;
    fit.set(second, variance)?;
    let correction = fit.scalar("second_correction")?;
    let root = fit.sqrt(variance)?;
    let root = fit.mul(root, correction)?;
    let denominator = fit.shift(root, epsilon)?;
    let direction = fit.div(mean, denominator)?;
    let size = fit.scalar("step_size")?;
    let step = fit.mul(direction, size)?;
    fit.sub(from, step)
}

pub(super) fn check(adam: &Adam) -> Result<()> {
    within("the learning rate", adam.learning_rate, 0.0, f64::INFINITY)?;
    within("the first beta", adam.betas.0, 0.0, 1.0)?;
    within("the second beta", adam.betas.1, 0.0, 1.0)?;
    within("epsilon", adam.epsilon, 0.0, f64::INFINITY)?;
    if adam.epsilon < f64::from(f32::MIN_POSITIVE) {
        let problem = format!("epsilon is {:e}, which is 0 in f32", adam.epsilon);
        let problem = format!("{problem}: where a gradient is 0, 0 would be divided by it; take 1e-8 or so");
        return Err(Error::value(problem));
    }
    within("the weight decay", adam.weight_decay, 0.0, f64::INFINITY)
}
