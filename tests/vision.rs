//! Pooling, up-sampling and norms against PyTorch (`fixtures/vision.py`): values and gradients.
#![deny(warnings)]

use ansatz::grad::grad;
use ansatz::ops::interpret;
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
