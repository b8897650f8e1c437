//! Parameters and states by hand, how tensors start, and parts that are not trained.
#![deny(warnings)]

use ansatz::data::Samples;
use ansatz::nn::{self, Init, Model, Seeded, Slot, Source};
use ansatz::optim::{Adam, Sgd};
use ansatz::prelude::*;
use ansatz::tensor::Const;

net! {
    pub dim Features = 5;
    pub dim Word = 7;

    /// A linear layer by hand, of any width.
    net Affine(x: [n, d]; width: usize) -> [n, width] {
        param weight: [width, d] = uniform(-1, 1);
        param bias: [width] = 0.5;
        einsum(x[n, d], weight[width, d] -> [n, width]) + bias
    }
    pub net Hand(x: [n, Features]) -> [n, 3] { x |> fc: Affine(3) }
    pub net Layer(x: [n, Features]) -> [n, 3] { x |> fc: linear(3) }

    /// Weight normalisation (Salimans, Kingma 2016): w = g v / ‖v‖ for each row.
    net WeightNorm(x: [n, d]; width: usize) -> [n, width] {
        param g: [width] = ones;
        param v: [width, d] = kaiming_normal;
        let length = sqrt(sum(square(v), over = d));
        einsum(x[n, d], v[width, d] -> [n, width]) * g / length
    }
    pub net Rows(x: [n, Features]) -> [n, 4] { x |> norm: WeightNorm(4) }
    pub net Normed(x: [n, Features]) -> [] { x |> a: WeightNorm(4) |> tanh |> b: WeightNorm(2) |> square |> mean }

    /// A residual block with a scale of each feature (LayerScale), twice.
    pub net Scaled(x: [n, Features]) -> [n, Features] {
        x |> blocks: [|x| { param gamma: [Features] = 0.1; x + gamma * (x |> linear(Features)) }; 2]
    }

    /// Features less their running mean.
    net Centred(x: [n, d]) -> [n, d] {
        state running: [d] = zeros;
        update running = 0.75 * running + 0.25 * mean(x, over = n);
        x - running
    }
    pub net CentredFit(x: [n, Features]) -> (loss: [], shift: []) {
        param offset: [Features] = zeros;
        let y = centred: Centred(x) + offset;
        (loss = mean(square(y)), shift = mean(y))
    }
    /// A state that two uses move one after the other.
    pub net Twice(x: [n, Features], y: [m, Features]) -> [] {
        param w: [Features] = ones;
        let c = Centred;
        mean(square(w * c(x))) + mean(square(w * c(y)))
    }
    pub net Steps(x: [n, 1]) -> [] {
        state count: [] = zeros;
        update count = count + 1;
        param w: [] = 1;
        mean(square(w * x)) + 0 * count
    }

    /// How layers start, as GPT-2 does.
    pub net Started(tokens: [n, t] in Word) -> [n, t, Word] {
        let token = embedding(Features, init = normal(0.02));
        token(tokens)
            |> blocks: [[linear(4 * Features, init = normal(0.02), bias = zeros), gelu, linear(Features, init = truncated_normal(0.01))]; 2]
            |> norm: layer_norm(init = 0.5) |> head: linear(Word, init = orthogonal, bias = uniform(1, 2))
    }
    pub net Twins(x: [n, Features]) -> [n, Features] {
        x |> same: [linear(Features, init = identity, bias = zeros); 3] |> conv: ([n, c] -> [n, 1, 1, c] |> conv2d(1, kernel = 1, init = ones, bias = zeros) |> [n, 1, 1, c] -> [n, c])
    }

    net Encoder(x: [n, Features]) -> [n, 6] { x |> linear(6) |> tanh |> batch_norm }
    pub net Probe(x: [n, Features], y: [n, 1]) -> [] {
        x |> encoder: freeze(Encoder) |> head: linear(1) |> mse(y)
    }
    pub net Free(x: [n, Features], y: [n, 1]) -> [] { x |> encoder: Encoder |> head: linear(1) |> mse(y) }
    pub net Budget(x: [n, Features]) -> [n, 3] where parameters <= 18 { x |> Affine(3) }

    pub net HandLoss(x: [n, Features]) -> [] { x |> Affine(3) |> tanh |> square |> mean }
    pub net ScaledLoss(x: [n, Features]) -> [] { x |> Scaled |> square |> mean }
    pub net FrozenLoss(x: [n, Features]) -> [] {
        x |> first: linear(Features) |> middle: freeze([linear(4), tanh]) |> last: linear(2) |> square |> mean
    }
}

