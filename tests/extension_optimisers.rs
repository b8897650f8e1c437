//! Optimisers of another crate: their updates against plain loops in `f64`, trainings with them that go on from a file,
//! and what the door refuses.
#![deny(warnings)]

use ansatz::graph::NodeId;
use ansatz::optim::{Adam, AdamW, At, Fit, Group, Optimiser};
use ansatz::prelude::*;
use ansatz::tensor::Float;
use ansatz::train::Builder;
use extension::{Adafactor, Lamb, Muon};

net! {
    /// A tall matrix, a wide one, and vectors.
    pub net Risk(x: [n, 5], y: [n, 2]) -> [] { x |> first: linear(6) |> tanh |> last: linear(2) |> mse(y) }
}

const ROWS: usize = 7;
const STEPS: u64 = 8;

/// A parameter in the reference: a matrix row after row, or a vector as a single column.
#[derive(Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn new(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f64) -> Self {
        let values = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
        Matrix { rows, columns, values }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    fn transposed(&self) -> Self {
        Matrix::new(self.columns, self.rows, |i, j| self.at(j, i))
    }

    fn times(&self, other: &Matrix) -> Self {
        assert_eq!(self.columns, other.rows);
        Matrix::new(self.rows, other.columns, |i, j| (0..self.columns).map(|k| self.at(i, k) * other.at(k, j)).sum())
    }

    fn norm(&self) -> f64 {
        self.values.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    fn root_mean_square(&self) -> f64 {
        self.norm() / (self.values.len() as f64).sqrt()
    }

    fn map(&self, function: impl Fn(usize, f64) -> f64) -> Self {
        Matrix { values: self.values.iter().enumerate().map(|(i, v)| function(i, *v)).collect(), ..*self }
    }
}

fn wave(len: usize, shift: f64) -> Vec<f64> {
    (0..len).map(|i| (1.3 * i as f64 + shift).sin()).collect()
}

/// The four parameters of a model, in the order of its keys.
fn parameters<E: Float>(model: &Risk<E>) -> [Matrix; 4] {
    let matrix = |rows: usize, columns: usize, values: Vec<E>| {
        let values: Vec<f64> = values.into_iter().map(Float::to_f64).collect();
        Matrix { rows, columns, values }
    };
    [
        matrix(6, 5, to_vec(&model.first.weight)),
        matrix(6, 1, to_vec(&model.first.bias)),
        matrix(2, 6, to_vec(&model.last.weight)),
        matrix(2, 1, to_vec(&model.last.bias)),
    ]
}

/// The derivatives of mean((W₂ tanh(W₁ x + b₁) + b₂ − y)²).
fn gradients([w1, b1, w2, b2]: &[Matrix; 4]) -> [Matrix; 4] {
    let (x, y) = (wave(ROWS * 5, 0.2), wave(ROWS * 2, 1.0));
    let mut of = [w1, b1, w2, b2].map(|p| p.map(|_, _| 0.0));
    for row in 0..ROWS {
        let x = &x[row * 5..][..5];
        let h: Vec<f64> =
            (0..6).map(|i| ((0..5).map(|j| w1.at(i, j) * x[j]).sum::<f64>() + b1.values[i]).tanh()).collect();
        let mut back = [0.0; 6];
        for o in 0..2 {
            let out = (0..6).map(|i| w2.at(o, i) * h[i]).sum::<f64>() + b2.values[o];
            let error = 2.0 * (out - y[row * 2 + o]) / (ROWS * 2) as f64;
            of[3].values[o] += error;
            for i in 0..6 {
                of[2].values[o * 6 + i] += error * h[i];
                back[i] += error * w2.at(o, i);
            }
        }
        for i in 0..6 {
            let slope = back[i] * (1.0 - h[i] * h[i]);
            of[1].values[i] += slope;
            (0..5).for_each(|j| of[0].values[i * 5 + j] += slope * x[j]);
        }
    }
    of
}

