//! Seeded orders. The algorithm is part of the interface: an equal seed gives an equal order in every version.

/// The numbers 0 to `len` − 1 in an order that depends on the seed alone.
///
/// Fisher and Yates's shuffle from the last position to the first, position i taking one of 0..=i by the high half of a
/// 64×64-bit product (Lemire 2019, without rejection) of a SplitMix64 draw (Steele, Lea and Flood 2014).
pub fn shuffled(len: usize, seed: u64) -> Vec<u32> {
    let mut order = Vec::new();
    shuffle_into(&mut order, len, seed);
    order
}

/// The order of one epoch of a training with this seed; each epoch has its own.
pub fn epoch_order(len: usize, seed: u64, epoch: u64, order: &mut Vec<u32>) {
    let mut state = seed;
    let base = split_mix(&mut state);
    shuffle_into(order, len, base ^ epoch.wrapping_mul(GOLDEN));
}

/// Splits the numbers 0 to `len` − 1, in the order of [`shuffled`], after the share `first` (rounded to whole samples).
/// A share outside 0 to 1 counts as 0 or 1.
pub fn split(len: usize, first: f64, seed: u64) -> (Vec<u32>, Vec<u32>) {
    let mut left = shuffled(len, seed);
    let right = left.split_off((len as f64 * first.clamp(0.0, 1.0)).round() as usize);
    (left, right)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn shuffle_into(order: &mut Vec<u32>, len: usize, seed: u64) {
    order.clear();
    order.extend(0..len as u32);
    let mut state = seed;
    for i in (1..len).rev() {
        let draw = u128::from(split_mix(&mut state)) * (i as u128 + 1);
        order.swap(i, (draw >> 64) as usize);
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_agrees_with_the_reference() {
        // The first draws for seed 1234567, as published with the reference implementation (Vigna 2015).
        let mut state = 1_234_567;
        let draws = [(); 3].map(|()| split_mix(&mut state));
        assert_eq!(draws, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

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

    /// Written down when the algorithm was published in the first version; see the documentation of `shuffled`.
    const FIXED: [u32; 10] = [4, 9, 2, 5, 1, 7, 6, 0, 3, 8];

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
