//! Functions of each element by itself. All that there is to know of a function stands in its row, once; every room
//! takes from the rows what it needs, by expanding a macro of its own over them. A new function is a new row.
//!
//! A row begins with the variant, the name of the typed function and its documentation. Then come
//!
//! - `formula`: plain f64, which the interpreter computes and every kernel is judged by;
//! - `derivative`: (x, y, c) ↦ c · f′(x) over the terms of `ops`, `None` where it is zero wherever it exists;
//! - `domain`: where the tests draw the operands from;
//! - `special`: what every device gives at zeros, infinities, NaN and joints, the sign of a zero included;
//! - `cost`: about how many nanoseconds a point of f32 takes on a core;
//! - `cpu`: the same function over the [`Real`](super::cpu::Real)s of the processor, compiled for its vectors. One that
//!   has no vector code of its own goes through `wide`, a number at a time;
//! - `cuda`: the same function in the words of `kernel/cuda/text`, with equal bits where those words are the project's own.

use std::f64::consts::*;

const INFINITY: f64 = f64::INFINITY;
const NEG_INFINITY: f64 = f64::NEG_INFINITY;
const NAN: f64 = f64::NAN;

/// Calls a macro with all functions of one real number.
#[macro_export]
#[doc(hidden)]
macro_rules! unary_functions {
    ($with:ident) => {
        $with! {
            Neg neg "−x." {
                formula: |x| -x,
                derivative: Some(|_, _, c| -c),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => -0.0, -0.0 => 0.0, INFINITY => NEG_INFINITY, NAN => NAN],
                cost: 0.05,
                cpu: |x| -x,
                cuda: "-{x}",
            }
            Abs abs "|x|." {
                formula: f64::abs,
                // 0 at 0.
                derivative: Some(|x, _, c| c * x.sign()),
                domain: Domain::reals(-3.0, 3.0).avoiding(0.0),
                special: [-0.0 => 0.0, -2.5 => 2.5, NEG_INFINITY => INFINITY, NAN => NAN],
                cost: 0.05,
                cpu: |x| x.abs(),
                cuda: "abs_({x})",
            }
            Sign sign "−1, 0 or 1." {
                formula: special::sign,
                derivative: None,
                domain: Domain::reals(-3.0, 3.0).avoiding(0.0),
                special: [0.0 => 0.0, -1e-30 => -1.0, INFINITY => 1.0, NEG_INFINITY => -1.0, NAN => NAN],
                cost: 0.05,
                cpu: |x| x.sign(),
                cuda: "sign_({x})",
            }
            Recip recip "1 / x." {
                formula: f64::recip,
                derivative: Some(|_, y, c| -(c * y.square())),
                domain: Domain::reals(-3.0, 3.0).avoiding(0.0),
                special: [0.0 => INFINITY, -0.0 => NEG_INFINITY, NEG_INFINITY => -0.0, NAN => NAN],
                cost: 0.2,
                cpu: |x| T::ONE / x,
                cuda: "1 / {x}",
            }
            Square square "x²." {
                formula: |x| x * x,
                derivative: Some(|x, _, c| c * (2.0 * x)),
                domain: Domain::reals(-3.0, 3.0),
                special: [-0.0 => 0.0, -1.5 => 2.25, NEG_INFINITY => INFINITY, NAN => NAN],
                cost: 0.05,
                cpu: |x| x * x,
                cuda: "{x} * {x}",
            }
            Sqrt sqrt "√x." {
                formula: f64::sqrt,
                derivative: Some(|_, y, c| 0.5 * c / y),
                domain: Domain::reals(0.2, 4.0),
                special: [0.0 => 0.0, -0.0 => -0.0, 2.25 => 1.5, INFINITY => INFINITY, -1.0 => NAN, NAN => NAN],
                cost: 0.2,
                cpu: |x| x.sqrt(),
                cuda: "root({x})",
            }
            Rsqrt rsqrt "1 / √x." {
                formula: |x| 1.0 / x.sqrt(),
                derivative: Some(|_, y, c| -0.5 * c * (y * y.square())),
                domain: Domain::reals(0.2, 4.0),
                special: [0.0 => INFINITY, 4.0 => 0.5, INFINITY => 0.0, -1.0 => NAN, NAN => NAN],
                cost: 0.2,
                cpu: |x| x.rsqrt(),
                cuda: "1 / root({x})",
            }
            Exp exp "eˣ." {
                formula: f64::exp,
                derivative: Some(|_, y, c| c * y),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 1.0, -0.0 => 1.0, INFINITY => INFINITY, NEG_INFINITY => 0.0, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.exp(),
                cuda: "exp_({x})",
            }
            Expm1 expm1 "eˣ − 1, exact near 0." {
                formula: f64::exp_m1,
                derivative: Some(|_, y, c| c * (y + 1.0)),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.0, INFINITY => INFINITY, NEG_INFINITY => -1.0, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.expm1(),
                cuda: "expm1_({x})",
            }
            Ln ln "The natural logarithm." {
                formula: f64::ln,
                derivative: Some(|x, _, c| c / x),
                domain: Domain::reals(0.2, 4.0),
                special: [1.0 => 0.0, 0.0 => NEG_INFINITY, -1.0 => NAN, INFINITY => INFINITY, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.ln(),
                cuda: "ln_({x})",
            }
            Log1p log1p "ln(1 + x), exact near 0." {
                formula: f64::ln_1p,
                derivative: Some(|x, _, c| c / (x + 1.0)),
                domain: Domain::reals(-0.8, 4.0),
                special: [0.0 => 0.0, -1.0 => NEG_INFINITY, -2.0 => NAN, INFINITY => INFINITY, NAN => NAN],
                cost: 0.8,
                cpu: |x| x.log1p(),
                cuda: "log1p_({x})",
            }
            Sin sin "sin x, x in radians." {
                formula: f64::sin,
                derivative: Some(|x, _, c| c * x.cos()),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.0, FRAC_PI_2 => 1.0, INFINITY => NAN, NEG_INFINITY => NAN, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.sin(),
                cuda: "sin_({x})",
            }
            Cos cos "cos x, x in radians." {
                formula: f64::cos,
                derivative: Some(|x, _, c| -(c * x.sin())),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 1.0, PI => -1.0, INFINITY => NAN, NEG_INFINITY => NAN, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.cos(),
                cuda: "cos_({x})",
            }
            Tanh tanh "tanh x." {
                formula: f64::tanh,
                derivative: Some(|_, y, c| c * (1.0 - y.square())),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.0, -0.0 => -0.0, INFINITY => 1.0, NEG_INFINITY => -1.0, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.tanh(),
                cuda: "tanh_({x})",
            }
            Sigmoid sigmoid "1 / (1 + e⁻ˣ)." {
                formula: special::sigmoid,
                derivative: Some(|_, y, c| c * (y * (1.0 - y))),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.5, INFINITY => 1.0, NEG_INFINITY => 0.0, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.sigmoid(),
                cuda: "sigmoid_({x})",
            }
            Softplus softplus "ln(1 + eˣ), without overflow." {
                formula: special::softplus,
                derivative: Some(|x, _, c| c * x.sigmoid()),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => LN_2, 1e4 => 1e4, INFINITY => INFINITY, NEG_INFINITY => 0.0, NAN => NAN],
                cost: 0.8,
                cpu: |x| x.softplus(),
                cuda: "softplus_({x})",
            }
            Erf erf "The error function, 2/√π ∫₀ˣ e^(−t²) dt." {
                formula: special::erf,
                derivative: Some(|x, _, c| c * (FRAC_2_SQRT_PI * (-x.square()).exp())),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.0, -0.0 => -0.0, INFINITY => 1.0, NEG_INFINITY => -1.0, NAN => NAN],
                cost: 0.5,
                cpu: |x| x.erf(),
                cuda: "erf_({x})",
            }
            Relu relu "max(x, 0)." {
                formula: |x| if x < 0.0 { 0.0 } else { x },
                // 0 at 0, as in PyTorch.
                derivative: Some(|_, y, c| y.exceeds(y.number(0.0)).select(c, c.number(0.0))),
                domain: Domain::reals(-3.0, 3.0).avoiding(0.0),
                special: [0.0 => 0.0, -2.0 => 0.0, INFINITY => INFINITY, NEG_INFINITY => 0.0, NAN => NAN],
                cost: 0.05,
                cpu: |x| x.relu(),
                cuda: "relu_({x})",
            }
            Atan atan "The angle whose tangent is x, between −π/2 and π/2." {
                formula: f64::atan,
                derivative: Some(|x, _, c| c / (x.square() + 1.0)),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.0, -0.0 => -0.0, INFINITY => FRAC_PI_2, NEG_INFINITY => -FRAC_PI_2, NAN => NAN],
                cost: 8.0,
                cpu: |x| x.wide(f64::atan),
                cuda: "atan((double){x})",
            }
            Log2 log2 "The logarithm to base 2." {
                formula: f64::log2,
                derivative: Some(|x, _, c| c * LOG2_E / x),
                domain: Domain::reals(0.2, 4.0),
                special: [1.0 => 0.0, 8.0 => 3.0, 0.0 => NEG_INFINITY, -1.0 => NAN, INFINITY => INFINITY, NAN => NAN],
                cost: 6.0,
                cpu: |x| x.wide(f64::log2),
                cuda: "log2((double){x})",
            }
            Exp2 exp2 "2ˣ." {
                formula: f64::exp2,
                derivative: Some(|_, y, c| c * (LN_2 * y)),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 1.0, 3.0 => 8.0, INFINITY => INFINITY, NEG_INFINITY => 0.0, NAN => NAN],
                cost: 5.0,
                cpu: |x| x.wide(f64::exp2),
                cuda: "exp2((double){x})",
            }
            Floor floor "The greatest whole number that is not above x." {
                formula: f64::floor,
                derivative: None,
                domain: Domain::reals(-2.95, -2.05),
                special: [-0.0 => -0.0, 2.5 => 2.0, -2.5 => -3.0, -0.5 => -1.0, INFINITY => INFINITY, NAN => NAN],
                cost: 0.1,
                cpu: |x| x.wide(f64::floor),
                cuda: "floor((double){x})",
            }
            Round round "The nearest whole number, of two equally near ones the even one." {
                formula: f64::round_ties_even,
                derivative: None,
                domain: Domain::reals(1.55, 2.45),
                special: [0.5 => 0.0, -0.5 => -0.0, 1.5 => 2.0, 2.5 => 2.0, -3.5 => -4.0, INFINITY => INFINITY, NAN => NAN],
                cost: 0.1,
                cpu: |x| x.wide(f64::round_ties_even),
                cuda: "rint((double){x})",
            }
            Ceil ceil "The least whole number that is not below x." {
                formula: f64::ceil,
                derivative: None,
                domain: Domain::reals(-2.95, -2.05),
                special: [0.0 => 0.0, 2.5 => 3.0, -2.5 => -2.0, -0.5 => -0.0, NEG_INFINITY => NEG_INFINITY, NAN => NAN],
                cost: 0.1,
                cpu: |x| x.wide(f64::ceil),
                cuda: "ceil((double){x})",
            }
            Cbrt cbrt "The cube root." {
                formula: f64::cbrt,
                derivative: Some(|_, y, c| c / (3.0 * y.square())),
                domain: Domain::reals(-3.0, 3.0).avoiding(0.0),
                special: [0.0 => 0.0, -0.0 => -0.0, -8.0 => -2.0, INFINITY => INFINITY, NEG_INFINITY => NEG_INFINITY, NAN => NAN],
                cost: 10.0,
                cpu: |x| x.wide(f64::cbrt),
                cuda: "cbrt((double){x})",
            }
            Asinh asinh "The inverse of sinh." {
                formula: f64::asinh,
                derivative: Some(|x, _, c| c * (x.square() + 1.0).rsqrt()),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.0, -0.0 => -0.0, INFINITY => INFINITY, NEG_INFINITY => NEG_INFINITY, NAN => NAN],
                cost: 20.0,
                cpu: |x| x.wide(f64::asinh),
                cuda: "asinh_((double){x})",
            }
            Acosh acosh "The positive inverse of cosh, for x from 1." {
                formula: f64::acosh,
                derivative: Some(|x, _, c| c * ((x - 1.0) * (x + 1.0)).rsqrt()),
                domain: Domain::reals(1.2, 4.0),
                special: [1.0 => 0.0, 0.5 => NAN, INFINITY => INFINITY, NEG_INFINITY => NAN, NAN => NAN],
                cost: 15.0,
                cpu: |x| x.wide(f64::acosh),
                cuda: "acosh_((double){x})",
            }
            Atanh atanh "The inverse of tanh, for x between −1 and 1." {
                formula: f64::atanh,
                derivative: Some(|x, _, c| c / ((1.0 - x) * (x + 1.0))),
                domain: Domain::reals(-0.9, 0.9),
                special: [0.0 => 0.0, 1.0 => INFINITY, -1.0 => NEG_INFINITY, 2.0 => NAN, INFINITY => NAN, NAN => NAN],
                cost: 15.0,
                cpu: |x| x.wide(f64::atanh),
                cuda: "atanh_((double){x})",
            }
            Sinh sinh "(eˣ − e⁻ˣ) / 2." {
                formula: f64::sinh,
                derivative: Some(|x, _, c| c * x.cosh()),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 0.0, -0.0 => -0.0, INFINITY => INFINITY, NEG_INFINITY => NEG_INFINITY, NAN => NAN],
                cost: 12.0,
                cpu: |x| x.wide(f64::sinh),
                cuda: "sinh((double){x})",
            }
            Cosh cosh "(eˣ + e⁻ˣ) / 2." {
                formula: f64::cosh,
                derivative: Some(|x, _, c| c * x.sinh()),
                domain: Domain::reals(-3.0, 3.0),
                special: [0.0 => 1.0, INFINITY => INFINITY, NEG_INFINITY => INFINITY, NAN => NAN],
                cost: 10.0,
                cpu: |x| x.wide(f64::cosh),
                cuda: "cosh((double){x})",
            }
            Tan tan "tan x, x in radians." {
                formula: f64::tan,
                derivative: Some(|_, y, c| c * (y.square() + 1.0)),
                domain: Domain::reals(-1.2, 1.2),
                special: [0.0 => 0.0, FRAC_PI_4 => 1.0, INFINITY => NAN, NEG_INFINITY => NAN, NAN => NAN],
                cost: 1.0,
                cpu: |x| x.sin() / x.cos(),
                cuda: "sin_({x}) / cos_({x})",
            }
            Asin asin "The angle whose sine is x, between −π/2 and π/2." {
                formula: f64::asin,
                derivative: Some(|x, _, c| c * ((1.0 - x) * (x + 1.0)).rsqrt()),
                domain: Domain::reals(-0.9, 0.9),
                special: [0.0 => 0.0, -0.0 => -0.0, 1.0 => FRAC_PI_2, -1.0 => -FRAC_PI_2, 2.0 => NAN, NAN => NAN],
                cost: 10.0,
                cpu: |x| x.wide(f64::asin),
                cuda: "asin((double){x})",
            }
            Acos acos "The angle whose cosine is x, between 0 and π." {
                formula: f64::acos,
                derivative: Some(|x, _, c| -(c * ((1.0 - x) * (x + 1.0)).rsqrt())),
                domain: Domain::reals(-0.9, 0.9),
                special: [1.0 => 0.0, 0.0 => FRAC_PI_2, -1.0 => PI, 2.0 => NAN, NAN => NAN],
                cost: 10.0,
                cpu: |x| x.wide(f64::acos),
                cuda: "acos((double){x})",
            }
        }
    };
}
pub use unary_functions;

