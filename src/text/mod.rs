//! Text: tokenizers, streams of tokens in memory and in files of any size, windows to train on, and what a model of a
//! text is measured against.
//!
//! ```
//! use ansatz::prelude::*;
//! use ansatz::text::{Bytes, Tokenizer, Tokens, Windows};
//!
//! net! {
//!     pub dim Byte = 256;
//!     pub net Bigram(x: [n, t] in Byte, y: [n, t] in Byte) -> [] {
//!         cross_entropy(x |> next: embedding(Byte), y)
//!     }
//! }
//!
//! let tokens = Tokens::<Byte>::encode(&Bytes, "to be, or not to be: that is the question")?;
//! let (train, held_out) = tokens.split(0.7);
//! let bigram: Bigram = Bigram::init(0);
//! let mut trainer = Trainer::builder(bigram, Adam::new(0.1)).epochs(20).batch_size(4).build()?;
//! trainer.fit(&Windows::new(train, 8usize)?.stride(1), Some(&Windows::new(held_out, 8usize)?))?;
//! # Ok::<(), ansatz::Error>(())
//! ```

mod tokenizer;
#[cfg(feature = "tokenizers")]
mod bpe;
mod tokens;
mod writer;
mod windows;
mod sample;
mod generate;
mod measure;
mod sources;

#[cfg(feature = "tokenizers")]
pub use bpe::Bpe;
pub use generate::generate;
pub use measure::{bits_per_byte, gzip_bits_per_byte};
pub use sample::Sampler;
pub use sources::{Source, rust_sources};
pub use tokenizer::{Bytes, Characters, Tokenizer};
pub use tokens::Tokens;
pub use windows::Windows;
pub use writer::TokenWriter;

#[cfg(all(test, feature = "check"))]
mod tests;
