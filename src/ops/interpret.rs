//! The meaning of a graph: plain loops in f64, node after node. Every backend is judged against it.

use super::verify;
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
    node.op.with(|rule| rule.value(graph, node, operands))
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
