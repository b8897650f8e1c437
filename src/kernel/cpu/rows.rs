//! The loops that compute one row of a fused kernel over one tile.

use super::math::Real;
use super::vectorized::vectorized;
use crate::kernel::tiled::Code;
use pulp::Arch;

/// Computes `code` for every point of a tile. An operand of one element is the same for all points; those that `code` does
/// not take may be empty.
pub(super) fn apply<T: Real>(arch: Arch, code: Code, out: &mut [T], [a, b, c]: [&[T]; 3]) {
    match code {
        Code::Neg => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| -x,
        ),
        Code::Abs => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.abs(),
        ),
        Code::Sign => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.sign(),
        ),
        Code::Recip => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| T::ONE / x,
        ),
        Code::Square => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x * x,
        ),
        Code::Sqrt => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.sqrt(),
        ),
        Code::Rsqrt => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.rsqrt(),
        ),
        Code::Exp => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.exp(),
        ),
        Code::Expm1 => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.expm1(),
        ),
        Code::Ln => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.ln(),
        ),
        Code::Log1p => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.log1p(),
        ),
        Code::Sin => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.sin(),
        ),
        Code::Cos => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.cos(),
        ),
        Code::Tanh => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.tanh(),
        ),
        Code::Sigmoid => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.sigmoid(),
        ),
        Code::Softplus => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.softplus(),
        ),
        Code::Erf => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.erf(),
        ),
        Code::Relu => unary(
            arch,
            out,
            a,
            #[inline(always)]
            |x| x.relu(),
        ),
        Code::Add => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| x + y,
        ),
        Code::Sub => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| x - y,
        ),
        Code::Mul => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| x * y,
        ),
        Code::Div => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| x / y,
        ),
        Code::Pow => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| x.pow(y),
        ),
        Code::Min => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| x.nan_min(y),
        ),
        Code::Max => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| x.nan_max(y),
        ),
        Code::Eq => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| T::truth(x == y),
        ),
        Code::Ne => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| T::truth(x != y),
        ),
        Code::Lt => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| T::truth(x < y),
        ),
        Code::Le => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| T::truth(x <= y),
        ),
        Code::Gt => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| T::truth(x > y),
        ),
        Code::Ge => binary(
            arch,
            out,
            a,
            b,
            #[inline(always)]
            |x, y| T::truth(x >= y),
        ),
        Code::MulAdd => ternary(
            arch,
            out,
            a,
            b,
            c,
            #[inline(always)]
            |x, y, z| x.mul_add(y, z),
        ),
        Code::Select => ternary(
            arch,
            out,
            a,
            b,
            c,
            #[inline(always)]
            |x, y, z| if x != T::ZERO { y } else { z },
        ),
    }
}

/// How many registers `code` reads.
pub(super) fn arity(code: Code) -> usize {
    match code {
        Code::Neg
        | Code::Abs
        | Code::Sign
        | Code::Recip
        | Code::Square
        | Code::Sqrt
        | Code::Rsqrt
        | Code::Exp
        | Code::Expm1
        | Code::Ln
        | Code::Log1p
        | Code::Sin
        | Code::Cos
        | Code::Tanh
        | Code::Sigmoid
        | Code::Softplus
        | Code::Erf
        | Code::Relu => 1,
        Code::Add
        | Code::Sub
        | Code::Mul
        | Code::Div
        | Code::Pow
        | Code::Min
        | Code::Max
        | Code::Eq
        | Code::Ne
        | Code::Lt
        | Code::Le
        | Code::Gt
        | Code::Ge => 2,
        Code::MulAdd | Code::Select => 3,
    }
}

/// About how many nanoseconds a point of f32 takes.
pub(super) fn cost(code: Code) -> f64 {
    match code {
        Code::Exp | Code::Expm1 | Code::Sigmoid | Code::Tanh | Code::Ln | Code::Erf | Code::Sin | Code::Cos => 0.5,
        Code::Log1p | Code::Softplus => 0.8,
        Code::Pow => 4.0,
        Code::Sqrt | Code::Rsqrt | Code::Div | Code::Recip => 0.2,
        _ => 0.05,
    }
}

#[inline(always)]
fn unary<T: Real>(arch: Arch, out: &mut [T], a: &[T], f: impl Fn(T) -> T) {
    vectorized(
        arch,
        #[inline(always)]
        || match repeats(a, out) {
            None => {
                for (out, &a) in out.iter_mut().zip(a) {
                    *out = f(a);
                }
            }
            Some(a) => out.fill(f(a)),
        },
    );
}

#[inline(always)]
fn binary<T: Real>(arch: Arch, out: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    vectorized(
        arch,
        #[inline(always)]
        || match (repeats(a, out), repeats(b, out)) {
            (None, None) => {
                for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                    *out = f(a, b);
                }
            }
            (None, Some(b)) => {
                for (out, &a) in out.iter_mut().zip(a) {
                    *out = f(a, b);
                }
            }
            (Some(a), None) => {
                for (out, &b) in out.iter_mut().zip(b) {
                    *out = f(a, b);
                }
            }
            (Some(a), Some(b)) => out.fill(f(a, b)),
        },
    );
}

/// The one element of an operand that is the same for all of several points.
#[inline(always)]
fn repeats<T: Real>(a: &[T], out: &[T]) -> Option<T> {
    match a {
        [a] if out.len() > 1 => Some(*a),
        _ => None,
    }
}

#[inline(always)]
fn ternary<T: Real>(arch: Arch, out: &mut [T], a: &[T], b: &[T], c: &[T], f: impl Fn(T, T, T) -> T) {
    vectorized(
        arch,
        #[inline(always)]
        || match (repeats(a, out), repeats(b, out), repeats(c, out)) {
            (None, None, None) => {
                for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
                    *out = f(a, b, c);
                }
            }
            (None, None, Some(c)) => {
                for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                    *out = f(a, b, c);
                }
            }
            (None, Some(b), None) => {
                for ((out, &a), &c) in out.iter_mut().zip(a).zip(c) {
                    *out = f(a, b, c);
                }
            }
            (Some(a), None, None) => {
                for ((out, &b), &c) in out.iter_mut().zip(b).zip(c) {
                    *out = f(a, b, c);
                }
            }
            (None, Some(b), Some(c)) => {
                for (out, &a) in out.iter_mut().zip(a) {
                    *out = f(a, b, c);
                }
            }
            (Some(a), None, Some(c)) => {
                for (out, &b) in out.iter_mut().zip(b) {
                    *out = f(a, b, c);
                }
            }
            (Some(a), Some(b), None) => {
                for (out, &c) in out.iter_mut().zip(c) {
                    *out = f(a, b, c);
                }
            }
            (Some(a), Some(b), Some(c)) => out.fill(f(a, b, c)),
        },
    );
}