fn batch<E: Float>() -> RiskBatch<E, usize> {
    let numbers = |len, shift| wave(len, shift).into_iter().map(<E as Float>::from_f64).collect();
    RiskBatch {
        x: from_vec(numbers(ROWS * 5, 0.2), (ROWS, Const)).unwrap(),
        y: from_vec(numbers(ROWS * 2, 1.0), (ROWS, Const)).unwrap(),
    }
}

const SCHEDULE: Schedule = Schedule::Step { every: 3, factor: 0.5 };

/// A training with a schedule and a group whose rate is three times the others'; biases do not decay.
fn training<E: Float>(optimiser: impl Optimiser + 'static, seed: u64) -> Builder<Risk<E>, E> {
    let group = Group::matching("last.*").learning_rate(3.0 * optimiser.learning_rate());
    Trainer::builder(Risk::init(seed), optimiser).schedule(SCHEDULE).group(group)
}

/// Where a parameter stands at an update, as the training above says.
fn at(optimiser: &dyn Optimiser, parameter: usize, update: u64) -> At {
    let rate = optimiser.learning_rate() * if parameter >= 2 { 3.0 } else { 1.0 };
    let decay = if parameter.is_multiple_of(2) { optimiser.weight_decay() } else { 0.0 };
    At { learning_rate: rate * SCHEDULE.factor(update - 1), weight_decay: decay, update }
}

/// How the reference changes a parameter, given what it keeps of it, by its gradient.
type Reference<'a> = dyn Fn(&At, &mut Vec<Matrix>, &Matrix, &Matrix) -> Matrix + 'a;

fn compare<E: Float>(optimiser: impl Optimiser + Copy + 'static, reference: &Reference<'_>, tolerance: f64) {
    let mut trainer = training::<E>(optimiser, 3).build().expect("well-formed");
    let mut expected = parameters(&trainer.model().unwrap());
    let mut kept = [const { Vec::new() }; 4];
    for update in 1..=STEPS {
        trainer.step(&batch()).expect("it trains");
        let gradients = gradients(&expected);
        for i in 0..4 {
            let at = at(&optimiser, i, update);
            expected[i] = reference(&at, &mut kept[i], &expected[i].clone(), &gradients[i]);
        }
        for (i, found) in parameters(&trainer.model().unwrap()).iter().enumerate() {
            for (f, e) in found.values.iter().zip(&expected[i].values) {
                assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{optimiser:?}, update {update}: {f} is not {e}");
            }
        }
    }
}

/// Saved after half of the steps and read by another training, the files after all steps are the same bytes.
fn resumes<E: Float>(optimiser: impl Optimiser + Copy + 'static) -> Vec<(String, Vec<usize>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let mut whole = training::<E>(optimiser, 3).build().expect("well-formed");
    for update in 1..=STEPS {
        whole.step(&batch()).expect("it trains");
        if update == STEPS / 2 {
            whole.save(path("half")).expect("it is written");
        }
    }
    whole.save(path("whole")).expect("it is written");
    let mut second = training::<E>(optimiser, 4).build().expect("well-formed");
    second.resume(path("half")).expect("the file fits");
    for _ in 0..STEPS / 2 {
        second.step(&batch()).expect("it trains");
    }
    second.save(path("second")).expect("it is written");
    let bytes = |name: &str| std::fs::read(path(name)).expect("it is there");
    assert!(bytes("whole") == bytes("second"), "{optimiser:?} does not go on as it would have");
    assert!(bytes("whole") != bytes("half"));
    let bytes = bytes("whole");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a training file");
    let own = file.iter().filter(|(key, _)| key.starts_with("optimiser."));
    let mut own: Vec<_> = own.map(|(key, tensor)| (key.to_owned(), tensor.shape().to_vec())).collect();
    own.sort();
    own
}

