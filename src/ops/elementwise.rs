//! Functions of one and of two real numbers: formula, derivative and test domain of each, in one table.

use super::cases::{Case, Domain};
use super::special;
use super::term::{Term, formula};
use crate::Result;
use crate::graph::{Binary, DType, Graph, NodeId, Unary};
use std::f64::consts::FRAC_2_SQRT_PI;

/// What a function of one real number means.
pub(super) struct UnaryRow {
    /// y = f(x).
    pub formula: fn(f64) -> f64,
    /// (x, y, c) ↦ c · f′(x); `None` where the derivative is zero wherever it exists.
    pub derivative: Option<for<'g> fn(Term<'g>, Term<'g>, Term<'g>) -> Term<'g>>,
    /// Where the tests draw x from.
    pub domain: Domain,
}

/// What a function of two real numbers means.
pub(super) struct BinaryRow {
    /// y = f(a, b).
    pub formula: fn(f64, f64) -> f64,
    /// (a, b, y, c) ↦ (c · ∂f/∂a, c · ∂f/∂b).
    pub derivative: for<'g> fn(Term<'g>, Term<'g>, Term<'g>, Term<'g>) -> [Term<'g>; 2],
    /// Where the tests draw a and b from.
    pub domains: [Domain; 2],
}

/// The table of functions of one real number.
pub(super) fn unary(op: Unary) -> UnaryRow {
    fn row(
        formula: fn(f64) -> f64,
        derivative: for<'g> fn(Term<'g>, Term<'g>, Term<'g>) -> Term<'g>,
        domain: Domain,
    ) -> UnaryRow {
        UnaryRow { formula, derivative: Some(derivative), domain }
    }
    let all = Domain::reals(-3.0, 3.0);
    let positive = Domain::reals(0.2, 4.0);
    let kink = Domain::reals(-3.0, 3.0).avoiding(0.0);
    match op {
        Unary::Neg => row(|x| -x, |_, _, c| -c, all),
        // The derivative at 0 is 0.
        Unary::Abs => row(f64::abs, |x, _, c| c * x.sign(), kink),
        Unary::Sign => UnaryRow { formula: sign, derivative: None, domain: kink },
        Unary::Recip => row(f64::recip, |_, y, c| -(c * y.square()), kink),
        Unary::Square => row(|x| x * x, |x, _, c| c * (2.0 * x), all),
        Unary::Sqrt => row(f64::sqrt, |_, y, c| 0.5 * c / y, positive),
        Unary::Rsqrt => row(|x| 1.0 / x.sqrt(), |_, y, c| -0.5 * c * (y * y.square()), positive),
        Unary::Exp => row(f64::exp, |_, y, c| c * y, all),
        Unary::Expm1 => row(f64::exp_m1, |_, y, c| c * (y + 1.0), all),
        Unary::Ln => row(f64::ln, |x, _, c| c / x, positive),
        Unary::Log1p => row(f64::ln_1p, |x, _, c| c / (x + 1.0), Domain::reals(-0.8, 4.0)),
        Unary::Sin => row(f64::sin, |x, _, c| c * x.cos(), all),
        Unary::Cos => row(f64::cos, |x, _, c| -(c * x.sin()), all),
        Unary::Tanh => row(f64::tanh, |_, y, c| c * (1.0 - y.square()), all),
        Unary::Sigmoid => row(special::sigmoid, |_, y, c| c * (y * (1.0 - y)), all),
        Unary::Softplus => row(special::softplus, |x, _, c| c * x.sigmoid(), all),
        Unary::Erf => row(special::erf, |x, _, c| c * (FRAC_2_SQRT_PI * (-x.square()).exp()), all),
        // The derivative at 0 is 0, as in PyTorch.
        Unary::Relu => {
            row(|x| if x < 0.0 { 0.0 } else { x }, |_, y, c| y.exceeds(y.number(0.0)).select(c, c.number(0.0)), kink)
        }
    }
}

