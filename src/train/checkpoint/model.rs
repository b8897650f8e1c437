//! Saving and loading the parameters and buffers of a model.

use super::file::{Entry, TensorFile, decode, stored, write};
use crate::graph::KEY;
use crate::nn::{self, Model, Slot, Source, Visitor};
use crate::optim::key_matches;
use crate::tensor::{Float, HostTensor};
use crate::{Error, Result};
use safetensors::tensor::Dtype;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Writes the parameters and buffers of a model.
///
/// # Errors
/// If the file cannot be written; an earlier file of that name is then still there.
pub fn save<E: Float, M: Model<E>>(model: &M, path: impl AsRef<Path>) -> Result<()> {
    let tensors = tensors(model)?;
    let entries: Vec<Entry<'_>> = tensors
        .iter()
        .map(|(slot, values)| Entry { key: &slot.key, dims: &slot.dims, data: E::data(values) })
        .collect();
    // The note by which PyTorch's tools know their own files.
    write(path.as_ref(), &entries, HashMap::from([("format".to_owned(), "pt".to_owned())]))
}

/// Reads a model whose every tensor stands in the file, under its own key, in its shape and element type, and nothing
/// else does.
///
/// # Errors
/// If the file cannot be read or does not fit; the error lists every mismatch.
pub fn load<E: Float, M: Model<E>>(path: impl AsRef<Path>) -> Result<M> {
    let file = TensorFile::open(path.as_ref())?;
    let (found, _) = Load::new().select::<E>(&file, &nn::slots::<E, M>())?;
    M::build(&nn::Path::root(), &mut Tensors(found))
}

/// Reads tensors of a file into a model, as the options say.
///
/// # Errors
/// If the file cannot be read or does not fit; the error lists every mismatch, and the model is unchanged.
pub fn load_into<E: Float, M: Model<E>>(model: &mut M, path: impl AsRef<Path>, options: &Load) -> Result<Loaded> {
    let file = TensorFile::open(path.as_ref())?;
    let (mut found, loaded) = options.select::<E>(&file, &nn::slots::<E, M>())?;
    for (slot, values) in tensors(model)? {
        found.entry(slot.key).or_insert(values);
    }
    *model = M::build(&nn::Path::root(), &mut Tensors(found))?;
    Ok(loaded)
}

/// What may differ between a file and a model.
///
/// ```
/// # use ansatz::train::Load;
/// // The encoder of a larger checkpoint, without its last layer.
/// let options = Load::new().file_prefix("encoder").partial().ignore("head.*");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Load {
    partial: bool,
    convert: bool,
    file_prefix: String,
    model_prefix: String,
    ignore: Vec<String>,
}

/// What a file did not bring, and what it brought in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors of the model that kept their values.
    pub missing: Vec<String>,
    /// Tensors of the file that were not read.
    pub extra: Vec<String>,
}

impl Load {
    /// Nothing may differ.
    pub fn new() -> Self {
        Self::default()
    }

    /// The file may lack tensors of the model, which keep their values, and may hold others.
    pub fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// `f32` files may be read into `f64` models and the other way round.
    pub fn convert(mut self) -> Self {
        self.convert = true;
        self
    }

    /// Only tensors of the file below this path are looked at, and the path is left out of their keys.
    pub fn file_prefix(mut self, path: &str) -> Self {
        self.file_prefix = path.to_owned();
        self
    }

    /// The file holds the part of the model at this path; the rest keeps its values.
    pub fn model_prefix(mut self, path: &str) -> Self {
        self.model_prefix = path.to_owned();
        self
    }

    /// Tensors of these keys (`*` stands for any characters) may be missing, extra, or unfit: none is read.
    pub fn ignore(mut self, pattern: &str) -> Self {
        self.ignore.push(pattern.to_owned());
        self
    }

