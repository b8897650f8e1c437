//! What `net!` costs: the milliseconds that the macro takes for a template of the size of GPT-2.
//!
//! `cargo bench -p ansatz-lang --profile dev --bench language` is the macro as a user's `cargo check` runs it.

use std::time::Instant;

/// GPT-2 (Radford et al. 2019): 12 blocks, 12 heads, width 768.
const GPT2: &str = "
    pub dim Token = 50257;
    pub dim Place = 1024;
    pub dim Width = 768;

    net Attention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        attention(by_head(q), by_head(k), by_head(v), causal = true)
            |> [n, heads, t, e] -> [n, t, (heads e)] |> c_proj: linear(d)
    }

    net Block(x: [n, t, d]; heads: usize, dropout_by = 0.1) -> [n, t, d] {
        let y = x + (x |> ln_1: layer_norm |> attn: Attention(heads) |> dropout(dropout_by));
        y + (y |> ln_2: layer_norm |> mlp: (c_fc: linear(4 * d) |> gelu_tanh |> c_proj: linear(d) |> dropout(dropout_by)))
    }

    net Gpt(tokens: [n, t] in Token; layers: usize, heads: usize) -> [n, t, Token] {
        let wte = embedding(Width);
        let wpe = embedding(Width);
        let y = wte(tokens) + wpe(positions([n, t], Place))
            |> h: [Block(heads); layers] |> ln_f: layer_norm;
        wte.project(y)
    }

    pub net Gpt2 = Gpt(layers = 12, heads = 12);

    pub net Risk(tokens: [n, t] in Token, next: [n, t] in Token) -> [] {
        cross_entropy(gpt: Gpt2(tokens), next)
    }
";

fn main() {
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let start = Instant::now();
            let expansion = ansatz_lang::expand(GPT2.parse().expect("a program is tokens"));
            let text: Vec<_> = expansion.diagnostics.iter().map(|diagnostic| diagnostic.text()).collect();
            assert!(text.is_empty(), "{text:#?}");
            assert!(!expansion.tokens.is_empty());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("GPT-2 in net!: {:.1} ms (median of {})", times[times.len() / 2], times.len());
}
