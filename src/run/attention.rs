//! Attention as programs run it: against the interpreter, against its formula in other ops, and what it must keep.

use super::compile;
use super::tests::Tensor;
use super::{Data, State};
use crate::grad::grad;
use crate::graph::{Attend, Binary, Compare, DType, Graph, NodeId, ReduceOp, Unary};
use crate::ops::{Domain, interpret};
use proptest::prelude::*;

/// An attention drawn at random.
#[derive(Clone, Debug)]
struct Drawn {
    /// Samples, heads of queries for each of keys, heads of keys, queries, keys, widths.
    sizes: [usize; 7],
    how: Attend,
    /// Bias, mask, slopes, start.
    extras: [bool; 4],
    seed: u64,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    // Around the sizes of blocks, and small.
    let long = prop_oneof![1usize..6, 14usize..19, 30usize..36, 120usize..140, 250usize..300];
    let sizes = (1usize..3, 1usize..3, 1usize..4, long.clone(), long, 1usize..24, 1usize..24);
    let flags = prop::array::uniform4(prop::bool::weighted(0.3));
    let window = prop::option::weighted(0.3, prop_oneof![1usize..8, 60usize..140]);
    (sizes, flags, any::<bool>(), window, any::<u64>()).prop_map(
        |((n, r, g, t, s, e, f), extras, causal, window, seed)| {
            let how = Attend { causal, window, ..Attend::default() };
            Drawn { sizes: [n, r, g, t, s, e, f], how, extras, seed }
        },
    )
}

/// A graph of one attention, its inputs, and what each is drawn from.
fn graph(drawn: &Drawn, float: DType) -> (Graph, Vec<NodeId>, NodeId, Vec<Vec<f64>>) {
    let [n, r, g, t, s, e, f] = drawn.sizes;
    let h = r * g;
    let mut graph = Graph::new();
    let mut x = vec![
        graph.input("q", &[n, h, t, e], float),
        graph.input("k", &[n, g, s, e], float),
        graph.input("v", &[n, g, s, f], float),
    ];
    let reals = Domain::reals(-1.5, 1.5);
    let mut domains = vec![reals; 3];
    let mut how = drawn.how.clone();
    let optional: [(&mut Option<NodeId>, &str, Vec<usize>, Domain, DType); 4] = [
        (&mut how.bias, "bias", vec![n, h, t, s], reals, float),
        (&mut how.mask, "mask", vec![n, s], Domain::Bools, DType::Bool),
        (&mut how.slopes, "slopes", vec![h], Domain::reals(0.0, 0.05), float),
        (&mut how.start, "start", vec![n], Domain::Indices(s + 3), DType::Index),
    ];
    for ((slot, name, dims, domain, dtype), given) in optional.into_iter().zip(drawn.extras) {
        if given {
            x.push(graph.input(name, &dims, dtype));
            domains.push(domain);
            *slot = x.last().copied();
        }
    }
    let y = graph.attention(x[0], x[1], x[2], &how).unwrap();
    let lens = x.iter().map(|&x| graph[x].len());
    let inputs = domains.iter().zip(lens).zip(0..).map(|((d, len), i)| d.sample(len, drawn.seed ^ i)).collect();
    (graph, x, y, inputs)
}

/// The values of the outputs of a graph without state.
fn outputs(graph: &Graph, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let program = compile(graph).unwrap();
    let state = State::new(program.states());
    let mut workspace = program.workspace(&state).unwrap();
    let tensors: Vec<Tensor> = inputs.iter().zip(graph.inputs()).map(|(x, slot)| Tensor::new(x, slot.dtype)).collect();
    let data: Vec<Data<'_>> = tensors.iter().map(Tensor::data).collect();
    program.evaluate(&state, &data, &mut workspace).unwrap();
    (0..graph.outputs().len()).map(|i| program.output(&workspace, i).to_f64()).collect()
}

/// Σ y², whose derivatives say more than those of Σ y.
fn loss(graph: &mut Graph, y: NodeId) -> NodeId {
    let square = graph.unary(Unary::Square, y).unwrap();
    let axes: Vec<usize> = (0..graph[y].dims.len()).collect();
    graph.sum(square, &axes).unwrap()
}

