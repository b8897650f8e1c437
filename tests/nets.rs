//! A declared net from the outside: its tree of tensors, its graph, its numbers against plain loops, its gradients on
//! dfdx's tape, and its session on several threads.

use ansatz::graph::{Graph, Op};
use ansatz::net;
use ansatz::nn::{self, Model, Net, Session};
use ansatz::ops::interpret;
use ansatz::tensor::{Const, Cpu, Feed, Float, Indices, Tensor, from_vec, to_vec};
use dfdx::nn::Module;
use dfdx::prelude::*;

net! {
    pub dim Pixels = 4;
    pub dim Digit = 3;

    /// A multi-layer perceptron.
    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(5) |> relu |> dropout(0.1) |> fc3: linear(Digit)
    }

    /// The empirical risk.
    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }
}

fn count(graph: &Graph, which: impl Fn(&Op) -> bool) -> usize {
    graph.nodes().filter(|(_, node)| which(&node.op)).count()
}

#[test]
fn the_model_is_a_tree_of_named_tensors() {
    assert_eq!(<Risk as Model<f32>>::PARAMETERS, 4 * 5 + 5 + 5 * 3 + 3);
    assert_eq!(<Mlp>::multiply_adds(7), 7 * (4 * 5 + 5 * 3));
    let slots = nn::slots::<f32, Risk>();
    let listed: Vec<(&str, &[usize], bool)> = slots.iter().map(|s| (&*s.key, &*s.dims, s.decay)).collect();
    assert_eq!(
        listed,
        [
            ("mlp.fc1.weight", &[5, 4][..], true),
            ("mlp.fc1.bias", &[5][..], false),
            ("mlp.fc3.weight", &[3, 5][..], true),
            ("mlp.fc3.bias", &[3][..], false),
        ]
    );
}

#[test]
fn the_net_records_a_graph() {
    let graph = nn::trace::<f32, Risk>(&[6], false).expect("the net is well-formed");
    assert_eq!(graph.outputs().iter().map(|(name, _)| &**name).collect::<Vec<_>>(), Risk::<f32>::OUTPUTS);
    assert_eq!(graph.inputs().iter().map(|i| &*i.name).collect::<Vec<_>>(), Risk::<f32>::INPUTS);
    assert_eq!(count(&graph, |op| matches!(op, Op::MatMul { .. })), 2);
    assert_eq!(count(&graph, |op| matches!(op, Op::Random { .. })), 0);

    let training = nn::trace::<f32, Risk>(&[6], true).expect("the net is well-formed");
    assert_eq!(count(&training, |op| matches!(op, Op::Random { .. })), 1);
}

#[test]
fn inputs_that_disagree_are_named() {
    use ansatz::nn::Batch;
    let x = from_vec(vec![0.0f32; 8], (2, Pixels)).expect("eight values");
    let y = Indices::new(vec![0, 1, 2], (3,)).expect("digits");
    let batch = RiskBatch { x, y };
    let message = batch.dims().expect_err("2 and 3").to_string();
    assert_eq!(message, "`n` is 2 in `x` and 3 in `y`; all inputs of a batch must agree");
    let mut feed = Feed::default();
    batch.feed(&mut feed);
    assert_eq!(feed.data().len(), 2);
}

// ---- numbers -----------------------------------------------------------------------------------------------------

const N: usize = 6;

fn batch<E: Float>() -> RiskBatch<E> {
    let x = (0..N * 4).map(|i| <E as Float>::from_f64((1.7 * i as f64).sin())).collect();
    RiskBatch {
        x: from_vec(x, (N, Pixels)).expect("the values fill the shape"),
        y: Indices::new((0..N as u32).map(|i| i * i % 3).collect::<Vec<_>>(), (N,)).expect("digits"),
    }
}

/// Loss, share of right answers, and gradients (in the order of the slots), by plain loops.
struct ByHand {
    logits: Vec<f64>,
    loss: f64,
    correct: f64,
    gradients: [Vec<f64>; 4],
}

