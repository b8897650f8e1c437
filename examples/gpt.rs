//! Trains a causal transformer on text and lets it write.
//!
//! ```text
//! cargo run --release --example gpt                                      # sources of some dependencies of this crate
//! cargo run --release --example gpt -- --text FILE                       # a text of your own
//! cargo run --release --example gpt -- --updates 400                     # a shorter training
//! cargo run --release --example gpt -- --resume                          # goes on where a run was interrupted
//! cargo run --release --example gpt -- --generate "fn main"              # completes, with the last checkpoint
//! cargo run --release --features tokenizers --example gpt -- --bpe 1024  # pieces of words instead of bytes
//! ```

mod shared;

use ansatz::nn::Stream;
use ansatz::prelude::*;
use ansatz::tensor::Named;
use ansatz::text::{
    Bytes, Sampler, Tokenizer, Tokens, Windows, bits_per_byte, generate, gzip_bits_per_byte, rust_sources,
};
use shared::{Options, Program, say, show};

net! {
    pub dim Byte = 256;
    /// Pieces of words, and the bytes.
    pub dim Piece = 2048;

    /// Causal attention of several heads, with rotary positions (Su et al. 2021).
    net Attention(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        attention(by_head(q) |> rotary, by_head(k) |> rotary, by_head(v), causal = true)
            |> [n, heads, t, e] -> [n, t, (heads e)]
            |> c_proj: linear(d)
    }

    /// x + attention, then x + a perceptron, each behind a norm (Radford et al. 2019).
    net Block(x: [n, t, d]; heads: usize) -> [n, t, d] {
        let x = x + (x |> ln_1: layer_norm |> attn: Attention(heads));
        x + (x |> ln_2: layer_norm |> mlp: (c_fc: linear(4 * d) |> gelu_tanh |> c_proj: linear(d)))
    }

    /// Logits of the next token at every place.
    net Gpt(tokens: [n, t] in token; token: usize, width: usize, layers: usize, heads: usize) -> [n, t, token] {
        0.1 * (tokens |> wte: embedding(width))
            |> h: [Block(heads); layers] |> ln_f: layer_norm |> head: linear(token, bias = false)
    }

    pub net Writer = Gpt(token = Byte, width = 128, layers = 4, heads = 4);
    /// The mean of −ln p of the next byte.
    pub net Reading(tokens: [n, t] in Byte, next: [n, t] in Byte) -> [] {
        cross_entropy(writer: Writer(tokens), next)
    }

    pub net PieceWriter = Gpt(token = Piece, width = 128, layers = 4, heads = 4);
    /// The mean of −ln p of the next piece.
    pub net PieceReading(tokens: [n, t] in Piece, next: [n, t] in Piece) -> [] {
        cross_entropy(writer: PieceWriter(tokens), next)
    }
}

/// Small crates that every build of this one has fetched.
const CRATES: [&str; 8] =
    ["rand", "rayon-core", "proptest", "png", "plotters", "serde_json", "safetensors", "aho-corasick"];
const CONTEXT: usize = 256;
const BATCH: usize = 6;
/// Most updates between two looks at the model; a short training is looked at four times.
const STAGE: u64 = 500;
/// Tokens of a completion.
const LENGTH: usize = 600;
const CHECKPOINT: &str = "gpt/checkpoint.safetensors";
const TOKENIZER: &str = "gpt/tokenizer.json";

const PROGRAM: Program = Program {
    name: "gpt",
    about: "Trains a causal transformer on text and lets it write.",
    length: (2100, "updates"),
    options: &[
        ("text", "FILE", "learns from this text instead of sources of some dependencies"),
        ("generate", "TEXT", "completes it with the last checkpoint"),
        ("bpe", "N", "so many pieces of words instead of bytes (with the feature `tokenizers`)"),
    ],
    words: "",
};

/// A text to learn from and one to be judged on, and how a sample begins.
struct Text {
    training: String,
    held_out: String,
    prompt: String,
}

