//! The loops that compute one row of a fused kernel over one tile.

use super::math::Real;
use super::vectorized::{Instructions, vectorized};
use crate::elementwise::{Binary, Compare, Unary, binary_functions, comparisons, unary_functions};
use crate::tiled::Code;

/// Computes `code` for every point of a tile. An operand of one element is the same for all points; those that `code` does
/// not take may be empty.
pub(super) fn apply<T: Real>(arch: Instructions, code: Code, out: &mut [T], [a, b, c]: [&[T]; 3]) {
    macro_rules! one {
        ($($name:ident $function:ident $doc:literal {
            formula: $formula:expr, derivative: $derivative:expr, domain: $domain:expr, special: $special:tt,
            cost: $cost:expr, cpu: |$x:ident| $cpu:expr, $($rest:tt)*
        })*) => {
            |out: &mut [T], f: Unary| match f {
                $(Unary::$name => unary::<T, _, _>(arch, out, a, #[inline(always)] |$x| $cpu),)*
            }
        };
    }
    macro_rules! two {
        ($($name:ident $function:ident $doc:literal {
            formula: $formula:expr, derivative: $derivative:expr, domain: $domain:expr, special: $special:tt,
            cost: $cost:expr, cpu: |$x:ident, $y:ident| $cpu:expr, $($rest:tt)*
        })*) => {
            |out: &mut [T], f: Binary| match f {
                $(Binary::$name => binary::<T, _, _>(arch, out, a, b, #[inline(always)] |$x, $y| $cpu),)*
            }
        };
    }
    match code {
        Code::Unary(f) => unary_functions!(one)(out, f),
        Code::Binary(f) => binary_functions!(two)(out, f),
        Code::Compare(f) => compare(arch, f, out, a, b),
        Code::MulAdd => ternary::<T, _, _>(
            arch,
            out,
            a,
            b,
            c,
            #[inline(always)]
            |x, y, z| x.mul_add(y, z),
        ),
        Code::Select => ternary::<T, _, _>(
            arch,
            out,
            a,
            b,
            c,
            #[inline(always)]
            |x, y, z| if x != T::ZERO { y } else { z },
        ),
        Code::ToReal | Code::ToIndex => unreachable!("conversions have operands and results of two kinds"),
    }
}

/// Whether a relation holds between two numbers, as 1 or 0.
pub(super) fn compare<T: Real, S: Copy + PartialOrd>(arch: Instructions, f: Compare, out: &mut [T], a: &[S], b: &[S]) {
    macro_rules! truth {
        ($($name:ident $function:ident $doc:literal { |$x:ident, $y:ident| $holds:expr })*) => {
            match f {
                $(Compare::$name => binary::<T, _, _>(arch, out, a, b, #[inline(always)] |$x, $y| T::truth($holds)),)*
            }
        };
    }
    comparisons!(truth)
}

/// One of two indices, by a truth value.
pub(super) fn select_index<T: Real>(arch: Instructions, out: &mut [u32], a: &[T], b: &[u32], c: &[u32]) {
    ternary::<T, _, _>(
        arch,
        out,
        a,
        b,
        c,
        #[inline(always)]
        |x, y, z| if x != T::ZERO { y } else { z },
    );
}

/// Gives the points of a tile where the condition fails their old numbers.
pub(super) fn keep<T: Real>(arch: Instructions, condition: &[T], tile: &mut [T], old: &[T]) {
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || {
            if condition.iter().fold(true, |all, &c| all & (c != T::ZERO)) {
                return;
            }
            let points = tile.len();
            for (i, new) in tile.iter_mut().enumerate() {
                let [condition, old] = [condition, old].map(|a| repeats(a, points).unwrap_or_else(|| a[i]));
                *new = if condition != T::ZERO { *new } else { old };
            }
        },
    );
}

/// Indices as real numbers.
pub(super) fn to_real<T: Real>(arch: Instructions, out: &mut [T], a: &[u32]) {
    unary::<T, _, _>(
        arch,
        out,
        a,
        #[inline(always)]
        |x| T::from_u32(x),
    );
}

/// Real numbers as indices.
pub(super) fn to_index<T: Real>(arch: Instructions, out: &mut [u32], a: &[T]) {
    unary::<T, _, _>(
        arch,
        out,
        a,
        #[inline(always)]
        |x| x.to_u32(),
    );
}

/// About how many nanoseconds a point of f32 takes.
pub(super) fn cost(code: Code) -> f64 {
    match code {
        Code::Unary(f) => f.cost(),
        Code::Binary(f) => f.cost(),
        Code::Compare(_) | Code::ToReal | Code::ToIndex | Code::MulAdd | Code::Select => 0.05,
    }
}

#[inline(always)]
fn unary<T: Real, A: Copy, O: Copy>(arch: Instructions, out: &mut [O], a: &[A], f: impl Fn(A) -> O) {
    let n = out.len();
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || {
            let points = if repeats(a, n).is_some() { 1 } else { n };
            for (out, &a) in out[..points].iter_mut().zip(a) {
                *out = f(a);
            }
            repeat(out, points);
        },
    );
}

#[inline(always)]
fn binary<T: Real, A: Copy, O: Copy>(arch: Instructions, out: &mut [O], a: &[A], b: &[A], f: impl Fn(A, A) -> O) {
    let n = out.len();
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || match (repeats(a, n), repeats(b, n)) {
            (None, None) | (Some(_), Some(_)) => {
                let points = n.min(a.len());
                for ((out, &a), &b) in out[..points].iter_mut().zip(a).zip(b) {
                    *out = f(a, b);
                }
                repeat(out, points);
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
        },
    );
}

/// Gives all points the value of the first, if that alone was computed.
#[inline(always)]
fn repeat<O: Copy>(out: &mut [O], points: usize) {
    if points < out.len()
        && let Some(&first) = out.first()
    {
        out.fill(first);
    }
}

/// The one element of an operand that is the same for all of several points.
#[inline(always)]
fn repeats<A: Copy>(a: &[A], points: usize) -> Option<A> {
    match a {
        [a] if points > 1 => Some(*a),
        _ => None,
    }
}

#[inline(always)]
fn ternary<T: Real, A: Copy, O: Copy>(
    arch: Instructions,
    out: &mut [O],
    a: &[A],
    b: &[O],
    c: &[O],
    f: impl Fn(A, O, O) -> O,
) {
    let n = out.len();
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || match (repeats(a, n), repeats(b, n), repeats(c, n)) {
            (None, None, None) | (Some(_), Some(_), Some(_)) => {
                let points = n.min(a.len());
                for (((out, &a), &b), &c) in out[..points].iter_mut().zip(a).zip(b).zip(c) {
                    *out = f(a, b, c);
                }
                repeat(out, points);
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
        },
    );
}