fn keys<M: Model<f32>>() -> Vec<String> {
    nn::slots::<f32, M>().into_iter().map(|slot| slot.key).collect()
}

fn sample(len: usize) -> Vec<f64> {
    (0..len).map(|i| (i as f64 * 1.7).sin() * 2.0 + 0.3).collect()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}\n{expected:?}");
}

#[test]
fn a_linear_layer_by_hand_is_a_linear_layer() -> Result<()> {
    assert_eq!(keys::<Hand>(), keys::<Layer>());
    assert_eq!((Hand::PARAMETERS, Budget::PARAMETERS), (Layer::PARAMETERS, 18));
    let hand: Hand<f64> = Hand::init(3);
    let mut layer: Layer<f64> = Layer::init(4);
    // Both are of one type.
    layer.fc.weight = hand.fc.weight.clone();
    layer.fc.bias = hand.fc.bias.clone();
    assert_eq!(to_vec(&hand.fc.bias), [0.5; 3]);
    let x = from_vec(sample(20), (4, Features))?;
    close(&to_vec(&hand.forward(x.clone())?), &to_vec(&layer.forward(x)?));
    // Weights decay, vectors do not; a file holds both.
    let decays: Vec<bool> = nn::slots::<f32, Hand>().iter().map(|slot| slot.decay).collect();
    assert_eq!(decays, [true, false]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    hand.save(folder.path().join("hand.safetensors"))?;
    let read: Layer<f64> = Layer::load(folder.path().join("hand.safetensors"))?;
    assert_eq!(to_vec(&read.fc.weight), to_vec(&hand.fc.weight));
    Ok(())
}

#[test]
fn weight_norm_is_its_formula() -> Result<()> {
    assert_eq!(keys::<Rows>(), ["norm.g", "norm.v"]);
    let mut net: Rows<f64> = Rows::init(1);
    net.norm.g = from_vec(vec![1.0, 2.0, -1.0, 0.5], (Const,))?;
    let (x, v, g) = (sample(10), to_vec(&net.norm.v), to_vec(&net.norm.g));
    let row = |i: usize, o: usize| {
        let (x, v) = (&x[5 * i..5 * i + 5], &v[5 * o..5 * o + 5]);
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        x.iter().zip(v).map(|(x, v)| x * v).sum::<f64>() * g[o] / length
    };
    let expected: Vec<f64> = (0..8).map(|e| row(e / 4, e % 4)).collect();
    close(&to_vec(&net.forward(from_vec(x.clone(), (2, Features))?)?), &expected);
    Ok(())
}

#[test]
fn repeated_closures_have_parameters_of_their_own() -> Result<()> {
    assert_eq!(keys::<Scaled>()[..3], ["blocks.0.gamma", "blocks.0.linear1.weight", "blocks.0.linear1.bias"]);
    assert_eq!(Scaled::PARAMETERS, 2 * (5 + 5 * 5 + 5));
    let mut net: Scaled<f64> = Scaled::init(1);
    assert_eq!(to_vec(&net.blocks[1].gamma), [0.1; 5]);
    for block in &mut *net.blocks {
        block.gamma = from_vec(vec![0.0; 5], (Features,))?;
    }
    let x = sample(10);
    close(&to_vec(&net.forward(from_vec(x.clone(), (2, Features))?)?), &x);
    Ok(())
}

/// The mean of each of five columns.
fn column_means(x: &[f64]) -> Vec<f64> {
    (0..5).map(|j| x.iter().skip(j).step_by(5).sum::<f64>() * 5.0 / x.len() as f64).collect()
}

#[test]
fn a_running_mean_follows_training_and_stays_in_evaluation_and_in_files() -> Result<()> {
    let slots = nn::slots::<f64, CentredFit<f64>>();
    assert_eq!(CentredFit::PARAMETERS, 5);
    assert!(slots.iter().any(|slot| slot.key == "centred.running"));
    let x = from_vec(sample(20), (4, Features))?;
    let (step, batch) = (column_means(&sample(20)), CentredFitBatch { x: x.clone() });
    let mut trainer = Trainer::<CentredFit<f64>, f64>::builder(CentredFit::init(1), Sgd::new(0.0)).build()?;
    let mut running = vec![0.0; 5];
    for _ in 0..3 {
        let shift = trainer.step(&batch)?.get("shift").expect("a result");
        let expected = step.iter().zip(&running).map(|(m, r)| m - r).sum::<f64>() / 5.0;
        assert!((shift - expected).abs() < 1e-12, "the value before the step is used");
        running.iter_mut().zip(&step).for_each(|(r, m)| *r = 0.75 * *r + 0.25 * m);
    }
    close(&to_vec(&trainer.model()?.centred.running), &running);
    trainer.evaluate(&Samples::new(&batch)?)?;
    let net = trainer.model()?;
    close(&to_vec(&net.centred.running), &running);
    let folder = tempfile::tempdir().expect("a temporary folder");
    net.save(folder.path().join("net.safetensors"))?;
    let read: CentredFit<f64> = CentredFit::load(folder.path().join("net.safetensors"))?;
    close(&to_vec(&read.centred.running), &running);
    let shift = step.iter().zip(&running).map(|(m, r)| m - r).sum::<f64>() / 5.0;
    assert!((to_vec(&read.forward(x)?.shift)[0] - shift).abs() < 1e-12);
    Ok(())
}

#[test]
fn two_uses_of_a_state_move_it_one_after_the_other() -> Result<()> {
    let (x, y) = (sample(10), sample(35)[20..].to_vec());
    let batch = TwiceBatch { x: from_vec(x.clone(), (2, Features))?, y: from_vec(y.clone(), (3, Features))? };
    let mut trainer = Trainer::<Twice<f64>, f64>::builder(Twice::init(0), Sgd::new(0.0)).build()?;
    let loss = trainer.step(&batch)?.loss();
    let between: Vec<f64> = column_means(&x).iter().map(|m| 0.25 * m).collect();
    let after: Vec<f64> = column_means(&y).iter().zip(&between).map(|(m, r)| 0.75 * r + 0.25 * m).collect();
    close(&to_vec(&trainer.model()?.c.running), &after);
    let second: f64 = y.iter().enumerate().map(|(i, y)| (y - between[i % 5]).powi(2)).sum::<f64>() / 15.0;
    let expected = x.iter().map(|x| x * x).sum::<f64>() / 10.0 + second;
    assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
    Ok(())
}

#[test]
fn a_state_may_count_steps() -> Result<()> {
    let mut trainer = Trainer::<Steps, f32>::builder(Steps::init(0), Sgd::new(0.1)).build()?;
    for _ in 0..4 {
        trainer.step(&StepsBatch { x: from_vec(vec![1.0, 2.0], (2, Const))? })?;
    }
    assert_eq!(to_vec(&trainer.model()?.count), [4.0]);
    Ok(())
}

fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt())
}

