//! Attention in the language, against PyTorch and transformers (`fixtures/attention.py`), and its properties in nets.
#![deny(warnings)]

use ansatz::grad::grad;
use ansatz::graph::{Binary, Graph, NodeId, Unary};
use ansatz::ops::interpret;
use ansatz::prelude::*;
use ansatz::tensor::{Attention, Const, Scope, Var, attention};
use serde_json::Value;

net! {
    pub dim Heads = 6;
    pub dim Shared = 3;
    pub dim Width = 4;
    pub dim Length = 5;

    pub net Plain(q: [n, Heads, t, Width], k: [n, Shared, s, Width], v: [n, Shared, s, Width]) -> [n, Heads, t, Width] {
        attention(q, k, v, scale = 0.5)
    }
    pub net Causal(q: [n, Heads, t, Width], k: [n, Shared, s, Width], v: [n, Shared, s, Width]) -> [n, Heads, t, Width] {
        q |> attention(k, v, causal = true)
    }
    pub net Window(q: [n, Heads, t, Width], k: [n, Shared, s, Width], v: [n, Shared, s, Width]) -> [n, Heads, t, Width] {
        attention(q, k, v, causal = true, window = 2)
    }
    pub net Keys(q: [n, Heads, t, Width], k: [n, Shared, s, Width], v: [n, Shared, s, Width], x: [n, s]) -> [n, Heads, t, Width] {
        attention(q, k, v, mask = x > -0.9)
    }
    pub net Lengths(q: [n, Heads, t, Width], k: [n, Shared, s, Width], v: [n, Shared, s, Width], x: [n] in Length) -> [n, Heads, t, Width] {
        attention(q, k, v, lengths = x)
    }
    pub net Bias(q: [n, Heads, t, Width], k: [n, Shared, s, Width], v: [n, Shared, s, Width], x: [n, 1, t, s]) -> [n, Heads, t, Width] {
        attention(q, k, v, mask = x)
    }
    pub net Alibi(q: [n, Heads, t, Width], k: [n, Shared, s, Width], v: [n, Shared, s, Width]) -> [n, Heads, t, Width] {
        attention(q, k, v, causal = true, alibi = true)
    }
    pub net Turned(x: [n, Heads, t, Width], start: [n] in Length) -> [n, Heads, t, Width] {
        x |> rotary(base = 500, start)
    }
    pub net Neighbours(x: [n, Heads, t, Width]) -> [n, Heads, t, Width] {
        x |> rotary(interleaved = true)
    }

    pub net Relative(x: [n, Heads, t, Width], start: [n] in Length) -> [n, Heads, t, Width] {
        let turned = x |> rotary(start);
        attention(turned, turned, x)
    }

    /// Two layers of causal attention with rotary positions and shared keys, for the checker of derivatives.
    net Layer(x: [n, Heads, t, Width]) -> [n, Heads, t, Width] {
        let (q, k) = (x |> query: linear(Width) |> rotary, x |> key: linear(Width) |> rotary(interleaved = true));
        x + attention(q, k, x |> value: linear(Width), causal = true, window = 3, alibi = true)
    }
    pub net Loss(x: [n, Heads, Length, Width], m: [n, Length]) -> [] {
        let y = x |> [Layer; 2];
        square(attention(y, x, y, mask = m > -0.5)) |> mean
    }
}

ansatz::gradcheck!(Loss);

fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures/attention.json")).expect("the fixtures are JSON")
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}[{i}] is {f} and should be {e}");
    }
}

fn numbers(len: usize, step: f64) -> Vec<f64> {
    (0..len).map(|i| (i as f64 * step).sin() * 1.5).collect()
}

const QUERIES: (usize, Heads, usize, Width) = (2, Heads, 3, Width);
const KEYS: (usize, Shared, usize, Width) = (2, Shared, 4, Width);

type Queries = Tensor<(usize, Heads, usize, Width), f64, Cpu>;
type Keyed = Tensor<(usize, Shared, usize, Width), f64, Cpu>;

fn operands() -> (Queries, Keyed, Keyed) {
    let tensor = |step| from_vec(numbers(96, step), KEYS).expect("the numbers fill the shape");
    (from_vec(numbers(144, 0.7), QUERIES).expect("the numbers fill the shape"), tensor(1.1), tensor(1.3))
}

