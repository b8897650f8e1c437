//! Simplification of a graph: dead code, common subexpressions, constants, algebra.
//!
//! Outputs and updates keep their values up to rounding. Rules that would hide a NaN (`x * 0`, `x − x`) are left out;
//! only the sum of deviations from the mean counts as zero whatever the terms.

mod attention;
mod elementwise;
mod nest;
mod structure;
mod sums;

use crate::graph::{DType, Graph, Node, NodeId, Op};
use crate::ops::Kind;
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

/// An equal graph with fewer and cheaper nodes. Slots of inputs and state stay as they are.
pub fn simplify(graph: &Graph) -> Graph {
    let mut current = rewrite(graph);
    // One walk nearly always suffices, because each node is rewritten over operands that are already simple.
    for _ in 0..8 {
        let next = rewrite(&current);
        if next == current {
            break;
        }
        current = next;
    }
    current
}

fn rewrite(graph: &Graph) -> Graph {
    let nested = graph.nodes().any(|(_, node)| matches!(node.op, Op::Loop(_)));
    let outer = nested.then(|| nest::loops(graph));
    let graph = outer.as_ref().unwrap_or(graph);
    let live = live(graph);
    let mut rewriter = Rewriter::default();
    rewriter.graph.inputs = graph.inputs.clone();
    rewriter.graph.states = graph.states.clone();
    let mut renamed: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    let name = |renamed: &[Option<NodeId>], id: NodeId| renamed[id.index()].expect("operands stand before their users");
    for (id, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
        let inputs = node.inputs.iter().map(|&x| name(&renamed, x)).collect();
        renamed[id.index()] = Some(rewriter.make(node.op.clone(), inputs, &node.dims, node.dtype));
    }
    let mut graph_out = rewriter.graph;
    for slot in &mut graph_out.states {
        slot.update = slot.update.map(|value| name(&renamed, value));
    }
    graph_out.outputs = graph.outputs.iter().map(|(label, value)| (label.clone(), name(&renamed, *value))).collect();
    graph_out
}

/// Which nodes an output or an update needs.
fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    for id in graph.outputs.iter().map(|(_, id)| *id).chain(graph.states.iter().filter_map(|slot| slot.update)) {
        live[id.index()] = true;
    }
    for (id, node) in graph.nodes().rev() {
        if live[id.index()] {
            for input in &node.inputs {
                live[input.index()] = true;
            }
        }
    }
    live
}

/// What two equal nodes have in common, and may have with others that differ in their op's attributes.
type Identity = (Discriminant<Op>, Vec<NodeId>, Vec<usize>, DType);

/// Whether two ops compute the same. Numbers are told apart by their bits: 0 and −0 are two, NaN is one.
fn same(a: &Op, b: &Op) -> bool {
    if let (Op::Constant(a), Op::Constant(b)) = (a, b) {
        return a.to_bits() == b.to_bits();
    }
    a == b
}

/// Builds the new graph: each node is looked at by the rules of its op before it is appended.
#[derive(Default)]
struct Rewriter {
    graph: Graph,
    known: HashMap<Identity, Vec<NodeId>>,
}

