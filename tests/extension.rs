//! A solver and layers of another crate, as parts of nets.
#![deny(warnings)]

use ansatz::Error;
use ansatz::prelude::*;
use ansatz::{nn, ode};
use extension::solvers::RALSTON;

net! {
    use extension::layers::{LowRank, Memory};

    pub dim Features = 6;

    /// Two uses of a layer of another crate, with a layer of the library between.
    pub net Model(x: [n, Features]) -> [n, 3] {
        x |> adapt: LowRank(4, rank = 3) |> tanh |> linear(4) |> LowRank(3, start = 0.0)
    }
    /// A layer whose parameters start as functions of the other crate say.
    pub net Remembers(state: [n, 3], x: [n, Features]) -> [n, 3] {
        let y = memory: Memory(state, x);
        y |> linear(3, init = extension::layers::hippo(1.0), bias = extension::layers::balanced)
    }
    pub net Overfull(x: [n, 2]) -> [n, 2] {
        param w: [2, 2] = extension::layers::one_more;
        einsum(x[n, j], w[i, j] -> [n, i])
    }
    pub net Loss(x: [n, Features], y: [n, 3]) -> [] { x |> model: Model |> mse(y) }

    /// The whole of a stack, by Rust's path of the table.
    pub net Flow(y: [n, 2]) -> [n, 2] {
        y |> ode(s = 0..2, by = extension::solvers::RALSTON(8), |y, s| rotate: (y |> linear(2, bias = false)) * cos(s))
    }
    pub net Stored(y: [n, 2]) -> [] {
        y |> ode(s = 0..1, by = extension::solvers::RALSTON(5), |y, s| y |> field: linear(2) |> tanh |> |k| k + s) |> square |> mean
    }
    pub net Recomputed(y: [n, 2]) -> [] {
        y |> ode(s = 0..1, by = extension::solvers::RALSTON(5), gradient = recompute, |y, s| y |> field: linear(2) |> tanh |> |k| k + s)
            |> square |> mean
    }
    pub net Adjoint(y: [n, 2]) -> [] {
        y |> ode(s = 0..1, by = extension::solvers::RALSTON(400), gradient = adjoint, |y, s| y |> field: linear(2) |> tanh |> |k| k + s)
            |> square |> mean
    }
    pub net Dense(y: [n, 2]) -> [] {
        y |> ode(s = 0..1, by = tsit5(40), |y, s| y |> field: linear(2) |> tanh |> |k| k + s) |> square |> mean
    }
    pub net Crooked(y: [n, 2]) -> [n, 2] { y |> ode(s = 0..1, by = extension::solvers::CROOKED(2), |y| -y) }
    pub net Traced(y: [n, 2]) -> [] {
        let (z, change) = y |> cnf(s = 0..1, by = extension::solvers::RALSTON(6), |z, s| z |> field: linear(2) |> tanh);
        mean(square(z)) - mean(change)
    }
}

/// y′ = −y in so many steps, from 1: the solution is e⁻¹.
macro_rules! decays {
    ($($name:ident $steps:literal),*) => {
        net! { $(pub net $name(y: [n, 1]) -> [n, 1] { y |> ode(s = 0..1, by = extension::solvers::RALSTON($steps), |y, s| s * y - y) })* }

        /// The error at the end of y′ = (s − 1) y, whose solution is e^(s²/2 − s), with the number of steps.
        fn errors() -> Vec<(f64, f64)> {
            vec![$({
                let net: $name<f64> = $name::init(0);
                let end = to_vec(&net.forward(from_vec(vec![1.0], (1, Const)).unwrap()).unwrap())[0];
                (f64::from($steps), (end - (-0.5f64).exp()).abs())
            }),*]
        }
    };
}
decays!(Steps8 8, Steps16 16, Steps32 32, Steps64 64);

#[test]
fn a_table_of_another_crate_has_its_order() {
    let errors = errors();
    for pair in errors.windows(2) {
        let order = (pair[0].1 / pair[1].1).log2();
        assert!((order - f64::from(RALSTON.order)).abs() < 0.15, "{order} from {errors:?}");
    }
    // In a net it is what the solver on the host computes.
    let net: Flow<f64> = Flow::init(3);
    let weight = to_vec(&net.rotate.linear1.weight);
    let solver = ode::Solver { method: &RALSTON, steps: ode::Steps::Fixed(8) };
    let field = |s: f64, y: &[f64], dy: &mut [f64]| {
        dy[0] = (weight[0] * y[0] + weight[1] * y[1]) * s.cos();
        dy[1] = (weight[2] * y[0] + weight[3] * y[1]) * s.cos();
        Ok(())
    };
    let expected = solver.solve(field, 0.0..2.0, &[0.7, -0.4]).unwrap().y;
    let found = to_vec(&net.forward(from_vec(vec![0.7, -0.4], (1, Const)).unwrap()).unwrap());
    assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-14), "{found:?} is not {expected:?}");
}

