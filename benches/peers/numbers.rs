//! The weights and batches, the same in every language.

use ansatz::nn::{Init, Path, Slot, Source};
use ansatz::prelude::*;
use ansatz::tensor::Named;

/// The 24 upper bits of splitmix64 at `seed · 2³² + i`.
pub fn bits(seed: u64, i: u64) -> u64 {
    let mut z = ((seed << 32) + i).wrapping_add(0x9E37_79B9_7F4A_7C15);
    for (shift, factor) in [(30, 0xBF58_476D_1CE4_E5B9_u64), (27, 0x94D0_49BB_1331_11EB)] {
        z = (z ^ (z >> shift)).wrapping_mul(factor);
    }
    (z ^ (z >> 31)) >> 40
}

/// Uniform on [−bound, bound).
pub fn uniform(seed: u64, len: usize, bound: f64) -> Vec<f32> {
    (0..len as u64).map(|i| (bits(seed, i) as f32 / 8_388_608.0 - 1.0) * bound as f32).collect()
}

/// Of variance 1.
pub fn input(seed: u64, len: usize) -> Vec<f32> {
    uniform(seed, len, 3.0_f64.sqrt())
}

/// Uniform on 0..n.
pub fn integers(seed: u64, len: usize, n: usize) -> Vec<u32> {
    (0..len as u64).map(|i| ((bits(seed, i) * n as u64) >> 24) as u32).collect()
}

/// Weights are numbered in the order of declaration; number k is uniform with seed k and variance 1 / fan in, or 0.02² in
/// tables of embeddings, which are those that start normal. Biases are 0 and scales 1.
#[derive(Default)]
struct Weights {
    next: u64,
}

impl Source<f32> for Weights {
    fn tensor(&mut self, slot: &Slot) -> ansatz::Result<Vec<f32>> {
        let len = slot.dims.iter().product();
        if let [_, fan_in @ ..] = &*slot.dims
            && !fan_in.is_empty()
        {
            self.next += 1;
            let deviation = match slot.init {
                Init::Normal(_) => 0.02,
                _ => (fan_in.iter().product::<usize>() as f64).sqrt().recip(),
            };
            return Ok(uniform(self.next - 1, len, 3.0_f64.sqrt() * deviation));
        }
        let value = match slot.init {
            Init::Constant(value) => value as f32,
            _ => 0.0,
        };
        Ok(vec![value; len])
    }
}

/// A net with these weights.
pub fn build<M: Model<f32>>() -> ansatz::Result<M> {
    M::build(&Path::root(), &mut Weights::default())
}

pub fn labels<D: ConstDim + Named>(seed: u64, len: usize) -> ansatz::Result<Indices<(usize,), D>> {
    Indices::new(integers(seed, len, D::default().size()), (len,))
}
