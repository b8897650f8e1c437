//! `f64`, to about one unit in the last place: gradient checks rest on it.
//!
//! The coefficients of `ln`, `sin`, `cos` and `erf`, and the way `erf` divides the line, are those of fdlibm:
//! Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at SunPro, a Sun Microsystems, Inc.
//! business. Permission to use, copy, modify, and distribute this software is freely granted, provided that this
//! notice is preserved.
#![allow(clippy::excessive_precision)] // as published

use super::{Real, clamp, polynomial, signed_power};
use crate::cpu::{Kernel, prepare};
use crate::nest::Nest;
use crate::view::DType;
use crate::work::Work;

/// 1.5·2⁵²: adding it rounds to the nearest integer, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// ln 2 − its nearest f64.
const LN_2_LOW: f64 = 2.319_046_813_846_299_6e-17;
/// ln 2 in so few bits that its multiples by exponents are exact, and the rest.
const LN_2_SHORT: f64 = 6.93147180369123816490e-01;
const LN_2_REST: f64 = 1.90821492927058770002e-10;
/// π/2 − its nearest f64, and what that lacks.
pub(super) const FRAC_PI_2_LOW: f64 = 6.123_233_995_736_766e-17;
const FRAC_PI_2_LOWEST: f64 = -1.497_384_904_859_169_8e-33;

impl Real for f64 {
    const ELEMENT: DType = DType::F64;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = f64::INFINITY;
    const GREATEST: Self = f64::MAX;
    const WIDEST: bool = false;

