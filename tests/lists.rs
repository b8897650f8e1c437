//! Layers in sequence, from the outside: keys, types, values, gradients.
#![deny(warnings)]

use ansatz::nn;
use ansatz::prelude::*;

net! {
    pub dim Features = 6;
    pub dim Layers = 4;

    pub net Block(x: [n, Features]) -> [n, Features] { x + (x |> linear(5) |> tanh |> linear(Features)) }

    /// Equal blocks.
    pub net Deep(x: [n, Features]) -> [n, Features] { x |> blocks: [Block; Layers] }

    /// The same with the blocks one by one.
    pub net Written(x: [n, Features]) -> [n, Features] {
        x |> blocks: (_0: Block |> _1: Block |> _2: Block |> _3: Block)
    }

    /// Everything that may stand in a list.
    pub net Mixed(x: [n, Features]) -> [n, 2] {
        let shared = linear(Features);
        x |> net: [linear(8), relu, out: linear(Features), |z| z + (z |> linear(Features)), linear(3) |> tanh]
          |> [linear(2 * i); i in 2..4]
          |> [linear(Features), shared, [shared, gelu]]
          |> twice: [[linear(7) |> silu, linear(Features)]; 2]
          |> linear(2)
    }

    /// A list that is bound is one list with one set of parameters.
    pub net Shared(x: [n, Features]) -> [] {
        let f = [linear(Features), tanh];
        x |> f |> f |> square |> mean
    }

    pub net Thousand(x: [n, Features]) -> [] { x |> layers: [|z| z + 0.001 * (z |> linear(Features)); 1000] |> mean }

    /// A loop: layers in layers, draws, and one layer that all of them share.
    pub net Looped(x: [n, Features]) -> [] {
        let shared = linear(Features);
        x |> outer: [|x| x + (x |> inner: [[linear(Features), dropout(0.5), shared, tanh]; 2]); 3] |> square |> mean
    }

    /// The same one by one, as an index may tell the layers apart.
    pub net Unrolled(x: [n, Features]) -> [] {
        let shared = linear(Features);
        x |> outer: [|x| x + (x |> inner: [[linear(Features), dropout(0.5), shared, tanh]; j in 0..2]); i in 0..3]
          |> square |> mean
    }

    pub net Loss(x: [n, Features]) -> [] {
        let y = x |> deep: Deep |> mixed: Mixed;
        square(y) |> mean
    }
}

fn keys<M: Model<f32>>() -> Vec<String> {
    nn::slots::<f32, M>().into_iter().map(|slot| slot.key).filter(|key| key.ends_with("weight")).collect()
}

#[test]
fn keys_are_those_of_sequential() {
    assert_eq!(keys::<Deep>().len(), 8);
    assert_eq!(keys::<Deep>()[6..], ["blocks.3.linear1.weight", "blocks.3.linear2.weight"]);
    assert_eq!(keys::<Deep>(), keys::<Written>());
    assert_eq!(
        keys::<Mixed>(),
        [
            "net.0.weight",
            "net.out.weight",
            "net.3.linear1.weight",
            "net.4.linear1.weight",
            "sequential1.0.weight",
            "sequential1.1.weight",
            "sequential2.0.weight",
            "shared.weight",
            "twice.0.0.linear1.weight",
            "twice.0.1.weight",
            "twice.1.0.linear1.weight",
            "twice.1.1.weight",
            "linear1.weight",
        ]
    );
    assert_eq!(keys::<Shared>(), ["f.0.weight"]);
    assert_eq!(keys::<Thousand>().len(), 1000);
    assert_eq!(keys::<Thousand>()[999], "layers.999.linear1.weight");
}

#[test]
fn repeated_blocks_are_a_slice_and_count() {
    let deep: Deep = Deep::init(3);
    assert_eq!(deep.blocks.len(), 4);
    assert_ne!(to_vec(&deep.blocks[0].linear1.weight), to_vec(&deep.blocks[1].linear1.weight));
    assert_eq!(Deep::PARAMETERS, 4 * Block::PARAMETERS);
    assert_eq!(Deep::multiply_adds(2), 4 * Block::multiply_adds(2));
    let mixed: Mixed = Mixed::init(0);
    assert_eq!(to_vec(&mixed.net._0.bias).len(), 8);
    assert_eq!(to_vec(&mixed.twice[1]._0.linear1.bias).len(), 7);
}

#[test]
fn a_repeat_is_its_blocks_one_after_the_other() {
    let deep: Deep<f64> = Deep::init(7);
    let [a, b, c, d] = <[Block<f64>; 4]>::try_from(deep.blocks.to_vec()).expect("four blocks");
    let x = from_vec((0..18).map(|i| (f64::from(i) * 0.7).sin()).collect(), (3, Features)).expect("three rows");
    let whole = deep.forward(x.clone()).expect("it runs");
    let steps = [a, b, c, d].iter().fold(x, |x, block| block.forward(x).expect("it runs"));
    for (left, right) in to_vec(&whole).iter().zip(to_vec(&steps)) {
        assert!((left - right).abs() < 1e-12, "{left} and {right}");
    }
}

#[test]
fn a_loop_is_its_layers_one_by_one() {
    assert_eq!(keys::<Looped>().len(), 7);
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    assert_eq!(sorted(keys::<Looped>()), sorted(keys::<Unrolled>()));
    assert_eq!(Looped::PARAMETERS, Unrolled::PARAMETERS);
    assert_eq!(Looped::multiply_adds(4), Unrolled::multiply_adds(4));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("looped.safetensors");
    let looped: Looped<f64> = Looped::init(5);
    looped.save(&path).expect("it is written");
    let unrolled = Unrolled::<f64>::load(&path).expect("the keys are the same");
    let x = || from_vec((0..24).map(|i| (f64::from(i) * 0.7).sin()).collect(), (4, Features)).expect("four rows");
    // The draws are those of the same places.
    let mut left = Trainer::builder(looped, Sgd::new(0.1)).build().expect("well-formed");
    let mut right = Trainer::builder(unrolled, Sgd::new(0.1)).build().expect("well-formed");
    for _ in 0..3 {
        let left = left.step(&LoopedBatch { x: x() }).expect("it runs").loss();
        let right = right.step(&UnrolledBatch { x: x() }).expect("it runs").loss();
        assert!((left - right).abs() < 1e-12, "{left} and {right}");
    }
}

#[test]
fn a_checkpoint_keeps_a_repeat() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep.safetensors");
    let deep: Deep = Deep::init(5);
    deep.save(&path).expect("it is written");
    let written = Written::<f32>::load(&path).expect("the keys are the same");
    assert_eq!(to_vec(&written.blocks._2.linear2.weight), to_vec(&deep.blocks[2].linear2.weight));
}

ansatz::gradcheck!(Loss);
ansatz::gradcheck!(Shared);
