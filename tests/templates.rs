//! Templates: hyper-parameters, dimensions bound by the caller, aliases, compile-time choice.

#![deny(warnings)]

use ansatz::dfdx::tensor::TensorFromVec;
use ansatz::nn::{self, Model, Net, Repeat};
use ansatz::prelude::*;
use ansatz::tensor::{Const, Cpu, HasShape, Tensor};

net! {
    pub dim Embed = 12;

    /// A residual block with a choice that is made at compile time.
    net Block(x: [n, c]; width: usize, expand: usize = 2, act = relu) -> [n, width] {
        let y = x |> up: linear(expand * width) |> act |> down: linear(width);
        let skip = if c == width { x } else { x |> project: linear(width, bias = false) };
        y + skip
    }

    /// Two stages of blocks.
    pub net Tower(x: [n, 8]; stages: usize = 2, block: layer = Block) -> [n, 16] {
        x |> stage1: [block(8); stages] |> stage2: [block(16), block(16, act = tanh)]
    }

    pub net Tall = Tower(stages = 5);

    /// As [`Tall`], under another name.
    pub net High = Tower(stages = 5);

    /// What sizes a parameter comes from the caller.
    net Head(x: [n, d]) -> [n, 3] { x |> linear(3) }

    pub net Two(x: [n, 8], y: [n, Embed]) -> (a: [n, 3], b: [n, 3]) {
        (a = left: Head(x), b = right: Head(y))
    }

    pub net Small = Head(d = 4);

    pub dim Twin = 12;
    /// Where two names are one number, a branch may take them for one.
    pub net Same(x: [n, Embed], y: [n, Twin]) -> [n, Twin] { if Embed == Twin { x + y } else { y } }

    net Halves(x: [n, t]) -> [n, 2, t / 2] where 2 | t { x |> [n, (2 b)] -> [n, 2, b] }
    /// What a part asks of a dimension is stated, or follows.
    pub net Quarters(x: [n, s]) -> [n, s / 2] where 4 | s { x |> split2: Halves |> sum([n, a, b] -> [n, b]) }

    /// A net of nets of nets, as deep as a number says.
    net Nest(x: [n, d]; depth: usize) -> [n, d] {
        if depth == 0 { x } else { x |> linear(d) |> inner: Nest(depth - 1) }
    }

    pub net Deep(x: [n, 4]) -> [n, 4] { x |> Nest(3) }

    net Mode(x: [n, 4]; mode = "plain", scale = 0.5, twice = false) -> [n, 4] {
        let y = if mode == "plain" { x * scale } else { exp(x * scale) };
        if twice { y + y } else { y }
    }

    pub net Modes(x: [n, 4]) -> [n, 4] { (x |> a: Mode) + (x |> b: Mode(mode = "exp", scale = 2.0, twice = true)) }

    /// Norms and activations as hyper-parameters: every use has parameters of its own.
    net Normed(x: [n, d]; norm = layer_norm, act = |z| z * sigmoid(1.702 * z)) -> [n, d] {
        x |> norm1: norm |> act |> norm2: norm
    }

    pub net Norms(x: [n, 6]) -> [n, 6] { x |> a: Normed |> b: Normed(norm = rms_norm(eps = 1e-3), act = relu) }

    net Attend(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d, d >= 8 { x |> linear(d) }

    pub net Attends(x: [n, t, Embed]) -> [n, t, Embed] { x |> a: Attend(3) |> b: Attend(4) }

    /// The same nets without templates.
    net Written(x: [n, 8]) -> [n, 16] {
        x |> stage1: [|z| z + (z |> up: linear(16) |> relu |> down: linear(8)); 2] |> stage2: (
            _0: ( |z| (z |> up: linear(32) |> relu |> down: linear(16)) + (z |> project: linear(16, bias = false)) )
            |> _1: ( |z| z + (z |> up: linear(32) |> tanh |> down: linear(16)) ))
    }

    /// The label of a result is that of the value outside.
    net Parts(x: [n, d]; parts: usize) -> [n, part = parts, d] { x |> linear(parts * d) |> [n, (parts d)] -> [n, parts, d] }

    pub net Whole(x: [n, 4]) -> [n, 4] { x |> Parts(3) |> mean(over = part) }

    net NormsWritten(x: [n, 6]) -> [n, 6] {
        x |> a: (norm1: layer_norm |> |z| z * sigmoid(1.702 * z) |> norm2: layer_norm)
          |> b: (norm1: rms_norm(eps = 1e-3) |> relu |> norm2: rms_norm(eps = 1e-3))
    }

    net ModesWritten(x: [n, 4]) -> [n, 4] { x * 0.5 + 2 * exp(x * 2) }

    pub net Square(x: [n, 8]) -> [] { x |> Tower |> square |> mean }
    pub net NormsSquare(x: [n, 6]) -> [] { x |> Norms |> square |> mean }
}

fn keys<M: Model<f32>>() -> Vec<String> {
    nn::slots::<f32, M>().into_iter().map(|slot| slot.key).collect()
}

/// Two nets of one meaning have the same keys, and the same values for the same seed.
macro_rules! same {
    ($one:ident, $other:ident, $x:expr) => {{
        assert_eq!(keys::<$one>(), keys::<$other>());
        let x = $x;
        let (one, other): ($one<f64>, $other<f64>) = ($one::init(3), $other::init(3));
        let (one, other) = (one.forward(x.clone()).unwrap().as_vec(), other.forward(x).unwrap().as_vec());
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-12), "{one:?}\n{other:?}");
        assert!(one.iter().any(|value| value.abs() > 1e-3));
    }};
}

