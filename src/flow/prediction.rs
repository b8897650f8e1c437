//! What a net can say about a point of a path, and how one follows from the other.

use super::{At, Path};
use crate::{Error, Result};

/// What a net predicts of a point x = α x₁ + σ x₀ at a time of a path: one of four things that follow from one another.
///
/// | | data x₁ | noise x₀ |
/// |:--|:--|:--|
/// | velocity v = α′ x₁ + σ′ x₀ | (σ v − σ′ x) / (α′ σ − α σ′) | (α′ x − α v) / (α′ σ − α σ′) |
/// | noise ε | (x − σ ε) / α | ε |
/// | data | itself | (x − α x₁) / σ |
/// | score ∇ ln p = −ε / σ | (x + σ² ∇ ln p) / α | −σ ∇ ln p |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The velocity of the path (flow matching: Lipman et al. 2023, theorem 2; Peyré, equation 12).
    Velocity,
    /// The noise x₀ (Ho et al. 2020, equation 14).
    Noise,
    /// The data x₁.
    Data,
    /// The gradient of the logarithm of the density of x (Song et al. 2021, equation 7).
    Score,
}

impl Prediction {
    /// A prediction at the points x and the time s as another one.
    ///
    /// ```
    /// use ansatz::flow::{Path, Prediction};
    ///
    /// let x = [0.5 * 3.0 + 0.5 * -1.0]; // half way from the noise −1 to the number 3
    /// let velocity = Prediction::Noise.convert(Prediction::Velocity, Path::Linear, 0.5, &x, &[-1.0])?;
    /// assert_eq!(velocity, [4.0]);
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the two lists differ in length, or one prediction says nothing of the other at this time: noise and score nothing
    /// of the data where α = 0, the data nothing of the noise where σ = 0.
    pub fn convert(self, to: Self, path: Path, s: f64, x: &[f64], values: &[f64]) -> Result<Vec<f64>> {
        let [of_point, of_value] = self.as_combination(to, path, s)?;
        if x.len() != values.len() {
            let (points, found) = (x.len(), values.len());
            return Err(Error::value(format!("{found} predicted numbers for points of {points}; give one for each")));
        }
        Ok(x.iter().zip(values).map(|(x, value)| of_point * x + of_value * value).collect())
    }

    /// The factors of the point and of this prediction whose sum is the other one.
    pub(super) fn as_combination(self, to: Self, path: Path, s: f64) -> Result<[f64; 2]> {
        if self == to {
            return Ok([0.0, 1.0]);
        }
        let at = path.at(s);
        let (data, noise, [of_data, of_noise]) = (self.data(&at), self.noise(&at), to.of_data_and_noise(&at));
        let factors = [0, 1].map(|i| match (of_data, of_noise) {
            // What does not enter may be unknown.
            (0.0, of_noise) => of_noise * noise[i],
            (of_data, 0.0) => of_data * data[i],
            (of_data, of_noise) => of_data * data[i] + of_noise * noise[i],
        });
        if factors.iter().all(|factor| factor.is_finite()) {
            return Ok(factors);
        }
        Err(Error::value(format!(
            "{} does not follow from {} at the time {s} of the path {path:?}, where α = {} and σ = {}; keep away from this \
             end of the path, or predict the velocity",
            to.name(),
            self.name(),
            at.alpha,
            at.sigma
        )))
    }

    fn name(self) -> &'static str {
        match self {
            Prediction::Velocity => "the velocity",
            Prediction::Noise => "the noise",
            Prediction::Data => "the data",
            Prediction::Score => "the score",
        }
    }

    /// The data as a combination of the point and this prediction.
    fn data(self, &At { alpha, sigma, alpha_slope, sigma_slope }: &At<f64>) -> [f64; 2] {
        match self {
            Prediction::Velocity => {
                let turn = alpha_slope * sigma - alpha * sigma_slope;
                [-sigma_slope / turn, sigma / turn]
            }
            Prediction::Noise => [1.0 / alpha, -sigma / alpha],
            Prediction::Data => [0.0, 1.0],
            Prediction::Score => [1.0 / alpha, sigma * sigma / alpha],
        }
    }

    /// The noise as a combination of the point and this prediction.
    fn noise(self, &At { alpha, sigma, alpha_slope, sigma_slope }: &At<f64>) -> [f64; 2] {
        match self {
            Prediction::Velocity => {
                let turn = alpha_slope * sigma - alpha * sigma_slope;
                [alpha_slope / turn, -alpha / turn]
            }
            Prediction::Noise => [0.0, 1.0],
            Prediction::Data => [1.0 / sigma, -alpha / sigma],
            Prediction::Score => [0.0, -sigma],
        }
    }

    /// This prediction as a combination of data and noise.
    fn of_data_and_noise(self, at: &At<f64>) -> [f64; 2] {
        match self {
            Prediction::Velocity => [at.alpha_slope, at.sigma_slope],
            Prediction::Noise => [0.0, 1.0],
            Prediction::Data => [1.0, 0.0],
            Prediction::Score => [0.0, -1.0 / at.sigma],
        }
    }
}
