//! AdamW.

use super::{Adam, At, Fit, Optimiser, adam};
use crate::Result;
use crate::graph::NodeId;

/// AdamW (Loshchilov and Hutter 2019), as `torch.optim.AdamW` computes it: the parameter shrinks by 1 − γ λ, apart
/// from the gradient; then Adam's step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// γ, the greatest step of an element, about.
    pub learning_rate: f64,
    /// β₁ and β₂, the shares of the first and second moment that are kept.
    pub betas: (f64, f64),
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ, how fast parameters shrink.
    pub weight_decay: f64,
}

impl AdamW {
    /// AdamW with PyTorch's constants: β = (0.9, 0.999), ε = 1e-8, λ = 0.01.
    pub fn new(learning_rate: f64) -> Self {
        AdamW { learning_rate, betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01 }
    }
}

#[diagnostic::do_not_recommend]
impl Optimiser for AdamW {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        adam::scalars(self.betas, at, emit);
        if at.weight_decay != 0.0 {
            emit("shrink", 1.0 - at.learning_rate * at.weight_decay);
        }
    }

    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let mut parameter = fit.parameter();
        if fit.weight_decay() != 0.0 {
            let shrink = fit.scalar("shrink")?;
            parameter = fit.mul(parameter, shrink)?;
        }
        let gradient = fit.gradient();
        adam::step(fit, parameter, gradient, self.betas, self.epsilon)
    }

    fn check(&self) -> Result<()> {
        let AdamW { learning_rate, betas, epsilon, weight_decay } = *self;
        adam::check(&Adam { learning_rate, betas, epsilon, weight_decay })
    }
}
