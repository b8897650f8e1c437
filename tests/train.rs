//! Trainings: they learn, they repeat bit by bit, they go on from a file as if never stopped.

use ansatz::data::{Augment, Images, Pass, Samples, digits};
use ansatz::optim::{AdamW, Group, Schedule, Sgd};
use ansatz::prelude::*;
use ansatz::tensor::{Feed, Float};
use ansatz::train::{Builder, History, Trainer, load};

net! {
    pub dim Pixels = 64;
    pub dim Digit = 10;

    pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
        x |> fc1: linear(24) |> relu |> dropout(0.2) |> fc2: linear(Digit)
    }

    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
        let logits = mlp: Mlp(x);
        (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
    }

    pub dim Grey = 1;
    pub dim Row = 8;
    pub dim Column = 8;

    pub net Reader(x: [n, Grey, Row, Column], y: [n] in Digit) -> [] {
        let rows = x |> linear(16) |> relu |> mean(over = (Grey, Row));
        cross_entropy(rows |> linear(Digit), y)
    }
}

type Data<E = f32> = Samples<RiskBatch<E>>;

fn data<E: Float>() -> (Data<E>, Data<E>) {
    let digits = digits::<Pixels, Digit, E>().expect("the embedded digits");
    let samples = Samples::new(&RiskBatch { x: digits.features(), y: digits.labels() }).expect("rows of digits");
    samples.split(0.8, 7).expect("two parts")
}

/// Everything a training can have, with a partial batch at the end of the epoch and updates across epochs.
fn elaborate<E: Float>() -> Builder<Risk<E>, E> {
    Trainer::builder(Risk::init(3), AdamW::new(3e-3))
        .seed(11)
        .batch_size(100)
        .epochs(4)
        .schedule(Schedule::cosine(5, 30))
        .group(Group::matching("*.fc1.*").learning_rate(1e-3))
        .clip(1.0)
        .accumulate(2)
        .average(0.9)
        .early_stopping(3)
}

fn bits<E: Float>(model: &Risk<E>) -> Vec<u64> {
    let fc = [to_vec(&model.mlp.fc1.weight), to_vec(&model.mlp.fc1.bias), to_vec(&model.mlp.fc2.weight)];
    fc.concat().iter().map(|&x| Float::to_f64(x).to_bits()).collect()
}

#[test]
fn digits_are_learned() {
    let (train, test) = data::<f32>();
    let mut trainer = Trainer::builder(Risk::init(1), AdamW::new(5e-3)).epochs(12).build().expect("well-formed");
    let history = trainer.fit(&train, Some(&test)).expect("it trains");
    let last = history.epochs.last().expect("twelve epochs");
    let validation = last.validation.as_ref().expect("validated");
    assert_eq!((history.epochs.len(), last.updates), (12, 12 * 1438_u64.div_ceil(32)));
    assert!(validation.get("correct").expect("named") > 0.93, "{validation}");
    assert!(last.train.loss() < 0.5 * history.epochs[0].train.loss(), "{history:?}");
    // The means over samples are those of one large batch.
    let mut whole = Trainer::builder(trainer.model().expect("a model"), Sgd::new(0.1))
        .batch_size(1797)
        .build()
        .expect("well-formed");
    let whole = whole.evaluate(&test).expect("it evaluates");
    assert!((whole.loss() - validation.loss()).abs() < 1e-5, "{whole} and {validation}");
}

#[test]
fn equal_seeds_give_equal_bits() {
    let (train, test) = data::<f32>();
    let run = |seed| {
        let mut trainer = elaborate::<f32>().seed(seed).build().expect("well-formed");
        let history = trainer.fit(&train, Some(&test)).expect("it trains");
        (bits(&trainer.model().expect("a model")), history.train_loss())
    };
    let first = run(5);
    assert_eq!(first, run(5));
    assert_ne!(first.0, run(6).0);
}

