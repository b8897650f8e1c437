//! Random numbers as a function of key, path and position: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
//! easy as 1, 2, 3", 2011).
//!
//! A first block, keyed by the seed and counting step and path, gives key and upper counter of a stream; the blocks of
//! the stream give the draws. Positions are taken in groups of 64: position `64·g + 16·w + i` is word `w` of block
//! `16·g + i`, so that whole vectors of words are stored side by side.

use super::math::Real;
use super::vectorized::vectorized;
use pulp::Arch;

const GROUP: usize = 64;
const BLOCKS: usize = GROUP / 4;
const ROUNDS: usize = 10;
/// 2⁻²⁴
const STEP: f64 = 1.0 / 16_777_216.0;

/// A uniform draw on [0, 1), a multiple of 2⁻²⁴. `key` is seed low, seed high, step low, step high.
pub fn uniform(key: [u32; 4], path: u64, position: u64) -> f64 {
    let (words, w) = Stream::new(key, path).words(position);
    f64::from(words[w] >> 8) * STEP
}

/// A standard normal draw, by Box and Muller's formula.
pub fn normal(key: [u32; 4], path: u64, position: u64) -> f64 {
    let (words, w) = Stream::new(key, path).words(position);
    let (sin, cos) = box_muller(words[w & 2], words[w | 1]);
    if w % 2 == 0 { cos } else { sin }
}

/// The key that follows from a key and a number: the block with the seed for its key, and step and number for its
/// counter. The fourth word of the counter sets it apart from the streams, which have the upper half of a path there.
pub fn fold_in([seed_low, seed_high, step_low, step_high]: [u32; 4], number: u32) -> [u32; 4] {
    philox([seed_low, seed_high], [[step_low], [step_high], [number], [u32::MAX]]).map(|[word]| word)
}

/// The draws of one key and path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    key: [u32; 2],
    counter: [u32; 2],
}

impl Stream {
    pub(super) fn new([seed_low, seed_high, step_low, step_high]: [u32; 4], path: u64) -> Self {
        let counter = [[step_low], [step_high], [path as u32], [(path >> 32) as u32]];
        let [[a], [b], [c], [d]] = philox([seed_low, seed_high], counter);
        Stream { key: [a, b], counter: [c, d] }
    }

    /// Fills `out` with the draws of consecutive positions from `first`.
    pub(super) fn fill<T: Real>(&self, arch: Arch, out: &mut [T], first: u64, normal: bool) {
        vectorized(
            arch,
            #[inline(always)]
            || {
                let mut done = 0;
                while done < out.len() {
                    let position = first + done as u64;
                    let skip = (position % GROUP as u64) as usize;
                    let n = (GROUP - skip).min(out.len() - done);
                    let group = self.group::<T>(position / GROUP as u64, normal);
                    out[done..done + n].copy_from_slice(&group[skip..skip + n]);
                    done += n;
                }
            },
        );
    }

    /// All draws of a group.
    #[inline(always)]
    fn group<T: Real>(&self, group: u64, normal: bool) -> [T; GROUP] {
        let words = self.blocks(group);
        let mut out = [T::ZERO; GROUP];
        if normal {
            for pair in 0..2 {
                for i in 0..BLOCKS {
                    let (sin, cos) = box_muller(words[2 * pair][i], words[2 * pair + 1][i]);
                    out[2 * pair * BLOCKS + i] = cos;
                    out[(2 * pair + 1) * BLOCKS + i] = sin;
                }
            }
        } else {
            for (w, words) in words.iter().enumerate() {
                for (i, &word) in words.iter().enumerate() {
                    out[w * BLOCKS + i] = T::from_u32(word >> 8) * T::from_f64(STEP);
                }
            }
        }
        out
    }

    /// The words of the 16 blocks of a group.
    #[inline(always)]
    fn blocks(&self, group: u64) -> [[u32; BLOCKS]; 4] {
        let first = group.wrapping_mul(BLOCKS as u64);
        // The low word does not carry within a group, whose first block is a multiple of 16.
        let mut low = [first as u32; BLOCKS];
        for (i, low) in low.iter_mut().enumerate() {
            *low += i as u32;
        }
        let [c, d] = self.counter;
        philox(self.key, [low, [(first >> 32) as u32; BLOCKS], [c; BLOCKS], [d; BLOCKS]])
    }

    /// The block of a position, and which of its words is the position's.
    fn words(&self, position: u64) -> ([u32; 4], usize) {
        let within = (position % GROUP as u64) as usize;
        let block = position / GROUP as u64 * BLOCKS as u64 + (within % BLOCKS) as u64;
        let [c, d] = self.counter;
        let words = philox(self.key, [[block as u32], [(block >> 32) as u32], [c], [d]]);
        (words.map(|[word]| word), within / BLOCKS)
    }
}

