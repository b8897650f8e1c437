//! Model files of others: in shards, in half precision, under other names and in other layouts.
#![deny(warnings)]

use ansatz::Error;
use ansatz::prelude::*;
use ansatz::train::{Load, Mapping, load, load_into, save};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::Path;

net! {
    pub dim Vocab = 11;
    pub dim Time = 6;
    pub dim Embed = 4;

    pub net Attention(x: [n, t, Embed]) -> [n, t, Embed] {
        (x |> q: linear(Embed)) * (x |> k: linear(Embed)) + (x |> v: linear(Embed)) |> proj: linear(Embed)
    }
    pub net Block(x: [n, t, Embed]) -> [n, t, Embed] {
        let h = x + (x |> norm1: layer_norm |> attn: Attention);
        h + (h |> norm2: layer_norm |> up: linear(4 * Embed) |> gelu_tanh |> down: linear(Embed))
    }
    /// The parts of a GPT-2, under names of our own.
    pub net Gpt(tokens: [n, t] in Vocab) -> [n, t, Vocab] {
        let token = embedding(Embed);
        token(tokens) + (positions([t], Time) |> place: embedding(Embed))
            |> blocks: [Block; 1] |> norm: layer_norm |> token.project
    }

    pub net Pair(x: [n, 2]) -> [n, 3] { x |> a: linear(3) |> b: linear(3) }
}

/// From the names and layouts of `transformers`.
fn gpt2() -> Mapping {
    Mapping::new()
        .rename("token.weight", "wte.weight")
        .rename("place.weight", "wpe.weight")
        .rename("norm.*", "ln_f.*")
        .rename("blocks.*.norm1.*", "h.*.ln_1.*")
        .rename("blocks.*.norm2.*", "h.*.ln_2.*")
        .split(["blocks.*.attn.q.*", "blocks.*.attn.k.*", "blocks.*.attn.v.*"], "h.*.attn.c_attn.*")
        .rename("blocks.*.attn.proj.*", "h.*.attn.c_proj.*")
        .rename("blocks.*.up.*", "h.*.mlp.c_fc.*")
        .rename("blocks.*.down.*", "h.*.mlp.c_proj.*")
        .transposed("h.*.c_*.weight")
}

const GPT2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/gpt2");

#[test]
fn a_gpt2_of_transformers_is_read_from_its_shards() {
    let options = Load::new().file_prefix("transformer").mapping(gpt2()).convert();
    let expected = std::fs::read_to_string(format!("{GPT2}/expected.txt")).expect("the fixture");
    let expected = |name: &str| -> Vec<f32> {
        let line = expected.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    };
    for path in [GPT2.to_owned(), format!("{GPT2}/model.safetensors.index.json")] {
        let mut model: Gpt = Gpt::init(1);
        let loaded = load_into(&mut model, path, &options).expect("the checkpoint fits");
        assert!(loaded.missing.is_empty() && loaded.extra.is_empty(), "{loaded:?}");
        assert_eq!(to_vec(&model.blocks[0].attn.k.weight), expected("k.weight "));
        assert_eq!(to_vec(&model.blocks[0].attn.v.bias), expected("v.bias "));
        assert_eq!(to_vec(&model.token.weight), expected("wte "));
    }
}

#[test]
fn every_mismatch_of_a_foreign_file_is_listed() {
    let mut model: Gpt = Gpt::init(1);
    let before = to_vec(&model.blocks[0].up.weight);
    let mapping = gpt2()
        .transposed("wpe.weight")
        .rename("norm.bias", "ln_f.offset")
        .split(["blocks.*.attn.q.*", "blocks.*.attn.k.*"], "h.*.attn.c_attn.*")
        .rename("blocks.*.attn.v.*", "h.*.mlp.c_fc.*");
    let options = Load::new().file_prefix("transformer").mapping(mapping).convert();
    let Err(Error::Checkpoint { problems, .. }) = load_into(&mut model, GPT2, &options) else {
        panic!("it does not fit")
    };
    let qk = "together are [8, 4] in the model";
    let (q, k) = ("`blocks.0.attn.q.weight`", "`blocks.0.attn.k.weight`");
    let attention =
        format!("`transformer.h.0.attn.c_attn.weight` is [4, 12], transposed, in the file, and {q} and {k} {qk}");
    let biases = "`transformer.h.0.attn.c_attn.bias` is [12] in the file, and `blocks.0.attn.q.bias` and \
                  `blocks.0.attn.k.bias` together are [8] in the model";
    let value = "`transformer.h.0.mlp.c_fc.weight` is [4, 16], transposed, in the file, and `blocks.0.attn.v.weight` is [4, 4] in \
                 the model";
    for expected in [
        "`transformer.wpe.weight` is [6, 4], transposed, in the file, and `place.weight` is [6, 4] in the model",
        &attention,
        biases,
        value,
        "`transformer.ln_f.offset` of shape [4] is missing",
        "`transformer.ln_f.bias` is in the file, but not in the model",
    ] {
        assert!(problems.iter().any(|problem| problem == expected), "{expected}\n{problems:#?}");
    }
    assert_eq!(to_vec(&model.blocks[0].up.weight), before);
}