impl Rewriter {
    /// A node equal to the one described.
    fn make(&mut self, op: Op, inputs: Vec<NodeId>, dims: &[usize], dtype: DType) -> NodeId {
        let given = matches!(op.kind(), Kind::Stored | Kind::Loop);
        if !given && dims.contains(&0) {
            return self.append(Op::Constant(0.0), vec![], dims, dtype);
        }
        let simpler = match &op {
            Op::Unary(f) => self.unary(*f, inputs[0], dims, dtype),
            Op::Binary(f) => self.binary(*f, inputs[0], inputs[1], dims, dtype),
            Op::Compare(f) => self.compare(*f, inputs[0], inputs[1], dims),
            Op::Select => self.select(&inputs, dims, dtype),
            Op::StopGradient => Some(inputs[0]),
            Op::Cast => self.cast(inputs[0], dims, dtype),
            Op::Reduce { op, axes } => self.reduce(*op, axes, inputs[0], dims, dtype),
            Op::ArgMax { axis } => self.argmax(*axis, inputs[0], dims),
            Op::Broadcast { axes } => self.broadcast(axes, inputs[0], dims, dtype),
            Op::Reshape => self.reshape(inputs[0], dims, dtype),
            Op::Permute { order } => self.permute(order, inputs[0], dims, dtype),
            Op::Slice { axis, start } => self.slice(*axis, *start, inputs[0], dims, dtype),
            Op::Pad { axis, start } => self.pad(*axis, *start, inputs[0], dims, dtype),
            Op::Concat { axis } => self.concat(*axis, &inputs, dims, dtype),
            Op::MatMul { transpose_left, transpose_right } => {
                self.matmul([*transpose_left, *transpose_right], &inputs, dims, dtype)
            }
            Op::Iota { axis } => (dims[*axis] == 1).then(|| self.constant(0.0, dims, dtype)),
            Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::Random { .. } => None,
            Op::Gather => self.gather(inputs[0], inputs[1], dims, dtype),
            Op::ScatterAdd if self.node(inputs[1]).is_empty() => Some(self.constant(0.0, dims, dtype)),
            Op::Put if self.node(inputs[1]).is_empty() => Some(inputs[0]),
            Op::ScatterAdd | Op::Put => None,
            Op::Attention(_) | Op::AttentionGradient(_) => self.attention(&op, &inputs, dims, dtype),
            Op::Pool { .. } | Op::Conv { .. } | Op::FoldIn | Op::Loop(_) | Op::Part(_) | Op::Custom(_) => None,
        };
        simpler.unwrap_or_else(|| self.append(op, inputs, dims, dtype))
    }

    fn append(&mut self, op: Op, inputs: Vec<NodeId>, dims: &[usize], dtype: DType) -> NodeId {
        let graph = &mut self.graph;
        let known = self.known.entry((discriminant(&op), inputs, dims.to_vec(), dtype));
        let inputs = known.key().1.clone();
        let alike = known.or_default();
        alike.iter().copied().find(|&id| same(&graph[id].op, &op)).unwrap_or_else(|| {
            let id = graph.push(op, inputs, dims.to_vec(), dtype);
            alike.push(id);
            id
        })
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.graph[id]
    }

    fn constant(&mut self, value: f64, dims: &[usize], dtype: DType) -> NodeId {
        self.append(Op::Constant(value), vec![], dims, dtype)
    }

    /// The number that every element of the node is, if it is a constant.
    fn value(&self, id: NodeId) -> Option<f64> {
        if let Op::Constant(value) = self.node(id).op { Some(value) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Binary, Unary};

    #[test]
    fn equal_nodes_are_one_and_dead_nodes_go() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[3], DType::F32);
        let a = graph.unary(Unary::Exp, x).unwrap();
        let b = graph.unary(Unary::Exp, x).unwrap();
        graph.unary(Unary::Sin, x).unwrap();
        let sum = graph.binary(Binary::Mul, a, b).unwrap();
        graph.output("y", sum);
        let simple = simplify(&graph);
        assert_eq!(
            simple.to_string(),
            "%0 : F32[3] = Input(0)  # x\n%1 : F32[3] = Unary(Exp) %0\n%2 : F32[3] = Unary(Square) %1\noutput y = %2\n"
        );
    }

    #[test]
    fn the_sum_of_a_repeated_value_is_a_multiple() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[3], DType::F32);
        let wide = graph.broadcast(x, &[0], &[5, 3]).unwrap();
        let sum = graph.sum(wide, &[0]).unwrap();
        graph.output("y", sum);
        let simple = simplify(&graph);
        let Op::Binary(Binary::Mul) = simple[simple.outputs()[0].1].op else { panic!("{simple}") };
        assert_eq!(simple.nodes().count(), 3);
    }

    #[test]
    fn cotangents_of_the_parts_of_a_tensor_stand_side_by_side() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4, 6], DType::F32);
        let c = graph.input("c", &[4, 5], DType::F32);
        // Columns 0..2 and 3..6 are used.
        let parts = [graph.slice(x, 1, 3, 3).unwrap(), graph.slice(x, 1, 0, 2).unwrap()];
        let y = graph.concat(&parts, 1).unwrap();
        let d = crate::grad::vjp(&mut graph, &[(y, c)], &[x]).unwrap()[0];
        graph.output("d", d);
        let simple = simplify(&graph);
        let result = &simple[simple.outputs()[0].1];
        assert_eq!((&result.op, result.inputs.len()), (&Op::Concat { axis: 1 }, 3), "{simple}");
        assert!(!simple.nodes().any(|(_, node)| matches!(node.op, Op::Pad { .. } | Op::Binary(_))), "{simple}");
    }
}