fn resumes<E: Float>() {
    let (train, test) = data::<E>();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("training.safetensors");
    let mut whole = elaborate::<E>().build().expect("well-formed");
    let through: History = whole.fit(&train, Some(&test)).expect("it trains");

    // 15 batches an epoch, 2 an update: 11 updates end within the second epoch, amid nothing; 7 more batches are left.
    let mut first = elaborate::<E>().updates(11).build().expect("well-formed");
    first.fit(&train, Some(&test)).expect("it trains");
    first.save(&path).expect("it is written");
    let mut second = elaborate::<E>().seed(99).build().expect("well-formed");
    second.resume(&path).expect("the file fits");
    let rest = second.fit(&train, Some(&test)).expect("it trains");

    for (name, pick) in [("model", Trainer::model as fn(&Trainer<Risk<E>, E>) -> _), ("average", Trainer::averaged)] {
        let of = |trainer| bits(&pick(trainer).expect(name));
        assert_eq!(of(&whole), of(&second), "{name}");
    }
    let best = |trainer: &Trainer<Risk<E>, E>| bits(trainer.best().expect("a best epoch"));
    assert_eq!(best(&whole), best(&second));
    assert_eq!(through.train_loss()[1..], rest.train_loss());
    assert_eq!(through.validation_loss()[1..], rest.validation_loss());
    // The model in a training file is read like any other.
    let read: Risk<E> = load(&path).expect("the file fits");
    assert_eq!(bits(&read), bits(&first.model().expect("a model")));
}

#[test]
fn a_profile_counts_every_launch_and_changes_nothing() {
    let rows: Vec<u32> = (0..100).collect();
    let some = digits::<Pixels, Digit, f32>().and_then(|digits| digits.select(&rows)).expect("there are more digits");
    let batch = RiskBatch { x: some.features(), y: some.labels() };
    let trained = |profiled: bool| {
        let mut trainer = elaborate::<f32>().build().expect("the settings are in range");
        trainer.step(&batch).expect("a finite loss");
        if profiled {
            let profile = trainer.profile(&batch, 2).expect("the batch fits");
            let launches: std::time::Duration = profile.launches().iter().map(|(_, time)| *time).sum();
            assert!(!launches.is_zero() && launches <= profile.total(), "{profile}");
            assert!(profile.to_string().contains("product 1 × [100, 64]·[64, 24]"), "{profile}");
        }
        trainer.step(&batch).expect("a finite loss");
        bits(&trainer.model().expect("the declared tensors"))
    };
    assert_eq!(trained(false), trained(true));
}

#[test]
fn a_training_goes_on_bit_by_bit() {
    resumes::<f32>();
    resumes::<f64>();
}

/// Stages, each begun from the file of the one before, give the file of a training that never stopped, byte by byte.
#[test]
fn stages_are_one_training() {
    let (train, test) = data::<f32>();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let save = |trainer: &Trainer<Risk>, name: &str| {
        let path = folder.path().join(name);
        trainer.save(&path).expect("it is written");
        path
    };
    let mut whole = elaborate::<f32>().updates(25).build().expect("well-formed");
    whole.fit(&train, Some(&test)).expect("it trains");
    let mut staged = elaborate::<f32>().build().expect("well-formed");
    // The second stage ends within an epoch, the third with one.
    for updates in [4, 11, 15, 25] {
        staged.until(updates).fit(&train, Some(&test)).expect("it trains");
        assert_eq!(staged.updates(), updates);
        staged.evaluate(&test).expect("it evaluates");
        let path = save(&staged, "stage.safetensors");
        staged = elaborate::<f32>().seed(99).build().expect("well-formed");
        staged.resume(&path).expect("the file fits");
    }
    let bytes = |path| std::fs::read(path).expect("it was written");
    assert_eq!(bytes(save(&whole, "whole.safetensors")), bytes(save(&staged, "staged.safetensors")));
}

