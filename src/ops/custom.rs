//! Ops from outside of the library: what their crate says, as every op says it.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::rule::{Cotangents, Kind, Rule, Walk};
use super::verify::{float, operand};
use crate::graph::{Binary, Custom, DType, Foreign, Function, Graph, Node, NodeId, Unary, Values};
use crate::{Error, Result};

impl Rule for Foreign {
    fn arity(&self) -> Option<usize> {
        None
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let dtype = operand(graph, node, 0).dtype;
        for &x in &node.inputs {
            float(&graph[x])?;
            if graph[x].dtype != dtype {
                return Err(format!("takes {dtype:?} and {:?}", graph[x].dtype));
            }
        }
        let dims: Vec<&[usize]> = node.inputs.iter().map(|&x| &*graph[x].dims).collect();
        Ok((self.0.shape(&dims)?, dtype))
    }

    fn kind(&self) -> Kind {
        Kind::Alone
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let (shapes, axes) = (at.shapes(), self.0.axes(&at.shapes()));
        let named = axes.iter().flatten().flatten().all(|axis| *axis < at.node().dims.len());
        let each = axes.len() == shapes.len() && axes.iter().zip(&shapes).all(|(axes, dims)| axes.len() == dims.len());
        match named && each {
            true => at.computed(&axes),
            false => Err("names other axes than its operands and its result have".into()),
        }
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let dims = node.inputs.iter().map(|&x| &*graph[x].dims);
        let given: Vec<_> = dims.zip(operands).map(|(dims, elements)| Values { dims, elements }).collect();
        let values = self.0.value(&given);
        match values.len() == node.len() {
            true => Ok(values),
            false => Err(Error::shape(
                "a custom op",
                format!("{self:?} gives {} elements, and its shape {:?} has {}", values.len(), node.dims, node.len()),
            )),
        }
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (inputs, c) = (graph[y].inputs.clone(), c.one()?);
        self.0.vjp(graph, &inputs, y, c)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let all = Domain::reals(-2.0, 2.0);
        let plain = Case::new("Custom", float, &[(&[3, 2], all), (&[3], all)], |graph, x| graph.custom(Scaled, x))?;
        // Operands that lie turned, and inside of others.
        let turned = Case::new("Custom of views", float, &[(&[2, 3], all), (&[5], all)], |graph, x| {
            let (turned, part) = (graph.permute(x[0], &[1, 0])?, graph.slice(x[1], 0, 1, 3)?);
            let y = graph.custom(Scaled, &[turned, part])?;
            graph.unary(Unary::Sin, y)
        })?;
        Ok(vec![plain, turned])
    }
}

/// The rows of x `[n, d]`, each times its own factor `[n]`: an op as another crate would write it.
#[derive(Debug)]
struct Scaled;

impl Function for Scaled {
    fn value(&self, operands: &[Values<'_>]) -> Vec<f64> {
        let (x, factors) = (operands[0], operands[1].elements);
        x.elements.iter().enumerate().map(|(i, x_i)| x_i * factors[i / x.dims[1]]).collect()
    }
}

impl Custom for Scaled {
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        match *operands {
            [&[n, d], &[m]] if n == m => Ok(vec![n, d]),
            _ => Err(format!("takes [n, d] and [n], not {operands:?}")),
        }
    }

    fn vjp(&self, graph: &mut Graph, x: &[NodeId], _: NodeId, c: NodeId) -> Result<Vec<Option<NodeId>>> {
        let product = graph.binary(Binary::Mul, c, x[0])?;
        Ok(vec![Some(graph.custom(Scaled, &[c, x[1]])?), Some(graph.sum(product, &[1])?)])
    }

    fn axes(&self, _: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
        vec![vec![Some(0), Some(1)], vec![Some(0)]]
    }
}
