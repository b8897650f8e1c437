//! Every op's own cases: first and second derivatives against finite differences of the interpreter.

use super::{Domain, Input, Settings, derivative};
use crate::graph::{DType, Graph, NodeId, Op};
use crate::ops::{Case, cases, interpret};
use crate::{Result, grad};

/// A case whose result is the derivative of another's: a cotangent is added to the inputs for each output, and the
/// outputs become the vector-Jacobian products with respect to each real input.
fn differentiated(case: &Case) -> Case {
    let mut case = case.clone();
    let graph = &mut case.graph;
    let wrt = real_inputs(graph);
    let outputs: Vec<NodeId> = graph.outputs().iter().map(|(_, id)| *id).collect();
    let mut pairs = Vec::new();
    for y in outputs {
        let (dims, dtype) = (graph[y].dims.clone(), graph[y].dtype);
        pairs.push((y, graph.input("cotangent", &dims, dtype)));
        case.domains.push(Domain::reals(-1.0, 1.0));
    }
    let derivatives = grad::vjp(graph, &pairs, &wrt).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    graph.outputs.clear();
    for (i, d) in derivatives.into_iter().enumerate() {
        graph.output(format!("d{i}"), d);
    }
    case
}

fn real_inputs(graph: &Graph) -> Vec<NodeId> {
    let real = graph.nodes().filter(|(_, node)| matches!(node.op, Op::Input(_)) && node.dtype.is_float());
    real.map(|(id, _)| id).collect()
}

/// Compares the derivative of a case's outputs with finite differences.
fn check(case: &Case, settings: &Settings) {
    let inputs: Vec<Input> = (case.graph.inputs().iter().zip(&case.domains))
        .map(|(slot, &domain)| {
            let len = slot.dims.iter().product();
            Input::new(slot.name.clone(), len..=len, domain)
        })
        .collect();
    let vjp = differentiated(case);
    let lens: Vec<usize> = case.graph.outputs().iter().map(|(_, id)| case.graph[*id].len()).collect();
    let function = |x: &[Vec<f64>]| Ok(interpret(&case.graph, &case.states, x)?.outputs.concat());
    let derivative_of = |x: &[Vec<f64>], c: &[f64]| -> Result<Vec<Vec<f64>>> {
        let mut all = x.to_vec();
        let mut start = 0;
        for len in &lens {
            all.push(c[start..start + len].to_vec());
            start += len;
        }
        let mut found = interpret(&vjp.graph, &vjp.states, &all)?.outputs.into_iter();
        let slots = case.graph.inputs().iter();
        Ok(slots.map(|slot| if slot.dtype.is_float() { found.next().unwrap_or_default() } else { vec![] }).collect())
    };
    if let Err(failure) = derivative(&inputs, function, derivative_of, settings) {
        panic!("{}: {failure}\n{}", case.name, vjp.graph);
    }
}

fn differentiable() -> impl Iterator<Item = Case> {
    let all = cases(DType::F64).expect("f64 is a real type").into_iter();
    // A cast to f32 is rounded by no one here: the interpreter computes in f64 throughout.
    all.filter(|case| case.graph.outputs().iter().all(|(_, y)| case.graph[*y].dtype.is_float()))
}

#[test]
fn first_derivatives_of_every_op() {
    let settings = Settings { cases: 16, ..Settings::default() };
    let count = differentiable().map(|case| check(&case, &settings)).count();
    assert!(count > 60, "only {count} cases have derivatives");
}

#[test]
fn second_derivatives_of_every_op() {
    let settings = Settings { cases: 8, ..Settings::default() };
    differentiable().map(|case| differentiated(&case)).for_each(|case| check(&case, &settings));
}
