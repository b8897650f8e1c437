//! A differentiable op of another crate: in graphs and programs, differentiated, checked, and read piece by piece.

use ansatz::check::{Domain, Input, Settings, derivative};
use ansatz::grad::grad;
use ansatz::graph::{Binary, Custom, DType, Function, Graph, NodeId, Values};
use ansatz::ops::{interpret, verify};
use ansatz::{Error, Result};

/// Running means over the last axis: y_i = (x_1 + … + x_i) / i, or from the end.
#[derive(Debug)]
struct RunningMean {
    backward: bool,
}

impl Function for RunningMean {
    fn value(&self, operands: &[Values<'_>]) -> Vec<f64> {
        let Values { dims, elements } = operands[0];
        let len = dims[dims.len() - 1];
        let mut y = Vec::with_capacity(elements.len());
        for row in elements.chunks(len) {
            if self.backward {
                // The transpose: x̄_i = ȳ_i / i + ȳ_(i+1) / (i + 1) + …
                let mut sums: Vec<f64> = Vec::new();
                for (i, y) in row.iter().enumerate().rev() {
                    sums.push(y / (i + 1) as f64 + sums.last().copied().unwrap_or(0.0));
                }
                y.extend(sums.into_iter().rev());
            } else {
                let mut sum = 0.0;
                y.extend(row.iter().enumerate().map(|(i, x)| {
                    sum += x;
                    sum / (i + 1) as f64
                }));
            }
        }
        y
    }
}

impl Custom for RunningMean {
    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        match operands {
            [dims] if dims.last().is_some_and(|&len| len > 0) => Ok(dims.to_vec()),
            _ => Err(format!("takes one tensor with a last axis, not {operands:?}")),
        }
    }

    fn vjp(&self, graph: &mut Graph, _: &[NodeId], _: NodeId, c: NodeId) -> Result<Vec<Option<NodeId>>> {
        Ok(vec![Some(graph.custom(RunningMean { backward: !self.backward }, &[c])?)])
    }

    fn axes(&self, operands: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
        let last = operands[0].len() - 1;
        vec![(0..=last).map(|axis| (axis < last).then_some(axis)).collect()]
    }
}

/// Σ y², with y the running means of x `[2, 3]`.
fn energy() -> (Graph, NodeId, NodeId) {
    let mut graph = Graph::new();
    let x = graph.input("x", &[2, 3], DType::F64);
    let y = graph.custom(RunningMean { backward: false }, &[x]).unwrap();
    let square = graph.binary(Binary::Mul, y, y).unwrap();
    let total = graph.sum(square, &[0, 1]).unwrap();
    (graph, x, total)
}

#[test]
fn values_and_derivatives_of_any_order() {
    let (mut graph, x, total) = energy();
    let first = grad(&mut graph, total, &[x]).unwrap()[0];
    let square = graph.binary(Binary::Mul, first, first).unwrap();
    let norm = graph.sum(square, &[0, 1]).unwrap();
    let second = grad(&mut graph, norm, &[x]).unwrap()[0];
    for (name, node) in [("first", first), ("norm", norm), ("second", second)] {
        graph.output(name, node);
    }
    verify(&graph).unwrap();
    let of = |x: &[f64]| interpret(&graph, &[], &[x.to_vec()]).unwrap().outputs;
    let settings = Settings::default();
    let input = [Input::new("x", 6..=6, Domain::reals(-2.0, 2.0))];
    let scaled = |c: f64, d: &[f64]| vec![d.iter().map(|d| c * d).collect::<Vec<f64>>()];
    let energy = |x: &[Vec<f64>]| {
        let (mut graph, _, total) = energy();
        graph.output("total", total);
        Ok(interpret(&graph, &[], x)?.outputs.remove(0))
    };
    derivative(&input, energy, |x, c| Ok(scaled(c[0], &of(&x[0])[0])), &settings).unwrap();
    derivative(&input, |x| Ok(of(&x[0])[1].clone()), |x, c| Ok(scaled(c[0], &of(&x[0])[2])), &settings).unwrap();
}

#[test]
fn what_it_refuses_is_said() {
    let mut graph = Graph::new();
    let scalar = graph.input("x", &[], DType::F32);
    let error = graph.custom(RunningMean { backward: false }, &[scalar]).unwrap_err();
    let Error::Shape { .. } = error else { panic!("{error:?}") };
    assert_eq!(
        error.to_string(),
        "a custom op: RunningMean { backward: false } takes one tensor with a last axis, not [[]]"
    );
}
