//! Every op's own cases: first and second derivatives against finite differences of the interpreter.

use super::compiled::Compiled;
use super::{Domain, Input, Settings, derivative};
use crate::Device;
use crate::graph::{Binary, DType, Graph, NodeId, Op, Unary};
use crate::kernel::schedule::Home;
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
    let real = graph.nodes().filter(|(_, node)| matches!(node.given(), Some(Home::Input(_))) && node.dtype.is_float());
    real.map(|(id, _)| id).collect()
}

/// Compares the derivative of a case's outputs with finite differences.
fn check(case: &Case, settings: &Settings) {
    let inputs: Vec<Input> = (case.graph.inputs().iter().zip(&case.domains))
        .map(|(slot, &domain)| Input::tensor(slot.name.clone(), &slot.dims, domain))
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

/// Reals as an element type holds them.
fn rounded(values: Vec<f64>, float: DType) -> Vec<f64> {
    if float == DType::F32 { values.into_iter().map(|x| f64::from(x as f32)).collect() } else { values }
}

/// Compares the compiled program of a graph with the interpreter, element by element, within a few units in the last
/// place of the greatest element. Both get the same inputs.
fn compare(name: &str, graph: &Graph, states: &[Vec<f64>], inputs: &[Vec<f64>], float: DType) {
    let expected = interpret(graph, states, inputs).unwrap().outputs;
    let mut program = Compiled::new(graph, &Device::cpu()).unwrap_or_else(|e| panic!("{name}: {e}\n{graph}"));
    let found = program.run(states, inputs).unwrap_or_else(|e| panic!("{name}: {e}\n{graph}"));
    let epsilon = if float == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected.len(), found.len(), "{name}");
        let scale = expected.iter().filter(|y| y.is_finite()).fold(1.0, |max: f64, y| max.max(y.abs()));
        for (i, (y, z)) in expected.iter().zip(found).enumerate() {
            let y = if float == DType::F32 { f64::from(*y as f32) } else { *y };
            let same = y == *z || (y.is_nan() && z.is_nan()) || (y - z).abs() <= 16.0 * epsilon * scale;
            assert!(same, "{name}, element {i} from {inputs:?}: interpreted {y}, computed {z}\n{graph}");
        }
    }
}

/// A program computes in one type of reals, so casts between them have no program.
fn one_real_type(graph: &Graph) -> bool {
    let has = |dtype| graph.nodes().any(|(_, node)| node.dtype == dtype);
    !(has(DType::F32) && has(DType::F64))
}

#[test]
fn compiled_values_and_derivatives_of_every_op() {
    let mut graphs = 0;
    for float in [DType::F32, DType::F64] {
        let all = cases(float).expect("a real type").into_iter().filter(|case| one_real_type(&case.graph));
        for case in all {
            let smooth = case.graph.outputs().iter().all(|(_, y)| case.graph[*y].dtype.is_float());
            let derived = smooth.then(|| differentiated(&case));
            for case in [Some(case), derived].into_iter().flatten() {
                for seed in 0..8 {
                    let inputs: Vec<_> = case.sample(seed).into_iter().map(|x| rounded(x, float)).collect();
                    compare(&case.name, &case.graph, &case.states, &inputs, float);
                }
                graphs += 1;
            }
        }
    }
    assert!(graphs > 300, "only {graphs} graphs were compared");
}