fn draws(init: Init, dims: &[usize]) -> Vec<f64> {
    let kind = ansatz::graph::StateKind::Parameter;
    let slot = Slot { key: "w".into(), kind, dims: dims.to_vec(), init, decay: true };
    Seeded::new(5).tensor(&slot).expect("drawing does not fail")
}

/// Deviations as `torch.nn.init` defines them; bounds are five standard errors of the draws.
#[test]
fn initialisers_have_their_moments() {
    use nn::Fan;
    let conv = [40, 30, 3, 3];
    let root = |x: f64| x.sqrt();
    for (init, deviation) in [
        (Init::Normal(0.02), 0.02),
        (Init::Uniform(-3.0, 3.0), root(3.0)),
        // A normal distribution cut at two deviations keeps 0.8796 of its deviation.
        (Init::TruncatedNormal(0.5), 0.5 * 0.879_596),
        (Init::KaimingNormal(root(2.0), Fan::In), root(2.0 / (30.0 * 9.0))),
        (Init::KaimingUniform(1.0, Fan::Out), root(1.0 / (40.0 * 9.0))),
        (Init::XavierNormal(1.0), root(2.0 / (70.0 * 9.0))),
        (Init::XavierUniform(2.0), 2.0 * root(2.0 / (70.0 * 9.0))),
    ] {
        let values = draws(init, &conv);
        let (mean, found) = moments(&values);
        let error = deviation / root(values.len() as f64);
        assert!(mean.abs() < 5.0 * error && (found - deviation).abs() < 5.0 * error, "{init:?}: {mean} {found}");
        let greatest = values.iter().fold(0.0f64, |most, value| most.max(value.abs())) / deviation;
        match init {
            Init::TruncatedNormal(_) => assert!(greatest < 2.0 / 0.879_596),
            Init::Uniform(..) | Init::KaimingUniform(..) | Init::XavierUniform(_) => {
                assert!(greatest <= root(3.0) + 1e-9)
            }
            _ => assert!(greatest > 3.0),
        }
    }
}

