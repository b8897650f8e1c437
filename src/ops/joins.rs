//! Ops that bring elements beside others: padding and joining. The derivative is a part of the cotangent.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::index::{strides, walk};
use super::kind::{Boundary, Kind};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::verify::{fit, operand};
use crate::graph::{DType, Graph, Node, NodeId, Op, misfit};
use crate::{Error, Result};
use ansatz_shapes as shapes;

impl Graph {
    /// Zeros around `x` so that `axis` becomes `len` long and `x` begins at `start`.
    pub fn pad(&mut self, x: NodeId, axis: usize, start: usize, len: usize) -> Result<NodeId> {
        let own = &self[x].dims;
        let refused = || Error::shape("pad", format!("{own:?} at {start} of an axis {axis} of {len}"));
        let end = own.get(axis).and_then(|size| start.checked_add(*size));
        let behind = end.and_then(|end| len.checked_sub(end)).ok_or_else(refused)?;
        let dims = shapes::pad(own, axis, &start, &behind).map_err(|_| refused())?;
        let dtype = self[x].dtype;
        Ok(self.push(Op::Pad { axis, start }, vec![x], dims, dtype))
    }

    /// Operands one after the other along `axis`.
    pub fn concat(&mut self, operands: &[NodeId], axis: usize) -> Result<NodeId> {
        let shapes: Vec<&[usize]> = operands.iter().map(|&x| &*self[x].dims).collect();
        let dims = shapes::concat(&shapes, axis).map_err(misfit("concat"))?;
        let dtype = self[operands[0]].dtype;
        if operands.iter().any(|&x| self[x].dtype != dtype) {
            return Err(Error::shape("concat", "the operands have different element types"));
        }
        Ok(self.push(Op::Concat { axis }, operands.to_vec(), dims, dtype))
    }
}

/// Zeros around the operand.
pub(super) struct Pad {
    pub axis: usize,
    pub start: usize,
}

impl Rule<'_> for Pad {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        // What is left behind the operand.
        let size = |node: &Node| node.dims.get(self.axis).copied().unwrap_or(0);
        let behind = size(node).saturating_sub(self.start.saturating_add(size(x)));
        Ok((fit(shapes::pad(&x.dims, self.axis, &self.start, &behind))?, x.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Boundary(Boundary::Padded { axis: self.axis, start: self.start })
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.computed(&[at.except(0, self.axis)])
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let mut y = vec![0.0; node.len()];
        place(&mut y, operands[0], &operand(graph, node, 0).dims, &node.dims, self.axis, self.start);
        Ok(y)
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // The part where the operand stands.
        let (x, c) = (graph[y].inputs[0], c.one()?);
        Ok(vec![Some(part_of(graph, x, c, self.axis, self.start)?)])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.pad(self.axis, self.start, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        pad_cases(float)
    }
}

/// Operands one after the other along an axis.
pub(super) struct Concat(pub usize);

impl Rule<'_> for Concat {
    fn arity(&self) -> Option<usize> {
        None
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let operands: Vec<&[usize]> = node.inputs.iter().map(|&x| &*graph[x].dims).collect();
        if node.inputs.iter().any(|&x| graph[x].dtype != node.dtype) {
            return Err("joins different element types".into());
        }
        Ok((fit(shapes::concat(&operands, self.0))?, node.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Boundary(Boundary::Joined(self.0))
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let axes: Vec<_> = (0..at.node().inputs.len()).map(|i| at.except(i, self.0)).collect();
        at.computed(&axes)
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let mut y = vec![0.0; node.len()];
        let mut start = 0;
        for (i, x) in operands.iter().enumerate() {
            let from = &operand(graph, node, i).dims;
            place(&mut y, x, from, &node.dims, self.0, start);
            start += from[self.0];
        }
        Ok(y)
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // Each operand's part.
        let (mut start, c) = (0, c.one()?);
        let mut parts = Vec::new();
        for x in graph[y].inputs.clone() {
            parts.push(Some(part_of(graph, x, c, self.0, start)?));
            start += graph[x].dims[self.0];
        }
        Ok(parts)
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.concat(self.0, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        concat_cases(float)
    }
}

/// Writes `x` of shape `from` into `y` of shape `dims`, beginning at `start` of `axis`.
fn place(y: &mut [f64], x: &[f64], from: &[usize], dims: &[usize], axis: usize, start: usize) {
    let steps = strides(dims);
    for (i, &element) in walk(from, &steps).zip(x) {
        y[i + start * steps[axis]] = element;
    }
}

/// What stands in the place of an operand that begins at `start` of `axis`.
fn part_of(graph: &mut Graph, x: NodeId, c: NodeId, axis: usize, start: usize) -> Result<NodeId> {
    let len = graph[x].dims[axis];
    graph.slice(c, axis, start, len)
}

const ALL: Domain = Domain::reals(-3.0, 3.0);

fn pad_cases(float: DType) -> Result<Vec<Case>> {
    [(0, 1, 5), (1, 0, 4), (1, 2, 4)]
        .into_iter()
        .map(|(axis, start, len)| {
            let name = format!("Pad axis {axis} to {len} from {start}");
            Case::new(name, float, &[(&[3, 2], ALL)], |graph, x| graph.pad(x[0], axis, start, len))
        })
        .collect()
}

fn concat_cases(float: DType) -> Result<Vec<Case>> {
    let rows = Case::new("Concat rows", float, &[(&[2, 3], ALL), (&[1, 3], ALL), (&[4, 3], ALL)], |graph, x| {
        graph.concat(x, 0)
    });
    let columns = Case::new("Concat columns", float, &[(&[2, 3], ALL), (&[2, 1], ALL)], |graph, x| graph.concat(x, 1));
    let twice =
        Case::new("Concat of one operand twice", float, &[(&[2, 3], ALL)], |graph, x| graph.concat(&[x[0], x[0]], 1));
    let single = Case::new("Concat of one operand", float, &[(&[2, 3], ALL)], |graph, x| graph.concat(x, 0));
    [rows, columns, twice, single].into_iter().collect()
}
