//! Every function against the standard library in f64, over all magnitudes, vectorised as kernels use them.
#![allow(clippy::excessive_precision)] // digits as published

use super::Real;
use crate::cpu::rows::apply;
use crate::cpu::vectorized::Instructions;
use crate::elementwise::{Binary, Unary};
use crate::tiled::Code;

/// A function, its reference, and what it may be off: in f32 units in the last place, in f64 relative.
struct Case {
    code: Code,
    reference: fn(f64) -> f64,
    ulps: f64,
    relative: f64,
}

const CASES: &[Case] = &[
    Case { code: Code::Unary(Unary::Exp), reference: f64::exp, ulps: 1.5, relative: 4e-16 },
    Case { code: Code::Unary(Unary::Expm1), reference: f64::exp_m1, ulps: 2.5, relative: 6e-16 },
    Case { code: Code::Unary(Unary::Ln), reference: f64::ln, ulps: 2.0, relative: 4e-16 },
    Case { code: Code::Unary(Unary::Log1p), reference: f64::ln_1p, ulps: 2.5, relative: 6e-16 },
    Case { code: Code::Unary(Unary::Sin), reference: f64::sin, ulps: 2.0, relative: 4e-16 },
    Case { code: Code::Unary(Unary::Cos), reference: f64::cos, ulps: 2.0, relative: 4e-16 },
    Case { code: Code::Unary(Unary::Tanh), reference: f64::tanh, ulps: 3.0, relative: 1e-15 },
    Case { code: Code::Unary(Unary::Sigmoid), reference: sigmoid, ulps: 3.0, relative: 6e-16 },
    Case { code: Code::Unary(Unary::Softplus), reference: softplus, ulps: 3.0, relative: 6e-16 },
    Case { code: Code::Unary(Unary::Erf), reference: erf, ulps: 3.0, relative: 1e-15 },
    Case { code: Code::Unary(Unary::Rsqrt), reference: rsqrt, ulps: 2.0, relative: 4e-16 },
];

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn rsqrt(x: f64) -> f64 {
    1.0 / x.sqrt()
}

/// Below 2 by `2/√π exp(−x²) Σ 2ⁿ x²ⁿ⁺¹/(2n + 1)!!`, all of whose terms are positive, then by the continued fraction
/// of its complement.
fn erf(x: f64) -> f64 {
    let square = x * x;
    if x.abs() < 2.0 {
        let terms = (1..60).rev().fold(1.0, |sum, n| 1.0 + sum * 2.0 * square / (2.0 * f64::from(n) + 1.0));
        return std::f64::consts::FRAC_2_SQRT_PI * (-square).exp() * terms * x;
    }
    let fraction = (1..300).rev().fold(x.abs(), |rest, n| x.abs() + 0.5 * f64::from(n) / rest);
    (1.0 - std::f64::consts::FRAC_2_SQRT_PI / 2.0 * (-square).exp() / fraction).copysign(x)
}

fn run<T: Real>(code: Code, [x, y]: [&[T]; 2]) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    apply(Instructions::best(), code, &mut out, [x, y, &[]]);
    out
}

/// Units in the last place of f32 between `found` and `exact`.
fn ulps(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if found == nearest || found.is_nan() && nearest.is_nan() {
        return 0.0;
    }
    // Where the result overflows, half a unit decides.
    let exact = exact.clamp(-f64::from(f32::MAX), f64::from(f32::MAX));
    let exponent = exact.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
    (f64::from(found) - exact).abs() / (exponent - 23.0).exp2()
}

#[test]
fn f32_functions_are_within_a_few_units() {
    // Every 1009th of all bit patterns.
    let inputs: Vec<f32> = (0..u32::MAX / 1009).map(|i| f32::from_bits(i * 1009)).collect();
    for case in CASES {
        let found = run(case.code, [&inputs, &[]]);
        let mut worst = (0.0, 0.0);
        for (&x, &y) in inputs.iter().zip(&found) {
            // Beyond this sine and cosine only promise to stay bounded.
            if matches!(case.code, Code::Unary(Unary::Sin) | Code::Unary(Unary::Cos)) && x.abs() > 1e15 && x.is_finite()
            {
                assert!(y.abs() <= 1.0, "{:?}({x:e}) = {y}", case.code);
                continue;
            }
            let off = ulps(y, (case.reference)(f64::from(x)));
            assert!(!off.is_nan(), "{:?}({x:e}) = {y}", case.code);
            if off > worst.0 {
                worst = (off, x);
            }
        }

        assert!(worst.0 <= case.ulps, "{:?}: {} units at {:e}", case.code, worst.0, worst.1);
    }
}

/// Numbers of both signs: all magnitudes, and evenly over the interesting ones. Few bits, so that squares are exact.
fn inputs() -> Vec<f64> {
    let magnitudes = (-300..=308).flat_map(|e| [1.0, 1.5, 1.921_875, 2.718_75].map(|m| m * 10f64.powi(e)));
    let even = (0..200_000).map(|i| f64::from(i) / 16_384.0);
    let large = (0..20_000).map(|i| f64::from(i) * 5.078_125);
    let positive = magnitudes.chain(even).chain(large);
    positive.flat_map(|x| [x, -x]).collect()
}

