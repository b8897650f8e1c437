//! Entropic transport, in the logarithmic domain.

use super::squared_distances;
use crate::{Error, Result};
use rayon::prelude::*;

/// How entropic transport is calculated.
///
/// With weights 1/n and 1/m, OT_ε = min ⟨P, C⟩ + ε KL(P | a ⊗ b) over couplings P of the two clouds, where C is half the
/// squared distance. Its dual is maximised by turns (Sinkhorn's algorithm on the potentials, Peyré, Cuturi 2019,
/// section 4.4; averaged updates where both clouds are the same, Feydy et al. 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sinkhorn {
    /// ε, in units of the squared distance.
    pub epsilon: f64,
    /// The greatest error of a row's weight, relative to it, that counts as solved.
    pub tolerance: f64,
    /// The most turns.
    pub iterations: usize,
}

/// The entropic coupling of two clouds.
#[derive(Clone, Debug, PartialEq)]
pub struct Coupling {
    /// The potentials of the first cloud and of the second.
    pub potentials: (Vec<f64>, Vec<f64>),
    /// The weight that goes from each point of the first to each of the second, `[n, m]` row-major.
    pub plan: Vec<f64>,
    /// OT_ε.
    pub value: f64,
    /// The turns it took.
    pub iterations: usize,
}

impl Sinkhorn {
    /// Transport with this ε, to a relative error of 10⁻⁶ in at most 10,000 turns.
    pub fn new(epsilon: f64) -> Self {
        Sinkhorn { epsilon, tolerance: 1e-6, iterations: 10_000 }
    }

    /// The coupling of two clouds.
    ///
    /// # Errors
    /// If ε is not positive, the clouds do not fit ([`squared_distances`]), or the turns did not suffice.
    pub fn couple<P: AsRef<[f64]>>(&self, x: &[P], y: &[P]) -> Result<Coupling> {
        self.check()?;
        let costs: Vec<f64> = squared_distances(x, y)?.into_iter().map(|square| square / 2.0).collect();
        let (n, m) = (x.len(), y.len());
        let transposed: Vec<f64> = (0..m * n).map(|k| costs[k % n * m + k / n]).collect();
        let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
        let mut next = vec![0.0; n];
        for turn in 1..=self.iterations {
            self.soft_minimum(&transposed, &f, &mut g);
            self.soft_minimum(&costs, &g, &mut next);
            // A row that should weigh 1/n weighs e^((f − next)/ε)/n before f is renewed.
            let error = f.iter().zip(&next).map(|(f, next)| ((f - next) / self.epsilon).exp_m1().abs());
            let error = error.fold(0.0, f64::max);
            if error <= self.tolerance {
                let weight = ((n * m) as f64).recip();
                let plan = (0..n * m).map(|k| weight * ((f[k / m] + g[k % m] - costs[k]) / self.epsilon).exp());
                let plan: Vec<f64> = plan.collect();
                let mass: f64 = plan.iter().sum();
                let value = mean(&f) + mean(&g) - self.epsilon * (mass - 1.0);
                return Ok(Coupling { potentials: (f, g), plan, value, iterations: turn });
            }
            std::mem::swap(&mut f, &mut next);
        }
        Err(self.unsolved())
    }

    /// The Sinkhorn divergence OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y): positive unless the clouds are equal, near half
    /// the squared Wasserstein distance for small ε, near half the squared distance of the means for great ε
    /// (Feydy et al. 2019).
    ///
    /// # Errors
    /// Those of [`Sinkhorn::couple`].
    pub fn divergence<P: AsRef<[f64]>>(&self, x: &[P], y: &[P]) -> Result<f64> {
        Ok(self.couple(x, y)?.value - (self.symmetric(x)? + self.symmetric(y)?) / 2.0)
    }

    /// OT_ε of a cloud with itself.
    fn symmetric<P: AsRef<[f64]>>(&self, x: &[P]) -> Result<f64> {
        let costs: Vec<f64> = squared_distances(x, x)?.into_iter().map(|square| square / 2.0).collect();
        let mut f = vec![0.0; x.len()];
        let mut next = f.clone();
        for _ in 0..self.iterations {
            self.soft_minimum(&costs, &f, &mut next);
            let error = f.iter().zip(&next).map(|(f, next)| ((f - next) / self.epsilon).exp_m1().abs());
            if error.fold(0.0, f64::max) <= self.tolerance {
                // The dual value at (f, next), whose second half is exactly feasible.
                return Ok(mean(&f) + mean(&next));
            }
            f.iter_mut().zip(&next).for_each(|(f, next)| *f = (*f + next) / 2.0);
        }
        Err(self.unsolved())
    }

    /// −ε ln Σⱼ e^((gⱼ − Cᵢⱼ)/ε) / m for each row i.
    fn soft_minimum(&self, costs: &[f64], g: &[f64], out: &mut [f64]) {
        let shift = (g.len() as f64).ln();
        let row = |(out, costs): (&mut f64, &[f64])| {
            let exponent = |(g, cost): (&f64, &f64)| (g - cost) / self.epsilon;
            let greatest = g.iter().zip(costs).map(exponent).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = g.iter().zip(costs).map(|pair| (exponent(pair) - greatest).exp()).sum();
            *out = -self.epsilon * (greatest + sum.ln() - shift);
        };
        out.par_iter_mut().zip(costs.par_chunks(g.len())).with_min_len(16).for_each(row);
    }

    fn check(&self) -> Result<()> {
        if self.epsilon > 0.0 && self.epsilon.is_finite() && self.tolerance > 0.0 {
            return Ok(());
        }
        let Sinkhorn { epsilon, tolerance, .. } = self;
        Err(Error::value(format!("entropic transport needs ε and tolerance above 0, not {epsilon} and {tolerance}")))
    }

    fn unsolved(&self) -> Error {
        let Sinkhorn { epsilon, tolerance, iterations } = self;
        Error::value(format!(
            "entropic transport with ε = {epsilon} is not solved to {tolerance:e} after {iterations} turns; allow more \
             turns, or take a larger ε or tolerance"
        ))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
