//! Pooling, up-sampling and norms against PyTorch (`fixtures/vision.py`): values and gradients.
#![deny(warnings)]

use ansatz::grad::grad;
use ansatz::graph::{Binary, NodeId, Op, StateKind};
use ansatz::nn;
use ansatz::ops::interpret;
use ansatz::prelude::*;
use ansatz::tensor::*;
use serde_json::Value;

fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures/vision.json")).expect("the fixtures are JSON")
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn sizes(value: &Value) -> Vec<usize> {
    reals(value).into_iter().map(|size| size as usize).collect()
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-12 * (1.0 + e.abs()), "{what}[{i}] is {f} and should be {e}");
    }
}

fn sample(len: usize) -> Vec<f64> {
    (0..len).map(|i| i as f64).map(|i| 3.0 * (1.3 * i).sin() + (0.7 * i * i).cos()).collect()
}

/// The function of a case on its sample, with its gradient, against PyTorch.
fn check<S: Shape, Dst: Shape>(case: &Value, f: impl Fn(&Value, &Var<S, f64>, Dst) -> Var<Dst, f64>) {
    let (dims, result) = (sizes(&case["shape"]), sizes(&case["result"]));
    let shape = |sizes: &[usize]| {
        let mut concrete = S::Concrete::default();
        (0..sizes.len()).for_each(|i| concrete[i] = sizes[i]);
        S::from_concrete(&concrete).expect("all sizes are known at run time")
    };
    let mut concrete = Dst::Concrete::default();
    (0..result.len()).for_each(|i| concrete[i] = result[i]);
    let result = Dst::from_concrete(&concrete).expect("all sizes are known at run time");
    let scope = Scope::new(true);
    let x = scope.input("x", shape(&dims));
    let y = f(case, &x, result);
    let w = scope.input("w", result);
    let total = sum::<Dst, (), Dst::AllAxes, f64>(&mul(&y, &w));
    let mut graph = scope.finish().expect("recording does not fail");
    let gradient = grad(&mut graph, total.id(), &[x.id()]).expect("the sum is a scalar")[0];
    graph.output("y", y.id());
    graph.output("gradient", gradient);
    let weights = (0..result.num_elements()).map(|i| (0.37 * i as f64).cos()).collect();
    let found = interpret(&graph, &[], &[sample(dims.iter().product()), weights]).expect("well-formed").outputs;
    let name = format!("{} of {dims:?}", case["name"]);
    assert_close(&name, &found[0], &reals(&case["y"]));
    assert_close(&format!("{name}, gradient"), &found[1], &reals(&case["gradient"]));
}

fn pool<S: Shape>(case: &Value, x: &Var<S, f64>, shape: S) -> Var<S, f64> {
    let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|name| sizes(&case[name]));
    let windows = Windows { kernel: &kernel, stride: &stride, padding: &padding };
    match case["name"].as_str() {
        Some("max_pool") => max_pool(x, shape, windows),
        name => avg_pool(x, shape, windows, name == Some("avg_pool")),
    }
}

#[test]
fn pooling_by_pytorch() {
    for case in fixtures()["pooling"].as_array().expect("a list") {
        match sizes(&case["shape"]).len() {
            3 => check::<(usize, usize, usize), (usize, usize, usize)>(case, pool),
            _ => check::<(usize, usize, usize, usize), (usize, usize, usize, usize)>(case, pool),
        }
    }
}

#[test]
fn upsampling_by_pytorch() {
    type Images = (usize, usize, usize, usize);
    for case in fixtures()["upsampling"].as_array().expect("a list") {
        let factor = case["factor"].as_u64().expect("a number") as usize;
        check::<Images, Images>(case, |case, x, shape| match case["name"].as_str() {
            Some("upsample_nearest") => upsample_nearest(x, shape, factor),
            _ => upsample_bilinear(x, shape, factor),
        });
    }
}

