//! Random numbers as a function of key, path and position: Philox4x32-10 (Salmon et al., "Parallel random numbers: as
//! easy as 1, 2, 3", 2011).
//!
//! A first block, keyed by the seed and counting step and path, gives key and upper counter of a stream; the blocks of
//! the stream give the draws. Positions are taken in groups of 64: position `64·g + 16·w + i` is word `w` of block
//! `16·g + i`.

use std::f64::consts::TAU;

/// 2⁻²⁴
const STEP: f64 = 1.0 / 16_777_216.0;

/// A uniform draw on [0, 1), a multiple of 2⁻²⁴. `key` is seed low, seed high, step low, step high.
pub fn uniform(key: [u32; 4], path: u64, position: u64) -> f64 {
    let (words, w) = words(key, path, position);
    f64::from(words[w] >> 8) * STEP
}

/// A standard normal draw, by Box and Muller's formula.
pub fn normal(key: [u32; 4], path: u64, position: u64) -> f64 {
    let (words, w) = words(key, path, position);
    let radius = (-2.0 * (f64::from((words[w & 2] >> 8) + 1) * STEP).ln()).sqrt();
    let angle = f64::from(words[w | 1] >> 8) * STEP * TAU;
    radius * if w & 1 == 0 { angle.cos() } else { angle.sin() }
}

/// The block of a position and which of its words it is.
fn words([seed_low, seed_high, step_low, step_high]: [u32; 4], path: u64, position: u64) -> ([u32; 4], usize) {
    let [a, b, c, d] = philox([seed_low, seed_high], [step_low, step_high, path as u32, (path >> 32) as u32]);
    let within = position % 64;
    let block = position / 64 * 16 + within % 16;
    (philox([a, b], [block as u32, (block >> 32) as u32, c, d]), (within / 16) as usize)
}

fn philox([mut k0, mut k1]: [u32; 2], mut c: [u32; 4]) -> [u32; 4] {
    for _ in 0..10 {
        let left = u64::from(c[0]) * 0xD251_1F53;
        let right = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(right >> 32) as u32 ^ c[1] ^ k0, right as u32, (left >> 32) as u32 ^ c[3] ^ k1, left as u32];
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_blocks() {
        // Known answers of the Random123 library.
        assert_eq!(philox([0; 2], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = philox([u32::MAX; 2], [u32::MAX; 4]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }
}
