//! The models for images of the library, against PyTorch (`fixtures/vision_models.py`): keys and sizes, results, gradients,
//! steps of training.
#![deny(warnings)]

use crate::formula::{Sketch, seed, uniform};
use ansatz::engine::State;
use ansatz::engine::compile;
use ansatz::grad::grad;
use ansatz::graph::{NodeId, Op, StateKind};
use ansatz::models::alexnet::AlexNet32;
use ansatz::models::lenet::LeNet;
use ansatz::models::residual::Residual100;
use ansatz::models::resnet::{ResNet18, ResNet18Small, ResNet20, ResNet34, ResNet50};
use ansatz::models::unet::{UNet8, UNet28};
use ansatz::models::vgg::{Vgg11, Vgg11Small, Vgg16};
use ansatz::nn::{self, Batch, BatchOf, Model, Net, Outputs, Path, Slot, Source, Value, Visitor};
use ansatz::optim::Optimiser;
use ansatz::prelude::*;
use ansatz::tensor::{Feed, Float, HostTensor, Scope, constant_like, mse};
use ansatz::train::{Load, load, load_into};

/// A model with the loss of the fixture: the mean of (y − ½)².
struct Fit<N>(N);

/// The loss and the results of a model for inputs of these run-time dimensions.
trait Recorded<E: Float>: Model<E> {
    fn results(scope: &Scope, dims: &[usize]) -> Vec<NodeId>;
}

macro_rules! recorded {
    ($($net:ident($($input:ident: $shape:ty),+) [$($dim:ident),+] $value:expr;)*) => {$(
        impl<E: Float> Recorded<E> for $net<E> {
            fn results(scope: &Scope, dims: &[usize]) -> Vec<NodeId> {
                let &[$($dim),+] = dims else { panic!("other dimensions than {dims:?}") };
                let ($($input,)+) = $value;
                let y = $net::<E>::record(scope, $(&scope.input::<$shape, E>(stringify!($input), $input)),+);
                vec![mse(&y, &constant_like(&y, 0.5)).id(), y.id()]
            }
        }
    )*};
}

type Images<const C: usize, const S: usize> = (usize, Const<C>, Const<S>, Const<S>);

recorded! {
    LeNet(image: Images<1, 28>) [n] ((n, Const, Const, Const),);
    AlexNet32(image: Images<3, 32>) [n] ((n, Const, Const, Const),);
    AlexNetNarrow(image: Images<3, 32>) [n] ((n, Const, Const, Const),);
    Vgg11Small(image: Images<3, 32>) [n] ((n, Const, Const, Const),);
    Vgg11Narrow(image: Images<3, 32>) [n] ((n, Const, Const, Const),);
    ResNet20(image: Images<3, 32>) [n] ((n, Const, Const, Const),);
    ResNet18Small(image: (usize, Const<3>, usize, usize)) [n, h, w] ((n, Const, h, w),);
    ResNet18(image: (usize, Const<3>, usize, usize)) [n, h, w] ((n, Const, h, w),);
    ResNet50(image: (usize, Const<3>, usize, usize)) [n, h, w] ((n, Const, h, w),);
    Residual100(x: (usize, Const<2>)) [n] ((n, Const),);
    UNet8(x: Images<1, 8>, s: (usize, Const<1>)) [n] ((n, Const, Const, Const), (n, Const));
}

impl<E: Float, N: Recorded<E>> Model<E> for Fit<N> {
    const PARAMETERS: usize = N::PARAMETERS;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        N::describe(path, slots);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        N::build(path, source).map(Fit)
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        self.0.visit(path, visitor)
    }
}

impl<E: Float, N: Recorded<E>> Net<E> for Fit<N> {
    const NAME: &'static str = "Fit";
    const INPUTS: &'static [&'static str] = &["input0", "input1"];
    const OUTPUTS: &'static [&'static str] = &["loss", "output"];
    type Batch = Numbers<E>;
    type Output = Lists;
    type Loss = ansatz::nn::HasLoss;

    fn trace(scope: &Scope, dims: &[usize]) -> Vec<NodeId> {
        N::results(scope, dims)
    }
}