fn by_hand(mlp: &Mlp<f64>, batch: &RiskBatch<f64>) -> ByHand {
    let (w1, b1) = (to_vec(&mlp.fc1.weight), to_vec(&mlp.fc1.bias));
    let (w3, b3) = (to_vec(&mlp.fc3.weight), to_vec(&mlp.fc3.bias));
    let x = to_vec(&batch.x);
    let mut found = ByHand {
        logits: vec![],
        loss: 0.0,
        correct: 0.0,
        gradients: [vec![0.0; 20], vec![0.0; 5], vec![0.0; 15], vec![0.0; 3]],
    };
    for (row, &y) in batch.y.values().iter().enumerate() {
        let x = &x[row * 4..][..4];
        let h: Vec<f64> =
            (0..5).map(|o| (b1[o] + (0..4).map(|i| w1[o * 4 + i] * x[i]).sum::<f64>()).max(0.0)).collect();
        let z: Vec<f64> = (0..3).map(|o| b3[o] + (0..5).map(|i| w3[o * 5 + i] * h[i]).sum::<f64>()).collect();
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        let best = (0..3).max_by(|&a, &b| z[a].total_cmp(&z[b])).expect("three classes");
        found.loss += (total.ln() - z[y as usize]) / N as f64;
        found.correct += f64::from(u8::from(best == y as usize)) / N as f64;
        let dz: Vec<f64> =
            (0..3).map(|o| (z[o].exp() / total - f64::from(u8::from(o == y as usize))) / N as f64).collect();
        for (o, dz) in dz.iter().enumerate() {
            found.gradients[3][o] += dz;
            for (i, h) in h.iter().enumerate() {
                found.gradients[2][o * 5 + i] += dz * h;
            }
        }
        for i in (0..5).filter(|&i| h[i] > 0.0) {
            let dh: f64 = (0..3).map(|o| dz[o] * w3[o * 5 + i]).sum();
            found.gradients[1][i] += dh;
            for (j, x) in x.iter().enumerate() {
                found.gradients[0][i * 4 + j] += dh * x;
            }
        }
        found.logits.extend(z);
    }
    found
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{what}[{i}] is {f} and should be {e}");
    }
}

#[test]
fn interpreter_and_program_give_the_numbers_by_hand() {
    let (risk, batch) = (Risk::<f64>::init(3), batch::<f64>());
    let expected = by_hand(&risk.mlp, &batch);
    assert!(expected.correct > 0.0 && expected.correct < 1.0, "the case tells right from wrong: {}", expected.correct);

    let graph = nn::trace::<f64, Risk<f64>>(&[N], false).expect("the net is well-formed");
    let states = [&risk.mlp.fc1.weight as &dyn ansatz::tensor::HostTensor<f64>, &risk.mlp.fc1.bias]
        .into_iter()
        .chain([&risk.mlp.fc3.weight as &dyn ansatz::tensor::HostTensor<f64>, &risk.mlp.fc3.bias])
        .map(|tensor| tensor.to_vec())
        .collect::<Vec<_>>();
    let y = batch.y.values().iter().map(|&y| f64::from(y)).collect();
    let found = interpret(&graph, &states, &[to_vec(&batch.x), y]).expect("the graph is well-formed");
    assert_close("interpreted loss", &found.outputs[0], &[expected.loss], 1e-12);
    assert_close("interpreted correct", &found.outputs[1], &[expected.correct], 1e-12);

    let found = nn::forward(&risk, &batch).expect("the batch fits");
    assert_close("loss", &to_vec(&found.loss), &[expected.loss], 1e-12);
    assert_close("correct", &to_vec(&found.correct), &[expected.correct], 1e-12);
    let logits = risk.mlp.forward(batch.x.clone()).expect("the batch fits");
    assert_close("logits", &to_vec(&logits), &expected.logits, 1e-12);
}

#[test]
fn gradients_are_those_by_hand() {
    // The tape runs the net without dropout, as the numbers by hand do.
    let (mlp, batch) = (Mlp::<f64>::init(3), batch::<f64>());
    let expected = by_hand(&mlp, &batch);
    // d loss / d logits, pulled back through the net on dfdx's tape.
    let tape = Gradients::leaky();
    let logits = Module::forward(&mlp, batch.x.clone().trace(tape));
    assert_close("logits", &to_vec(&logits.retaped::<NoneTape>()), &expected.logits, 1e-12);
    let one_hot = batch.y.values().iter().flat_map(|&y| (0..3).map(move |c| f64::from(u8::from(c == y)))).collect();
    let one_hot: Tensor<(usize, Digit), f64, Cpu> = from_vec(one_hot, (N, Digit)).expect("a row for each digit");
    let log_softmax = logits.log_softmax::<Axis<1>>();
    let loss = (log_softmax * one_hot).sum::<(), _>() / -(N as f64);
    assert_close("loss", &[loss.array()], &[expected.loss], 1e-12);
    let gradients = loss.backward();
    assert_close("fc1.weight", &to_vec(&gradients.get(&mlp.fc1.weight)), &expected.gradients[0], 1e-12);
    assert_close("fc1.bias", &to_vec(&gradients.get(&mlp.fc1.bias)), &expected.gradients[1], 1e-12);
    assert_close("fc3.weight", &to_vec(&gradients.get(&mlp.fc3.weight)), &expected.gradients[2], 1e-12);
    assert_close("fc3.bias", &to_vec(&gradients.get(&mlp.fc3.bias)), &expected.gradients[3], 1e-12);
    assert!(to_vec(&gradients.get(&batch.x)).iter().any(|&d| d != 0.0));
}