/// What the row of every function says of its special values holds for the interpreter and for programs.
#[test]
fn special_values_of_every_function() {
    let unary = Unary::ALL.iter().flat_map(|&f| f.special().iter().map(move |&(x, y)| (Op::Unary(f), vec![x], y)));
    let binary =
        Binary::ALL.iter().flat_map(|&f| f.special().iter().map(move |&(x, y)| (Op::Binary(f), x.to_vec(), y)));
    let all: Vec<(Op, Vec<f64>, f64)> = unary.chain(binary).collect();
    assert!(all.len() > 3 * (Unary::ALL.len() + Binary::ALL.len()), "some rows say too little");
    let mut wrong = Vec::new();
    for float in [DType::F32, DType::F64] {
        for (op, x, expected) in &all {
            let mut graph = Graph::new();
            let inputs: Vec<NodeId> = (0..x.len()).map(|i| graph.input(format!("x{i}"), &[1], float)).collect();
            let y = graph.push(op.clone(), inputs, vec![1], float);
            graph.output("y", y);
            let x: Vec<_> = x.iter().map(|&x| rounded(vec![x], float)).collect();
            let epsilon = if float == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
            let interpreted = interpret(&graph, &[], &x).unwrap().outputs[0][0];
            let computed = Compiled::new(&graph, &Device::cpu()).unwrap().run(&[], &x).unwrap()[0][0];
            for (who, found) in [("interpreter", interpreted), ("program", computed)] {
                let near = found == *expected || (found - expected).abs() <= 2.0 * epsilon * expected.abs();
                let same = near && found.is_sign_negative() == expected.is_sign_negative();
                let right = if expected.is_nan() { found.is_nan() } else { same };
                if !right {
                    wrong.push(format!("{op:?} of {x:?} in {float:?} is {expected:?}, and the {who} gives {found:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Zeros, infinities, NaN, and what overflows or vanishes: elementwise ops agree there too.
#[test]
fn compiled_values_at_special_points() {
    let specials = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1e-30,
        -1e-30,
        20.0,
        -20.0,
        88.0,
        -88.0,
        1e4,
        -1e4,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    let mut ops = 0;
    for float in [DType::F32, DType::F64] {
        for case in cases(float).expect("a real type") {
            let [one] = case.graph.outputs() else { continue };
            let elementwise = matches!(case.graph[one.1].op, Op::Unary(_) | Op::Binary(_) | Op::Compare(_));
            let reals = case.graph.inputs().iter().all(|slot| slot.dtype == float && slot.dims == [3, 5]);
            if !elementwise || !reals {
                continue;
            }
            // One operand takes every value, and the other every value beside it.
            for turn in 0..specials.len() {
                for i in 0..specials.len() {
                    let value = |operand: usize| specials[(i + operand * turn) % specials.len()];
                    let inputs: Vec<_> = (0..case.domains.len()).map(|k| rounded(vec![value(k); 15], float)).collect();
                    compare(&case.name, &case.graph, &case.states, &inputs, float);
                }
                if case.domains.len() == 1 {
                    break;
                }
            }
            ops += 1;
        }
    }
    assert!(ops >= 2 * 25, "only {ops} elementwise ops were compared");
}

/// A function that gives zero at a zero gives it the sign that its formula has there, in every type and on every path.
#[test]
fn zeros_keep_their_signs() {
    let mut wrong = Vec::new();
    for float in [DType::F32, DType::F64] {
        for &f in Unary::ALL {
            let mut graph = Graph::new();
            let x = graph.input("x", &[37], float);
            let y = graph.unary(f, x).unwrap();
            graph.output("y", y);
            // Numbers between, so that vectors are mixed, and zeros at their ends.
            let x: Vec<f64> = (0..37).map(|i| [0.0, -0.0, 0.25, -0.25, 1e-30, -1e-30][i % 6]).collect();
            let x = vec![rounded(x, float)];
            let expected = interpret(&graph, &[], &x).unwrap().outputs;
            let found = Compiled::new(&graph, &Device::cpu()).unwrap().run(&[], &x).unwrap();
            for ((x, expected), found) in x[0].iter().zip(&expected[0]).zip(&found[0]) {
                let zero = *expected == 0.0 && *found == 0.0;
                if zero && expected.is_sign_negative() != found.is_sign_negative() {
                    wrong.push(format!("{f:?}({x:?}) in {float:?} is {expected:?}, and the program gives {found:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