    /// The tensors to read, by the model's keys; or every mismatch.
    fn select<E: Float>(&self, file: &TensorFile, slots: &[Slot]) -> Result<(HashMap<String, Vec<E>>, Loaded)> {
        let (mut found, mut loaded, mut problems) = (HashMap::new(), Loaded::default(), Vec::new());
        let keys = file.keys();
        let mut read = HashSet::new();
        for slot in slots {
            let Some(key) = below(&slot.key, &self.model_prefix) else { continue };
            let key = if self.file_prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.file_prefix) };
            if self.ignores(&slot.key) || self.ignores(&key) {
                loaded.missing.push(slot.key.clone());
                continue;
            }
            let Some(tensor) = file.get(&key) else {
                if !self.partial {
                    problems.push(format!("`{key}` of shape {:?} is missing{}", slot.dims, hint(&key, &keys)));
                }
                loaded.missing.push(slot.key.clone());
                continue;
            };
            read.insert(key.clone());
            if tensor.shape() != slot.dims {
                problems.push(format!("`{key}` is {:?} in the file and {:?} in the model", tensor.shape(), slot.dims));
            } else if tensor.dtype() == stored(E::DTYPE) || self.convert && is_real(tensor.dtype()) {
                found.extend(decode(&tensor).map(|values| (slot.key.clone(), values)));
            } else {
                let remedy = if is_real(tensor.dtype()) { "; `Load::convert` converts it" } else { "" };
                let (in_file, in_model) = (name(tensor.dtype()), name(stored(E::DTYPE)));
                problems.push(format!("`{key}` is {in_file} in the file and {in_model} in the model{remedy}"));
            }
        }
        let training = file.note(super::super::TRAINING_NOTE).is_some();
        for key in keys.iter().filter(|key| !read.contains(*key) && below(key, &self.file_prefix).is_some()) {
            if training && (key.starts_with("optimiser.") || key == KEY) {
                continue;
            }
            // PyTorch's batch normalisation counts its batches; nothing here reads the count.
            if !self.partial && !self.ignores(key) && !key.ends_with("num_batches_tracked") {
                problems.push(format!("`{key}` is in the file, but not in the model"));
            }
            loaded.extra.push(key.clone());
        }
        if problems.is_empty() { Ok((found, loaded)) } else { Err(file.error(problems)) }
    }

    fn ignores(&self, key: &str) -> bool {
        self.ignore.iter().any(|pattern| key_matches(pattern, key))
    }
}

/// How a file's element type is called in messages.
pub(in super::super) fn name(dtype: Dtype) -> String {
    match dtype {
        Dtype::F32 => "f32".to_owned(),
        Dtype::F64 => "f64".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

fn is_real(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64)
}

/// The rest of a key below a path.
fn below<'k>(key: &'k str, path: &str) -> Option<&'k str> {
    if path.is_empty() { Some(key) } else { key.strip_prefix(path)?.strip_prefix('.') }
}

/// Where a missing key is found under a prefix, the commonest mistake.
fn hint(key: &str, keys: &[String]) -> String {
    match keys.iter().find_map(|other| other.strip_suffix(key)?.strip_suffix('.')) {
        Some(prefix) => format!(", but `{prefix}.{key}` is there; `Load::file_prefix(\"{prefix}\")` reads it"),
        None => String::new(),
    }
}

/// All tensors of a model.
fn tensors<E: Float, M: Model<E>>(model: &M) -> Result<Vec<(Slot, Vec<E>)>> {
    struct All<E>(Vec<(Slot, Vec<E>)>);
    impl<E: Float> Visitor<E> for All<E> {
        fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
            self.0.push((slot.clone(), tensor.to_vec()));
            Ok(())
        }
    }
    let mut all = All(Vec::new());
    model.visit(&nn::Path::root(), &mut all)?;
    Ok(all.0)
}

struct Tensors<E>(HashMap<String, Vec<E>>);

impl<E: Float> Source<E> for Tensors<E> {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>> {
        // A part that is used twice is one tensor: it is copied, not taken.
        self.0.get(&slot.key).cloned().ok_or_else(|| Error::value(format!("there is no tensor `{}`", slot.key)))
    }
}
