//! Solutions in nets against the solvers on the host, against finite differences, and each other.

use super::*;
use crate::Result;
use crate::grad::grad;
use crate::graph::{DType, Graph, NodeId, StateKind};
use crate::run::compile;
use crate::run::{Data, State};
use crate::tensor::{Axes2, Const, Float, Scope, Var, add, broadcast, mul, record, square, sum, tanh};

type Rows<E> = Var<(Const<3>, Const<4>), E>;
const LEN: usize = 12;

/// tanh(y W + s b), with the parameters W and b.
fn field<E: Float>(scope: &Scope, s: Var<(), E>, y: Rows<E>) -> Rows<E> {
    let w = scope.parameter::<(Const<4>, Const<4>), E>("w", Default::default());
    let b = scope.parameter::<(Const<3>, Const<4>), E>("b", Default::default());
    let product = record(&[&y.erase(), &w.erase()], *y.shape(), &|g, n| g.matmul(n[0], n[1], [false, false]));
    let time = broadcast::<_, _, Axes2<0, 1>, _>(&s, *y.shape());
    tanh(&add(&product, &mul(&time, &b)))
}

/// y at the end, then Σ y² and its gradients by the start, W and b.
fn solved<E: Float>(how: &Integral) -> Graph {
    let scope = Scope::new(true);
    let x = scope.input::<(Const<3>, Const<4>), E>("x", Default::default());
    let y = integrate(&x, how, |s, y| field(&scope, s, y));
    let loss = sum::<_, (), Axes2<0, 1>, E>(&square(&y));
    let mut graph = scope.finish().expect("nothing is wrong");
    let states: Vec<NodeId> = ["w", "b"]
        .into_iter()
        .zip([[4, 4], [3, 4]])
        .map(|(key, dims)| graph.state(key, StateKind::Parameter, &dims, E::DTYPE).expect("the known state"))
        .collect();
    graph.output("y", y.id());
    graph.output("loss", loss.id());
    let gradients = grad(&mut graph, loss.id(), &[x.id(), states[0], states[1]]).expect("the loss is a scalar");
    for (name, gradient) in ["x", "w", "b"].into_iter().zip(gradients) {
        graph.output(name, gradient);
    }
    graph
}

fn numbers(len: usize, shift: f64) -> Vec<f64> {
    (0..len).map(|i| (1.7 * i as f64 + shift).sin()).collect()
}

/// Runs a graph in f64; `nudge` adds to one element of x, w or b.
fn run(graph: &Graph, nudge: Option<(usize, usize, f64)>) -> Vec<Vec<f64>> {
    let program = compile(graph).expect("the graph is well-formed");
    let mut state = State::new(graph.states());
    let mut values = [numbers(LEN, 0.3), numbers(16, 1.0), numbers(LEN, 2.0)];
    if let Some((tensor, at, by)) = nudge {
        values[tensor][at] += by;
    }
    for (key, values) in ["w", "b"].into_iter().zip(&values[1..]) {
        let slot = state.position(key).expect("the state is there");
        assert!(state.set(slot, Data::F64(values)), "the state is f64");
    }
    let mut workspace = program.workspace(&state).expect("there is memory");
    program.run(&mut state, &[Data::F64(&values[0])], &mut workspace).expect("it runs");
    (0..graph.outputs().len()).map(|i| program.output(&workspace, i).to_f64()).collect()
}

fn on_host(how: &Integral) -> Vec<f64> {
    let (w, b) = (numbers(16, 1.0), numbers(LEN, 2.0));
    let field = |s: f64, y: &[f64], dy: &mut [f64]| {
        for i in 0..LEN {
            let product: f64 = (0..4).map(|k| y[i / 4 * 4 + k] * w[4 * k + i % 4]).sum();
            dy[i] = (product + s * b[i]).tanh();
        }
        Ok(())
    };
    let solver = Solver { method: how.method, steps: Steps::Fixed(how.steps) };
    solver.solve(field, how.span.clone(), &numbers(LEN, 0.3)).expect("a smooth field").y
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}: {f} is not {e}");
    }
    assert_eq!(found.len(), expected.len());
}

const METHODS: [&Method; 7] = [&EULER, &MIDPOINT, &HEUN, &RK4, &BOSH3, &DOPRI5, &TSIT5];

#[test]
fn values_are_those_of_the_host() {
    for method in METHODS {
        for (span, steps) in [(0.0..1.0, 1), (0.5..-1.0, 7), (0.0..2.0, 4)] {
            for gradient in [Gradient::Stored, Gradient::Recompute, Gradient::Adjoint] {
                let how = Integral { span: span.clone(), method, steps, gradient };
                let found = run(&solved::<f64>(&how), None);
                assert_near(&found[0], &on_host(&how), 1e-13, &format!("{how:?}"));
            }
        }
    }
}

#[test]
fn stored_and_recomputed_gradients_are_exact() {
    for (method, steps) in [(&RK4, 5), (&BOSH3, 10), (&HEUN, 16), (&TSIT5, 1), (&EULER, 3)] {
        let graph = |gradient| solved::<f64>(&Integral { span: 0.0..1.5, method, steps, gradient });
        let stored = graph(Gradient::Stored);
        let found = run(&stored, None);
        let again = run(&graph(Gradient::Recompute), None);
        for (tensor, at) in [(0, 3), (0, 11), (1, 0), (1, 9), (2, 5)] {
            let loss = |by: f64| run(&stored, Some((tensor, at, by)))[1][0];
            let difference = (8.0 * (loss(1e-3) - loss(-1e-3)) - (loss(2e-3) - loss(-2e-3))) / 12e-3;
            assert_near(&[found[2 + tensor][at]], &[difference], 1e-8, method.name);
        }
        for (a, b) in found.iter().zip(&again) {
            assert_near(b, a, 1e-13, method.name);
        }
    }
}