/// Inputs by the formula.
struct Numbers<E> {
    dims: Vec<usize>,
    inputs: Vec<Vec<E>>,
}

impl<E: Float> Batch for Numbers<E> {
    fn dims(&self) -> Result<Vec<usize>> {
        Ok(self.dims.clone())
    }

    fn feed(&self, feed: &mut Feed) {
        self.inputs.iter().for_each(|input| feed.slice(input));
    }
}

impl<E: Float, N> BatchOf<Fit<N>> for Numbers<E> {}

/// Results as lists.
struct Lists(Vec<Vec<f64>>);

impl Outputs for Lists {
    fn collect(values: &[Value<'_>]) -> Result<Self> {
        Ok(Lists(values.iter().map(|value| value.data.to_f64()).collect()))
    }
}

/// Weights by the formula, as `fill` of the script makes them.
fn weights(slot: &Slot) -> Vec<f64> {
    let dims = &slot.dims;
    let value = |u: f64| match &*slot.key {
        _ if dims.len() > 1 => u * (3.0 / dims[1..].iter().product::<usize>() as f64).sqrt(),
        key if key.ends_with("weight") => 1.0 + 0.25 * u,
        key if key.ends_with("running_var") => 1.0 + 0.5 * u,
        _ => 0.1 * u,
    };
    uniform(&slot.key, dims.iter().product()).into_iter().map(value).collect()
}

struct Filled;

impl<E: Float> Source<E> for Filled {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>> {
        Ok(weights(slot).into_iter().map(<E as Float>::from_f64).collect())
    }
}

/// The lines of the fixture about one model.
struct Expected(Vec<(&'static str, &'static str, Vec<f64>)>);

impl Expected {
    fn of(model: &str) -> Self {
        let text: &'static str = include_str!("fixtures/vision_models.txt");
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let (name, what, key) = (words.next()?, words.next()?, words.next()?);
            (name == model).then(|| (what, key, words.map(|x| x.parse().expect("a number")).collect()))
        });
        Expected(lines.collect())
    }

    fn section(&self, what: &str) -> impl Iterator<Item = (&str, Sketch)> {
        self.0.iter().filter(move |(w, ..)| *w == what).map(|(_, key, numbers)| (*key, Sketch::read(numbers)))
    }

    /// Every tensor is as near as `tolerance` times its norm, or times a thousandth of the largest norm.
    #[track_caller]
    fn check(&self, what: &str, tolerance: f64, found: impl Fn(&str) -> Vec<f64>) {
        let largest = self.section(what).map(|(_, sketch)| sketch.norm).fold(0.0, f64::max);
        assert!(largest > 0.0, "the fixture has no {what}");
        for (key, expected) in self.section(what) {
            let off = Sketch::of(&found(key)).off(&expected) / expected.norm.max(1e-3 * largest);
            assert!(off <= tolerance, "{what}, {key}: {off:e}");
        }
    }
}

fn batch<E: Float>(dims: &[usize], lens: &[usize]) -> Numbers<E> {
    let input = |(i, &len): (usize, &usize)| {
        uniform(&format!("input{i}"), len).into_iter().map(<E as Float>::from_f64).collect()
    };
    Numbers { dims: dims.to_vec(), inputs: lens.iter().enumerate().map(input).collect() }
}

