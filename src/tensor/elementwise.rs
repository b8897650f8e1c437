//! Functions of each element by itself, arithmetic, comparisons and choice. Operands have equal shapes; [`broadcast`]
//! makes them equal.
//!
//! [`broadcast`]: super::broadcast

use super::composite;
use super::var::record;
use super::{Element, Float, Scope, Shape, Var};
use crate::Result;
use crate::graph::{Binary, Compare, Graph, NodeId, Unary};
use crate::kernel::elementwise::{binary_functions, comparisons, unary_functions};

macro_rules! unary {
    ($($name:ident $function:ident $doc:literal { $($row:tt)* })*) => {$(
        #[doc = $doc]
        pub fn $function<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
            map(x, |g, x| g.unary(Unary::$name, x))
        }
    )*};
}
unary_functions!(unary);

macro_rules! binary {
    ($($name:ident $function:ident $doc:literal { $($row:tt)* })*) => {$(
        #[doc = $doc]
        pub fn $function<S: Shape, E: Float>(a: &Var<S, E>, b: &Var<S, E>) -> Var<S, E> {
            record(&[a.erased(), b.erased()], *a.shape(), &|g, n| g.binary(Binary::$name, n[0], n[1]))
        }
    )*};
}
binary_functions!(binary);

macro_rules! compare {
    ($($name:ident $function:ident $doc:literal { $($row:tt)* })*) => {$(
        #[doc = $doc]
        pub fn $function<S: Shape, T: Element>(a: &Var<S, T>, b: &Var<S, T>) -> Var<S, bool> {
            record(&[a.erased(), b.erased()], *a.shape(), &|g, n| g.compare(Compare::$name, n[0], n[1]))
        }
    )*};
}
comparisons!(compare);

/// ln x − ln(1 − x), the inverse of the sigmoid.
pub fn logit<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    map(x, composite::logit)
}

/// x Φ(x), with the normal distribution function Φ (Hendrycks, Gimpel 2016).
pub fn gelu<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    map(x, composite::gelu)
}

/// The tanh form of [`gelu`]: ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).
pub fn gelu_tanh<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    map(x, composite::gelu_tanh)
}

/// x σ(x) (Elfwing, Uchibe, Doya 2018).
pub fn silu<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    map(x, composite::silu)
}

/// x where it is positive, `slope` · x elsewhere.
pub fn leaky_relu<S: Shape, E: Float>(x: &Var<S, E>, slope: f64) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| composite::leaky_relu(g, n[0], slope))
}

/// x where it is positive, `alpha` · (eˣ − 1) elsewhere (Clevert, Unterthiner, Hochreiter 2016).
pub fn elu<S: Shape, E: Float>(x: &Var<S, E>, alpha: f64) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| composite::elu(g, n[0], alpha))
}

/// x to a constant power.
pub fn powf<S: Shape, E: Float>(x: &Var<S, E>, exponent: f64) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| composite::powf(g, n[0], exponent))
}

/// x, but not below `low` and not above `high`.
pub fn clamp<S: Shape, E: Float>(x: &Var<S, E>, low: f64, high: f64) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| composite::clamp(g, n[0], low, high))
}

/// The value of `x`, which derivatives take for a constant.
pub fn stop_gradient<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| Ok(g.stop_gradient(n[0])))
}

/// Both.
pub fn and<S: Shape>(a: &Var<S, bool>, b: &Var<S, bool>) -> Var<S, bool> {
    record(&[a.erased(), b.erased()], *a.shape(), &|g, n| {
        let no = g.constant_like(0.0, n[0]);
        g.select(n[0], n[1], no)
    })
}

/// One or both.
pub fn or<S: Shape>(a: &Var<S, bool>, b: &Var<S, bool>) -> Var<S, bool> {
    record(&[a.erased(), b.erased()], *a.shape(), &|g, n| {
        let yes = g.constant_like(1.0, n[0]);
        g.select(n[0], yes, n[1])
    })
}

/// True where `a` is false.
pub fn not<S: Shape>(a: &Var<S, bool>) -> Var<S, bool> {
    record(&[a.erased()], *a.shape(), &|g, n| {
        let no = g.constant_like(0.0, n[0]);
        g.compare(Compare::Eq, n[0], no)
    })
}

/// `a` where the condition holds, `b` elsewhere.
pub fn select<S: Shape, T: Element>(condition: &Var<S, bool>, a: &Var<S, T>, b: &Var<S, T>) -> Var<S, T> {
    record(&[condition.erased(), a.erased(), b.erased()], *a.shape(), &|g, n| g.select(n[0], n[1], n[2]))
}

/// 1 where true, 0 where false; an index as its number.
pub fn to_float<S: Shape, T: Element, E: Float>(x: &Var<S, T>) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| Ok(g.cast(n[0], E::DTYPE)))
}

/// One number in every element of a tensor shaped like `x`.
pub fn constant_like<S: Shape, T: Element>(x: &Var<S, T>, value: f64) -> Var<S, T> {
    record(&[x.erased()], *x.shape(), &|g, n| Ok(g.constant_like(value, n[0])))
}

/// One number in every element.
pub fn constant<S: Shape, E: Float>(scope: &Scope, value: f64, shape: S) -> Var<S, E> {
    scope.constant(value, shape)
}

fn map<S: Shape, E: Float>(x: &Var<S, E>, operation: fn(&mut Graph, NodeId) -> Result<NodeId>) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| operation(g, n[0]))
}