/// Calls a macro with all functions of two real numbers. Their derivative is (a, b, y, c) ↦ (c · ∂f/∂a, c · ∂f/∂b).
#[macro_export]
#[doc(hidden)]
macro_rules! binary_functions {
    ($with:ident) => {
        $with! {
            Add add "a + b." {
                formula: |a, b| a + b,
                derivative: |_, _, _, c| [c, c],
                domain: [Domain::reals(-3.0, 3.0), Domain::reals(-3.0, 3.0)],
                special: [(-0.0, -0.0) => -0.0, (INFINITY, NEG_INFINITY) => NAN, (NAN, 1.0) => NAN],
                cost: 0.05,
                cpu: |x, y| x + y,
                cuda: "{x} + {y}",
            }
            Sub sub "a − b." {
                formula: |a, b| a - b,
                derivative: |_, _, _, c| [c, -c],
                domain: [Domain::reals(-3.0, 3.0), Domain::reals(-3.0, 3.0)],
                special: [(1.0, 1.0) => 0.0, (INFINITY, INFINITY) => NAN, (1.0, NAN) => NAN],
                cost: 0.05,
                cpu: |x, y| x - y,
                cuda: "{x} - {y}",
            }
            Mul mul "a · b, elementwise." {
                formula: |a, b| a * b,
                derivative: |a, b, _, c| [c * b, c * a],
                domain: [Domain::reals(-3.0, 3.0), Domain::reals(-3.0, 3.0)],
                special: [(-2.0, 0.0) => -0.0, (0.0, INFINITY) => NAN, (-1.0, INFINITY) => NEG_INFINITY],
                cost: 0.05,
                cpu: |x, y| x * y,
                cuda: "{x} * {y}",
            }
            Div div "a / b." {
                formula: |a, b| a / b,
                derivative: |_, b, y, c| {
                    let over = c / b;
                    [over, -(over * y)]
                },
                domain: [Domain::reals(-3.0, 3.0), Domain::reals(-3.0, 3.0).avoiding(0.0)],
                special: [(1.0, -0.0) => NEG_INFINITY, (0.0, 0.0) => NAN, (-1.0, INFINITY) => -0.0],
                cost: 0.2,
                cpu: |x, y| x / y,
                cuda: "{x} / {y}",
            }
            Pow pow "a to the power b." {
                formula: f64::powf,
                // ∂a: b·a^(b−1), and 0 for b = 0 (where a^(b−1) may be infinite); ∂b: ln(a)·y, and 0 for a = 0.
                derivative: |a, b, y, c| {
                    let zero = c.number(0.0);
                    let base = b.equals(zero).select(zero, c * (b * a.pow(b - 1.0)));
                    let exponent = a.equals(zero).select(zero, c * (y * a.ln()));
                    [base, exponent]
                },
                domain: [Domain::reals(0.2, 3.0), Domain::reals(-2.0, 2.0)],
                special: [(0.0, 0.0) => 1.0, (-2.0, 3.0) => -8.0, (-2.0, 0.5) => NAN, (0.0, -1.0) => INFINITY,
                    (1.0, NAN) => 1.0, (NAN, 0.0) => 1.0, (INFINITY, -1.0) => 0.0],
                cost: 4.0,
                cpu: |x, y| x.pow(y),
                cuda: "pow_({x}, {y})",
            }
            Min minimum "The lesser of a and b; NaN if either is." {
                formula: special::least,
                derivative: |a, b, _, c| b.shared(a, c),
                domain: [Domain::reals(-3.0, 3.0), Domain::reals(-3.0, 3.0)],
                special: [(1.0, NEG_INFINITY) => NEG_INFINITY, (NAN, 1.0) => NAN, (1.0, NAN) => NAN],
                cost: 0.05,
                cpu: |x, y| x.nan_min(y),
                cuda: "min_({x}, {y})",
            }
            Max maximum "The greater of a and b; NaN if either is." {
                formula: special::greatest,
                derivative: |a, b, _, c| a.shared(b, c),
                domain: [Domain::reals(-3.0, 3.0), Domain::reals(-3.0, 3.0)],
                special: [(1.0, NEG_INFINITY) => 1.0, (NAN, 1.0) => NAN, (1.0, NAN) => NAN],
                cost: 0.05,
                cpu: |x, y| x.nan_max(y),
                cuda: "max_({x}, {y})",
            }
            Atan2 atan2 "The angle of the point (b, a) to the first axis, between −π and π." {
                formula: f64::atan2,
                derivative: |a, b, _, c| {
                    let over = c / (a.square() + b.square());
                    [over * b, -(over * a)]
                },
                domain: [Domain::reals(0.3, 3.0), Domain::reals(-3.0, 3.0)],
                special: [(0.0, 1.0) => 0.0, (-0.0, 1.0) => -0.0, (0.0, -1.0) => PI, (-0.0, -1.0) => -PI,
                    (1.0, 0.0) => FRAC_PI_2, (-1.0, INFINITY) => -0.0, (INFINITY, INFINITY) => FRAC_PI_4, (NAN, 1.0) => NAN],
                cost: 15.0,
                cpu: |x, y| x.wide_with(y, f64::atan2),
                cuda: "atan2((double){x}, (double){y})",
            }
            Rem rem "What is left of a after whole multiples of b, with the sign of a." {
                formula: |a, b| a % b,
                // a − b · n for the whole number n = (a − y) / b.
                derivative: |a, b, y, c| [c, c * ((y - a) / b)],
                domain: [Domain::reals(2.2, 2.8), Domain::reals(0.95, 1.05)],
                special: [(5.5, 2.0) => 1.5, (-5.5, 2.0) => -1.5, (5.5, -2.0) => 1.5, (-4.0, 2.0) => -0.0, (1.0, 0.0) => NAN,
                    (INFINITY, 1.0) => NAN, (1.0, INFINITY) => 1.0, (NAN, 1.0) => NAN],
                cost: 10.0,
                cpu: |x, y| x.wide_with(y, |x, y| x % y),
                cuda: "fmod((double){x}, (double){y})",
            }
        }
    };
}
pub use binary_functions;

