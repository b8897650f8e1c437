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

use ansatz::nn::Stream;
use ansatz::prelude::*;
use ansatz::tensor::Named;
use ansatz::text::{
    Bytes, Sampler, Tokenizer, Tokens, Windows, bits_per_byte, generate, gzip_bits_per_byte, rust_sources,
};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

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
const UPDATES: u64 = 2100;
/// Most updates between two looks at the model; a short training is looked at four times.
const STAGE: u64 = 500;
/// Tokens of a completion.
const LENGTH: usize = 600;
const CHECKPOINT: &str = "out/gpt/checkpoint.safetensors";
const TOKENIZER: &str = "out/gpt/tokenizer.json";

/// What is asked for.
struct Options {
    text: Option<String>,
    updates: u64,
    resume: bool,
    generate: Option<String>,
    bpe: Option<usize>,
}

/// A text to learn from and one to be judged on, and how a sample begins.
struct Text {
    training: String,
    held_out: String,
    prompt: String,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    // Pieces have their tokenizer beside the checkpoint.
    let has_pieces = || Path::new(TOKENIZER).exists();
    if let Some(prompt) = &options.generate {
        return if has_pieces() {
            write(&train::load::<f32, PieceReading>(CHECKPOINT)?.writer, &*pieces::load()?, prompt, LENGTH)
        } else {
            write(&train::load::<f32, Reading>(CHECKPOINT)?.writer, &Bytes, prompt, LENGTH)
        };
    }
    let text = match &options.text {
        Some(path) => own(path)?,
        None => sources()?,
    };
    println!("{} bytes to learn from, {} held out", text.training.len(), text.held_out.len());
    if let Some(count) = options.bpe {
        let tokenizer = if options.resume { pieces::load()? } else { pieces::train(&text.training, count)? };
        return learn(&options, &text, &*tokenizer, PieceReading::init(1), |reading| reading.writer);
    }
    if has_pieces() && !options.resume {
        std::fs::remove_file(TOKENIZER).map_err(|e| Error::Value(format!("{TOKENIZER} cannot be removed: {e}")))?;
    }
    learn(&options, &text, &Bytes, Reading::init(1), |reading| reading.writer)
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
        .seed(1)
        .batch_size(BATCH)
        .epochs(options.updates.div_ceil(steps))
        .schedule(Schedule::cosine(options.updates / 20, options.updates))
        .clip(1.0)
        .progress()
        .build()?;
    if options.resume {
        trainer.resume(CHECKPOINT)?;
    }
    println!("{} parameters; memory {}", W::PARAMETERS, trainer.memory(&[BATCH, CONTEXT])?);
    let stage = options.updates.div_ceil(4).clamp(1, STAGE);
    while trainer.updates() < options.updates {
        let stage = (trainer.updates() / stage + 1) * stage;
        trainer.until(stage.min(options.updates)).fit(&windows, None)?;
        trainer.save(CHECKPOINT)?;
        let bits = bits(trainer.evaluate(&eighth)?.loss());
        println!("\nafter {} updates: {bits:.3} bits per byte of an eighth of what is held out", trainer.updates());
        write(&writer(trainer.model()?), tokenizer, &text.prompt, LENGTH / 2)?;
    }
    let ours = bits(trainer.evaluate(&all)?.loss());
    let gzip = gzip_bits_per_byte(text.training.as_bytes(), text.held_out.as_bytes())?;
    println!("\nheld-out bits per byte: {ours:.3} (gzip -9: {gzip:.3})");
    println!("{CHECKPOINT}");
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
    let mut show = |tokens: &[u32]| -> Result<()> {
        let text = tokenizer.decode(tokens)?;
        // The last character may not be whole yet.
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        print!("{}", whole.strip_prefix(&shown).unwrap_or_default());
        shown = whole.to_owned();
        std::io::stdout().flush().map_err(|e| Error::Value(format!("the text cannot be shown: {e}")))
    };
    show(&tokens)?;
    while tokens.len() < end {
        // A full stream begins anew with the second half of what it has read.
        let seen = tokens[tokens.len().saturating_sub(CONTEXT / 2)..].to_vec();
        let room = (CONTEXT + 1 - seen.len()).min(end - tokens.len());
        let mut failed = None;
        generate(&mut stream, &[seen], &mut sampler, room, |_, token| {
            tokens.push(token);
            failed = show(&tokens).err();
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    println!();
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

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { text: None, updates: UPDATES, resume: false, generate: None, bpe: None };
    while let Some(name) = arguments.next() {
        let mut value = |what: &str| arguments.next().ok_or_else(|| Error::Value(format!("`{name}` takes {what}")));
        let number = |text: String| {
            text.parse().map_err(|_| Error::Value(format!("`{name}` takes a whole number, and `{text}` is none")))
        };
        match &*name {
            "--text" => options.text = Some(value("the name of a file")?),
            "--updates" => options.updates = number(value("a number of updates")?)?,
            "--resume" => options.resume = true,
            "--generate" => options.generate = Some(value("the beginning of a text")?),
            "--bpe" => options.bpe = Some(number(value("a number of pieces")?)? as usize),
            _ => {
                return Err(Error::Value(format!(
                    "there is no option `{name}`, but --text, --updates, --resume, --generate and --bpe"
                )));
            }
        }
    }
    Ok(options)
}

/// The tokenizer of pieces.
#[cfg(feature = "tokenizers")]
mod pieces {
    use super::{Piece, TOKENIZER};
    use ansatz::prelude::*;
    use ansatz::text::{Bpe, Tokenizer};

    pub fn train(text: &str, count: usize) -> Result<Box<dyn Tokenizer>> {
        if count > Piece::SIZE {
            return Err(Error::Value(format!("`--bpe {count}` is more than the {} pieces of the model", Piece::SIZE)));
        }
        let bpe = Bpe::train([text], count, &[])?;
        bpe.save(TOKENIZER)?;
        Ok(Box::new(bpe))
    }

    pub fn load() -> Result<Box<dyn Tokenizer>> {
        Ok(Box::new(Bpe::load(TOKENIZER)?))
    }
}

/// What says how to get one.
#[cfg(not(feature = "tokenizers"))]
mod pieces {
    use ansatz::prelude::*;
    use ansatz::text::Tokenizer;

    const ABSENT: &str = "pieces of words need the feature `tokenizers`: \
                          cargo run --release --features tokenizers --example gpt -- --bpe 1024";

    pub fn train(_: &str, _: usize) -> Result<Box<dyn Tokenizer>> {
        Err(Error::Value(ABSENT.to_owned()))
    }

    pub fn load() -> Result<Box<dyn Tokenizer>> {
        train("", 0)
    }
}
