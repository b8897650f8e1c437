//! Splines against zuko's, against differences, and against their inverse.

use super::spline;
use crate::ops::interpret;
use crate::tensor::{Const, Scope};
use serde_json::Value;

/// Values and logarithms of slopes, with 14 parameters for each element.
fn run(x: &[f64], parameters: &[f64], bound: f64, inverse: bool) -> [Vec<f64>; 2] {
    let scope = Scope::new(false);
    let input = scope.input::<(usize,), f64>("x", (x.len(),));
    let given = scope.input::<(usize, Const<14>), f64>("parameters", (x.len(), Const));
    let (y, slope) = spline(&input, &given, bound, inverse);
    scope.output("y", &y);
    scope.output("slope", &slope);
    let graph = scope.finish().expect("the parameters fit");
    let found = interpret(&graph, &[], &[x.to_vec(), parameters.to_vec()]).expect("the graph is well-formed");
    [found.outputs[0].clone(), found.outputs[1].clone()]
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{f} is not {e}");
    }
}

#[test]
fn values_are_those_of_zuko() {
    let file: Value = serde_json::from_str(include_str!("../../tests/fixtures/spline.json")).expect("well-formed");
    let vector = |v: &Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    let parameters: Vec<f64> = file["parameters"].as_array().unwrap().iter().flat_map(vector).collect();
    let [y, slope] = run(&vector(&file["x"]), &parameters, file["bound"].as_f64().unwrap(), false);
    assert_near(&y, &vector(&file["y"]), 1e-12);
    assert_near(&slope, &vector(&file["log_slope"]), 1e-12);
}

fn samples() -> (Vec<f64>, Vec<f64>) {
    let x: Vec<f64> = (0..60).map(|i| f64::from(i) * 0.12 - 3.54).collect();
    let parameters = (0..60 * 14).map(|i| 2.0 * (1.7 * f64::from(i)).sin()).collect();
    (x, parameters)
}

#[test]
fn the_inverse_goes_back() {
    let (x, parameters) = samples();
    let [y, slope] = run(&x, &parameters, 3.0, false);
    let [back, back_slope] = run(&y, &parameters, 3.0, true);
    assert_near(&back, &x, 1e-10);
    assert_near(&back_slope, &slope.iter().map(|s| -s).collect::<Vec<_>>(), 1e-8);
    assert!(slope.iter().any(|s| s.abs() > 0.5));
    for ((x, y), slope) in x.iter().zip(&y).zip(&slope).filter(|((x, _), _)| x.abs() >= 3.0) {
        assert_eq!((x, *slope), (y, 0.0));
    }
}

#[test]
fn slopes_are_derivatives() {
    let (x, parameters) = samples();
    let h = 1e-6;
    let at =
        |by: f64, inverse| run(&x.iter().map(|x| x + by).collect::<Vec<_>>(), &parameters, 3.0, inverse)[0].clone();
    for inverse in [false, true] {
        let slopes = run(&x, &parameters, 3.0, inverse)[1].iter().map(|s| s.exp()).collect::<Vec<_>>();
        let differences: Vec<f64> =
            at(h, inverse).iter().zip(at(-h, inverse)).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        // Where a knot lies between, the difference sees two pieces; the slope itself goes on through the knot.
        assert_near(&differences, &slopes, 1e-4);
        assert!(slopes.iter().all(|s| *s > 0.0));
    }
}

#[test]
fn zeros_are_the_identity() {
    let (x, _) = samples();
    let [y, slope] = run(&x, &vec![0.0; 60 * 14], 3.0, false);
    assert_near(&y, &x, 1e-12);
    assert_near(&slope, &vec![0.0; 60], 1e-12);
}

#[test]
fn errors_count_the_parameters() {
    let message = |width: usize, bound: f64| {
        let scope = Scope::new(false);
        let x = scope.input::<(usize,), f64>("x", (4,));
        let parameters = scope.input::<(usize, usize), f64>("parameters", (4, width));
        spline(&x, &parameters, bound, false);
        scope.finish().expect_err("it does not fit").to_string()
    };
    assert!(message(13, 3.0).contains("3K − 1 parameters each for K > 1 bins, not 52"));
    assert!(message(2, 3.0).contains("K > 1"));
    assert!(message(14, 0.0).contains("0 is not"));
}
