//! Seeded orders. The algorithm is part of the interface: an equal seed gives an equal order on every machine.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

/// The numbers 0 to `len` − 1 in an order that depends on the seed alone: `rand`'s shuffle by the portable generator
/// ChaCha8.
pub fn shuffled(len: usize, seed: u64) -> Vec<u32> {
    let mut order = Vec::new();
    epoch_order(len, seed, 0, &mut order);
    order
}

/// The order of one epoch of a training with this seed; each epoch has its own, a stream of the generator.
pub fn epoch_order(len: usize, seed: u64, epoch: u64, order: &mut Vec<u32>) {
    order.clear();
    order.extend(0..len as u32);
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(epoch);
    order.shuffle(&mut generator);
}

/// Splits the numbers 0 to `len` − 1, in the order of [`shuffled`], after the share `first` (rounded to whole samples).
/// A share outside 0 to 1 counts as 0 or 1.
pub fn split(len: usize, first: f64, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let mut left = shuffled(len, seed);
    let right = left.split_off((len as f64 * first.clamp(0.0, 1.0)).round() as usize);
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_and_depends_on_seed_and_epoch() {
        let mut sorted = shuffled(1000, 3);
        assert_ne!(sorted, shuffled(1000, 4));
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..1000));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        epoch_order(50, 7, 0, &mut first);
        epoch_order(50, 7, 1, &mut second);
        assert_ne!(first, second);
        assert!(shuffled(0, 1).is_empty());
        assert_eq!(shuffled(1, 1), [0]);
    }

    #[test]
    fn orders_never_change() {
        assert_eq!(shuffled(10, 0), FIXED);
    }

    /// Written down with the first version, so that a new version of `rand` cannot change what a seed means.
    const FIXED: [u32; 10] = [2, 8, 6, 1, 9, 5, 7, 4, 0, 3];

    #[test]
    fn every_position_is_about_equally_likely() {
        let mut counts = [[0u32; 5]; 5];
        for seed in 0..5000 {
            for (position, value) in shuffled(5, seed).into_iter().enumerate() {
                counts[position][value as usize] += 1;
            }
        }
        // Binomial with mean 1000 and standard deviation 28: five of them.
        assert!(counts.iter().flatten().all(|&n| n.abs_diff(1000) < 142), "{counts:?}");
    }
}
