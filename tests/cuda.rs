//! Nets on a GPU, from outside the crate: a driver that stands in for NVIDIA's runs the kernels on the processor, so that no
//! GPU is needed. What a GPU gives is what the processor gives, up to rounding.
#![deny(warnings)]

use ansatz::nn::{self, Batch, Net, Path, Slot, Stream, Trainable, Visitor};
use ansatz::prelude::*;
use ansatz::tensor::{Float, HostTensor};
use ansatz::text::{Sampler, generate};
use std::sync::LazyLock;

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    Device::cuda_with(0, &[&ansatz_device::libraries()]).unwrap_or_else(|problem| panic!("{problem}"))
});

net! {
    use ansatz::models::{BertClassifier, CifarResNet, Gpt2, LeNet, Llama, Particles, Residual, UNet, ViT};
    use ansatz::models::bert::Segment;

    pub dim Token = 11;
    pub dim Place = 12;
    pub dim Kind = 3;
    pub dim Plane = 2;

    pub net Perceptron(x: [n, 6], y: [n] in Kind) -> (loss: [], logits: [n, Kind]) {
        let logits = x |> linear(9) |> gelu |> layer_norm |> dropout(0.2) |> linear(Kind);
        (loss = cross_entropy(logits, y), logits = logits)
    }

    pub net Gpt = Gpt2(vocabulary = Token, places = Place, width = 8, layers = 2, heads = 2);
    pub net GptReads(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(model: Gpt2(tokens, vocabulary = Token, places = Place, width = 8, layers = 2, heads = 2, drop = 0.1), next)
    }
    pub net LlamaReads(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(Llama(tokens, vocabulary = Token, width = 8, layers = 2, heads = 4, shared = 2, hidden = 12), next)
    }
    pub net BertReads(tokens: [n, t] in Token, segments: [n, t] in Segment, seen: [n, t], class: [n] in Kind) -> [] {
        let logits = BertClassifier(
            tokens, segments, seen, vocabulary = Token, places = 6, width = 8, layers = 2, heads = 2, hidden = 12, classes = Kind,
        );
        cross_entropy(logits, class)
    }
    pub net ViTSees(image: [n, 2, 8, 8], class: [n] in Kind) -> [] {
        cross_entropy(ViT(image, patch = 4, width = 8, layers = 1, heads = 2, hidden = 12, classes = Kind), class)
    }
    pub net ResNetSees(image: [n, 2, 8, 8], class: [n] in Kind) -> [] {
        cross_entropy(CifarResNet(image, width = 4, depth = 1, classes = Kind), class)
    }
    pub net LeNetSees(image: [n, 1, 28, 28], class: [n] in Kind) -> [] {
        cross_entropy(LeNet(image, classes = Kind), class)
    }
    pub net Denoises(image: [n, 1, 8, 8], s: [n, 1], y: [n, 1, 8, 8]) -> [] {
        mse(UNet(image, s, width = 4, groups = 2, waves = 3), y)
    }
    pub net Moves(x: [n, t, Plane], y: [n, t, Plane]) -> [] {
        mse(Particles(x, layers = 3, heads = 1), y)
    }
    pub net Steps(x: [n, Plane], y: [n, Plane]) -> [] {
        mse(Residual(x, hidden = 4, depth = 8, scale = 0.125), y)
    }
    pub net Solves(x: [n, Plane], y: [n, Plane]) -> [] {
        mse(ode(x, s = 0..1, by = rk4(4), gradient = adjoint, [linear(8), tanh, linear(Plane)]), y)
    }
    pub net Flows(x: [n, Plane]) -> [] {
        let (z, log_det) = cnf(x, s = 1..0, by = rk4(3), [linear(6), tanh, linear(Plane)]);
        -mean(normal_log_prob(z, over = Plane) + log_det)
    }
}

fn reals<S: ansatz::tensor::Shape, E: Float>(shape: S) -> Tensor<S, E, Cpu> {
    let values = (0..shape.num_elements()).map(|i| <E as Float>::from_f64((i as f64 * 0.7).sin())).collect();
    from_vec(values, shape).expect("as many values")
}

fn indices<D: ConstDim + ansatz::tensor::Named, S: ansatz::tensor::Shape>(shape: S) -> Indices<S, D> {
    let values: Vec<u32> = (0..shape.num_elements()).map(|i| (i * i % D::SIZE) as u32).collect();
    Indices::new(values, shape).expect("within the space")
}

