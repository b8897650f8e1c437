//! Formulas over nodes: with [`Term`] a derivative reads as in a book, `c * (1.0 - y.square())`, and records nodes.

use crate::graph::{Binary, Compare, DType, Graph, NodeId, Op, Unary};
use crate::kernel::elementwise::{binary_functions, unary_functions};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A float node inside a formula. All terms of one formula have the same shape and element type, so that no step can
/// fail; numbers become constants of that shape.
#[derive(Clone, Copy)]
pub(super) struct Term<'g> {
    graph: &'g RefCell<&'g mut Graph>,
    id: NodeId,
}

/// Evaluates a formula over some nodes of equal shape and gives the nodes of its results.
pub(super) fn formula<const N: usize, const M: usize>(
    graph: &mut Graph,
    nodes: [NodeId; N],
    formula: impl for<'g> FnOnce([Term<'g>; N]) -> [Term<'g>; M],
) -> [NodeId; M] {
    let graph = RefCell::new(graph);
    formula(nodes.map(|id| Term { graph: &graph, id })).map(|term| term.id)
}

impl<'g> Term<'g> {
    fn record(self, op: Op, operands: &[Term<'g>], dtype: Option<DType>) -> Self {
        let mut graph = self.graph.borrow_mut();
        let (dims, own) = (graph[self.id].dims.clone(), graph[self.id].dtype);
        let inputs = operands.iter().map(|term| term.id).collect();
        Term { graph: self.graph, id: graph.push(op, inputs, dims, dtype.unwrap_or(own)) }
    }

    fn unary(self, op: Unary) -> Self {
        self.record(Op::Unary(op), &[self], None)
    }

    fn binary(self, op: Binary, other: Self) -> Self {
        self.record(Op::Binary(op), &[self, other], None)
    }

    fn compare(self, op: Compare, other: Self) -> Truth<'g> {
        Truth(self.record(Op::Compare(op), &[self, other], Some(DType::Bool)))
    }

    /// One number everywhere.
    pub fn number(self, value: f64) -> Self {
        self.record(Op::Constant(value), &[], None)
    }

    pub fn equals(self, other: Self) -> Truth<'g> {
        self.compare(Compare::Eq, other)
    }

    pub fn exceeds(self, other: Self) -> Truth<'g> {
        self.compare(Compare::Gt, other)
    }
}

macro_rules! unary_terms {
    ($($name:ident $function:ident $doc:literal { $($row:tt)* })*) => {
        /// Every function of one real number, by its name.
        #[allow(dead_code)] // a derivative takes those that it needs
        impl Term<'_> {
            $(#[doc = $doc] pub fn $function(self) -> Self { self.unary(Unary::$name) })*
        }
    };
}
unary_functions!(unary_terms);

macro_rules! binary_terms {
    ($($name:ident $function:ident $doc:literal { $($row:tt)* })*) => {
        /// Every function of two real numbers, by its name.
        #[allow(dead_code, clippy::should_implement_trait)] // it does implement the traits
        impl Term<'_> {
            $(#[doc = $doc] pub fn $function(self, other: Self) -> Self { self.binary(Binary::$name, other) })*
        }
    };
}
binary_functions!(binary_terms);

/// Truth values inside a formula.
#[derive(Clone, Copy)]
pub(super) struct Truth<'g>(Term<'g>);

impl<'g> Truth<'g> {
    /// `if self { yes } else { no }`, elementwise.
    pub fn select(self, yes: Term<'g>, no: Term<'g>) -> Term<'g> {
        yes.record(Op::Select, &[self.0, yes, no], None)
    }
}

impl Neg for Term<'_> {
    type Output = Self;

    fn neg(self) -> Self {
        self.unary(Unary::Neg)
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $op:ident;)*) => {$(
        impl $trait for Term<'_> {
            type Output = Self;

            fn $method(self, other: Self) -> Self {
                self.binary(Binary::$op, other)
            }
        }

        impl $trait<f64> for Term<'_> {
            type Output = Self;

            fn $method(self, other: f64) -> Self {
                self.binary(Binary::$op, self.number(other))
            }
        }

        impl<'g> $trait<Term<'g>> for f64 {
            type Output = Term<'g>;

            fn $method(self, other: Term<'g>) -> Term<'g> {
                other.number(self).binary(Binary::$op, other)
            }
        }
    )*};
}

arithmetic! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}