fn rows<const D: usize>(n: usize) -> Tensor<(usize, Const<D>), f64, Cpu> {
    let values = (0..n * D).map(|i| (i as f64 * 0.7).sin()).collect();
    Cpu::default().tensor_from_vec(values, (n, Const::<D>))
}

#[test]
fn templates_are_the_nets_that_they_stand_for() {
    same!(Tower, Written, rows::<8>(3));
    same!(Norms, NormsWritten, rows::<6>(3));
    same!(Modes, ModesWritten, rows::<4>(3));
}

#[test]
fn equal_instances_are_one_type() {
    let tower: Tower = Tower::init(0);
    assert_eq!(tower.stage1.len(), 2);
    let tall: Tall = Tall::init(0);
    // An instance that other nets use is named by what differs from the defaults.
    let blocks: &Repeat<BlockWidth8, 5> = &tall.stage1;
    let first: &BlockWidth8 = &tower.stage1[0];
    assert_eq!(nn::slots::<f32, BlockWidth8>().len(), 4);
    assert_eq!(blocks[0].up.weight.shape(), first.up.weight.shape());
    let high: High = tall.clone();
    assert_eq!(High::PARAMETERS, Tall::PARAMETERS);
    drop(high);
    assert_eq!(<Tall as Net<f32>>::NAME, "Tall");
}

#[test]
fn dimensions_come_from_the_caller() {
    assert_eq!(Two::PARAMETERS, 8 * 3 + 3 + 12 * 3 + 3);
    let two: Two = Two::init(0);
    let _: &Tensor<(Const<3>, Embed), f32, Cpu> = &two.right.linear1.weight;
    assert_eq!(Small::PARAMETERS, 4 * 3 + 3);
    let small: Small = Small::init(1);
    let head: Tensor<(usize, Const<3>), f32, Cpu> =
        small.forward(Cpu::default().tensor_from_vec(vec![1.0; 8], (2, Const::<4>))).unwrap();
    assert_eq!(head.shape().0, 2);
}

#[test]
fn a_net_may_contain_itself_as_long_as_it_ends() {
    let weights = |keys: Vec<String>| keys.into_iter().filter(|key| key.ends_with("weight")).collect::<Vec<_>>();
    assert_eq!(
        weights(keys::<Deep>()),
        ["nest.linear1.weight", "nest.inner.linear1.weight", "nest.inner.inner.linear1.weight"]
    );
    assert_eq!(Attends::PARAMETERS, 2 * (12 * 12 + 12));
}

ansatz::gradcheck!(Square);
ansatz::gradcheck!(NormsSquare);

#[test]
fn conditions_on_run_time_dimensions_are_checked_at_run_time() {
    let quarters: Quarters = Quarters::init(0);
    let sums = quarters.forward(from_vec(vec![1.0, 2.0, 3.0, 4.0], (1, 4)).unwrap()).unwrap();
    assert_eq!(to_vec(&sums), [4.0, 6.0]);
    let error = quarters.forward(from_vec(vec![0.0; 6], (1, 6)).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "`Quarters` needs `4 | s`, but `s` is 6");
}

#[test]
fn equal_numbers_are_one_dimension_where_an_if_says_so() {
    let same: Same = Same::init(0);
    let x = from_vec(vec![1.0; 12], (1, Embed)).unwrap();
    let sum = same.forward(x, from_vec(vec![2.0; 12], (1, Twin)).unwrap()).unwrap();
    assert_eq!(to_vec(&sum), [3.0; 12]);
}