#[test]
fn a_training_file_that_does_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("training.safetensors");
    let (train, _) = data::<f32>();
    let mut trainer = elaborate::<f32>().build().expect("well-formed");
    trainer.step_on(&train, &[1, 2, 3]).expect("a step");
    trainer.save(&path).expect("it is written");
    let mut other = Trainer::<Risk, f32>::builder(Risk::init(8), Sgd { momentum: 0.9, ..Sgd::new(0.1) })
        .build()
        .expect("well-formed");
    let before = bits(&other.model().expect("a model"));
    let error = other.resume(&path).expect_err("another optimiser").to_string();
    for part in [
        "`batch_size` is 100 in the file and 32",
        "`optimiser.momentum_buffer.mlp.fc1.weight` of shape [24, 64] is missing",
        "`optimiser.exp_avg.mlp.fc1.weight` is in the file, but not in this training",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(bits(&other.model().expect("a model")), before);
    ansatz::train::save(&Risk::<f32>::init(1), &path).expect("it is written");
    assert!(other.resume(&path).expect_err("a model file").to_string().contains("it is a model file"));
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_and_changes_nothing() {
    let digits = digits::<Pixels, Digit, f32>().expect("the embedded digits");
    let good = digits.select(&[0, 1, 2]).expect("three digits");
    let batch = RiskBatch { x: good.features(), y: good.labels() };
    let mut pixels = to_vec(&good.features());
    pixels[70] = f32::NAN;
    let bad = RiskBatch { x: from_vec(pixels, (3, Pixels)).expect("three digits"), y: good.labels() };
    let mut trainer = elaborate::<f32>().accumulate(1).build().expect("well-formed");
    let first = trainer.step(&batch).expect("a step").clone();
    assert!(first.get("gradient_norm").expect("clipped") > 0.0 && first.loss() > 0.0);
    let before = trainer.model().expect("a model");
    let message = trainer.step(&bad).expect_err("a bad pixel").to_string();
    assert!(message.contains("batch 2 are not finite (loss NaN") && message.contains("as it was before"), "{message}");
    assert_eq!(bits(&trainer.model().expect("a model")), bits(&before));
    assert_eq!(trainer.updates(), 1);
    trainer.step(&batch).expect("a step");
    assert_ne!(bits(&trainer.model().expect("a model")), bits(&before));
}

#[test]
fn frozen_parts_stay() {
    let (train, _) = data::<f32>();
    let model = Risk::<f32>::init(2);
    let mut trainer = Trainer::builder(model.clone(), Sgd::new(0.1))
        .group(Group::matching("mlp.fc1.*").frozen())
        .build()
        .expect("well-formed");
    trainer.fit(&train, None).expect("it trains");
    let after = trainer.model().expect("a model");
    assert_eq!(to_vec(&after.mlp.fc1.weight), to_vec(&model.mlp.fc1.weight));
    assert_ne!(to_vec(&after.mlp.fc2.weight), to_vec(&model.mlp.fc2.weight));
}

#[test]
fn early_stopping_keeps_the_best() {
    let (train, test) = data::<f32>();
    // Each step is far too long: the loss grows.
    let mut trainer = Trainer::<Risk, f32>::builder(Risk::init(2), Sgd::new(30.0))
        .epochs(50)
        .early_stopping(2)
        .build()
        .expect("well-formed");
    let history = trainer.fit(&train, Some(&test)).expect("it trains");
    let losses = history.validation_loss();
    assert!(history.stopped_early && losses.len() < 50);
    assert_eq!(history.best_epoch as usize, losses.len() - 2);
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let best = trainer.best().expect("a best epoch").clone();
    let mut again = Trainer::builder(best, Sgd::new(0.1)).build().expect("well-formed");
    assert_eq!(again.evaluate(&test).expect("it evaluates").loss(), least);
}

#[test]
fn metrics_are_lines_of_json() {
    let (train, test) = data::<f32>();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("runs/metrics.jsonl");
    let mut trainer = Trainer::<Risk, f32>::builder(Risk::init(2), Sgd::new(0.1))
        .epochs(2)
        .metrics(&path)
        .build()
        .expect("well-formed");
    let history = trainer.fit(&train, Some(&test)).expect("it trains");
    let text = std::fs::read_to_string(&path).expect("the file");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["epoch"], 2);
    assert_eq!(lines[1]["learning_rate"], 0.1);
    let loss = lines[1]["validation"]["loss"].as_f64().expect("a number");
    assert!((loss - history.validation_loss()[1]).abs() < 1e-12);
}

#[test]
fn settings_are_checked() {
    let builder = || Trainer::<Risk, f32>::builder(Risk::init(2), Sgd::new(0.1));
    let message = |builder: Builder<Risk, f32>| builder.build().expect_err("out of range").to_string();
    assert!(message(builder().batch_size(0)).contains("at least one sample"));
    assert!(message(builder().early_stopping(0)).contains("patience"));
    assert!(message(builder().average(1.0)).contains("share of the old average is 1"));
    assert!(message(builder().group(Group::matching("*").frozen())).contains("all are frozen"));
    let plain = builder().build().expect("well-formed");
    assert!(plain.averaged().expect_err("no average").to_string().contains("Builder::average"));
}

