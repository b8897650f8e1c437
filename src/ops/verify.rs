//! What a well-formed graph is: every rule, in one readable place. Passes are checked against it.

use crate::graph::{DType, Graph, Node, NodeId, Op, ReduceOp};
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
    let whole = |id: NodeId| matches!(graph.nodes.get(id.index()), Some(Node { op: Op::Loop(_), .. }));
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
    let arity = match node.op {
        Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::Iota { .. } => Some(0),
        Op::Random { .. } | Op::Unary(_) | Op::Cast | Op::StopGradient | Op::Reduce { .. } | Op::ArgMax { .. } => {
            Some(1)
        }
        Op::Broadcast { .. } | Op::Reshape | Op::Permute { .. } | Op::Slice { .. } | Op::Pad { .. } => Some(1),
        Op::Part(_) => Some(1),
        Op::Pool { pool, .. } => Some(1 + usize::from(pool.takes_positions())),
        Op::Binary(_) | Op::Compare(_) | Op::MatMul { .. } | Op::FoldIn => Some(2),
        Op::Conv { .. } | Op::Gather | Op::ScatterAdd => Some(2),
        Op::Put | Op::Select => Some(3),
        Op::Concat { .. } => None,
        Op::Attention(op) => Some(op.operands()),
        Op::AttentionGradient(op) => Some(op.operands() + 3),
        // Its body says.
        Op::Loop(_) => Some(node.inputs.len()),
    };
    let found = node.inputs.len();
    match arity {
        Some(expected) if expected != found => return Err(format!("takes {expected} operands and has {found}")),
        None if found == 0 => return Err("takes at least one operand and has none".into()),
        _ => {}
    }
    let operand = |i: usize| &graph[node.inputs[i]];
    let whole = |id: &&NodeId| matches!(graph[**id].op, Op::Loop(_));
    if let (Some(id), false) = (node.inputs.iter().find(whole), matches!(node.op, Op::Part(_))) {
        return Err(format!("uses %{} whole, and only the parts of a loop are values", id.0));
    }
    let (dims, dtype) = (&node.dims, node.dtype);
    match &node.op {
        Op::Input(i) => {
            let slot = graph.inputs().get(*i).ok_or("reads an input that does not exist")?;
            expect(node, &slot.dims, slot.dtype)
        }
        Op::State(i) => {
            let slot = graph.states().get(*i).ok_or("reads a state that does not exist")?;
            expect(node, &slot.dims, slot.dtype)
        }
        Op::Constant(value) => match dtype {
            DType::F32 | DType::F64 => Ok(()),
            DType::Index if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(value) => Ok(()),
            DType::Bool if *value == 0.0 || *value == 1.0 => Ok(()),
            DType::Index | DType::Bool => Err(format!("holds {value}, which is no {dtype:?}")),
        },
        Op::Iota { axis } => {
            within(*axis, dims)?;
            expect(node, dims, DType::Index)
        }
        Op::Random { .. } => {
            let key = operand(0);
            if key.dims != [4] || key.dtype != DType::Index {
                return Err(format!("takes a key of four indices, not {:?}{:?}", key.dtype, key.dims));
            }
            float(node)
        }
        Op::Unary(_) => {
            float(operand(0))?;
            like(node, operand(0))
        }
        Op::Binary(_) => {
            float(operand(0))?;
            like(operand(1), operand(0))?;
            like(node, operand(0))
        }
        Op::Compare(_) => {
            like(operand(1), operand(0))?;
            expect(node, &operand(0).dims, DType::Bool)
        }
        Op::Select => {
            expect(operand(0), dims, DType::Bool)?;
            like(operand(1), node)?;
            like(operand(2), node)
        }
        Op::Cast => expect(node, &operand(0).dims, dtype),
        Op::StopGradient => like(node, operand(0)),
        Op::Reduce { op, axes } => {
            float(operand(0))?;
            ascending(axes)?;
            if *op != ReduceOp::Sum && axes.iter().any(|&axis| operand(0).dims.get(axis) == Some(&0)) {
                return Err("takes an extreme of no elements".into());
            }
            expect(node, &fit(shapes::reduce(&operand(0).dims, axes))?, operand(0).dtype)
        }
        Op::ArgMax { axis } => {
            float(operand(0))?;
            within(*axis, &operand(0).dims)?;
            if operand(0).dims[*axis] == 0 {
                return Err("seeks the greatest of no elements".into());
            }
            expect(node, &fit(shapes::reduce(&operand(0).dims, &[*axis]))?, DType::Index)
        }
        Op::Broadcast { axes } => {
            ascending(axes)?;
            expect(operand(0), &fit(shapes::reduce(dims, axes))?, dtype)
        }
        Op::Reshape if operand(0).len() != node.len() => {
            Err(format!("changes the number of elements from {} to {}", operand(0).len(), node.len()))
        }
        Op::Reshape => expect(operand(0), &operand(0).dims, dtype),
        Op::Permute { order } => expect(node, &fit(shapes::permute(&operand(0).dims, order))?, operand(0).dtype),
        Op::Slice { axis, start } => part(node, operand(0), *axis, *start),
        Op::Pad { axis, start } => part(operand(0), node, *axis, *start),
        Op::Concat { axis } => {
            let operands: Vec<&[usize]> = node.inputs.iter().map(|&input| &*graph[input].dims).collect();
            if node.inputs.iter().any(|&input| graph[input].dtype != dtype) {
                return Err("joins different element types".into());
            }
            expect(node, &fit(shapes::concat(&operands, *axis))?, dtype)
        }
        Op::MatMul { transpose_left, transpose_right } => {
            float(node)?;
            let (a, b) = (operand(0), operand(1));
            if a.dtype != b.dtype {
                return Err(format!("multiplies {:?} by {:?}", a.dtype, b.dtype));
            }
            expect(node, &fit(shapes::matmul(&a.dims, &b.dims, [*transpose_left, *transpose_right]))?, a.dtype)
        }
        Op::Gather => {
            expect(operand(1), &operand(1).dims, DType::Index)?;
            expect(node, &fit(shapes::gather(&operand(0).dims, &operand(1).dims))?, operand(0).dtype)
        }
        Op::ScatterAdd => {
            float(operand(0))?;
            expect(operand(1), &operand(1).dims, DType::Index)?;
            let rows = dims.first().ok_or("gives a table, which has rows")?;
            expect(node, &fit(shapes::scatter(rows, &operand(0).dims, &operand(1).dims))?, operand(0).dtype)
        }
        Op::Put => {
            expect(operand(1), &operand(1).dims, DType::Index)?;
            expect(operand(2), &fit(shapes::gather(&operand(0).dims, &operand(1).dims))?, operand(0).dtype)?;
            like(node, operand(0))
        }
        Op::Pool { pool, window } => {
            let operands: Vec<_> = node.inputs.iter().map(|&x| (&*graph[x].dims, graph[x].dtype)).collect();
            let (dims, dtype) = crate::graph::pooled(*pool, *window, &operands)?;
            expect(node, &dims, dtype)
        }
        Op::Conv { pass, conv } => {
            let operands = [operand(0), operand(1)].map(|x| (&*x.dims, x.dtype));
            expect(node, &crate::graph::convolved(*pass, *conv, operands)?, operand(0).dtype)
        }
        Op::Attention(op) | Op::AttentionGradient(op) => super::attention::verify(graph, node, op),
        Op::FoldIn => {
            expect(operand(0), &[4], DType::Index)?;
            expect(operand(1), &[], DType::Index)?;
            expect(node, &[4], DType::Index)
        }
        Op::Loop(nest) => super::nest::verify(graph, node, nest),
        Op::Part(i) => {
            let Op::Loop(nest) = &operand(0).op else { return Err("is a part of what is no loop".into()) };
            let results = nest.results();
            let (dims, dtype) = results.get(*i).ok_or("is a result that the loop does not have")?;
            expect(node, dims, *dtype)
        }
    }
}