/// Ten rounds on `N` counters side by side.
#[inline(always)]
fn philox<const N: usize>([mut k0, mut k1]: [u32; 2], mut c: [[u32; N]; 4]) -> [[u32; N]; 4] {
    for _ in 0..ROUNDS {
        let mut next = [[0; N]; 4];
        for i in 0..N {
            let left = u64::from(c[0][i]) * 0xD251_1F53;
            let right = u64::from(c[2][i]) * 0xCD9E_8D57;
            next[0][i] = (right >> 32) as u32 ^ c[1][i] ^ k0;
            next[1][i] = right as u32;
            next[2][i] = (left >> 32) as u32 ^ c[3][i] ^ k1;
            next[3][i] = left as u32;
        }
        c = next;
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    c
}

/// Two independent standard normal numbers: radius times sine and cosine of an angle.
#[inline(always)]
fn box_muller<T: Real>(radius: u32, angle: u32) -> (T, T) {
    // In (0, 1], exact in f32.
    let u = T::from_u32((radius >> 8) + 1) * T::from_f64(STEP);
    let r = (u.ln() * T::from_f64(-2.0)).sqrt();
    let (sin, cos) = (T::from_u32(angle >> 8) * T::from_f64(STEP)).sin_cos_turns();
    (r * sin, r * cos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u32; 4] = [0x1234_5678, 9, 77, 0];

    #[test]
    fn known_answers() {
        // From the test vectors of the authors' Random123.
        let cases = [
            ([0; 2], [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 2], [u32::MAX; 4], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (key, counter, expected) in cases {
            assert_eq!(philox(key, counter.map(|c| [c])).map(|[word]| word), expected);
        }
    }

    #[test]
    fn fills_agree_with_single_draws_wherever_they_begin() {
        let stream = Stream::new(KEY, 42);
        for (first, len) in [(0, 200), (1, 63), (63, 66), (70, 5), (1 << 40, 130), ((1 << 36) - 7, 20)] {
            let mut uniforms = vec![0.0f32; len];
            let mut normals = vec![0.0f32; len];
            let mut exact = vec![0.0f64; len];
            stream.fill(Arch::new(), &mut uniforms, first, false);
            stream.fill(Arch::new(), &mut normals, first, true);
            stream.fill(Arch::new(), &mut exact, first, true);
            for i in 0..len {
                let position = first + i as u64;
                assert_eq!(f64::from(uniforms[i]), uniform(KEY, 42, position));
                let z = normal(KEY, 42, position);
                assert!((f64::from(normals[i]) - z).abs() <= 1e-6, "{} {z}", normals[i]);
                assert!((exact[i] - z).abs() <= 1e-14);
            }
        }
    }

    /// Mean, variance, and the correlation of neighbours at the distances that the layout makes special.
    fn moments(draws: &[f32]) -> (f64, f64, f64) {
        let n = draws.len() as f64;
        let mean = draws.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = draws.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        let correlation = |lag: usize| {
            let product = draws.iter().zip(&draws[lag..]).map(|(&x, &y)| (f64::from(x) - mean) * (f64::from(y) - mean));
            (product.sum::<f64>() / n / variance).abs()
        };
        (mean, variance, [1, 2, 16, 32, 48, 64].into_iter().map(correlation).fold(0.0, f64::max))
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let n = 1 << 20;
        let mut draws = vec![0.0f32; n];
        // Five standard errors.
        let bound = 5.0 / (n as f64).sqrt();
        Stream::new(KEY, 1).fill(Arch::new(), &mut draws, 0, false);
        let (mean, variance, correlation) = moments(&draws);
        assert!((mean - 0.5).abs() < bound * (1.0f64 / 12.0).sqrt(), "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < bound * (1.0f64 / 180.0).sqrt(), "{variance}");
        assert!(correlation < bound, "{correlation}");
        assert!(draws.iter().all(|x| (0.0..1.0).contains(x)));
        Stream::new(KEY, 1).fill(Arch::new(), &mut draws, 0, true);
        let (mean, variance, correlation) = moments(&draws);
        assert!(mean.abs() < bound, "{mean}");
        assert!((variance - 1.0).abs() < bound * 2f64.sqrt(), "{variance}");
        assert!(correlation < bound, "{correlation}");
        let beyond_2 = draws.iter().filter(|x| x.abs() > 2.0).count() as f64 / n as f64;
        assert!((beyond_2 - 0.045_500_26).abs() < bound * 0.21, "{beyond_2}");
    }

    #[test]
    fn keys_and_paths_give_other_draws() {
        let draw = |key, path| (0..8).map(|i| uniform(key, path, i)).collect::<Vec<_>>();
        let base = draw(KEY, 5);
        assert_ne!(base, draw(KEY, 6));
        assert_ne!(base, draw(KEY, 5 + (1 << 32)));
        for i in 0..4 {
            let mut key = KEY;
            key[i] ^= 1;
            assert_ne!(base, draw(key, 5), "word {i} of the key");
        }
    }
}
