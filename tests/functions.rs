//! Functions and losses of the typed front against plain formulas in f64 and against PyTorch
//! (`fixtures/functions.py`), values and gradients, by the reference interpreter.

use ansatz::grad::grad;
use ansatz::graph::{Graph, NodeId};
use ansatz::ops::interpret;
use ansatz::tensor::*;
use serde_json::Value;

type Row = Var<(usize,), f64>;
type Matrix = Var<(usize, Const<5>), f64>;

fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures/functions.json")).expect("the fixtures are JSON")
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-12 * (1.0 + e.abs()) || f == e, "{what}[{i}] is {f} and should be {e}");
    }
}

/// The values of `outputs` for these inputs.
fn evaluate(mut graph: Graph, outputs: &[NodeId], inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    for (i, &node) in outputs.iter().enumerate() {
        graph.output(format!("{i}"), node);
    }
    let states: Vec<Vec<f64>> = graph.states().iter().map(|_| vec![3.0, 1.0, 4.0, 1.0]).collect();
    interpret(&graph, &states, inputs).expect("the graph is well-formed").outputs
}

/// y(x), and the gradient by x of the sum of all elements of y, weighted.
fn value_and_gradient<S: Shape, Dst: Shape>(
    shape: S,
    x: &[f64],
    weights: impl Fn(usize) -> Vec<f64>,
    f: impl Fn(&Scope, &Var<S, f64>) -> Var<Dst, f64>,
) -> (Vec<f64>, Vec<f64>) {
    let scope = Scope::new(true);
    let input = scope.input("x", shape);
    let y = f(&scope, &input);
    let w = scope.input("w", *y.shape());
    let total = sum::<Dst, (), Dst::AllAxes, f64>(&mul(&y, &w));
    let mut graph = scope.finish().expect("recording does not fail");
    let gradient = grad(&mut graph, total.id(), &[input.id()]).expect("the sum is a scalar");
    let mut found = evaluate(graph, &[y.id(), gradient[0]], &[x.to_vec(), weights(y.shape().num_elements())]);
    let gradient = found.pop().expect("two outputs");
    (found.pop().expect("two outputs"), gradient)
}

fn ones(len: usize) -> Vec<f64> {
    vec![1.0; len]
}