fn main() -> Result<()> {
    let options = PROGRAM.options()?;
    // Pieces have their tokenizer beside the checkpoint.
    let (checkpoint, tokenizer) = (options.path(CHECKPOINT), options.path(TOKENIZER));
    if let Some(prompt) = options.value("generate") {
        return if tokenizer.exists() {
            write(&train::load::<f32, PieceReading>(&checkpoint)?.writer, &*pieces::load(&tokenizer)?, prompt, LENGTH)
        } else {
            write(&train::load::<f32, Reading>(&checkpoint)?.writer, &Bytes, prompt, LENGTH)
        };
    }
    let text = match options.value("text") {
        Some(path) => own(path)?,
        None => sources()?,
    };
    say!("{} bytes to learn from, {} held out", text.training.len(), text.held_out.len());
    if let Some(count) = options.value("bpe") {
        let count = count.parse().map_err(|_| Error::Value(format!("`--bpe {count}` is no number of pieces")))?;
        let pieces = match options.resume {
            true => pieces::load(&tokenizer)?,
            false => pieces::train(&text.training, count, &tokenizer)?,
        };
        return learn(&options, &text, &*pieces, PieceReading::init(options.seed), |reading| reading.writer);
    }
    if tokenizer.exists() && !options.resume {
        let told = |e| Error::Value(format!("{} cannot be removed: {e}", tokenizer.display()));
        std::fs::remove_file(&tokenizer).map_err(told)?;
    }
    learn(&options, &text, &Bytes, Reading::init(options.seed), |reading| reading.writer)
}

/// Trains on a text in stages, and shows after each how well the model reads what is held out, and what it writes.
fn learn<V, R, W>(
    options: &Options,
    text: &Text,
    tokenizer: &dyn Tokenizer,
    start: R,
    writer: impl Fn(R) -> W,
) -> Result<()>
where
    V: Named,
    R: Trainable<f32, Batch: From<(Indices<(usize, usize), V>, Indices<(usize, usize), V>)>>,
    W: Net<f32, Batch: From<Indices<(usize, usize), V>>, Output = Tensor<(usize, usize, V), f32, Cpu>>,
{
    let tokens = Tokens::<V>::encode(tokenizer, &text.training)?;
    let held_out = Tokens::<V>::encode(tokenizer, &text.held_out)?;
    let bits = |loss| bits_per_byte(loss, held_out.len(), text.held_out.len());
    let steps = (tokens.len() / CONTEXT / BATCH).max(1) as u64;
    let windows = Windows::new(tokens, CONTEXT)?.jitter();
    let all = Windows::new(held_out.clone(), CONTEXT)?;
    let eighth = all.clone().stride(8 * CONTEXT);

    let mut trainer = Trainer::builder(start, AdamW { weight_decay: 0.1, ..AdamW::new(3e-3) })
        .seed(options.seed)
        .batch_size(BATCH)
        .epochs(options.length.div_ceil(steps))
        .schedule(Schedule::cosine(options.length / 20, options.length))
        .clip(1.0)
        .stop(shared::told_to_stop())
        .progress()
        .build()?;
    let checkpoint = options.path(CHECKPOINT);
    if options.resume {
        trainer.resume(&checkpoint)?;
    }
    say!("{} parameters; memory {}", W::PARAMETERS, trainer.memory(&[BATCH, CONTEXT])?);
    let stage = options.length.div_ceil(4).clamp(1, STAGE);
    while trainer.updates() < options.length {
        let stage = (trainer.updates() / stage + 1) * stage;
        let history = trainer.until(stage.min(options.length)).fit(&windows, None)?;
        trainer.save(&checkpoint)?;
        if history.interrupted {
            options.stopped(&checkpoint.display().to_string());
        }
        let bits = bits(trainer.evaluate(&eighth)?.loss());
        say!("\nafter {} updates: {bits:.3} bits per byte of an eighth of what is held out", trainer.updates());
        write(&writer(trainer.model()?), tokenizer, &text.prompt, LENGTH / 2)?;
    }
    let ours = bits(trainer.evaluate(&all)?.loss());
    let gzip = gzip_bits_per_byte(text.training.as_bytes(), text.held_out.as_bytes())?;
    say!("\nheld-out bits per byte: {ours:.3} (gzip -9: {gzip:.3})");
    say!("{}", checkpoint.display());
    Ok(())
}

