//! Functions of one and of two real numbers and comparisons: formula, derivative and test domain of each, taken from
//! the rows of [`kernel::elementwise`](crate::kernel::elementwise).

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::kind::{Fused, Kind};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::special;
use super::term::{Term, formula};
use super::verify::{float as real, like, operand};
use crate::Result;
use crate::graph::{Binary, Compare, DType, Graph, Node, NodeId, Op, Unary};
use crate::kernel::elementwise::{binary_functions, comparisons, unary_functions};
use crate::kernel::tiled::Code;
use std::f64::consts::*;

/// What a function of one real number means.
struct UnaryRow {
    /// y = f(x).
    pub formula: fn(f64) -> f64,
    /// (x, y, c) ↦ c · f′(x); `None` where the derivative is zero wherever it exists.
    pub derivative: Option<for<'g> fn(Term<'g>, Term<'g>, Term<'g>) -> Term<'g>>,
    /// Where the tests draw x from.
    pub domain: Domain,
}

/// What a function of two real numbers means.
struct BinaryRow {
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
        fn unary(op: Unary) -> UnaryRow {
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
        fn binary(op: Binary) -> BinaryRow {
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
        fn comparison(op: Compare) -> fn(f64, f64) -> bool {
            match op { $(Compare::$name => |$a, $b| $holds,)* }
        }
    };
}
comparisons!(comparison_rows);

impl Graph {
    /// A function of one real number.
    pub fn unary(&mut self, op: Unary, x: NodeId) -> Result<NodeId> {
        self.expect_float("an elementwise function", x)?;
        Ok(self.push_like(Op::Unary(op), vec![x], x))
    }

    /// A function of two real numbers; operands of equal shape.
    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.expect_float("an arithmetic operation", a)?;
        self.expect_same("an arithmetic operation", a, b)?;
        Ok(self.push_like(Op::Binary(op), vec![a, b], a))
    }

    /// A comparison of two reals, indices or truth values; operands of equal shape.
    pub fn compare(&mut self, op: Compare, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.expect_same("a comparison", a, b)?;
        let dims = self[a].dims.clone();
        Ok(self.push(Op::Compare(op), vec![a, b], dims, DType::Bool))
    }
}

impl Rule<'_> for Unary {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        real(x)?;
        Ok((x.dims.clone(), x.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Row(Code::Unary(*self)))
    }

    fn passes(&self) -> usize {
        passes(self.cost())
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.elementwise()
    }

    fn value(&self, _: &Graph, _: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(operands[0].iter().map(|&x| (unary(*self).formula)(x)).collect())
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (x, c) = (graph[y].inputs[0], c.one()?);
        Ok(vec![unary(*self).derivative.map(|derivative| {
            let [x] = formula(graph, [x, y, c], |[x, y, c]| [derivative(x, y, c)]);
            x
        })])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.unary(*self, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        // Each on its domain.
        let case = |&f: &Unary| {
            let domain = unary(f).domain;
            Case::new(format!("{f:?}"), float, &[(&[3, 5], domain)], |graph, x| graph.unary(f, x[0]))
        };
        Unary::ALL.iter().map(case).collect()
    }
}

impl Rule<'_> for Binary {
    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        real(x)?;
        like(operand(graph, node, 1), x)?;
        Ok((x.dims.clone(), x.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Row(Code::Binary(*self)))
    }

    fn passes(&self) -> usize {
        passes(self.cost())
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        match self {
            Binary::Add => at.sum(),
            _ => at.elementwise(),
        }
    }

    fn value(&self, _: &Graph, _: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let formula = binary(*self).formula;
        Ok(operands[0].iter().zip(operands[1]).map(|(&a, &b)| formula(a, b)).collect())
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (a, b, c) = (graph[y].inputs[0], graph[y].inputs[1], c.one()?);
        Ok(formula(graph, [a, b, y, c], |[a, b, y, c]| (binary(*self).derivative)(a, b, y, c)).map(Some).to_vec())
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.binary(*self, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let cases: Result<Vec<_>> = Binary::ALL.iter().map(|&f| binary_cases(f, float)).collect();
        Ok(cases?.concat())
    }
}

impl Rule<'_> for Compare {
    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        like(operand(graph, node, 1), x)?;
        Ok((x.dims.clone(), DType::Bool))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Row(Code::Compare(*self)))
    }

    fn passes(&self) -> usize {
        1
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.elementwise()
    }

    fn value(&self, _: &Graph, _: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let holds = comparison(*self);
        Ok(operands[0].iter().zip(operands[1]).map(|(&a, &b)| f64::from(holds(a, b))).collect())
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None, None])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.compare(*self, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let cases: Result<Vec<_>> = Compare::ALL.iter().map(|&f| compare_cases(f, float)).collect();
        Ok(cases?.concat())
    }
}

/// Whether a function of one real number is constant but for jumps.
#[cfg(all(test, feature = "check"))]
pub(crate) fn jumps(op: Unary) -> bool {
    unary(op).derivative.is_none()
}

/// Where the tests draw the operand of a function from.
#[cfg(all(test, feature = "check"))]
pub(crate) fn unary_domain(op: Unary) -> Domain {
    unary(op).domain
}

/// Where the tests draw the operands of a function from.
#[cfg(all(test, feature = "check"))]
pub(crate) fn binary_domains(op: Binary) -> [Domain; 2] {
    binary(op).domains
}

/// What takes so many nanoseconds a point, in passes. However dear, several of them still fit into one kernel.
fn passes(nanoseconds: f64) -> usize {
    (nanoseconds * 16.0).round().clamp(1.0, 16.0) as usize
}

impl<'g> Term<'g> {
    /// The cotangents of (self, other) where the greater of the two was taken; equals take half each, as in PyTorch.
    fn shared(self, other: Self, c: Self) -> [Self; 2] {
        let (zero, half) = (c.number(0.0), 0.5 * c);
        let ties = self.equals(other);
        [ties.select(half, self.exceeds(other).select(c, zero)), ties.select(half, other.exceeds(self).select(c, zero))]
    }
}

/// Each function of two real numbers on its domains; powers also of negative bases, by a whole constant.
fn binary_cases(op: Binary, float: DType) -> Result<Vec<Case>> {
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

fn compare_cases(op: Compare, float: DType) -> Result<Vec<Case>> {
    let indices = Domain::Indices(3);
    [("reals", Domain::reals(-1.0, 1.0)), ("indices", indices), ("truth values", Domain::Bools)]
        .into_iter()
        .map(|(of, domain)| {
            Case::new(format!("{op:?} of {of}"), float, &[(&[4, 3], domain), (&[4, 3], domain)], |graph, x| {
                graph.compare(op, x[0], x[1])
            })
        })
        .collect()
}
