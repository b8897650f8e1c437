//! Elementary functions without branches, which the compiler vectorises wherever they are inlined into a loop.
//!
//! They are accurate to a few units in the last place, in f64 to about one. Loops over them belong inside
//! `vectorized`: elsewhere `mul_add` is a slow call on x86 (the result is the same).

mod single;
mod double;
#[cfg(test)]
mod tests;

use super::Kernel;
use super::gemm::Factor;
use crate::bf16;
use crate::nest::Nest;
use crate::view::DType;
use crate::work::Work;
use std::fmt::{Debug, Display};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number type of the kernels, `f32` or `f64`, with branch-free elementary functions.
#[allow(missing_docs)] // each is the function of its name; the rest are explained
pub trait Real:
    Copy
    + Factor
    + Send
    + Sync
    + 'static
    + Debug
    + Display
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// What it is called in a view.
    const ELEMENT: DType;
    const ZERO: Self;
    const ONE: Self;
    const INFINITY: Self;
    /// The greatest finite number.
    const GREATEST: Self;
    /// Whether loops are compiled for AVX-512 too; `f64`, in which gradients are checked, does without.
    const WIDEST: bool;

    /// Work over such numbers, ready to run; a loop is given back, since its body is a list of launches. What this calls is
    /// compiled here, for each type once, and not again in every crate that runs something.
    ///
    /// # Errors
    /// The loop.
    fn prepare(work: Work) -> Result<Box<dyn Kernel<Self>>, Box<Nest>>;

    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// The same value.
    #[allow(dead_code)] // the tests of kernels compare in f64
    fn to_f64(self) -> f64;
    /// The nearest value.
    fn from_u32(value: u32) -> Self;
    /// The integer part; 0 for NaN, the nearest index for what lies outside.
    fn to_u32(self) -> u32;
    /// The number that these sixteen bits store.
    #[inline(always)]
    fn from_bf16(bits: u16) -> Self {
        Self::from_f64(f64::from(bf16::widen(bits)))
    }
    /// The sixteen bits that store it, from `f32`.
    #[inline(always)]
    fn to_bf16(self) -> u16 {
        bf16::narrow(self.to_f64() as f32)
    }
    /// `self * a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn expm1(self) -> Self;
    fn ln(self) -> Self;
    fn log1p(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tanh(self) -> Self;
    fn erf(self) -> Self;
    /// `self` to the power `exponent`, with the special cases of C's `pow`.
    fn pow(self, exponent: Self) -> Self;
    /// Sine and cosine of `self` turns, for `self` in [0, 1].
    fn sin_cos_turns(self) -> (Self, Self);

    /// What a function of f64 gives, rounded to the nearest.
    #[inline(always)]
    fn wide(self, f: impl Fn(f64) -> f64) -> Self {
        Self::from_f64(f(self.to_f64()))
    }

    /// The same for a function of two numbers.
    #[inline(always)]
    fn wide_with(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self::from_f64(f(self.to_f64(), other.to_f64()))
    }

    /// −1, 0 or 1; NaN stays NaN.
    #[inline(always)]
    fn sign(self) -> Self {
        // Of both zeros 0; NaN stays what it is.
        let negative = if self < Self::ZERO { -Self::ONE } else { self + Self::ZERO };
        if self > Self::ZERO { Self::ONE } else { negative }
    }

    #[inline(always)]
    fn rsqrt(self) -> Self {
        Self::ONE / self.sqrt()
    }

    /// `1 / (1 + exp(−x))`
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let e = (-self.abs()).exp();
        (if self < Self::ZERO { e } else { Self::ONE }) / (Self::ONE + e)
    }

    /// `ln(1 + exp(x))`
    #[inline(always)]
    fn softplus(self) -> Self {
        self.relu() + (-self.abs()).exp().log1p()
    }

    /// `max(x, 0)`; NaN stays NaN.
    #[inline(always)]
    fn relu(self) -> Self {
        if self < Self::ZERO { Self::ZERO } else { self }
    }

    /// The greater; NaN if either is NaN.
    #[inline(always)]
    fn nan_max(self, other: Self) -> Self {
        let greater = if self > other { self } else { other };
        if self.is_nan() { self } else { greater }
    }

    /// The less; NaN if either is NaN.
    #[inline(always)]
    fn nan_min(self, other: Self) -> Self {
        let less = if self < other { self } else { other };
        if self.is_nan() { self } else { less }
    }

    /// 1 or 0.
    #[inline(always)]
    fn truth(value: bool) -> Self {
        if value { Self::ONE } else { Self::ZERO }
    }

    #[inline(always)]
    #[allow(clippy::eq_op)] // only NaN differs from itself
    fn is_nan(self) -> bool {
        self != self
    }
}

/// `Σ coefficients[i] xⁱ`
macro_rules! polynomial {
    ($x:expr; $first:expr) => { $first };
    ($x:expr; $first:expr, $($rest:expr),+) => { polynomial!($x; $($rest),+).mul_add($x, $first) };
}
use polynomial;

/// Clamps without losing NaN.
#[inline(always)]
fn clamp<T: Real>(x: T, least: T, greatest: T) -> T {
    let x = if x < least { least } else { x };
    if x > greatest { greatest } else { x }
}

/// The special cases of C's `pow`, given `|x|` to the power `y`.
macro_rules! signed_power {
    ($x:expr, $y:expr, $magnitude:expr) => {{
        let (x, y, magnitude) = ($x, $y, $magnitude);
        let whole = y.floor() == y;
        let half = y * 0.5;
        let odd = whole & (half.floor() != half);
        let negative = x.is_sign_negative();
        let magnitude = if odd & negative { -magnitude } else { magnitude };
        let below = (x < 0.0) & (x > f64::NEG_INFINITY as _);
        let finite_y = y.abs() < f64::INFINITY as _;
        let power = if below & !whole & finite_y { f64::NAN as _ } else { magnitude };
        let power = if (x == -1.0) & !finite_y & (y == y) { 1.0 } else { power };
        if (y == 0.0) | (x == 1.0) { 1.0 } else { power }
    }};
}
use signed_power;
