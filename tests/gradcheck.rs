//! The checker of derivatives, from outside the crate: it finds a wrong one, and passes a right one.

use ansatz::check::{Domain, Failure, Input, NetSettings, Settings, derivative};
use ansatz::graph::{Binary, Custom, DType, Function, Graph, NodeId, Unary, Values};
use ansatz::tensor::{Float, Shape, Var};
use ansatz::{Result, grad, net, ops};
use dfdx::prelude::*;
use std::f64::consts::FRAC_1_SQRT_2;

fn any_length(domain: Domain) -> [Input; 1] {
    [Input::new("x", 1..=8, domain)]
}

fn dfdx_gelu(x: &[Vec<f64>]) -> Result<Vec<f64>> {
    let x: Tensor<(usize,), f64, Cpu> = Cpu::default().tensor((x[0].clone(), (x[0].len(),)));
    Ok(x.accurate_gelu().as_vec())
}

fn dfdx_gelu_vjp(x: &[Vec<f64>], cotangent: &[f64]) -> Result<Vec<Vec<f64>>> {
    let device = Cpu::default();
    let x: Tensor<(usize,), f64, Cpu> = device.tensor((x[0].clone(), (x[0].len(),)));
    let c = device.tensor((cotangent.to_vec(), (cotangent.len(),)));
    let gradients = (x.leaky_trace().accurate_gelu() * c).sum().backward();
    Ok(vec![gradients.get(&x).as_vec()])
}

/// x/2 · (1 + erf(x/√2)) of the graph's own ops.
fn gelu(graph: &mut Graph, x: NodeId) -> Result<NodeId> {
    let [half, one, scale] = [0.5, 1.0, FRAC_1_SQRT_2].map(|value| graph.constant_like(value, x));
    let scaled = graph.binary(Binary::Mul, x, scale)?;
    let erf = graph.unary(Unary::Erf, scaled)?;
    let twice = graph.binary(Binary::Add, erf, one)?;
    let halved = graph.binary(Binary::Mul, x, half)?;
    graph.binary(Binary::Mul, halved, twice)
}

fn own_gelu(x: &[Vec<f64>]) -> Result<Vec<f64>> {
    let mut graph = Graph::new();
    let input = graph.input("x", &[x[0].len()], DType::F64);
    let y = gelu(&mut graph, input)?;
    Ok(ops::interpret(&graph, &[], x)?.value(y).to_vec())
}

fn own_gelu_vjp(x: &[Vec<f64>], cotangent: &[f64]) -> Result<Vec<Vec<f64>>> {
    let mut graph = Graph::new();
    let input = graph.input("x", &[x[0].len()], DType::F64);
    let y = gelu(&mut graph, input)?;
    let c = graph.input("c", &[cotangent.len()], DType::F64);
    let d = grad::vjp(&mut graph, &[(y, c)], &[input])?[0];
    Ok(vec![ops::interpret(&graph, &[], &[x[0].clone(), cotangent.to_vec()])?.value(d).to_vec()])
}

#[test]
fn the_wrong_derivative_of_dfdx_accurate_gelu_is_reported_and_shrunk_to_one_element() {
    let inputs = any_length(Domain::reals(-4.0, 4.0));
    let failure = derivative(&inputs, dfdx_gelu, dfdx_gelu_vjp, &Settings::default()).unwrap_err();
    let Failure::Derivative { point, .. } = &failure else { panic!("{failure}") };
    assert_eq!((point.len(), point[0].len()), (1, 1), "{failure}");
    assert!(failure.to_string().starts_with("wrong derivative with respect to `x[0]`: it claims"), "{failure}");
}

#[test]
fn at_one_dfdx_claims_a_derivative_of_1_1835_where_the_truth_is_1_0833() {
    let inputs = any_length(Domain::reals(1.0, 1.0));
    let failure = derivative(&inputs, dfdx_gelu, dfdx_gelu_vjp, &Settings::default()).unwrap_err();
    let Failure::Derivative { point, analytic, numeric, .. } = &failure else { panic!("{failure}") };
    assert_eq!(point, &[[1.0]]);
    assert!((analytic - 1.1835).abs() < 5e-5, "{failure}");
    assert!((numeric - 1.0833).abs() < 5e-5, "{failure}");
}

