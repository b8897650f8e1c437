//! Choices, conversions between element types, and constants to the derivative.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::kind::{Fused, Kind};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::verify::{expect, like, operand};
use crate::graph::{Binary, DType, Graph, Node, NodeId, Op, Unary};
use crate::kernel::tiled::Code;
use crate::{Error, Result};

/// A number as another element type: truth is being other than zero; indices are cut towards zero into 0..2³²
/// (NaN becomes 0); reals stay as they are, whatever their precision.
pub(super) fn converted(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::F64 | DType::Bf16 => x,
        DType::Index => f64::from(x as u32),
        DType::Bool => f64::from(x != 0.0),
    }
}

impl Graph {
    /// `if condition { yes } else { no }`, elementwise.
    pub fn select(&mut self, condition: NodeId, yes: NodeId, no: NodeId) -> Result<NodeId> {
        self.expect_same("select", yes, no)?;
        if self[condition].dtype != DType::Bool || self[condition].dims != self[yes].dims {
            let found = &self[condition];
            return Err(Error::shape(
                "select",
                format!(
                    "the condition must be truth values of shape {:?}, and is {:?} of shape {:?}",
                    self[yes].dims, found.dtype, found.dims
                ),
            ));
        }
        Ok(self.push_like(Op::Select, vec![condition, yes, no], yes))
    }

    /// The same values as another element type.
    pub fn cast(&mut self, x: NodeId, dtype: DType) -> NodeId {
        if self[x].dtype == dtype {
            return x;
        }
        let dims = self[x].dims.clone();
        self.push(Op::Cast, vec![x], dims, dtype)
    }

    /// The value of `x`, which the derivative takes for a constant.
    pub fn stop_gradient(&mut self, x: NodeId) -> NodeId {
        self.push_like(Op::StopGradient, vec![x], x)
    }
}

/// `if a { b } else { c }`.
pub(super) struct Select;

impl Rule<'_> for Select {
    fn arity(&self) -> Option<usize> {
        Some(3)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        expect(operand(graph, node, 0), &node.dims, DType::Bool)?;
        like(operand(graph, node, 1), node)?;
        like(operand(graph, node, 2), node)?;
        Ok((node.dims.clone(), node.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Row(Code::Select))
    }

    fn passes(&self) -> usize {
        1
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.elementwise()
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok((0..node.len()).map(|i| operands[if operands[0][i] != 0.0 { 1 } else { 2 }][i]).collect())
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // The cotangent goes to the operand that was taken; the other gets zeros.
        let (condition, c) = (graph[y].inputs[0], c.one()?);
        let zero = graph.constant_like(0.0, c);
        Ok(vec![None, Some(graph.select(condition, c, zero)?), Some(graph.select(condition, zero, c)?)])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.select(node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        select_cases(float)
    }
}

/// Another element type.
pub(super) struct Cast;

impl Rule<'_> for Cast {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        Ok((operand(graph, node, 0).dims.clone(), node.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Cast)
    }

    fn passes(&self) -> usize {
        1
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        match at.node().dtype {
            DType::Bool => at.elementwise(),
            _ => at.viewed(&[at.all(0)]),
        }
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(operands[0].iter().map(|&x| converted(x, node.dtype)).collect())
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // Between real types the cotangent is converted back; indices and truth values have no derivative.
        let (dtype, c) = (graph[graph[y].inputs[0]].dtype, c.one()?);
        Ok(vec![dtype.is_float().then(|| graph.cast(c, dtype))])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.cast(node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        cast_cases(float)
    }
}

/// The operand, a constant to the derivative.
pub(super) struct StopGradient;

impl Rule<'_> for StopGradient {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        Ok((x.dims.clone(), x.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Fused(Fused::Same)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.viewed(&[at.all(0)])
    }

    fn value(&self, _: &Graph, _: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(operands[0].to_vec())
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        let _ = to;
        Some(node.inputs[0])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        stop_gradient_cases(float)
    }
}

fn select_cases(float: DType) -> Result<Vec<Case>> {
    [("reals", Domain::reals(-2.0, 2.0)), ("indices", Domain::Indices(9)), ("truth values", Domain::Bools)]
        .into_iter()
        .map(|(of, domain)| {
            let inputs: [(&[usize], _); 3] = [(&[4, 3], Domain::Bools), (&[4, 3], domain), (&[4, 3], domain)];
            Case::new(format!("Select of {of}"), float, &inputs, |graph, x| graph.select(x[0], x[1], x[2]))
        })
        .collect()
}

fn cast_cases(float: DType) -> Result<Vec<Case>> {
    let (reals, other) = (Domain::reals(0.0, 5.0), if float == DType::F32 { DType::F64 } else { DType::F32 });
    [
        (reals, other),
        (reals, DType::Index),
        (reals, DType::Bool),
        (Domain::Indices(5), float),
        (Domain::Indices(3), DType::Bool),
        (Domain::Bools, float),
        (Domain::Bools, DType::Index),
    ]
    .into_iter()
    .map(|(domain, dtype)| {
        Case::new(format!("Cast of {domain:?} to {dtype:?}"), float, &[(&[4, 3], domain)], |graph, x| {
            Ok(graph.cast(x[0], dtype))
        })
    })
    .collect()
}

fn stop_gradient_cases(float: DType) -> Result<Vec<Case>> {
    // The derivative takes the shift s for a constant, which is right where s cancels: ln(exp(x − s)) + s = x.
    let shift = Case::new("StopGradient of a shift", float, &[(&[4, 3], Domain::reals(-2.0, 2.0))], |graph, x| {
        let doubled = graph.binary(Binary::Add, x[0], x[0])?;
        let shift = graph.stop_gradient(doubled);
        let shifted = graph.binary(Binary::Sub, x[0], shift)?;
        let exponential = graph.unary(Unary::Exp, shifted)?;
        let logarithm = graph.unary(Unary::Ln, exponential)?;
        graph.binary(Binary::Add, logarithm, shift)
    });
    Ok(vec![shift?])
}