fn expect(node: &Node, dims: &[usize], dtype: DType) -> Result<(), String> {
    if node.dims == dims && node.dtype == dtype {
        Ok(())
    } else {
        Err(format!("needs {dtype:?}{dims:?} where {:?}{:?} stands", node.dtype, node.dims))
    }
}

fn like(node: &Node, other: &Node) -> Result<(), String> {
    expect(node, &other.dims, other.dtype)
}

fn float(node: &Node) -> Result<(), String> {
    if node.dtype.is_float() { Ok(()) } else { Err(format!("needs real numbers where {:?} stands", node.dtype)) }
}

fn within(axis: usize, dims: &[usize]) -> Result<(), String> {
    if axis < dims.len() { Ok(()) } else { Err(format!("names axis {axis} of {dims:?}")) }
}

fn ascending(axes: &[usize]) -> Result<(), String> {
    if axes.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(format!("names its axes as {axes:?}, not ascending")) }
}

/// `part` is what begins at `start` of `axis` of `whole`; all other axes agree.
fn part(part: &Node, whole: &Node, axis: usize, start: usize) -> Result<(), String> {
    within(axis, &whole.dims)?;
    let mut dims = whole.dims.clone();
    if let Some(&len) = part.dims.get(axis) {
        dims[axis] = len;
    }
    expect(part, &dims, whole.dtype)?;
    if start + dims[axis] > whole.dims[axis] {
        return Err(format!("reaches from {start} to {} of an axis of {}", start + dims[axis], whole.dims[axis]));
    }
    Ok(())
}

fn fit(dims: shapes::Fit<Vec<usize>, usize>) -> Result<Vec<usize>, String> {
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
