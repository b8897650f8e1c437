//! Compiled programs against the interpreter.

use super::compile;
use super::{Data, Device, Program, State, Workspace};
use crate::compile::sample::sample;
use crate::grad::grad;
use crate::graph::{Binary, Compare, DType, Graph, Node, NodeId, Op, StateKind, Unary};
use crate::ops::{cases, interpret};
use proptest::prelude::*;

/// A tensor as programs take it.
pub(super) enum Tensor {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Index(Vec<u32>),
    Bool(Vec<u8>),
}

impl Tensor {
    pub fn new(values: &[f64], dtype: DType) -> Self {
        match dtype {
            DType::F32 => Tensor::F32(values.iter().map(|&x| x as f32).collect()),
            DType::F64 | DType::Bf16 => Tensor::F64(values.to_vec()),
            DType::Index => Tensor::Index(values.iter().map(|&x| x as u32).collect()),
            DType::Bool => Tensor::Bool(values.iter().map(|&x| x as u8).collect()),
        }
    }

    pub fn data(&self) -> Data<'_> {
        match self {
            Tensor::F32(values) => Data::F32(values),
            Tensor::F64(values) => Data::F64(values),
            Tensor::Index(values) => Data::Index(values),
            Tensor::Bool(values) => Data::Bool(values),
        }
    }
}

pub(super) fn set(state: &mut State, slot: usize, values: &[f64]) {
    let dtype = state.slots()[slot].dtype;
    assert!(state.set(slot, Tensor::new(values, dtype).data()), "the slot has as many elements");
}

/// Σ y² and its derivative by every input of real numbers.
pub(super) fn with_derivatives(graph: &Graph) -> Option<Graph> {
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

/// Runs a graph `runs` times, each on the state that the run before has left, and compares every output and tensor of
/// the state with the interpreter's.
pub(super) fn agrees(graph: &Graph, inputs: &[Vec<f64>], states: &[Vec<f64>], runs: usize) -> Result<(), String> {
    let program = compile(graph).map_err(|error| error.to_string())?;
    agrees_on(&Device::cpu(), &program, graph, [inputs, states], runs)
}

/// The same for a program that is compiled, on a device.
pub(super) fn agrees_on(
    device: &Device,
    program: &Program,
    graph: &Graph,
    [inputs, states]: [&[Vec<f64>]; 2],
    runs: usize,
) -> Result<(), String> {
    let mut state = State::on(device, graph.states()).map_err(|error| error.to_string())?;
    for (slot, values) in states.iter().enumerate() {
        set(&mut state, slot, values);
    }
    let mut workspace: Workspace = program.workspace(&state).map_err(|error| error.to_string())?;
    let tensors: Vec<Tensor> =
        inputs.iter().zip(graph.inputs()).map(|(values, slot)| Tensor::new(values, slot.dtype)).collect();
    let data: Vec<Data<'_>> = tensors.iter().map(Tensor::data).collect();
    for _ in 0..runs {
        let before: Vec<Vec<f64>> = (0..state.slots().len()).map(|slot| values(&state, slot)).collect();
        let expected = interpret(graph, &before, inputs).map_err(|error| error.to_string())?;
        // Rounding grows with the largest value on the way.
        let largest = expected.values.iter().flatten().fold(1.0, |a: f64, x| a.max(x.abs()));
        if largest.is_nan() || largest > 1e4 {
            return Ok(());
        }
        let tolerance = largest * if program.dtype() == DType::F64 { 1e-13 } else { 2e-5 };
        program.run(&mut state, &data, &mut workspace).map_err(|error| error.to_string())?;
        for (i, expected) in expected.outputs.iter().enumerate() {
            let found = program.output(&workspace, i).to_f64();
            close(&format!("output {i}"), expected, &found, tolerance, graph, program)?;
        }
        for (slot, expected) in expected.states.iter().enumerate() {
            close(&graph.states()[slot].key, expected, &values(&state, slot), tolerance, graph, program)?;
        }
    }
    Ok(())
}

pub(super) fn values(state: &State, slot: usize) -> Vec<f64> {
    state.get(slot).expect("the device works").to_f64()
}

fn close(
    what: &str,
    expected: &[f64],
    found: &[f64],
    tolerance: f64,
    graph: &Graph,
    program: &Program,
) -> Result<(), String> {
    let wrong = expected.iter().zip(found).position(|(e, f)| (e - f).abs() > tolerance || e.is_nan() != f.is_nan());
    match wrong {
        _ if expected.len() != found.len() => Err(format!("{what}: {} elements, not {}", found.len(), expected.len())),
        Some(i) => Err(format!("{what}[{i}]: {} is not {}\n{graph}\n{program}", found[i], expected[i])),
        None => Ok(()),
    }
}

/// Whether the graph has reals of both types, which no program computes with.
pub(super) fn mixed(graph: &Graph) -> bool {
    let has = |dtype| graph.nodes().any(|(_, node)| node.dtype == dtype);
    has(DType::F32) && has(DType::F64)
}

#[test]
fn every_op_agrees_with_the_interpreter() {
    for float in [DType::F32, DType::F64] {
        for case in cases(float).unwrap() {
            if mixed(&case.graph) {
                assert!(compile(&case.graph).is_err(), "{}", case.name);
                continue;
            }
            for seed in 0..3 {
                let result = agrees(&case.graph, &case.sample(seed), &case.states, 1);
                assert!(result.is_ok(), "{} in {float:?}: {}", case.name, result.unwrap_err());
            }
        }
    }
}

/// Axes of size 0 beside others, in graphs where they are rare otherwise.
#[test]
fn graphs_with_empty_tensors_agree_with_the_interpreter() {
    let (mut state, mut graphs, mut wrong) = (1u64, 0, Vec::new());
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u16
    };
    while graphs < 3000 {
        let choices: Vec<u16> = (0..20 + graphs % 60).map(|_| draw()).collect();
        let made = sample(&choices, if graphs % 2 == 0 { DType::F32 } else { DType::F64 });
        if !made.graph.nodes().any(|(_, node)| node.is_empty()) {
            continue;
        }
        graphs += 1;
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            agrees(&made.graph, &made.inputs, &made.states, 2)
        }));
        let problem = match run {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned()),
        };
        wrong.push(format!("{problem}\n{}", made.graph));
    }
    assert!(wrong.is_empty(), "{} of {graphs} are wrong, the first: {}", wrong.len(), wrong[0]);
}