/// dfdx differentiates its own ops and the net alike: both as steps of one larger computation.
#[test]
fn the_tape_reaches_what_stands_before_the_net() {
    let mlp = Mlp::<f64>::init(5);
    let x: Tensor<(Const<4>, Const<2>), f64, Cpu> =
        from_vec((0..8).map(|i| (0.9 * f64::from(i)).cos()).collect(), (Const, Const)).expect("eight values");
    let through = |by: &dyn Fn(
        Tensor<(usize, Pixels), f64, Cpu, OwnedTape<f64, Cpu>>,
    ) -> Tensor<(usize, Digit), f64, Cpu, OwnedTape<f64, Cpu>>| {
        // A permuted view: the net must lay it out itself.
        let permuted: Tensor<(Const<2>, Const<4>), f64, Cpu, _> = x.leaky_trace().sin().permute();
        let rows: Tensor<(usize, Pixels), f64, Cpu, _> = permuted.reshape_like(&(2, Pixels));
        let gradients = by(rows).square().sum::<(), _>().backward();
        [to_vec(&gradients.get(&x)), to_vec(&gradients.get(&mlp.fc1.weight)), to_vec(&gradients.get(&mlp.fc3.bias))]
    };
    let ours = through(&|rows| Module::forward(&mlp, rows));
    let theirs = through(&|rows| {
        let shape = |n| (2usize, n);
        let w1: Tensor<(Pixels, Const<5>), f64, Cpu, OwnedTape<f64, Cpu>> = mlp.fc1.weight.retaped().permute();
        let w3: Tensor<(Const<5>, Digit), f64, Cpu, OwnedTape<f64, Cpu>> = mlp.fc3.weight.retaped().permute();
        let hidden = rows.matmul(w1) + mlp.fc1.bias.retaped::<OwnedTape<f64, Cpu>>().broadcast_like(&shape(Const::<5>));
        let bias = mlp.fc3.bias.retaped::<OwnedTape<f64, Cpu>>().broadcast_like(&(2usize, Digit));
        hidden.relu().matmul(w3) + bias
    });
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours.iter().any(|&d| d != 0.0));
        assert_close("gradient", ours, theirs, 1e-12);
    }
}

/// In training dropout draws, so the numbers differ from call to call; what holds for all draws is checked.
#[test]
fn the_gradient_has_the_type_of_the_model() {
    let (risk, batch) = (Risk::<f64>::init(3), batch::<f64>());
    let (first, gradient) = risk.gradient(&batch).expect("the batch fits");
    let (second, _) = risk.gradient(&batch).expect("the batch fits");
    assert_ne!(first.array(), second.array(), "two calls draw differently");
    // Softmax is invariant under a shift of all logits, so the gradient of the last bias sums to zero.
    let bias = to_vec(&gradient.mlp.fc3.bias);
    assert!(bias.iter().any(|&d| d != 0.0));
    assert!(bias.iter().sum::<f64>().abs() < 1e-12, "{bias:?}");
}

#[test]
fn a_session_runs_on_several_threads() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let risk = Risk::<f32>::init(3);
    let session: Session<f32, Risk> = shared(risk.session().expect("the model is as its type says"));
    let batch = batch::<f32>();
    let expected = by_hand(
        &Mlp::<f64>::build(&nn::Path::root(), &mut Doubled(&risk.mlp)).expect("the same slots"),
        &RiskBatch {
            x: from_vec(to_vec(&batch.x).iter().map(|&x| f64::from(x)).collect(), (N, Pixels)).expect("the same size"),
            y: batch.y.clone(),
        },
    );
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let found = session.run(&batch).expect("the batch fits");
                    assert!((f64::from(found.loss.array()) - expected.loss).abs() < 1e-5);
                    assert!((f64::from(found.correct.array()) - expected.correct).abs() < 1e-6);
                }
            });
        }
    });
    let smaller = RiskBatch {
        x: from_vec(vec![0.5; 4], (1, Pixels)).expect("a row"),
        y: Indices::new(vec![2], (1,)).expect("a digit"),
    };
    session.run(&smaller).expect("other run-time dimensions get their own program");
}

/// The tensors of a model in f64.
struct Doubled<'a>(&'a Mlp<f32>);

impl nn::Source<f64> for Doubled<'_> {
    fn tensor(&mut self, slot: &nn::Slot) -> ansatz::Result<Vec<f64>> {
        struct Find<'k>(&'k str, Vec<f64>);
        impl nn::Visitor<f32> for Find<'_> {
            fn tensor(&mut self, slot: &nn::Slot, tensor: &dyn ansatz::tensor::HostTensor<f32>) -> ansatz::Result<()> {
                if slot.key == self.0 {
                    self.1 = tensor.to_vec().iter().map(|&x| f64::from(x)).collect();
                }
                Ok(())
            }
        }
        let mut find = Find(&slot.key, vec![]);
        self.0.visit(&nn::Path::root(), &mut find)?;
        Ok(find.1)
    }
}
