//! A GPT-2 of `transformers` (`fixtures/gpt2.py`) in the language: the same keys, logits, loss and gradients.
#![deny(warnings)]

use ansatz::prelude::*;
use ansatz::tensor::Indices;
use ansatz::train::{Load, Mapping, load_into};

net! {
    pub dim Vocab = 11;
    pub dim Places = 6;

    net Attention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        attention(by_head(q), by_head(k), by_head(v), causal = true)
            |> [n, heads, t, e] -> [n, t, (heads e)]
            |> c_proj: linear(d)
    }

    net Block(x: [n, t, d]; heads: usize) -> [n, t, d] {
        let x = x + (x |> ln_1: layer_norm |> attn: Attention(heads));
        x + (x |> ln_2: layer_norm |> mlp: (c_fc: linear(4 * d) |> gelu_tanh |> c_proj: linear(d)))
    }

    /// Radford et al. 2019; the output weights are those of the embedding.
    net Gpt2(tokens: [n, t] in Vocab; width: usize, layers: usize, heads: usize) -> [n, t, Vocab] {
        let wte = embedding(width);
        wte(tokens) + (positions([t], Places) |> wpe: embedding(width))
            |> h: [Block(heads); layers] |> ln_f: layer_norm |> wte.project
    }

    pub net Tiny = Gpt2(width = 4, layers = 1, heads = 2);

    pub net Reading(tokens: [n, t] in Vocab, next: [n, t] in Vocab) -> [] { cross_entropy(gpt: Tiny(tokens), next) }
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpt2");

#[test]
fn logits_loss_and_gradients_are_those_of_transformers() {
    let text = std::fs::read_to_string(format!("{FOLDER}/run.txt")).expect("the fixture");
    let close = |name: &str, found: Vec<f64>| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).expect(name);
        let expected: Vec<f64> = line.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        let off = norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
        assert!(off <= 1e-10 * (1e-3 + norm(&mut expected.iter().copied())), "{name}: {off}");
    };

    let mut reading: Reading<f64> = Reading::init(1);
    let options = Load::new()
        .file_prefix("transformer")
        .model_prefix("gpt")
        .mapping(Mapping::new().transposed("h.*.c_*.weight"))
        .convert();
    let loaded = load_into(&mut reading, FOLDER, &options).expect("the checkpoint fits");
    assert!(loaded.missing.is_empty() && loaded.extra.is_empty(), "{loaded:?}");

    let tokens = Indices::new(vec![1, 5, 3, 0, 10, 7, 7, 4, 2, 9], (2, 5)).unwrap();
    let next = Indices::new(vec![5, 3, 0, 10, 2, 7, 4, 2, 9, 1], (2, 5)).unwrap();
    close("logits", reading.gpt.forward(tokens.clone()).unwrap().as_vec());
    let (loss, gradient) = reading.gradient(&ReadingBatch::from((tokens, next))).unwrap();
    close("loss", loss.as_vec());
    let gpt = gradient.gpt;
    close("wte.weight", gpt.wte.weight.as_vec());
    close("wpe.weight", gpt.wpe.weight.as_vec());
    close("ln_f.weight", gpt.ln_f.weight.as_vec());
    close("ln_f.bias", gpt.ln_f.bias.as_vec());
    let block = &gpt.h[0];
    for (name, norm) in [("ln_1", &block.ln_1), ("ln_2", &block.ln_2)] {
        close(&format!("h.0.{name}.weight"), norm.weight.as_vec());
        close(&format!("h.0.{name}.bias"), norm.bias.as_vec());
    }
    close("h.0.attn.c_attn.weight", block.attn.c_attn.weight.as_vec());
    close("h.0.attn.c_attn.bias", block.attn.c_attn.bias.as_vec());
    close("h.0.attn.c_proj.weight", block.attn.c_proj.weight.as_vec());
    close("h.0.attn.c_proj.bias", block.attn.c_proj.bias.as_vec());
    close("h.0.mlp.c_fc.weight", block.mlp.c_fc.weight.as_vec());
    close("h.0.mlp.c_fc.bias", block.mlp.c_fc.bias.as_vec());
    close("h.0.mlp.c_proj.weight", block.mlp.c_proj.weight.as_vec());
    close("h.0.mlp.c_proj.bias", block.mlp.c_proj.bias.as_vec());
}
