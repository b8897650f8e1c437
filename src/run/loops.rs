//! Loops against the same steps written out.

use super::compile;
use super::tests::agrees;
use super::{Data, Program, State};
use crate::grad::grad;
use crate::graph::{Binary, DType, Distribution, Graph, NodeId, StateKind, Unary};
use crate::{Error, Result};

const DIMS: [usize; 2] = [4, 6];

/// h ← h + tanh(h·w + b·i), for the step i.
fn step(graph: &mut Graph, h: NodeId, [w, b]: [NodeId; 2], i: NodeId) -> Result<NodeId> {
    let dims = graph[h].dims.clone();
    let dtype = graph[h].dtype;
    let product = graph.matmul(h, w, [false, true])?;
    let i = graph.cast(i, dtype);
    let i = graph.broadcast(i, &[0], &dims[1..])?;
    let shift = graph.binary(Binary::Mul, b, i)?;
    let shift = graph.broadcast(shift, &[0], &dims)?;
    let sum = graph.binary(Binary::Add, product, shift)?;
    let y = graph.unary(Unary::Tanh, sum)?;
    graph.binary(Binary::Add, h, y)
}

/// The sum of squares of what `count` steps give, its gradient, and the gradient of the sum of squares of that.
fn residual(dtype: DType, count: usize, looped: bool, order: usize) -> Result<Graph> {
    let mut graph = Graph::new();
    let x = graph.input("x", &DIMS, dtype);
    let w = graph.state("w", StateKind::Parameter, &[6, 6], dtype)?;
    let b = graph.state("b", StateKind::Parameter, &[6], dtype)?;
    let mut h = x;
    if looped {
        h = graph.repeat(count, &[x], |outer, body, carries| {
            let parameters = [w, b].map(|p| body.lift(outer, p));
            let i = body.step();
            Ok(vec![step(body, carries[0], parameters, i)?])
        })?[0];
    } else {
        for i in 0..count {
            let i = graph.constant(i as f64, &[], DType::Index);
            h = step(&mut graph, h, [w, b], i)?;
        }
    }
    graph.output("h", h);
    let mut all = vec![h];
    for derivative in 0..order {
        let mut loss = graph.constant(0.0, &[], dtype);
        for y in std::mem::take(&mut all) {
            let square = graph.unary(Unary::Square, y)?;
            let axes: Vec<usize> = (0..graph[y].dims.len()).collect();
            let sum = graph.sum(square, &axes)?;
            loss = graph.binary(Binary::Add, loss, sum)?;
        }
        all = grad(&mut graph, loss, &[x, w, b])?;
        for (name, d) in ["x", "w", "b"].into_iter().zip(&all) {
            graph.output(format!("{name}{derivative}"), *d);
        }
    }
    Ok(graph)
}

fn numbers(len: usize, scale: f64) -> Vec<f64> {
    (0..len).map(|i| ((i * 37 + 11) % 23) as f64 / 23.0 * scale - scale / 3.0).collect()
}

/// The outputs of a program of one float type.
fn outputs(graph: &Graph, dtype: DType) -> (Vec<Vec<f64>>, Program) {
    let program = compile(graph).unwrap();
    let mut state = State::new(graph.states());
    for slot in 0..state.slots().len() {
        let values = numbers(state.slots()[slot].dims.iter().product(), 0.5);
        super::tests::set(&mut state, slot, &values);
    }
    let exact = numbers(DIMS.iter().product(), 1.0);
    let single: Vec<f32> = exact.iter().map(|&x| x as f32).collect();
    let data = if dtype == DType::F64 { Data::F64(&exact) } else { Data::F32(&single) };
    let mut workspace = program.workspace(&state).unwrap();
    program.run(&mut state, &[data], &mut workspace).unwrap();
    ((0..graph.outputs().len()).map(|i| program.output(&workspace, i).to_f64()).collect(), program)
}

