//! Streams of tokens, in memory or in files larger than memory.

use super::Tokenizer;
use crate::files;
use crate::tensor::Named;
use crate::{Error, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A stream of tokens of the vocabulary `V`, or a part of one; parts share the memory or the file.
pub struct Tokens<V> {
    store: Arc<Store>,
    range: Range<usize>,
    vocabulary: PhantomData<fn() -> V>,
}

enum Store {
    Memory(Vec<u32>),
    File { file: Mutex<File>, path: PathBuf, width: usize },
}

impl<V: Named> Tokens<V> {
    /// How many bytes a token has in a file: one for up to 256 tokens, two for up to 65 536, four for more. A text is
    /// the file of its [`Bytes`](super::Bytes).
    pub const WIDTH: usize = if V::SIZE <= 1 << 8 {
        1
    } else if V::SIZE <= 1 << 16 {
        2
    } else {
        4
    };

    /// Tokens in memory.
    ///
    /// # Errors
    /// If one is beyond the vocabulary; the message names its place.
    pub fn new(tokens: Vec<u32>) -> Result<Self> {
        if let Some(at) = tokens.iter().position(|&token| token as usize >= V::SIZE) {
            return Err(Error::value(misplaced::<V>(at, tokens[at])));
        }
        let range = 0..tokens.len();
        Ok(Tokens { store: Arc::new(Store::Memory(tokens)), range, vocabulary: PhantomData })
    }

    /// The tokens of a text, in memory.
    ///
    /// # Errors
    /// If the tokenizer has more tokens than `V`, or none for a part of the text.
    pub fn encode(tokenizer: &dyn Tokenizer, text: &str) -> Result<Self> {
        fits::<V>(tokenizer)?;
        Self::new(tokenizer.encode(text)?)
    }

    /// The tokens of a file: whole numbers of [`WIDTH`](Self::WIDTH) bytes, the lowest byte first, as
    /// [`TokenWriter`](super::TokenWriter) writes them and `nanoGPT` does. What is used is read when it is used, so the file
    /// may be larger than memory.
    ///
    /// # Errors
    /// If the file cannot be opened, does not end with a whole token, or begins as a text or as tokens of another width do;
    /// [`open_with_width`](Self::open_with_width) reads those.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let tokens = Self::open_with_width(&path, Self::WIDTH)?;
        let begin = tokens.store.bytes(0, Self::WIDTH * tokens.len().min(4096 / Self::WIDTH))?;
        match mistaken(&begin, Self::WIDTH) {
            None => Ok(tokens),
            Some(problem) => Err(Error::Data { path: path.as_ref().to_owned(), problem }),
        }
    }

    /// The tokens of a file, as [`open`](Self::open), with so many bytes for each: 1, 2 or 4, whatever the vocabulary.
    ///
    /// # Errors
    /// If the file cannot be opened, or does not end with a whole token.
    pub fn open_with_width(path: impl AsRef<Path>, width: usize) -> Result<Self> {
        let path = path.as_ref();
        if ![1, 2, 4].contains(&width) {
            return Err(Error::value(format!("tokens have 1, 2 or 4 bytes each in a file, not {width}")));
        }
        let file = files::open(path)?;
        let bytes = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
        let Some(tokens) = usize::try_from(bytes).ok().filter(|bytes| bytes % width == 0).map(|bytes| bytes / width)
        else {
            let problem =
                format!("has {bytes} bytes, which are no whole tokens of `{}` with {width} bytes each", V::NAME);
            return Err(Error::Data { path: path.to_owned(), problem });
        };
        let store = Arc::new(Store::File { file: Mutex::new(file), path: path.to_owned(), width });
        Ok(Tokens { store, range: 0..tokens, vocabulary: PhantomData })
    }

    /// Adds the tokens of a range to a list.
    ///
    /// # Errors
    /// If the range ends behind the stream, or the file holds a token beyond the vocabulary.
    pub fn read(&self, range: Range<usize>, tokens: &mut Vec<u32>) -> Result<()> {
        if range.start > range.end || range.end > self.len() {
            let (Range { start, end }, len) = (range, self.len());
            return Err(Error::value(format!("there are no tokens {start}..{end} in a stream of {len}")));
        }
        let (first, last) = (self.range.start + range.start, self.range.start + range.end);
        match &*self.store {
            Store::Memory(all) => tokens.extend_from_slice(&all[first..last]),
            Store::File { path, width, .. } => {
                let (before, width) = (tokens.len(), *width);
                let bytes = self.store.bytes(first * width, (last - first) * width)?;
                tokens.extend(bytes.chunks_exact(width).map(|bytes| {
                    let mut word = [0; 4];
                    word[..bytes.len()].copy_from_slice(bytes);
                    u32::from_le_bytes(word)
                }));
                if let Some(at) = tokens[before..].iter().position(|&token| token as usize >= V::SIZE) {
                    let problem = misplaced::<V>(first + at, tokens[before + at]);
                    return Err(Error::Data { path: path.clone(), problem });
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// So many bytes of a file from a place on.
    fn bytes(&self, first: usize, len: usize) -> Result<Vec<u8>> {
        let Store::File { file, path, .. } = self else { return Ok(Vec::new()) };
        let mut bytes = vec![0; len];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(first as u64)).and_then(|_| file.read_exact(&mut bytes));
        read.map(|()| bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::Data { path: path.clone(), problem: "became shorter while it was read".into() }
            }
            _ => Error::io("read", path, e),
        })
    }
}

impl<V> Tokens<V> {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// A part of the stream.
    ///
    /// # Errors
    /// If the range ends behind the stream.
    pub fn slice(&self, range: Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > self.len() {
            let (Range { start, end }, len) = (range, self.len());
            return Err(Error::value(format!("there are no tokens {start}..{end} in a stream of {len}")));
        }
        Ok(self.part(range))
    }

    /// The first share of the stream, to train on, and the rest, which is held out: neighbouring windows know each other,
    /// so a text is split in one place and not at random.
    pub fn split(&self, first: f64) -> (Self, Self) {
        let at = (self.len() as f64 * first.clamp(0.0, 1.0)).round() as usize;
        (self.part(0..at), self.part(at..self.len()))
    }

    fn part(&self, range: Range<usize>) -> Self {
        let start = self.range.start;
        Tokens {
            store: Arc::clone(&self.store),
            range: start + range.start..start + range.end,
            vocabulary: PhantomData,
        }
    }
}

impl<V> Clone for Tokens<V> {
    fn clone(&self) -> Self {
        self.part(0..self.len())
    }
}

impl<V> fmt::Debug for Tokens<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &*self.store {
            Store::Memory(_) => "memory".to_owned(),
            Store::File { path, .. } => path.display().to_string(),
        };
        write!(f, "Tokens({} in {place})", self.len())
    }
}