    fn prepare(work: Work) -> Result<Box<dyn Kernel<Self>>, Box<Nest>> {
        prepare::prepare(work)
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn from_u32(value: u32) -> Self {
        f64::from(value)
    }

    #[inline(always)]
    fn to_u32(self) -> u32 {
        self as u32
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        f64::mul_add(self, a, b)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // Beyond these the result is 0 or ∞.
        let (e, n) = split_exp(clamp(self, -746.0, 710.0));
        // In two steps, so that neither factor leaves the exponent range.
        // Offset, so that the shift needs no sign.
        let half = (n.wrapping_add(4096) as u64 >> 1) as i64 - 2048;
        (1.0 + e) * power_of_2(half) * power_of_2(n.wrapping_sub(half))
    }

    #[inline(always)]
    fn expm1(self) -> Self {
        // Below −60 the result is −1. One factor 2 is applied last, for the greatest exponent.
        let (e, n) = split_exp(clamp(self, -60.0, 710.0));
        let half_scale = power_of_2(n.wrapping_sub(1));
        let result = 2.0 * e.mul_add(half_scale, half_scale - 0.5);
        (if n == 0 { e } else { result }).copysign(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        let (x, shift) = normal(self);
        let (f, n) = split_ln(x);
        special_ln(self, ln_1_plus(f, n - shift, 0.0))
    }

    #[inline(always)]
    fn log1p(self) -> Self {
        let u = 1.0 + self;
        let (f, n) = split_ln(u);
        // What rounding lost in `u`, relative to `u`.
        let lost = (self - (u - 1.0)) / u;
        let (f, lost) = if n == 0.0 { (self, 0.0) } else { (f, lost) };
        special_ln(u, ln_1_plus(f, n, lost)).copysign(self)
    }

    #[inline(always)]
    fn sin(self) -> Self {
        let (r, tail, quadrant) = quadrant(self);
        sin_quadrant(r, tail, quadrant)
    }

    #[inline(always)]
    fn cos(self) -> Self {
        let (r, tail, quadrant) = quadrant(self);
        sin_quadrant(r, tail, quadrant.wrapping_add(1))
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let t = Real::expm1(2.0 * clamp(self.abs(), 0.0, 22.0));
        (t / (t + 2.0)).copysign(self)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        let a = clamp(self.abs(), 0.0, 6.0);
        (if a < 0.84375 {
            erf_near_0(a)
        } else if a < 1.25 {
            erf_near_1(a)
        } else {
            erf_beyond(a)
        })
        .copysign(self)
    }

    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        let (high, low) = ln_extended(self.abs());
        let power = exponent * high;
        let rest = exponent.mul_add(high, -power) + exponent * low;
        // Where the power is infinite there is no rest.
        let rest = if rest.abs() < 1.0 { rest } else { 0.0 };
        let exp = Real::exp(power);
        let scaled = exp * rest;
        let exp = if exp < f64::INFINITY { exp + scaled } else { exp };
        signed_power!(self, exponent, exp)
    }

    #[inline(always)]
    fn sin_cos_turns(self) -> (Self, Self) {
        let t = self.mul_add(4.0, ROUND);
        let r = (t - ROUND).mul_add(-0.25, self) * std::f64::consts::TAU;
        (sin_quadrant(r, 0.0, t.to_bits()), sin_quadrant(r, 0.0, t.to_bits().wrapping_add(1)))
    }
}

/// `exp(x) = 2ⁿ (1 + e)` for `x` in [−746, 710].
#[inline(always)]
fn split_exp(x: f64) -> (f64, i64) {
    let t = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let n = t - ROUND;
    let r = n.mul_add(-std::f64::consts::LN_2, x);
    let r = n.mul_add(-LN_2_LOW, r);
    // (eʳ − 1 − r)/r² by its Taylor series: on [−ln 2/2, ln 2/2] the rest is below 2⁻⁵⁸.
    let q = polynomial!(r; 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5_040.0, 1.0 / 40_320.0,
        1.0 / 362_880.0, 1.0 / 3_628_800.0, 1.0 / 39_916_800.0, 1.0 / 479_001_600.0, 1.0 / 6_227_020_800.0);
    ((q * r).mul_add(r, r), t.to_bits().wrapping_sub(ROUND.to_bits()) as i64)
}

/// 2ⁿ for `n` in [−1022, 1023].
#[inline(always)]
fn power_of_2(n: i64) -> f64 {
    f64::from_bits((n.wrapping_add(1023) as u64) << 52)
}

/// `x` as a normal number and the power of 2 by which it was scaled.
#[inline(always)]
fn normal(x: f64) -> (f64, f64) {
    if x < f64::MIN_POSITIVE { (x * 18_014_398_509_481_984.0, 54.0) } else { (x, 0.0) }
}

/// `x = 2ⁿ (1 + f)` with `1 + f` in [√½, √2), for normal positive `x`.
#[inline(always)]
fn split_ln(x: f64) -> (f64, f64) {
    let bits = x.to_bits();
    // Offset by 2048, so that the shift needs no sign.
    let n = (bits.wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits()).wrapping_add(2048 << 52)) >> 52;
    let n = n.wrapping_sub(2048) as i64;
    let mantissa = f64::from_bits(bits.wrapping_sub((n as u64) << 52));
    // Vector registers below AVX-512 cannot convert 64-bit integers.
    let n = f64::from_bits(ROUND.to_bits().wrapping_add(n as u64)) - ROUND;
    (mantissa - 1.0, n)
}

/// `ln(2ⁿ (1 + f)) + small`
#[inline(always)]
fn ln_1_plus(f: f64, n: f64, small: f64) -> f64 {
    let s = f / (2.0 + f);
    let r = ln_series(s * s);
    let half = 0.5 * f * f;
    let y = s.mul_add(half + r, n.mul_add(LN_2_REST, small));
    n.mul_add(LN_2_SHORT, f - (half - y))
}

/// `ln((1 + s)/(1 − s))/s − 2` in `z = s²`, for `|s|` up to (√2 − 1)/(√2 + 1).
#[inline(always)]
fn ln_series(z: f64) -> f64 {
    z * polynomial!(z; 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
        2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01)
}

/// The logarithm as a sum of two numbers, the second a correction to the first. −∞ for 0.
#[inline(always)]
fn ln_extended(x: f64) -> (f64, f64) {
    let (y, shift) = normal(x);
    let (f, n) = split_ln(y);
    let n = n - shift;
    let d = 2.0 + f;
    let d_low = (2.0 - d) + f;
    let s = f / d;
    let s_low = (s.mul_add(-d, f) - s * d_low) / d;
    // n·ln 2 + 2s is exact in (a, b) but for the rest of ln 2.
    let (big, small) = (n * LN_2_SHORT, 2.0 * s);
    let a = big + small;
    let b_part = a - big;
    let b = (big - (a - b_part)) + (small - b_part);
    let low = b + (2.0 * s_low + s.mul_add(ln_series(s * s), n * LN_2_REST));
    let high = a + low;
    let low = low - (high - a);
    (special_ln(x, high), low)
}

