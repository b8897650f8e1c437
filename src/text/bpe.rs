//! Byte-pair encoding, and any other tokenizer that a `tokenizer.json` describes, by Hugging Face's `tokenizers`.

use super::Tokenizer;
use super::tokenizer::beyond;
use crate::files;
use crate::{Error, Result};
use std::fmt::Display;
use std::panic::catch_unwind;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, ModelWrapper};

/// A tokenizer as `tokenizer.json` describes it; trained here, byte-pair encoding on bytes (Sennrich, Haddow, Birch 2016;
/// Radford et al. 2019).
///
/// ```
/// use ansatz::text::{Bpe, Tokenizer};
///
/// let bpe = Bpe::train(["hug hugs hugging"; 9], 260, &["<end>"])?;
/// assert_eq!(bpe.vocabulary(), 260);
/// assert_eq!(bpe.encode("hug")?.len(), 1);
/// assert_eq!(bpe.decode(&bpe.encode("hügs")?)?, "hügs");
/// assert_eq!(bpe.token("<end>"), Some(0));
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bpe {
    tokenizer: tokenizers::Tokenizer,
}

impl Bpe {
    /// Byte-pair encoding with so many tokens: the special ones first, then the 256 bytes, then the pairs that occur most
    /// often, which stay within words as GPT-2 cuts them. Texts too short for so many pairs give fewer.
    ///
    /// # Errors
    /// If the vocabulary has no room for the special tokens and the bytes.
    pub fn train<T: AsRef<str> + Send>(
        texts: impl IntoIterator<Item = T, IntoIter: Send>,
        vocabulary: usize,
        special: &[&str],
    ) -> Result<Self> {
        let least = special.len() + 256;
        if vocabulary < least {
            return Err(Error::value(format!(
                "a vocabulary of {vocabulary} has no room for {} special tokens and 256 bytes; give it {least} or more",
                special.len()
            )));
        }
        let mut tokenizer = tokenizers::Tokenizer::new(ModelWrapper::BPE(BPE::default()));
        let bytes = ByteLevel::new(false, true, true);
        tokenizer.with_pre_tokenizer(Some(bytes)).with_decoder(Some(bytes));
        let trainer = BpeTrainer::builder()
            .vocab_size(vocabulary)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(special.iter().map(|&token| AddedToken::from(token, true)).collect())
            .build();
        let mut trainer = TrainerWrapper::from(trainer);
        tokenizer.train(&mut trainer, texts.into_iter()).map_err(|e| failed("train", &e))?;
        Ok(Bpe { tokenizer })
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// If the file cannot be read or describes no tokenizer.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = files::read(path)?;
        let problem = |problem: &dyn Display| Error::Data {
            path: path.to_owned(),
            problem: format!("describes no tokenizer: {problem}"),
        };
        // Some files make the loader of `tokenizers` panic, on what it takes for granted.
        match catch_unwind(|| tokenizers::Tokenizer::from_bytes(text)) {
            Ok(Ok(tokenizer)) => Ok(Bpe { tokenizer }),
            Ok(Err(error)) => Err(problem(&error)),
            Err(_) => Err(problem(&"it contradicts itself")),
        }
    }

    /// Writes a `tokenizer.json`, and its folder where there is none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = self.tokenizer.to_string(true).map_err(|e| failed("be written down", &e))?;
        files::replace(path, |file| file.write_all(text.as_bytes()))
    }

    /// The number of a token by its name: a special one, or a piece of text as the tokenizer writes it.
    pub fn token(&self, name: &str) -> Option<u32> {
        self.tokenizer.token_to_id(name)
    }
}

impl Tokenizer for Bpe {
    /// One more than the greatest token, where numbers are left out.
    fn vocabulary(&self) -> usize {
        let added = self.tokenizer.get_added_tokens_decoder().keys().max().map_or(0, |&last| last as usize + 1);
        let model = self.tokenizer.get_model().get_vocab().values().max().map_or(0, |&last| last as usize + 1);
        added.max(model)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|e| failed("encode the text", &e))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        if let Some(&token) = tokens.iter().find(|&&token| self.tokenizer.id_to_token(token).is_none()) {
            return Err(beyond(token, self.vocabulary()));
        }
        self.tokenizer.decode(tokens, false).map_err(|e| failed("decode the tokens", &e))
    }
}

fn failed(attempt: &str, error: &tokenizers::Error) -> Error {
    Error::value(format!("the tokenizer cannot {attempt}: {error}"))
}
