//! Saving and loading the parameters and buffers of a model.

use super::mapping::Mapping;
use super::select::select;
use super::shards::Shards;
use super::write::{Entry, write};
use crate::nn::{self, Model, Slot, Source, Visitor};
use crate::tensor::{Float, HostTensor};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};
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
    write(path.as_ref(), &entries, &BTreeMap::from([("format", "pt")]))
}

/// Reads a model from a `.safetensors` file, an index `*.index.json` of several, or a folder with either. Every tensor stands
/// there, under its own key, in its shape and element type, and nothing else does but what [`UNREAD`] lists.
///
/// # Errors
/// If the file cannot be read or does not fit; the error lists every mismatch.
pub fn load<E: Float, M: Model<E>>(path: impl AsRef<Path>) -> Result<M> {
    let file = Shards::open(path.as_ref())?;
    let (found, _) = select::<E>(&Load::new(), &file, &nn::slots::<E, M>())?;
    M::build(&nn::Path::root(), &mut Tensors(found))
}

/// Reads tensors of a file, of an index or of a folder, as [`load`] does, into a model, as the options say.
///
/// # Errors
/// If the file cannot be read or does not fit; the error lists every mismatch, and the model is unchanged.
pub fn load_into<E: Float, M: Model<E>>(model: &mut M, path: impl AsRef<Path>, options: &Load) -> Result<Loaded> {
    let file = Shards::open(path.as_ref())?;
    let (mut found, loaded) = select::<E>(options, &file, &nn::slots::<E, M>())?;
    for (slot, values) in tensors(model)? {
        found.entry(slot.key).or_insert(values);
    }
    *model = M::build(&nn::Path::root(), &mut Tensors(found))?;
    Ok(loaded)
}

/// Tensors that other libraries store beside the parameters and buffers of a model, and that no model here has: wherever a
/// file brings them, they may stand unread. In the patterns `*` stands for any characters.
///
/// * `num_batches_tracked`: PyTorch's batch normalisation counts its batches;
/// * `position_ids`: numbers 0, 1, 2, … of the embeddings of `transformers`;
/// * `masked_bias` and `inv_freq`: constants of its attention.
pub const UNREAD: [&str; 4] = ["*num_batches_tracked", "*.position_ids", "*.masked_bias", "*.inv_freq"];

/// What may differ between a file and a model.
///
/// ```
/// # use ansatz::train::Load;
/// // The encoder of a larger checkpoint, without its last layer.
/// let options = Load::new().file_prefix("encoder").partial().ignore("head.*");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Load {
    pub(super) partial: bool,
    pub(super) convert: bool,
    pub(super) overflow: bool,
    pub(super) file_prefix: String,
    pub(super) model_prefix: String,
    pub(super) ignore: Vec<String>,
    pub(super) mapping: Mapping,
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

    /// Files of `f32`, `f64`, `f16` and `bf16` may be read into models of `f32` and `f64`. A number beyond the model's type is
    /// an error.
    pub fn convert(mut self) -> Self {
        self.convert = true;
        self
    }

    /// As [`Load::convert`], and numbers beyond the model's type become infinite.
    pub fn convert_to_infinity(mut self) -> Self {
        self.overflow = true;
        self.convert()
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

    /// The file has keys and layouts of its own; those of the mapping are below the prefixes.
    pub fn mapping(self, mapping: Mapping) -> Self {
        Load { mapping, ..self }
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
