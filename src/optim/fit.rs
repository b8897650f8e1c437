//! One parameter as an optimiser sees it, and what it can record.

use super::recipe::Rates;
use crate::graph::{Binary, Compare, Graph, NodeId, ReduceOp, StateKind, Unary};
use crate::{Error, Result};

/// What a recipe calls the moving average of the parameters.
pub(super) const AVERAGED: &str = "average";
/// And the sum of the gradients of earlier batches.
pub(super) const ACCUMULATED: &str = "accumulated";
/// What stands among the optimiser's tensors of a training file besides: those two, and the best model.
const TAKEN: [&str; 3] = [AVERAGED, ACCUMULATED, "best"];

/// A parameter that is fitted.
pub(super) struct Fitted {
    pub key: String,
    pub node: NodeId,
    /// Its rates, and their place among the distinct ones.
    pub rates: (Rates, usize),
}

/// One parameter as an optimiser sees it: its value, its gradient, the scalars, and arithmetic to record the update in.
///
/// Tensors of one operation join as in the language: from the last axis on, sizes are equal, or one of them is 1 (or
/// missing) and is repeated. Scalars have no axis and join with everything.
#[allow(missing_debug_implementations)]
pub struct Fit<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) fitted: &'a Fitted,
    pub(super) gradient: NodeId,
    pub(super) scalars: &'a [(&'static str, NodeId)],
    /// States and what they are set to.
    pub(super) news: Vec<(NodeId, NodeId)>,
}