fn write(path: &Path, tensors: &[(&str, &[usize], Dtype, Vec<u8>)]) {
    let views = tensors
        .iter()
        .map(|(key, shape, dtype, bytes)| (*key, TensorView::new(*dtype, shape.to_vec(), bytes).expect("well-formed")));
    std::fs::write(path, safetensors::serialize(views, None).expect("well-formed")).expect("a temporary file");
}

fn singles(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn tensors_are_joined_and_half_precision_is_widened() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pair.safetensors");
    let halves: Vec<u8> = [1.5f32, -0.25, 65504.0].iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect();
    let brains: Vec<u8> = [3.0f32; 9].iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
    write(
        &path,
        &[
            ("first.w", &[1, 2], Dtype::F32, singles(&[1.0, 2.0])),
            ("rest.w", &[2, 2], Dtype::F32, singles(&[3.0, 4.0, 5.0, 6.0])),
            ("a.bias", &[3], Dtype::F16, halves),
            ("b.weight", &[3, 3], Dtype::BF16, brains),
            ("b.bias", &[3], Dtype::F64, (0..3).flat_map(|i| f64::from(i).to_le_bytes()).collect()),
        ],
    );
    let mapping = Mapping::new().join("a.weight", ["first.w", "rest.w"]);
    let options = Load::new().mapping(mapping).convert();
    let mut pair: Pair = Pair::init(0);
    load_into(&mut pair, &path, &options).expect("the file fits");
    assert_eq!(to_vec(&pair.a.weight), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(to_vec(&pair.a.bias), [1.5, -0.25, 65504.0]);
    assert_eq!((to_vec(&pair.b.weight), to_vec(&pair.b.bias)), (vec![3.0; 9], vec![0.0, 1.0, 2.0]));
    let mut double: Pair<f64> = Pair::init(0);
    load_into(&mut double, &path, &options).expect("the file fits");
    assert_eq!(to_vec(&double.a.bias), [1.5, -0.25, 65504.0]);
}

#[test]
fn what_an_index_promises_is_looked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, shard) = (folder.path().join("model.safetensors.index.json"), folder.path().join("one.safetensors"));
    let pair: Pair = Pair::init(3);
    save(&pair, &shard).expect("it can be written");
    let promise = |map: &str| std::fs::write(&index, format!("{{\"weight_map\": {map}}}")).expect("a temporary file");
    let keys =
        ["a.weight", "a.bias", "b.weight", "b.bias"].map(|key| format!("\"{key}\": \"one.safetensors\"")).join(",");
    promise(&format!("{{{keys}}}"));
    let read: Pair = load(folder.path()).expect("it fits");
    assert_eq!(to_vec(&read.a.weight), to_vec(&pair.a.weight));

    let message = || load::<f32, Pair>(&index).expect_err("it does not fit").to_string();
    promise(&format!("{{{keys}, \"c.bias\": \"one.safetensors\", \"d\": \"one.safetensors\"}}"));
    let absent = message();
    assert!(absent.contains("\n  - `c.bias` should be in one.safetensors and is not\n  - `d` should"), "{absent}");
    promise("{\"a.weight\": \"two.safetensors\"}");
    assert!(message().starts_with("cannot read"), "{}", message());
    promise("7");
    assert!(message().ends_with("has no `weight_map` from tensors to files, as an index of a checkpoint has"));
}
