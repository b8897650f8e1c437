//! `f32`. The polynomials are Chebyshev fits of the stated function on the stated interval.
#![allow(clippy::excessive_precision)] // the digits of the fit

use super::{Real, clamp, polynomial, signed_power};
use crate::cpu::{Kernel, prepare};
use crate::nest::Nest;
use crate::view::DType;
use crate::work::Work;

/// 1.5·2²³: adding it rounds to the nearest integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;
const LN_2_LOW: f32 = (std::f64::consts::LN_2 - std::f32::consts::LN_2 as f64) as f32;
/// ln 2 in so few bits that its multiples by exponents are exact.
const LN_2_SHORT: f32 = 355.0 / 512.0;
const LN_2_REST: f32 = (std::f64::consts::LN_2 - LN_2_SHORT as f64) as f32;

impl Real for f32 {
    const ELEMENT: DType = DType::F32;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = f32::INFINITY;
    const GREATEST: Self = f32::MAX;
    const WIDEST: bool = true;

    fn prepare(work: Work) -> Result<Box<dyn Kernel<Self>>, Box<Nest>> {
        prepare::prepare(work)
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn from_u32(value: u32) -> Self {
        value as f32
    }

    #[inline(always)]
    fn to_u32(self) -> u32 {
        self as u32
    }

    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        f32::mul_add(self, a, b)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        // Beyond these the result is 0 or ∞.
        let (e, n) = split_exp(clamp(self, -104.0, 89.0));
        // In two steps, so that neither factor leaves the exponent range.
        let half = n >> 1;
        (1.0 + e) * power_of_2(half) * power_of_2(n - half)
    }

    #[inline(always)]
    fn expm1(self) -> Self {
        // Below −30 the result is −1. One factor 2 is applied last, for the greatest exponent.
        let (e, n) = split_exp(clamp(self, -30.0, 89.0));
        let half_scale = power_of_2(n - 1);
        let result = 2.0 * e.mul_add(half_scale, half_scale - 0.5);
        // Keeps small numbers.
        (if n == 0 { e } else { result }).copysign(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        let tiny = self < f32::MIN_POSITIVE;
        let x = if tiny { self * 8_388_608.0 } else { self };
        let (f, n) = split_ln(x);
        let n = n as f32 - if tiny { 23.0 } else { 0.0 };
        special_ln(self, ln_1_plus(f, n, 0.0))
    }

    #[inline(always)]
    fn log1p(self) -> Self {
        let u = 1.0 + self;
        let (f, n) = split_ln(u);
        // What rounding lost in `u`, relative to `u`.
        let lost = (self - (u - 1.0)) / u;
        let (f, lost) = if n == 0 { (self, 0.0) } else { (f, lost) };
        special_ln(u, ln_1_plus(f, n as f32, lost)).copysign(self)
    }

    #[inline(always)]
    fn sin(self) -> Self {
        let (r, quadrant) = quadrant(self);
        let sin = sin_quadrant(r, quadrant);
        // The reduction forgets the sign of a zero.
        if self == 0.0 { self } else { sin }
    }

    #[inline(always)]
    fn cos(self) -> Self {
        let (r, quadrant) = quadrant(self);
        sin_quadrant(r, quadrant.wrapping_add(1))
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let t = Real::expm1(2.0 * clamp(self.abs(), 0.0, 10.0));
        (t / (t + 2.0)).copysign(self)
    }

    #[inline(always)]
    fn erf(self) -> Self {
        let t = clamp(self.abs(), 0.0, 4.0);
        let s = t * t;
        // erf(x)/x − 1 in x² on [0, 1]
        let small = polynomial!(s; 0.128_379_166, -0.376_126_267, 0.112_835_947, -0.026_854_212, 0.005_189_087_42,
            -0.000_801_686_429, 7.875_875_06e-5);
        let small = small.mul_add(t, t);
        // −ln(1 − erf(x))/x − 1 on [0.9, 4]
        let large = polynomial!(t; 0.128_720_089, 0.634_893_341, 0.106_579_908, -0.023_940_280_2, 0.003_625_265_73,
            -0.000_261_620_513, -1.578_444_59e-5, 4.840_379_24e-6, -2.940_336_91e-7);
        let large = 1.0 - Real::exp(-large.mul_add(t, t));
        (if t < 0.95 { small } else { large }).copysign(self)
    }

    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        let power = Real::exp(f64::from(exponent) * Real::ln(f64::from(self.abs()))) as f32;
        signed_power!(self, exponent, power)
    }