impl Fit<'_> {
    /// The parameter before the update.
    pub fn parameter(&self) -> NodeId {
        self.fitted.node
    }

    /// The derivative of the loss by the parameter, accumulated and clipped.
    pub fn gradient(&self) -> NodeId {
        self.gradient
    }

    /// The path of the parameter: `mlp.fc1.weight`.
    pub fn key(&self) -> &str {
        &self.fitted.key
    }

    /// The sizes of a tensor.
    pub fn dims(&self, x: NodeId) -> Vec<usize> {
        self.graph[x].dims.clone()
    }

    /// The weight decay of this parameter.
    pub fn weight_decay(&self) -> f64 {
        self.fitted.rates.0.weight_decay
    }

    /// A scalar of the optimiser, by its name.
    ///
    /// # Errors
    /// If the optimiser emits no such scalar.
    pub fn scalar(&mut self, name: &str) -> Result<NodeId> {
        let found = self.scalars.iter().find(|(known, _)| *known == name).map(|(_, scalar)| *scalar);
        found.ok_or_else(|| Error::value(format!("the optimiser reads a scalar `{name}` that it does not emit")))
    }

    /// A tensor of the optimiser of the parameter's shape, zero at first. Its key is
    /// `optimiser.{name}.{key of the parameter}`, under which it is saved with a training and read again.
    ///
    /// # Errors
    /// If the name has another meaning in training files.
    pub fn state(&mut self, name: &str) -> Result<NodeId> {
        let dims = self.dims(self.fitted.node);
        self.state_of(name, &dims)
    }

    /// The same of another shape, as the means over rows and columns are.
    ///
    /// # Errors
    /// If the name has another meaning in training files, or is taken by a state of another shape.
    pub fn state_of(&mut self, name: &str, dims: &[usize]) -> Result<NodeId> {
        if name.is_empty() || name.contains('.') || TAKEN.contains(&name) {
            return Err(Error::value(format!(
                "an optimiser cannot keep a state `{name}`, which training files use otherwise; take another name, one \
                 without dots"
            )));
        }
        self.slot(name, dims)
    }

    /// A tensor that is kept between steps, the optimiser's or the recipe's.
    pub(super) fn slot(&mut self, name: &str, dims: &[usize]) -> Result<NodeId> {
        let dtype = self.graph[self.fitted.node].dtype;
        self.graph.state(format!("optimiser.{name}.{}", self.fitted.key), StateKind::Optimiser, dims, dtype)
    }

    /// Sets the value of a state after the step. Where one of the numbers that an element gets would not be finite, or the
    /// loss is not, all of them stay as they are.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn set(&mut self, state: NodeId, value: NodeId) -> Result<()> {
        let (wanted, found) = (self.dims(state), self.dims(value));
        if wanted != found {
            let key = self.key();
            let problem = format!("at `{key}` a tensor of shape {wanted:?} is given a new value of shape {found:?}");
            return Err(Error::shape("optimiser", problem));
        }
        self.news.push((state, value));
        Ok(())
    }

    /// Records all that was set. A `guard` is a scalar that is 0 where the step is good, and else NaN; adds to `told` scalars
    /// that are 0 where every new number is taken, and else NaN.
    pub(super) fn write(self, guard: Option<NodeId>, told: &mut Vec<NodeId>) -> Result<()> {
        let Fit { graph, mut news, .. } = self;
        let Some(guard) = guard else {
            return news.into_iter().try_for_each(|(state, value)| graph.update(state, value));
        };
        while let Some(&(first, _)) = news.first() {
            let dims = graph[first].dims.clone();
            let (alike, others): (Vec<_>, Vec<_>) = news.into_iter().partition(|(state, _)| graph[*state].dims == dims);
            news = others;
            let mut sum = alike[0].1;
            for &(_, value) in &alike[1..] {
                sum = graph.binary(Binary::Add, sum, value)?;
            }
            // 0 times a number that is not finite is NaN. All in the pass of the update: no number waits for the rest.
            let guard = spread(graph, guard, &dims)?;
            let good = graph.binary(Binary::Mul, sum, guard)?;
            let finite = is_zero(graph, good)?;
            for (state, value) in alike {
                let kept = graph.select(finite, value, state)?;
                graph.update(state, kept)?;
            }
            let axes: Vec<usize> = (0..dims.len()).collect();
            told.push(graph.reduce(ReduceOp::Max, good, &axes)?);
        }
        Ok(())
    }

    /// The graph that the update is recorded in, for all that has no method here.
    pub fn graph(&mut self) -> &mut Graph {
        self.graph
    }

    /// The number c as a scalar.
    pub fn constant(&mut self, c: f64) -> NodeId {
        let dtype = self.graph[self.fitted.node].dtype;
        self.graph.constant(c, &[], dtype)
    }

    /// Both with their axes of size 1 repeated to the sizes of the other.
    fn joined(&mut self, a: NodeId, b: NodeId) -> Result<[NodeId; 2]> {
        let [left, right] = [a, b].map(|x| &*self.graph[x].dims);
        let rank = left.len().max(right.len());
        let size = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
        let pairs = (0..rank).map(|axis| (size(left, axis), size(right, axis)));
        let dims: Vec<usize> = pairs.map(|(a, b)| if a == 1 { b } else { a }).collect();
        Ok([spread(self.graph, a, &dims)?, spread(self.graph, b, &dims)?])
    }

    fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> Result<NodeId> {
        let [a, b] = self.joined(a, b)?;
        self.graph.binary(op, a, b)
    }

    /// a + b.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Binary::Add, a, b)
    }

    /// a − b.
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Binary::Sub, a, b)
    }

    /// a · b, elementwise.
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Binary::Mul, a, b)
    }

    /// a / b, elementwise.
    pub fn div(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Binary::Div, a, b)
    }

    /// The greater of both, elementwise.
    pub fn maximum(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Binary::Max, a, b)
    }

    /// The smaller of both, elementwise.
    pub fn minimum(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.binary(Binary::Min, a, b)
    }

    /// Where a < b, elementwise.
    pub fn less(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        let [a, b] = self.joined(a, b)?;
        self.graph.compare(Compare::Lt, a, b)
    }

    /// a where the condition holds, b elsewhere.
    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> Result<NodeId> {
        let [a, b] = self.joined(a, b)?;
        let dims = self.dims(a);
        let condition = spread(self.graph, condition, &dims)?;
        self.graph.select(condition, a, b)
    }

    /// c · a.
    pub fn scale(&mut self, a: NodeId, c: f64) -> Result<NodeId> {
        let c = self.graph.constant_like(c, a);
        self.graph.binary(Binary::Mul, a, c)
    }

    /// a + c.
    pub fn shift(&mut self, a: NodeId, c: f64) -> Result<NodeId> {
        let c = self.graph.constant_like(c, a);
        self.graph.binary(Binary::Add, a, c)
    }

    /// A function of each element.
    pub fn unary(&mut self, function: Unary, a: NodeId) -> Result<NodeId> {
        self.graph.unary(function, a)
    }

    /// a².
    pub fn square(&mut self, a: NodeId) -> Result<NodeId> {
        self.graph.unary(Unary::Square, a)
    }

    /// √a.
    pub fn sqrt(&mut self, a: NodeId) -> Result<NodeId> {
        self.graph.unary(Unary::Sqrt, a)
    }

    /// The sum along some axes, which stay with size 1, so that the result joins with `a`.
    pub fn sum(&mut self, a: NodeId, axes: &[usize]) -> Result<NodeId> {
        let mut dims = self.dims(a);
        let sum = self.graph.reduce(ReduceOp::Sum, a, axes)?;
        axes.iter().for_each(|&axis| dims[axis] = 1);
        self.graph.reshape(sum, &dims)
    }

    /// The mean along some axes, which stay with size 1.
    pub fn mean(&mut self, a: NodeId, axes: &[usize]) -> Result<NodeId> {
        let sum = self.sum(a, axes)?;
        let count = self.graph[a].len() as f64 / self.graph[sum].len() as f64;
        self.scale(sum, 1.0 / count)
    }

    /// √Σa² over all elements, as a scalar.
    pub fn norm(&mut self, a: NodeId) -> Result<NodeId> {
        let axes: Vec<usize> = (0..self.graph[a].dims.len()).collect();
        let square = self.square(a)?;
        let sum = self.graph.reduce(ReduceOp::Sum, square, &axes)?;
        self.sqrt(sum)
    }

    /// The product of matrices, which are the last two axes; those before are equal. Each matrix is transposed first where
    /// `transposed` says so.
    pub fn matmul(&mut self, a: NodeId, b: NodeId, transposed: [bool; 2]) -> Result<NodeId> {
        self.graph.matmul(a, b, transposed)
    }

    /// The same elements in row-major order under another shape.
    pub fn reshape(&mut self, a: NodeId, dims: &[usize]) -> Result<NodeId> {
        self.graph.reshape(a, dims)
    }
}

