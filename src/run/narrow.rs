//! Programs that store numbers with sixteen bits.

use super::tests::{Tensor, mixed, set, values, with_derivatives};
use super::{Data, Device, Precision, Program, State};
use crate::compile::rounded::rounded;
use crate::compile::sample::sample;
use crate::compile::{LIMITS, compile};
use crate::graph::{DType, Graph};
use crate::kernel::limits::{ChainLimits, Limits};
use crate::ops::cases;
use proptest::prelude::*;

/// No tensor is large enough for a chain.
const UNCHAINED: Limits = Limits { chain: ChainLimits { large: usize::MAX, ..LIMITS.chain }, ..LIMITS };

/// What a program gives and leaves behind after so many runs.
pub(super) fn run(
    device: &Device,
    program: &Program,
    graph: &Graph,
    [inputs, states]: [&[Vec<f64>]; 2],
    runs: usize,
) -> Vec<Vec<f64>> {
    let mut state = State::on(device, graph.states()).expect("there is memory");
    for (slot, values) in states.iter().enumerate() {
        set(&mut state, slot, values);
    }
    let mut workspace = program.workspace(&state).expect("there is memory");
    let tensors: Vec<Tensor> = inputs.iter().zip(graph.inputs()).map(|(x, slot)| Tensor::new(x, slot.dtype)).collect();
    let data: Vec<Data<'_>> = tensors.iter().map(Tensor::data).collect();
    for _ in 0..runs {
        program.run(&mut state, &data, &mut workspace).unwrap_or_else(|problem| panic!("{problem}\n{program}"));
    }
    let outputs = (0..graph.outputs().len()).map(|i| program.output(&workspace, i).to_f64());
    outputs.chain((0..graph.states().len()).map(|slot| values(&state, slot))).collect()
}

/// Both are the same number, or both are none.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a == 0.0 && b == 0.0)
}

/// Whether a narrow program gives the same bits as one that rounds; how many numbers it rounds.
fn judged(graph: &Graph, inputs: &[Vec<f64>], states: &[Vec<f64>]) -> Result<usize, String> {
    let program = compile(graph, &UNCHAINED, Precision::Bf16).map_err(|problem| problem.to_string())?;
    let (other, count) = rounded(&program, &UNCHAINED);
    let [found, expected] = [&program, &other].map(|program| run(&Device::cpu(), program, graph, [inputs, states], 2));
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        if let Some(at) = found.iter().zip(expected).position(|(&f, &e)| !same(f, e)) {
            return Err(format!(
                "result {i}[{at}]: {} is not {}\n{graph}\n{program}\n{other}",
                found[at], expected[at]
            ));
        }
    }
    Ok(count)
}

#[test]
fn every_op_and_derivative_rounds_what_it_stores() {
    let mut rounded = 0;
    for case in cases(DType::F32).unwrap() {
        if mixed(&case.graph) {
            continue;
        }
        for graph in [Some(case.graph.clone()), with_derivatives(&case.graph)].into_iter().flatten() {
            let judged = judged(&graph, &case.sample(1), &case.states);
            rounded += judged.unwrap_or_else(|problem| panic!("{}: {problem}", case.name));
        }
    }
    assert!(rounded > 1000, "{rounded} numbers are narrow");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_round_what_they_store(choices in prop::collection::vec(any::<u16>(), 20..200)) {
        let sample = sample(&choices, DType::F32);
        let judged = judged(&sample.graph, &sample.inputs, &sample.states);
        prop_assert!(judged.is_ok(), "{}", judged.unwrap_err());
    }
}
