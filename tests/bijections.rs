//! The `flow` item from the outside: both directions, determinants, densities, zuko's values, training.
#![deny(warnings)]

use ansatz::data::{Samples, Toy};
use ansatz::nn::{self, Model};
use ansatz::optim::Adam;
use ansatz::prelude::*;
use ansatz::tensor::{Const, Float};
use proptest::prelude::*;
use serde_json::Value;

net! {
    pub dim Plane = 2;
    pub dim Five = 5;

    /// As the article has it.
    pub flow RealNvp(x: [n, Plane]) { x |> [[coupling(hidden = 16), reverse]; 4] |> actnorm }

    /// One of everything, of which `leaky_relu` alone has kinks.
    pub flow Zoo(x: [n, Five]) {
        x |> first: coupling(hidden = (8, 8), act = tanh)
          |> shuffle(seed = 3)
          |> autoregressive(hidden = 12, act = tanh, bins = 5, bound = 4)
          |> mix: invertible_linear
          |> [affine, spline(bound = 2), actnorm]
          |> leaky_relu(slope = 0.4)
          |> coupling(|a| a |> linear(10) |> silu |> linear(6))
          |> reverse
          |> autoregressive(hidden = (9, 7), act = tanh)
    }

    /// Onto the unit square and back: the identity.
    pub flow Square(x: [n, 3]) { x |> sigmoid |> logit |> tanh |> exp |> ln |> affine }

    /// A flow of any dimension, with a condition that its couplings see.
    flow Given(x: [n, d], c: [n, 3]; width: usize = 8) {
        let seen = c |> linear(4) |> tanh;
        x |> [[coupling(|a| concat(a, seen) |> linear(width) |> relu |> linear(d)), reverse]; 2]
    }
    pub net Conditional(x: [n, 4], c: [n, 3]) -> (z: [n, 4], log_det: [n], back: [n, 4], log_prob: [n]) {
        let flow = Given;
        let (z, log_det) = flow(x, c);
        let (back, _again) = flow.inverse(z, c);
        (z = z, log_det = log_det, back = back, log_prob = flow.log_prob(x, c))
    }

    /// Maximum likelihood in one line.
    pub net Likelihood(x: [n, Plane]) -> [] { -mean(RealNvp.log_prob(x)) }
    pub net Draw(x: [n, Plane]) -> [n, Plane] { let flow = RealNvp; 0 * x + flow.sample([n, Plane]) }
    /// A flow is a part of another.
    pub flow Twice(x: [n, Plane]) { x |> a: RealNvp |> reverse |> b: RealNvp }

    pub flow Affine(x: [n, Five]) { x |> c: coupling(hidden = (7, 6)) }
    pub flow Spline(x: [n, Five]) { x |> c: coupling(hidden = 7, bins = 4, bound = 2.5) }
    pub flow Autoregressive(x: [n, Five]) { x |> c: autoregressive(hidden = (9, 7)) }

    pub flow Sharp(x: [n, Plane]) { x |> actnorm |> [[coupling(hidden = (32, 32), bins = 8, bound = 5), reverse]; 4] }
    pub net SharpLikelihood(x: [n, Plane]) -> [] { -mean(sharp: Sharp.log_prob(x)) }

    pub net ZooLoss(x: [n, Five]) -> [] { -mean(Zoo.log_prob(x)) }
    pub net ZooBack(z: [n, Five]) -> [] { let (x, log_det) = Zoo.inverse(z); mean(sum(square(x), over = Five)) - mean(log_det) }
}

fn points<const D: usize, const F: usize>(rows: &[[f64; F]]) -> Tensor<(usize, Const<D>), f64, Cpu> {
    from_vec(rows.concat(), (rows.len(), Const)).expect("the rows are as long")
}

/// A model with parameters that are well away from their start.
fn shaken<E: Float, M: Model<E>>(seed: u64) -> M {
    struct Shake(nn::Seeded, u64);
    impl<E: Float> nn::Source<E> for Shake {
        fn tensor(&mut self, slot: &nn::Slot) -> Result<Vec<E>> {
            let start = nn::Source::<E>::tensor(&mut self.0, slot)?;
            if slot.kind != ansatz::graph::StateKind::Parameter {
                return Ok(start);
            }
            let noise =
                nn::Slot { init: nn::Init::Normal(0.1), key: format!("{}.{}", slot.key, self.1), ..slot.clone() };
            let noise = nn::Source::<f64>::tensor(&mut self.0, &noise)?;
            Ok(start.iter().zip(noise).map(|(a, b)| <E as Float>::from_f64(Float::to_f64(*a) + b)).collect())
        }
    }
    M::build(&nn::Path::root(), &mut Shake(nn::Seeded::new(seed), seed)).expect("it starts")
}

