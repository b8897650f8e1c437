//! GPT-2 (Radford et al. 2019), and smaller models of its kind.

use crate::net;
use crate::train::{Load, Mapping};

net! {
    /// Byte pairs of GPT-2.
    pub dim Gpt2Token = 50257;
    /// The longest text that GPT-2 reads.
    pub dim Gpt2Place = 1024;

    /// Causal self-attention of several heads.
    net Attention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        attention(by_head(q), by_head(k), by_head(v), causal = true)
            |> [n, heads, t, e] -> [n, t, (heads e)]
            |> c_proj: linear(d)
    }

    /// x + attention, then x + a perceptron, each behind a norm.
    pub net Block(x: [n, t, d]; heads: usize, drop: f64) -> [n, t, d] {
        let rest = |z| if drop > 0.0 { z |> dropout(drop) } else { z };
        let x = x + (x |> ln_1: layer_norm |> attn: Attention(heads) |> rest);
        x + (x |> ln_2: layer_norm |> mlp: (c_fc: linear(4 * d) |> gelu_tanh |> c_proj: linear(d)) |> rest)
    }

    /// Logits of the next token at each place; the output weights are those of the embedding. With `recompute` a training
    /// keeps what goes into each block, and computes the blocks again.
    pub net Gpt2(
        tokens: [n, t] in vocabulary;
        vocabulary: usize = Gpt2Token,
        places: usize = Gpt2Place,
        width: usize,
        layers: usize,
        heads: usize,
        drop: f64 = 0.0,
        recompute: bool = false,
    ) -> [n, t, vocabulary] {
        let wte = embedding(width);
        wte(tokens) + (positions([t], places) |> wpe: embedding(width))
            |> h: [if recompute { checkpoint(Block(heads, drop)) } else { Block(heads, drop) }; layers]
            |> ln_f: layer_norm
            |> wte.project
    }

    /// 124 million parameters.
    pub net Gpt2Small = Gpt2(width = 768, layers = 12, heads = 12);
    /// 355 million parameters.
    pub net Gpt2Medium = Gpt2(width = 1024, layers = 24, heads = 16);
    /// 774 million parameters.
    pub net Gpt2Large = Gpt2(width = 1280, layers = 36, heads = 20);
    /// 1.6 billion parameters.
    pub net Gpt2Xl = Gpt2(width = 1600, layers = 48, heads = 25);

    /// The letters of Shakespeare's plays.
    pub dim Letter = 65;
    /// The longest text that the baby GPT reads.
    pub dim BabyPlace = 256;

    /// The baby GPT of nanoGPT (Karpathy 2022), which reads letters. It has the biases of GPT-2.
    pub net BabyGpt = Gpt2(vocabulary = Letter, places = BabyPlace, width = 384, layers = 6, heads = 6, drop = 0.2);
    /// How well the baby GPT knows the next letter: the mean of −ln p.
    pub net BabyReading(tokens: [n, t] in Letter, next: [n, t] in Letter) -> [] {
        cross_entropy(gpt: BabyGpt(tokens), next)
    }
}

/// How Hugging Face's `transformers` stores `GPT2LMHeadModel`: matrices as `[in, out]`.
pub fn transformers() -> Load {
    Load::new().file_prefix("transformer").mapping(Mapping::new().transposed("h.*.c_*.weight")).convert()
}