    #[inline(always)]
    fn sin_cos_turns(self) -> (Self, Self) {
        let t = self.mul_add(4.0, ROUND);
        let r = (t - ROUND).mul_add(-0.25, self) * std::f32::consts::TAU;
        (sin_quadrant(r, t.to_bits()), sin_quadrant(r, t.to_bits().wrapping_add(1)))
    }
}

/// `exp(x) = 2ⁿ (1 + e)` for `x` in [−104, 89].
#[inline(always)]
fn split_exp(x: f32) -> (f32, i32) {
    let t = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = t - ROUND;
    let r = n.mul_add(-std::f32::consts::LN_2, x);
    let r = n.mul_add(-LN_2_LOW, r);
    // (eʳ − 1 − r)/r² on [−ln 2/2, ln 2/2]
    let q = polynomial!(r; 0.5, 0.166_666_667, 0.041_666_465, 0.008_333_310_93, 0.001_393_364_1, 0.000_198_909_809);
    ((q * r).mul_add(r, r), t.to_bits().wrapping_sub(ROUND.to_bits()) as i32)
}

/// 2ⁿ for `n` in [−126, 127].
#[inline(always)]
fn power_of_2(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `x = 2ⁿ (1 + f)` with `1 + f` in [√½, √2), for normal positive `x`.
#[inline(always)]
fn split_ln(x: f32) -> (f32, i32) {
    let bits = x.to_bits();
    let n = (bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32) >> 23;
    (f32::from_bits(bits.wrapping_sub((n as u32) << 23)) - 1.0, n)
}

/// `ln(2ⁿ (1 + f)) + small`
#[inline(always)]
fn ln_1_plus(f: f32, n: f32, small: f32) -> f32 {
    // (ln(1 + f) − f + f²/2)/f³ on [√½ − 1, √2 − 1]
    let p = polynomial!(f; 0.333_333_312, -0.249_999_97, 0.200_007_157, -0.166_678_023, 0.142_490_576,
        -0.124_256_873, 0.116_854_199, -0.114_797_338, 0.069_716_114_7);
    let z = f * f;
    let y = (f * z).mul_add(p, n.mul_add(LN_2_REST, small));
    let y = z.mul_add(-0.5, y);
    n.mul_add(LN_2_SHORT, f + y)
}

/// The logarithm of a number that may be 0, negative, infinite or NaN.
#[inline(always)]
fn special_ln(x: f32, ln: f32) -> f32 {
    let ln = if x < f32::INFINITY { ln } else { x };
    let ln = if x == 0.0 { f32::NEG_INFINITY } else { ln };
    if x < 0.0 { f32::NAN } else { ln }
}

/// `x = quadrant·π/2 + r` with `r` in [−π/4, π/4]. Reduced in f64, which serves up to 2⁵⁰.
#[inline(always)]
fn quadrant(x: f32) -> (f32, u32) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = f64::from(x);
    let t = x.mul_add(std::f64::consts::FRAC_2_PI, ROUND);
    let r = (t - ROUND).mul_add(-std::f64::consts::FRAC_PI_2, x);
    let r = (t - ROUND).mul_add(-super::double::FRAC_PI_2_LOW, r);
    (clamp(r, -1.0, 1.0) as f32, t.to_bits() as u32)
}

/// `sin(r + quadrant·π/2)`
#[inline(always)]
fn sin_quadrant(r: f32, quadrant: u32) -> f32 {
    let z = r * r;
    // (sin r − r)/r³ and (cos r − 1 + r²/2)/r⁴ in r² on [0, π/4]
    let s = polynomial!(z; -0.166_666_667, 0.008_333_331_87, -0.000_198_400_867, 2.724_992_58e-6);
    let c = polynomial!(z; 0.041_666_666_7, -0.001_388_888_77, 2.480_060_04e-5, -2.730_095_92e-7);
    let sin = (s * z).mul_add(r, r);
    let cos = (c * z).mul_add(z, z.mul_add(-0.5, 1.0));
    let value = if quadrant & 1 == 0 { sin } else { cos };
    f32::from_bits(value.to_bits() ^ (quadrant & 2) << 30)
}
