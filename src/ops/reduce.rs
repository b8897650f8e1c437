//! Reductions: sums and extremes over axes, and the position of the greatest.

use super::cases::{Case, Domain, each};
use super::causal::{Course, Site};
use super::index::{strides, walk, without};
use super::kind::{Boundary, Kind};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::special::{greatest, least};
use super::verify::{ascending, fit, float, operand, within};
use crate::graph::{Binary, Compare, DType, Graph, Node, NodeId, Op, misfit};
use crate::kernel::tiled::Fold;
use crate::{Error, Result};
use ansatz_shapes as shapes;

/// How a reduction combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the reduction of its name
pub enum ReduceOp {
    Sum,
    Max,
    Min,
}

impl Graph {
    /// Combines the elements along `axes`, which go.
    pub fn reduce(&mut self, op: ReduceOp, x: NodeId, axes: &[usize]) -> Result<NodeId> {
        self.expect_float("a reduction", x)?;
        let dims = shapes::reduce(&self[x].dims, axes).map_err(misfit("a reduction"))?;
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        if op != ReduceOp::Sum && axes.iter().any(|&a| self[x].dims[a] == 0) {
            return Err(Error::shape("a reduction", "the greatest and least of no elements do not exist"));
        }
        let dtype = self[x].dtype;
        Ok(self.push(Op::Reduce { op, axes }, vec![x], dims, dtype))
    }

    /// The sum along `axes`, which go.
    pub fn sum(&mut self, x: NodeId, axes: &[usize]) -> Result<NodeId> {
        self.reduce(ReduceOp::Sum, x, axes)
    }

    /// The position of the greatest element along `axis`, which goes.
    pub fn argmax(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        self.expect_float("argmax", x)?;
        let dims = shapes::reduce(&self[x].dims, &[axis]).map_err(misfit("argmax"))?;
        if self[x].dims[axis] == 0 {
            return Err(Error::shape("argmax", "no element is the greatest of none"));
        }
        Ok(self.push(Op::ArgMax { axis }, vec![x], dims, DType::Index))
    }
}

/// Elements combined over axes, which go.
pub(super) struct Reduce<'a> {
    pub op: ReduceOp,
    pub axes: &'a [usize],
}

impl<'a> Rule<'a> for Reduce<'a> {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        float(x)?;
        ascending(self.axes)?;
        if self.op != ReduceOp::Sum && self.axes.iter().any(|&axis| x.dims.get(axis) == Some(&0)) {
            return Err("takes an extreme of no elements".into());
        }
        Ok((fit(shapes::reduce(&x.dims, self.axes))?, x.dtype))
    }

    fn kind(&self) -> Kind<'a> {
        let fold = match self.op {
            ReduceOp::Sum => Fold::Sum,
            ReduceOp::Max => Fold::Max,
            ReduceOp::Min => Fold::Min,
        };
        Kind::Boundary(Boundary::Fold(fold, self.axes))
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.computed(&[at.without(self.axes)])
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(reduce(self.op, operands[0], &operand(graph, node, 0).dims, self.axes, node.len()))
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (x, c) = (graph[y].inputs[0], c.one()?);
        Ok(vec![Some(reduce_vjp(graph, self.op, x, y, c, self.axes)?)])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        to.reduce(self.op, self.axes, node)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let cases: Result<Vec<_>> = each!(ReduceOp: Sum Max Min).iter().map(|&op| reduce_cases(op, float)).collect();
        Ok(cases?.concat())
    }
}

/// The position of the greatest along an axis.
pub(super) struct ArgMax<'a>(pub &'a usize);

impl<'a> Rule<'a> for ArgMax<'a> {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        float(x)?;
        within(*self.0, &x.dims)?;
        if x.dims[*self.0] == 0 {
            return Err("seeks the greatest of no elements".into());
        }
        Ok((fit(shapes::reduce(&x.dims, &[*self.0]))?, DType::Index))
    }

    fn kind(&self) -> Kind<'a> {
        Kind::Boundary(Boundary::Fold(Fold::ArgMax, std::slice::from_ref(self.0)))
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.computed(&[at.without(&[*self.0])])
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(argmax(operands[0], &operand(graph, node, 0).dims, *self.0, node.len()))
    }

    fn vjp(&self, _: &mut Graph, _: NodeId, _: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![None])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        let x = node.inputs[0];
        let single = to.node(x).dims[*self.0] == 1;
        // The first of equals; NaN everywhere is also found at the beginning.
        (single || to.value(x).is_some()).then(|| to.constant(0.0, &node.dims, DType::Index))
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        argmax_cases(float)
    }
}