/// ln |det| of a small matrix, by elimination with pivots.
fn log_abs_det(mut m: Vec<Vec<f64>>) -> f64 {
    let mut total = 0.0;
    for i in 0..m.len() {
        let pivot = (i..m.len()).max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs())).expect("a row");
        m.swap(i, pivot);
        total += m[i][i].abs().ln();
        for r in i + 1..m.len() {
            let factor = m[r][i] / m[i][i];
            let (above, below) = m.split_at_mut(r);
            below[0].iter_mut().zip(&above[i]).for_each(|(a, b)| *a -= factor * b);
        }
    }
    total
}

/// The logarithm of the determinant by central differences, at one point: of several steps the one that the step before it
/// bears out best, so that none counts that reaches over a kink or drowns in rounding.
fn numeric<const D: usize>(map: &dyn Fn(&[[f64; D]]) -> Vec<f64>, x: [f64; D]) -> f64 {
    let estimates = [1e-4, 1e-5, 1e-6, 1e-7].map(|step| {
        let sign = |i: usize| 1.0 - 2.0 * (i % 2) as f64;
        let shifted = |i: usize| std::array::from_fn(|j| x[j] + if j == i / 2 { step * sign(i) } else { 0.0 });
        let y = map(&(0..2 * D).map(shifted).collect::<Vec<_>>());
        let column = |j: usize| (0..D).map(|i| (y[2 * j * D + i] - y[(2 * j + 1) * D + i]) / (2.0 * step)).collect();
        log_abs_det((0..D).map(column).collect())
    });
    let change = |pair: &[f64]| (pair[1] - pair[0]).abs();
    estimates.windows(2).min_by(|a, b| change(a).total_cmp(&change(b))).expect("there are several steps")[1]
}