/// Where a number is 0.
pub(super) fn is_zero(graph: &mut Graph, x: NodeId) -> Result<NodeId> {
    let zero = graph.constant_like(0.0, x);
    graph.compare(Compare::Eq, x, zero)
}

/// A tensor repeated along the axes that it lacks at the front, and along its axes of size 1, to these sizes.
pub(super) fn spread(graph: &mut Graph, x: NodeId, dims: &[usize]) -> Result<NodeId> {
    let own = graph[x].dims.clone();
    if own == dims {
        return Ok(x);
    }
    let joins = own.len() <= dims.len() && own.iter().rev().zip(dims.iter().rev()).all(|(a, b)| a == b || *a == 1);
    if !joins {
        let problem = format!("{own:?} does not join with {dims:?}: from the last axis on, sizes are equal or 1");
        return Err(Error::shape("optimiser", problem));
    }
    let missing = dims.len() - own.len();
    let repeated = |axis: &usize| *axis < missing || own[axis - missing] != dims[*axis];
    let axes: Vec<usize> = (0..dims.len()).filter(repeated).collect();
    let kept: Vec<usize> = (0..dims.len()).filter(|axis| !repeated(axis)).map(|axis| dims[axis]).collect();
    let kept = graph.reshape(x, &kept)?;
    graph.broadcast(kept, &axes, dims)
}
