//! Initial values, reproducible and independent of the order of layers.

use super::{Model, Slot, Source};
use crate::kernel::cpu::random;
use crate::tensor::{Float, Path};
use crate::{Error, Result};

/// How a tensor of the model starts. The fan in of a tensor `[o, i, …]` is i times the sizes after it, the fan out o times
/// these sizes, as in `torch.nn.init`.
#[derive(Clone, Copy, Debug)]
pub enum Init {
    /// One value everywhere.
    Constant(f64),
    /// Uniform from the first number to the second.
    Uniform(f64, f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// The same, where draws beyond two standard deviations are drawn anew.
    TruncatedNormal(f64),
    /// Normal with the standard deviation gain / √fan (He et al. 2015; `torch.nn.init.kaiming_normal_`).
    KaimingNormal(f64, Fan),
    /// Uniform with this standard deviation.
    KaimingUniform(f64, Fan),
    /// Normal with the standard deviation gain · √(2 / (fan in + fan out)) (Glorot, Bengio 2010).
    XavierNormal(f64),
    /// Uniform with this standard deviation.
    XavierUniform(f64),
    /// Rows of length gain at right angles (columns where there are fewer), evenly distributed among all such (Saxe et al.
    /// 2014; `torch.nn.init.orthogonal_`). Axes after the first count as one.
    Orthogonal(f64),
    /// The gain where row and column are equal, 0 elsewhere. Axes after the first count as one.
    Identity(f64),
    /// As a function of Rust says, which gives the values row after row: in a net its path, `param w: [d, d] = crate::hippo;`.
    Own(fn(&Start<'_>) -> Vec<f64>),
}

/// What a function of Rust knows of a tensor that starts as it says. Its draws are keyed by the seed of the model and by the
/// tensor's path, as those of all initialisers.
///
/// ```
/// use ansatz::nn::Start;
/// use ansatz::prelude::*;
///
/// mod starts {
///     use ansatz::nn::Start;
///
///     /// 1, 2, 3, … on the diagonal, and draws from the normal distribution of this deviation around it.
///     pub fn ladder(start: &Start<'_>, deviation: f64) -> Vec<f64> {
///         let columns = start.dims()[1];
///         let rung = |i: usize| if i / columns == i % columns { (1 + i % columns) as f64 } else { 0.0 };
///         (0..start.len()).map(|i| rung(i) + deviation * start.normal(i)).collect()
///     }
/// }
///
/// net! {
///     pub net Steps(x: [n, 3]) -> [n, 3] {
///         param w: [3, 3] = starts::ladder(0.0);
///         einsum(x[n, j], w[i, j] -> [n, i]) |> linear(3, init = starts::ladder(0.1))
///     }
/// }
///
/// let steps: Steps = Steps::init(0);
/// assert_eq!(to_vec(&steps.w), [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    dims: &'a [usize],
    path: u64,
    key: [u32; 4],
}

impl Start<'_> {
    /// The sizes of the tensor.
    pub fn dims(&self) -> &[usize] {
        self.dims
    }

    /// How many values it takes.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it takes none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fan out and fan in, as in [`Init`].
    pub fn fans(&self) -> [f64; 2] {
        fans(self.dims)
    }

    /// A draw from the standard normal distribution; each number `i` has its own.
    pub fn normal(&self, i: usize) -> f64 {
        random::normal(self.key, self.path, i as u64)
    }

    /// A draw from \[0, 1); each number `i` has its own.
    pub fn uniform(&self, i: usize) -> f64 {
        random::uniform(self.key, self.path, i as u64)
    }
}

/// Which side of a tensor Kaiming's initialisers keep the variance of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// That of the values that go forward.
    In,
    /// That of the gradients that go back.
    Out,
}

impl Init {
    /// The same for a tensor of these sizes, with fans and gains as numbers.
    pub fn resolved(self, dims: &[usize]) -> Self {
        let [out, inner] = fans(dims);
        let deviation = match self {
            Init::KaimingNormal(gain, fan) | Init::KaimingUniform(gain, fan) => {
                gain / (if fan == Fan::In { inner } else { out }).sqrt()
            }
            Init::XavierNormal(gain) | Init::XavierUniform(gain) => gain * (2.0 / (inner + out)).sqrt(),
            other => return other,
        };
        // A tensor without elements has no fan, and nothing to draw.
        let deviation = if deviation.is_finite() { deviation } else { 0.0 };
        match self {
            Init::KaimingNormal(..) | Init::XavierNormal(_) => Init::Normal(deviation),
            _ => Init::Uniform(-(3f64.sqrt()) * deviation, 3f64.sqrt() * deviation),
        }
    }
}