#[test]
fn only_single_programs_flush_denormal_numbers() {
    // Enough for two threads.
    let dims = [1 << 18];
    for (dtype, flushed) in [(DType::F32, cfg!(target_arch = "x86_64")), (DType::F64, false)] {
        let mut graph = Graph::new();
        let x = graph.input("x", &dims, dtype);
        let y = graph.binary(Binary::Mul, x, x).unwrap();
        graph.output("y", y);
        let program = compile(&graph).unwrap();
        let state = State::new(program.states());
        let mut workspace = program.workspace(&state).unwrap();
        let small = if dtype == DType::F32 { 1e-20 } else { 1e-155 };
        let input = Tensor::new(&vec![small; 1 << 18], dtype);
        program.evaluate(&state, &[input.data()], &mut workspace).unwrap();
        let found = program.output(&workspace, 0).to_f64();
        assert!(found.iter().all(|&y| (y == 0.0) == flushed), "{dtype:?}");
    }
}

/// Neighbours that f32 does not tell apart are different indices to compiled programs too, and are kept exactly when they
/// are moved.
#[test]
fn large_indices_stay_exact() {
    for float in [DType::F32, DType::F64] {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4], DType::Index);
        let y = graph.input("y", &[4], DType::Index);
        for compare in Compare::ALL {
            let holds = graph.compare(*compare, x, y).unwrap();
            let real = graph.cast(holds, float);
            graph.output(format!("{compare:?}"), real);
            let least = graph.select(holds, x, y).unwrap();
            let parts = graph.concat(&[least, x], 0).unwrap();
            let turned = graph.slice(parts, 0, 1, 6).unwrap();
            graph.output("moved", turned);
        }
        let values = |values: [u32; 4]| values.map(f64::from).to_vec();
        let inputs = [
            values([16_777_217, 16_777_216, u32::MAX, u32::MAX - 1]),
            values([16_777_216, 16_777_217, u32::MAX - 1, u32::MAX - 1]),
        ];
        let program = compile(&graph).unwrap();
        let state = State::new(program.states());
        let mut workspace = program.workspace(&state).unwrap();
        let [x, y] = inputs.each_ref().map(|values| Tensor::new(values, DType::Index));
        program.evaluate(&state, &[x.data(), y.data()], &mut workspace).unwrap();
        let expected = interpret(&graph, &[], &inputs).unwrap().outputs;
        for (i, expected) in expected.iter().enumerate() {
            assert_eq!(program.output(&workspace, i).to_f64(), *expected, "{}\n{program}", graph.outputs()[i].0);
        }
    }
}