/// Calls a macro with all comparisons: of reals, of indices, of truth values. They cost as little as a sum.
#[macro_export]
#[doc(hidden)]
macro_rules! comparisons {
    ($with:ident) => {
        $with! {
            Eq equal "a = b." { |a, b| a == b }
            Ne not_equal "a ≠ b." { |a, b| a != b }
            Lt less "a < b." { |a, b| a < b }
            Le less_equal "a ≤ b." { |a, b| a <= b }
            Gt greater "a > b." { |a, b| a > b }
            Ge greater_equal "a ≥ b." { |a, b| a >= b }
        }
    };
}
pub use comparisons;

macro_rules! unary {
    ($($name:ident $function:ident $doc:literal {
        formula: $formula:expr, derivative: $derivative:expr, domain: $domain:expr,
        special: [$($x:expr => $y:expr),*], cost: $cost:expr, cpu: $cpu:expr, cuda: $cuda:literal,
    })*) => {
        /// Functions of one real number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Unary {
            $(#[doc = $doc] $name,)*
        }

        impl Unary {
            /// All of them.
            pub const ALL: &'static [Unary] = &[$(Unary::$name),*];

            /// Operands and results that every device agrees on, with the sign of a zero.
            pub fn special(self) -> &'static [(f64, f64)] {
                match self { $(Unary::$name => &[$(($x, $y)),*],)* }
            }

            /// About how many nanoseconds a point of f32 takes.
            pub fn cost(self) -> f64 {
                match self { $(Unary::$name => $cost,)* }
            }

            /// The function of `x` in the words of CUDA.
            #[cfg(feature = "cuda")]
            pub(crate) fn cuda(self, x: &str) -> String {
                (match self { $(Unary::$name => $cuda,)* }).replace("{x}", x)
            }
        }
    };
}
unary_functions!(unary);

