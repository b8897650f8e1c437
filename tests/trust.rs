//! What a training does with bad numbers, bad data and bad settings: it loses nothing, and says where it began.

use ansatz::data::Samples;
use ansatz::optim::Group;
use ansatz::prelude::*;
use ansatz::train::NotFinite;

net! {
    /// Finite, with an infinite derivative where the weight is 0.
    pub net Root(x: [n, 1]) -> [] { x |> linear(1, bias = false, init = zeros) |> square |> sqrt |> mean }
    pub net Line(x: [n, 1], y: [n, 1]) -> [] { x |> linear(1) |> mse(y) }
}

type Rows = Tensor<(usize, Const<1>), f32, Cpu>;

fn rows(values: &[f32]) -> Rows {
    from_vec(values.to_vec(), (values.len(), Const)).unwrap()
}

fn root() -> Trainer<Root> {
    Trainer::builder(Root::init(1), Adam::new(0.1)).average(0.9).build().unwrap()
}

#[test]
fn a_gradient_that_is_not_finite_reaches_nothing() {
    let mut trainer = root();
    let error = trainer.step(&RootBatch { x: rows(&[1.0, 2.0]) }).expect_err("the root at 0").to_string();
    assert!(error.contains("the gradient of `linear1.weight` is not finite"), "{error}");
    assert!(error.contains("the first such number, an infinity, is a result of"), "{error}");
    assert!(
        error.contains("a part of the derivative; numbers that would not be finite are as they were before it"),
        "{error}"
    );
    assert_eq!(to_vec(&trainer.model().unwrap().linear1.weight), [0.0]);
    assert_eq!(to_vec(&trainer.averaged().unwrap().linear1.weight), [0.0]);
    // With clipping and accumulation too, and whatever the optimiser.
    for builder in [
        Trainer::builder(Root::init(1), Sgd::new(0.1)).clip(1.0),
        Trainer::builder(Root::init(1), AdamW::new(0.1)).accumulate(2),
        Trainer::builder(Root::init(1), Sgd::new(0.1)),
    ] {
        let mut trainer: Trainer<Root> = builder.build().unwrap();
        for _ in 0..2 {
            let error = trainer.step(&RootBatch { x: rows(&[1.0]) }).expect_err("the root at 0").to_string();
            assert!(error.contains("`linear1.weight`"), "{error}");
        }
        assert_eq!(to_vec(&trainer.model().unwrap().linear1.weight), [0.0]);
    }
}

