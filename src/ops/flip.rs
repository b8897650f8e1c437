//! The elements of an axis in the opposite order. It is its own inverse, and its own transpose.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::index::strides;
use super::kind::{Kind, Operands};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::verify::{fit, operand};
use crate::Result;
use crate::graph::{Binary, DType, Graph, Node, NodeId, Op, misfit};
use crate::kernel::tiled::{Source, Store, Tiled};
use crate::kernel::view::View;
use crate::kernel::work::Work;
use ansatz_shapes as shapes;

impl Graph {
    /// The elements of `axis` in the opposite order.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn flip(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        shapes::along(&self[x].dims, axis).map_err(misfit("flip"))?;
        Ok(self.push_like(Op::Flip { axis }, vec![x], x))
    }
}

/// The axis whose elements change places.
pub(super) struct Flip(pub usize);

impl Rule<'_> for Flip {
    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let x = operand(graph, node, 0);
        Ok((fit(shapes::along(&x.dims, self.0))?, x.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.computed(&[at.except(0, self.0)])
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let (size, step) = (node.dims[self.0], strides(&node.dims)[self.0]);
        // Position p of the axis is that of the operand at size − 1 − p.
        let place = |i: usize| {
            let position = i / step % size;
            i - position * step + (size - 1 - position) * step
        };
        Ok((0..node.len()).map(|i| operands[0][place(i)]).collect())
    }

    fn vjp(&self, graph: &mut Graph, _: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let c = c.one()?;
        Ok(vec![Some(graph.flip(c, self.0)?)])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        let x = node.inputs[0];
        let again = to.node(x).op == Op::Flip { axis: self.0 };
        let still = node.dims[self.0] == 1 || to.value(x).is_some();
        if again { Some(to.node(x).inputs[0]) } else { still.then_some(x) }
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let all = Domain::reals(-3.0, 3.0);
        let shapes: [(&[usize], usize); 5] = [(&[5], 0), (&[3, 4], 0), (&[3, 4], 1), (&[2, 3, 4], 1), (&[2, 1], 1)];
        let plain = shapes.into_iter().map(|(dims, axis)| {
            Case::new(format!("Flip axis {axis} of {dims:?}"), float, &[(dims, all)], |graph, x| graph.flip(x[0], axis))
        });
        // An operand that lies turned, and a result that is read with others.
        let turned = Case::new("Flip of a view", float, &[(&[3, 4], all)], |graph, x| {
            let turned = graph.permute(x[0], &[1, 0])?;
            let part = graph.slice(turned, 0, 1, 3)?;
            let flipped = graph.flip(part, 0)?;
            graph.binary(Binary::Mul, flipped, part)
        });
        let indices = Case::new("Flip of indices", float, &[(&[4, 3], all), (&[6], Domain::Indices(4))], |graph, x| {
            let order = graph.flip(x[1], 0)?;
            graph.gather(x[0], order)
        });
        plain.chain([turned, indices]).collect()
    }
}

/// One pass, which walks the axis of the operand backwards.
fn launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let node = &graph[id];
    let Op::Flip { axis } = node.op else { return Err(id) };
    let (outer, size): (usize, usize) = (node.dims[..axis].iter().product(), node.dims[axis]);
    let inner: usize = node.dims[axis + 1..].iter().product();
    let (x, y) = (operands.dense(graph, node.inputs[0])?, operands.dense(graph, id)?);
    let seen = |view: View, offset: usize, step: isize| View {
        offset: view.offset + offset,
        strides: vec![(size * inner) as isize, step, 1],
        ..view
    };
    let (from, to) = (seen(x, (size - 1) * inner, -(inner as isize)), seen(y, 0, inner as isize));
    Ok(Work::Fused(Tiled {
        dims: vec![outer, size, inner],
        sources: vec![Source::Load(from)],
        rows: vec![],
        stores: vec![Store { register: 0, view: to }],
        reduced: vec![],
        accumulations: vec![],
    }))
}