#[test]
fn elementwise_functions_by_pytorch() {
    let fixtures = &fixtures()["elementwise"];
    let x = reals(&fixtures["x"]);
    let functions: &[(&str, fn(&Row) -> Row)] = &[
        ("gelu", gelu),
        ("gelu_tanh", gelu_tanh),
        ("silu", silu),
        ("elu", |x| elu(x, 1.3)),
        ("leaky_relu", |x| leaky_relu(x, 0.02)),
        ("clamp", |x| clamp(x, -1.5, 2.0)),
        ("softplus", softplus),
        ("powf", |x| powf(x, 3.0)),
    ];
    let cases = fixtures["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), functions.len());
    for (case, (name, f)) in cases.iter().zip(functions) {
        assert_eq!(case["name"], *name);
        let (y, gradient) = value_and_gradient((x.len(),), &x, ones, |_, x| f(x));
        assert_close(name, &y, &reals(&case["y"]));
        assert_close(name, &gradient, &reals(&case["gradient"]));
    }
}

#[test]
fn functions_of_all_domains_by_pytorch() {
    let fixtures = &fixtures()["by_domain"];
    let one: &[(&str, fn(&Row) -> Row)] = &[
        ("atan", atan),
        ("tan", tan),
        ("sinh", sinh),
        ("cosh", cosh),
        ("asinh", asinh),
        ("exp2", exp2),
        ("floor", floor),
        ("ceil", ceil),
        ("round", round),
        ("log2", log2),
        ("acosh", acosh),
        ("atanh", atanh),
        ("asin", asin),
        ("acos", acos),
    ];
    let cases = fixtures["one"].as_array().expect("a list");
    assert_eq!(cases.len(), one.len());
    for (case, (name, f)) in cases.iter().zip(one) {
        assert_eq!(case["name"], *name);
        let x = reals(&case["x"]);
        let (y, gradient) = value_and_gradient((x.len(),), &x, ones, |_, x| f(x));
        assert_close(name, &y, &reals(&case["y"]));
        assert_close(name, &gradient, &reals(&case["gradient"]));
    }
    let two: &[(&str, fn(&Row, &Row) -> Row)] = &[("atan2", atan2), ("rem", rem)];
    let cases = fixtures["two"].as_array().expect("a list");
    assert_eq!(cases.len(), two.len());
    for (case, (name, f)) in cases.iter().zip(two) {
        assert_eq!(case["name"], *name);
        let (a, b) = (reals(&case["a"]), reals(&case["b"]));
        let scope = Scope::new(true);
        let (left, right) = (scope.input("a", (a.len(),)), scope.input("b", (b.len(),)));
        let y = f(&left, &right);
        let total = sum::<(usize,), (), Axis<0>, f64>(&y);
        let mut graph = scope.finish().expect("recording does not fail");
        let gradients = grad(&mut graph, total.id(), &[left.id(), right.id()]).expect("the sum is a scalar");
        let found = evaluate(graph, &[y.id(), gradients[0], gradients[1]], &[a, b]);
        assert_close(name, &found[0], &reals(&case["y"]));
        for i in 0..2 {
            assert_close(&format!("{name} by operand {i}"), &found[1 + i], &reals(&case["gradients"][i]));
        }
    }
}

#[test]
fn reductions_by_pytorch() {
    let fixtures = &fixtures()["reductions"];
    let x = reals(&fixtures["x"]);
    let check = |name: &str, f: &dyn Fn(&dyn Fn(usize) -> Vec<f64>) -> (Vec<f64>, Vec<f64>)| {
        let cases = fixtures["cases"].as_array().expect("a list");
        let case = cases.iter().find(|case| case["name"] == *name).expect("the fixture has the case");
        let (y, gradient) = f(&|_| reals(&case["weights"]));
        assert_close(name, &y, &reals(&case["y"]));
        assert_close(name, &gradient, &reals(&case["gradient"]));
    };
    let shape = (2, Const::<5>);
    type Last = Axis<1>;
    check("logsumexp", &|w| value_and_gradient(shape, &x, w, |_, x: &Matrix| logsumexp::<_, (usize,), Last, _>(x)));
    check("softmax", &|w| value_and_gradient(shape, &x, w, |_, x: &Matrix| softmax::<_, Last, _>(x)));
    check("log_softmax", &|w| value_and_gradient(shape, &x, w, |_, x: &Matrix| log_softmax::<_, Last, _>(x)));
    check("var", &|w| value_and_gradient(shape, &x, w, |_, x: &Matrix| var::<_, (usize,), Last, _>(x, false)));
    check("var_unbiased", &|w| value_and_gradient(shape, &x, w, |_, x: &Matrix| var::<_, (usize,), Last, _>(x, true)));
}

#[test]
fn cross_entropy_by_pytorch() {
    let fixtures = &fixtures()["cross_entropy"];
    let logits = reals(&fixtures["logits"]);
    let cases = fixtures["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 12);
    for case in cases {
        let scope = Scope::new(true);
        let x = scope.input::<(usize, Const<5>), f64>("x", (7, Const));
        let y = scope.input::<(usize,), In<Const<5>>>("y", (7,));
        let weights = scope.input::<(Const<5>,), f64>("weights", (Const,));
        let options = CrossEntropy {
            weights: (case["weighted"] == true).then_some(&weights),
            ignore: case["ignore"].as_u64().map(|class| class as usize),
            label_smoothing: case["label_smoothing"].as_f64().expect("a number"),
        };
        let loss = cross_entropy(&x, &y, options);
        let mut graph = scope.finish().expect("recording does not fail");
        let gradient = grad(&mut graph, loss.id(), &[x.id()]).expect("the loss is a scalar");
        let inputs = [logits.clone(), reals(&fixtures["targets"]), reals(&fixtures["weights"])];
        let found = evaluate(graph, &[loss.id(), gradient[0]], &inputs);
        let what = format!("{} {} {}", case["weighted"], case["ignore"], case["label_smoothing"]);
        assert_close(&what, &found[0], &[case["loss"].as_f64().expect("a number")]);
        assert_close(&what, &found[1], &reals(&case["gradient"]));
    }
}

#[test]
fn cross_entropy_over_several_leading_axes() {
    let fixtures = &fixtures()["cross_entropy"];
    let scope = Scope::new(true);
    let x = scope.input::<(Const<1>, usize, Const<5>), f64>("x", (Const, 7, Const));
    let y = scope.input::<(Const<1>, usize), In<Const<5>>>("y", (Const, 7));
    let loss = cross_entropy(&x, &y, CrossEntropy::default());
    let graph = scope.finish().expect("recording does not fail");
    let found = evaluate(graph, &[loss.id()], &[reals(&fixtures["logits"]), reals(&fixtures["targets"])]);
    assert_close("loss", &found[0], &[fixtures["cases"][0]["loss"].as_f64().expect("a number")]);
}

#[test]
fn binary_cross_entropy_by_pytorch() {
    let fixtures = &fixtures()["binary_cross_entropy"];
    let (x, t) = (reals(&fixtures["logits"]), reals(&fixtures["targets"]));
    let scope = Scope::new(true);
    let logits = scope.input::<(usize,), f64>("x", (x.len(),));
    let targets = scope.input::<(usize,), f64>("t", (x.len(),));
    let loss = bce_with_logits(&logits, &targets);
    let mut graph = scope.finish().expect("recording does not fail");
    let gradient = grad(&mut graph, loss.id(), &[logits.id()]).expect("the loss is a scalar");
    let found = evaluate(graph, &[loss.id(), gradient[0]], &[x, t]);
    assert_close("loss", &found[0], &[fixtures["loss"].as_f64().expect("a number")]);
    assert_close("gradient", &found[1], &reals(&fixtures["gradient"]));
}

#[test]
fn elementwise_functions_by_formula() {
    let x = [0.2, 0.9, 1.0, 1.7, 3.0];
    let b = [1.5, 0.9, -2.0, 0.25, 4.0];
    let unary: &[(fn(&Row) -> Row, fn(f64) -> f64)] = &[
        (neg, |x| -x),
        (abs, f64::abs),
        (|x| abs(&neg(x)), f64::abs),
        (sign, f64::signum),
        (recip, f64::recip),
        (square, |x| x * x),
        (sqrt, f64::sqrt),
        (rsqrt, |x| 1.0 / x.sqrt()),
        (exp, f64::exp),
        (expm1, f64::exp_m1),
        (ln, f64::ln),
        (log1p, f64::ln_1p),
        (sin, f64::sin),
        (cos, f64::cos),
        (tanh, f64::tanh),
        (sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (softplus, |x| x.exp().ln_1p()),
        (relu, |x| x.max(0.0)),
        (|x| relu(&neg(x)), |_| 0.0),
        (|x| powf(x, 2.5), |x| x.powf(2.5)),
        (|x| powf(x, -1.0), |x| 1.0 / x),
        (|x| powf(x, -0.5), |x| 1.0 / x.sqrt()),
        (|x| powf(x, 0.5), f64::sqrt),
        (|x| powf(x, 1.0), |x| x),
        (|x| powf(x, 2.0), |x| x * x),
        (|x| clamp(x, 0.5, 1.5), |x| x.clamp(0.5, 1.5)),
        (|x| constant_like(x, 2.5), |_| 2.5),
        (stop_gradient, |x| x),
    ];
    let binary: &[(fn(&Row, &Row) -> Row, fn(f64, f64) -> f64)] = &[
        (add, |a, b| a + b),
        (sub, |a, b| a - b),
        (mul, |a, b| a * b),
        (div, |a, b| a / b),
        (pow, f64::powf),
        (minimum, f64::min),
        (maximum, f64::max),
        (|a, b| select(&less(a, b), a, &neg(b)), |a, b| if a < b { a } else { -b }),
    ];
    let logical: &[(fn(&Row, &Row) -> Var<(usize,), bool>, fn(f64, f64) -> bool)] = &[
        (equal, |a, b| a == b),
        (not_equal, |a, b| a != b),
        (less, |a, b| a < b),
        (less_equal, |a, b| a <= b),
        (greater, |a, b| a > b),
        (greater_equal, |a, b| a >= b),
        (|a, b| not(&less(a, b)), |a, b| a >= b),
        (|a, b| and(&less(a, b), &less(a, &constant_like(a, 0.5))), |a, b| a < b && a < 0.5),
        (|a, b| or(&less(a, b), &less(a, &constant_like(a, 1.5))), |a, b| a < b || a < 1.5),
    ];
    for (i, (f, formula)) in unary.iter().enumerate() {
        let (y, _) = value_and_gradient((5,), &x, ones, |_, x| f(x));
        assert_close(&format!("unary {i}"), &y, &x.map(formula));
    }
    let pair = |f: &dyn Fn(&Row, &Row) -> NodeId| {
        let scope = Scope::new(false);
        let node = f(&scope.input("a", (5,)), &scope.input("b", (5,)));
        evaluate(scope.finish().expect("recording does not fail"), &[node], &[x.to_vec(), b.to_vec()]).remove(0)
    };
    for (i, (f, formula)) in binary.iter().enumerate() {
        let expected: Vec<f64> = x.iter().zip(&b).map(|(&a, &b)| formula(a, b)).collect();
        assert_close(&format!("binary {i}"), &pair(&|a, b| f(a, b).id()), &expected);
    }
    for (i, (f, formula)) in logical.iter().enumerate() {
        let expected: Vec<f64> = x.iter().zip(&b).map(|(&a, &b)| f64::from(u8::from(formula(a, b)))).collect();
        assert_close(&format!("logical {i}"), &pair(&|a, b| f(a, b).id()), &expected);
        assert_close(&format!("logical {i} as a real"), &pair(&|a, b| to_float::<_, _, f64>(&f(a, b)).id()), &expected);
    }
}

#[test]
fn reductions_and_arrangement_by_formula() {
    let x: Vec<f64> = vec![0.5, -1.0, 2.0, 3.0, 3.0, 7.0, 0.0, -4.0, 1.0, 6.5];
    let scope = Scope::new(false);
    let input: Matrix = scope.input("x", (2, Const));
    let column: Var<(usize,), f64> = mean::<_, _, Axis<1>, _>(&input);
    let nodes = [
        sum::<_, (usize,), Axis<1>, _>(&input).id(),
        sum::<_, (Const<5>,), Axis<0>, _>(&input).id(),
        sum::<_, (), Axes2<0, 1>, _>(&input).id(),
        column.id(),
        max::<_, (usize,), Axis<1>, _>(&input).id(),
        min::<_, (), Axes2<0, 1>, _>(&input).id(),
        argmax::<_, (usize,), Axis<1>, Const<5>, _>(&input).id(),
        mse(&input, &constant_like(&input, 1.0)).id(),
        sub(&input, &broadcast::<_, _, Axis<1>, _>(&column, *input.shape())).id(),
        concat::<(usize, Const<10>), f64, 2>(&[input.erase(), neg(&input).erase()], 1, (2, Const)).id(),
        squeeze::<(Const<1>, usize), (usize,), Axis<0>, f64>(&reshape(&column, (Const, 2))).id(),
        mean::<(), (), Axis<0>, f64>(&constant(&scope, 4.0, ())).id(),
    ];
    let found = evaluate(scope.finish().expect("recording does not fail"), &nodes, std::slice::from_ref(&x));
    let (top, bottom) = x.split_at(5);
    let means: Vec<f64> = [top, bottom].map(|row| row.iter().sum::<f64>() / 5.0).to_vec();
    let expected: [Vec<f64>; 12] = [
        vec![7.5, 10.5],
        top.iter().zip(bottom).map(|(a, b)| a + b).collect(),
        vec![18.0],
        means.clone(),
        vec![3.0, 7.0],
        vec![-4.0],
        vec![3.0, 0.0],
        vec![x.iter().map(|x| (x - 1.0) * (x - 1.0)).sum::<f64>() / 10.0],
        x.iter().enumerate().map(|(i, x)| x - means[i / 5]).collect(),
        [top, bottom].iter().flat_map(|row| row.iter().copied().chain(row.iter().map(|x| -x))).collect(),
        means,
        vec![4.0],
    ];
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_close(&format!("{i}"), found, expected);
    }
}

#[test]
fn logsumexp_may_be_infinite() {
    let scope = Scope::new(false);
    let x: Matrix = scope.input("x", (2, Const));
    let y = logsumexp::<_, (usize,), Axis<1>, _>(&x);
    let mut values = vec![f64::NEG_INFINITY; 5];
    values.extend([1.0, f64::INFINITY, 0.0, 2.0, 3.0]);
    let found = evaluate(scope.finish().expect("recording does not fail"), &[y.id()], &[values]);
    assert_eq!(found[0], [f64::NEG_INFINITY, f64::INFINITY]);
}

/// The second derivative of softmax is not spoilt by the shift that the first takes for a constant.
#[test]
fn softmax_has_a_second_derivative() {
    let x = [0.3, -0.7, 1.1, 0.0, 0.4];
    let scope = Scope::new(false);
    let input: Var<(Const<5>,), f64> = scope.input("x", (Const,));
    let square = sum::<_, (), Axis<0>, _>(&square(&softmax::<_, Axis<0>, _>(&input)));
    let mut graph = scope.finish().expect("recording does not fail");
    let first = grad(&mut graph, square.id(), &[input.id()]).expect("a scalar")[0];
    let element = graph.slice(first, 0, 2, 1).and_then(|one| graph.reshape(one, &[])).expect("five elements");
    let second = grad(&mut graph, element, &[input.id()]).expect("a scalar")[0];
    let found = evaluate(graph, &[first, second], &[x.to_vec()]);

    // f = Σ p², with p = softmax x: ∂f/∂x_i = 2 p_i (p_i − f), and by differences of that for the second.
    let gradient = |x: [f64; 5]| {
        let total: f64 = x.iter().map(|x| x.exp()).sum();
        let p = x.map(|x| x.exp() / total);
        let f: f64 = p.iter().map(|p| p * p).sum();
        p.map(|p| 2.0 * p * (p - f))
    };
    assert_close("first", &found[0], &gradient(x));
    for i in 0..5 {
        let step = 1e-5;
        let moved = |by: f64| {
            let mut x = x;
            x[i] += by;
            gradient(x)[2]
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((found[1][i] - difference).abs() < 1e-9, "{} {difference}", found[1][i]);
    }
}

#[test]
fn dropout_acts_in_training_alone() {
    let record = |training: bool, p: f64| {
        let scope = Scope::new(training);
        let x: Row = scope.input("x", (10_000,));
        let y = dropout(&scope.child("dropout1"), &x, p);
        evaluate(scope.finish().expect("recording does not fail"), &[y.id()], &[vec![3.0; 10_000]]).remove(0)
    };
    assert!(record(false, 0.25).iter().all(|&y| y == 3.0));
    assert!(record(true, 1.0).iter().all(|&y| y == 0.0));
    let y = record(true, 0.25);
    let kept = y.iter().filter(|&&y| y != 0.0).count() as f64;
    assert!(y.iter().all(|&y| y == 0.0 || (y - 4.0).abs() < 1e-12));
    // Five standard deviations of 10 000 draws.
    assert!((kept - 7500.0).abs() < 5.0 * (10_000.0f64 * 0.25 * 0.75).sqrt(), "{kept}");
}

#[test]
fn draws_have_their_probability() {
    let scope = Scope::new(false);
    let ones: Row = bernoulli(&scope.child("bernoulli1"), (10_000,), 0.3);
    let found = evaluate(scope.finish().expect("recording does not fail"), &[ones.id()], &[]).remove(0);
    let count = found.iter().filter(|&&one| one == 1.0).count() as f64;
    assert!(found.iter().all(|&one| one == 0.0 || one == 1.0));
    assert!((count - 3000.0).abs() < 5.0 * (10_000.0f64 * 0.3 * 0.7).sqrt(), "{count}");
}

#[test]
fn what_cannot_be_recorded_is_said() {
    let message = |f: fn(&Scope, &Row)| {
        let scope = Scope::new(true);
        f(&scope.child("net"), &scope.input("x", (4,)));
        scope.finish().expect_err("the call is wrong").to_string()
    };
    assert_eq!(
        message(|scope, x| drop(dropout(&scope.child("dropout1"), x, 1.5))),
        "dropout at `net.dropout1` is given 1.5; a probability lies between 0 and 1"
    );
    assert_eq!(
        message(|_, x| drop(clamp(x, 2.0, 1.0))),
        "clamp is given the bounds 2 and 1; the first must not exceed the second"
    );
    assert!(message(|_, x| drop(squeeze::<_, (), Axis<0>, _>(x))).contains("is not 1"));
    assert!(message(|scope, x| drop(add(x, &scope.input("y", (5,))))).contains("should be 4 and is 5"));
}
