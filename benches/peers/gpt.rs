//! A causal transformer, and what it writes with what it has read kept in memory.

use crate::numbers::{build, integers};
use crate::{measure, train};
use ansatz::nn::Stream;
use ansatz::optim::Group;
use ansatz::prelude::*;

net! {
    pub dim Word = 65;
    pub dim Context = 256;
    pub dim Embed = 384;

    /// Queries, keys and values of several heads.
    net Projected(x: [n, t, d]; heads: usize)
        -> (q: [n, heads, t, d / heads], k: [n, heads, t, d / heads], v: [n, heads, t, d / heads]) where heads | d
    {
        let (q, k, v) = x |> ln: layer_norm |> qkv: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        (q = by_head(q), k = by_head(k), v = by_head(v))
    }

    net Joined(x: [n, t, d], y: [n, heads, t, e]) -> [n, t, d] {
        x + (y |> [n, heads, t, e] -> [n, t, (heads e)] |> proj: linear(d))
    }

    net Perceptron(x: [n, t, d]) -> [n, t, d] {
        x + (x |> ln: layer_norm |> up: linear(4 * d) |> gelu_tanh |> down: linear(d))
    }

    net Block(x: [n, t, d]) -> [n, t, d] {
        let (q, k, v) = x |> Projected(6);
        x |> Joined(attention(q, k, v, causal = true)) |> Perceptron
    }

    pub net Language(x: [n, t] in Word, y: [n, t] in Word) -> [] {
        let wte = embedding(Embed);
        let h = wte(x) + (positions([t], Context) |> wpe: embedding(Embed));
        cross_entropy(h |> [Block; 6] |> ln: layer_norm |> wte.project, y)
    }

    /// The logits after the tokens x.
    pub net Reader(x: [n, t] in Word) -> [n, t, Word] {
        let wte = embedding(Embed);
        let h = wte(x) + (positions([t], Context) |> wpe: embedding(Embed));
        h |> [Block; 6] |> ln: layer_norm |> wte.project
    }
}

const WORDS: usize = 65;

/// One step on texts of 256 tokens.
pub fn gpt() -> ansatz::Result<()> {
    let texts = integers(1000, 8 * 257, WORDS);
    let part = |from: usize| {
        let rows = texts.chunks(257).flat_map(|text| &text[from..from + 256]).copied();
        Indices::new(rows.collect::<Vec<_>>(), (8, 256))
    };
    let batch = LanguageBatch { x: part(0)?, y: part(1)? };
    let everything = Group::matching("*").weight_decay(0.01);
    train("gpt", Trainer::builder(build::<Language>()?, AdamW::new(1e-3)).group(everything).build()?, batch)
}

/// The most likely 128 tokens, one after the other; the largest logit of the last.
pub fn infer_gpt() -> ansatz::Result<()> {
    let mut stream = Stream::new(&build::<Reader>()?, 256)?;
    let mut read = |tokens: &[u32], at: usize| -> ansatz::Result<(u32, f32)> {
        if at == 0 {
            stream.reset();
        }
        let t = tokens.len();
        let x = Indices::new(tokens.to_vec(), (1, t))?;
        let logits = to_vec(&stream.run(&ReaderBatch::from(x))?);
        let last = (0..).zip(logits[(t - 1) * WORDS..].iter().copied());
        Ok(last.max_by(|a, b| a.1.total_cmp(&b.1)).expect("65 logits"))
    };
    let prompt = integers(1000, 16, WORDS);
    measure("infer_gpt", || {
        let mut last = read(&prompt, 0)?;
        for at in 16..143 {
            last = read(&[last.0], at)?;
        }
        Ok(f64::from(last.1))
    })
}