#[test]
fn loops_agree_with_their_steps_written_out() {
    for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F64, 1e-13)] {
        for count in [0, 1, 2, 5] {
            let graphs = [false, true].map(|looped| residual(dtype, count, looped, 2).unwrap());
            let [(expected, _), (found, program)] = graphs.each_ref().map(|graph| outputs(graph, dtype));
            for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
                let scale = expected.iter().fold(1.0, |a: f64, x| a.max(x.abs()));
                for (e, f) in expected.iter().zip(found) {
                    let name = &graphs[0].outputs()[i].0;
                    assert!((e - f).abs() <= tolerance * scale, "{name} of {count}: {f} is not {e}\n{program}");
                }
            }
        }
    }
}

#[test]
fn memory_grows_by_the_stored_carries_alone() {
    let carry = DIMS.iter().product::<usize>() * 4;
    let bytes =
        |count, looped, order| compile(&residual(DType::F32, count, looped, order).unwrap()).unwrap().workspace_bytes();
    assert_eq!(bytes(64, true, 0), bytes(4, true, 0));
    assert_eq!(bytes(64, true, 1) - bytes(4, true, 1), 60 * carry);
    assert!(bytes(64, false, 1) - bytes(4, false, 1) > 60 * carry);
}

#[test]
fn parameters_and_carries_are_not_copied() {
    let mut graph = Graph::new();
    let x = graph.input("x", &DIMS, DType::F32);
    let w = graph.state("w", StateKind::Parameter, &[3, 6, 6], DType::F32).unwrap();
    // A view of a parameter is read where the parameter lies.
    let part = graph.slice(w, 0, 1, 1).unwrap();
    let part = graph.reshape(part, &[6, 6]).unwrap();
    let h = graph.repeat(50, &[x], |outer, body, carries| {
        let w = body.lift(outer, part);
        let product = body.matmul(carries[0], w, [false, true])?;
        let y = body.unary(Unary::Tanh, product)?;
        Ok(vec![body.binary(Binary::Add, carries[0], y)?])
    });
    graph.output("h", h.unwrap()[0]);
    let program = compile(&graph).unwrap();
    assert_eq!(program.launches(), 100, "{program}");
    // The carry, the product, the number of the step.
    assert_eq!(program.workspace_bytes(), 128 + 128 + 64, "{program}");
    agrees(&graph, &[numbers(24, 1.0)], &[numbers(108, 0.5)], 1).unwrap();
}

#[test]
fn each_step_draws_its_own_numbers() {
    for float in [DType::F32, DType::F64] {
        let mut graph = Graph::new();
        let zero = graph.constant(0.0, &[8], float);
        let draws = |graph: &mut Graph| graph.random(Distribution::Uniform, 1, &[8], float);
        let looped = graph.scan(3, &[zero], &[], |_, body, carries, _| {
            let inner = body.scan(2, &[], &[], |_, body, _, _| Ok((vec![], vec![draws(body)?])))?;
            let own = draws(body)?;
            let sum = body.binary(Binary::Add, carries[0], own)?;
            Ok((vec![sum], vec![own, inner.stacks[0]]))
        });
        let looped = looped.unwrap();
        let flat: Vec<NodeId> = looped.stacks.iter().map(|&s| graph.reshape(s, &[graph[s].len()]).unwrap()).collect();
        let outside = draws(&mut graph).unwrap();
        let all = graph.concat(&[flat[0], flat[1], outside], 0).unwrap();
        graph.output("draws", all);
        graph.output("sum", looped.carries[0]);
        agrees(&graph, &[], &[vec![5.0, 6.0, 7.0, 0.0]], 2).unwrap();
        let program = compile(&graph).unwrap();
        let mut workspace = program.workspace(&State::new(graph.states())).unwrap();
        program.evaluate(&State::new(graph.states()), &[], &mut workspace).unwrap();
        let mut draws = program.output(&workspace, 0).to_f64();
        assert_eq!(draws.len(), 8 * (3 + 6 + 1));
        draws.sort_by(f64::total_cmp);
        draws.dedup();
        assert!(draws.len() > 8 * 10 - 3, "steps repeat each other's draws");
    }
}