net! {
    pub dim Channel = 6;

    pub net Batch(x: [n, Channel, h, w]) -> [n, Channel, h, w] { x |> norm: batch_norm }
    pub net Group(x: [n, Channel, h, w]) -> [n, Channel, h, w] { x |> norm: group_norm(3) }
    pub net Instance(x: [n, Channel, h, w]) -> [n, Channel, h, w] { x |> instance_norm }
    pub net LastAxis(x: [n, t, Channel]) -> [n, t, Channel] { x |> norm: layer_norm }
    pub net Power(x: [n, t, Channel]) -> [n, t, Channel] { x |> norm: rms_norm }
}

/// A net of one norm, with its gradients and what becomes of its running statistics.
fn check_norm<N: nn::Net<f64>>(case: &Value, dims: &[usize]) {
    let name = &case["name"];
    let mut graph = nn::trace::<f64, N>(dims, case["training"] == true).expect("the net is recorded");
    let x = graph.nodes().find(|(_, node)| node.op == Op::Input(0)).map(|(id, _)| id).expect("an input");
    let y = graph.outputs()[0].1;
    let sizes = graph[y].dims.clone();
    let w = graph.input("w", &sizes, graph[y].dtype);
    let product = graph.binary(Binary::Mul, y, w).expect("equal shapes");
    let total = graph.sum(product, &(0..sizes.len()).collect::<Vec<_>>()).expect("all axes");
    let parameters: Vec<(String, NodeId)> = (graph.nodes())
        .filter_map(|(id, node)| match node.op {
            Op::State(i) if graph.states()[i].kind == StateKind::Parameter => Some((graph.states()[i].key.clone(), id)),
            _ => None,
        })
        .collect();
    let wrt: Vec<NodeId> = [x].into_iter().chain(parameters.iter().map(|(_, id)| *id)).collect();
    let gradients = grad(&mut graph, total, &wrt).expect("a scalar");
    for (i, gradient) in gradients.into_iter().enumerate() {
        graph.output(format!("{i}"), gradient);
    }
    let value = |key: &str, c: f64| match key {
        "norm.weight" => 1.5 + c.cos(),
        "norm.bias" => (2.0 * c).sin(),
        "norm.running_mean" => 0.3 * c - 0.5,
        _ => 0.5 + 0.25 * c,
    };
    let mut states: Vec<Vec<f64>> =
        graph.states().iter().map(|slot| (0..6).map(|c| value(&slot.key, f64::from(c))).collect()).collect();
    let len: usize = sizes.iter().product();
    let inputs = [sample(len), (0..len).map(|i| (0.37 * i as f64).cos()).collect()];
    let found = interpret(&graph, &states, &inputs).expect("well-formed");
    assert_close(&format!("{name}"), &found.outputs[0], &reals(&case["y"]));
    assert_close(&format!("{name}, gradient"), &found.outputs[1], &reals(&case["gradient"]));
    for ((key, _), found) in parameters.iter().zip(&found.outputs[2..]) {
        assert_close(&format!("{name}, {key}"), found, &reals(&case["parameters"][key.trim_start_matches("norm.")]));
    }
    for _ in 0..2 {
        states = interpret(&graph, &states, &inputs).expect("well-formed").states;
    }
    for (slot, found) in graph.states().iter().zip(&states).filter(|(slot, _)| slot.kind == StateKind::Buffer) {
        let key = slot.key.trim_start_matches("norm.");
        assert_close(&format!("{name}, {key}"), found, &reals(&case["buffers"][key]));
    }
}

#[test]
fn norms_by_pytorch() {
    for case in fixtures()["norms"].as_array().expect("a list") {
        match case["name"].as_str() {
            Some("batch_norm") => check_norm::<Batch<f64>>(case, &[3, 2, 4]),
            Some("group_norm") => check_norm::<Group<f64>>(case, &[3, 2, 4]),
            Some("instance_norm") => check_norm::<Instance<f64>>(case, &[3, 2, 4]),
            Some("layer_norm") => check_norm::<LastAxis<f64>>(case, &[3, 2]),
            _ => check_norm::<Power<f64>>(case, &[3, 2]),
        }
    }
}
