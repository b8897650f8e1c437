//! Programs of the language, from the outside: what they expand to compiles, records graphs and has the right keys.
#![warn(missing_docs)]
#![deny(warnings)]

use ansatz::graph::{Graph, Op};
use ansatz::nn;
use ansatz::nn::Path;
use ansatz::prelude::*;

net! {
    /// The pixels of a small image.
    pub dim Pixels = 784;
    pub dim Digit = 10;
    /// An alias.
    pub dim Wide = 4 * Pixels;

    /// A multi-layer perceptron: x_{l+1} = σ(W_l x_l + b_l).
    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(256) |> relu
          |> fc2: linear(128) |> relu |> dropout(0.1)
          |> fc3: linear(Digit)
    }

    /// The empirical risk.
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }
}

net! {
    pub dim Plane = 2;

    pub net Velocity(x: [n, Plane], s: [n, 1]) -> [n, Plane] {
        concat(x, s) |> linear(128) |> silu |> linear(128) |> silu |> linear(Plane)
    }

    /// Conditional flow matching: E ‖ x1 − x0 − g((1−s) x0 + s x1, s) ‖².
    pub net FlowMatching(x1: [n, Plane]) -> [] {
        let x0 = normal([n, Plane]);
        let s  = uniform([n, 1]);
        let g  = velocity: Velocity((1 - s) * x0 + s * x1, s);
        square(x1 - x0 - g) |> sum(over = Plane) |> mean
    }
}

fn keys<M: Model<f32>>() -> Vec<String> {
    nn::slots::<f32, M>().into_iter().map(|slot| slot.key).collect()
}

fn count(graph: &Graph, which: impl Fn(&Op) -> bool) -> usize {
    graph.nodes().filter(|(_, node)| which(&node.op)).count()
}