/// What `torch.optim.AdamW` does; the first two matrices that are kept are the moments.
fn adamw(adamw: &AdamW, at: &At, kept: &mut Vec<Matrix>, p: &Matrix, g: &Matrix) -> Matrix {
    moments(adamw.betas, kept, g);
    let correction = |beta: f64| 1.0 - beta.powi(at.update as i32);
    p.map(|i, p| {
        let (m, v) = (kept[0].values[i] / correction(adamw.betas.0), kept[1].values[i] / correction(adamw.betas.1));
        p * (1.0 - at.learning_rate * at.weight_decay) - at.learning_rate * m / (v.sqrt() + adamw.epsilon)
    })
}

fn moments(betas: (f64, f64), kept: &mut Vec<Matrix>, g: &Matrix) {
    if kept.is_empty() {
        kept.extend([g.map(|_, _| 0.0), g.map(|_, _| 0.0)]);
    }
    kept[0] = kept[0].map(|i, m| betas.0 * m + (1.0 - betas.0) * g.values[i]);
    kept[1] = kept[1].map(|i, v| betas.1 * v + (1.0 - betas.1) * g.values[i].powi(2));
}

fn muon(muon: &Muon, at: &At, kept: &mut Vec<Matrix>, p: &Matrix, g: &Matrix) -> Matrix {
    if p.columns == 1 {
        let share = muon.others.learning_rate / muon.learning_rate;
        return adamw(&muon.others, &At { learning_rate: at.learning_rate * share, ..*at }, kept, p, g);
    }
    if kept.is_empty() {
        kept.push(g.map(|_, _| 0.0));
    }
    kept[0] = kept[0].map(|i, m| muon.momentum * m + (1.0 - muon.momentum) * g.values[i]);
    let ahead = g.map(|i, g| {
        if muon.nesterov { (1.0 - muon.momentum) * g + muon.momentum * kept[0].values[i] } else { kept[0].values[i] }
    });
    let norm = ahead.norm().max(1e-7);
    // Always on rows: a tall matrix is turned there and back.
    let tall = p.rows > p.columns;
    let mut x = (if tall { ahead.transposed() } else { ahead }).map(|_, v| v / norm);
    for _ in 0..5 {
        let gram = x.times(&x.transposed());
        let square = gram.times(&gram);
        let product = gram.map(|i, v| -4.7750 * v + 2.0315 * square.values[i]).times(&x);
        x = x.map(|i, v| 3.4445 * v + product.values[i]);
    }
    let x = if tall { x.transposed() } else { x };
    let step = at.learning_rate * (p.rows as f64 / p.columns as f64).max(1.0).sqrt();
    p.map(|i, p| p * (1.0 - at.learning_rate * at.weight_decay) - step * x.values[i])
}

#[test]
fn muon_makes_its_steps_orthogonal() {
    for nesterov in [true, false] {
        let own = Muon { nesterov, ..Muon::new(0.02) };
        compare::<f64>(own, &|at, kept, p, g| muon(&own, at, kept, p, g), 1e-12);
        compare::<f32>(own, &|at, kept, p, g| muon(&own, at, kept, p, g), 2e-4);
    }
    let keys: Vec<String> = resumes::<f32>(Muon::new(0.02)).into_iter().map(|(key, _)| key).collect();
    let matrices = ["first.weight", "last.weight"].map(|key| format!("optimiser.momentum_buffer.{key}"));
    let vectors = ["exp_avg.first.bias", "exp_avg.last.bias", "exp_avg_sq.first.bias", "exp_avg_sq.last.bias"];
    let vectors = vectors.map(|key| format!("optimiser.{key}"));
    assert_eq!(keys, [&vectors[..], &matrices].concat());
}

