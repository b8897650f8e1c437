//! From text to tokens and back: bytes and characters.

use crate::files;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// Numbers for pieces of text.
pub trait Tokenizer {
    /// The number of tokens: all are below it.
    fn vocabulary(&self) -> usize;

    /// The tokens of a text.
    ///
    /// # Errors
    /// If the text holds what the tokenizer has no token for.
    fn encode(&self, text: &str) -> Result<Vec<u32>>;

    /// The text of tokens. Where they are no whole text, as when a character is cut, it has replacement characters `�`.
    ///
    /// # Errors
    /// If a token is beyond the vocabulary.
    fn decode(&self, tokens: &[u32]) -> Result<String>;
}

/// The bytes of UTF-8, which needs no training and misses nothing: 256 tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes;

impl Tokenizer for Bytes {
    fn vocabulary(&self) -> usize {
        256
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(text.bytes().map(u32::from).collect())
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        let bytes = tokens.iter().map(|&token| u8::try_from(token).map_err(|_| beyond(token, 256)));
        Ok(String::from_utf8_lossy(&bytes.collect::<Result<Vec<u8>>>()?).into_owned())
    }
}

/// The characters of a text, numbered in the order of Unicode.
///
/// ```
/// use ansatz::text::{Characters, Tokenizer};
///
/// let characters = Characters::train(["banana"]);
/// assert_eq!(characters.encode("ban")?, [1, 0, 2]);
/// assert_eq!(characters.decode(&[2, 0, 1])?, "nab");
/// assert_eq!(
///     characters.encode("bane").unwrap_err().to_string(),
///     "the character 'e' at byte 3 is none of the 3 characters that the tokenizer was made from",
/// );
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characters {
    characters: Vec<char>,
    numbers: HashMap<char, u32>,
}

impl Characters {
    /// A tokenizer of all the characters that occur in some texts.
    pub fn train<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        texts.into_iter().for_each(|text| seen.extend(text.chars()));
        Self::new(seen.into_iter().collect())
    }

    fn new(characters: Vec<char>) -> Self {
        let numbers = characters.iter().zip(0..).map(|(&character, number)| (character, number)).collect();
        Characters { characters, numbers }
    }

    /// Writes the characters to a file, as one JSON string.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = serde_json::Value::String(self.characters.iter().collect()).to_string();
        files::replace(path, |file| file.write_all(text.as_bytes()))
    }

    /// Reads a file that [`Characters::save`] wrote.
    ///
    /// # Errors
    /// If it cannot be read, or is no JSON string of characters that occur once.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = files::read_text(path)?;
        let problem = |problem: String| Error::Data { path: path.to_owned(), problem };
        let Ok(serde_json::Value::String(text)) = serde_json::from_str(&text) else {
            return Err(problem("is no tokenizer of characters, which is one JSON string".into()));
        };
        let tokenizer = Self::new(text.chars().collect());
        if tokenizer.numbers.len() < tokenizer.characters.len() {
            let twice = text.chars().enumerate().find(|(at, c)| tokenizer.numbers[c] as usize != *at);
            return Err(problem(format!("lists the character {:?} twice", twice.map_or(' ', |(_, c)| c))));
        }
        Ok(tokenizer)
    }
}

impl Tokenizer for Characters {
    fn vocabulary(&self) -> usize {
        self.characters.len()
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let number = |(at, character): (usize, char)| {
            self.numbers.get(&character).copied().ok_or_else(|| {
                let known = self.characters.len();
                Error::value(format!(
                    "the character {character:?} at byte {at} is none of the {known} characters that the tokenizer was \
                     made from"
                ))
            })
        };
        text.char_indices().map(number).collect()
    }

    fn decode(&self, tokens: &[u32]) -> Result<String> {
        let character =
            |&token: &u32| self.characters.get(token as usize).copied().ok_or_else(|| beyond(token, self.vocabulary()));
        tokens.iter().map(character).collect()
    }
}

pub(super) fn beyond(token: u32, vocabulary: usize) -> Error {
    Error::value(format!("there is no token {token}; the tokenizer has the tokens below {vocabulary}"))
}