type Pictures = Images<Grey, Row, Column, Digit>;

/// Images, but the one at this position cannot be read.
struct Broken(Pictures, u32);

impl Dataset<ReaderBatch> for Broken {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn feed(&self, rows: &[u32], pass: Pass, feed: &mut Feed, dims: &mut Vec<usize>) -> Result<()> {
        if rows.contains(&self.1) {
            return Err(Error::Value(format!("image {} cannot be read", self.1)));
        }
        Dataset::<ReaderBatch>::feed(&self.0, rows, pass, feed, dims)
    }
}

fn reader(prefetch: usize) -> Builder<Reader, f32> {
    Trainer::builder(Reader::init(3), AdamW::new(3e-3)).seed(5).batch_size(64).epochs(3).prefetch(prefetch)
}

fn reader_bits(trainer: &Trainer<Reader>) -> Vec<u32> {
    let model = trainer.model().expect("a model");
    to_vec(&model.linear1.weight).iter().chain(&to_vec(&model.linear2.weight)).map(|x| x.to_bits()).collect()
}

#[test]
fn batches_prepared_ahead_are_those_without() {
    let images = Pictures::digits().expect("the embedded digits").select(&(0..400).collect::<Vec<_>>());
    let (train, test) = images.expect("there are 1797").split(0.8, 1).expect("two parts");
    let train = train.augment(Augment::new().crop(1).flip());
    let run = |prefetch, updates| {
        let mut trainer = reader(prefetch).updates(updates).build().expect("well-formed");
        let history = trainer.fit(&train, Some(&test)).expect("it trains");
        (reader_bits(&trainer), history.train_loss(), history.validation_loss())
    };
    let plain = run(0, 100);
    assert_eq!(plain.1.len(), 3);
    for prefetch in [1, 3, 50] {
        assert_eq!(plain, run(prefetch, 100), "{prefetch} ahead");
    }
    // The updates run out within the second epoch.
    assert_eq!(run(0, 8), run(2, 8));
    // Augmentation changes the training, and each epoch draws anew.
    let unchanged = train.clone().augment(Augment::new());
    let mut trainer = reader(0).build().expect("well-formed");
    trainer.fit(&unchanged, None).expect("it trains");
    assert_ne!(plain.0, reader_bits(&trainer));
}

#[test]
fn an_error_of_the_data_comes_at_its_batch() {
    let images = Pictures::digits().expect("the embedded digits").select(&(0..400).collect::<Vec<_>>());
    let broken = Broken(images.expect("there are 1797"), 300);
    let run = |prefetch| {
        let mut trainer = reader(prefetch).build().expect("well-formed");
        let error = trainer.fit(&broken, None).expect_err("it cannot be read").to_string();
        assert_eq!(error, "image 300 cannot be read");
        let error = trainer.evaluate(&broken).expect_err("it cannot be read").to_string();
        assert_eq!(error, "image 300 cannot be read");
        (trainer.updates(), reader_bits(&trainer))
    };
    let plain = run(0);
    assert!((0..7).contains(&plain.0));
    assert_eq!(plain, run(2));
}

/// A training over augmented images goes on bit by bit from within an epoch.
#[test]
fn augmentation_survives_a_stop() {
    let images = Pictures::digits().expect("the embedded digits").select(&(0..300).collect::<Vec<_>>());
    let images = images.expect("there are 1797").augment(Augment::new().crop(2).flip());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("training.safetensors");
    let mut whole = reader(2).build().expect("well-formed");
    whole.fit(&images, None).expect("it trains");
    let mut first = reader(2).updates(7).build().expect("well-formed");
    first.fit(&images, None).expect("it trains");
    first.save(&path).expect("it is written");
    let mut second = reader(0).seed(0).build().expect("well-formed");
    second.resume(&path).expect("the file fits");
    second.fit(&images, None).expect("it trains");
    assert_eq!(reader_bits(&whole), reader_bits(&second));
}

mod text {
    use ansatz::prelude::*;
    use ansatz::text::{Tokens, Windows};

    net! {
        pub dim Token = 10;
        pub net Bigram(x: [n, t] in Token, y: [n, t] in Token) -> [] { cross_entropy(x |> next: embedding(Token), y) }
    }

