//! Ten updates of a small net agree with PyTorch's optimisers, and learning rates with its schedules. The numbers come
//! from `fixtures/optimisers.py`.

use ansatz::graph::{Binary, DType, Graph, NodeId, ReduceOp, StateKind, Unary};
use ansatz::nn::{Init, Slot};
use ansatz::ops::interpret;
use ansatz::optim::{Adam, AdamW, Group, Optimiser, Phase, Recipe, Schedule, Sgd, record};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/optimisers.json")).expect("the fixture is JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn slots() -> Vec<Slot> {
    let slot = |key: &str, dims: &[usize]| Slot {
        key: key.to_owned(),
        kind: StateKind::Parameter,
        dims: dims.to_vec(),
        init: Init::Constant(0.0),
        decay: dims.len() > 1,
    };
    vec![slot("weight", &[2, 3]), slot("bias", &[2])]
}

/// mean((tanh(x wᵀ + b) − y)²) for a batch of `n`.
fn forward(graph: &mut Graph, n: usize) -> ansatz::Result<NodeId> {
    let x = graph.input("x", &[n, 3], DType::F64);
    let y = graph.input("y", &[n, 2], DType::F64);
    let weight = graph.state("weight", StateKind::Parameter, &[2, 3], DType::F64)?;
    let bias = graph.state("bias", StateKind::Parameter, &[2], DType::F64)?;
    let product = graph.matmul(x, weight, [false, true])?;
    let bias = graph.broadcast(bias, &[0], &[n, 2])?;
    let sum = graph.binary(Binary::Add, product, bias)?;
    let output = graph.unary(Unary::Tanh, sum)?;
    let error = graph.binary(Binary::Sub, output, y)?;
    let square = graph.unary(Unary::Square, error)?;
    let total = graph.reduce(ReduceOp::Sum, square, &[0, 1])?;
    let count = graph.constant_like(2.0 * n as f64, total);
    graph.binary(Binary::Div, total, count)
}

/// Runs ten updates and compares with the fixture of this name.
fn compare(name: &str, recipe: &Recipe) {
    let fixture = fixture();
    let problem = &fixture["problem"];
    let (x, y) = (numbers(&problem["x"]), numbers(&problem["y"]));
    let batches = recipe.accumulate;
    let n = 8 / batches;
    let graph = |phase| {
        let mut graph = Graph::new();
        let loss = forward(&mut graph, n).expect("the net is well-formed");
        record(&mut graph, loss, &slots(), recipe, phase).expect("the recipe is well-formed");
        graph
    };
    let (accumulating, updating) = (graph(Phase::Accumulate), graph(Phase::Update));
    // Tensors by key, since the two graphs number them differently; what is new begins at zero, averages at the weights.
    let mut state = std::collections::HashMap::new();
    for key in ["weight", "bias"] {
        state.insert(key.to_owned(), numbers(&problem[key]));
        state.insert(format!("optimiser.average.{key}"), numbers(&problem[key]));
    }
    let all_slots = slots();
    let scalars_at = recipe.scalars(&all_slots);
    let mut scalars = Vec::new();
    for update in 0..10 {
        scalars_at(update, update, &mut scalars);
        for batch in 0..batches {
            let graph = if batch + 1 == batches { &updating } else { &accumulating };
            let (rows, labels) = (batch * n * 3..(batch + 1) * n * 3, batch * n * 2..(batch + 1) * n * 2);
            let mut inputs = vec![x[rows].to_vec(), y[labels].to_vec()];
            inputs.extend(scalars.iter().map(|&scalar| vec![scalar]));
            let before: Vec<Vec<f64>> = graph
                .states()
                .iter()
                .map(|s| state.get(&s.key).cloned().unwrap_or_else(|| vec![0.0; s.dims.iter().product()]))
                .collect();
            let after = interpret(graph, &before, &inputs).expect("the graph can be run").states;
            for (slot, values) in graph.states().iter().zip(after) {
                state.insert(slot.key.clone(), values);
            }
        }
        let recorded = fixture["runs"][name].as_array().expect("runs");
        let Some(expected) = recorded.iter().find(|state| state["update"] == update + 1) else { continue };
        for (key, expected) in expected.as_object().expect("an object").iter().filter(|(key, _)| *key != "update") {
            let ours = match key.strip_prefix("average.") {
                Some(key) => &state[&format!("optimiser.average.{key}")],
                None => &state[key],
            };
            for (ours, theirs) in ours.iter().zip(numbers(expected)) {
                let error = (ours - theirs).abs() / theirs.abs().max(1e-2);
                assert!(error < 1e-12, "{name}, update {}, {key}: {ours} and {theirs}", update + 1);
            }
        }
    }
}

/// The optimiser with PyTorch's default that every parameter decays.
fn everything(optimiser: impl Optimiser + 'static) -> Recipe {
    Recipe { decay_everything: true, ..Recipe::new(optimiser) }
}

