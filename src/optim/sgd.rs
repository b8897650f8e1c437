//! Stochastic gradient descent.

use super::{At, Fit, Optimiser, within};
use crate::graph::NodeId;
use crate::{Error, Result};

/// Stochastic gradient descent with momentum, as `torch.optim.SGD` computes it:
/// g ← g + λ p;  b ← μ b + (1 − τ) g (at first b ← g);  g ← g + μ b (Nesterov) or b;  p ← p − γ g.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// γ, the step along the negative gradient.
    pub learning_rate: f64,
    /// μ, the share of the last direction that is kept; 0 keeps no state.
    pub momentum: f64,
    /// Whether to look ahead along the momentum (Nesterov 1983, in the form of Sutskever et al. 2013).
    pub nesterov: bool,
    /// λ, the weight of the penalty λ/2 ‖p‖².
    pub weight_decay: f64,
    /// τ, how much the gradient is dampened as it enters the momentum.
    pub dampening: f64,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(learning_rate: f64) -> Self {
        Sgd { learning_rate, momentum: 0.0, nesterov: false, weight_decay: 0.0, dampening: 0.0 }
    }
}

#[diagnostic::do_not_recommend]
impl Optimiser for Sgd {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        emit("learning_rate", at.learning_rate);
        if self.momentum != 0.0 && self.dampening != 0.0 {
            emit("gradient_weight", if at.update == 1 { 1.0 } else { 1.0 - self.dampening });
        }
    }

    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let parameter = fit.parameter();
        let mut gradient = fit.gradient();
        if fit.weight_decay() != 0.0 {
            let penalty = fit.scale(parameter, fit.weight_decay())?;
            gradient = fit.add(gradient, penalty)?;
        }
        if self.momentum != 0.0 {
            let buffer = fit.state("momentum_buffer")?;
            let kept = fit.scale(buffer, self.momentum)?;
            let entering = if self.dampening == 0.0 {
                gradient
            } else {
                let weight = fit.scalar("gradient_weight")?;
                fit.mul(gradient, weight)?
            };
            let momentum = fit.add(kept, entering)?;
            fit.set(buffer, momentum)?;
            gradient = if self.nesterov {
                let ahead = fit.scale(momentum, self.momentum)?;
                fit.add(gradient, ahead)?
            } else {
                momentum
            };
        }
        let rate = fit.scalar("learning_rate")?;
        let step = fit.mul(gradient, rate)?;
        fit.sub(parameter, step)
    }

    fn check(&self) -> Result<()> {
        within("the learning rate", self.learning_rate, 0.0, f64::INFINITY)?;
        within("the momentum", self.momentum, 0.0, f64::INFINITY)?;
        within("the weight decay", self.weight_decay, 0.0, f64::INFINITY)?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::value("Nesterov's form needs a momentum above 0 and no dampening"));
        }
        Ok(())
    }
}
