//! The choice of the next token from the logits of a model.

use crate::tensor::Float;
use crate::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Chooses tokens: the likeliest, or seeded draws from a distribution that can be sharpened and cut. What is set applies
/// in the order of the methods here, as in `transformers`.
///
/// ```
/// use ansatz::text::Sampler;
///
/// let logits = [1.0, 3.0, 2.0];
/// assert_eq!(Sampler::greedy().sample(&logits, &[])?, 1);
/// let sampler = Sampler::new(7).temperature(0.5)?.top_k(2)?;
/// let p = sampler.probabilities(&logits, &[])?;
/// assert_eq!(p[0], 0.0);
/// assert!((p[1] / p[2] - 2f64.exp()).abs() < 1e-12); // e^((3 − 2) / 0.5)
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Debug)]
pub struct Sampler {
    penalty: f64,
    temperature: f64,
    top_k: usize,
    top_p: f64,
    generator: ChaCha8Rng,
}

impl Sampler {
    /// Draws from the model's own distribution.
    pub fn new(seed: u64) -> Self {
        let generator = ChaCha8Rng::seed_from_u64(seed);
        Sampler { penalty: 1.0, temperature: 1.0, top_k: usize::MAX, top_p: 1.0, generator }
    }

    /// Takes the likeliest token, the first of equals.
    pub fn greedy() -> Self {
        Sampler { temperature: 0.0, ..Self::new(0) }
    }

    /// Makes tokens that occurred already less likely: positive logits are divided by the penalty, negative ones
    /// multiplied (Keskar et al. 2019). 1 changes nothing.
    ///
    /// # Errors
    /// If the penalty is not positive.
    pub fn repetition_penalty(self, penalty: f64) -> Result<Self> {
        if penalty > 0.0 && penalty.is_finite() {
            return Ok(Sampler { penalty, ..self });
        }
        Err(Error::value(format!("a repetition penalty is a positive number, {penalty} is not; 1.1 is a mild one")))
    }

    /// Divides the logits: below 1 the likely becomes likelier, above 1 rarer; 0 takes the likeliest.
    ///
    /// # Errors
    /// If the temperature is negative or not finite.
    pub fn temperature(self, temperature: f64) -> Result<Self> {
        if temperature >= 0.0 && temperature.is_finite() {
            return Ok(Sampler { temperature, ..self });
        }
        Err(Error::value(format!("a temperature is a number of at least 0, {temperature} is not")))
    }

    /// Only the k likeliest tokens are drawn (Fan, Lewis, Dauphin 2018).
    ///
    /// # Errors
    /// If k is 0.
    pub fn top_k(self, k: usize) -> Result<Self> {
        if k > 0 {
            return Ok(Sampler { top_k: k, ..self });
        }
        Err(Error::value("of the 0 likeliest tokens none can be drawn; leave `top_k` out to draw from all"))
    }

    /// Only the likeliest tokens are drawn that together have at least the probability p (Holtzman et al. 2020).
    ///
    /// # Errors
    /// If p does not lie in (0, 1].
    pub fn top_p(self, p: f64) -> Result<Self> {
        if p > 0.0 && p <= 1.0 {
            return Ok(Sampler { top_p: p, ..self });
        }
        Err(Error::value(format!("`top_p` is a probability above 0, {p} is not; 0.9 is usual")))
    }

    /// The distribution that the next token is drawn from; `seen` are the tokens so far.
    ///
    /// # Errors
    /// If there is no logit, one is NaN or infinite (−∞ rules a token out), or all are −∞.
    pub fn probabilities<E: Float>(&self, logits: &[E], seen: &[u32]) -> Result<Vec<f64>> {
        let mut logits: Vec<f64> = logits.iter().map(|&logit| logit.to_f64()).collect();
        if let Some(token) = logits.iter().position(|logit| logit.is_nan() || *logit == f64::INFINITY) {
            let logit = logits[token];
            return Err(Error::value(format!("the logit of token {token} is {logit}, so no next token can be chosen")));
        }
        let mut penalised = vec![self.penalty == 1.0; logits.len()];
        for &token in seen {
            let Some(done) = penalised.get_mut(token as usize).filter(|done| !**done) else { continue };
            *done = true;
            let logit = &mut logits[token as usize];
            *logit = if *logit > 0.0 { *logit / self.penalty } else { *logit * self.penalty };
        }
        let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if greatest == f64::NEG_INFINITY {
            return Err(Error::value("no token is possible: there is no logit above −∞"));
        }
        if self.temperature == 0.0 {
            let likeliest = logits.iter().position(|&logit| logit == greatest);
            return Ok((0..logits.len()).map(|token| f64::from(Some(token) == likeliest)).collect());
        }
        let mut p: Vec<f64> = logits.iter().map(|logit| ((logit - greatest) / self.temperature).exp()).collect();
        if self.top_k < p.len() || self.top_p < 1.0 {
            // The likeliest first, and of equals the first.
            let mut order: Vec<usize> = (0..p.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let mut kept = self.top_k.min(p.len());
            let total: f64 = order[..kept].iter().map(|&token| p[token]).sum();
            let mut sum = 0.0;
            let enough = order[..kept].iter().position(|&token| {
                sum += p[token];
                sum >= self.top_p * total
            });
            kept = enough.map_or(kept, |last| last + 1);
            order[kept..].iter().for_each(|&token| p[token] = 0.0);
        }
        let total: f64 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= total);
        Ok(p)
    }