#[test]
fn a_checkpoint_is_never_replaced_by_one_that_is_not_finite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.safetensors");
    let good = root();
    good.save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    // The loss is finite and so are the gradients of the first batch; unguarded, the weights are not.
    let mut spoilt: Trainer<Root> =
        Trainer::builder(Root::init(1), Adam::new(0.1)).unguarded().checkpoint(&path).build().unwrap();
    let samples = Samples::new(&RootBatch { x: rows(&[1.0; 4]) }).unwrap();
    let error = spoilt.fit(&samples, None).expect_err("spoilt").to_string();
    assert!(error.contains("`linear1.weight`") && error.contains("not finite"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn bad_batches_can_be_passed_over() {
    let x: Vec<f32> = (0..40).map(|i| if i == 17 { f32::NAN } else { (i as f32).sin() }).collect();
    let y: Vec<f32> = x.iter().map(|x| 2.0 * x + 1.0).collect();
    let samples = Samples::new(&LineBatch { x: rows(&x), y: rows(&y) }).unwrap();
    let build = || Trainer::builder(Line::init(1), Adam::new(0.1)).batch_size(4).epochs(30).seed(3);
    let mut stops: Trainer<Line> = build().build().unwrap();
    assert!(stops.fit(&samples, None).is_err());
    let mut skips: Trainer<Line> = build().not_finite(NotFinite::Skip).build().unwrap();
    let history = skips.fit(&samples, None).unwrap();
    assert_eq!((skips.skipped(), skips.updates()), (30, 30 * 9));
    assert!(history.train_loss().iter().all(|loss| loss.is_finite()));
    assert!(history.train_loss()[29] < 1e-2, "{:?}", history.train_loss());
}

net! { pub net Normed(x: [n, 2]) -> [] { x |> linear(2) |> batch_norm |> square |> mean } }

#[test]
fn a_last_batch_of_one_can_be_left_out() {
    let x = (0..18).map(|i| (i as f32).sin()).collect();
    let samples = Samples::new(&NormedBatch { x: from_vec(x, (9, Const)).unwrap() }).unwrap();
    let build = || Trainer::builder(Normed::<f32>::init(1), Sgd::new(0.01)).batch_size(4).epochs(3);
    let error = build().build().unwrap().fit(&samples, None).map(drop).expect_err("a batch of one").to_string();
    assert!(error.contains("drop_last"), "{error}");
    let mut trainer = build().drop_last().build().unwrap();
    let history = trainer.fit(&samples, None).unwrap();
    assert_eq!((trainer.updates(), history.epochs.len()), (6, 3));
    let error =
        build().batch_size(10).drop_last().build().unwrap().fit(&samples, None).map(drop).expect_err("no batch");
    assert!(error.to_string().contains("9 samples are less than a batch of 10"), "{error}");
}

#[test]
fn a_training_that_is_told_to_stop_goes_on_later() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.safetensors");
    let x: Vec<f32> = (0..40).map(|i| (i as f32).sin()).collect();
    let y: Vec<f32> = x.iter().map(|x| 2.0 * x + 1.0).collect();
    let told = Arc::new(AtomicBool::new(false));
    /// A data set that tells the training to stop when it is asked for its batch of this number.
    struct Telling<'a>(Samples<LineBatch>, &'a AtomicBool, std::sync::atomic::AtomicU64);
    impl Dataset<LineBatch> for Telling<'_> {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn feed(
            &self,
            rows: &[u32],
            pass: ansatz::data::Pass,
            feed: &mut ansatz::tensor::Feed,
            dims: &mut Vec<usize>,
        ) -> Result<()> {
            if self.2.fetch_add(1, Ordering::Relaxed) == 15 {
                self.1.store(true, Ordering::Relaxed);
            }
            self.0.feed(rows, pass, feed, dims)
        }
    }
    let samples = Samples::new(&LineBatch { x: rows(&x), y: rows(&y) }).unwrap();
    let build = || Trainer::builder(Line::<f32>::init(1), Adam::new(0.01)).batch_size(4).epochs(3).seed(5);
    let mut whole = build().build().unwrap();
    whole.fit(&samples, None).unwrap();
    let mut first = build().checkpoint(&path).stop(Arc::clone(&told)).build().unwrap();
    let telling = Telling(samples.clone(), &told, 0.into());
    let history = first.fit(&telling, None).unwrap();
    // In the second epoch, after its fourth batch; the data were looked at once before the first.
    assert_eq!((history.interrupted, history.epochs.len(), first.updates()), (true, 1, 14));
    let mut second = build().build().unwrap();
    second.resume(&path).unwrap();
    let history = second.fit(&samples, None).unwrap();
    assert_eq!((history.interrupted, history.epochs.len(), second.updates()), (false, 2, 30));
    assert_eq!(to_vec(&whole.model().unwrap().linear1.weight), to_vec(&second.model().unwrap().linear1.weight));
}

#[test]
fn a_group_that_holds_nothing_is_an_error() {
    let error =
        Trainer::builder(Line::<f32>::init(1), Adam::new(0.1)).group(Group::matching("linear.weight").frozen()).build();
    let error = error.map(drop).expect_err("no such parameter").to_string();
    assert!(error.contains("`linear.weight`") && error.contains("did you mean `linear1.weight`"), "{error}");
    let nobody = Group::when(|slot| slot.key.contains("encoder")).learning_rate(0.1);
    assert!(Trainer::builder(Line::<f32>::init(1), Adam::new(0.1)).group(nobody).build().is_err());
    // One that others have taken everything from is no mistake.
    let all = Trainer::builder(Line::<f32>::init(1), Adam::new(0.1))
        .group(Group::matching("*.weight").learning_rate(0.1))
        .group(Group::matching("linear1.*").learning_rate(0.2));
    all.build().unwrap();
}

#[test]
fn an_epsilon_that_lets_zeros_be_divided_is_refused() {
    for epsilon in [0.0, 1e-300, 1e-45] {
        let adam = Adam { epsilon, ..Adam::new(0.1) };
        let error = Trainer::builder(Line::<f32>::init(1), adam).build().map(drop).expect_err("0 / 0").to_string();
        assert!(error.contains("epsilon is"), "{error}");
    }
    Trainer::builder(Line::<f32>::init(1), Adam { epsilon: 1e-30, ..Adam::new(0.1) }).build().unwrap();
}

