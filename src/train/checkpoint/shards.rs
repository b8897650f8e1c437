//! A checkpoint of one file or of several, as one collection of tensors.

use super::file::{Stored, TensorFile};
use crate::files;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a folder's index of files is called.
const INDEX: &str = "model.safetensors.index.json";
/// What a folder's only file is called.
const SINGLE: &str = "model.safetensors";

/// The tensors of a checkpoint.
#[derive(Debug)]
pub struct Shards {
    path: PathBuf,
    files: Vec<TensorFile>,
    /// The file of each tensor that an index lists; empty for a checkpoint of one file.
    places: BTreeMap<String, usize>,
}

impl Shards {
    /// Opens a `.safetensors` file, an index `*.index.json` with the files that it names, or a folder with either.
    ///
    /// # Errors
    /// If a file cannot be read or is no whole safetensors file, or an index does not say where its tensors are.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let index = path.join(INDEX);
            return Self::open(&if index.is_file() { index } else { path.join(SINGLE) });
        }
        if path.extension().is_none_or(|extension| extension != "json") {
            let files = vec![TensorFile::open(path)?];
            return Ok(Shards { path: path.to_owned(), files, places: BTreeMap::new() });
        }
        let text = files::read_text(path)?;
        let index: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let map = index.as_ref().and_then(|index| index.get("weight_map")?.as_object());
        let named = map.and_then(|map| map.iter().map(|(key, file)| Some((key, file.as_str()?))).collect());
        let Some(named): Option<Vec<(&String, &str)>> = named else {
            let problem = "has no `weight_map` from tensors to files, as an index of a checkpoint has";
            return Err(Error::Data { path: path.to_owned(), problem: problem.into() });
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut names, mut shards) = (Vec::new(), Vec::new());
        let mut places = BTreeMap::new();
        for (key, name) in named {
            let known = names.iter().position(|known| *known == name);
            let place = match known {
                Some(place) => place,
                None => {
                    let file = files::inside(folder, name).ok_or_else(|| Error::Data {
                        path: path.to_owned(),
                        problem: format!("names {name:?}, and an index may name files of its own folder only"),
                    })?;
                    shards.push(TensorFile::open(&file)?);
                    names.push(name);
                    names.len() - 1
                }
            };
            places.insert(key.clone(), place);
        }
        let shards = Shards { path: path.to_owned(), files: shards, places };
        let absent = shards.places.iter().filter(|(key, place)| shards.files[**place].get(key).is_none());
        let problems: Vec<String> =
            absent.map(|(key, &place)| format!("`{key}` should be in {} and is not", names[place])).collect();
        if problems.is_empty() { Ok(shards) } else { Err(shards.error(problems)) }
    }

    /// The tensor of this key.
    pub fn get(&self, key: &str) -> Option<Stored<'_>> {
        match self.places.is_empty() {
            true => self.files.first()?.get(key),
            false => self.files[*self.places.get(key)?].get(key),
        }
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        match (self.places.is_empty(), self.files.first()) {
            (true, Some(file)) => file.keys(),
            _ => self.places.keys().cloned().collect(),
        }
    }

    /// An entry of the table of strings of a checkpoint of one file.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.files.first()?.note(name)
    }

    /// An error that names the checkpoint.
    pub fn error(&self, problems: Vec<String>) -> Error {
        Error::Checkpoint { path: self.path.clone(), problems }
    }
}
