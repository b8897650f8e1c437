//! What `net!` costs for a template of the size of GPT-2: the milliseconds of the macro by itself, and those of a whole
//! `cargo check` over an empty crate with the same dependencies, which are built beforehand.
//!
//! `cargo bench -p ansatz-lang --profile dev --bench language` is the macro as a user's `cargo check` runs it.

use proc_macro2::{TokenStream, TokenTree};
use std::fs;
use std::path::Path;
use std::process::Command;
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
    let mut count = 0;
    let expand = || {
        let expansion = ansatz_lang::expand(GPT2.parse().expect("a program is tokens"));
        let text: Vec<_> = expansion.diagnostics.iter().map(|diagnostic| diagnostic.text()).collect();
        assert!(text.is_empty(), "{text:#?}");
        count = tokens(expansion.tokens);
    };
    let alone = median(20, expand);
    println!("GPT-2 in net!: {alone:.0} ms in the macro, which gives {count} tokens");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("language");
    let checks = [("empty", String::new()), ("gpt2", format!("ansatz::net! {{{GPT2}}}\n"))];
    let times = checks.map(|(name, source)| check(&folder.join(name), name, &source));
    println!("| `cargo check`, ms     | empty | GPT-2 | more |");
    println!("|-----------------------|------:|------:|-----:|");
    for (i, when) in ["for the first time", "after a touch"].into_iter().enumerate() {
        let (empty, gpt2) = (times[0][i], times[1][i]);
        println!("| {when:<21} | {empty:5.0} | {gpt2:5.0} | {:4.0} |", gpt2 - empty);
    }
}

/// How long the check of a crate takes once its dependencies are built: without and with what the last one kept.
fn check(folder: &Path, name: &str, source: &str) -> [f64; 2] {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let manifest = format!(
        "[package]\nname = {name:?}\nedition = \"2024\"\n\n[dependencies]\nansatz = {{ path = {library:?} }}\n\n[workspace]\n"
    );
    let file = folder.join("src/lib.rs");
    let target = folder.with_file_name("target");
    fs::create_dir_all(folder.join("src")).expect("the folder can be made");
    fs::write(folder.join("Cargo.toml"), manifest).expect("the manifest can be written");
    fs::copy(library.join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file can be copied");
    let run = || {
        fs::write(&file, source).expect("the source can be written");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["check", "--offline", "--quiet", "--target-dir"]).arg(&target).current_dir(folder);
        assert!(cargo.status().expect("cargo runs").success(), "the crate `{name}` is right");
    };
    run();
    let kept = target.join("debug/incremental");
    let first = median(7, || {
        let _ = fs::remove_dir_all(&kept);
        run();
    });
    run();
    [first, median(7, run)]
}

/// The milliseconds that something takes.
fn median(runs: usize, mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}

fn tokens(stream: TokenStream) -> usize {
    let count = |tree| match tree {
        TokenTree::Group(group) => 2 + tokens(group.stream()),
        _ => 1,
    };
    stream.into_iter().map(count).sum()
}