/// Forward and back again is where it began, and the determinants cancel. This is judged in `f64` alone: a chain of
/// couplings may be steep, and a step of slope s back multiplies the rounding of the way there by s. So no accuracy is
/// claimed of `f32` for any parameters: from these, 2e-7 of rounding came back as up to 7e-4.
macro_rules! undone {
    ($seed:expr, $flow:ident, $dim:ident, $rows:expr, $x:expr) => {
        let flow: $flow<f64> = shaken($seed);
        let given: Vec<f64> = $x.into_iter().collect();
        let there = flow.forward(from_vec(given.clone(), ($rows, $dim))?)?;
        let back = flow.inverse(there.z)?;
        for (a, b) in to_vec(&back.x).iter().zip(&given) {
            prop_assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{}: {a} {b}", stringify!($flow));
        }
        for (a, b) in to_vec(&back.log_det).iter().zip(to_vec(&there.log_det)) {
            prop_assert!((a + b).abs() < 1e-8, "{}: {a} {b}", stringify!($flow));
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_inverse_undoes_the_flow(
        seed in 0u64..1000,
        x in prop::collection::vec(prop::array::uniform5(-3.0f64..3.0), 1..6),
    ) {
        let rows = x.len();
        undone!(seed, RealNvp, Plane, rows, x.iter().flat_map(|x| [x[0], x[1]]));
        undone!(seed, Affine, Five, rows, x.concat());
        undone!(seed, Spline, Five, rows, x.concat());
        undone!(seed, Autoregressive, Five, rows, x.concat());
        undone!(seed, Zoo, Five, rows, x.concat());
    }

    #[test]
    fn determinants_are_those_of_the_jacobian(seed in 0u64..1000, x in prop::array::uniform5(-2.5f64..2.5), y in prop::array::uniform3(-2.0f64..2.0)) {
        let zoo: Zoo<f64> = shaken(seed);
        let five = |rows: &[[f64; 5]]| from_vec(rows.concat(), (rows.len(), Five)).expect("five each");
        let found = to_vec(&zoo.forward(five(&[x]))?.log_det)[0];
        let forward = |rows: &[[f64; 5]]| to_vec(&zoo.forward(five(rows)).expect("it runs").z);
        let expected = numeric(&forward, x);
        prop_assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        let inverse = |rows: &[[f64; 5]]| to_vec(&zoo.inverse(five(rows)).expect("it runs").x);
        let found = to_vec(&zoo.inverse(five(&[x]))?.log_det)[0];
        let expected = numeric(&inverse, x);
        prop_assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        let square: Square<f64> = shaken(seed);
        let found = to_vec(&square.forward(points(&[y]))?.log_det)[0];
        let expected = numeric(&|rows: &[[f64; 3]]| to_vec(&square.forward(points(rows)).expect("it runs").z), y);
        prop_assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

fn vector(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(all) => all.iter().flat_map(vector).collect(),
        number => vec![number.as_f64().expect("a number")],
    }
}

/// The tensors of a case of the fixture, in the order in which the layers come.
struct Dense(std::vec::IntoIter<Vec<f64>>);

impl nn::Source<f64> for Dense {
    fn tensor(&mut self, slot: &nn::Slot) -> Result<Vec<f64>> {
        let values = self.0.next().expect("as many layers");
        assert_eq!(values.len(), slot.dims.iter().product::<usize>(), "{}", slot.key);
        Ok(values)
    }
}

fn fixture(name: &str) -> (Value, Dense) {
    let file: Value = serde_json::from_str(include_str!("fixtures/flows.json")).expect("well-formed");
    let case = file[name].clone();
    let layers = case["layers"].as_array().expect("layers").iter();
    let tensors: Vec<_> = layers.flat_map(|layer| [vector(&layer["weight"]), vector(&layer["bias"])]).collect();
    (case, Dense(tensors.into_iter()))
}

macro_rules! as_zuko {
    ($name:literal, $flow:ident) => {
        let (case, mut source) = fixture($name);
        let flow = $flow::<f64>::build(&nn::Path::root(), &mut source)?;
        let x = vector(&case["x"]);
        let there = flow.forward(from_vec(x.clone(), (6, Five))?)?;
        let near = |found: Vec<f64>, expected: Vec<f64>| {
            assert_eq!(found.len(), expected.len());
            for (f, e) in found.iter().zip(&expected) {
                assert!((f - e).abs() < 1e-9 * (1.0 + e.abs()), "{}: {f} is not {e}", $name);
            }
        };
        near(to_vec(&there.z), vector(&case["y"]));
        near(to_vec(&there.log_det), vector(&case["log_det"]));
        near(to_vec(&flow.inverse(there.z)?.x), x);
    };
}

#[test]
fn values_are_those_of_zuko() -> Result<()> {
    as_zuko!("affine", Affine);
    as_zuko!("spline", Spline);
    as_zuko!("autoregressive", Autoregressive);
    Ok(())
}

#[test]
fn one_declaration_is_seen_everywhere_by_the_same_parameters() -> Result<()> {
    let likelihood: Likelihood<f64> = shaken(3);
    let keys: Vec<String> = nn::slots::<f32, Likelihood>().into_iter().map(|slot| slot.key).collect();
    assert_eq!(keys[0], "real_nvp.sequential1.0.0.linear1.weight");
    assert_eq!(keys[4], "real_nvp.sequential1.1.0.linear1.weight");
    assert_eq!(Likelihood::PARAMETERS, 4 * (16 + 16 + 16 * 2 + 2) + 4);
    let flow = likelihood.real_nvp.clone();
    let x = from_vec(vec![0.3, -1.0, 2.0, 0.1, -0.4, 0.9], (3, Plane))?;
    let there = flow.forward(x.clone())?;
    let density: Vec<f64> = to_vec(&there.z)
        .chunks(2)
        .zip(to_vec(&there.log_det))
        .map(|(z, log)| -0.5 * (z[0] * z[0] + z[1] * z[1]) - std::f64::consts::TAU.ln() + log)
        .collect();
    for (found, expected) in to_vec(&flow.log_prob(x.clone())?).iter().zip(&density) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
    let loss = to_vec(&likelihood.forward(x.clone())?)[0];
    assert!((loss + density.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    // Samples are the inverse of noise, the same for the same seed.
    let samples = flow.sample(4000, 1)?;
    assert_eq!(to_vec(&samples), to_vec(&flow.sample(4000, 1)?));
    assert_ne!(to_vec(&samples), to_vec(&flow.sample(4000, 2)?));
    let noise = to_vec(&flow.forward(samples)?.z);
    let mean = noise.iter().sum::<f64>() / noise.len() as f64;
    let power = noise.iter().map(|z| z * z).sum::<f64>() / noise.len() as f64;
    assert!(mean.abs() < 0.06 && (power - 1.0).abs() < 0.08, "{mean} {power}");
    // Draws inside of a net go by the net's own seed.
    let draw = Draw { flow: flow.clone() };
    let drawn = to_vec(&draw.session()?.with_seed(5).run(&DrawBatch { x: x.clone() })?);
    assert_eq!(drawn, to_vec(&draw.session()?.with_seed(5).run(&DrawBatch { x: x.clone() })?));
    assert!(drawn.iter().all(|x| x.is_finite()) && drawn[0] != drawn[2]);
    // A flow in a flow.
    let twice = Twice { a: flow.clone(), b: flow };
    let there = twice.forward(x.clone())?;
    let back = twice.inverse(there.z)?;
    assert!(to_vec(&back.x).iter().zip(to_vec(&x)).all(|(a, b)| (a - b).abs() < 1e-9));
    Ok(())
}

#[test]
fn conditions_are_seen_in_both_directions() -> Result<()> {
    let net: Conditional<f64> = shaken(1);
    let (x, c) =
        (points(&[[0.1, 2.0, -1.0, 0.5], [1.0, -1.0, 0.0, 0.3]]), points(&[[1.0, 0.0, 2.0], [-1.0, 0.5, 0.0]]));
    let out = net.forward(x.clone(), c)?;
    assert!(to_vec(&out.back).iter().zip(to_vec(&x)).all(|(a, b)| (a - b).abs() < 1e-9));
    let other = net.forward(x, points(&[[0.0, 0.0, 0.0], [3.0, 0.5, 0.0]]))?;
    assert_ne!(to_vec(&out.z), to_vec(&other.z));
    Ok(())
}

#[test]
fn actnorm_begins_with_the_first_batch() -> Result<()> {
    let points = Toy::Gaussians.sample(256, 1).concat();
    let batch = SharpLikelihoodBatch { x: from_vec(points, (256, Plane))? };
    let start = SharpLikelihood::<f64>::init(1);
    let mut trainer = Trainer::<SharpLikelihood<f64>, f64>::builder(start, Adam::new(0.0)).build()?;
    let first = trainer.step(&batch)?.loss();
    let norm = trainer.model()?.sharp.actnorm1;
    let x = to_vec(&batch.x);
    let mean = x.iter().step_by(2).sum::<f64>() / 256.0;
    let deviation = (x.iter().step_by(2).map(|x| (x - mean).powi(2)).sum::<f64>() / 256.0).sqrt();
    assert!((to_vec(&norm.mean)[0] - mean).abs() < 1e-9 && (to_vec(&norm.deviation)[0] - deviation).abs() < 1e-5);
    assert_eq!(to_vec(&norm.seen), [1.0]);
    // Later batches leave it as it is, and evaluation uses it.
    let other = SharpLikelihoodBatch { x: from_vec(vec![5.0; 64], (32, Plane))? };
    trainer.step(&other)?;
    assert_eq!(to_vec(&trainer.model()?.sharp.actnorm1.mean), to_vec(&norm.mean));
    let again = trainer.evaluate(&Samples::new(&batch)?)?.loss();
    assert!((again - first).abs() < 1e-9, "{again} {first}");
    Ok(())
}

/// After a short training the density is sharper than at first, and its mass on a grid is 1.
#[test]
fn a_trained_density_integrates_to_one() -> Result<()> {
    let data: Vec<f32> = Toy::Moons.sample(4096, 1).concat().into_iter().map(|x| x as f32).collect();
    let data = Samples::new(&SharpLikelihoodBatch { x: from_vec(data, (4096, Plane))? })?;
    let mut trainer =
        Trainer::builder(SharpLikelihood::<f32>::init(1), Adam::new(3e-3)).batch_size(256).epochs(8).build()?;
    let history = trainer.fit(&data, None)?;
    let losses = history.train_loss();
    assert!(losses[losses.len() - 1] < losses[0] - 0.3, "{losses:?}");
    let (cells, edge) = (250, 5.0);
    let step = 2.0 * edge / cells as f32;
    let middle = |i: usize| (i as f32 + 0.5) * step - edge;
    let grid: Vec<f32> = (0..cells * cells).flat_map(|i| [middle(i % cells), middle(i / cells)]).collect();
    let log = trainer.model()?.sharp.log_prob(from_vec(grid, (cells * cells, Plane))?)?;
    let mass = to_vec(&log).iter().map(|&l| f64::from(l).exp()).sum::<f64>() * f64::from(step * step);
    assert!((mass - 1.0).abs() < 0.005, "{mass}");
    Ok(())
}

ansatz::gradcheck!(ZooLoss);
ansatz::gradcheck!(ZooBack);
ansatz::gradcheck!(Likelihood);