/// A table that is a state, of which a run replaces two rows and reads others: a key-value cache.
#[test]
fn rows_of_a_state_are_replaced_in_place() {
    let mut graph = Graph::new();
    let cache = graph.state("cache", StateKind::Session, &[1000, 16], DType::F32).unwrap();
    let index = graph.index_input("index", &[2], 1000);
    let rows = graph.input("rows", &[2, 16], DType::F32);
    let next = graph.put(cache, index, rows).unwrap();
    graph.update(cache, next).unwrap();
    let sum = graph.sum(next, &[0]).unwrap();
    graph.output("sum", sum);
    let program = compile(&graph).unwrap();
    assert!(program.workspace_bytes() <= 64, "{program}");
    let rows: Vec<f64> = (0..32).map(f64::from).collect();
    let result = agrees(&graph, &[vec![3.0, 999.0], rows.clone()], &[vec![0.5; 16000]], 2);
    assert!(result.is_ok(), "{}", result.unwrap_err());

    let (mut state, wrong) = (State::new(program.states()), Tensor::new(&[3.0, 1000.0], DType::Index));
    let (mut workspace, rows) = (program.workspace(&state).unwrap(), Tensor::new(&rows, DType::F32));
    let error = program.run(&mut state, &[wrong.data(), rows.data()], &mut workspace).unwrap_err();
    let expected = "element 1 of the input `index` is 1000, which is no index into a space of 1000";
    assert_eq!(error.to_string(), expected);
}

/// Indices that the run calculates are checked where they are used; large tables are shared by threads.
#[test]
fn indices_beyond_a_table_are_errors() {
    for (rows, width) in [(5, 3), (3000, 40)] {
        let mut graph = Graph::new();
        let table = graph.input("table", &[rows, width], DType::F64);
        let at = graph.input("at", &[1000], DType::F64);
        let index = graph.cast(at, DType::Index);
        let taken = graph.gather(table, index).unwrap();
        let sum = graph.scatter_add(taken, index, rows).unwrap();
        graph.output("sum", sum);
        let program = compile(&graph).unwrap();
        let state = State::new(program.states());
        let mut workspace = program.workspace(&state).unwrap();
        let mut at: Vec<f64> = (0..1000).map(|i| f64::from(i * i % rows as u32)).collect();
        let table: Vec<f64> = (0..rows * width).map(|i| (i % 17) as f64).collect();
        let result = agrees(&graph, &[table.clone(), at.clone()], &[], 1);
        assert!(result.is_ok(), "{}", result.unwrap_err());
        at[700] = rows as f64;
        let (table, at) = (Tensor::new(&table, DType::F64), Tensor::new(&at, DType::F64));
        let error = program.evaluate(&state, &[table.data(), at.data()], &mut workspace).unwrap_err().to_string();
        let expected = format!(
            "an index that the program calculates is {rows}, but the table that it points into has {rows} rows"
        );
        assert_eq!(error, expected);
    }
}

/// Reshapes that cut an axis at every bit, in another order each time.
#[test]
fn a_kernel_of_too_many_axes_is_cut_in_parts() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[4096], DType::F32);
    let mut y = x;
    let cuts: [(&[usize], &[usize]); 4] = [
        (&[8, 8, 8, 8], &[2, 0, 3, 1]),
        (&[4, 4, 4, 4, 4, 4], &[5, 2, 0, 4, 1, 3]),
        (&[2, 8, 8, 8, 4], &[3, 1, 4, 0, 2]),
        (&[2, 4, 4, 4, 4, 8], &[4, 0, 5, 2, 1, 3]),
    ];
    for (dims, order) in cuts {
        let cut = graph.reshape(y, dims).unwrap();
        let permuted = graph.permute(cut, order).unwrap();
        y = graph.reshape(permuted, &[4096]).unwrap();
    }
    let sum = graph.binary(Binary::Add, x, y).unwrap();
    graph.output("y", sum);
    assert!(compile(&graph).unwrap().launches() > 1);
    let input: Vec<f64> = (0..4096).map(f64::from).collect();
    let result = agrees(&graph, &[input], &[], 1);
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs_agree_in_f64(choices in prop::collection::vec(any::<u16>(), 20..160)) {
        let sample = sample(&choices, DType::F64);
        let result = agrees(&sample.graph, &sample.inputs, &sample.states, 3);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    #[test]
    fn random_graphs_agree_in_f32(choices in prop::collection::vec(any::<u16>(), 20..160)) {
        let sample = sample(&choices, DType::F32);
        let result = agrees(&sample.graph, &sample.inputs, &sample.states, 3);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}
