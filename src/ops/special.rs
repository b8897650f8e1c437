//! Special functions in f64, computed independently of the kernels, so that the interpreter can judge them.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// The greater of two numbers; NaN if either is.
pub(super) fn greatest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The lesser of two numbers; NaN if either is.
pub(super) fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// −1, 0 or 1; NaN stays NaN.
pub(super) fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x.abs() } else { x.signum() }
}

/// 1 / (1 + e^(−x)), without overflow.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// ln(1 + e^x), without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    let tail = (-x.abs()).exp().ln_1p();
    if x < 0.0 { tail } else { x + tail }
}

/// The error function 2/√π ∫₀ˣ e^(−t²) dt.
///
/// Near 0 by the series 2/√π e^(−x²) Σ 2ⁿ x^(2n+1) / (2n+1)!! (Abramowitz & Stegun 7.1.6), whose terms are all of one
/// sign; beyond by the continued fraction of the complement (7.1.14).
pub(super) fn erf(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude.is_nan() || magnitude > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    if magnitude < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > f64::EPSILON / 8.0 * sum.abs() {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return FRAC_2_SQRT_PI * (-x * x).exp() * sum;
    }
    // e^(x²) √π erfc(x) = 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))), from the inside out.
    let fraction = (1..=60).rev().fold(magnitude, |inner, n| magnitude + f64::from(n) / 2.0 / inner);
    let complement = (-x * x).exp() / (PI.sqrt() * fraction);
    x.signum() * (1.0 - complement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::excessive_precision)] // digits as tabulated
    fn erf_agrees_with_tables() {
        // Abramowitz & Stegun, table 7.1, and to more digits the NIST Digital Library, §7.23.
        for (x, expected) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_89),
            (0.5, 0.520_499_877_813_046_54),
            (1.0, 0.842_700_792_949_714_87),
            (2.0, 0.995_322_265_018_952_73),
            (3.0, 0.999_977_909_503_001_41),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - expected).abs() <= 3e-16, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }

    #[test]
    fn both_forms_of_erf_meet() {
        let (below, above) = (erf(2.5 - 1e-9), erf(2.5));
        let slope = FRAC_2_SQRT_PI * (-6.25f64).exp();
        assert!((above - below - slope * 1e-9).abs() < 1e-15);
    }

    #[test]
    fn sigmoid_and_softplus_do_not_overflow() {
        assert_eq!((sigmoid(800.0), sigmoid(-800.0)), (1.0, 0.0));
        assert_eq!((softplus(800.0), softplus(-800.0)), (800.0, 0.0));
        assert!((softplus(0.0) - 2f64.ln()).abs() < 1e-16);
    }

    #[test]
    fn signs() {
        assert_eq!([-2.5, -0.0, 0.0, 1e-320, f64::INFINITY].map(sign), [-1.0, 0.0, 0.0, 1.0, 1.0]);
        assert!(sign(f64::NAN).is_nan());
    }

    #[test]
    fn extremes_keep_nan() {
        assert!(greatest(f64::NAN, 1.0).is_nan() && least(1.0, f64::NAN).is_nan());
        assert_eq!((greatest(1.0, 2.0), least(1.0, 2.0)), (2.0, 1.0));
    }
}
