//! What a well-formed graph is: every rule, in one readable place. Passes are checked against it.

use super::kind::Kind;
use crate::graph::{DType, Graph, Node, NodeId, Op};
use crate::{Error, Result};
use ansatz_shapes as shapes;

/// Whether the graph is well-formed.
///
/// # Errors
/// If a node, an output or an update breaks a rule; the error names it and the rule.
pub fn verify(graph: &Graph) -> Result<()> {
    for (id, node) in graph.nodes() {
        node_rules(graph, id, node)
            .map_err(|problem| Error::shape("graph", format!("node %{} ({}) {problem}", id.0, name(&node.op))))?;
    }
    let whole = |id: NodeId| graph.nodes.get(id.index()).is_some_and(|node| matches!(node.op.kind(), Kind::Loop(_)));
    let ends = graph.outputs().iter().map(|(_, id)| *id).chain(graph.states().iter().filter_map(|slot| slot.update));
    if let Some(id) = ends.into_iter().find(|&id| whole(id)) {
        return Err(Error::shape(
            "graph",
            format!("%{} is given whole, and only the parts of a loop are values", id.0),
        ));
    }
    for (name, id) in graph.outputs() {
        if id.index() >= graph.nodes.len() {
            return Err(Error::shape("graph", format!("output `{name}` is %{}, which does not exist", id.0)));
        }
    }
    for slot in graph.states() {
        let Some(id) = slot.update else { continue };
        match graph.nodes.get(id.index()) {
            Some(node) if node.dims == slot.dims && node.dtype == slot.dtype => {}
            Some(node) => {
                return Err(Error::shape(
                    "graph",
                    format!(
                        "state `{}` is {:?}{:?} and is updated by %{}, which is {:?}{:?}",
                        slot.key, slot.dtype, slot.dims, id.0, node.dtype, node.dims
                    ),
                ));
            }
            None => {
                return Err(Error::shape(
                    "graph",
                    format!("state `{}` is updated by %{}, which does not exist", slot.key, id.0),
                ));
            }
        }
    }
    Ok(())
}

fn name(op: &Op) -> String {
    match op {
        Op::Loop(nest) => format!("Loop {}", nest.count),
        op => format!("{op:?}"),
    }
}

/// The rules of one node: order, number of operands, then shape and element type as the op gives them.
fn node_rules(graph: &Graph, id: NodeId, node: &Node) -> Result<(), String> {
    if let Some(late) = node.inputs.iter().find(|input| **input >= id) {
        return Err(format!("uses %{}, which does not stand before it", late.0));
    }
    let (arity, found) = (node.op.with(|rule| rule.arity()), node.inputs.len());
    match arity {
        Some(expected) if expected != found => return Err(format!("takes {expected} operands and has {found}")),
        None if found == 0 => return Err("takes at least one operand and has none".into()),
        _ => {}
    }
    let whole = |id: &&NodeId| matches!(graph[**id].op.kind(), Kind::Loop(_));
    if let (Some(id), false) = (node.inputs.iter().find(whole), matches!(node.op.kind(), Kind::Part(_))) {
        return Err(format!("uses %{} whole, and only the parts of a loop are values", id.0));
    }
    let (dims, dtype) = node.op.with(|rule| rule.result(graph, node))?;
    expect(node, &dims, dtype)
}

/// The i-th operand of a node.
pub(super) fn operand<'g>(graph: &'g Graph, node: &Node, i: usize) -> &'g Node {
    &graph[node.inputs[i]]
}

pub(super) fn expect(node: &Node, dims: &[usize], dtype: DType) -> Result<(), String> {
    if node.dims == dims && node.dtype == dtype {
        Ok(())
    } else {
        Err(format!("needs {dtype:?}{dims:?} where {:?}{:?} stands", node.dtype, node.dims))
    }
}

pub(super) fn like(node: &Node, other: &Node) -> Result<(), String> {
    expect(node, &other.dims, other.dtype)
}

pub(super) fn float(node: &Node) -> Result<(), String> {
    if node.dtype.is_float() { Ok(()) } else { Err(format!("needs real numbers where {:?} stands", node.dtype)) }
}

pub(super) fn within(axis: usize, dims: &[usize]) -> Result<(), String> {
    if axis < dims.len() { Ok(()) } else { Err(format!("names axis {axis} of {dims:?}")) }
}

pub(super) fn ascending(axes: &[usize]) -> Result<(), String> {
    if axes.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(format!("names its axes as {axes:?}, not ascending")) }
}

pub(super) fn fit(dims: shapes::Fit<Vec<usize>, usize>) -> Result<Vec<usize>, String> {
    dims.map_err(|misfit| match misfit {
        shapes::Misfit::Size { operand, axis, expected, found } => {
            format!("needs {expected} and finds {found} on axis {axis} of operand {operand}")
        }
        shapes::Misfit::Rank { operand, expected, found } => {
            format!("needs {expected} axes and finds {found} on operand {operand}")
        }
        shapes::Misfit::Axis { axis, rank } => {
            format!("names axis {axis} of {rank}, which does not exist or is named twice")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{StateKind, Unary};

    fn broken(change: impl FnOnce(&mut Graph)) -> String {
        let mut graph = Graph::new();
        let w = graph.state("w", StateKind::Parameter, &[2, 3], DType::F32).unwrap();
        let x = graph.input("x", &[2, 3], DType::F32);
        let y = graph.unary(Unary::Exp, x).unwrap();
        let z = graph.sum(y, &[1]).unwrap();
        graph.output("z", z);
        graph.update(w, y).unwrap();
        verify(&graph).unwrap();
        change(&mut graph);
        verify(&graph).unwrap_err().to_string()
    }

    #[test]
    fn ends_that_no_machine_counts_are_refused() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 3], DType::F32);
        assert!(graph.slice(x, 0, usize::MAX, 2).is_err());
        assert!(graph.pad(x, 0, usize::MAX - 1, usize::MAX).is_err());
        for op in [Op::Slice { axis: 0, start: usize::MAX }, Op::Pad { axis: 0, start: usize::MAX }] {
            broken(|graph| graph.nodes[2].op = op);
        }
    }

    #[test]
    fn errors_name_the_node_and_the_rule() {
        for (message, expected) in [
            (broken(|g| g.nodes[2].inputs[0] = NodeId(3)), "%2 (Unary(Exp)) uses %3, which does not stand before it"),
            (broken(|g| g.nodes[2].inputs.clear()), "%2 (Unary(Exp)) takes 1 operands and has 0"),
            (broken(|g| g.nodes[2].dims[0] = 5), "%2 (Unary(Exp)) needs F32[2, 3] where F32[5, 3] stands"),
            (broken(|g| g.nodes[1].op = Op::Input(4)), "%1 (Input(4)) reads an input that does not exist"),
            (broken(|g| g.nodes[1].dtype = DType::Index), "needs F32[2, 3] where Index[2, 3] stands"),
            (broken(|g| g.outputs[0].1 = NodeId(9)), "output `z` is %9, which does not exist"),
            (
                broken(|g| g.states[0].update = Some(NodeId(3))),
                "state `w` is F32[2, 3] and is updated by %3, which is F32[2]",
            ),
        ] {
            assert!(message.ends_with(expected), "{message}");
        }
    }
}