/// Results in evaluation, and the loss with its gradients: in training, unless dropout would act there.
fn check<E: Float, N: Recorded<E>>(
    name: &str,
    dims: &[usize],
    lens: &[usize],
    training: bool,
    near: f64,
    gradient: Option<f64>,
) {
    let expected = Expected::of(name);
    let batch = batch::<E>(dims, lens);
    let model: Fit<N> = Model::<E>::build(&Path::root(), &mut Filled).expect("every tensor has a formula");
    let Lists(results) = nn::forward(&model, &batch).expect("it runs");
    expected.check("forward", near, |_| results[1].clone());

    let scope = Scope::new(training);
    let loss = <Fit<N> as Net<E>>::trace(&scope, dims)[0];
    let mut graph = scope.finish().expect("it is recorded");
    let parameters: Vec<(String, NodeId)> = (graph.nodes())
        .filter_map(|(id, node)| match node.op {
            Op::State(i) if graph.states()[i].kind == StateKind::Parameter => Some((graph.states()[i].key.clone(), id)),
            _ => None,
        })
        .collect();
    let wrt: Vec<NodeId> = parameters.iter().map(|(_, id)| *id).collect();
    let gradients = grad(&mut graph, loss, &wrt).expect("the loss is a scalar");
    graph.output("loss", loss);
    gradients.into_iter().for_each(|gradient| graph.output("gradient", gradient));
    let mut state = State::new(graph.states());
    for slot in nn::slots::<E, Fit<N>>() {
        let position = state.position(&slot.key).expect("the net uses all it lists");
        let to = E::slice_mut(state.get_mut(position).expect("the processor works")).expect("of the element type");
        to.iter_mut().zip(weights(&slot)).for_each(|(to, value)| *to = <E as Float>::from_f64(value));
    }
    let program = compile(&graph).expect("one float type");
    let mut workspace = program.workspace(&state).expect("its own state");
    let mut feed = Feed::default();
    batch.feed(&mut feed);
    program.run(&mut state, &feed.data(), &mut workspace).expect("it runs");
    let output = |i: usize| program.output(&workspace, i).to_f64();
    expected.check("loss", near, |_| output(0));
    let Some(gradient) = gradient else { return };
    expected.check("gradient", gradient, |key| {
        output(1 + parameters.iter().position(|(own, _)| own == key).unwrap_or_else(|| panic!("no parameter {key}")))
    });
}

/// The parameters after ten steps.
fn train<E: Float, N: Recorded<E>>(
    name: &str,
    dims: &[usize],
    lens: &[usize],
    optimiser: impl Optimiser + 'static,
    what: &str,
    tolerance: f64,
) {
    let model: Fit<N> = Model::<E>::build(&Path::root(), &mut Filled).expect("every tensor has a formula");
    let mut trainer = Trainer::builder(model, optimiser).build().expect("well-formed");
    let batch = batch::<E>(dims, lens);
    for _ in 0..10 {
        trainer.step(&batch).expect("the loss stays finite");
    }
    let mut tensors = Tensors(vec![]);
    trainer.model().expect("a model").visit(&Path::root(), &mut tensors).expect("no visitor fails");
    Expected::of(name).check(what, tolerance, |key| {
        tensors.0.iter().find(|(own, _)| own == key).unwrap_or_else(|| panic!("no parameter {key}")).1.clone()
    });
}

struct Tensors(Vec<(String, Vec<f64>)>);

impl<E: Float> Visitor<E> for Tensors {
    fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
        self.0.push((slot.key.clone(), tensor.to_vec().into_iter().map(Float::to_f64).collect()));
        Ok(())
    }
}

/// A test for each model: in double precision nearly exactly, in single precision to what it can hold.
macro_rules! parity {
    ($($test:ident = $net:ident, $name:literal, $dims:expr, $lens:expr, $training:expr, $single:expr;)*) => {$(
        #[test]
        fn $test() {
            check::<f64, $net<f64>>($name, &$dims, &$lens, $training, 1e-8, Some(1e-8));
            check::<f32, $net<f32>>($name, &$dims, &$lens, $training, 1e-5, $single);
        }
    )*};
}