#[test]
fn steps_of_a_foreign_table_are_counted() {
    assert_eq!((RALSTON.evaluations(), ode::DOPRI5.evaluations(), ode::RK4.evaluations()), (3, 6, 4));
    // Eight steps of three evaluations of a 2 × 2 product.
    assert_eq!(Flow::multiply_adds(10), 8 * 3 * 4 * 10);
}

ansatz::gradcheck!(Stored);
ansatz::gradcheck!(Recomputed);
ansatz::gradcheck!(Traced);

#[test]
fn all_ways_to_the_gradient_take_a_foreign_table() {
    let y = || from_vec(vec![0.5, -0.3, 0.8, 0.1], (2, Const)).unwrap();
    macro_rules! gradient {
        ($net:ident, $batch:ident) => {{
            let net: $net<f64> = $net::init(5);
            let (loss, gradient) = net.gradient(&$batch { y: y() }).unwrap();
            [to_vec(&loss), to_vec(&gradient.field.weight), to_vec(&gradient.field.bias)].concat()
        }};
    }
    let near = |a: &[f64], b: &[f64], tolerance: f64| a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance);
    let (stored, recomputed) = (gradient!(Stored, StoredBatch), gradient!(Recomputed, RecomputedBatch));
    assert!(near(&stored, &recomputed, 1e-14), "{stored:?} and {recomputed:?}");
    // The adjoint's gradient is that of the exact solution, up to the error of its steps.
    let (adjoint, dense) = (gradient!(Adjoint, AdjointBatch), gradient!(Dense, DenseBatch));
    assert!(near(&adjoint, &dense, 1e-8), "{adjoint:?} and {dense:?}");
}

#[test]
fn a_table_that_is_none_is_refused() {
    let net: Crooked = Crooked::init(0);
    let error = net.forward(from_vec(vec![1.0, 2.0], (1, Const)).unwrap()).expect_err("no method").to_string();
    assert!(
        error.contains("`crooked` is not that of a method: row 1 sums to 0.5, but its stage stands at the time 0.25"),
        "{error}"
    );
    let solver = |method| ode::Solver { method, steps: ode::Steps::Fixed(1) };
    let message = |method: &'static ode::Method| {
        let solved = solver(method).solve(|_, _, _| Ok(()), 0.0..1.0, &[1.0]);
        solved.expect_err("no method").to_string()
    };
    const SHORT: ode::Method = ode::Method { name: "short", b: &[0.5, 0.5], ..RALSTON };
    const WIDE: ode::Method = ode::Method { name: "wide", a: &[&[], &[0.5], &[0.75]], ..RALSTON };
    const LIGHT: ode::Method = ode::Method { name: "light", b: &[0.25, 0.25, 0.25], ..RALSTON };
    for (method, part) in [
        (&SHORT, "3 rows, 2 weights and 3 times"),
        (&WIDE, "row 2 has 1 numbers, and stage 2 comes after 2 others"),
        (&LIGHT, "its weights sum to 0.75, and not to 1"),
    ] {
        assert!(message(method).contains(part), "{}", message(method));
    }
}

#[test]
fn a_layer_of_another_crate_has_parameters_of_its_own() {
    let slots = nn::slots::<f64, Model<f64>>();
    let keys: Vec<&str> = slots.iter().map(|slot| &*slot.key).collect();
    let expected = "adapt.down adapt.up adapt.bias linear1.weight linear1.bias low_rank.down low_rank.up low_rank.bias";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(Model::PARAMETERS, (3 * 6 + 4 * 3 + 4) + (16 + 4) + (2 * 4 + 3 * 2 + 3));
    let model: Model<f64> = Model::init(1);
    // As they are declared to start.
    let down = to_vec(&model.adapt.down);
    assert!(down.iter().all(|w| w.abs() <= (3.0f64 * 2.0 / 6.0).sqrt()) && down.iter().any(|w| *w != down[0]));
    assert!(to_vec(&model.adapt.up).iter().all(|w| *w == 0.0));
    assert_eq!((to_vec(&model.adapt.bias), to_vec(&model.low_rank.bias)), (vec![0.25; 4], vec![0.0; 3]));
}

