//! Ops that show elements elsewhere and compute nothing. The derivative of each is another of them, or a sum.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::index::{strides, walk, without};
use super::kind::{Kind, Seen};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::verify::{ascending, expect, fit, operand};
use crate::graph::{DType, Graph, Node, NodeId, Op, misfit};
use crate::{Error, Result};
use ansatz_shapes as shapes;

impl Graph {
    /// Repeats `x` along the new axes `axes` of the result shape `dims`.
    pub fn broadcast(&mut self, x: NodeId, axes: &[usize], dims: &[usize]) -> Result<NodeId> {
        let kept = shapes::reduce(dims, axes).map_err(misfit("broadcast"))?;
        if kept != self[x].dims {
            return Err(Error::shape(
                "broadcast",
                format!("{:?} does not reach {dims:?} by new axes {axes:?}", self[x].dims),
            ));
        }
        if axes.is_empty() {
            return Ok(x);
        }
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        let dtype = self[x].dtype;
        Ok(self.push(Op::Broadcast { axes }, vec![x], dims.to_vec(), dtype))
    }

    /// The same elements in row-major order under another shape.
    pub fn reshape(&mut self, x: NodeId, dims: &[usize]) -> Result<NodeId> {
        if self[x].dims == dims {
            return Ok(x);
        }
        if self[x].len() != dims.iter().product::<usize>() {
            return Err(Error::shape(
                "reshape",
                format!("{:?} and {dims:?} differ in their number of elements", self[x].dims),
            ));
        }
        let dtype = self[x].dtype;
        Ok(self.push(Op::Reshape, vec![x], dims.to_vec(), dtype))
    }

    /// Axis i of the result is axis `order[i]` of `x`.
    pub fn permute(&mut self, x: NodeId, order: &[usize]) -> Result<NodeId> {
        let dims = shapes::permute(&self[x].dims, order).map_err(misfit("permute"))?;
        let dtype = self[x].dtype;
        Ok(self.push(Op::Permute { order: order.to_vec() }, vec![x], dims, dtype))
    }

    /// `len` positions of `axis`, beginning at `start`.
    pub fn slice(&mut self, x: NodeId, axis: usize, start: usize, len: usize) -> Result<NodeId> {
        let own = &self[x].dims;
        let refused = |_| Error::shape("slice", format!("{len} positions from {start} of axis {axis} of {own:?}"));
        let dims = shapes::slice(own, axis, &start, &len, usize::le).map_err(refused)?;
        let dtype = self[x].dtype;
        Ok(self.push(Op::Slice { axis, start }, vec![x], dims, dtype))
    }
}

/// The operand, repeated along new axes.
pub(super) struct Broadcast<'a>(pub &'a [usize]);

impl<'a> Rule<'a> for Broadcast<'a> {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        ascending(self.0)?;
        expect(operand(graph, node, 0), &fit(shapes::reduce(&node.dims, self.0))?, node.dtype)?;
        Ok((node.dims.clone(), node.dtype))
    }

    fn kind(&self) -> Kind<'a> {
        Kind::View(Seen::Repeated(self.0))
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

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.broadcast(self.0, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        broadcast_cases(float)
    }
}

/// The same elements under another shape.
pub(super) struct Reshape;

impl Rule<'_> for Reshape {
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

    fn kind(&self) -> Kind<'static> {
        Kind::View(Seen::Shaped)
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

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.reshape(node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        reshape_cases(float)
    }
}

/// Axes in another order.
pub(super) struct Permute<'a>(pub &'a [usize]);

impl<'a> Rule<'a> for Permute<'a> {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        Ok((fit(shapes::permute(&x.dims, self.0))?, x.dtype))
    }

    fn kind(&self) -> Kind<'a> {
        Kind::View(Seen::Turned(self.0))
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

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.permute(self.0, node)
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

impl Rule<'_> for Slice {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        let len = node.dims.get(self.axis).copied().unwrap_or(0);
        Ok((fit(shapes::slice(&x.dims, self.axis, &self.start, &len, usize::le))?, x.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::View(Seen::From { axis: self.axis, start: self.start })
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

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.slice(self.axis, self.start, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        slice_cases(float)
    }
}

/// Axis i of the result is axis `order[i]` of the operand, whose shape is `from`.
fn permute(x: &[f64], from: &[usize], order: &[usize]) -> Vec<f64> {
    let steps = strides(from);
    let dims: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
    let weights: Vec<usize> = order.iter().map(|&axis| steps[axis]).collect();
    walk(&dims, &weights).map(|i| x[i]).collect()
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
