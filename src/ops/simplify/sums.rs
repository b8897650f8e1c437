//! Rules of sums: what is the same for all terms is taken out, and deviations from the mean cancel. The derivatives of
//! normalisations are full of such sums, and each would read a whole tensor.

use super::Rewriter;
use crate::graph::{Binary, DType, NodeId, Op, ReduceOp, Unary};

impl Rewriter {
    /// A sum over `axes`, if it can be written by smaller ones.
    pub(super) fn sum(&mut self, axes: &[usize], x: NodeId, dims: &[usize], dtype: DType) -> Option<NodeId> {
        let node = self.node(x);
        let (op, inputs) = (node.op.clone(), node.inputs.clone());
        if op == Op::Unary(Unary::Neg) {
            let sum = self.sum_of(axes, inputs[0], dims, dtype);
            return Some(self.make(op, vec![sum], dims, dtype));
        }
        if let Op::Binary(f @ (Binary::Add | Binary::Sub)) = op {
            if f == Binary::Sub && self.is_mean(inputs[1], inputs[0], axes) {
                return Some(self.constant(0.0, dims, dtype));
            }
            if !inputs.iter().all(|&term| self.splits(term, axes)) {
                return None;
            }
            let sums = inputs.iter().map(|&term| self.sum_of(axes, term, dims, dtype)).collect();
            return Some(self.make(op, sums, dims, dtype));
        }
        if op != Op::Binary(Binary::Mul) {
            return None;
        }
        let (mut factors, mut common) = (Vec::new(), Vec::new());
        self.factors(x, axes, &mut factors, &mut common);
        if common.is_empty() || factors.is_empty() {
            return None;
        }
        let whole = self.node(x).dims.clone();
        let mut rest = factors[0];
        for &factor in &factors[1..] {
            rest = self.make(Op::Binary(Binary::Mul), vec![rest, factor], &whole, dtype);
        }
        let mut sum = self.sum_of(axes, rest, dims, dtype);
        for factor in common {
            let factor = self.without(factor, axes, dims, dtype);
            sum = self.make(Op::Binary(Binary::Mul), vec![sum, factor], dims, dtype);
        }
        Some(sum)
    }

    fn sum_of(&mut self, axes: &[usize], x: NodeId, dims: &[usize], dtype: DType) -> NodeId {
        self.make(Op::Reduce { op: ReduceOp::Sum, axes: axes.to_vec() }, vec![x], dims, dtype)
    }

    /// Whether a factor can be taken out of the sum of this term, or nothing is left of it.
    fn splits(&self, term: NodeId, axes: &[usize]) -> bool {
        let node = self.node(term);
        if node.op == Op::Unary(Unary::Neg) {
            return self.splits(node.inputs[0], axes);
        }
        if node.op == Op::Binary(Binary::Mul) {
            let (mut factors, mut common) = (Vec::new(), Vec::new());
            self.factors(term, axes, &mut factors, &mut common);
            // A number alone is no reason to sum twice.
            return common.iter().any(|&factor| self.value(factor).is_none());
        }
        match node.op == Op::Binary(Binary::Sub) {
            true => self.is_mean(node.inputs[1], node.inputs[0], axes),
            false => self.is_repeated(term, axes),
        }
    }

    /// The factors of a product, and those of them that are the same along `axes`.
    fn factors(&self, x: NodeId, axes: &[usize], factors: &mut Vec<NodeId>, common: &mut Vec<NodeId>) {
        let node = self.node(x);
        if node.op == Op::Binary(Binary::Mul) {
            return node.inputs.iter().for_each(|&x| self.factors(x, axes, factors, common));
        }
        let list = if self.is_repeated(x, axes) { common } else { factors };
        list.push(x);
    }

    fn is_repeated(&self, x: NodeId, axes: &[usize]) -> bool {
        let op = &self.node(x).op;
        let spread = matches!(op, Op::Broadcast { axes: repeated } if axes.iter().all(|axis| repeated.contains(axis)));
        spread || matches!(op, Op::Constant(_))
    }