#[test]
fn sgd() {
    compare("sgd", &everything(Sgd::new(0.1)));
    compare("sgd_momentum", &everything(Sgd { momentum: 0.9, ..Sgd::new(0.1) }));
    compare("sgd_dampening", &everything(Sgd { momentum: 0.9, dampening: 0.3, weight_decay: 0.05, ..Sgd::new(0.1) }));
    compare("sgd_nesterov", &everything(Sgd { momentum: 0.8, nesterov: true, weight_decay: 0.05, ..Sgd::new(0.1) }));
}

#[test]
fn adam() {
    compare("adam", &everything(Adam::new(0.02)));
    let adam = Adam { betas: (0.8, 0.95), epsilon: 1e-6, weight_decay: 0.1, ..Adam::new(0.02) };
    compare("adam_decay", &everything(adam));
}

#[test]
fn adamw() {
    compare("adamw", &everything(AdamW { weight_decay: 0.3, ..AdamW::new(0.02) }));
}

#[test]
fn groups() {
    // Biases do not decay unless they are told to.
    let adamw = AdamW { weight_decay: 0.3, ..AdamW::new(0.02) };
    let group = Group::matching("w*t").learning_rate(0.05);
    compare("groups", &Recipe { groups: vec![group], ..Recipe::new(adamw) });
    let group = Group::when(|slot| slot.dims.len() == 1).frozen();
    compare("frozen", &Recipe { groups: vec![group], ..everything(Sgd::new(0.1)) });
}

#[test]
fn clipping_accumulation_and_average() {
    compare("clip", &Recipe { clip: Some(0.1), ..everything(Sgd { momentum: 0.9, ..Sgd::new(0.5) }) });
    let adamw = AdamW { weight_decay: 0.3, ..AdamW::new(0.02) };
    compare("accumulate", &Recipe { accumulate: 4, clip: Some(0.2), ..everything(adamw) });
    compare("average", &Recipe { average: Some(0.9), ..everything(Adam::new(0.02)) });
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let recipe = Recipe { clip: Some(1.0), average: Some(0.5), ..Recipe::new(AdamW::new(0.1)) };
    let mut graph = Graph::new();
    let loss = forward(&mut graph, 1).expect("the net is well-formed");
    record(&mut graph, loss, &slots(), &recipe, Phase::Update).expect("the recipe is well-formed");
    let before: Vec<Vec<f64>> = graph.states().iter().map(|s| vec![0.5; s.dims.iter().product()]).collect();
    let mut scalars = Vec::new();
    recipe.scalars(&slots())(0, 0, &mut scalars);
    for (bad, changes) in [(f64::NAN, false), (f64::INFINITY, false), (1.0, true)] {
        let mut inputs = vec![vec![1.0, 2.0, 3.0], vec![bad, 0.0]];
        inputs.extend(scalars.iter().map(|&scalar| vec![scalar]));
        let after = interpret(&graph, &before, &inputs).expect("the graph can be run").states;
        assert_eq!(after != before, changes, "{bad}");
    }
}

#[test]
fn schedules() {
    let fixture = fixture();
    for (name, schedule) in [
        ("step", Schedule::Step { every: 3, factor: 0.5 }),
        ("cosine", Schedule::Cosine { warmup: 0, total: 10, floor: 0.1 }),
        ("one_cycle", Schedule::one_cycle(20)),
    ] {
        for (update, theirs) in numbers(&fixture["schedules"][name]).into_iter().enumerate() {
            let ours = schedule.factor(update as u64);
            assert!((ours - theirs).abs() < 1e-12, "{name} at {update}: {ours} and {theirs}");
        }
    }
    let warm = Schedule::cosine(4, 12);
    assert_eq!(
        [0, 1, 3, 4, 8, 12, 99].map(|u| (warm.factor(u) * 1e9).round() / 1e9),
        [0.25, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]
    );
}

#[test]
fn numbers_out_of_range_are_named() {
    for (recipe, part) in [
        (Recipe::new(Sgd::new(-0.1)), "the learning rate is -0.1"),
        (Recipe::new(Adam { betas: (0.9, 1.0), ..Adam::new(0.1) }), "the second beta is 1"),
        (Recipe::new(Sgd { nesterov: true, ..Sgd::new(0.1) }), "Nesterov"),
        (Recipe { clip: Some(0.0), ..Recipe::new(Sgd::new(0.1)) }, "clipped at a norm of 0"),
        (Recipe { accumulate: 0, ..Recipe::new(Sgd::new(0.1)) }, "at least one batch"),
        (Recipe { schedule: Schedule::cosine(10, 10), ..Recipe::new(Sgd::new(0.1)) }, "warms up for 10"),
        (Recipe { groups: vec![Group::matching("*").frozen()], ..Recipe::new(Sgd::new(0.1)) }, "no parameter is left"),
    ] {
        let mut graph = Graph::new();
        let loss = forward(&mut graph, 1).expect("the net is well-formed");
        let error = record(&mut graph, loss, &slots(), &recipe, Phase::Update).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}
