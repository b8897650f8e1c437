//! A differentiable op.

use ansatz::Result;
use ansatz::graph::{Custom, Function, Graph, NodeId, Values};
use ansatz::tensor::{Float, Shape, Var};

/// Sums along the last axis that forget: y_t = x_t + decay · y_{t−1}, with y before the first 0. Its transpose runs from
/// the end.
#[derive(Clone, Copy, Debug)]
pub struct Leaky {
    /// What is left of the sum from step to step.
    pub decay: f64,
    /// Whether the last element comes first.
    pub reverse: bool,
}

impl Function for Leaky {
    fn value(&self, operands: &[Values<'_>]) -> Vec<f64> {
        let Values { dims, elements } = operands[0];
        let len = dims.last().copied().unwrap_or(1).max(1);
        let mut y = elements.to_vec();
        for row in y.chunks_mut(len) {
            if self.reverse {
                (1..row.len()).rev().for_each(|t| row[t - 1] += self.decay * row[t]);
            } else {
                (1..row.len()).for_each(|t| row[t] += self.decay * row[t - 1]);
            }
        }
        y
    }
}

impl Custom for Leaky {
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        match operands {
            [dims] if !dims.is_empty() => Ok(dims.to_vec()),
            _ => Err(format!("takes one tensor with a last axis, not {operands:?}")),
        }
    }

    fn vjp(&self, graph: &mut Graph, _: &[NodeId], _: NodeId, c: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.custom(Leaky { reverse: !self.reverse, ..*self }, &[c])?)])
    }

    fn axes(&self, operands: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
        // Elements along the last axis are combined.
        let last = operands[0].len() - 1;
        vec![(0..=last).map(|axis| (axis < last).then_some(axis)).collect()]
    }
}

/// As a step of a net: `x |> extension::ops::leaky(0.9) -> [n, t]`.
pub fn leaky<S: Shape, E: Float>(x: &Var<S, E>, decay: f64) -> Var<S, E> {
    ansatz::tensor::custom(Leaky { decay, reverse: false }, &[x.erase()], *x.shape())
}