/// The adjoint method and the derivative of the steps tend to one another like the method to the solution.
#[test]
fn the_adjoint_gradient_tends_to_the_discrete_one() {
    for (method, steps) in [(&RK4, 60), (&TSIT5, 24), (&DOPRI5, 24), (&BOSH3, 300)] {
        let difference = |steps| {
            let graph = |gradient| solved::<f64>(&Integral { span: 0.0..1.5, method, steps, gradient });
            let [stored, adjoint] = [Gradient::Stored, Gradient::Adjoint].map(|g| run(&graph(g), None));
            let pairs = stored[2..].iter().flatten().zip(adjoint[2..].iter().flatten());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let (coarse, fine) = (difference(steps / 2), difference(steps));
        assert!(fine < 1e-6, "{}: {fine:e}", method.name);
        let order = (coarse / fine).log2();
        assert!(order > f64::from(method.order) - 0.6, "{}: {order}", method.name);
    }
}

#[test]
fn memory_grows_as_announced() {
    let bytes = |gradient, steps| {
        let how = Integral { span: 0.0..1.0, method: &RK4, steps, gradient };
        compile(&solved::<f32>(&how)).expect("the graph is well-formed").workspace_bytes()
    };
    let value = LEN * 4;
    assert_eq!(bytes(Gradient::Adjoint, 1000), bytes(Gradient::Adjoint, 10));
    // 33 parts and a rest, and at most 32 steps of a part.
    let between = bytes(Gradient::Recompute, 1024) - bytes(Gradient::Recompute, 16);
    assert!(between <= 2 * 64 * value && between >= 28 * value, "{between}");
    let between = bytes(Gradient::Recompute, 4096) - bytes(Gradient::Recompute, 1024);
    assert!(between <= 2 * 72 * value && between >= 28 * value, "{between}");
    let between = bytes(Gradient::Stored, 1000) - bytes(Gradient::Stored, 10);
    assert!(between >= 990 * value * 4, "{between}");
}

#[test]
fn second_derivatives_go_through() {
    // The gradient of Σ (∂L/∂x)² by x, against differences of it.
    for gradient in [Gradient::Stored, Gradient::Recompute, Gradient::Adjoint] {
        let how = Integral { span: 0.0..1.0, method: &RK4, steps: 12, gradient };
        let scope = Scope::new(true);
        let x = scope.input::<(Const<3>, Const<4>), f64>("x", Default::default());
        let y = integrate(&x, &how, |s, y| field(&scope, s, y));
        let loss = sum::<_, (), Axes2<0, 1>, f64>(&square(&y));
        let mut graph = scope.finish().expect("nothing is wrong");
        let first = grad(&mut graph, loss.id(), &[x.id()]).expect("a scalar")[0];
        let squares = graph.unary(crate::graph::Unary::Square, first).expect("reals");
        let total = graph.sum(squares, &[0, 1]).expect("two axes");
        let second = grad(&mut graph, total, &[x.id()]).expect("a scalar")[0];
        graph.output("total", total);
        graph.output("second", second);
        let found = run(&graph, None);
        for at in [0, 7] {
            let total = |by: f64| run(&graph, Some((0, at, by)))[0][0];
            let difference = (total(1e-4) - total(-1e-4)) / 2e-4;
            // What the adjoint method differentiates is its own gradient, not that of the steps.
            assert_near(&[found[1][at]], &[difference], 1e-5, &format!("{gradient:?}"));
        }
    }
}

#[test]
fn errors_name_what_a_field_may_not_do() -> Result<()> {
    let how = Integral { span: 0.0..1.0, method: &RK4, steps: 2, gradient: Gradient::Stored };
    let message = |how: &Integral| {
        let scope = Scope::new(true);
        let x = scope.input::<(Const<3>, Const<4>), f64>("x", Default::default());
        integrate(&x, how, |s, y| field(&scope, s, y));
        scope.finish().expect_err("it cannot be solved").to_string()
    };
    assert!(message(&Integral { steps: 0, ..how.clone() }).contains("at least one step"));
    assert!(message(&Integral { span: 0.0..f64::INFINITY, ..how.clone() }).contains("finite times"));
    // A value that escapes from the field is not a number.
    let scope = Scope::new(true);
    let x = scope.input::<(Const<3>, Const<4>), f64>("x", Default::default());
    let mut escaped = None;
    integrate(&x, &how, |s, y| {
        escaped = Some(y.clone());
        field(&scope, s, y)
    });
    let mut graph = scope.finish()?;
    graph.output("escaped", escaped.expect("the field was recorded").id());
    assert!(run(&graph, None)[0].iter().all(|x| x.is_nan()));
    // The same field as one part of the state: it is not copied.
    assert_eq!(graph.states().len(), 2);
    assert!(graph.states().iter().all(|slot| slot.dtype == DType::F64));
    Ok(())
}
