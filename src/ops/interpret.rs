//! The meaning of a graph: plain loops in f64, node after node. Every backend is judged against it.

use super::{attention, conv, elementwise, leaf, logic, lookup, matmul, nest, pool, reduce, structure, verify};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::{Error, Result};

/// What a graph computes from given states and inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Interpretation {
    /// The elements of every node, row-major, by [`NodeId`] in order; of a loop, of all its results in order.
    pub values: Vec<Vec<f64>>,
    /// The elements of every output, in order.
    pub outputs: Vec<Vec<f64>>,
    /// The state after the run, in the order of the slots.
    pub states: Vec<Vec<f64>>,
}

impl Interpretation {
    /// The elements of a node, row-major.
    pub fn value(&self, node: NodeId) -> &[f64] {
        &self.values[node.index()]
    }
}

/// Evaluates every node in f64, whatever its element type; truth values are 0 and 1.
///
/// # Errors
/// If the graph is not well-formed ([`verify`](super::verify)), a state or input has not the length of its shape, or an
/// index is beyond its table.
pub fn interpret(graph: &Graph, states: &[Vec<f64>], inputs: &[Vec<f64>]) -> Result<Interpretation> {
    verify(graph)?;
    expect_lengths("states", states, graph.states().iter().map(|slot| (&slot.key, &slot.dims)))?;
    expect_lengths("inputs", inputs, graph.inputs().iter().map(|slot| (&slot.name, &slot.dims)))?;
    let values = values(graph, states, inputs)?;
    let outputs = graph.outputs().iter().map(|(_, id)| values[id.index()].clone()).collect();
    let after = graph.states().iter().zip(states).map(|(slot, before)| match slot.update {
        Some(id) => values[id.index()].clone(),
        None => before.clone(),
    });
    let states = after.collect();
    Ok(Interpretation { values, outputs, states })
}

/// The elements of every node of a verified graph.
///
/// # Errors
/// If an index is beyond its table.
pub(super) fn values(graph: &Graph, states: &[Vec<f64>], inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let mut values: Vec<Vec<f64>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let value = match node.op {
            Op::Input(i) => inputs[i].clone(),
            Op::State(i) => states[i].clone(),
            _ => {
                let operands: Vec<&[f64]> = node.inputs.iter().map(|id| &*values[id.index()]).collect();
                evaluate(graph, node, &operands)?
            }
        };
        values.push(value);
    }
    Ok(values)
}