/// Writes a prompt, and so many tokens that the model goes on with as they come.
fn write<V, W>(writer: &W, tokenizer: &dyn Tokenizer, prompt: &str, count: usize) -> Result<()>
where
    V: Named,
    W: Net<f32, Batch: From<Indices<(usize, usize), V>>, Output = Tensor<(usize, usize, V), f32, Cpu>>,
{
    let mut sampler = Sampler::new(1).temperature(0.7)?.top_p(0.95)?;
    let mut stream = Stream::new(writer, CONTEXT)?;
    let mut tokens = tokenizer.encode(prompt)?;
    let end = tokens.len() + count;
    let mut shown = String::new();
    let mut show_all = |tokens: &[u32]| -> Result<()> {
        let text = tokenizer.decode(tokens)?;
        // The last character may not be whole yet.
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        show(format_args!("{}", whole.strip_prefix(&shown).unwrap_or_default()));
        shown = whole.to_owned();
        Ok(())
    };
    show_all(&tokens)?;
    while tokens.len() < end {
        // A full stream begins anew with the second half of what it has read.
        let seen = tokens[tokens.len().saturating_sub(CONTEXT / 2)..].to_vec();
        let room = (CONTEXT + 1 - seen.len()).min(end - tokens.len());
        let mut failed = None;
        generate(&mut stream, &[seen], &mut sampler, room, |_, token| {
            tokens.push(token);
            failed = show_all(&tokens).err();
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    say!("");
    Ok(())
}

/// The sources of some crates; every twentieth file is held out.
fn sources() -> Result<Text> {
    let files = rust_sources(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"), &CRATES)?;
    let (mut training, mut held_out) = (String::new(), String::new());
    for (i, file) in files.iter().enumerate() {
        let text = if i % 20 == 10 { &mut held_out } else { &mut training };
        text.push_str(&file.text);
    }
    Ok(Text { training, held_out, prompt: "    /// Returns ".to_owned() })
}

/// The text of a file; its last twentieth is held out, and samples begin as that does.
fn own(path: &str) -> Result<Text> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::Value(format!("{path} cannot be read: {e}")))?;
    let (training, held_out) = text.split_at(text.ceil_char_boundary(text.len() * 19 / 20));
    let prompt = held_out.chars().take(20).collect();
    Ok(Text { training: training.to_owned(), held_out: held_out.to_owned(), prompt })
}

/// The tokenizer of pieces.
#[cfg(feature = "tokenizers")]
mod pieces {
    use super::Piece;
    use ansatz::prelude::*;
    use ansatz::text::{Bpe, Tokenizer};
    use std::path::Path;

    pub fn train(text: &str, count: usize, file: &Path) -> Result<Box<dyn Tokenizer>> {
        if count > Piece::SIZE {
            return Err(Error::Value(format!("`--bpe {count}` is more than the {} pieces of the model", Piece::SIZE)));
        }
        let bpe = Bpe::train([text], count, &[])?;
        bpe.save(file)?;
        Ok(Box::new(bpe))
    }

    pub fn load(file: &Path) -> Result<Box<dyn Tokenizer>> {
        Ok(Box::new(Bpe::load(file)?))
    }
}

/// What says how to get one.
#[cfg(not(feature = "tokenizers"))]
mod pieces {
    use ansatz::prelude::*;
    use ansatz::text::Tokenizer;
    use std::path::Path;

    const ABSENT: &str = "pieces of words need the feature `tokenizers`: \
                          cargo run --release --features tokenizers --example gpt -- --bpe 1024";

    pub fn train(_: &str, _: usize, _: &Path) -> Result<Box<dyn Tokenizer>> {
        Err(Error::Value(ABSENT.to_owned()))
    }

    pub fn load(file: &Path) -> Result<Box<dyn Tokenizer>> {
        train("", 0, file)
    }
}
