//! Initial values, reproducible and independent of the order of layers.

use super::{Init, Model, Slot, Source};
use crate::Result;
use crate::kernel::cpu::random;
use crate::tensor::{Float, Path};

/// A model with initial parameters. Each tensor's draws are keyed by the seed and its own path, so a model keeps its
/// start where layers are added or moved around it.
///
/// ```
/// use ansatz::nn::{Linear, init};
/// use ansatz::tensor::{Const, to_vec};
///
/// let a: Linear<Const<4>, Const<3>, f32> = init(7);
/// let b: Linear<Const<4>, Const<3>, f32> = init(7);
/// assert_eq!(to_vec(&a.weight), to_vec(&b.weight));
/// assert!(to_vec(&a.weight).iter().all(|w| w.abs() <= 0.5));
/// ```
pub fn init<E: Float, M: Model<E>>(seed: u64) -> M {
    M::build(&Path::root(), &mut Seeded::new(seed))
        .expect("this source gives every tensor as many elements as it takes")
}

/// A source that draws every tensor as its slot says, keyed by a seed and the tensor's path.
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
}

impl Seeded {
    /// The source of this seed.
    pub fn new(seed: u64) -> Self {
        Seeded { seed }
    }
}

impl<E: Float> Source<E> for Seeded {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>> {
        let len: usize = slot.dims.iter().product();
        let key = [self.seed as u32, (self.seed >> 32) as u32, 0, 0];
        let path = Path::root().child(&slot.key).hash();
        let value = |i: usize| match slot.init {
            Init::Constant(value) => value,
            Init::Uniform(bound) => (2.0 * random::uniform(key, path, i as u64) - 1.0) * bound,
            Init::Normal(deviation) => deviation * random::normal(key, path, i as u64),
        };
        Ok((0..len).map(|i| <E as Float>::from_f64(value(i))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::StateKind;

    fn draws(init: Init, key: &str, seed: u64) -> Vec<f64> {
        let slot = Slot { key: key.into(), kind: StateKind::Parameter, dims: vec![100, 100], init, decay: true };
        Seeded::new(seed).tensor(&slot).expect("drawing does not fail")
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
    }

    /// Bounds are five standard errors of 10 000 draws.
    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let (mean, variance) = moments(&draws(Init::Uniform(0.5), "a", 1));
        assert!(mean.abs() < 5.0 * (1.0 / 12.0 / 1e4f64).sqrt(), "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 5.0 * (1.0 / 180.0 / 1e4f64).sqrt(), "{variance}");
        let (mean, variance) = moments(&draws(Init::Normal(2.0), "a", 1));
        assert!(mean.abs() < 5.0 * 2.0 / 100.0, "{mean}");
        assert!((variance - 4.0).abs() < 5.0 * 4.0 * (2.0 / 1e4f64).sqrt(), "{variance}");
    }

    #[test]
    fn keys_and_seeds_draw_apart() {
        let base = draws(Init::Uniform(1.0), "a", 1);
        assert_eq!(base, draws(Init::Uniform(1.0), "a", 1));
        assert_ne!(base, draws(Init::Uniform(1.0), "b", 1));
        assert_ne!(base, draws(Init::Uniform(1.0), "a", 2));
        assert!(draws(Init::Constant(3.0), "a", 1).iter().all(|&v| v == 3.0));
    }
}
