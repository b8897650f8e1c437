//! From noise to data by a net that knows a path: samplers.

use super::{Path, Prediction};
use crate::kernel::cpu::random;
use crate::ode::Solver;
use crate::{Error, Result};
use std::ops::Range;

/// A path and what a net predicts along it: what it takes to make samples.
///
/// A net is a function of the time s and of points, given as one list of numbers, that writes its prediction to its last
/// argument, like the fields of [`ode`](crate::ode).
///
/// ```
/// use ansatz::flow::{Path, Prediction, Process, Sampler};
///
/// // Where all data is the number 2, the noise of a point is known.
/// let process = Process { path: Path::VariancePreserving, predicts: Prediction::Noise };
/// let noise = |s: f64, x: &[f64], out: &mut [f64]| {
///     let at = Path::VariancePreserving.at(s);
///     out[0] = (x[0] - at.alpha * 2.0) / at.sigma;
///     Ok(())
/// };
/// let sample = process.sample(Sampler::ddim(20), 0.0..1.0, noise, &[0.7], 1)?;
/// assert!((sample[0] - 2.0).abs() < 1e-9);
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The path that the net was trained on.
    pub path: Path,
    /// What it predicts.
    pub predicts: Prediction,
}

/// How samples are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// The equation x′ = v(x, s) of the velocity, by any solver (Lipman et al. 2023, equation 1; the probability flow of Song et
    /// al. 2021, equation 13).
    Ode(Solver),
    /// Steps from one time to an earlier noise level by way of the predicted data and noise, with a share `eta` of fresh noise
    /// (Song, Meng, Ermon 2021, equation 12): 0 is DDIM, which draws nothing, 1 the ancestral steps of DDPM (Ho et al. 2020,
    /// algorithm 2, with the variance of the posterior).
    Ancestral {
        /// The number of steps, of equal length.
        steps: usize,
        /// The share of fresh noise, from 0 to 1.
        eta: f64,
    },
    /// The stochastic equation dx = (v + ½ g² ∇ ln p) ds + g dW of the reversed diffusion by the Euler-Maruyama method, with
    /// g² = 2 σ (α′ σ − α σ′) / α, which is β where the variance stays (Song et al. 2021, equation 6).
    EulerMaruyama {
        /// The number of steps, of equal length.
        steps: usize,
    },
}

impl Sampler {
    /// DDIM in so many steps.
    pub const fn ddim(steps: usize) -> Self {
        Sampler::Ancestral { steps, eta: 0.0 }
    }

    /// DDPM in so many steps.
    pub const fn ddpm(steps: usize) -> Self {
        Sampler::Ancestral { steps, eta: 1.0 }
    }
}

impl Process {
    /// The field of the equation whose solutions are samples, for the solvers of [`ode`](crate::ode).
    pub fn velocity(
        self,
        mut net: impl FnMut(f64, &[f64], &mut [f64]) -> Result<()>,
    ) -> impl FnMut(f64, &[f64], &mut [f64]) -> Result<()> {
        move |s, x, out| {
            let [of_point, of_value] = self.predicts.as_combination(Prediction::Velocity, self.path, s)?;
            net(s, x, out)?;
            out.iter_mut().zip(x).for_each(|(out, x)| *out = of_point * x + of_value * *out);
            Ok(())
        }
    }

    /// Where points that begin as noise at the start of the span are at its end. Draws depend on the seed alone.
    ///
    /// # Errors
    /// If there is no step, the span is not within 0 and 1, a prediction does not say enough at an end of the path
    /// ([`Prediction::convert`]), or the net or the solver fails.
    pub fn sample(
        self,
        by: Sampler,
        span: Range<f64>,
        mut net: impl FnMut(f64, &[f64], &mut [f64]) -> Result<()>,
        noise: &[f64],
        seed: u64,
    ) -> Result<Vec<f64>> {
        if !(0.0 <= span.start && span.start <= span.end && span.end <= 1.0) {
            return Err(Error::value(format!("samples are made from noise at 0 to data at 1, not over {span:?}")));
        }
        let steps = match by {
            Sampler::Ode(solver) => return Ok(solver.solve(self.velocity(net), span, noise)?.y),
            Sampler::Ancestral { steps, .. } | Sampler::EulerMaruyama { steps } => steps,
        };
        if steps == 0 {
            return Err(Error::value("a sample takes at least one step"));
        }
        let (mut x, mut value) = (noise.to_vec(), vec![0.0; noise.len()]);
        let time = |step: usize| span.start + (span.end - span.start) * (step as f64 / steps as f64);
        for step in 0..steps {
            let (s, next) = (time(step), time(step + 1));
            net(s, &x, &mut value)?;
            let Move { of_point, of_value, of_draw } = match by {
                Sampler::Ancestral { eta, .. } => self.ancestral(s, next, eta)?,
                _ => self.euler_maruyama(s, next)?,
            };
            let key = [seed as u32, (seed >> 32) as u32, step as u32, 0];
            for (i, (x, value)) in x.iter_mut().zip(&value).enumerate() {
                let draw = if of_draw == 0.0 { 0.0 } else { of_draw * random::normal(key, DRAWS, i as u64) };
                *x = of_point * *x + of_value * value + draw;
            }
        }
        Ok(x)
    }

    /// α₂ x̂₁ + √(σ₂² − c²) x̂₀ + c z, with fresh noise of the deviation c = η (σ₂ / σ) √(σ² − (α σ₂ / α₂)²).
    fn ancestral(self, s: f64, next: f64, eta: f64) -> Result<Move> {
        if !(0.0..=1.0).contains(&eta) {
            return Err(Error::value(format!("the share of fresh noise lies between 0 and 1, {eta} does not")));
        }
        let (here, there) = (self.path.at(s), self.path.at(next));
        let data = self.predicts.as_combination(Prediction::Data, self.path, s)?;
        let noise = self.predicts.as_combination(Prediction::Noise, self.path, s)?;
        let passed = here.sigma.powi(2) - (here.alpha / there.alpha * there.sigma).powi(2);
        let fresh = eta * there.sigma / here.sigma * passed.max(0.0).sqrt();
        let kept = (there.sigma.powi(2) - fresh.powi(2)).max(0.0).sqrt();
        let [of_point, of_value] = [0, 1].map(|i| there.alpha * data[i] + kept * noise[i]);
        Ok(Move { of_point, of_value, of_draw: fresh })
    }

    fn euler_maruyama(self, s: f64, next: f64) -> Result<Move> {
        let (at, h) = (self.path.at(s), next - s);
        let square = 2.0 * at.sigma * (at.alpha_slope * at.sigma - at.alpha * at.sigma_slope) / at.alpha;
        if !square.is_finite() {
            return Err(Error::value(format!(
                "the diffusion of the path {:?} has no finite strength at the time {s}; begin a little later",
                self.path
            )));
        }
        let velocity = self.predicts.as_combination(Prediction::Velocity, self.path, s)?;
        let score = self.predicts.as_combination(Prediction::Score, self.path, s)?;
        let [by_point, by_value] = [0, 1].map(|i| h * (velocity[i] + square / 2.0 * score[i]));
        Ok(Move { of_point: 1.0 + by_point, of_value: by_value, of_draw: (square * h).sqrt() })
    }
}

/// A step: the factors of the point, of the prediction there and of a standard normal draw.
struct Move {
    of_point: f64,
    of_value: f64,
    of_draw: f64,
}

/// Sets the draws of samplers apart from other draws with the same seed.
const DRAWS: u64 = 0x73_616d_706c_6572;
