//! LAMB.

use ansatz::Result;
use ansatz::graph::NodeId;
use ansatz::optim::{At, Fit, Optimiser, within};

/// LAMB (You et al. 2020): Adam's direction with decay, scaled so that each parameter moves in proportion to its own length:
/// r = m̂/(√v̂ + ε) + λ p;  p ← p − γ (‖p‖/‖r‖) r, where the ratio is 1 if one of the two is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lamb {
    /// γ, the step relative to the length of the parameter.
    pub learning_rate: f64,
    /// β₁ and β₂, the shares of the first and second moment that are kept.
    pub betas: (f64, f64),
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ, the weight of the parameter in its own direction.
    pub weight_decay: f64,
}

impl Lamb {
    /// The constants of the article: β = (0.9, 0.999), ε = 1e-6, λ = 0.01.
    pub fn new(learning_rate: f64) -> Self {
        Lamb { learning_rate, betas: (0.9, 0.999), epsilon: 1e-6, weight_decay: 0.01 }
    }
}

fn moment(fit: &mut Fit<'_>, name: &str, beta: f64, entering: NodeId) -> Result<NodeId> {
    let state = fit.state(name)?;
    let (old, new) = (fit.scale(state, beta)?, fit.scale(entering, 1.0 - beta)?);
    let next = fit.add(old, new)?;
    fit.set(state, next)?;
    Ok(next)
}

impl Optimiser for Lamb {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        let correction = |beta: f64| 1.0 / (1.0 - beta.powf(at.update as f64));
        emit("learning_rate", at.learning_rate);
        emit("first_correction", correction(self.betas.0));
        emit("second_correction", correction(self.betas.1));
    }

    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let (parameter, gradient) = (fit.parameter(), fit.gradient());
        let first = moment(fit, "exp_avg", self.betas.0, gradient)?;
        let square = fit.square(gradient)?;
        let second = moment(fit, "exp_avg_sq", self.betas.1, square)?;
        let corrections = (fit.scalar("first_correction")?, fit.scalar("second_correction")?);
        let (first, second) = (fit.mul(first, corrections.0)?, fit.mul(second, corrections.1)?);
        let root = fit.sqrt(second)?;
        let (root, decay) = (fit.shift(root, self.epsilon)?, fit.scale(parameter, fit.weight_decay())?);
        let adam = fit.div(first, root)?;
        let direction = fit.add(adam, decay)?;

        let (length, size) = (fit.norm(parameter)?, fit.norm(direction)?);
        let (zero, one, ratio) = (fit.constant(0.0), fit.constant(1.0), fit.div(length, size)?);
        let both = fit.minimum(length, size)?;
        let moves = fit.less(zero, both)?;
        let trust = fit.select(moves, ratio, one)?;
        let rate = fit.scalar("learning_rate")?;
        let step = fit.mul(trust, rate)?;
        let change = fit.mul(direction, step)?;
        fit.sub(parameter, change)
    }

    fn check(&self) -> Result<()> {
        within("the learning rate", self.learning_rate, 0.0, f64::INFINITY)?;
        within("the first beta", self.betas.0, 0.0, 1.0)?;
        within("the second beta", self.betas.1, 0.0, 1.0)?;
        within("epsilon", self.epsilon, 0.0, f64::INFINITY)?;
        within("the weight decay", self.weight_decay, 0.0, f64::INFINITY)
    }
}
