//! Files of tokens, written as they come.

use super::tokens::{fits, misplaced};
use super::{Tokenizer, Tokens};
use crate::tensor::Named;
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Writes tokens of the vocabulary `V` into a file that [`Tokens::open`] reads, without holding them: documents are
/// packed, one after the other.
#[derive(Debug)]
pub struct TokenWriter<V> {
    file: BufWriter<File>,
    path: PathBuf,
    written: usize,
    vocabulary: PhantomData<fn() -> V>,
}

impl<V: Named> TokenWriter<V> {
    /// An empty file.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = BufWriter::new(File::create(&path).map_err(|e| Error::io("create", &path, e))?);
        Ok(TokenWriter { file, path, written: 0, vocabulary: PhantomData })
    }

    /// Appends tokens.
    ///
    /// # Errors
    /// If one is beyond the vocabulary, which is then not written, nor what follows it; or the file cannot be written.
    pub fn tokens(&mut self, tokens: &[u32]) -> Result<()> {
        for &token in tokens {
            if token as usize >= V::SIZE {
                return Err(Error::value(misplaced::<V>(self.written, token)));
            }
            let bytes = &token.to_le_bytes()[..Tokens::<V>::WIDTH];
            self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, e))?;
            self.written += 1;
        }
        Ok(())
    }

    /// Appends a document and the token that ends documents, if there is one.
    ///
    /// # Errors
    /// As for [`TokenWriter::tokens`], and those of the tokenizer.
    pub fn document(&mut self, tokenizer: &dyn Tokenizer, text: &str, end: Option<u32>) -> Result<()> {
        fits::<V>(tokenizer)?;
        self.tokens(&tokenizer.encode(text)?)?;
        self.tokens(end.as_slice())
    }

    /// The tokens of the file.
    ///
    /// # Errors
    /// If the file cannot be written to its end, or opened.
    pub fn finish(mut self) -> Result<Tokens<V>> {
        self.file.flush().map_err(|e| Error::io("write", &self.path, e))?;
        drop(self.file);
        Tokens::open(self.path)
    }
}