/// The elements of one node of a verified graph, from those of its operands.
///
/// # Errors
/// If an index is beyond its table.
///
/// # Panics
/// If the node is an input or a state, which have no meaning without a run.
pub(crate) fn evaluate(graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
    let len = node.len();
    let from = |i: usize| &*graph[node.inputs[i]].dims;
    Ok(match &node.op {
        Op::Input(_) | Op::State(_) => unreachable!("the value of an input or a state is given, not computed"),
        Op::Constant(value) => leaf::constant(*value, len, node.dtype),
        Op::Iota { axis } => leaf::iota(&node.dims, *axis),
        Op::Random { distribution, path } => leaf::random(*distribution, *path, operands[0], len),
        Op::Unary(op) => operands[0].iter().map(|&x| (elementwise::unary(*op).formula)(x)).collect(),
        Op::Binary(op) => {
            let formula = elementwise::binary(*op).formula;
            operands[0].iter().zip(operands[1]).map(|(&a, &b)| formula(a, b)).collect()
        }
        Op::Compare(op) => {
            let holds = elementwise::comparison(*op);
            operands[0].iter().zip(operands[1]).map(|(&a, &b)| f64::from(holds(a, b))).collect()
        }
        Op::Select => (0..len).map(|i| operands[if operands[0][i] != 0.0 { 1 } else { 2 }][i]).collect(),
        Op::Cast => operands[0].iter().map(|&x| logic::converted(x, node.dtype)).collect(),
        Op::Reduce { op, axes } => reduce::reduce(*op, operands[0], from(0), axes, len),
        Op::ArgMax { axis } => reduce::argmax(operands[0], from(0), *axis, len),
        Op::Broadcast { axes } => structure::broadcast(operands[0], &node.dims, axes),
        Op::Reshape | Op::StopGradient => operands[0].to_vec(),
        Op::Permute { order } => structure::permute(operands[0], from(0), order),
        Op::Slice { axis, start } => structure::slice(operands[0], from(0), &node.dims, *axis, *start),
        Op::Pad { axis, start } => structure::pad(operands[0], from(0), &node.dims, *axis, *start),
        Op::Concat { axis } => {
            let parts: Vec<_> = operands.iter().enumerate().map(|(i, &x)| (x, from(i))).collect();
            structure::concat(&parts, &node.dims, *axis)
        }
        Op::MatMul { transpose_left, transpose_right } => {
            let rank = node.dims.len();
            let inner = from(0)[if *transpose_left { rank - 2 } else { rank - 1 }];
            matmul::matmul(operands[0], operands[1], &node.dims, inner, [*transpose_left, *transpose_right])
        }
        Op::Gather => lookup::gather(operands[0], from(0), operands[1])?,
        Op::ScatterAdd => lookup::scatter_add(operands[0], operands[1], &node.dims)?,
        Op::Put => lookup::put(operands[0], &node.dims, operands[1], operands[2])?,
        Op::Pool { pool, window } => pool::pool(*pool, *window, operands, len),
        Op::Conv { pass, conv } => conv::conv(*pass, *conv, [from(0), from(1)], operands, &node.dims),
        Op::Attention(op) => attention::attention(op, attention::sizes(graph, &node.inputs), operands),
        Op::AttentionGradient(op) => attention::gradient(op, attention::sizes(graph, &node.inputs), operands),
        Op::FoldIn => nest::fold_in(operands[0], operands[1]),
        Op::Loop(nest) => nest::repeat(nest, operands)?,
        Op::Part(i) => match &graph[node.inputs[0]].op {
            Op::Loop(nest) => nest::part(nest, *i, operands[0]),
            _ => unreachable!("only a loop has parts in a verified graph"),
        },
    })
}

fn expect_lengths<'a>(
    what: &str,
    given: &[Vec<f64>],
    slots: impl ExactSizeIterator<Item = (&'a String, &'a Vec<usize>)>,
) -> Result<()> {
    if given.len() != slots.len() {
        return Err(Error::value(format!("the graph has {} {what} and is given {}", slots.len(), given.len())));
    }
    for (values, (name, dims)) in given.iter().zip(slots) {
        let expected: usize = dims.iter().product();
        if values.len() != expected {
            return Err(Error::value(format!(
                "`{name}` of shape {dims:?} takes {expected} elements and is given {}",
                values.len()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Binary, DType, StateKind};

    #[test]
    fn a_step_reads_the_old_state_and_gives_the_new() {
        let mut graph = Graph::new();
        let weight = graph.state("w", StateKind::Parameter, &[2], DType::F32).unwrap();
        let x = graph.input("x", &[2], DType::F32);
        let moved = graph.binary(Binary::Sub, weight, x).unwrap();
        graph.update(weight, moved).unwrap();
        graph.output("before", weight);
        let result = interpret(&graph, &[vec![1.0, 2.0]], &[vec![0.5, 0.5]]).unwrap();
        assert_eq!(result.outputs, [[1.0, 2.0]]);
        assert_eq!(result.states, [[0.5, 1.5]]);
        assert_eq!(result.value(moved), [0.5, 1.5]);
    }

    #[test]
    fn wrong_lengths_are_named() {
        let mut graph = Graph::new();
        graph.input("x", &[2, 3], DType::F32);
        let error = interpret(&graph, &[], &[vec![0.0; 5]]).unwrap_err().to_string();
        assert_eq!(error, "`x` of shape [2, 3] takes 6 elements and is given 5");
    }
}