#[test]
fn a_net_is_a_tree_of_named_tensors() {
    assert_eq!(Risk::PARAMETERS, 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
    assert_eq!(Risk::multiply_adds(7), 7 * (784 * 256 + 256 * 128 + 128 * 10));
    assert_eq!(
        keys::<Risk>(),
        ["mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias", "mlp.fc3.weight", "mlp.fc3.bias"]
    );
    assert_eq!(keys::<Velocity>()[..2], ["linear1.weight", "linear1.bias"]);
    assert_eq!(std::mem::size_of::<Wide>(), 0);
    let risk: Risk = Risk::init(1);
    assert_eq!(to_vec(&risk.mlp.fc3.bias).len(), 10);
}

#[test]
fn a_net_records_a_graph() {
    let graph = nn::trace::<f32, Risk>(&[6], true).expect("the net is well-formed");
    assert_eq!(count(&graph, |op| matches!(op, Op::MatMul { .. })), 3);
    assert_eq!(count(&graph, |op| matches!(op, Op::Random { .. })), 1);
    let graph = nn::trace::<f64, FlowMatching<f64>>(&[6], true).expect("the net is well-formed");
    assert_eq!(count(&graph, |op| matches!(op, Op::Random { .. })), 2);
    assert_eq!(count(&graph, |op| matches!(op, Op::MatMul { .. })), 3);
}

#[test]
fn tensors_become_batches() {
    let x = from_vec(vec![0.0_f32; 2 * 784], (2, Pixels)).expect("two images");
    let y = Indices::new(vec![3, 7], (2,)).expect("two digits");
    let batch = RiskBatch::from((x.clone(), y));
    assert_eq!(batch.dims().expect("all agree"), [2]);
    assert_eq!(MlpBatch::from(x).dims().expect("one input"), [2]);
}

#[test]
fn a_net_runs_trains_and_is_kept() {
    use ansatz::nn::Session;
    let risk: Risk<f64> = Risk::init(3);
    let pixels: Vec<f64> = (0..2 * 784).map(|i| (0.37 * i as f64).sin()).collect();
    let x = from_vec(pixels, (2, Pixels)).expect("two images");
    let y = Indices::new(vec![3, 7], (2,)).expect("two digits");
    let logits: Tensor<(usize, Digit), f64, _> = risk.mlp.forward(x.clone()).expect("it runs");
    // The loss by its formula, from the logits.
    let rows: Vec<f64> = to_vec(&logits);
    let row_loss = |row: &[f64], class: usize| row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[class];
    let expected = (row_loss(&rows[..10], 3) + row_loss(&rows[10..], 7)) / 2.0;
    let output = risk.forward(x.clone(), y.clone()).expect("it runs");
    assert!((to_vec(&output.loss)[0] - expected).abs() < 1e-12);

    let batch = RiskBatch::from((x, y));
    let session: Session<f64, Risk<f64>> = risk.session().expect("the model is whole");
    assert_eq!(to_vec(&session.run(&batch).expect("it runs").loss), to_vec(&output.loss));
    let (_, gradient) = risk.gradient(&batch).expect("it has a loss");
    let bias = to_vec(&gradient.mlp.fc3.bias);
    assert!(bias.iter().sum::<f64>().abs() < 1e-12 && bias.iter().any(|d| d.abs() > 1e-3), "{bias:?}");

    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("risk.safetensors");
    risk.save(&path).expect("the folder can be written to");
    let read: Risk<f64> = Risk::load(&path).expect("the file was just written");
    assert_eq!(to_vec(&read.mlp.fc2.weight), to_vec(&risk.mlp.fc2.weight));
}

net! {
    pub dim Wide3 = 3;
    dim Hidden = 5;

    /// Every elementwise function, in one sum.
    pub net Elementwise(x: [n, Wide3], y: [n, Wide3]) -> [n, Wide3] {
        let a = relu(x) + leaky_relu(x, 0.1) + gelu(x) + gelu_tanh(x) + silu(x) + sigmoid(x) + tanh(x);
        let b = softplus(x) + elu(x) + exp(x) + expm1(x) + square(x) + sin(x) + cos(x) + erf(x) + sign(x);
        let c = abs(x) |> ln |> clamp(-2.0, 2) |> pow(2) |> log1p |> sqrt;
        let d = rsqrt(square(x) + 1) + recip(square(y) + 1) + pow(abs(x), y);
        let e = minimum(x, y) + maximum(x, y) + select(x > y && !(x <= 0.5) || x == y, x, y) - to_real(x != y);
        a + b / 2 - c * d + -e
    }

    pub net Reductions(x: [n, t, Wide3], target: [n, t] in Wide3, weights: [Wide3])
        -> (loss: [], kept: [n], spread: [t, Wide3], best: [n, t] in Wide3, likely: [n, t, Wide3]) {
        let p = softmax(x, over = t) + log_softmax(x);
        let loss = cross_entropy(x, target, weights = weights, ignore = 1, label_smoothing = 0.1)
            + mse(x, p) + bce_with_logits(x, sigmoid(p)) + max(x) - min(x) + sum(x) / n;
        let kept = logsumexp(x, over = (t, Wide3)) + var(x, over = (Wide3, t), unbiased = true);
        (loss = loss, kept = kept, spread = var(x, over = n), best = argmax(x), likely = x * weights + to_real(target |> [n, t] -> [n, t, 1]))
    }

    /// One layer in two places, closures, draws, layers without a bias.
    pub net Shared(x: [n, Wide3], y: [n, Wide3]) -> [n, 6] {
        let twin = linear(Wide3, bias = false);
        let block = |z| z |> fc: linear(Hidden) |> relu |> linear(Wide3);
        let keep = bernoulli([n, 1], p = 0.9);
        concat(block(twin(x)) * keep, block(y |> twin)) |> linear(6)
    }
}

/// Every function of the language is recorded as a graph that compiles and whose derivative exists.
#[test]
fn every_function_runs() {
    let real = |size: usize| (0..size).map(|i| 0.3 + (0.7 * i as f64).sin()).collect::<Vec<_>>();
    let table = |phase: usize| from_vec(real(6 + phase).split_off(phase), (2, Wide3)).expect("two rows");
    let elementwise: Elementwise<f64> = Elementwise::init(0);
    let values = to_vec(&elementwise.forward(table(0), table(2)).expect("it runs"));
    assert!(values.iter().all(|v| v.is_finite()), "{values:?}");

    let reductions: Reductions<f64> = Reductions::init(0);
    let x = from_vec(real(24), (2, 4, Wide3)).expect("two by four rows");
    let target = Indices::new(vec![0, 1, 2, 0, 2, 2, 1, 0], (2, 4)).expect("indices");
    let weights = from_vec(vec![1.0, 2.0, 3.0], (Wide3,)).expect("three");
    let found = reductions.forward(x.clone(), target.clone(), weights.clone()).expect("it runs");
    let row = &to_vec(&x)[..3];
    let best = (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("three");
    assert_eq!(found.best.values()[0] as usize, best);
    assert!((to_vec(&found.likely)[4] - (2.0 * to_vec(&x)[4] + 1.0)).abs() < 1e-12);
    let spread: Vec<f64> = (0..12).map(|i| (to_vec(&x)[i] - to_vec(&x)[12 + i]).powi(2) / 4.0).collect();
    assert!(to_vec(&found.spread).iter().zip(&spread).all(|(f, e)| (f - e).abs() < 1e-12));
    assert!(reductions.gradient(&(x, target, weights).into()).is_ok());

    assert_eq!(
        keys::<Shared>(),
        ["twin.weight", "fc.weight", "fc.bias", "linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"]
    );
    // A layer in two places works twice and has its parameters once.
    assert_eq!(Shared::PARAMETERS, 9 + 20 + 18 + 42);
    assert_eq!(Shared::multiply_adds(7), 7 * (2 * 9 + 2 * 15 + 2 * 15 + 36));
    let shared: Shared<f64> = Shared::init(1);
    assert_eq!(to_vec(&shared.forward(table(0), table(1)).expect("it runs")).len(), 12);
}

net! {
    pub dim Features = 4;

    /// Scopes: what is made inside has a key below the label.
    pub net Scoped(x: [n, Features]) -> [n, 2] {
        let twice = block: { |z| z |> linear(Features) |> relu };
        x |> twice |> dropout(0.5)
          |> head: (linear(8) |> relu |> dropout(0.1) |> out: (dropout(0.2) |> linear(4) |> last: linear(2)))
          |> tail: (relu)
    }

    /// Sizes that are calculated from others.
    pub net Pairs(x: [n, Features], pairs: [2 * n, Features], rest: [t, ceil_div(n, 2)]) -> [] {
        mean(square(x)) + mean(pairs) + mean(rest)
    }
}

#[test]
fn a_label_opens_a_scope() {
    assert_eq!(
        keys::<Scoped>(),
        [
            "block.linear1.weight",
            "block.linear1.bias",
            "head.linear1.weight",
            "head.linear1.bias",
            "head.out.linear1.weight",
            "head.out.linear1.bias",
            "head.out.last.weight",
            "head.out.last.bias"
        ]
    );
    assert_eq!(Scoped::PARAMETERS, 20 + 40 + 36 + 10);
    assert_eq!(Scoped::multiply_adds(2), 2 * (16 + 32 + 32 + 8));
    let scoped: Scoped<f64> = Scoped::init(0);
    let head: &ScopedHead<f64> = &scoped.head;
    assert_eq!(to_vec(&head.out.last.bias).len(), 2);
    let x = from_vec(vec![1.0; 12], (3, Features)).expect("three rows");
    assert_eq!(to_vec(&scoped.forward(x).expect("it runs")).len(), 6);
    // Draws are keyed under the label too.
    let graph = nn::trace::<f64, Scoped<f64>>(&[3], true).expect("the net is well-formed");
    let drawn = |path: Path| count(&graph, |op| matches!(op, Op::Random { path: drawn, .. } if *drawn == path.hash()));
    assert_eq!(drawn(Path::root().child("dropout1")), 1);
    assert_eq!(drawn(Path::root().child("head").child("dropout1")), 1);
    assert_eq!(drawn(Path::root().child("head").child("out").child("dropout1")), 1);
}

#[test]
fn calculated_sizes_of_a_batch_are_checked() {
    let table = |rows: usize| from_vec(vec![1.0_f32; rows * 4], (rows, Features)).expect("rows of four");
    let rest = |columns: usize| from_vec(vec![1.0_f32; 5 * columns], (5, columns)).expect("five rows");
    let pairs: Pairs = Pairs::init(0);
    let value = pairs.forward(table(3), table(6), rest(2)).expect("all sizes agree");
    assert_eq!(to_vec(&value), [3.0]);
    let error = pairs.forward(table(3), table(5), rest(2)).expect_err("5 is not twice 3");
    assert_eq!(error.to_string(), "axis 0 of `pairs` is 5 and should be 2 * n = 6, where `n` is 3 in `x`");
    let error = pairs.forward(table(3), table(6), rest(1)).expect_err("1 is not 3 / 2, rounded up");
    assert_eq!(error.to_string(), "axis 1 of `rest` is 1 and should be ceil_div(n, 2) = 2, where `n` is 3 in `x`");
}