#[test]
fn parameters_start_as_functions_of_another_crate_say() {
    let net: Remembers<f64> = Remembers::init(1);
    let root = |x: f64| x.sqrt();
    let hippo = [-1.0, 0.0, 0.0, -root(3.0), -2.0, 0.0, -root(5.0), -root(15.0), -3.0];
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
    assert!(near(&to_vec(&net.memory.a), &hippo.map(|value| 0.5 * value)));
    assert!(near(&to_vec(&net.linear1.weight), &hippo));
    // Draws follow seed and key, and nothing else.
    let other: Remembers<f64> = Remembers::init(2);
    let (b, again) = (to_vec(&net.memory.b), to_vec(&Remembers::<f64>::init(1).memory.b));
    assert!(b == again && b != to_vec(&other.memory.b) && b[..3] != to_vec(&net.linear1.bias)[..]);
    assert!(b.iter().all(|value| value.abs() < 5.0 * root(2.0 / 9.0)));
    let overfull = std::panic::catch_unwind(|| -> Overfull { Overfull::init(0) });
    let message = *overfull.expect_err("too many values").downcast::<String>().expect("a text");
    assert_eq!(message, "`w` of shape [2, 2] starts from 5 values, and takes 4");
    assert_eq!(nn::try_init::<f32, Overfull>(0).map(drop).unwrap_err().to_string(), message);
}

#[test]
fn it_learns_and_is_saved_under_its_keys() -> Result<()> {
    let numbers = |len: usize, shift: f64| (0..len).map(|i| (0.9 * i as f64 + shift).sin()).collect::<Vec<f64>>();
    // Differences of what it is given.
    let x = numbers(60, 0.0);
    let y = (0..30).map(|i| 0.5 * (x[i / 3 * 6 + i % 3] - x[i / 3 * 6 + i % 3 + 3])).collect();
    let batch = LossBatch { x: from_vec(x, (10, Features))?, y: from_vec(y, (10, Const))? };
    let mut trainer = Trainer::builder(Loss::<f64>::init(2), extension::Muon::new(0.02)).build()?;
    let before = trainer.step(&batch)?.loss();
    (0..200).try_for_each(|_| trainer.step(&batch).map(drop))?;
    let after = trainer.step(&batch)?.loss();
    assert!(after < 0.1 * before, "{before} to {after}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let model = trainer.model()?.model;
    model.save(&path)?;
    let read: Model<f64> = ansatz::train::load(&path)?;
    assert_eq!(to_vec(&read.adapt.up), to_vec(&model.adapt.up));
    assert_eq!(to_vec(&read.forward(batch.x.clone())?), to_vec(&model.forward(batch.x.clone())?));

    // What it computes, by plain loops.
    let x = to_vec(&batch.x);
    let (down, up, bias) = (to_vec(&model.adapt.down), to_vec(&model.adapt.up), to_vec(&model.adapt.bias));
    let inner: Vec<f64> = (0..3).map(|r| (0..6).map(|i| down[r * 6 + i] * x[i]).sum()).collect();
    let hidden: Vec<f64> =
        (0..4).map(|o| (bias[o] + (0..3).map(|r| up[o * 3 + r] * inner[r]).sum::<f64>()).tanh()).collect();
    let (weight, shift) = (to_vec(&model.linear1.weight), to_vec(&model.linear1.bias));
    let hidden: Vec<f64> =
        (0..4).map(|o| shift[o] + (0..4).map(|i| weight[o * 4 + i] * hidden[i]).sum::<f64>()).collect();
    let (down, up, bias) = (to_vec(&model.low_rank.down), to_vec(&model.low_rank.up), to_vec(&model.low_rank.bias));
    let inner: Vec<f64> = (0..2).map(|r| (0..4).map(|i| down[r * 4 + i] * hidden[i]).sum()).collect();
    let found = to_vec(&model.forward(batch.x.clone())?);
    for o in 0..3 {
        let expected = bias[o] + (0..2).map(|r| up[o * 2 + r] * inner[r]).sum::<f64>();
        assert!((found[o] - expected).abs() < 1e-13, "{} is not {expected}", found[o]);
    }

    // Another net says what does not fit by the same keys.
    let mut other: Flow<f64> = Flow::init(0);
    let error = ansatz::train::load_into(&mut other, &path, &Default::default()).expect_err("another net");
    let Error::Checkpoint { problems, .. } = error else { panic!("{error}") };
    assert!(problems.iter().any(|problem| problem.contains("`adapt.down`")), "{problems:?}");
    Ok(())
}

ansatz::gradcheck!(Loss);
