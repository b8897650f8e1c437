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

    pub dim Digit = 10;

    /// Down and up again, with what was left out added on the way back, as in a U-Net.
    net Pyramid(x: [n, c, h = 8, w = 8]; norm = batch_norm) -> [n, c, 8, 8] {
        let first = x |> norm1: norm |> tanh;
        let half = first |> max_pool2d(2) |> norm2: norm |> silu;
        let quarter = half |> avg_pool2d(3, stride = 2, padding = 1, count_include_pad = false) |> norm3: norm;
        let back = half + (quarter |> upsample(2, mode = bilinear));
        first + (back |> upsample)
    }

    pub net Batched(x: [n, Channel, 8, 8]) -> [] { x |> Pyramid |> square |> mean }
    pub net Grouped(x: [n, Channel, 8, 8]) -> [] { x |> Pyramid(norm = group_norm(2)) |> tanh |> square |> mean }
    pub net Rows(x: [n, 4, Channel]) -> [] {
        let y = x |> max_pool1d(3, stride = 1, padding = 1) |> instance_norm |> avg_pool1d(2);
        y |> layer_norm |> rms_norm |> tanh |> sum
    }
    pub net Erased(x: [n, Channel, 8, 8]) -> [n, Channel, 8, 8] { x |> dropout2d(0.25) }

    /// Digits by their rows: batch statistics in training, running ones in evaluation.
    pub net Reader(x: [n, c = 1, h = 8, 8], y: [n] in Digit) -> (loss: [], correct: []) {
        let wide = x |> linear(24, bias = false) |> bn1: batch_norm |> relu |> max_pool2d((2, 1));
        let deep = wide |> linear(24, bias = false) |> bn2: batch_norm(momentum = 0.2) |> relu;
        let pooled = deep |> max_pool2d((4, 1)) |> linear(Digit);
        let logits = pooled |> sum(over = (c, h));
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits) == y))
    }
}

ansatz::gradcheck!(Batched, sizes = [[1], [3]]);
ansatz::gradcheck!(Grouped, sizes = [[1], [3]]);
ansatz::gradcheck!(Rows, sizes = [[1], [4]]);

#[test]
fn whole_channels_are_dropped_in_training_alone() {
    let net: Erased<f64> = Erased::init(0);
    let x = from_vec(vec![1.0; 20 * 6 * 64], (20, Channel, Const::<8>, Const::<8>)).expect("so many numbers");
    assert!(to_vec(&net.forward(x).expect("it runs")).iter().all(|&y| y == 1.0));
    let graph = nn::trace::<f64, Erased<f64>>(&[20], true).expect("it is recorded");
    let states: Vec<Vec<f64>> = graph.states().iter().map(|_| vec![3.0, 0.0, 1.0, 0.0]).collect();
    let y = interpret(&graph, &states, &[vec![1.0; 20 * 6 * 64]]).expect("well-formed").outputs.remove(0);
    let channels: Vec<&[f64]> = y.chunks(64).collect();
    assert!(channels.iter().all(|c| c.iter().all(|&y| y == c[0]) && (c[0] == 0.0 || c[0] == 1.0 / 0.75)));
    let dropped = channels.iter().filter(|c| c[0] == 0.0).count();
    // Binomial with mean 30 and standard deviation 4.7: four of them.
    assert!((11..=49).contains(&dropped), "{dropped}");
}

/// Running statistics follow the training, are what evaluation uses, and are saved with the model.
#[test]
fn running_statistics_are_part_of_a_training() {
    type Digits = ansatz::data::Images<Const<1>, Const<8>, Const<8>, Digit>;
    let (train, test) = Digits::digits().expect("the embedded digits").split(0.8, 3).expect("two parts");
    let mut trainer = Trainer::builder(Reader::init(1), AdamW::new(1e-2))
        .batch_size(48)
        .epochs(6)
        .seed(2)
        .build()
        .expect("well-formed");
    let history = trainer.fit(&train, Some(&test)).expect("it trains");
    let validation = history.epochs.last().expect("six epochs").validation.as_ref().expect("validated").clone();
    // The net does not see where in a column the ink is.
    assert!(validation.get("correct").expect("named") > 0.75, "{validation}");
    let model = trainer.model().expect("a model");
    assert!(to_vec(&model.bn1.running_mean).iter().any(|m| m.abs() > 0.01));
    assert!(to_vec(&model.bn2.running_var).iter().all(|&v| v > 0.0 && v.is_finite()));
    // A batch of one image is evaluated as in a large batch.
    let mut single = Trainer::builder(model.clone(), AdamW::new(1e-2)).batch_size(1).build().expect("well-formed");
    let loss = single.evaluate(&test).expect("it evaluates").loss();
    assert!((loss - validation.loss()).abs() < 1e-4, "{loss} and {validation}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("reader.safetensors");
    model.save(&path).expect("it is written");
    let read: Reader = ansatz::train::load(&path).expect("the file fits");
    assert_eq!(to_vec(&read.bn1.running_var), to_vec(&model.bn1.running_var));
    // The gradient of a single call keeps no statistics.
    let rows = test.select(&[0, 1, 2]).expect("three images");
    let batch = ReaderBatch { x: rows.pixels(), y: rows.labels() };
    let (loss, gradient) = model.gradient(&batch).expect("it has a loss");
    assert!(to_vec(&loss)[0].is_finite());
    assert_eq!(to_vec(&gradient.bn1.running_mean), [0.0]);
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