#[test]
fn f64_functions_are_accurate_enough_to_check_gradients() {
    let inputs = inputs();
    for case in CASES {
        let found = run(case.code, [&inputs, &[]]);
        let mut worst = (0.0, 0.0);
        for (&x, &y) in inputs.iter().zip(&found) {
            if matches!(case.code, Code::Unary(Unary::Sin) | Code::Unary(Unary::Cos)) && x.abs() > 2e5 && x.is_finite()
            {
                assert!(y.abs() <= 1.0, "{:?}({x:e}) = {y}", case.code);
                continue;
            }
            let exact = (case.reference)(x);
            if y == exact || y.is_nan() && exact.is_nan() {
                continue;
            }
            let off = (y - exact).abs() / exact.abs().max(f64::MIN_POSITIVE);
            assert!(!off.is_nan(), "{:?}({x:e}) = {y}, not {exact}", case.code);
            if off > worst.0 {
                worst = (off, x);
            }
        }

        assert!(worst.0 <= case.relative, "{:?}: {:e} at {:e}", case.code, worst.0, worst.1);
    }
}

#[test]
fn erf_has_its_known_values() {
    // By mpmath to 30 digits.
    let known = [
        (0.125, 0.140_316_204_801_333_8),
        (0.5, 0.520_499_877_813_046_5),
        (0.84375, 0.767_225_661_232_341_6),
        (1.0, 0.842_700_792_949_714_9),
        (1.25, 0.922_900_128_256_458_3),
        (1.75, 0.986_671_671_219_182_4),
        (2.5, 0.999_593_047_982_555),
        (3.0, 0.999_977_909_503_001_4),
        (4.5, 0.999_999_999_803_383_9),
        (5.875, 0.999_999_999_999_999_9),
    ];
    for (x, exact) in known {
        for (x, exact) in [(x, exact), (-x, -exact)] {
            assert!((Real::erf(x) / exact - 1.0f64).abs() < 4e-16, "{x}");
            assert!(f64::from(Real::erf(x as f32)) - erf(f64::from(x as f32)) < 1.2e-7, "{x}");
        }
    }
}

#[test]
fn powers_are_accurate_and_have_the_special_cases_of_c() {
    let special = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 1e300, 1e-300, 4e15, f64::INFINITY];
    let special: Vec<f64> = special.iter().flat_map(|&x| [x, -x]).chain([f64::NAN]).collect();
    let ordinary = (0..3000).map(|i| (f64::from(i % 61) / 8.0 + 0.01, f64::from(i % 97) / 4.0 - 12.0));
    let pairs = special.iter().flat_map(|&x| special.iter().map(move |&y| (x, y))).chain(ordinary);
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.unzip();
    for ((x, y), &found) in x.iter().zip(&y).zip(&run(Code::Binary(Binary::Pow), [&x, &y])) {
        let exact = x.powf(*y);
        let same = found == exact || found.is_nan() && exact.is_nan();
        assert!(same || (found / exact - 1.0).abs() < 1e-15, "{x} to the {y} is {exact}, not {found}");
    }
    let narrow = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<_>>();
    let (x, y) = (narrow(&x), narrow(&y));
    for ((&x, &y), &found) in x.iter().zip(&y).zip(&run(Code::Binary(Binary::Pow), [&x, &y])) {
        let exact = f64::from(x).powf(f64::from(y));
        assert!(ulps(found, exact) <= 1.0, "{x} to the {y} is {exact}, not {found}");
    }
}

#[test]
fn sine_and_cosine_of_turns() {
    for i in 0..=4096 {
        let t = f64::from(i) / 4096.0;
        let (sin, cos) = t.sin_cos_turns();
        let (exact_sin, exact_cos) = (t * std::f64::consts::TAU).sin_cos();
        assert!((sin - exact_sin).abs() < 1e-15 && (cos - exact_cos).abs() < 1e-15, "{t}");
        let (sin, cos) = (t as f32).sin_cos_turns();
        assert!((f64::from(sin) - exact_sin).abs() < 1.2e-7 && (f64::from(cos) - exact_cos).abs() < 1.2e-7, "{t}");
    }
}

#[test]
fn not_a_number_stays() {
    for code in Unary::ALL.iter().map(|&f| Code::Unary(f)) {
        assert!(run(code, [&[f32::NAN], &[]])[0].is_nan(), "{code:?}");
        assert!(run(code, [&[f64::NAN], &[]])[0].is_nan(), "{code:?}");
    }
    // One to the power NaN is one.
    for code in Binary::ALL.iter().filter(|f| **f != Binary::Pow).map(|&f| Code::Binary(f)) {
        assert!(run(code, [&[f32::NAN, 1.0], &[1.0, f32::NAN]]).iter().all(|x| x.is_nan()), "{code:?}");
    }
}
