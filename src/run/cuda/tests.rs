//! The same programs on a device that stands in for one, see `tests/device`.

use super::super::compile_for;
use super::super::tests::{Tensor, agrees_on, mixed};
use super::super::{Data, Device, Precision, Program, State};
use crate::compile::sample::{Sample, sample};
use crate::grad::grad;
use crate::graph::{Binary, DType, Distribution, Graph, Node, NodeId, Op, Unary};
use crate::kernel::cuda::nvrtc::{Compiler, Target};
use crate::kernel::cuda::{folders, print::Source};
use crate::ops::{Case, cases};
use std::sync::LazyLock;

/// The stand-in.
pub(crate) static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    Device::cuda_with(0, &[&ansatz_device::libraries()]).expect("the stand-in is built with the tests")
});

const FLOATS: [DType; 2] = [DType::F32, DType::F64];

/// Kernels of so many programs are compiled together.
const TOGETHER: usize = 40;

/// Prepares programs in groups, two groups at a time.
fn prepare(programs: &[Program]) {
    let groups: Vec<Vec<&Program>> = programs.chunks(TOGETHER).map(|group| group.iter().collect()).collect();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let groups = &groups;
            scope.spawn(move || {
                for group in groups.iter().skip(half).step_by(2) {
                    DEVICE.prepare(group).unwrap_or_else(|problem| panic!("{problem}"));
                }
            });
        }
    });
}

fn compiled(graph: &Graph) -> Program {
    compile_for(graph, &DEVICE, Precision::Full).expect("one float type")
}

/// The cases that are programs.
fn all_cases(float: DType) -> Vec<Case> {
    cases(float).unwrap().into_iter().filter(|case| !mixed(&case.graph)).collect()
}

#[test]
fn every_op_agrees_with_the_interpreter() {
    for float in FLOATS {
        let cases = all_cases(float);
        let programs: Vec<Program> = cases.iter().map(|case| compiled(&case.graph)).collect();
        prepare(&programs);
        for (case, program) in cases.iter().zip(&programs) {
            for seed in 0..2 {
                let result = agrees_on(&DEVICE, program, &case.graph, [&case.sample(seed), &case.states], 1);
                assert!(result.is_ok(), "{} in {float:?}: {}", case.name, result.unwrap_err());
            }
        }
    }
}

/// Σ y² and its derivative by every input of real numbers.
fn with_derivatives(graph: &Graph) -> Option<Graph> {
    let mut graph = graph.clone();
    let y = graph.outputs()[0].1;
    if !graph[y].dtype.is_float() {
        return None;
    }
    let square = graph.unary(Unary::Square, y).ok()?;
    let axes: Vec<usize> = (0..graph[y].dims.len()).collect();
    let loss = graph.sum(square, &axes).ok()?;
    let real = |(id, node): (NodeId, &Node)| (matches!(node.op, Op::Input(_)) && node.dtype.is_float()).then_some(id);
    let inputs: Vec<NodeId> = graph.nodes().filter_map(real).collect();
    for (i, d) in grad(&mut graph, loss, &inputs).ok()?.into_iter().enumerate() {
        graph.output(format!("d{i}"), d);
    }
    Some(graph)
}

#[test]
fn every_derivative_agrees_with_the_interpreter() {
    for float in FLOATS {
        let cases = all_cases(float);
        let graphs: Vec<(&Case, Graph)> =
            cases.iter().filter_map(|case| Some((case, with_derivatives(&case.graph)?))).collect();
        let programs: Vec<Program> = graphs.iter().map(|(_, graph)| compiled(graph)).collect();
        prepare(&programs);
        for ((case, graph), program) in graphs.iter().zip(&programs) {
            let result = agrees_on(&DEVICE, program, graph, [&case.sample(7), &case.states], 1);
            assert!(result.is_ok(), "{} in {float:?}: {}", case.name, result.unwrap_err());
        }
    }
}