/// Combines the elements along `axes` of an operand of shape `from`. Extremes are NaN if any element is.
fn reduce(op: ReduceOp, x: &[f64], from: &[usize], axes: &[usize], len: usize) -> Vec<f64> {
    let (start, combine): (f64, fn(f64, f64) -> f64) = match op {
        ReduceOp::Sum => (0.0, |a, b| a + b),
        ReduceOp::Max => (f64::NEG_INFINITY, greatest),
        ReduceOp::Min => (f64::INFINITY, least),
    };
    let mut y = vec![start; len];
    for (i, &element) in walk(from, &without(from, axes)).zip(x) {
        y[i] = combine(y[i], element);
    }
    y
}

/// The position of the greatest element along `axis`, the first of equals; the first NaN is the greatest of all.
fn argmax(x: &[f64], from: &[usize], axis: usize, len: usize) -> Vec<f64> {
    let mut best: Vec<Option<(f64, usize)>> = vec![None; len];
    let step = strides(from)[axis];
    for (flat, (i, &element)) in walk(from, &without(from, &[axis])).zip(x).enumerate() {
        let greater = match best[i] {
            None => true,
            Some((known, _)) => !known.is_nan() && (element > known || element.is_nan()),
        };
        if greater {
            best[i] = Some((element, flat / step % from[axis]));
        }
    }
    best.into_iter().map(|found| found.map_or(0.0, |(_, position)| position as f64)).collect()
}

/// Of a sum: the cotangent, repeated. Of an extreme: shared equally among the elements that reach it, as PyTorch's
/// `amax` and `amin` do.
fn reduce_vjp(graph: &mut Graph, op: ReduceOp, x: NodeId, y: NodeId, c: NodeId, axes: &[usize]) -> Result<NodeId> {
    let (dims, dtype) = (graph[x].dims.clone(), graph[x].dtype);
    match op {
        ReduceOp::Sum => graph.broadcast(c, axes, &dims),
        ReduceOp::Max | ReduceOp::Min => {
            let extreme = graph.broadcast(y, axes, &dims)?;
            let reached = graph.compare(Compare::Eq, x, extreme)?;
            let ones = graph.cast(reached, dtype);
            let count = graph.sum(ones, axes)?;
            let share = graph.binary(Binary::Div, c, count)?;
            let share = graph.broadcast(share, axes, &dims)?;
            let zero = graph.constant_like(0.0, x);
            graph.select(reached, share, zero)
        }
    }
}

const ALL: Domain = Domain::reals(-3.0, 3.0);

fn reduce_cases(op: ReduceOp, float: DType) -> Result<Vec<Case>> {
    let shapes: [(&[usize], &[usize]); 7] = [
        (&[5], &[0]),
        (&[4, 3], &[0]),
        (&[4, 3], &[1]),
        (&[4, 3], &[0, 1]),
        (&[2, 3, 4], &[1]),
        (&[2, 3, 4], &[0, 2]),
        (&[1, 3], &[0]),
    ];
    let mut cases: Vec<Case> = shapes
        .into_iter()
        .map(|(from, axes)| {
            Case::new(format!("{op:?} of {from:?} over {axes:?}"), float, &[(from, ALL)], |graph, x| {
                graph.reduce(op, x[0], axes)
            })
        })
        .collect::<Result<_>>()?;
    if op == ReduceOp::Sum {
        cases.push(Case::new("Sum of no elements", float, &[(&[0, 3], ALL)], |graph, x| graph.sum(x[0], &[0]))?);
    }
    Ok(cases)
}

fn argmax_cases(float: DType) -> Result<Vec<Case>> {
    let along = |axis| {
        Case::new(format!("ArgMax over {axis}"), float, &[(&[4, 5, 3], ALL)], move |graph, x| graph.argmax(x[0], axis))
    };
    let ties = Case::new("ArgMax of equals", float, &[(&[6, 7], Domain::Indices(3))], |graph, x| {
        let x = graph.cast(x[0], float);
        graph.argmax(x, 1)
    });
    [along(0), along(1), along(2), ties].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_of_nan_are_nan() {
        assert!(reduce(ReduceOp::Max, &[1.0, f64::NAN, 3.0], &[3], &[0], 1)[0].is_nan());
        assert_eq!(argmax(&[1.0, f64::NAN, 3.0, f64::NAN], &[4], 0, 1), [1.0]);
    }
}