#[test]
fn a_loop_updates_the_state_in_place() {
    let mut graph = Graph::new();
    let w = graph.state("w", StateKind::Parameter, &[32], DType::F64).unwrap();
    let x = graph.input("x", &[32], DType::F64);
    let next = graph.repeat(7, &[w], |outer, body, carries| {
        let x = body.lift(outer, x);
        let sum = body.binary(Binary::Add, carries[0], x)?;
        Ok(vec![body.unary(Unary::Sin, sum)?])
    });
    graph.update(w, next.unwrap()[0]).unwrap();
    let program = compile(&graph).unwrap();
    // The number of the step is all that the loop needs.
    assert!(program.workspace_bytes() <= 128, "{program}");
    assert_eq!(program.launches(), 7, "{program}");
    agrees(&graph, &[numbers(32, 1.0)], &[numbers(32, 2.0)], 3).unwrap();
}

#[test]
fn carries_change_places() {
    for count in 0..5 {
        let mut graph = Graph::new();
        let a = graph.state("a", StateKind::Parameter, &[5], DType::F32).unwrap();
        let b = graph.state("b", StateKind::Parameter, &[5], DType::F32).unwrap();
        let turned = graph.repeat(count, &[a, b, a], |_, _, c| Ok(vec![c[1], c[2], c[0]])).unwrap();
        graph.update(a, turned[1]).unwrap();
        graph.update(b, turned[0]).unwrap();
        graph.output("c", turned[2]);
        agrees(&graph, &[], &[numbers(5, 1.0), numbers(5, 2.0)], 3).unwrap();
    }
}

#[test]
fn what_nobody_uses_leaves_the_loop() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[3], DType::F32);
    let y = graph.input("y", &[3], DType::F32);
    let one = graph.constant_like(1.0, x);
    let looped = graph.scan(4, &[x, y, one], &[], |_, body, c, _| {
        let product = body.binary(Binary::Mul, c[0], c[2])?;
        let next = body.unary(Unary::Sin, product)?;
        let dead = body.binary(Binary::Add, c[1], next)?;
        Ok((vec![next, dead, c[2]], vec![dead, next]))
    });
    graph.output("y", looped.unwrap().stacks[1]);
    let simple = crate::compile::simplify(&graph).to_string();
    let expected = "\
%0 : F32[3] = Input(0)  # x
%1 : F32[15] = Loop 4, 1 carries, 0 slices %0
    %0 : Index[] = Input(0)  # step
    %1 : F32[3] = Input(1)  # carry 0
    %2 : F32[3] = Unary(Sin) %1
    output carry 0 = %2
    output stack 1 = %2
%2 : F32[4, 3] = Part(1) %1
output y = %2
";
    assert_eq!(simple, expected);
}

#[test]
fn errors_say_what_a_body_may_do() {
    let mut graph = Graph::new();
    let x = graph.input("x", &[3], DType::F32);
    let mut message = |body: fn(&mut Graph, NodeId) -> Result<NodeId>| -> String {
        let result: Result<Vec<NodeId>, Error> = graph.repeat(2, &[x], |_, inner, c| Ok(vec![body(inner, c[0])?]));
        result.unwrap_err().to_string()
    };
    assert_eq!(message(|body, x| body.sum(x, &[0])), "a loop: carry 0 begins as F32[3], and a step gives F32[]");
    assert_eq!(
        message(|body, x| {
            let w = body.state("w", StateKind::Parameter, &[3], DType::F32)?;
            body.update(w, x)?;
            Ok(x)
        }),
        "a loop: a body cannot update `w`; make it a carry and update it after the loop"
    );
    assert_eq!(
        message(|body, _| Ok(body.input("z", &[3], DType::F32))),
        "a loop: a body has no inputs and outputs of its own; lift what it reads, return what it gives"
    );
    let error = graph.scan(4, &[], &[x], |_, _, _, slices| Ok((vec![], slices.to_vec()))).unwrap_err();
    assert_eq!(error.to_string(), "a loop: a stack for 4 steps begins with an axis of 4, not [3]");
}