/// Random graphs, each from its number.
fn samples(float: DType, count: u64) -> Vec<Sample> {
    let draw = |seed: u64| {
        let mut word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            (word >> 32) as u16
        };
        let len = 20 + usize::from(next() % 140);
        (0..len).map(|_| next()).collect::<Vec<u16>>()
    };
    (1..=count).map(|seed| sample(&draw(seed), float)).collect()
}

#[test]
fn random_graphs_agree_with_the_interpreter() {
    for float in FLOATS {
        let samples = samples(float, 100);
        let programs: Vec<Program> = samples.iter().map(|sample| compiled(&sample.graph)).collect();
        prepare(&programs);
        for (number, (Sample { graph, inputs, states }, program)) in samples.iter().zip(&programs).enumerate() {
            let result = agrees_on(&DEVICE, program, graph, [inputs, states], 2);
            assert!(result.is_ok(), "graph {number} in {float:?}: {}", result.unwrap_err());
        }
    }
}

/// What a graph without state but the key gives on a device.
fn outputs(device: &Device, graph: &Graph, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let program = compile_for(graph, device, Precision::Full).expect("one float type");
    let mut state = State::on(device, graph.states()).expect("there is memory");
    state.set_key(0x1234_5678_9abc, 42);
    let mut workspace = program.workspace(&state).expect("there is memory");
    let tensors: Vec<Tensor> = inputs.iter().zip(graph.inputs()).map(|(x, slot)| Tensor::new(x, slot.dtype)).collect();
    let data: Vec<Data<'_>> = tensors.iter().map(Tensor::data).collect();
    program.run(&mut state, &data, &mut workspace).unwrap_or_else(|problem| panic!("{problem}"));
    (0..graph.outputs().len()).map(|i| program.output(&workspace, i).to_f64()).collect()
}

/// Numbers of all sizes, and the special ones.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let special = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, 1e-310, 1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let mut word = seed | 1;
    let random = std::iter::repeat_with(move || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        let (sign, share) = (if word & 1 == 0 { 1.0 } else { -1.0 }, (word >> 11) as f64 / (1u64 << 53) as f64);
        sign * (40.0 * share - 30.0).exp2() * if word & 2 == 0 { 1.0 } else { 1000.0 }
    });
    special.into_iter().chain(random).take(count).collect()
}

/// Both are the same number, or both are none.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Functions that Rust's library computes in f64 by formulas of its own.
const FORMULAS: [Unary; 4] = [Unary::Asinh, Unary::Acosh, Unary::Atanh, Unary::Cbrt];

#[test]
fn elementwise_functions_have_the_bits_of_the_processor() {
    const COUNT: usize = 4000;
    for float in FLOATS {
        let mut graph = Graph::new();
        let [x, y] = ["x", "y"].map(|name| graph.input(name, &[COUNT], float));
        for &f in Unary::ALL {
            let result = graph.unary(f, x).unwrap();
            graph.output(format!("{f:?}"), result);
        }
        for &f in Binary::ALL {
            let result = graph.binary(f, x, y).unwrap();
            graph.output(format!("{f:?}"), result);
        }
        let inputs = [numbers(COUNT, 7), {
            let mut y = numbers(COUNT, 99);
            y.reverse();
            y
        }];
        let [expected, found] = [&Device::cpu(), &*DEVICE].map(|device| outputs(device, &graph, &inputs));
        for (((name, _), expected), found) in graph.outputs().iter().zip(&expected).zip(&found) {
            let own = FORMULAS.iter().any(|f| *name == format!("{f:?}"));
            for (i, (&e, &f)) in expected.iter().zip(found).enumerate() {
                let near = own && (e - f).abs() <= 1e-15 * e.abs();
                assert!(same(e, f) || near, "{name}({}, {}) in {float:?}: {f} is not {e}", inputs[0][i], inputs[1][i]);
            }
        }
    }
}