#[test]
fn orthogonal_tensors_are_orthogonal() {
    for (rows, columns) in [(4, 9), (9, 4), (6, 6)] {
        let w = draws(Init::Orthogonal(2.0), &[rows, columns]);
        let few = rows.min(columns);
        let at = |i: usize, k: usize| if rows <= columns { w[i * columns + k] } else { w[k * columns + i] };
        for (i, j) in (0..few).flat_map(|i| (0..few).map(move |j| (i, j))) {
            let product: f64 = (0..rows.max(columns)).map(|k| at(i, k) * at(j, k)).sum();
            assert!((product - if i == j { 4.0 } else { 0.0 }).abs() < 1e-12, "{i} {j} {product}");
        }
    }
    assert_eq!(draws(Init::Identity(3.0), &[2, 3]), [3.0, 0.0, 0.0, 0.0, 3.0, 0.0]);
}

#[test]
fn layers_start_as_they_are_told() -> Result<()> {
    let net: Started<f64> = Started::init(2);
    let plain = |values: Vec<f64>| moments(&values).1;
    assert!(plain(to_vec(&net.token.weight)) < 0.03);
    assert!(to_vec(&net.blocks[1]._0.bias).iter().all(|&b| b == 0.0));
    assert!(plain(to_vec(&net.blocks[1]._0.weight)) < 0.03);
    assert!(to_vec(&net.blocks[0]._2.weight).iter().all(|w| w.abs() <= 0.02 && *w != 0.0));
    assert_eq!(to_vec(&net.norm.weight), [0.5; 5]);
    assert!(to_vec(&net.head.bias).iter().all(|b| (1.0..2.0).contains(b)));
    // The same tensors come from a file, in the same places.
    let folder = tempfile::tempdir().expect("a temporary folder");
    net.save(folder.path().join("net.safetensors"))?;
    let read: Started<f64> = Started::load(folder.path().join("net.safetensors"))?;
    assert_eq!(to_vec(&read.head.weight), to_vec(&net.head.weight));
    let x = sample(10);
    close(&to_vec(&Twins::<f64>::init(0).forward(from_vec(x.clone(), (2, Features))?)?), &x);
    Ok(())
}

#[test]
fn what_is_frozen_keeps_its_values() -> Result<()> {
    assert_eq!((keys::<Probe>(), Probe::PARAMETERS), (keys::<Free>(), Free::PARAMETERS));
    let start: Probe<f64> = Probe::init(6);
    let batch = ProbeBatch { x: from_vec(sample(40), (8, Features))?, y: from_vec(sample(8), (8, Const))? };
    let mut trainer = Trainer::<Probe<f64>, f64>::builder(start.clone(), Adam::new(0.05)).build()?;
    let first = trainer.step(&batch)?.loss();
    for _ in 0..50 {
        trainer.step(&batch)?;
    }
    let net = trainer.model()?;
    assert_eq!(to_vec(&net.encoder.linear1.weight), to_vec(&start.encoder.linear1.weight));
    assert_eq!(to_vec(&net.encoder.batch_norm1.weight), [1.0; 6]);
    // Running statistics are no parameters: they follow the data.
    assert_ne!(to_vec(&net.encoder.batch_norm1.running_mean), [0.0; 6]);
    assert_ne!(to_vec(&net.head.weight), to_vec(&start.head.weight));
    assert!(trainer.step(&batch)?.loss() < first);
    // The optimiser keeps its moments of the head alone.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("training.safetensors");
    trainer.save(&path)?;
    let bytes = std::fs::read(&path).expect("the file was written");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a file of tensors");
    let kept: Vec<_> = file.names().into_iter().filter(|name| name.starts_with("optimiser.")).collect();
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert!(kept.iter().all(|name| name.contains("head")), "{kept:?}");
    // The gradient goes through to what stands before, and is none for what is frozen.
    let (_, gradient) =
        FrozenLoss::<f64>::init(1).gradient(&FrozenLossBatch { x: from_vec(sample(10), (2, Features))? })?;
    assert!(to_vec(&gradient.first.weight).iter().any(|&d| d != 0.0));
    assert!(to_vec(&gradient.middle._0.weight).iter().all(|&d| d == 0.0));
    Ok(())
}

ansatz::gradcheck!(HandLoss);
ansatz::gradcheck!(Normed);
ansatz::gradcheck!(ScaledLoss);
ansatz::gradcheck!(CentredFit);
ansatz::gradcheck!(FrozenLoss);