#[test]
fn the_derivative_of_gelu_from_graph_ops_passes() {
    let inputs = any_length(Domain::reals(-4.0, 4.0));
    let passed = derivative(&inputs, own_gelu, own_gelu_vjp, &Settings::default()).unwrap();
    assert_eq!((passed.checked, passed.kinks), (64, 0));
}

#[test]
fn both_compute_the_same_function() {
    let x = [vec![-3.0, -1.0, 0.0, 0.5, 1.0, 2.0]];
    for (a, b) in own_gelu(&x).unwrap().iter().zip(dfdx_gelu(&x).unwrap()) {
        assert!((a - b).abs() < 1e-7, "{a} and {b}");
    }
}

mod nets {
    use ansatz::net;

    net! {
        pub dim Digit = 3;

        net Mlp(x: [n, 4]) -> [n, Digit] {
            x |> fc1: linear(6) |> gelu |> dropout(0.2) |> fc2: linear(Digit)
        }

        pub net Risk(x: [n, 4], y: [n] in Digit) -> (loss: [], correct: []) {
            let logits = mlp: Mlp(x);
            (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
        }

        /// The entropy of positive weights, which [−2, 2] is not the domain of.
        pub net Entropy(p: [n, m]) -> [] {
            let total = p * ln(p);
            mean(total)
        }
    }
}

use nets::{Entropy, Risk};

ansatz::gradcheck!(Risk);
ansatz::gradcheck!(Entropy, sizes = [[1, 4], [3, 2]], "p" = Domain::reals(0.1, 2.0));

#[test]
fn a_point_outside_of_the_function_is_named() {
    let failure = ansatz::check::net::<Entropy<f64>>(&Default::default()).unwrap_err();
    assert!(matches!(failure, Failure::NotFinite { .. }), "{failure}");
}

/// The operand, with a derivative that is 1 % too large.
#[derive(Debug)]
struct Slip;

impl Function for Slip {
    fn value(&self, operands: &[Values<'_>]) -> Vec<f64> {
        operands[0].elements.to_vec()
    }
}

impl Custom for Slip {
    fn shape(&self, operands: &[&[usize]]) -> std::result::Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }

    fn vjp(&self, graph: &mut Graph, _: &[NodeId], _: NodeId, c: NodeId) -> Result<Vec<Option<NodeId>>> {
        let factor = graph.constant_like(1.01, c);
        Ok(vec![Some(graph.binary(Binary::Mul, c, factor)?)])
    }

    fn axes(&self, operands: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
        vec![(0..operands[0].len()).map(Some).collect()]
    }
}

fn slip<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    ansatz::tensor::custom(Slip, &[x.erase()], *x.shape())
}

net! {
    pub dim Letter = 7;

    /// A block of a transformer; with `slips`, what its first linear layer computes has a wrong derivative.
    net Block(x: [n, t, d]; slips: usize) -> [n, t, d] where 2 | d {
        let (q, k, v) = x |> norm1: layer_norm |> qkv: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (2 e)] -> [n, 2, t, e];
        let mixed = attention(by_head(q), by_head(k), by_head(v), causal = true) |> [n, 2, t, e] -> [n, t, (2 e)];
        let y = x + (mixed |> out: linear(d));
        let wide = y |> norm2: layer_norm |> fc1: linear(2 * d);
        let wide = if slips == 1 { wide |> self::slip -> [n, t, 2 * d] } else { wide };
        y + (wide |> gelu |> fc2: linear(d))
    }
    /// Twelve blocks, of which the eighth is wrong.
    pub net Gpt(x: [n, t] in Letter, y: [n, t] in Letter) -> [] {
        let h = x |> tokens: embedding(4) |> before: [Block(slips = 0); 7] |> eighth: Block(slips = 1);
        let logits = h |> after: [Block(slips = 0); 4] |> norm: layer_norm |> head: linear(Letter);
        cross_entropy(logits, y)
    }
}

#[test]
fn one_wrong_layer_of_twelve_is_named() {
    let settings = NetSettings { sizes: vec![vec![2, 3]], ..Default::default() };
    let failure = ansatz::check::net::<Gpt<f64>>(&settings).unwrap_err();
    let Failure::Derivative { name, analytic, numeric, .. } = &failure else { panic!("{failure}") };
    assert!(name.starts_with("eighth.fc1."), "{failure}");
    assert!((analytic / numeric - 1.01).abs() < 1e-4, "{failure}");
    assert!(failure.to_string().len() < 500, "{failure}");
}