/// The learning rate of SGD is the last.
macro_rules! steps {
    ($($test:ident = $net:ident, $name:literal, $dims:expr, $lens:expr, $rate:expr;)*) => {$(
        #[test]
        fn $test() {
            let sgd = Sgd { momentum: 0.9, ..Sgd::new($rate) };
            train::<f32, $net<f32>>($name, &$dims, &$lens, sgd, "sgd", 1e-4);
            train::<f64, $net<f64>>($name, &$dims, &$lens, sgd, "sgd", 1e-6);
            train::<f64, $net<f64>>($name, &$dims, &$lens, Adam::new(1e-3), "adam", 1e-6);
        }
    )*};
}

/// How near gradients are in single precision.
const GRADIENT: Option<f64> = Some(1e-4);

parity! {
    lenet = LeNet, "lenet", [3], [3 * 784], true, GRADIENT;
    alexnet = AlexNet32, "alexnet", [2], [2 * 3 * 1024], false, GRADIENT;
    narrow_alexnet = AlexNetNarrow, "alexnet_narrow", [4], [4 * 3 * 1024], true, GRADIENT;
    vgg11 = Vgg11Small, "vgg11_small", [2], [2 * 3 * 1024], false, GRADIENT;
    narrow_vgg11 = Vgg11Narrow, "vgg11_narrow", [4], [4 * 3 * 1024], true, GRADIENT;
    resnet20 = ResNet20, "resnet20", [4], [4 * 3 * 1024], true, GRADIENT;
    resnet18_of_small_images = ResNet18Small, "resnet18_small", [3, 16, 16], [3 * 3 * 256], true, GRADIENT;
    // Rounding decides on which side of 0 some of their many activations lie: the gradients of PyTorch itself in single
    // precision are 2e-2 away.
    resnet18 = ResNet18, "resnet18", [4, 64, 64], [4 * 3 * 4096], true, None;
    resnet50 = ResNet50, "resnet50", [4, 64, 64], [4 * 3 * 4096], true, None;
    residual100 = Residual100, "residual100", [5], [10], true, GRADIENT;
    unet8 = UNet8, "unet8", [3], [3 * 64, 3], true, GRADIENT;
}

// By 0.02 rounding decides too much in deep nets of relu: `fixtures/vision_models.py` has how much.
steps! {
    lenet_learns = LeNet, "lenet", [3], [3 * 784], 0.02;
    alexnet_learns = AlexNetNarrow, "alexnet_narrow", [4], [4 * 3 * 1024], 0.02;
    vgg11_learns = Vgg11Narrow, "vgg11_narrow", [4], [4 * 3 * 1024], 2e-3;
    resnet20_learns = ResNet20, "resnet20", [4], [4 * 3 * 1024], 3e-4;
    resnet18_of_small_images_learns = ResNet18Small, "resnet18_small", [3, 16, 16], [3 * 3 * 256], 3e-4;
    residual100_learns = Residual100, "residual100", [5], [10], 0.02;
    unet8_learns = UNet8, "unet8", [3], [3 * 64, 3], 0.02;
}

/// In double precision alone: `parity` says why.
macro_rules! double_steps {
    ($($test:ident = $net:ident, $name:literal;)*) => {$(
        #[test]
        fn $test() {
            train::<f64, $net<f64>>($name, &[4, 64, 64], &[4 * 3 * 4096], Adam::new(1e-3), "adam", 1e-6);
        }
    )*};
}

double_steps! {
    resnet18_learns = ResNet18, "resnet18";
    resnet50_learns = ResNet50, "resnet50";
}

