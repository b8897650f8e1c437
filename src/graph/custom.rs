//! Ops from outside of the library.

use super::{Graph, NodeId, Op};
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

#[doc(inline)]
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