/// `softmax(q kᵀ / √e) v` in other ops, each query seeing only what is not later where `causal`.
fn written_out(graph: &mut Graph, [q, k, v]: [NodeId; 3], causal: bool) -> NodeId {
    let scores = graph.matmul(q, k, [false, true]).unwrap();
    let dims = graph[scores].dims.clone();
    let (t, s, e) = (dims[2], dims[3], graph[q].dims[3]);
    let scale = graph.constant_like(1.0 / (e as f64).sqrt(), scores);
    let mut scores = graph.binary(Binary::Mul, scores, scale).unwrap();
    if causal {
        let [i, j] = [2, 3].map(|axis| graph.iota(&dims, axis).unwrap());
        let [i, j] = [i, j].map(|x| graph.cast(x, DType::F64));
        let offset = graph.constant_like(s as f64 - t as f64, i);
        let i = graph.binary(Binary::Add, i, offset).unwrap();
        let seen = graph.compare(Compare::Le, j, i).unwrap();
        let hidden = graph.constant_like(-1e9, scores);
        scores = graph.select(seen, scores, hidden).unwrap();
    }
    let greatest = graph.reduce(ReduceOp::Max, scores, &[3]).unwrap();
    let greatest = graph.broadcast(greatest, &[3], &dims).unwrap();
    let difference = graph.binary(Binary::Sub, scores, greatest).unwrap();
    let weights = graph.unary(Unary::Exp, difference).unwrap();
    let sum = graph.sum(weights, &[3]).unwrap();
    let sum = graph.broadcast(sum, &[3], &dims).unwrap();
    let weights = graph.binary(Binary::Div, weights, sum).unwrap();
    graph.matmul(weights, v, [false, false]).unwrap()
}

