//! Random numbers as a function of key, path and position: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
//! easy as 1, 2, 3", 2011).
//!
//! A first block, keyed by the seed and counting step and path, gives key and upper counter of a stream; the blocks of
//! the stream give the draws. Positions are taken in groups of 64: position `64·g + 16·w + i` is word `w` of block
//! `16·g + i`, so that whole vectors of words are stored side by side.

/// Positions of a group.
pub const GROUP: usize = 64;
/// Blocks of a group.
pub const BLOCKS: usize = GROUP / 4;
const ROUNDS: usize = 10;
/// 2⁻²⁴, the distance between uniform draws.
pub const STEP: f64 = 1.0 / 16_777_216.0;

/// A uniform draw on [0, 1), a multiple of 2⁻²⁴. `key` is seed low, seed high, step low, step high.
pub fn uniform(key: [u32; 4], path: u64, position: u64) -> f64 {
    let (words, w) = Stream::new(key, path).words(position);
    f64::from(words[w] >> 8) * STEP
}

/// The key that follows from a key and a number: the block with the seed for its key, and step and number for its
/// counter. The fourth word of the counter sets it apart from the streams, which have the upper half of a path there.
pub fn fold_in([seed_low, seed_high, step_low, step_high]: [u32; 4], number: u32) -> [u32; 4] {
    philox([seed_low, seed_high], [[step_low], [step_high], [number], [u32::MAX]]).map(|[word]| word)
}

/// The draws of one key and path.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 2],
}

impl Stream {
    /// The stream of a key and a path.
    pub fn new([seed_low, seed_high, step_low, step_high]: [u32; 4], path: u64) -> Self {
        let counter = [[step_low], [step_high], [path as u32], [(path >> 32) as u32]];
        let [[a], [b], [c], [d]] = philox([seed_low, seed_high], counter);
        Stream { key: [a, b], counter: [c, d] }
    }

    /// The words of the 16 blocks of a group.
    #[inline(always)]
    pub fn blocks(&self, group: u64) -> [[u32; BLOCKS]; 4] {
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
    pub fn words(&self, position: u64) -> ([u32; 4], usize) {
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
