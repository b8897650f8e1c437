//! Programs that store numbers with sixteen bits, and the kernels that compute with them on matrix units.

use super::super::super::narrow::run;
use super::super::super::tests::with_derivatives;
use super::super::super::{Device, Precision, Program, compile_for};
use super::{DEVICE, all_cases, prepare, prepare_with, same};
use crate::graph::{Attend, DType, Graph, InputSlot};
use crate::kernel::cuda::print::Source;
use crate::ops::{Case, interpret};

/// The processor and the device run the same narrow launches. Where a sum of theirs is rounded to the next number of sixteen
/// bits, that is a part in 256 of it.
#[test]
fn narrow_programs_agree_with_the_processor() {
    let cases = all_cases(DType::F32);
    let graphs: Vec<(&Case, Graph)> = cases
        .iter()
        .flat_map(|case| [Some(case.graph.clone()), with_derivatives(&case.graph)].map(|graph| (case, graph)))
        .filter_map(|(case, graph)| Some((case, graph?)))
        .collect();
    let narrow = |graph: &Graph| compile_for(graph, &DEVICE, Precision::Bf16).expect("one float type");
    let programs: Vec<Program> = graphs.iter().map(|(_, graph)| narrow(graph)).collect();
    prepare(&programs);
    let mut bits = 0;
    for ((case, graph), program) in graphs.iter().zip(&programs) {
        let given = [case.sample(5), case.states.clone()];
        let [expected, found] =
            [&Device::cpu(), &*DEVICE].map(|device| run(device, program, graph, [&given[0], &given[1]], 1));
        let largest = expected.iter().flatten().filter(|x| x.is_finite()).fold(1.0, |a: f64, x| a.max(x.abs()));
        for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
            let near = (expected - found).abs() <= largest / 128.0;
            assert!(near || same(*expected, *found), "{}: {found} is not {expected}\n{graph}\n{program}", case.name);
        }
        bits += usize::from(program.to_string().contains("in bf16"));
    }
    assert!(bits > 50, "{bits} programs have narrow numbers");
}

/// The kernels of a program.
fn text(program: &Program) -> String {
    let mut source = Source::new(DType::F32).on([9, 0]);
    super::super::plan::print(&program.schedule, &mut source).expect("it is small");
    source.text()
}

/// Products over narrow factors that lie in all ways, in blocks that are whole and cut off, with results of both types, and of
/// so many blocks that the larger ones are taken.
pub(super) fn tensor_products() -> Vec<Graph> {
    let sizes = [[16, 16, 16], [65, 130, 97], [72, 40, 56], [129, 17, 40], [33, 200, 130]];
    let each = sizes.iter().enumerate().flat_map(|(i, &[m, k, n])| {
        let batch = 1 + i % 2;
        [[false, false], [false, true], [true, false], [true, true]].map(move |turned| (batch, [m, k, n], turned))
    });
    let graph = |(batch, [m, k, n], turned): (usize, [usize; 3], [bool; 2])| {
        let mut graph = Graph::new();
        let shape = |rows: usize, columns: usize, turned: bool| {
            if turned { vec![batch, columns, rows] } else { vec![batch, rows, columns] }
        };
        let a = graph.input("a", &shape(m, k, turned[0]), DType::F32);
        let b = graph.input("b", &shape(k, n, turned[1]), DType::F32);
        let narrow = graph.matmul(a, b, turned).unwrap();
        let c = graph.input("c", &[batch, n, 24], DType::F32);
        let wide = graph.matmul(narrow, c, [false, false]).unwrap();
        graph.output("y", wide);
        graph
    };
    each.chain([(2, [1050, 16, 1050], [false, true])]).map(graph).collect()
}