/// The logarithm of a number that may be 0, negative, infinite or NaN.
#[inline(always)]
fn special_ln(x: f64, ln: f64) -> f64 {
    let ln = if x < f64::INFINITY { ln } else { x };
    let ln = if x == 0.0 { f64::NEG_INFINITY } else { ln };
    if x < 0.0 { f64::NAN } else { ln }
}

/// `x = quadrant·π/2 + r + tail` with `r` in [−π/4, π/4]. Beyond 2⁵⁰ the result has no meaning but stays finite.
#[inline(always)]
fn quadrant(x: f64) -> (f64, f64, u64) {
    let t = x.mul_add(std::f64::consts::FRAC_2_PI, ROUND);
    let n = t - ROUND;
    let first = n.mul_add(-std::f64::consts::FRAC_PI_2, x);
    let r = n.mul_add(-FRAC_PI_2_LOW, first);
    let tail = n.mul_add(-FRAC_PI_2_LOW, first - r);
    let tail = n.mul_add(-FRAC_PI_2_LOWEST, tail);
    (clamp(r, -1.0, 1.0), clamp(tail, -1e-16, 1e-16), t.to_bits())
}

/// `sin(r + tail + quadrant·π/2)`
#[inline(always)]
fn sin_quadrant(r: f64, tail: f64, quadrant: u64) -> f64 {
    let z = r * r;
    let s = polynomial!(z; 8.33333333332248946124e-03, -1.98412698298579493134e-04, 2.75573137070700676789e-06,
        -2.50507602534068634195e-08, 1.58969099521155010221e-10);
    let v = z * r;
    let sin = r - (z.mul_add(v.mul_add(-s, 0.5 * tail), -tail) - v * -1.66666666666666324348e-01);
    let c = polynomial!(z; 4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
        -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11);
    let half = 0.5 * z;
    let w = 1.0 - half;
    let cos = w + (((1.0 - w) - half) + z.mul_add(z * c, -r * tail));
    let value = if quadrant & 1 == 0 { sin } else { cos };
    f64::from_bits(value.to_bits() ^ (quadrant & 2) << 62)
}

/// On [0, 0.84375].
#[inline(always)]
fn erf_near_0(x: f64) -> f64 {
    let z = x * x;
    let p = polynomial!(z; 1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
        -5.77027029648944159157e-03, -2.37630166566501626084e-05);
    let q = polynomial!(z; 1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
        1.32494738004321644526e-04, -3.96022827877536812320e-06);
    x.mul_add(p / q, x)
}

/// On [0.84375, 1.25].
#[inline(always)]
fn erf_near_1(x: f64) -> f64 {
    let s = x - 1.0;
    let p = polynomial!(s; -2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
        3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
        -2.16637559486879084300e-03);
    let q = polynomial!(s; 1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
        1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02);
    8.45062911510467529297e-01 + p / q
}

/// On [1.25, 6].
#[inline(always)]
fn erf_beyond(x: f64) -> f64 {
    let s = 1.0 / (x * x);
    let p = polynomial!(s; -9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
        -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
        -8.12874355063065934246e+01, -9.81432934416914548592e+00);
    let q = polynomial!(s; 1.0, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
        6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02,
        6.57024977031928170135e+00, -6.04244152148580987438e-02);
    let far_p = polynomial!(s; -9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01,
        -1.60636384855821916062e+02, -6.37566443368389627722e+02, -1.02509513161107724954e+03,
        -4.83519191608651397019e+02);
    let far_q = polynomial!(s; 1.0, 3.03380607434824582924e+01, 3.25792512996573918826e+02,
        1.53672958608443695994e+03, 3.19985821950859553908e+03, 2.55305040643316442583e+03,
        4.74528541206955367215e+02, -2.24409524465858183362e+01);
    let near = x < 1.0 / 0.35;
    let (p, q) = if near { (p, q) } else { (far_p, far_q) };
    // x² in two parts, the first exact.
    let z = f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000);
    let erfc = Real::exp((-z).mul_add(z, -0.5625)) * Real::exp((z - x).mul_add(z + x, p / q)) / x;
    1.0 - erfc
}