    /// What is the same along `axes`, without them.
    fn without(&mut self, x: NodeId, axes: &[usize], dims: &[usize], dtype: DType) -> NodeId {
        let Op::Broadcast { axes: repeated } = self.node(x).op.clone() else {
            let value = self.value(x).expect("what is the same along axes is a repetition or a constant");
            return self.constant(value, dims, dtype);
        };
        let left = repeated.iter().filter(|axis| !axes.contains(axis));
        let left = left.map(|axis| axis - axes.iter().filter(|gone| *gone < axis).count()).collect();
        let source = self.node(x).inputs[0];
        self.make(Op::Broadcast { axes: left }, vec![source], dims, dtype)
    }

    /// Whether `mean` is the mean of `x` over `axes`, repeated.
    fn is_mean(&self, mean: NodeId, x: NodeId, axes: &[usize]) -> bool {
        let node = self.node(mean);
        if !matches!(&node.op, Op::Broadcast { axes: repeated } if repeated == axes) {
            return false;
        }
        let count: f64 = axes.iter().map(|&axis| self.node(x).dims[axis] as f64).product();
        let divided = self.node(node.inputs[0]);
        let Op::Binary(f @ (Binary::Mul | Binary::Div)) = divided.op else { return false };
        let sum = self.node(divided.inputs[0]);
        let is_sum = matches!(&sum.op, Op::Reduce { op: ReduceOp::Sum, axes: summed } if summed == axes);
        let share = self.value(divided.inputs[1]).map(|value| if f == Binary::Div { 1.0 / value } else { value });
        is_sum && sum.inputs == [x] && share.is_some_and(|share| (share * count - 1.0).abs() < 1e-12)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::simplify;
    use crate::grad::vjp;
    use crate::graph::Graph;
    use crate::ops::interpret;

    /// (x − mean) · rsqrt(variance) over the first and last axis of three.
    fn standardised(graph: &mut Graph, x: NodeId) -> NodeId {
        let (dims, axes) = (graph[x].dims.clone(), [0, 2]);
        let mean = |graph: &mut Graph, x| {
            let sum = graph.sum(x, &axes).unwrap();
            let count = graph.constant_like((dims[0] * dims[2]) as f64, sum);
            graph.binary(Binary::Div, sum, count).unwrap()
        };
        let center = mean(graph, x);
        let center = graph.broadcast(center, &axes, &dims).unwrap();
        let deviation = graph.binary(Binary::Sub, x, center).unwrap();
        let square = graph.unary(Unary::Square, deviation).unwrap();
        let variance = mean(graph, square);
        let scale = graph.unary(Unary::Rsqrt, variance).unwrap();
        let scale = graph.broadcast(scale, &axes, &dims).unwrap();
        graph.binary(Binary::Mul, deviation, scale).unwrap()
    }

    #[test]
    fn the_derivative_of_a_normalisation_needs_two_sums_more() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4, 3, 5], DType::F64);
        let y = standardised(&mut graph, x);
        let c = graph.input("c", &[4, 3, 5], DType::F64);
        let d = vjp(&mut graph, &[(y, c)], &[x]).unwrap()[0];
        graph.output("d", d);
        let simple = simplify(&graph);
        let sums = simple.nodes().filter(|(_, node)| matches!(node.op, Op::Reduce { .. })).count();
        // Mean, variance, Σ c and Σ c (x − mean).
        assert_eq!(sums, 4, "{simple}");
        let values = [1.0, 2.0].map(|step| (0..60).map(|i| (f64::from(i) * step).sin()).collect::<Vec<_>>());
        let (before, after) = (interpret(&graph, &[], &values).unwrap(), interpret(&simple, &[], &values).unwrap());
        for (before, after) in before.outputs[0].iter().zip(&after.outputs[0]) {
            assert!((before - after).abs() < 1e-13, "{before} and {after}");
        }
    }
}
