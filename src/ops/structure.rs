//! Ops that move elements and compute nothing. The derivative of each is another of them, or a sum.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::index::{strides, walk, without};
use super::rule::{Cotangents, Kind, Rule, Walk};
use super::verify::{ascending, expect, fit, operand};
use crate::Result;
use crate::graph::{DType, Graph, Node, NodeId};
use ansatz_shapes as shapes;

/// The operand, repeated along new axes.
pub(super) struct Broadcast<'a>(pub &'a [usize]);

impl Rule for Broadcast<'_> {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        ascending(self.0)?;
        expect(operand(graph, node, 0), &fit(shapes::reduce(&node.dims, self.0))?, node.dtype)?;
        Ok((node.dims.clone(), node.dtype))
    }

    fn kind(&self) -> Kind {
        Kind::View
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.repeated(self.0)
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(walk(&node.dims, &without(&node.dims, self.0)).map(|i| operands[0][i]).collect())
    }

    fn vjp(&self, graph: &mut Graph, _: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // The sum over what was repeated.
        let c = c.one()?;
        Ok(vec![Some(graph.sum(c, self.0)?)])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        broadcast_cases(float)
    }
}

/// The same elements under another shape.
pub(super) struct Reshape;

impl Rule for Reshape {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        match x.len() == node.len() {
            true => Ok((node.dims.clone(), x.dtype)),
            false => Err(format!("changes the number of elements from {} to {}", x.len(), node.len())),
        }
    }

    fn kind(&self) -> Kind {
        Kind::View
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.reshaped()
    }

    fn value(&self, _: &Graph, _: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(operands[0].to_vec())
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (dims, c) = (graph[graph[y].inputs[0]].dims.clone(), c.one()?);
        Ok(vec![Some(graph.reshape(c, &dims)?)])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        reshape_cases(float)
    }
}

/// Axes in another order.
pub(super) struct Permute<'a>(pub &'a [usize]);

impl Rule for Permute<'_> {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        Ok((fit(shapes::permute(&x.dims, self.0))?, x.dtype))
    }

    fn kind(&self) -> Kind {
        Kind::View
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let to = (0..self.0.len()).map(|axis| self.0.iter().position(|from| *from == axis)).collect();
        at.viewed(&[to])
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(permute(operands[0], &operand(graph, node, 0).dims, self.0))
    }

    fn vjp(&self, graph: &mut Graph, _: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // The inverse order.
        let c = c.one()?;
        let mut inverse = vec![0; self.0.len()];
        for (to, &from) in self.0.iter().enumerate() {
            inverse[from] = to;
        }
        Ok(vec![Some(graph.permute(c, &inverse)?)])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        permute_cases(float)
    }
}

/// A part of an axis.
pub(super) struct Slice {
    pub axis: usize,
    pub start: usize,
}

impl Rule for Slice {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        let len = node.dims.get(self.axis).copied().unwrap_or(0);
        Ok((fit(shapes::slice(&x.dims, self.axis, &self.start, &len, usize::le))?, x.dtype))
    }

    fn kind(&self) -> Kind {
        Kind::View
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.part(self.axis, self.start)
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let steps = strides(&operand(graph, node, 0).dims);
        Ok(walk(&node.dims, &steps).map(|i| operands[0][i + self.start * steps[self.axis]]).collect())
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // Zeros where nothing was taken.
        let (len, c) = (graph[graph[y].inputs[0]].dims[self.axis], c.one()?);
        Ok(vec![Some(graph.pad(c, self.axis, self.start, len)?)])
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        slice_cases(float)
    }
}

/// Zeros around the operand.
pub(super) struct Pad {
    pub axis: usize,
    pub start: usize,
}

impl Rule for Pad {
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

    fn kind(&self) -> Kind {
        Kind::Boundary
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

    fn cases(float: DType) -> Result<Vec<Case>> {
        pad_cases(float)
    }
}

/// Operands one after the other along an axis.
pub(super) struct Concat(pub usize);

impl Rule for Concat {
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

    fn kind(&self) -> Kind {
        Kind::Boundary
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

    fn cases(float: DType) -> Result<Vec<Case>> {
        concat_cases(float)
    }
}

/// Axis i of the result is axis `order[i]` of the operand, whose shape is `from`.
fn permute(x: &[f64], from: &[usize], order: &[usize]) -> Vec<f64> {
    let steps = strides(from);
    let dims: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
    let weights: Vec<usize> = order.iter().map(|&axis| steps[axis]).collect();
    walk(&dims, &weights).map(|i| x[i]).collect()
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

fn broadcast_cases(float: DType) -> Result<Vec<Case>> {
    let shapes: [(&[usize], &[usize], &[usize]); 5] = [
        (&[], &[0], &[4]),
        (&[3], &[0], &[4, 3]),
        (&[4], &[1], &[4, 3]),
        (&[3, 2], &[0, 2], &[4, 3, 5, 2]),
        (&[2, 3], &[1, 3], &[2, 1, 3, 2]),
    ];
    shapes
        .into_iter()
        .map(|(from, axes, to)| {
            Case::new(format!("Broadcast {from:?} to {to:?}"), float, &[(from, ALL)], |graph, x| {
                graph.broadcast(x[0], axes, to)
            })
        })
        .collect()
}

fn reshape_cases(float: DType) -> Result<Vec<Case>> {
    let shapes: [(&[usize], &[usize]); 3] = [(&[4, 6], &[2, 2, 6]), (&[1, 1], &[]), (&[2, 3, 4], &[4, 6])];
    let reshapes = shapes.into_iter().map(|(from, to)| {
        Case::new(format!("Reshape {from:?} to {to:?}"), float, &[(from, ALL)], |graph, x| graph.reshape(x[0], to))
    });
    // After a permutation the elements must be moved.
    let moved = Case::new("Reshape of a permutation", float, &[(&[3, 4], ALL)], |graph, x| {
        let turned = graph.permute(x[0], &[1, 0])?;
        graph.reshape(turned, &[2, 6])
    });
    reshapes.chain([moved]).collect()
}

fn permute_cases(float: DType) -> Result<Vec<Case>> {
    let orders: [(&[usize], &[usize]); 3] =
        [(&[3, 4], &[1, 0]), (&[2, 3, 4], &[2, 0, 1]), (&[2, 3, 4, 5], &[0, 2, 1, 3])];
    orders
        .into_iter()
        .map(|(from, order)| {
            Case::new(format!("Permute {from:?} by {order:?}"), float, &[(from, ALL)], |graph, x| {
                graph.permute(x[0], order)
            })
        })
        .collect()
}

fn slice_cases(float: DType) -> Result<Vec<Case>> {
    [(0, 1, 2), (1, 0, 3), (1, 3, 2), (1, 2, 0)]
        .into_iter()
        .map(|(axis, start, len)| {
            let name = format!("Slice {start}..{} of axis {axis}", start + len);
            Case::new(name, float, &[(&[3, 5], ALL)], |graph, x| graph.slice(x[0], axis, start, len))
        })
        .collect()
}

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