macro_rules! binary {
    ($($name:ident $function:ident $doc:literal {
        formula: $formula:expr, derivative: $derivative:expr, domain: $domain:expr,
        special: [$(($a:expr, $b:expr) => $y:expr),*], cost: $cost:expr, cpu: $cpu:expr, cuda: $cuda:literal,
    })*) => {
        /// Functions of two real numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Binary {
            $(#[doc = $doc] $name,)*
        }

        impl Binary {
            /// All of them.
            pub const ALL: &'static [Binary] = &[$(Binary::$name),*];

            /// Operands and results that every device agrees on, with the sign of a zero.
            pub fn special(self) -> &'static [([f64; 2], f64)] {
                match self { $(Binary::$name => &[$(([$a, $b], $y)),*],)* }
            }

            /// About how many nanoseconds a point of f32 takes.
            pub fn cost(self) -> f64 {
                match self { $(Binary::$name => $cost,)* }
            }

            /// The function of `x` and `y` in the words of CUDA.
            #[cfg(feature = "cuda")]
            pub(crate) fn cuda(self, x: &str, y: &str) -> String {
                (match self { $(Binary::$name => $cuda,)* }).replace("{x}", x).replace("{y}", y)
            }
        }
    };
}
binary_functions!(binary);

macro_rules! compare {
    ($($name:ident $function:ident $doc:literal { |$x:ident, $y:ident| $holds:expr })*) => {
        /// Comparisons of two reals, indices or truth values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Compare {
            $(#[doc = $doc] $name,)*
        }

        impl Compare {
            /// All of them.
            pub const ALL: &'static [Compare] = &[$(Compare::$name),*];

            /// Whether it holds between `x` and `y`, in the words of CUDA.
            #[cfg(feature = "cuda")]
            pub(crate) fn cuda(self, x: &str, y: &str) -> String {
                match self {
                    $(Compare::$name => stringify!($holds).replace(stringify!($x), x).replace(stringify!($y), y),)*
                }
            }
        }
    };
}
comparisons!(compare);
