//! Functions of one and of two real numbers and comparisons: formula, derivative and test domain of each, taken from
//! the rows of [`kernel::elementwise`](crate::kernel::elementwise).

use super::cases::{Case, Domain};
use super::special;
use super::term::{Term, formula};
use crate::Result;
use crate::graph::{Binary, Compare, DType, Graph, NodeId, Unary};
use crate::kernel::elementwise::{binary_functions, comparisons, unary_functions};
use std::f64::consts::*;

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

macro_rules! unary_rows {
    ($($name:ident $function:ident $doc:literal {
        formula: $formula:expr, derivative: $derivative:expr, domain: $domain:expr, $($rest:tt)*
    })*) => {
        /// The table of functions of one real number.
        pub(super) fn unary(op: Unary) -> UnaryRow {
            match op {
                $(Unary::$name => UnaryRow { formula: $formula, derivative: $derivative, domain: $domain },)*
            }
        }
    };
}
unary_functions!(unary_rows);

macro_rules! binary_rows {
    ($($name:ident $function:ident $doc:literal {
        formula: $formula:expr, derivative: $derivative:expr, domain: $domains:expr, $($rest:tt)*
    })*) => {
        /// The table of functions of two real numbers.
        pub(super) fn binary(op: Binary) -> BinaryRow {
            match op {
                $(Binary::$name => BinaryRow { formula: $formula, derivative: $derivative, domains: $domains },)*
            }
        }
    };
}
binary_functions!(binary_rows);

macro_rules! comparison_rows {
    ($($name:ident $function:ident $doc:literal { |$a:ident, $b:ident| $holds:expr })*) => {
        /// Whether a comparison holds.
        pub(super) fn comparison(op: Compare) -> fn(f64, f64) -> bool {
            match op { $(Compare::$name => |$a, $b| $holds,)* }
        }
    };
}
comparisons!(comparison_rows);

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
