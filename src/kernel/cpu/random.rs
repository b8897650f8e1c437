//! Random draws in vectors, see [`random`](crate::random).

use super::math::Real;
use super::vectorized::{Instructions, vectorized};
use crate::random::{BLOCKS, GROUP, STEP, Stream};

pub use crate::random::uniform;

/// A standard normal draw, by Box and Muller's formula.
pub fn normal(key: [u32; 4], path: u64, position: u64) -> f64 {
    let (words, w) = Stream::new(key, path).words(position);
    let (sin, cos) = box_muller(words[w & 2], words[w | 1]);
    if w % 2 == 0 { cos } else { sin }
}

/// Fills `out` with the draws of consecutive positions from `first`.
pub(super) fn fill<T: Real>(stream: &Stream, arch: Instructions, out: &mut [T], first: u64, normal: bool) {
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || {
            let mut done = 0;
            while done < out.len() {
                let position = first + done as u64;
                let skip = (position % GROUP as u64) as usize;
                let n = (GROUP - skip).min(out.len() - done);
                let group = group::<T>(stream, position / GROUP as u64, normal);
                out[done..done + n].copy_from_slice(&group[skip..skip + n]);
                done += n;
            }
        },
    );
}

/// All draws of a group.
#[inline(always)]
fn group<T: Real>(stream: &Stream, group: u64, normal: bool) -> [T; GROUP] {
    let words = stream.blocks(group);
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
    fn fills_agree_with_single_draws_wherever_they_begin() {
        let stream = Stream::new(KEY, 42);
        for (first, len) in [(0, 200), (1, 63), (63, 66), (70, 5), (1 << 40, 130), ((1 << 36) - 7, 20)] {
            let mut uniforms = vec![0.0f32; len];
            let mut normals = vec![0.0f32; len];
            let mut exact = vec![0.0f64; len];
            fill(&stream, Instructions::best(), &mut uniforms, first, false);
            fill(&stream, Instructions::best(), &mut normals, first, true);
            fill(&stream, Instructions::best(), &mut exact, first, true);
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
        fill(&Stream::new(KEY, 1), Instructions::best(), &mut draws, 0, false);
        let (mean, variance, correlation) = moments(&draws);
        assert!((mean - 0.5).abs() < bound * (1.0f64 / 12.0).sqrt(), "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < bound * (1.0f64 / 180.0).sqrt(), "{variance}");
        assert!(correlation < bound, "{correlation}");
        assert!(draws.iter().all(|x| (0.0..1.0).contains(x)));
        fill(&Stream::new(KEY, 1), Instructions::best(), &mut draws, 0, true);
        let (mean, variance, correlation) = moments(&draws);
        assert!(mean.abs() < bound, "{mean}");
        assert!((variance - 1.0).abs() < bound * 2f64.sqrt(), "{variance}");
        assert!(correlation < bound, "{correlation}");
        let beyond_2 = draws.iter().filter(|x| x.abs() > 2.0).count() as f64 / n as f64;
        assert!((beyond_2 - 0.045_500_26).abs() < bound * 0.21, "{beyond_2}");
    }
}