/// Sums of so few bits are exact, in whatever order, and so are equal bits.
#[test]
fn products_on_matrix_units_have_the_bits_of_the_processor() {
    let graphs = tensor_products();
    let programs: Vec<Program> =
        graphs.iter().map(|graph| compile_for(graph, &DEVICE, Precision::Bf16).expect("one float type")).collect();
    prepare_with(&programs, true);
    for edge in [64, 128] {
        let call = format!("tensor_products<{edge}");
        assert!(programs.iter().any(|program| text(program).contains(&call)), "{call} is not used");
    }
    for (graph, program) in graphs.iter().zip(&programs) {
        let values = |(i, slot): (usize, &InputSlot)| -> Vec<f64> {
            let len = slot.dims.iter().product::<usize>();
            (0..len).map(|j| ((((j + 7 * i) * 2_654_435_761) >> 9) % 17) as f64 / 8.0 - 1.0).collect()
        };
        let inputs: Vec<Vec<f64>> = graph.inputs().iter().enumerate().map(values).collect();
        let [expected, found] = [&Device::cpu(), &*DEVICE].map(|device| run(device, program, graph, [&inputs, &[]], 1));
        let wrong = expected[0].iter().zip(&found[0]).position(|(&e, &f)| !same(e, f));
        assert!(wrong.is_none(), "element {wrong:?} of\n{graph}\n{program}");
    }
}

/// Attention as matrix units compute it: widths in all numbers of units, blocks that are cut off, shared heads, windows, more
/// keys than queries and fewer.
pub(super) fn tensor_attention() -> Vec<Graph> {
    let sizes = [
        // Samples, heads for each of keys, heads of keys, queries, keys, widths.
        ([2, 1, 2, 64, 64, 16, 16], true, None),
        ([1, 2, 2, 100, 100, 32, 32], true, None),
        ([1, 1, 1, 150, 150, 64, 64], true, Some(40)),
        ([1, 1, 1, 70, 200, 48, 16], true, None),
        ([1, 1, 1, 90, 40, 16, 80], true, None),
        ([1, 1, 1, 65, 130, 128, 128], false, None),
        ([1, 1, 1, 130, 129, 16, 32], false, Some(30)),
    ];
    let graph = |([n, r, g, t, s, e, f], causal, window): ([usize; 7], bool, Option<usize>)| {
        let mut graph = Graph::new();
        let q = graph.input("q", &[n, r * g, t, e], DType::F32);
        let k = graph.input("k", &[n, g, s, e], DType::F32);
        let v = graph.input("v", &[n, g, s, f], DType::F32);
        let y = graph.attention(q, k, v, &Attend { causal, window, ..Attend::default() }).unwrap();
        graph.output("y", y);
        graph
    };
    let graphs: Vec<Graph> = sizes.into_iter().map(graph).collect();
    let derivatives: Vec<Graph> = graphs.iter().filter_map(with_derivatives).collect();
    graphs.into_iter().chain(derivatives).collect()
}

/// The greater; NaN if either is NaN.
fn worse(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

/// Weights are rounded before they meet the values, and not on the processor: beside what is exact, the error is at most twice
/// as large, and half a last place of the largest.
#[test]
fn attention_on_matrix_units_is_as_exact_as_narrow_numbers() {
    let graphs = tensor_attention();
    let programs: Vec<Program> =
        graphs.iter().map(|graph| compile_for(graph, &DEVICE, Precision::Bf16).expect("one float type")).collect();
    prepare(&programs);
    for (graph, program) in graphs.iter().zip(&programs) {
        let values = |(i, slot): (usize, &InputSlot)| -> Vec<f64> {
            (0..slot.dims.iter().product::<usize>()).map(|j| ((j * 37 + 11 * i) as f64 * 0.61).sin()).collect()
        };
        let inputs: Vec<Vec<f64>> = graph.inputs().iter().enumerate().map(values).collect();
        for call in if graph.outputs().len() > 1 { &["flash_queries<", "flash_keys<"][..] } else { &["flash_forward<"] }
        {
            assert!(text(program).contains(call), "{call} is not used in\n{program}");
        }
        let exact = interpret(graph, &[], &inputs).expect("it is well-formed").outputs;
        let [host, there] = [&Device::cpu(), &*DEVICE].map(|device| run(device, program, graph, [&inputs, &[]], 1));
        for ((name, _), (exact, (host, there))) in graph.outputs().iter().zip(exact.iter().zip(host.iter().zip(&there)))
        {
            let largest = exact.iter().fold(1.0, |a: f64, x| a.max(x.abs()));
            let [host, there] =
                [host, there].map(|all| exact.iter().zip(all).map(|(e, x)| (e - x).abs()).fold(0.0, worse));
            assert!(
                there <= 2.0 * host + largest / 512.0,
                "{name}: {there:e} is more than {host:e}\n{graph}\n{program}"
            );
        }
    }
}