#[test]
fn schedules_are_finite_and_within_bounds_over_their_whole_range() {
    let mut wrong = Vec::new();
    for total in [1, 2, 3, 4, 7, 10, 100, 1001] {
        let mut all = vec![(Schedule::one_cycle(total), 1.0), (Schedule::Step { every: total, factor: 0.5 }, 1.0)];
        for warmup in [0, 1, total / 2, total - 1] {
            for floor in [0.0, 0.1, 1.0] {
                all.push((Schedule::Cosine { warmup, total, floor }, 1.0));
            }
        }
        for rise in [0.0, 1e-9, 0.1, 0.25, 0.3, 1.0 / 3.0, 0.5, 0.999, 1.0, 1.0 / total as f64, 2.0 / total as f64] {
            for (initial_divisor, final_divisor) in [(25.0, 1e4), (1.0, 1.0), (1e3, 1.0)] {
                all.push((Schedule::OneCycle { total, rise, initial_divisor, final_divisor }, 1.0));
            }
        }
        for (schedule, most) in all {
            let factors: Vec<f64> =
                (0..2 * total + 3).chain([u64::MAX - 1]).map(|update| schedule.factor(update)).collect();
            if let Some(at) = factors.iter().position(|f| !f.is_finite() || !(0.0..=most).contains(f)) {
                wrong.push(format!("{schedule:?} at {at} is {}", factors[at]));
            }
            // One way up, then one way down.
            let top = (0..factors.len()).fold(0, |top, i| if factors[i] > factors[top] { i } else { top });
            let near = |pair: &[f64]| pair[0] <= pair[1] + 1e-12;
            if !factors[..=top].windows(2).all(near) || !factors[top..].windows(2).all(|p| near(&[p[1], p[0]])) {
                wrong.push(format!("{schedule:?} goes up and down: {factors:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

net! {
    pub dim Class = 3;

    pub net Weighted(x: [n, 2], y: [n] in Class, w: [Class]) -> [] {
        let p = x |> linear(Class) |> softmax;
        mean(sum(p * w, over = Class)) + 0 * cross_entropy(p, y)
    }
    pub net Series(x: [t, n, 2], y: [n, 1]) -> [] { mean(square(mean(x, over = t))) + mean(square(y)) }
}

#[test]
fn samples_know_what_is_a_row() {
    // Weights of classes are no rows: every batch has all of them, whatever the number of samples.
    for n in [3, 6, 7] {
        let x = from_vec((0..2 * n).map(|i| i as f32).collect(), (n, Const)).unwrap();
        let y = Indices::new((0..n as u32).map(|i| i % 3).collect::<Vec<u32>>(), (n,)).unwrap();
        let batch = WeightedBatch { x, y, w: from_vec(vec![1.0, 2.0, 3.0], (Class,)).unwrap() };
        let samples = Samples::new(&batch).unwrap();
        let mut feed = ansatz::tensor::Feed::default();
        let mut dims = vec![];
        samples.feed(&[2, 0], ansatz::data::Pass::Evaluation, &mut feed, &mut dims).unwrap();
        let data = feed.data();
        assert_eq!(dims, [2]);
        assert_eq!(data[0], ansatz::tensor::Data::F32(&[4.0, 5.0, 0.0, 1.0]));
        assert_eq!(data[1], ansatz::tensor::Data::Index(&[2, 0]));
        assert_eq!(data[2], ansatz::tensor::Data::F32(&[1.0, 2.0, 3.0]));
    }
    // Time first: rows of one input would be times, and of another samples.
    let x = from_vec(vec![0.0f32; 24], (4, 3, Const)).unwrap();
    let y = from_vec(vec![0.0f32; 3], (3, Const)).unwrap();
    let error = Samples::new(&SeriesBatch { x, y }).map(drop).expect_err("time comes first").to_string();
    assert!(error.contains("input 1 of the batch has 3 rows") && error.contains("4"), "{error}");
}

#[test]
fn a_resumed_training_goes_on_as_it_began_or_says_what_is_different() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.safetensors");
    let data = |count: usize, scale: f32| {
        let x: Vec<f32> = (0..count).map(|i| scale * (i as f32).sin()).collect();
        Samples::new(&LineBatch { x: rows(&x), y: rows(&x) }).unwrap()
    };
    let build = |rate: f64| Trainer::builder(Line::<f32>::init(1), Adam::new(rate)).batch_size(4).epochs(3);
    let mut first = build(0.01).updates(7).checkpoint(&path).build().unwrap();
    first.fit(&data(40, 1.0), None).unwrap();
    first.save(&path).unwrap();

    // Other numbers of the recipe.
    let mut other = build(0.02).build().unwrap();
    let error = other.resume(&path).expect_err("another rate").to_string();
    assert!(error.contains("learning_rate: 0.01") && error.contains("learning_rate: 0.02"), "{error}");
    assert!(error.contains("`Trainer::resume_otherwise` allows"), "{error}");
    other.resume_otherwise(&path).unwrap();
    assert_eq!(other.updates(), 7);

    // Other data, of another length or other content.
    for (count, scale, part) in [(36, 1.0, "36 samples, and not 40"), (40, 2.0, "other 40 samples")] {
        let mut second = build(0.01).build().unwrap();
        second.resume(&path).unwrap();
        let error = second.fit(&data(count, scale), None).map(drop).expect_err("other data").to_string();
        assert!(error.contains(part) && error.contains("`Trainer::take_other_data` allows it"), "{error}");
        second.take_other_data().fit(&data(count, scale), None).unwrap();
    }
    let mut second = build(0.01).build().unwrap();
    second.resume(&path).unwrap();
    second.fit(&data(40, 1.0), None).unwrap();
    assert_eq!(second.updates(), 30);
}

/// A data set that panics at a sample, or says that it has more than it has.
struct Faulty {
    len: usize,
}

impl Dataset<LineBatch> for Faulty {
    fn len(&self) -> usize {
        self.len
    }

    fn feed(
        &self,
        rows: &[u32],
        _: ansatz::data::Pass,
        feed: &mut ansatz::tensor::Feed,
        dims: &mut Vec<usize>,
    ) -> Result<()> {
        let values: Vec<f32> = rows.iter().map(|&row| [0.5; 10][row as usize]).collect();
        feed.slice(&values);
        feed.slice(&values);
        dims.push(rows.len());
        Ok(())
    }
}

#[test]
fn a_data_set_that_panics_is_an_error() {
    for prefetch in [0, 2] {
        let mut trainer =
            Trainer::builder(Line::<f32>::init(1), Adam::new(0.1)).batch_size(4).prefetch(prefetch).build().unwrap();
        let error = trainer.fit(&Faulty { len: 12 }, None).map(drop).expect_err("ten samples").to_string();
        assert!(error.contains("the data set panicked while it made a batch of 4 samples"), "{error}");
        assert!(error.contains("index out of bounds"), "{error}");
        assert!(trainer.evaluate(&Faulty { len: 12 }).is_err());
        trainer.fit(&Faulty { len: 10 }, None).unwrap();
        let error = trainer.evaluate(&Faulty { len: 1 << 32 }).map(drop).expect_err("too many").to_string();
        assert!(error.contains("4294967296 samples is more than"), "{error}");
    }
}

#[test]
fn numbers_beyond_the_type_of_a_model_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut wide: Line<f64> = Line::init(1);
    wide.linear1.bias = from_vec(vec![-1e300], (Const::<1>,)).unwrap();
    wide.save(&path).unwrap();
    let mut narrow: Line<f32> = Line::init(2);
    let before = to_vec(&narrow.linear1.weight);
    let load = ansatz::train::Load::new().convert();
    let error = ansatz::train::load_into(&mut narrow, &path, &load).map(drop).expect_err("1e300").to_string();
    assert!(error.contains("`linear1.bias` holds -1e300") && error.contains("convert_to_infinity"), "{error}");
    assert_eq!(to_vec(&narrow.linear1.weight), before);
    let load = ansatz::train::Load::new().convert_to_infinity();
    ansatz::train::load_into(&mut narrow, &path, &load).unwrap();
    assert_eq!(to_vec(&narrow.linear1.bias), [f32::NEG_INFINITY]);
}