    /// The next token; `seen` are the tokens so far.
    ///
    /// # Errors
    /// As for [`Sampler::probabilities`].
    pub fn sample<E: Float>(&mut self, logits: &[E], seen: &[u32]) -> Result<u32> {
        let p = self.probabilities(logits, seen)?;
        let mut left: f64 = self.generator.random();
        let mut chosen = 0;
        for (token, &p) in p.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            chosen = token;
            left -= p;
            if left < 0.0 {
                break;
            }
        }
        Ok(chosen as u32)
    }
}

#[cfg(all(test, feature = "check"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn logits() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-6.0f64..6.0, 1..30)
    }

    proptest! {
        #[test]
        fn greedy_takes_the_likeliest(logits in logits()) {
            let token = Sampler::greedy().sample(&logits, &[]).unwrap() as usize;
            prop_assert!(logits.iter().all(|&logit| logit <= logits[token]));
        }

        /// ln p = logit / temperature, up to a constant.
        #[test]
        fn temperature_divides_the_logits(logits in logits(), temperature in 0.1f64..3.0) {
            let p = Sampler::new(0).temperature(temperature).unwrap().probabilities(&logits, &[]).unwrap();
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (p, logit) in p.iter().zip(&logits) {
                prop_assert!(((p / p_of(&logits, temperature, *logit)) - 1.0).abs() < 1e-9);
            }
        }

        #[test]
        fn top_k_keeps_the_k_likeliest(logits in logits(), k in 1usize..40) {
            let p = Sampler::new(0).top_k(k).unwrap().probabilities(&logits, &[]).unwrap();
            let kept: Vec<usize> = (0..p.len()).filter(|&i| p[i] > 0.0).collect();
            prop_assert_eq!(kept.len(), k.min(logits.len()));
            let least = kept.iter().map(|&i| logits[i]).fold(f64::INFINITY, f64::min);
            prop_assert!((0..p.len()).all(|i| p[i] > 0.0 || logits[i] <= least));
        }

        /// What is kept has the probability, and without its rarest token it has not.
        #[test]
        fn top_p_keeps_the_fewest_that_suffice(logits in logits(), share in 0.05f64..1.0) {
            let all = Sampler::new(0).probabilities(&logits, &[]).unwrap();
            let p = Sampler::new(0).top_p(share).unwrap().probabilities(&logits, &[]).unwrap();
            let kept: Vec<f64> = (0..p.len()).filter(|&i| p[i] > 0.0).map(|i| all[i]).collect();
            let (sum, rarest) = (kept.iter().sum::<f64>(), kept.iter().copied().fold(1.0, f64::min));
            prop_assert!(sum >= share - 1e-9 && sum - rarest < share + 1e-9);
            prop_assert!((0..p.len()).all(|i| p[i] > 0.0 || all[i] <= rarest));
        }

        #[test]
        fn repetition_is_penalised_once(logits in logits(), seen in prop::collection::vec(0u32..30, 0..6)) {
            let penalised = Sampler::new(0).repetition_penalty(1.5).unwrap().probabilities(&logits, &seen).unwrap();
            let changed = logits.iter().enumerate().map(|(i, &x)| match (seen.contains(&(i as u32)), x > 0.0) {
                (true, true) => x / 1.5,
                (true, false) => x * 1.5,
                (false, _) => x,
            });
            let expected = Sampler::new(0).probabilities(&changed.collect::<Vec<_>>(), &[]).unwrap();
            for (found, expected) in penalised.iter().zip(expected) {
                prop_assert!((found - expected).abs() < 1e-12);
            }
        }

        #[test]
        fn draws_are_possible_and_seeded(logits in logits(), seed: u64) {
            let sampler = || Sampler::new(seed).top_k(3).unwrap();
            let p = sampler().probabilities(&logits, &[]).unwrap();
            let (mut one, mut other) = (sampler(), sampler());
            for _ in 0..20 {
                let token = one.sample(&logits, &[]).unwrap();
                prop_assert!(p[token as usize] > 0.0);
                prop_assert_eq!(token, other.sample(&logits, &[]).unwrap());
            }
        }
    }

    fn p_of(logits: &[f64], temperature: f64, logit: f64) -> f64 {
        (logit / temperature).exp() / logits.iter().map(|x| (x / temperature).exp()).sum::<f64>()
    }

    /// Five standard deviations of a binomial distribution.
    #[test]
    fn draws_have_their_frequencies() {
        let logits = [0.0f32, 1.0, -1.0, 2.0];
        let mut sampler = Sampler::new(3);
        let p = sampler.probabilities(&logits, &[]).unwrap();
        let mut counts = [0.0; 4];
        (0..20_000).for_each(|_| counts[sampler.sample(&logits, &[]).unwrap() as usize] += 1.0);
        for (count, p) in counts.iter().zip(p) {
            assert!((count - 20_000.0 * p).abs() < 5.0 * (20_000.0 * p * (1.0 - p)).sqrt(), "{counts:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        let error = Sampler::greedy().sample(&[1.0f32, f32::NAN], &[]).unwrap_err().to_string();
        assert_eq!(error, "the logit of token 1 is NaN, so no next token can be chosen");
        assert!(Sampler::greedy().sample::<f32>(&[], &[]).is_err());
        assert!(Sampler::new(0).sample(&[f64::NEG_INFINITY; 3], &[]).is_err());
        assert!(Sampler::new(0).temperature(-1.0).is_err());
        assert!(Sampler::new(0).top_k(0).is_err());
        assert!(Sampler::new(0).top_p(0.0).is_err() && Sampler::new(0).top_p(1.1).is_err());
        assert!(Sampler::new(0).repetition_penalty(0.0).is_err());
    }
}