fn adafactor(own: &Adafactor, at: &At, kept: &mut Vec<Matrix>, p: &Matrix, g: &Matrix) -> Matrix {
    let t = at.update as f64;
    let share = t.powf(own.decay);
    let moved = |kept: &mut Matrix, to: &Matrix| *kept = kept.map(|i, v| v + share * (to.values[i] - v));
    let square = g.map(|_, g| g * g);
    let moment = if p.columns == 1 {
        if kept.is_empty() {
            kept.push(g.map(|_, _| 0.0));
        }
        moved(&mut kept[0], &square);
        kept[0].clone()
    } else {
        let mean = |count: usize, value: &dyn Fn(usize) -> f64| (0..count).map(value).sum::<f64>() / count as f64;
        let rows = Matrix::new(p.rows, 1, |i, _| mean(p.columns, &|j| square.at(i, j)));
        let columns = Matrix::new(1, p.columns, |_, j| mean(p.rows, &|i| square.at(i, j)));
        if kept.is_empty() {
            kept.extend([rows.map(|_, _| 0.0), columns.map(|_, _| 0.0)]);
        }
        moved(&mut kept[0], &rows);
        moved(&mut kept[1], &columns);
        let all = mean(p.rows, &|i| kept[0].values[i]).max(own.epsilon.0);
        Matrix::new(p.rows, p.columns, |i, j| kept[0].values[i] * kept[1].values[j] / all)
    };
    let update = g.map(|i, g| g / moment.values[i].max(own.epsilon.0.powi(2)).sqrt());
    let size = p.root_mean_square().max(own.epsilon.1) * at.learning_rate.min(1.0 / t.sqrt());
    let step = size / (update.root_mean_square() / own.threshold).max(1.0);
    p.map(|i, p| p * (1.0 - at.learning_rate * at.weight_decay) - step * update.values[i])
}

#[test]
fn adafactor_keeps_rows_and_columns() {
    for own in [Adafactor::new(0.05), Adafactor { threshold: 0.5, weight_decay: 0.1, ..Adafactor::new(2.0) }] {
        compare::<f64>(own, &|at, kept, p, g| adafactor(&own, at, kept, p, g), 1e-12);
    }
    let own = Adafactor { weight_decay: 0.1, ..Adafactor::new(0.05) };
    compare::<f32>(own, &|at, kept, p, g| adafactor(&own, at, kept, p, g), 2e-4);
    let shapes = resumes::<f64>(own);
    let expected: [(&str, &[usize]); 6] = [
        ("column_variance.first.weight", &[1, 5]),
        ("column_variance.last.weight", &[1, 6]),
        ("row_variance.first.weight", &[6, 1]),
        ("row_variance.last.weight", &[2, 1]),
        ("variance.first.bias", &[6]),
        ("variance.last.bias", &[2]),
    ];
    let expected = expected.map(|(key, dims)| (format!("optimiser.{key}"), dims.to_vec()));
    assert_eq!(shapes, expected);
}

fn lamb(own: &Lamb, at: &At, kept: &mut Vec<Matrix>, p: &Matrix, g: &Matrix) -> Matrix {
    moments(own.betas, kept, g);
    let correction = |beta: f64| 1.0 - beta.powi(at.update as i32);
    let direction = p.map(|i, p| {
        let (m, v) = (kept[0].values[i] / correction(own.betas.0), kept[1].values[i] / correction(own.betas.1));
        m / (v.sqrt() + own.epsilon) + at.weight_decay * p
    });
    let (length, size) = (p.norm(), direction.norm());
    let trust = if length > 0.0 && size > 0.0 { length / size } else { 1.0 };
    p.map(|i, p| p - at.learning_rate * trust * direction.values[i])
}

#[test]
fn lamb_moves_in_proportion() {
    let own = Lamb { weight_decay: 0.1, ..Lamb::new(0.03) };
    compare::<f64>(own, &|at, kept, p, g| lamb(&own, at, kept, p, g), 1e-12);
    compare::<f32>(own, &|at, kept, p, g| lamb(&own, at, kept, p, g), 2e-4);
    resumes::<f64>(own);
}