/// Fan out and fan in; a vector is a single row.
fn fans(dims: &[usize]) -> [f64; 2] {
    let (&rows, rest) = dims.split_first().unwrap_or((&1, &[]));
    let (&columns, taps) = rest.split_first().unwrap_or((&1, &[]));
    let taps: usize = taps.iter().product();
    [(rows * taps) as f64, (columns * taps) as f64]
}

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
///
/// # Panics
/// If an initialiser of one's own gives a tensor another number of values than it takes; [`try_init`] says it instead.
pub fn init<E: Float, M: Model<E>>(seed: u64) -> M {
    try_init(seed).unwrap_or_else(|error| panic!("{error}"))
}

/// As [`init`], for models whose initialisers are not one's own.
///
/// # Errors
/// If one gives a tensor another number of values than it takes.
pub fn try_init<E: Float, M: Model<E>>(seed: u64) -> Result<M> {
    M::build(&Path::root(), &mut Seeded::new(seed))
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
        let normal = |attempt: u32, i: usize| random::normal([key[0], key[1], attempt, 0], path, i as u64);
        let columns = len / slot.dims.first().copied().unwrap_or(1).max(1);
        let start = slot.init.resolved(&slot.dims);
        if let Init::Own(values) = start {
            let values = values(&Start { dims: &slot.dims, path, key });
            if values.len() != len {
                let (given, dims) = (values.len(), &slot.dims);
                let problem = format!("`{}` of shape {dims:?} starts from {given} values, and takes {len}", slot.key);
                return Err(Error::value(problem));
            }
            return Ok(values.into_iter().map(<E as Float>::from_f64).collect());
        }
        if let Init::Orthogonal(gain) = start {
            let rows = slot.dims.first().copied().unwrap_or(1);
            let values = orthogonal(rows, columns, &|i| normal(0, i));
            return Ok(values.into_iter().map(|value| <E as Float>::from_f64(gain * value)).collect());
        }
        let value = |i: usize| match start {
            Init::Constant(value) => value,
            Init::Uniform(from, to) => {
                (from + to) / 2.0 + (2.0 * random::uniform(key, path, i as u64) - 1.0) * ((to - from) / 2.0)
            }
            Init::Normal(deviation) => deviation * normal(0, i),
            Init::TruncatedNormal(deviation) => {
                let draw = (0..).map(|attempt| normal(attempt, i)).find(|z| z.abs() <= 2.0);
                deviation * draw.expect("of an endless row of draws one lies within")
            }
            Init::Identity(gain) if i / columns == i % columns => gain,
            _ => 0.0,
        };
        Ok((0..len).map(|i| <E as Float>::from_f64(value(i))).collect())
    }
}

/// Vectors at right angles of length 1, the rows or the columns, whichever are fewer. Orthogonalising normal draws, twice
/// against rounding, distributes them evenly.
fn orthogonal(rows: usize, columns: usize, draw: &dyn Fn(usize) -> f64) -> Vec<f64> {
    let (few, long) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(few);
    for v in 0..few {
        let mut vector: Vec<f64> = (0..long).map(|i| draw(v * long + i)).collect();
        for other in vectors.iter().chain(&vectors) {
            let product: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            vector.iter_mut().zip(other).for_each(|(a, b)| *a -= product * b);
        }
        let length = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|a| *a /= length);
        vectors.push(vector);
    }
    let at = |i: usize, j: usize| if rows <= columns { vectors[i][j] } else { vectors[j][i] };
    (0..rows * columns).map(|e| at(e / columns, e % columns)).collect()
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
        let (mean, variance) = moments(&draws(Init::Uniform(-0.5, 0.5), "a", 1));
        assert!(mean.abs() < 5.0 * (1.0 / 12.0 / 1e4f64).sqrt(), "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 5.0 * (1.0 / 180.0 / 1e4f64).sqrt(), "{variance}");
        let (mean, variance) = moments(&draws(Init::Normal(2.0), "a", 1));
        assert!(mean.abs() < 5.0 * 2.0 / 100.0, "{mean}");
        assert!((variance - 4.0).abs() < 5.0 * 4.0 * (2.0 / 1e4f64).sqrt(), "{variance}");
    }

    #[test]
    fn keys_and_seeds_draw_apart() {
        let base = draws(Init::Uniform(-1.0, 1.0), "a", 1);
        assert_eq!(base, draws(Init::Uniform(-1.0, 1.0), "a", 1));
        assert_ne!(base, draws(Init::Uniform(-1.0, 1.0), "b", 1));
        assert_ne!(base, draws(Init::Uniform(-1.0, 1.0), "a", 2));
        assert!(draws(Init::Constant(3.0), "a", 1).iter().all(|&v| v == 3.0));
    }
}
