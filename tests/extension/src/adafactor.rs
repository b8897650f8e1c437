//! Adafactor.

use ansatz::Result;
use ansatz::graph::{NodeId, Unary};
use ansatz::optim::{At, Fit, Optimiser, within};

/// Adafactor (Shazeer and Stern 2018), as `torch.optim.Adafactor` computes it. Of the second moment of a matrix only the
/// means over rows and over columns are kept, v ≈ r cᵀ / mean(r); steps are relative to the parameter's size, and updates
/// that are longer than usual are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adafactor {
    /// The greatest step relative to the parameter; 1/√t is the other bound.
    pub learning_rate: f64,
    /// The power of t in 1 − β₂ = tᵖ: −0.8.
    pub decay: f64,
    /// ε₁, the least mean of squares, and ε₂, the least size of a parameter.
    pub epsilon: (f64, f64),
    /// d, the root mean square at which updates are cut.
    pub threshold: f64,
    /// λ, how fast parameters shrink.
    pub weight_decay: f64,
}

impl Adafactor {
    /// The constants of the article.
    pub fn new(learning_rate: f64) -> Self {
        Adafactor { learning_rate, decay: -0.8, epsilon: (1e-30, 1e-3), threshold: 1.0, weight_decay: 0.0 }
    }

    /// The second moment, and how its states move on.
    fn moment(&self, fit: &mut Fit<'_>, dims: &[usize]) -> Result<NodeId> {
        let square = fit.square(fit.gradient())?;
        let [.., rows, columns] = (0..dims.len()).collect::<Vec<_>>()[..] else {
            return moved(fit, "variance", dims, square);
        };
        let mean = |fit: &mut Fit<'_>, name: &str, axis: usize| {
            let mut kept = dims.to_vec();
            kept[axis] = 1;
            let mean = fit.mean(square, &[axis])?;
            moved(fit, name, &kept, mean)
        };
        let (of_rows, of_columns) = (mean(fit, "row_variance", columns)?, mean(fit, "column_variance", rows)?);
        let (all, least) = (fit.mean(of_rows, &[rows])?, fit.constant(self.epsilon.0));
        let all = fit.maximum(all, least)?;
        let product = fit.mul(of_rows, of_columns)?;
        fit.div(product, all)
    }
}

/// A moving mean, whose share of the new value changes from step to step.
fn moved(fit: &mut Fit<'_>, name: &str, dims: &[usize], to: NodeId) -> Result<NodeId> {
    let (state, share) = (fit.state_of(name, dims)?, fit.scalar("share")?);
    let difference = fit.sub(to, state)?;
    let part = fit.mul(share, difference)?;
    let next = fit.add(state, part)?;
    fit.set(state, next)?;
    Ok(next)
}

/// √(mean of x²)
fn root_mean_square(fit: &mut Fit<'_>, x: NodeId) -> Result<NodeId> {
    let count: usize = fit.dims(x).iter().product();
    let norm = fit.norm(x)?;
    fit.scale(norm, 1.0 / (count as f64).sqrt())
}

impl Optimiser for Adafactor {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        let update = at.update as f64;
        emit("share", update.powf(self.decay));
        emit("relative_step", at.learning_rate.min(1.0 / update.sqrt()));
        emit("shrink", 1.0 - at.learning_rate * at.weight_decay);
    }

    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let (parameter, gradient) = (fit.parameter(), fit.gradient());
        let (size, least) = (root_mean_square(fit, parameter)?, fit.constant(self.epsilon.1));
        let (size, relative) = (fit.maximum(size, least)?, fit.scalar("relative_step")?);
        let step = fit.mul(size, relative)?;
        let (moment, least) = (self.moment(fit, &fit.dims(parameter))?, fit.constant(self.epsilon.0 * self.epsilon.0));
        let moment = fit.maximum(moment, least)?;
        let scale = fit.unary(Unary::Rsqrt, moment)?;
        let update = fit.mul(gradient, scale)?;
        let (length, one) = (root_mean_square(fit, update)?, fit.constant(1.0));
        let length = fit.scale(length, 1.0 / self.threshold)?;
        let cut = fit.maximum(length, one)?;
        let step = fit.div(step, cut)?;
        let (change, shrink) = (fit.mul(step, update)?, fit.scalar("shrink")?);
        let kept = fit.mul(parameter, shrink)?;
        fit.sub(kept, change)
    }

    fn check(&self) -> Result<()> {
        within("the learning rate", self.learning_rate, 0.0, f64::INFINITY)?;
        within("the power of the decay", self.decay, f64::NEG_INFINITY, 0.0)?;
        within("the threshold", self.threshold, f64::MIN_POSITIVE, f64::INFINITY)?;
        within("the weight decay", self.weight_decay, 0.0, f64::INFINITY)
    }
}
