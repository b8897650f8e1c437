//! Ops from outside of the library: what their crate says, as every op says it.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::kind::{Kind, Operands};
use super::rule::{Cotangents, Rule, Walk};
use super::verify::{float, operand};
use crate::graph::{Binary, DType, Graph, Node, NodeId, Op, Unary};
use crate::kernel::call::Call;
use crate::kernel::work::Work;
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// A differentiable op that another crate defines: a function of tensors of real numbers.
///
/// ```
/// use ansatz::graph::{Binary, Custom, DType, Function, Graph, NodeId, Unary, Values};
/// use ansatz::ops::interpret;
///
/// /// x · e^(−x²/2), element by element.
/// #[derive(Debug)]
/// struct Wavelet;
///
/// impl Function for Wavelet {
///     fn value(&self, operands: &[Values<'_>]) -> Vec<f64> {
///         operands[0].elements.iter().map(|x| x * (-x * x / 2.0).exp()).collect()
///     }
/// }
///
/// impl Custom for Wavelet {
///     fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
///         match operands {
///             [x] => Ok(x.to_vec()),
///             _ => Err(format!("takes one tensor, not {}", operands.len())),
///         }
///     }
///
///     /// (1 − x²) e^(−x²/2), in ops that have derivatives themselves.
///     fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, c: NodeId) -> ansatz::Result<Vec<Option<NodeId>>> {
///         let square = g.unary(Unary::Square, x[0])?;
///         let (one, half) = (g.constant_like(1.0, square), g.constant_like(-0.5, square));
///         let exponent = g.binary(Binary::Mul, square, half)?;
///         let bell = g.unary(Unary::Exp, exponent)?;
///         let slope = g.binary(Binary::Sub, one, square)?;
///         let slope = g.binary(Binary::Mul, slope, bell)?;
///         Ok(vec![Some(g.binary(Binary::Mul, c, slope)?)])
///     }
///
///     /// Every axis is found where it was.
///     fn axes(&self, operands: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
///         vec![(0..operands[0].len()).map(Some).collect()]
///     }
/// }
///
/// let mut graph = Graph::new();
/// let x = graph.input("x", &[2], DType::F64);
/// let y = graph.custom(Wavelet, &[x])?;
/// graph.output("y", y);
/// let y = &interpret(&graph, &[], &[vec![0.0, 1.0]])?.outputs[0];
/// assert_eq!(*y, [0.0, (-0.5f64).exp()]);
/// # Ok::<(), ansatz::Error>(())
/// ```
///
/// Programs call it with operands in f64, one thread at a time: what is written in the library's own ops is faster.
pub trait Custom: Function + 'static {
    /// The shape of the result.
    ///
    /// # Errors
    /// What is wrong with the operands, after the name of the op.
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String>;

    /// For each operand x the cotangent cᵀ ∂y/∂x as further nodes of the graph, from that of the result y; `None` where
    /// the result does not depend on it.
    ///
    /// # Errors
    /// Those of recording.
    fn vjp(&self, graph: &mut Graph, x: &[NodeId], y: NodeId, c: NodeId) -> crate::Result<Vec<Option<NodeId>>>;

    /// For each operand, where each of its axes is found in the result; `None` where elements along it are combined,
    /// moved or left out. Nets that are read piece by piece ask it.
    fn axes(&self, operands: &[&[usize]]) -> Vec<Vec<Option<usize>>>;
}

pub use crate::kernel::call::{Function, Tensor as Values};

/// A custom op in a graph. Two are equal if they print alike: `Debug` shows all that tells them apart.
#[derive(Clone)]
pub struct Foreign(pub(crate) Arc<dyn Custom>);

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Foreign {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || format!("{self:?}") == format!("{other:?}")
    }
}

impl Graph {
    /// An op from outside of the library.
    ///
    /// # Errors
    /// If there is no operand, they are not real numbers of one type, or the op refuses their shapes.
    pub fn custom(&mut self, op: impl Custom, operands: &[NodeId]) -> crate::Result<NodeId> {
        self.foreign(Arc::new(op), operands)
    }

    /// As `custom`, of an op that others hold as well.
    pub(crate) fn foreign(&mut self, op: Arc<dyn Custom>, operands: &[NodeId]) -> crate::Result<NodeId> {
        let Some(&first) = operands.first() else { return Err(Error::shape("a custom op", "takes an operand")) };
        for &x in operands {
            self.expect_float("a custom op", x)?;
            if self[x].dtype != self[first].dtype {
                return Err(Error::shape("a custom op", "the operands have different element types"));
            }
        }
        let shapes: Vec<&[usize]> = operands.iter().map(|&x| &*self[x].dims).collect();
        let dims = op.shape(&shapes).map_err(|problem| Error::shape("a custom op", format!("{op:?} {problem}")))?;
        let dtype = self[first].dtype;
        Ok(self.push(Op::Custom(Foreign(op)), operands.to_vec(), dims, dtype))
    }
}

impl Rule<'_> for Foreign {
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

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(launch)
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

fn launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let node = &graph[id];
    let Op::Custom(op) = &node.op else { return Err(id) };
    let views = node.inputs.iter().map(|&x| Ok((operands.dense(graph, x)?, graph[x].dims.clone())));
    let (function, views) = (op.0.clone(), views.collect::<Result<_, _>>()?);
    Ok(Work::Call(Box::new(Call { function, operands: views, result: operands.dense(graph, id)?, len: node.len() })))
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
