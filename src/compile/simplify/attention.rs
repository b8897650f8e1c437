//! Rules of attention: without queries or keys there is nothing to compute.

use super::Rewriter;
use crate::graph::{DType, NodeId, Op, Sizes};

impl Rewriter {
    pub(super) fn attention(&mut self, op: &Op, inputs: &[NodeId], dims: &[usize], dtype: DType) -> Option<NodeId> {
        let of = |i: usize| &*self.node(inputs[i]).dims;
        let sizes = Sizes::new(of(0), of(1), of(2));
        if sizes.t > 0 && sizes.s > 0 {
            return None;
        }
        if let Op::AttentionGradient(_) = op {
            return Some(self.constant(0.0, dims, dtype));
        }
        // Zeros, and the logarithms of empty sums.
        let result = self.constant(0.0, &[sizes.result()], dtype);
        let logarithms = self.constant(f64::NEG_INFINITY, &[sizes.logarithms()], dtype);
        Some(self.make(Op::Concat { axis: 0 }, vec![result, logarithms], dims, dtype))
    }
}