#[test]
fn every_way_to_attend_is_that_of_pytorch() {
    let expected = fixtures();
    let check = |name: &str, y: ansatz::Result<Queries>| {
        assert_close(name, &to_vec(&y.expect("it runs")), &reals(&expected[name][0]), 1e-11);
    };
    let (q, k, v) = operands();
    check("plain", Plain::<f64>::init(0).forward(q.clone(), k.clone(), v.clone()));
    check("causal", Causal::<f64>::init(0).forward(q.clone(), k.clone(), v.clone()));
    check("window", Window::<f64>::init(0).forward(q.clone(), k.clone(), v.clone()));
    check("alibi", Alibi::<f64>::init(0).forward(q.clone(), k.clone(), v.clone()));
    let present = from_vec(numbers(8, 0.9), (2, 4)).expect("eight numbers");
    check("keys", Keys::<f64>::init(0).forward(q.clone(), k.clone(), v.clone(), present));
    let lengths = Indices::<(usize,), Length>::new(vec![3, 4], (2,)).expect("two lengths");
    check("lengths", Lengths::<f64>::init(0).forward(q.clone(), k.clone(), v.clone(), lengths));
    let bias = from_vec(numbers(24, 0.37), (2, Const::<1>, 3, 4)).expect("24 numbers");
    check("bias", Bias::<f64>::init(0).forward(q, k, v, bias));
}

/// Records a function of queries, keys and values as the typed front does.
fn recorded(how: &Attention) -> (Graph, [NodeId; 3], NodeId) {
    let scope = Scope::new(true);
    let q: Var<_, f64> = scope.input("q", QUERIES);
    let k: Var<_, f64> = scope.input("k", KEYS);
    let v: Var<_, f64> = scope.input("v", KEYS);
    let y = attention(&q, &k, &v, QUERIES, how.clone());
    let ids = ([q.id(), k.id(), v.id()], y.id());
    (scope.finish().expect("the graph is well-formed"), ids.0, ids.1)
}

#[test]
fn gradients_are_those_of_pytorch() {
    let expected = fixtures();
    let causal = Attention { causal: true, ..Attention::default() };
    let all = [
        ("plain", Attention { scale: Some(0.5), ..Attention::default() }),
        ("window", Attention { window: Some(2), ..causal.clone() }),
        ("alibi", Attention { alibi: true, ..causal.clone() }),
        ("causal", causal),
    ];
    for (name, how) in all {
        let (mut graph, x, y) = recorded(&how);
        let square = graph.unary(Unary::Square, y).expect("reals");
        let sum = graph.sum(square, &[0, 1, 2, 3]).expect("four axes");
        let factor = graph.constant_like(1.0 / 144.0, sum);
        let mean = graph.binary(Binary::Mul, sum, factor).expect("scalars");
        let d = grad(&mut graph, mean, &x).expect("a scalar");
        let inputs = [numbers(144, 0.7), numbers(96, 1.1), numbers(96, 1.3)];
        let result = interpret(&graph, &[], &inputs).expect("it runs");
        assert_close(name, result.value(y), &reals(&expected[name][0]), 1e-11);
        for (i, d) in d.into_iter().enumerate() {
            assert_close(&format!("d{i} of {name}"), result.value(d), &reals(&expected[name][1 + i]), 1e-11);
        }
    }
}

#[test]
fn rotary_positions_are_those_of_llama_and_gpt_j() {
    let expected = fixtures();
    let x = || from_vec(numbers(144, 0.7), QUERIES).expect("the numbers fill the shape");
    let start = Indices::<(usize,), Length>::new(vec![3, 3], (2,)).expect("two positions");
    let y: Queries = Turned::<f64>::init(0).forward(x(), start).expect("it runs");
    assert_close("rotary", &to_vec(&y), &reals(&expected["rotary"]), 1e-11);
    let y: Queries = Neighbours::<f64>::init(0).forward(x()).expect("it runs");
    // Its tables are made of f32.
    assert_close("interleaved", &to_vec(&y), &reals(&expected["rotary_interleaved"]), 1e-6);
}

/// Turned queries and keys know their distance alone.
#[test]
fn results_of_turned_vectors_depend_on_distances_alone() {
    let (q, ..) = operands();
    let [now, later] = [0, 4].map(|at| {
        let start = Indices::<(usize,), Length>::new(vec![at; 2], (2,)).expect("two positions");
        to_vec::<_, f64>(&Relative::<f64>::init(0).forward(q.clone(), start).expect("it runs"))
    });
    assert_close("moved", &later, &now, 1e-12);
}
