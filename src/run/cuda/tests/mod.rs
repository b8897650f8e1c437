//! The same programs on a device that stands in for one, see `tests/device`.

mod narrow;

use super::super::compile_for;
use super::super::tests::{Tensor, agrees_on, mixed, with_derivatives};
use super::super::{Data, Device, Precision, Program, State};
use super::OWN;
use crate::compile::compile;
use crate::compile::sample::{Sample, sample};
use crate::grad::grad;
use crate::graph::{Binary, DType, Distribution, Graph, NodeId, ReduceOp, StateKind, Unary};
use crate::kernel::cuda::nvrtc::{Compiler, Target};
use crate::kernel::cuda::{folders, print::Source};
use crate::kernel::limits::{ChainLimits, Limits};
use crate::kernel::work::Work;
use crate::ops::{Case, cases};
use narrow::{tensor_attention, tensor_products};
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
    prepare_with(programs, false);
}

/// The same, with products by kernels of our own if they are to be printed.
fn prepare_with(programs: &[Program], printed: bool) {
    let groups: Vec<Vec<&Program>> = programs.chunks(TOGETHER).map(|group| group.iter().collect()).collect();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let groups = &groups;
            scope.spawn(move || {
                for group in groups.iter().skip(half).step_by(2) {
                    DEVICE.prepare(group, printed).unwrap_or_else(|problem| panic!("{problem}"));
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

/// Without the library, and where it cannot do a product, the printed kernels serve.
#[test]
fn printed_products_agree_with_the_interpreter() {
    for float in FLOATS {
        let mut graphs: Vec<(String, Graph, [Vec<Vec<f64>>; 2])> = Vec::new();
        for case in all_cases(float) {
            for graph in [Some(case.graph.clone()), with_derivatives(&case.graph)].into_iter().flatten() {
                if compiled(&graph).schedule.steps.iter().any(|step| matches!(step.work, Work::Products(_))) {
                    graphs.push((case.name.to_string(), graph, [case.sample(3), case.states.clone()]));
                }
            }
        }
        assert!(graphs.len() > 10, "products of several kinds are among the cases");
        let programs: Vec<Program> = graphs.iter().map(|(_, graph, _)| compiled(graph)).collect();
        prepare_with(&programs, true);
        for ((name, graph, [inputs, states]), program) in graphs.iter().zip(&programs) {
            let result = agrees_on(&DEVICE, program, graph, [inputs, states], 1);
            assert!(result.is_ok(), "{name} in {float:?}: {}", result.unwrap_err());
        }
    }
}

#[test]
fn products_round_their_factors_only_where_they_are_asked_to() {
    let mut graph = Graph::new();
    let [x, y] = ["x", "y"].map(|name| graph.input(name, &[7, 7], DType::F32));
    let z = graph.matmul(x, y, [false, false]).unwrap();
    graph.output("z", z);
    let inputs = [0.37, 0.91].map(|step| (0..49).map(|i| f64::from(((f64::from(i) * step).sin()) as f32)).collect());
    let [expected, full, coarse] =
        [(&Device::cpu(), Precision::Full), (&*DEVICE, Precision::Full), (&*DEVICE, Precision::Tf32)]
            .map(|(device, precision)| outputs_in(precision, device, &graph, &inputs).remove(0));
    let worst = |found: &[f64]| expected.iter().zip(found).map(|(e, f)| (e - f).abs()).fold(0.0, f64::max);
    assert!(worst(&full) < 1e-6, "{}", worst(&full));
    assert!((1e-5..5e-3).contains(&worst(&coarse)), "{}", worst(&coarse));
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
        // Every other one without chains.
        let compiled = |(number, sample): (usize, &Sample)| {
            let chain = ChainLimits { views: if number % 2 == 0 { OWN.chain.views } else { 0 }, ..OWN.chain };
            compile(&sample.graph, &Limits { chain, ..OWN }, Precision::Full).expect("one float type")
        };
        let programs: Vec<Program> = samples.iter().enumerate().map(compiled).collect();
        prepare(&programs);
        for (number, (Sample { graph, inputs, states }, program)) in samples.iter().zip(&programs).enumerate() {
            let result = agrees_on(&DEVICE, program, graph, [inputs, states], 2);
            assert!(result.is_ok(), "graph {number} in {float:?}: {}", result.unwrap_err());
        }
    }
}

/// What a graph without state but the key gives on a device.
fn outputs(device: &Device, graph: &Graph, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    outputs_in(Precision::Full, device, graph, inputs)
}

fn outputs_in(precision: Precision, device: &Device, graph: &Graph, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let program = compile_for(graph, device, precision).expect("one float type");
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
            // The same while they are folded, several by a thread.
            let draw = graph.random(kind, 79 + i as u64, &[5, 2000], float).unwrap();
            let x = graph.input(format!("x{i}"), &[5, 2000], float);
            let product = graph.binary(Binary::Mul, draw, x).unwrap();
            let max = graph.reduce(ReduceOp::Max, product, &[1]).unwrap();
            graph.output("largest", max);
        }
        let values = graph.input("values", &[500, 7], float);
        let index = graph.input("index", &[500], DType::Index);
        let sums = graph.scatter_add(values, index, 40).unwrap();
        graph.output("sums", sums);
        let x = || (0..10_000).map(|i| f64::from(i % 7)).collect::<Vec<f64>>();
        let inputs = [
            x(),
            x(),
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

/// The normalisations of nets over rows of these sizes, by name: softmax, cross entropy and layer norm with their
/// derivatives.
fn normalisations(rows: usize, width: usize, float: DType) -> Vec<(&'static str, Graph)> {
    let dims = [rows, width];
    let row = |graph: &mut Graph, x: NodeId| graph.broadcast(x, &[1], &dims).unwrap();
    let softmax = |graph: &mut Graph, x: NodeId| {
        let max = graph.reduce(ReduceOp::Max, x, &[1]).unwrap();
        let max = row(graph, max);
        let x = graph.binary(Binary::Sub, x, max).unwrap();
        let exp = graph.unary(Unary::Exp, x).unwrap();
        let sum = graph.sum(exp, &[1]).unwrap();
        let sum = row(graph, sum);
        graph.binary(Binary::Div, exp, sum).unwrap()
    };
    let norm = |graph: &mut Graph, x: NodeId| {
        let mean = |graph: &mut Graph, x: NodeId| {
            let sum = graph.sum(x, &[1]).unwrap();
            let share = graph.constant(1.0 / width as f64, &[rows], float);
            let mean = graph.binary(Binary::Mul, sum, share).unwrap();
            row(graph, mean)
        };
        let centre = mean(graph, x);
        let x = graph.binary(Binary::Sub, x, centre).unwrap();
        let square = graph.unary(Unary::Square, x).unwrap();
        let variance = mean(graph, square);
        let scale = graph.unary(Unary::Rsqrt, variance).unwrap();
        graph.binary(Binary::Mul, x, scale).unwrap()
    };
    let mut all = Vec::new();
    for (names, function) in [
        (["softmax", "derivative of softmax"], &softmax as &dyn Fn(&mut Graph, NodeId) -> NodeId),
        (["layer norm", "derivative of layer norm"], &norm),
    ] {
        let mut graph = Graph::new();
        let x = graph.input("x", &dims, float);
        let y = function(&mut graph, x);
        graph.output("y", y);
        all.push((names[0], graph.clone()));
        let c = graph.input("c", &dims, float);
        let product = graph.binary(Binary::Mul, y, c).unwrap();
        let sum = graph.sum(product, &[0, 1]).unwrap();
        let mut alone = Graph::new();
        alone.clone_from(&graph);
        let d = grad(&mut alone, sum, &[x]).unwrap();
        alone.output("d", d[0]);
        all.push((names[1], alone));
    }
    all
}

#[test]
fn a_normalisation_is_one_kernel() {
    for float in FLOATS {
        // Rows of a block of their own, several in a block, and more numbers than shared memory holds.
        for (rows, width) in [(70, 700), (600, 24), (64, 120_000 / float.size())] {
            for (name, graph) in normalisations(rows, width, float) {
                let program = compiled(&graph);
                let tasks = super::plan::print(&program.schedule, &mut Source::new(float)).unwrap();
                assert_eq!(tasks, Some(1), "{name} of {rows} × {width}: {program}");
                let inputs: Vec<Vec<f64>> = (0..graph.inputs().len())
                    .map(|i| (0..rows * width).map(|at| ((at * (7 + i)) as f64).sin()).collect())
                    .collect();
                let result = agrees_on(&DEVICE, &program, &graph, [&inputs, &[]], 1);
                assert!(result.is_ok(), "{name} of {rows} × {width} in {float:?}: {}", result.unwrap_err());
            }
        }
    }
}

/// Tensors of these sizes move towards their inputs; if they are watched, a sum over each goes into one result.
fn moving(sizes: &[usize], watched: bool, float: DType) -> Graph {
    let mut graph = Graph::new();
    let share = graph.input("share", &[], float);
    let mut total = graph.constant(0.0, &[], float);
    for (i, &size) in sizes.iter().enumerate() {
        let state = graph.state(&*format!("s{i}"), StateKind::Parameter, &[size], float).unwrap();
        let x = graph.input(format!("x{i}"), &[size], float);
        let share = graph.broadcast(share, &[0], &[size]).unwrap();
        let away = graph.binary(Binary::Sub, x, state).unwrap();
        let step = graph.binary(Binary::Mul, away, share).unwrap();
        let next = graph.binary(Binary::Add, state, step).unwrap();
        graph.update(state, next).unwrap();
        if watched {
            let square = graph.unary(Unary::Square, step).unwrap();
            let sum = graph.sum(square, &[0]).unwrap();
            total = graph.binary(Binary::Add, total, sum).unwrap();
        }
    }
    graph.output("total", total);
    graph
}

#[test]
fn updates_of_many_tensors_are_few_launches() {
    let odd = [5, 8, 1024, 4100, 12, 20_000, 8, 7, 4099];
    let many = [8; 200];
    for float in FLOATS {
        // Those with whole numbers of neighbours, and the others; twice as many where blocks fold; the total comes last, of two
        // hundred numbers in several kernels. A table holds some hundred tensors.
        for (sizes, watched, expected) in
            [(&odd[..], false, 3), (&odd[..], true, 5), (&many[..], false, 3), (&many[..], true, 9)]
        {
            let graph = moving(sizes, watched, float);
            let program = compiled(&graph);
            let tasks = super::plan::print(&program.schedule, &mut Source::new(float)).unwrap();
            assert_eq!(tasks, Some(expected), "{} tensors: {program}", sizes.len());
            let values = |seed: usize| {
                let tensor = |&size: &usize| (0..size).map(|i| 0.1 * ((i * seed) as f64).sin()).collect();
                sizes.iter().map(tensor).collect::<Vec<Vec<f64>>>()
            };
            let inputs = [vec![vec![0.25]], values(3)].concat();
            let result = agrees_on(&DEVICE, &program, &graph, [&inputs, &values(5)], 3);
            assert!(result.is_ok(), "{} tensors in {float:?}: {}", sizes.len(), result.unwrap_err());
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
        let shared = if capability[0] == 9 { 227 } else { 163 };
        let mut source = Source::new(float).with_shared(shared << 10).on(capability);
        for case in all_cases(float) {
            for graph in [Some(case.graph.clone()), with_derivatives(&case.graph)].into_iter().flatten() {
                super::plan::print(&compiled(&graph).schedule, &mut source).expect("cases are small");
                if float == DType::F32 {
                    let narrow = compile_for(&graph, &DEVICE, Precision::Bf16).expect("one float type");
                    super::plan::print(&narrow.schedule, &mut source).expect("cases are small");
                }
            }
        }
        let moving = moving(&[40_000, 1024, 768, 777, 3], true, float);
        super::plan::print(&compiled(&moving).schedule, &mut source).expect("it is small");
        // Those of a transformer, of the last planes of a ResNet, and of a large vocabulary; in f64, where a division takes a
        // stack, nobody has one.
        let sizes = [(8192, 768), (2048, 6272), (8192, 50_257)];
        for &(rows, width) in &sizes[..if float == DType::F64 { 2 } else { 3 }] {
            for (_, graph) in normalisations(rows, width, float) {
                let program = compile(&graph, &super::LIMITS, Precision::Full).expect("one float type");
                super::plan::print(&program.schedule, &mut source).expect("it is not too large");
            }
        }
        for graph in tensor_products().iter().chain(&tensor_attention()).filter(|_| float == DType::F32) {
            let narrow = compile_for(graph, &DEVICE, Precision::Bf16).expect("one float type");
            super::plan::print(&narrow.schedule, &mut source).expect("they are small");
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