#[test]
fn random_draws_and_sums_by_index_have_the_bits_of_the_processor() {
    for float in FLOATS {
        let mut graph = Graph::new();
        for (i, kind) in [Distribution::Uniform, Distribution::Normal].into_iter().enumerate() {
            let draw = graph.random(kind, 77 + i as u64, &[3, 1001], float).unwrap();
            graph.output("draws", draw);
        }
        let values = graph.input("values", &[500, 7], float);
        let index = graph.input("index", &[500], DType::Index);
        let sums = graph.scatter_add(values, index, 40).unwrap();
        graph.output("sums", sums);
        let inputs = [
            numbers(3500, 3).iter().map(|x| if x.is_finite() { x % 3.0 } else { 0.3 }).collect(),
            (0..500).map(|i| f64::from(i * i % 37)).collect(),
        ];
        let [expected, found] = [&Device::cpu(), &*DEVICE].map(|device| outputs(device, &graph, &inputs));
        for (expected, found) in expected.iter().zip(&found) {
            assert!(expected.iter().zip(found).all(|(&e, &f)| same(e, f)));
        }
    }
}

#[test]
fn an_index_beyond_its_table_is_told() {
    let mut graph = Graph::new();
    let table = graph.input("table", &[5, 2], DType::F32);
    let x = graph.input("x", &[4], DType::F32);
    let index = graph.cast(x, DType::Index);
    let rows = graph.gather(table, index).unwrap();
    graph.output("rows", rows);
    let program = compiled(&graph);
    let mut state = State::on(&DEVICE, graph.states()).unwrap();
    let mut workspace = program.workspace(&state).unwrap();
    let table = [0.0f32; 10];
    for (last, fits) in [(4.0, true), (9.0, false), (3.0, true), (5.0, false)] {
        let x = [0.0f32, 1.0, 2.0, last];
        let done = program.run(&mut state, &[Data::F32(&table), Data::F32(&x)], &mut workspace);
        match done {
            Ok(()) => assert!(fits),
            Err(problem) => assert_eq!(
                problem.to_string(),
                format!("an index that the program calculates is {last}, but the table that it points into has 5 rows")
            ),
        }
    }
}

/// NVIDIA's own compiler, where it is: no device is needed. It takes every kernel of every case, in registers alone. A table
/// of registers lies beside the tests afterwards.
#[test]
fn nvrtc_compiles_every_kernel_without_spills() {
    let Ok(compiler) = Compiler::find(&folders()) else {
        println!("NVRTC is not here, so that no kernel is compiled for a GPU");
        return;
    };
    let mut table = format!("NVRTC {:?}\n", compiler.version());
    for (float, capability) in [(DType::F32, [8, 0]), (DType::F32, [9, 0]), (DType::F64, [9, 0])] {
        let mut source = Source::new(float);
        for case in all_cases(float) {
            for graph in [Some(case.graph.clone()), with_derivatives(&case.graph)].into_iter().flatten() {
                super::plan::print(&compiled(&graph).schedule, &mut source).expect("cases are small");
            }
        }
        let target = Target { capability, flush: source.flush() };
        let log = compiler.compile(&source.text(), target, true).unwrap_or_else(|problem| panic!("{problem}")).log;
        let mut kernel = "";
        let mut told = 0;
        for line in log.lines() {
            if let Some((_, name)) = line.split_once("Function properties for ") {
                kernel = name.trim();
            } else if line.contains("bytes stack frame") {
                let clean = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads";
                let said = line.trim_start_matches(|c: char| !c.is_ascii_digit());
                assert_eq!(said, clean, "{kernel} of {float:?} for {capability:?}");
            } else if let Some((_, rest)) = line.split_once("Used ") {
                table += &format!("{float:?} {capability:?} {kernel}: {rest}\n");
                told += 1;
            }
        }
        assert_eq!(told, source.shared().len(), "the log tells of each kernel:\n{log}");
    }
    let beside = std::env::current_exe().expect("a program knows its file").with_file_name("registers.txt");
    std::fs::write(beside, table).expect("the folder of the tests can be written");
}