/// All elements of a model, by their keys.
fn tensors<E: Float, N: Net<E>>(model: &N) -> Vec<(String, Vec<f64>)> {
    struct All(Vec<(String, Vec<f64>)>);
    impl<E: Float> Visitor<E> for All {
        fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
            self.0.push((slot.key.clone(), tensor.to_vec().iter().map(|&x| Float::to_f64(x)).collect()));
            Ok(())
        }
    }
    let mut all = All(Vec::new());
    model.visit(&Path::root(), &mut all).expect("it shows its tensors");
    all.0
}

/// Four steps give the same losses and, in the end, the same parameters: the first launches kernel by kernel, the later ones
/// as one piece of recorded work.
fn trains_alike<E: Float, N: Trainable<E>>(batch: &N::Batch, near: f64)
where
    N::Batch: Batch,
{
    let train = |device: &Device| -> Result<(Vec<f64>, N)> {
        let optimiser = Sgd { momentum: 0.9, ..Sgd::new(0.1) };
        let mut trainer = Trainer::<N, E>::builder(nn::init(3), optimiser).seed(5).clip(1.0).device(device).build()?;
        let losses = (0..4).map(|_| Ok(trainer.step(batch)?.loss())).collect::<Result<_>>()?;
        Ok((losses, trainer.model()?))
    };
    let [(expected, host), (found, there)] = [&Device::cpu(), &*DEVICE]
        .map(|device| train(device).unwrap_or_else(|problem| panic!("{}: {problem}", N::NAME)));
    let agree = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= near * a.abs().max(1.0))
    };
    assert!(agree(&expected, &found), "{}: losses {found:?} are not {expected:?}", N::NAME);
    assert!(expected[3] != expected[0], "{} does not learn", N::NAME);
    for ((key, host), (_, there)) in tensors::<E, N>(&host).iter().zip(tensors::<E, N>(&there)) {
        let worst = host.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= 10.0 * near, "{}: {key} is {worst:e} off", N::NAME);
    }
}

#[test]
fn perceptrons_train_alike() {
    trains_alike::<f32, Perceptron>(&PerceptronBatch { x: reals((5, Const)), y: indices((5,)) }, 1e-6);
    trains_alike::<f64, Perceptron<f64>>(&PerceptronBatch { x: reals((5, Const)), y: indices((5,)) }, 1e-13);
}

#[test]
fn transformers_train_alike() {
    let tokens = || (indices((2, 7)), indices((2, 7)));
    trains_alike::<f32, GptReads>(&tokens().into(), 1e-6);
    trains_alike::<f64, GptReads<f64>>(&tokens().into(), 1e-13);
    trains_alike::<f32, LlamaReads>(&tokens().into(), 1e-6);
    let bert = BertReadsBatch {
        tokens: indices((2, 5)),
        segments: indices((2, 5)),
        seen: from_vec(vec![1.0; 10], (2, 5)).unwrap(),
        class: indices((2,)),
    };
    trains_alike::<f32, BertReads>(&bert, 1e-6);
    let image = reals((3, Const, Const, Const));
    trains_alike::<f32, ViTSees>(&ViTSeesBatch { image, class: indices((3,)) }, 1e-6);
    trains_alike::<f32, Moves>(&MovesBatch { x: reals((2, 5, Plane)), y: reals((2, 5, Plane)) }, 1e-6);
}

#[test]
fn convolutional_nets_train_alike() {
    let class = || indices((3,));
    trains_alike::<f64, ResNetSees<f64>>(
        &ResNetSeesBatch { image: reals((3, Const, Const, Const)), class: class() },
        1e-12,
    );
    trains_alike::<f32, LeNetSees>(&LeNetSeesBatch { image: reals((3, Const, Const, Const)), class: class() }, 1e-6);
    let (image, y) = (reals((2, Const, Const, Const)), reals((2, Const, Const, Const)));
    trains_alike::<f32, Denoises>(&DenoisesBatch { image, s: reals((2, Const)), y }, 1e-5);
}

#[test]
fn continuous_nets_train_alike() {
    let pair = || (reals((4, Plane)), reals((4, Plane)));
    trains_alike::<f64, Steps<f64>>(&pair().into(), 1e-13);
    trains_alike::<f64, Solves<f64>>(&pair().into(), 1e-13);
    trains_alike::<f64, Flows<f64>>(&FlowsBatch { x: reals((4, Plane)) }, 1e-13);
}

ansatz::gradcheck!(Perceptron, device = Device::cuda_with(0, &[&ansatz_device::libraries()]), sizes = [[3]]);
ansatz::gradcheck!(Steps, device = Device::cuda_with(0, &[&ansatz_device::libraries()]), sizes = [[2]]);
ansatz::gradcheck!(Moves, device = Device::cuda_with(0, &[&ansatz_device::libraries()]), sizes = [[2]]);

