//! Simplification of a graph: dead code goes, loops lose what nobody uses, and each node is what its op's rule says is simpler.
//!
//! Outputs and updates keep their values up to rounding. Rules that would hide a NaN (`x * 0`, `x − x`) are left out;
//! only the sum of deviations from the mean counts as zero whatever the terms.

mod nest;

use crate::graph::{Graph, NodeId};
use crate::ops::{Kind, Rewriter};

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
    let nested = graph.nodes().any(|(_, node)| matches!(node.op.kind(), Kind::Loop(_)));
    let outer = nested.then(|| nest::loops(graph));
    let graph = outer.as_ref().unwrap_or(graph);
    let live = live(graph);
    let mut rewriter = Rewriter::new(graph);
    let mut renamed: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    let name = |renamed: &[Option<NodeId>], id: NodeId| renamed[id.index()].expect("operands stand before their users");
    for (id, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
        let inputs = node.inputs.iter().map(|&x| name(&renamed, x)).collect();
        renamed[id.index()] = Some(rewriter.make(node.op.clone(), inputs, &node.dims, node.dtype));
    }
    let mut graph_out = rewriter.finish();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Binary, DType, Op, Unary};

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
