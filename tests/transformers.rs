//! A GPT-2 and a Llama of `transformers` (`fixtures/gpt2.py`, `fixtures/llama.py`) in the language: the same keys, logits,
//! loss and gradients.
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

    net Rotated(x: [n, t, d]; heads: usize, shared: usize) -> [n, t, d] where heads | d, shared | heads {
        let q = x |> q_proj: linear(d, bias = false) |> [n, t, (heads e)] -> [n, heads, t, e] |> rotary;
        let k = x |> k_proj: linear(shared * (d / heads), bias = false) |> [n, t, (shared e)] -> [n, shared, t, e] |> rotary;
        let v = x |> v_proj: linear(shared * (d / heads), bias = false) |> [n, t, (shared e)] -> [n, shared, t, e];
        attention(q, k, v, causal = true) |> [n, heads, t, e] -> [n, t, (heads e)] |> o_proj: linear(d, bias = false)
    }

    /// Shazeer 2020.
    net SwiGlu(x: [n, t, d]; hidden: usize) -> [n, t, d] {
        (x |> gate_proj: linear(hidden, bias = false) |> silu) * (x |> up_proj: linear(hidden, bias = false))
            |> down_proj: linear(d, bias = false)
    }

    net Layer(x: [n, t, d]; heads: usize, shared: usize, hidden: usize) -> [n, t, d] {
        let x = x + (x |> input_layernorm: rms_norm(eps = 1e-6) |> self_attn: Rotated(heads, shared));
        x + (x |> post_attention_layernorm: rms_norm(eps = 1e-6) |> mlp: SwiGlu(hidden))
    }

    net Decoder(tokens: [n, t] in Vocab; width: usize, count: usize, heads: usize, shared: usize, hidden: usize)
        -> [n, t, width]
    {
        tokens |> embed_tokens: embedding(width)
            |> layers: [Layer(heads, shared, hidden); count] |> norm: rms_norm(eps = 1e-6)
    }

    /// Touvron et al. 2023.
    pub net Llama(tokens: [n, t] in Vocab) -> [n, t, Vocab] {
        tokens |> model: Decoder(8, 2, 4, 2, 12) |> lm_head: linear(Vocab, bias = false)
    }

    pub net LlamaReading(tokens: [n, t] in Vocab, next: [n, t] in Vocab) -> [] {
        cross_entropy(llama: Llama(tokens), next)
    }

    pub net Reading(tokens: [n, t] in Vocab, next: [n, t] in Vocab) -> [] { cross_entropy(gpt: Tiny(tokens), next) }
}

/// What `transformers` gave: a line for each tensor.
struct Expected {
    folder: String,
    text: String,
    /// How far a tensor may be off, relative to its norm.
    tolerance: f64,
}

impl Expected {
    fn read(name: &str, tolerance: f64) -> Self {
        let folder = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(format!("{folder}/run.txt")).expect("the fixture");
        Expected { folder, text, tolerance }
    }

    #[track_caller]
    fn close(&self, name: &str, found: Vec<f64>) {
        let line = self.text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).expect(name);
        let expected: Vec<f64> = line.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        let off = norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
        assert!(off <= self.tolerance * (1e-3 + norm(&mut expected.iter().copied())), "{name}: {off}");
    }
}

/// Tokens, and those that follow them.
fn tokens() -> (Indices<(usize, usize), Vocab>, Indices<(usize, usize), Vocab>) {
    let tokens = Indices::new(vec![1, 5, 3, 0, 10, 7, 7, 4, 2, 9], (2, 5)).unwrap();
    (tokens, Indices::new(vec![5, 3, 0, 10, 2, 7, 4, 2, 9, 1], (2, 5)).unwrap())
}

#[test]
fn gpt2_is_that_of_transformers() {
    let expected = Expected::read("gpt2", 1e-10);
    let close = |name: &str, found: Vec<f64>| expected.close(name, found);
    let mut reading: Reading<f64> = Reading::init(1);
    let options = Load::new()
        .file_prefix("transformer")
        .model_prefix("gpt")
        .mapping(Mapping::new().transposed("h.*.c_*.weight"))
        .convert();
    let loaded = load_into(&mut reading, &expected.folder, &options).expect("the checkpoint fits");
    assert!(loaded.missing.is_empty() && loaded.extra.is_empty(), "{loaded:?}");

    let (tokens, next) = tokens();
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

#[test]
fn llama_is_that_of_transformers() {
    // Its norms and angles are computed in single precision whatever the model is in.
    let expected = Expected::read("llama", 1e-5);
    let close = |name: &str, found: Vec<f64>| expected.close(name, found);
    let mut reading: LlamaReading<f64> = LlamaReading::init(1);
    let options = Load::new().model_prefix("llama").convert();
    let loaded = load_into(&mut reading, &expected.folder, &options).expect("the checkpoint fits");
    assert!(loaded.missing.is_empty() && loaded.extra.is_empty(), "{loaded:?}");

    let (tokens, next) = tokens();
    close("logits", reading.llama.forward(tokens.clone()).unwrap().as_vec());
    let (loss, gradient) = reading.gradient(&LlamaReadingBatch::from((tokens, next))).unwrap();
    close("loss", loss.as_vec());
    let llama = gradient.llama;
    close("lm_head.weight", llama.lm_head.weight.as_vec());
    close("model.embed_tokens.weight", llama.model.embed_tokens.weight.as_vec());
    close("model.norm.weight", llama.model.norm.weight.as_vec());
    for i in 0..2 {
        let (layer, at) = (&llama.model.layers[i], format!("model.layers.{i}"));
        close(&format!("{at}.input_layernorm.weight"), layer.input_layernorm.weight.as_vec());
        close(&format!("{at}.post_attention_layernorm.weight"), layer.post_attention_layernorm.weight.as_vec());
        close(&format!("{at}.self_attn.q_proj.weight"), layer.self_attn.q_proj.weight.as_vec());
        close(&format!("{at}.self_attn.k_proj.weight"), layer.self_attn.k_proj.weight.as_vec());
        close(&format!("{at}.self_attn.v_proj.weight"), layer.self_attn.v_proj.weight.as_vec());
        close(&format!("{at}.self_attn.o_proj.weight"), layer.self_attn.o_proj.weight.as_vec());
        close(&format!("{at}.mlp.gate_proj.weight"), layer.mlp.gate_proj.weight.as_vec());
        close(&format!("{at}.mlp.up_proj.weight"), layer.mlp.up_proj.weight.as_vec());
        close(&format!("{at}.mlp.down_proj.weight"), layer.mlp.down_proj.weight.as_vec());
    }
}