#[test]
fn a_session_and_a_stream_give_what_the_processor_gives() -> Result<()> {
    let model: Gpt = Gpt::init(4);
    let batch: GptBatch = indices((2, 6)).into();
    let expected = to_vec(&model.session()?.run(&batch)?);
    let session = model.session()?.on(&DEVICE)?;
    for _ in 0..3 {
        let found = to_vec(&session.run(&batch)?);
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    let prompts = [vec![1, 5, 3], vec![2]];
    let read = |stream: &mut Stream<f32, Gpt>| generate(stream, &prompts, &mut Sampler::greedy(), 8, |_, _| true);
    let expected = read(&mut Stream::new(&model, 12)?)?;
    assert_eq!(read(&mut Stream::new(&model, 12)?.on(&DEVICE)?)?, expected);
    Ok(())
}

#[test]
fn a_training_goes_on_from_its_file_to_the_byte() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("ansatz-cuda-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("temporary files can be written");
    let [middle, whole, resumed] = ["middle", "whole", "resumed"].map(|name| folder.join(name));
    let batch: GptReadsBatch = (indices((2, 7)), indices((2, 7))).into();
    let trainer = |device: &Device| -> Result<Trainer<GptReads>> {
        Trainer::builder(GptReads::init(1), Adam::new(1e-2)).seed(9).average(0.9).device(device).build()
    };
    let mut first = trainer(&DEVICE)?;
    for step in 0..6 {
        if step == 3 {
            first.save(&middle)?;
        }
        first.step(&batch)?;
    }
    first.save(&whole)?;
    let mut second = trainer(&DEVICE)?;
    second.resume(&middle)?;
    for _ in 0..3 {
        second.step(&batch)?;
    }
    second.save(&resumed)?;
    let read = |path| std::fs::read(path).expect("the file was written");
    assert!(read(&whole) == read(&resumed));
    // The same file goes on on the processor.
    let mut third = trainer(&Device::cpu())?;
    third.resume(&middle)?;
    let loss = third.step(&batch)?.loss();
    assert!(loss.is_finite());
    std::fs::remove_dir_all(&folder).expect("it was made above");
    Ok(())
}

#[test]
fn a_spoilt_step_leaves_the_model_as_it_was() -> Result<()> {
    let good = PerceptronBatch { x: reals((5, Const)), y: indices((5,)) };
    let bad = PerceptronBatch { x: from_vec(vec![f32::NAN; 30], (5, Const))?, y: indices((5,)) };
    let model: Perceptron = Perceptron::init(2);
    let mut trainer = Trainer::builder(model, Adam::new(1e-2)).device(&DEVICE).build()?;
    trainer.step(&good)?;
    let before = tensors::<f32, Perceptron>(&trainer.model()?);
    assert!(trainer.step(&bad).is_err());
    assert_eq!(tensors::<f32, Perceptron>(&trainer.model()?), before);
    Ok(())
}

#[test]
fn a_profile_tells_of_each_launch() -> Result<()> {
    let batch = PerceptronBatch { x: reals((5, Const)), y: indices((5,)) };
    let model: Perceptron = Perceptron::init(2);
    let mut trainer = Trainer::builder(model, Adam::new(1e-2)).device(&DEVICE).build()?;
    let before = trainer.step(&batch)?.loss();
    let profile = trainer.profile(&batch, 2)?;
    assert!(profile.launches().len() > 5 && profile.launches().iter().all(|(_, time)| !time.is_zero()), "{profile}");
    assert!(trainer.step(&batch)?.loss() < before);
    Ok(())
}

#[test]
fn what_is_missing_is_a_sentence() {
    if ansatz_device::real() {
        return;
    }
    let missing = Device::cuda_with(1, &[&ansatz_device::libraries()]).expect_err("there is one device");
    assert_eq!(missing.to_string(), "there is no CUDA device 1: there is 1 device, counted from 0");
    if let Err(problem) = Device::cuda(0) {
        assert_eq!(
            problem.to_string(),
            "no CUDA device: the driver's library libcuda.so.1 is not on this machine (looked in the loader's path and in \
             ANSATZ_CUDA); install NVIDIA's driver, or use `Device::cpu()`"
        );
    }
    assert_eq!(
        DEVICE.to_string(),
        "the processor in place of a GPU, capability 9.0, 4 GiB, driver of CUDA 13.0, NVRTC 13.0, cuBLASLt 13.0"
    );
    let model: Perceptron = Perceptron::init(0);
    let mut trainer = Trainer::builder(model, Adam::new(1e-3)).device(&DEVICE).build().expect("it is small");
    let problem = trainer.memory(&[100_000_000]).expect_err("4 GiB are too few").to_string();
    assert!(problem.contains("bytes left") && problem.ends_with("take a smaller batch, or a smaller net"), "{problem}");
}
