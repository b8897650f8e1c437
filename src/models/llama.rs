//! Decoders after Llama (Touvron et al. 2023): norms by the root mean square, rotary positions, gated perceptrons, heads of
//! keys and values that several heads of queries share (Ainslie et al. 2023).

use crate::net;
use crate::train::Load;

net! {
    /// The pieces of words that Llama reads.
    pub dim LlamaToken = 32000;

    /// Causal self-attention with rotary positions, in which `shared` heads of keys and values serve all heads of queries.
    net Attention(x: [n, t, d]; heads: usize, shared: usize, base: f64) -> [n, t, d] where heads | d, shared | heads {
        let q = x |> q_proj: linear(d, bias = false) |> [n, t, (heads e)] -> [n, heads, t, e] |> rotary(base);
        let k = x |> k_proj: linear(shared * (d / heads), bias = false)
            |> [n, t, (shared e)] -> [n, shared, t, e] |> rotary(base);
        let v = x |> v_proj: linear(shared * (d / heads), bias = false) |> [n, t, (shared e)] -> [n, shared, t, e];
        attention(q, k, v, causal = true) |> [n, heads, t, e] -> [n, t, (heads e)] |> o_proj: linear(d, bias = false)
    }

    /// A perceptron with a gate (Shazeer 2020).
    pub net SwiGlu(x: [n, t, d]; hidden: usize) -> [n, t, d] {
        (x |> gate_proj: linear(hidden, bias = false) |> silu) * (x |> up_proj: linear(hidden, bias = false))
            |> down_proj: linear(d, bias = false)
    }

    /// Attention and a perceptron, each behind a norm and added to what went into it.
    pub net Layer(x: [n, t, d]; heads: usize, shared: usize, hidden: usize, eps: f64, base: f64) -> [n, t, d] {
        let x = x + (x |> input_layernorm: rms_norm(eps) |> self_attn: Attention(heads, shared, base));
        x + (x |> post_attention_layernorm: rms_norm(eps) |> mlp: SwiGlu(hidden))
    }

    /// All but the logits.
    net Decoder(
        tokens: [n, t] in vocabulary;
        vocabulary: usize,
        width: usize,
        count: usize,
        heads: usize,
        shared: usize,
        hidden: usize,
        eps: f64,
        base: f64,
        recompute: bool,
    ) -> [n, t, width] {
        tokens |> embed_tokens: embedding(width)
            |> layers: [
                if recompute { checkpoint(Layer(heads, shared, hidden, eps, base)) } else { Layer(heads, shared, hidden, eps, base) };
                count
            ]
            |> norm: rms_norm(eps)
    }

    /// Logits of the next token at each place.
    pub net Llama(
        tokens: [n, t] in vocabulary;
        vocabulary: usize = LlamaToken,
        width: usize,
        layers: usize,
        heads: usize,
        shared: usize,
        hidden: usize,
        eps: f64 = 1e-5,
        base: f64 = 10000.0,
        recompute: bool = false,
    ) -> [n, t, vocabulary] {
        tokens |> model: Decoder(vocabulary, width, layers, heads, shared, hidden, eps, base, recompute)
            |> lm_head: linear(vocabulary, bias = false)
    }

    /// TinyLlama (Zhang et al. 2024): 1.1 billion parameters.
    pub net TinyLlama = Llama(width = 2048, layers = 22, heads = 32, shared = 4, hidden = 5632);
}

/// How Hugging Face's `transformers` stores `LlamaForCausalLM`: as it is declared here.
pub fn transformers() -> Load {
    Load::new().convert()
}
