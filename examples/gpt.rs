//! Trains a causal transformer on bytes of text and lets it write.
//!
//! ```text
//! cargo run --release --example gpt                          # the sources of some dependencies of this crate
//! cargo run --release --example gpt -- --text FILE           # a text of your own
//! cargo run --release --example gpt -- --resume              # goes on where an interrupted run has stopped
//! cargo run --release --example gpt -- --generate "fn main"  # completes, with what was trained before
//! ```

use ansatz::prelude::*;
use ansatz::text::{Bytes, Sampler, Tokenizer, Tokens, Windows, bits_per_byte, gzip_bits_per_byte, rust_sources};

net! {
    pub dim Byte = 256;
    pub dim Context = 256;

    /// Causal attention of several heads.
    net Attention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        attention(by_head(q), by_head(k), by_head(v), causal = true)
            |> [n, heads, t, e] -> [n, t, (heads e)]
            |> c_proj: linear(d)
    }

    /// x + attention, then x + a perceptron, each behind a norm (Radford et al. 2019).
    net Block(x: [n, t, d]; heads: usize) -> [n, t, d] {
        let x = x + (x |> ln_1: layer_norm |> attn: Attention(heads));
        x + (x |> ln_2: layer_norm |> mlp: (c_fc: linear(4 * d) |> gelu_tanh |> c_proj: linear(d)))
    }

    /// Logits of the next token at every place.
    net Gpt(tokens: [n, t] in Byte; width: usize, layers: usize, heads: usize) -> [n, t, Byte] {
        let wte = embedding(width);
        0.1 * wte(tokens) + 0.1 * (positions([t], Context) |> wpe: embedding(width))
            |> h: [Block(heads); layers] |> ln_f: layer_norm |> head: linear(Byte, bias = false)
    }

    pub net Writer = Gpt(width = 128, layers = 4, heads = 4);

    /// The mean of −ln p of the next byte.
    pub net Reading(tokens: [n, t] in Byte, next: [n, t] in Byte) -> [] {
        cross_entropy(writer: Writer(tokens), next)
    }
}

/// Small crates that every build of this one has fetched.
const CRATES: [&str; 8] =
    ["rand", "rayon-core", "proptest", "png", "plotters", "serde_json", "safetensors", "aho-corasick"];
const CONTEXT: usize = 256;
const BATCH: usize = 12;
const UPDATES: u64 = 3000;
const WEIGHTS: &str = "out/gpt.safetensors";
const CHECKPOINT: &str = "out/gpt.checkpoint.safetensors";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|i| arguments.get(i + 1));
    if let Some(prompt) = value("--generate") {
        let writer = Writer::load(WEIGHTS)?;
        println!("{prompt}{}", write(&writer, prompt, 600)?);
        return Ok(());
    }
    let (training, held_out) = match value("--text") {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
            let mut cut = text.len() * 19 / 20;
            while !text.is_char_boundary(cut) {
                cut += 1;
            }
            (text[..cut].to_owned(), text[cut..].to_owned())
        }
        None => sources()?,
    };
    println!("{} bytes to learn from, {} held out", training.len(), held_out.len());

    let windows = Windows::new(Tokens::<Byte>::encode(&Bytes, &training)?, CONTEXT)?.jitter();
    let judged = Windows::new(Tokens::<Byte>::encode(&Bytes, &held_out)?, CONTEXT)?;
    let steps = (training.len() / CONTEXT / BATCH).max(1) as u64;
    let mut trainer = Trainer::builder(Reading::init(1), AdamW { weight_decay: 0.1, ..AdamW::new(3e-3) })
        .seed(1)
        .batch_size(BATCH)
        .epochs(UPDATES.div_ceil(steps))
        .updates(UPDATES)
        .schedule(Schedule::cosine(UPDATES / 20, UPDATES))
        .clip(1.0)
        .checkpoint(CHECKPOINT)
        .progress()
        .build()?;
    if arguments.iter().any(|a| a == "--resume") {
        trainer.resume(CHECKPOINT)?;
    }
    println!("{} parameters; memory {}", Writer::PARAMETERS, trainer.memory(&[BATCH, CONTEXT])?);
    trainer.fit(&windows, None)?;

    let loss = trainer.evaluate(&judged)?.loss();
    let writer = trainer.model()?.writer;
    writer.save(WEIGHTS)?;
    let prompt = "    /// Returns ";
    println!("\n{prompt}{}\n", write(&writer, prompt, 400)?);
    let (ours, gzip) = (
        bits_per_byte(loss, held_out.len(), held_out.len()),
        gzip_bits_per_byte(training.as_bytes(), held_out.as_bytes())?,
    );
    println!("held-out bits per byte: {ours:.3} (gzip -9: {gzip:.3})");
    println!("{WEIGHTS}");
    Ok(())
}

/// The sources of some crates; every twentieth file is held out.
fn sources() -> Result<(String, String)> {
    let files = rust_sources(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"), &CRATES)?;
    let (mut training, mut held_out) = (String::new(), String::new());
    for (i, file) in files.iter().enumerate() {
        let text = if i % 20 == 10 { &mut held_out } else { &mut training };
        text.push_str(&file.text);
    }
    Ok((training, held_out))
}

/// What the model adds to a prompt.
fn write(writer: &Writer, prompt: &str, count: usize) -> Result<String> {
    let session = writer.session()?;
    let mut sampler = Sampler::new(1).temperature(0.7)?.top_p(0.95)?;
    let mut tokens = Bytes.encode(prompt)?;
    let begin = tokens.len();
    for _ in 0..count {
        // The end of the text stands in a window of one size, so that one program serves every step.
        let seen = &tokens[tokens.len().saturating_sub(CONTEXT)..];
        let mut window = seen.to_vec();
        window.resize(CONTEXT, 0);
        let logits = session.run(&WriterBatch::from(Indices::new(window, (1, CONTEXT))?))?;
        let logits = to_vec(&logits);
        let next = sampler.sample(&logits[(seen.len() - 1) * 256..][..256], &tokens)?;
        tokens.push(next);
    }
    Bytes.decode(&tokens[begin..])
}