/// Keys, shapes and numbers are torchvision's.
fn same_keys<M: Model<f32>>(name: &str) {
    let mut lines: Vec<String> = (nn::slots::<f32, M>().iter())
        .map(|slot| format!("{} {}", slot.key, slot.dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")))
        .collect();
    lines.sort();
    let found = format!("{name} keys {} {} {}", lines.len(), M::PARAMETERS, seed(&lines.join("\n")));
    assert!(include_str!("fixtures/vision_models.txt").lines().any(|line| line == found), "{found}\n{lines:#?}");
}

#[test]
fn the_larger_models_have_the_keys_of_torchvision() {
    same_keys::<ResNet34>("resnet34");
    same_keys::<Vgg11>("vgg11_bn");
    same_keys::<Vgg16>("vgg16_bn");
}

net! {
    use ansatz::models::{AlexNet, VggA};
    use ansatz::models::resnet::ResNet;

    /// Dropout would make every step another.
    pub net AlexNetNarrow = AlexNet(c = 3, h = 32, w = 32, width = 8, hidden = 64, drop = 0.0);
    /// The same.
    pub net Vgg11Narrow = VggA(c = 3, h = 32, w = 32, width = 8, hidden = 64, classes = 10, drop = 0.0);

    /// As `fixtures/state_dict.py` has it.
    pub net Narrow = ResNet(c = 3, width = 2, depth1 = 2, depth2 = 2, depth3 = 2, depth4 = 2, classes = 10);
}

#[test]
fn a_state_dict_of_torchvision_loads_unchanged() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/state_dict.safetensors");
    let model: Narrow = load(file).expect("the file fits");
    let pixels = uniform("image", 2 * 3 * 1024).into_iter().map(|x| x as f32).collect();
    let answer = model.forward(from_vec(pixels, (2, Const, 32, 32)).unwrap()).unwrap();
    let expected = include_str!("fixtures/state_dict.txt").split_whitespace().map(|x| x.parse::<f32>().unwrap());
    let pairs: Vec<(f32, f32)> = to_vec(&answer).into_iter().zip(expected).collect();
    assert_eq!(pairs.len(), 20);
    assert!(pairs.iter().all(|(ours, theirs)| (ours - theirs).abs() < 1e-5), "{pairs:?}");

    let mut other: Narrow = Narrow::init(0);
    let loaded = load_into(&mut other, file, &Load::new()).expect("the file fits");
    assert_eq!(loaded.missing, [""; 0]);
    assert_eq!(loaded.extra.len(), 20);
    assert!(loaded.extra.iter().all(|key| key.ends_with(".num_batches_tracked")), "{:?}", loaded.extra);
}

#[test]
fn a_unet_knows_the_time_and_keeps_the_shape() {
    let net: UNet28 = UNet28::init(0);
    let keys: Vec<String> = nn::slots::<f32, UNet28>().into_iter().map(|slot| slot.key).collect();
    let weights: Vec<&str> = keys.iter().filter_map(|key| key.strip_suffix(".weight")).collect();
    assert_eq!(weights[..5], ["time.linear1", "time.linear2", "down1.conv1", "down1.norm1", "down1.time"]);
    assert_eq!(weights[7..9], ["halve1", "down2.conv1"]);
    let block = |i: usize, o: usize| (9 * i * o + o) + (9 * o * o + o) + 4 * o + (128 * o + o);
    let conv = |i: usize, o: usize| 9 * i * o + o;
    let blocks = block(1, 32) + block(32, 64) + block(64, 128) + block(192, 64) + block(96, 32);
    let time = 64 * 128 + 128 + 128 * 128 + 128;
    assert_eq!(UNet28::PARAMETERS, time + blocks + conv(32, 32) + conv(64, 64) + conv(32, 1));

    let x = from_vec((0..2 * 784).map(|i| (i as f32 * 0.1).sin()).collect(), (2, Const, Const, Const)).unwrap();
    let s = |s: f32| from_vec(vec![s, 0.5], (2, Const)).unwrap();
    let (early, late) = (net.forward(x.clone(), s(0.25)).unwrap(), net.forward(x, s(0.75)).unwrap());
    let (early, late) = (to_vec(&early), to_vec(&late));
    assert!(early[..784].iter().zip(&late[..784]).all(|(a, b)| a.is_finite() && a != b));
    assert_eq!(early[784..], late[784..]);
}