    /// Counting is learnt from windows of a stream, and judged on what was held out.
    #[test]
    fn a_language_is_learnt_from_windows() {
        let (training, held_out) = Tokens::<Token>::new((0..400).map(|i| i % 10).collect()).unwrap().split(0.8);
        let bigram: Bigram = Bigram::init(0);
        let mut trainer = Trainer::builder(bigram, Adam::new(0.1)).epochs(12).batch_size(16).build().unwrap();
        let training = Windows::new(training, 4usize).unwrap().stride(1).jitter();
        let history = trainer.fit(&training, Some(&Windows::new(held_out, 4usize).unwrap())).unwrap();
        let loss = |epoch: usize| history.epochs[epoch].validation.as_ref().unwrap().loss();
        let (first, last) = (loss(0), loss(history.epochs.len() - 1));
        assert!(last < 0.2 && last < first / 3.0, "{first} to {last}");
    }
}

net! {
    /// A game of two players, and what each wants by itself.
    pub net Duel(x: [n, 3]) -> (left: [], right: []) {
        let (a, b) = (x |> left: linear(2), x |> right: linear(2));
        (left = mse(a, b) + mean(square(a)), right = mean(square(b)) - mse(a, b))
    }
    pub net Left(x: [n, 3]) -> (loss: []) {
        let (a, b) = (x |> left: linear(2), x |> right: linear(2));
        (loss = mse(a, b) + mean(square(a)))
    }
    pub net Right(x: [n, 3]) -> (loss: []) {
        let (a, b) = (x |> left: linear(2), x |> right: linear(2));
        (loss = mean(square(b)) - mse(a, b))
    }
}

#[test]
fn players_move_in_turn_each_by_its_own_loss_and_moments() -> Result<()> {
    let batch = |i: u64| from_vec((0..12).map(|k| ((k + 5 * i) as f64 * 0.7).sin()).collect(), (4, Const::<3>));
    let start = Duel::<f64>::init(4);
    let mut game = Trainer::builder(start.clone(), Adam::new(0.1)).alternate(["left", "right", "right"]).build()?;
    // The same with two trainers that tell each other where they are.
    let left = Left { left: start.left.clone(), right: start.right.clone() };
    let mut left = Trainer::builder(left, Adam::new(0.1)).group(Group::matching("right.*").frozen()).build()?;
    let mut history = vec![];
    for i in 0..7 {
        let before = game.model()?;
        let losses = game.step(&DuelBatch { x: batch(i)? })?.clone();
        let after = game.model()?;
        let moved = |a: &Tensor<_, f64, Cpu>, b: &Tensor<_, f64, Cpu>| to_vec(a) != to_vec(b);
        let turn = i % 3 == 0;
        assert_eq!(moved(&before.left.weight, &after.left.weight), turn, "{i}");
        assert_eq!(moved(&before.right.weight, &after.right.weight), !turn, "{i}");
        assert_eq!(losses.loss(), losses.get(if turn { "left" } else { "right" }).expect("both are shown"));
        history.push(after);
    }
    // The first move is that of the left player alone.
    left.step(&LeftBatch { x: batch(0)? })?;
    assert_eq!(to_vec(&left.model()?.left.weight), to_vec(&history[0].left.weight));
    // The next two are those of the right player, with its first and its second update.
    let right = Right { left: history[0].left.clone(), right: history[0].right.clone() };
    let mut right = Trainer::builder(right, Adam::new(0.1)).group(Group::matching("left.*").frozen()).build()?;
    for i in 1..3 {
        right.step(&RightBatch { x: batch(i)? })?;
        assert_eq!(to_vec(&right.model()?.right.bias), to_vec(&history[i as usize].right.bias));
    }
    Ok(())
}

#[test]
fn players_that_cannot_play_are_errors() {
    let message = |player: &str| {
        let built = Trainer::builder(Duel::<f32>::init(1), Adam::new(0.1)).alternate([player]).build();
        built.expect_err("no player").to_string()
    };
    assert!(message("middle").contains("no result of this name for it to lessen, but `left`, `right`"));
    let built = Trainer::builder(Left::<f32>::init(1), Adam::new(0.1)).alternate(["loss"]).build();
    assert!(built.expect_err("no parameters").to_string().contains("label its part `loss: …`"));
}