/// What a file looks like whose tokens are said to have `width` bytes each, if it looks like something else.
fn mistaken(begin: &[u8], width: usize) -> Option<String> {
    // Too little tells nothing.
    if begin.len() < 16 {
        return None;
    }
    if width == 1 && begin.chunks_exact(2).all(|pair| pair[1] == 0) && begin.iter().any(|byte| *byte != 0) {
        return Some(
            "looks like tokens of two bytes each: every second byte at its beginning is 0. `open_with_width(path, 2)` reads \
             them so, and `open_with_width(path, 1)` as they are"
                .to_owned(),
        );
    }
    let printed = |text: &str| text.chars().all(|c| !c.is_control() || c.is_whitespace());
    let text = match std::str::from_utf8(begin) {
        Ok(text) => printed(text),
        // The last character may be cut.
        Err(error) => {
            error.valid_up_to() + 4 > begin.len()
                && std::str::from_utf8(&begin[..error.valid_up_to()]).is_ok_and(printed)
        }
    };
    (width > 1 && text).then(|| {
        format!(
            "looks like a text, and not like tokens of {width} bytes each; `Tokens::encode` makes tokens of a text, and \
             `open_with_width(path, {width})` reads the file as it is"
        )
    })
}

/// A tokenizer for the vocabulary `V`.
pub(super) fn fits<V: Named>(tokenizer: &dyn Tokenizer) -> Result<()> {
    match tokenizer.vocabulary() {
        tokens if tokens <= V::SIZE => Ok(()),
        tokens => Err(Error::value(format!(
            "the tokenizer has {tokens} tokens, but `{}` has size {}; declare it larger, or train with fewer tokens",
            V::NAME,
            V::SIZE
        ))),
    }
}

pub(super) fn misplaced<V: Named>(at: usize, token: u32) -> String {
    format!("the token at position {at} is {token}, which is no index into `{}` of size {}", V::NAME, V::SIZE)
}