fn close(expected: &[f64], found: &[f64], tolerance: f64) -> Result<(), String> {
    let scale = expected.iter().fold(1.0, |a: f64, x| a.max(x.abs()));
    let wrong =
        expected.iter().zip(found).position(|(e, f)| (e - f).abs() > tolerance * scale || e.is_nan() || f.is_nan());
    match wrong {
        _ if expected.len() != found.len() => Err("lengths differ".into()),
        Some(i) => Err(format!("element {i}: {} is not {}", found[i], expected[i])),
        None => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn values_and_derivatives_agree_with_the_interpreter(drawn in drawn(), single in any::<bool>()) {
        let float = if single { DType::F32 } else { DType::F64 };
        let (mut graph, x, y, inputs) = graph(&drawn, float);
        let loss = loss(&mut graph, y);
        graph.output("y", y);
        for (i, d) in grad(&mut graph, loss, &x[..3]).unwrap().into_iter().enumerate() {
            graph.output(format!("d{i}"), d);
        }
        let inputs: Vec<Vec<f64>> = match single {
            true => inputs.iter().map(|x| x.iter().map(|&x| f64::from(x as f32)).collect()).collect(),
            false => inputs,
        };
        let expected = interpret(&graph, &[], &inputs).unwrap();
        // Rounding grows with the largest element on the way.
        let tensors = graph.nodes().filter(|(_, node)| !node.dims.is_empty());
        let elements = tensors.flat_map(|(id, _)| expected.value(id)).filter(|x| x.is_finite());
        let largest = elements.fold(1.0, |a: f64, x| a.max(x.abs()));
        let tolerance = largest * if single { 2e-6 } else { 1e-14 };
        for (expected, found) in expected.outputs.iter().zip(outputs(&graph, &inputs)) {
            let result = close(expected, &found, tolerance);
            prop_assert!(result.is_ok(), "{}", result.unwrap_err());
        }
    }

    #[test]
    fn values_and_derivatives_agree_with_the_formula(drawn in drawn()) {
        let [n, _, g, t, s, e, f] = drawn.sizes;
        let causal = drawn.how.causal && t <= s;
        let drawn = Drawn { sizes: [n, 1, g, t, s, e, f], how: Attend { causal, ..Attend::default() }, extras: [false; 4], ..drawn };
        let (mut graph, x, y, inputs) = graph(&drawn, DType::F64);
        let expected = written_out(&mut graph, [x[0], x[1], x[2]], causal);
        for y in [y, expected] {
            graph.output("y", y);
            let loss = loss(&mut graph, y);
            for d in grad(&mut graph, loss, &x).unwrap() {
                graph.output("d", d);
            }
        }
        let all = outputs(&graph, &inputs);
        for (found, expected) in all[..4].iter().zip(&all[4..]) {
            let result = close(expected, found, 1e-12);
            prop_assert!(result.is_ok(), "{}", result.unwrap_err());
        }
    }

    /// What stands later has no influence on what stands earlier.
    #[test]
    fn causal_results_do_not_depend_on_later_tokens(drawn in drawn(), at in 0.0..1.0f64) {
        let [n, r, g, t, _, e, f] = drawn.sizes;
        let how = Attend { causal: true, ..drawn.how.clone() };
        let drawn = Drawn { sizes: [n, r, g, t, t, e, f], how, extras: [false, false, drawn.extras[2], false], ..drawn };
        let (mut graph, _, y, mut inputs) = graph(&drawn, DType::F64);
        graph.output("y", y);
        let before = &outputs(&graph, &inputs)[0];
        let first = (at * t as f64) as usize;
        for (x, width) in inputs.iter_mut().zip([e, e, f]) {
            for (row, numbers) in x.chunks_mut(width).enumerate() {
                if row % t >= first {
                    numbers.iter_mut().for_each(|x| *x = 3.0 - 2.0 * *x);
                }
            }
        }
        let after = &outputs(&graph, &inputs)[0];
        for (row, (before, after)) in before.chunks(f).zip(after.chunks(f)).enumerate() {
            prop_assert!(row % t >= first || before == after, "row {row}");
        }
    }

    /// Without masks and positions the order of keys is nothing, and results go with their queries.
    #[test]
    fn results_follow_the_order_of_queries_alone(drawn in drawn()) {
        let drawn = Drawn { how: Attend::default(), extras: [false; 4], ..drawn };
        let [_, _, _, t, s, e, f] = drawn.sizes;
        let (mut graph, _, y, inputs) = graph(&drawn, DType::F64);
        graph.output("y", y);
        let turned = |x: &[f64], rows: usize, width: usize| -> Vec<f64> {
            x.chunks(rows * width).flat_map(|head| head.chunks(width).rev().flatten().copied()).collect()
        };
        let straight = &outputs(&graph, &inputs)[0];
        let (q, k, v) = (turned(&inputs[0], t, e), turned(&inputs[1], s, e), turned(&inputs[2], s, f));
        let result = close(straight, &turned(&outputs(&graph, &[q, k, v])[0], t, f), 1e-12);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    /// The rows of a sequence one after the other, each with all keys so far, in a cache with room for more.
    #[test]
    fn a_cache_changes_nothing(drawn in drawn(), room in 0usize..40) {
        let [n, r, g, t, _, e, f] = drawn.sizes;
        let t = t.min(40);
        let how = Attend { causal: true, ..drawn.how.clone() };
        let drawn = Drawn { sizes: [n, r, g, t, t, e, f], how: how.clone(), extras: [false, false, drawn.extras[2], false], ..drawn };
        let (mut whole, _, y, inputs) = graph(&drawn, DType::F64);
        whole.output("y", y);
        let whole = &outputs(&whole, &inputs)[0];
        let h = r * g;
        // The key-value cache has room for more than is in it: what lies there is not seen.
        let mut one = Graph::new();
        let s = t + room;
        let q = one.input("q", &[n, h, 1, e], DType::F64);
        let k = one.input("k", &[n, g, s, e], DType::F64);
        let v = one.input("v", &[n, g, s, f], DType::F64);
        let start = one.input("start", &[n], DType::Index);
        let slopes = drawn.extras[2].then(|| one.input("slopes", &[h], DType::F64));
        let y = one.attention(q, k, v, &Attend { start: Some(start), slopes, ..how }).unwrap();
        one.output("y", y);
        let program = compile(&one).unwrap();
        let state = State::new(program.states());
        let mut workspace = program.workspace(&state).unwrap();
        let cache = |x: &[f64], width: usize| -> Vec<f64> {
            let rest = vec![1e3; room * width];
            x.chunks(t * width).flat_map(|head| [head, &rest].concat()).collect()
        };
        let (k, v) = (cache(&inputs[1], e), cache(&inputs[2], f));
        for i in 0..t {
            let q: Vec<f64> = inputs[0].chunks(t * e).flat_map(|head| head[i * e..][..e].to_vec()).collect();
            let start = vec![i as u32; n];
            let mut data = vec![Data::F64(&q), Data::F64(&k), Data::F64(&v), Data::Index(&start)];
            data.extend(inputs.get(3).map(|slopes| Data::F64(slopes)));
            program.evaluate(&state, &data, &mut workspace).unwrap();
            let found = program.output(&workspace, 0).to_f64();
            let expected: Vec<f64> = whole.chunks(t * f).flat_map(|head| head[i * f..][..f].to_vec()).collect();
            let result = close(&expected, &found, 1e-12);
            prop_assert!(result.is_ok(), "row {i}: {}", result.unwrap_err());
        }
    }
}

/// The memory of a training step, kernels included, grows with the length of the sequence, not with its square.
#[test]
fn memory_is_linear_in_the_length() {
    let bytes = |t: usize| {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, t, 3 * 4 * 16], DType::F32);
        let parts = [0, 1, 2].map(|i| {
            let part = graph.slice(x, 2, i * 64, 64).unwrap();
            let heads = graph.reshape(part, &[2, t, 4, 16]).unwrap();
            graph.permute(heads, &[0, 2, 1, 3]).unwrap()
        });
        let how = Attend { causal: true, ..Attend::default() };
        let y = graph.attention(parts[0], parts[1], parts[2], &how).unwrap();
        let loss = loss(&mut graph, y);
        let d = grad(&mut graph, loss, &[x]).unwrap()[0];
        graph.output("d", d);
        let program = compile(&graph).unwrap();
        let workspace = program.workspace(&State::new(program.states())).unwrap();
        assert!(workspace.bytes() >= program.workspace_bytes());
        workspace.bytes() as f64 / t as f64
    };
    let [short, middle, long] = [256, 1024, 4096].map(bytes);
    // A matrix of scores would be 8 · 4 · t bytes for each position.
    assert!(long <= middle && middle <= short && long < 8.0 * 4.0 * 256.0, "{short} {middle} {long} bytes a position");
}