/// The table of functions of two real numbers.
pub(super) fn binary(op: Binary) -> BinaryRow {
    let all = Domain::reals(-3.0, 3.0);
    match op {
        Binary::Add => BinaryRow { formula: |a, b| a + b, derivative: |_, _, _, c| [c, c], domains: [all, all] },
        Binary::Sub => BinaryRow { formula: |a, b| a - b, derivative: |_, _, _, c| [c, -c], domains: [all, all] },
        Binary::Mul => {
            BinaryRow { formula: |a, b| a * b, derivative: |a, b, _, c| [c * b, c * a], domains: [all, all] }
        }
        Binary::Div => BinaryRow {
            formula: |a, b| a / b,
            derivative: |_, b, y, c| {
                let over = c / b;
                [over, -(over * y)]
            },
            domains: [all, all.avoiding(0.0)],
        },
        Binary::Pow => BinaryRow {
            formula: f64::powf,
            // ∂a: b·a^(b−1), and 0 for b = 0 (where a^(b−1) may be infinite); ∂b: ln(a)·y, and 0 for a = 0.
            derivative: |a, b, y, c| {
                let zero = c.number(0.0);
                let base = b.equals(zero).select(zero, c * (b * a.pow(b - 1.0)));
                let exponent = a.equals(zero).select(zero, c * (y * a.ln()));
                [base, exponent]
            },
            domains: [Domain::reals(0.2, 3.0), Domain::reals(-2.0, 2.0)],
        },
        Binary::Min => BinaryRow { formula: least, derivative: |a, b, _, c| b.shared(a, c), domains: [all, all] },
        Binary::Max => BinaryRow { formula: greatest, derivative: |a, b, _, c| a.shared(b, c), domains: [all, all] },
    }
}

/// The vector-Jacobian product of a function of one real number.
pub(super) fn unary_vjp(graph: &mut Graph, op: Unary, x: NodeId, y: NodeId, c: NodeId) -> Vec<Option<NodeId>> {
    vec![unary(op).derivative.map(|derivative| {
        let [x] = formula(graph, [x, y, c], |[x, y, c]| [derivative(x, y, c)]);
        x
    })]
}

/// The vector-Jacobian products of a function of two real numbers.
pub(super) fn binary_vjp(graph: &mut Graph, op: Binary, a: NodeId, b: NodeId, y: NodeId, c: NodeId) -> [NodeId; 2] {
    formula(graph, [a, b, y, c], |[a, b, y, c]| (binary(op).derivative)(a, b, y, c))
}

/// The greater of two numbers; NaN if either is.
pub(super) fn greatest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The lesser of two numbers; NaN if either is.
pub(super) fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// −1, 0 or 1; NaN stays NaN.
fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x.abs() } else { x.signum() }
}

impl<'g> Term<'g> {
    /// The cotangents of (self, other) where the greater of the two was taken; equals take half each, as in PyTorch.
    fn shared(self, other: Self, c: Self) -> [Self; 2] {
        let (zero, half) = (c.number(0.0), 0.5 * c);
        let ties = self.equals(other);
        [ties.select(half, self.exceeds(other).select(c, zero)), ties.select(half, other.exceeds(self).select(c, zero))]
    }
}

/// Each function of one real number on its domain.
pub(super) fn unary_cases(op: Unary, float: DType) -> Result<Vec<Case>> {
    let domain = unary(op).domain;
    Ok(vec![Case::new(format!("{op:?}"), float, &[(&[3, 5], domain)], |graph, x| graph.unary(op, x[0]))?])
}

/// Each function of two real numbers on its domains; powers also of negative bases, by a whole constant.
pub(super) fn binary_cases(op: Binary, float: DType) -> Result<Vec<Case>> {
    let [a, b] = binary(op).domains;
    let mut cases = vec![Case::new(format!("{op:?}"), float, &[(&[3, 5], a), (&[3, 5], b)], |graph, x| {
        graph.binary(op, x[0], x[1])
    })?];
    if op == Binary::Pow {
        for exponent in [0.0, 1.0, 2.0, 3.0, -2.0] {
            let bases = Domain::reals(-2.0, 2.0).avoiding(0.0);
            cases.push(Case::new(format!("Pow by {exponent}"), float, &[(&[7], bases)], |graph, x| {
                let exponent = graph.constant_like(exponent, x[0]);
                graph.binary(op, x[0], exponent)
            })?);
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

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
