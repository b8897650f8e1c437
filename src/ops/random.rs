//! Random draws as the definition of the generator says them, number by number: Philox4x32-10 (Salmon et al., "Parallel
//! random numbers: as easy as 1, 2, 3", 2011) and Box and Muller's formula. Written without the devices' generator,
//! which is judged by it.

use std::f64::consts::TAU;

/// One of ten rounds multiplies two words of the counter by these.
const FACTORS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What the words of the key grow by from round to round.
const GROWTH: [u64; 2] = [0x9E37_79B9, 0xBB67_AE85];
const WORD: u64 = 1 << 32;

/// The block of a counter, under a key.
fn block(counter: [u64; 4], key: [u64; 2]) -> [u64; 4] {
    (0..10).fold(counter, |c, round| {
        let [left, right] = [c[0] * FACTORS[0], c[2] * FACTORS[1]];
        let key = [0, 1].map(|i| (key[i] + round * GROWTH[i]) % WORD);
        [(right / WORD) ^ c[1] ^ key[0], right % WORD, (left / WORD) ^ c[3] ^ key[1], left % WORD]
    })
}

/// The words from which the draw at a position is made, and which of them is the position's: of 64 positions in a row, the
/// first 16 have the first words of 16 blocks, the next 16 the second words, and so on.
fn words(key: [u64; 4], path: u64, position: u64) -> ([u64; 4], usize) {
    let [a, b, c, d] = block([key[2], key[3], path % WORD, path / WORD], [key[0], key[1]]);
    let number = position / 64 * 16 + position % 16;
    (block([number % WORD, number / WORD, c, d], [a, b]), (position % 64 / 16) as usize)
}

/// The 24 highest bits of a word.
fn high(word: u64) -> f64 {
    (word / 256) as f64
}

/// A uniform draw on [0, 1), a multiple of 2⁻²⁴.
pub(super) fn uniform(key: [u64; 4], path: u64, position: u64) -> f64 {
    let (words, own) = words(key, path, position);
    high(words[own]) / (1 << 24) as f64
}

/// A standard normal draw: of two words, the first gives the radius and the second the angle of two draws.
pub(super) fn normal(key: [u64; 4], path: u64, position: u64) -> f64 {
    let (words, own) = words(key, path, position);
    let pair = own / 2 * 2;
    let radius = (-2.0 * ((high(words[pair]) + 1.0) / (1 << 24) as f64).ln()).sqrt();
    let angle = TAU * high(words[pair + 1]) / (1 << 24) as f64;
    radius * if own == pair { angle.cos() } else { angle.sin() }
}

/// The key that follows from a key and a number.
pub(super) fn fold_in(key: [u64; 4], number: u64) -> [u64; 4] {
    block([key[2], key[3], number, WORD - 1], [key[0], key[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test vector of the authors' Random123.
    #[test]
    fn a_known_block() {
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let expected = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(block(counter, [0xa409_3822, 0x299f_31d0]), expected);
    }
}