/// A parameter that is all zero has no length to move in proportion to.
#[test]
fn lamb_moves_away_from_zero() {
    net! {
        pub net Start(x: [n, 2], y: [n, 2]) -> [] { x |> only: linear(2, bias = false, init = zeros) |> mse(y) }
    }
    let mut trainer = Trainer::builder(Start::<f64>::init(0), Lamb::new(0.1)).build().unwrap();
    let data = |values: [f64; 2]| from_vec(values.to_vec(), (1, Const)).unwrap();
    trainer.step(&StartBatch { x: data([1.0, 1.0]), y: data([1.0, -1.0]) }).unwrap();
    for (moved, sign) in to_vec(&trainer.model().unwrap().only.weight).into_iter().zip([1.0, 1.0, -1.0, -1.0]) {
        assert!((moved - 0.1 * sign).abs() < 1e-6, "{moved}");
    }
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut trainer = training::<f64>(Adafactor::new(0.05), 3).build().unwrap();
    trainer.step(&batch()).unwrap();
    let bytes = |trainer: &Trainer<Risk<f64>, f64>| {
        let path = folder.path().join("training");
        trainer.save(&path).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors: Vec<_> = file.iter().map(|(key, tensor)| (key.to_owned(), tensor.data().to_vec())).collect();
        tensors.sort();
        tensors
    };
    let before = bytes(&trainer);
    let broken = RiskBatch { y: from_vec(vec![f64::NAN; 2 * ROWS], (ROWS, Const)).unwrap(), ..batch() };
    trainer.step(&broken).expect_err("the loss is not a number");
    assert!(before == bytes(&trainer));
    trainer.step(&batch()).unwrap();
    assert!(before != bytes(&trainer));
}

/// A rule that breaks one of the rules of rules.
#[derive(Clone, Copy, Debug)]
enum Faulty {
    TakenName(&'static str),
    OtherShape,
    NoSuchScalar,
    TwoScalars,
    NoJoin,
}

impl Optimiser for Faulty {
    fn learning_rate(&self) -> f64 {
        0.1
    }

    fn weight_decay(&self) -> f64 {
        0.0
    }

    fn scalars(&self, at: &At, emit: &mut dyn FnMut(&'static str, f64)) {
        Adam::new(0.1).scalars(at, emit);
        if matches!(self, Faulty::TwoScalars) {
            emit("step_size", at.learning_rate);
        }
    }

    fn update(&self, fit: &mut Fit<'_>) -> Result<NodeId> {
        let gradient = fit.gradient();
        match *self {
            Faulty::TakenName(name) => fit.state(name),
            Faulty::OtherShape => fit.norm(gradient),
            Faulty::NoSuchScalar => fit.scalar("rate"),
            Faulty::TwoScalars => Ok(gradient),
            Faulty::NoJoin => {
                let state = fit.state_of("moment", &[4])?;
                fit.add(gradient, state)
            }
        }
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_rule_cannot_do_is_said() {
    for (rule, part) in [
        (Faulty::TakenName("average"), "cannot keep a state `average`, which training files use otherwise"),
        (Faulty::TakenName("accumulated"), "cannot keep a state `accumulated`"),
        (Faulty::TakenName("best"), "cannot keep a state `best`"),
        (Faulty::TakenName("my.moment"), "one without dots"),
        (Faulty::OtherShape, "at `first.weight` a tensor of shape [6, 5] is given a new value of shape []"),
        (Faulty::NoSuchScalar, "reads a scalar `rate` that it does not emit"),
        (Faulty::TwoScalars, "emits a scalar `step_size` twice"),
        (Faulty::NoJoin, "[4] does not join with [6, 5]"),
    ] {
        let message = match training::<f64>(rule, 3).build() {
            Ok(_) => panic!("{rule:?} is taken"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(part), "{message}");
    }
}
