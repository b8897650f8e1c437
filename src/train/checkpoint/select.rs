//! What a file brings for the tensors of a model, or every mismatch at once.

use super::file::{Stored, is_real, stored};
use super::mapping::Origin;
use super::model::{Load, Loaded, UNREAD};
use super::shards::Shards;
use crate::Result;
use crate::graph::KEY;
use crate::nn::Slot;
use crate::optim::key_matches;
use crate::tensor::Float;
use crate::train::TRAINING_NOTE;
use safetensors::tensor::Dtype;
use std::collections::{HashMap, HashSet};

/// The tensors to read, by the model's keys; or every mismatch.
pub fn select<E: Float>(load: &Load, file: &Shards, slots: &[Slot]) -> Result<(HashMap<String, Vec<E>>, Loaded)> {
    let mut selection = Selection { load, slots, keys: file.keys(), read: HashSet::new(), problems: Vec::new() };
    let (mut found, mut loaded) = (HashMap::new(), Loaded::default());
    for slot in slots {
        let Some(key) = below(&slot.key, &load.model_prefix) else { continue };
        let origin = load.mapping.origin(key);
        let files = selection.files(&origin);
        if load.ignores(&slot.key) || files.iter().any(|file| load.ignores(file)) {
            loaded.missing.push(slot.key.clone());
            continue;
        }
        let tensors: Vec<Option<Stored<'_>>> = files.iter().map(|key| file.get(key)).collect();
        if tensors.iter().any(Option::is_none) {
            let absent = files.iter().zip(&tensors).filter(|(_, tensor)| tensor.is_none()).map(|(key, _)| key);
            absent.for_each(|key| selection.missing(slot, key));
            loaded.missing.push(slot.key.clone());
            continue;
        }
        selection.read.extend(files.iter().cloned());
        let tensors: Vec<(String, Stored<'_>)> = files.into_iter().zip(tensors.into_iter().flatten()).collect();
        found.extend(selection.values::<E>(slot, key, &origin, &tensors)?.map(|values| (slot.key.clone(), values)));
    }
    let training = file.note(TRAINING_NOTE).is_some();
    for key in &selection.keys {
        if selection.read.contains(key) || below(key, &load.file_prefix).is_none() {
            continue;
        }
        if training && (key.starts_with("optimiser.") || key == KEY) {
            continue;
        }
        if !load.partial && !load.ignores(key) && !UNREAD.iter().any(|pattern| key_matches(pattern, key)) {
            selection.problems.push(format!("`{key}` is in the file, but not in the model"));
        }
        loaded.extra.push(key.clone());
    }
    if selection.problems.is_empty() { Ok((found, loaded)) } else { Err(file.error(selection.problems)) }
}

struct Selection<'a> {
    load: &'a Load,
    slots: &'a [Slot],
    keys: Vec<String>,
    read: HashSet<String>,
    problems: Vec<String>,
}

impl Selection<'_> {
    /// The keys of the file for an origin.
    fn files(&self, origin: &Origin) -> Vec<String> {
        let keys = match origin {
            Origin::Joined(keys) => &keys[..],
            Origin::Part { file, .. } => std::slice::from_ref(file),
        };
        let prefix = &self.load.file_prefix;
        keys.iter().map(|key| if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }).collect()
    }

    fn missing(&mut self, slot: &Slot, key: &str) {
        if !self.load.partial {
            self.problems.push(format!("`{key}` of shape {:?} is missing{}", slot.dims, hint(key, &self.keys)));
        }
    }

    /// The elements of a tensor of the model that is called `key` below the prefix; none if there is a mismatch.
    fn values<E: Float>(
        &mut self,
        slot: &Slot,
        key: &str,
        origin: &Origin,
        tensors: &[(String, Stored<'_>)],
    ) -> Result<Option<Vec<E>>> {
        let before = self.problems.len();
        for (file, tensor) in tensors {
            let dtype = tensor.dtype();
            if dtype == stored(E::DTYPE) || self.load.convert && is_real(dtype) {
                continue;
            }
            let remedy = if is_real(dtype) { "; `Load::convert` converts it" } else { "" };
            let (in_file, in_model) = (name(dtype), name(stored(E::DTYPE)));
            self.problems.push(format!("`{file}` is {in_file} in the file and {in_model} in the model{remedy}"));
        }
        // What the model makes of the tensors of the file: its rows are these tensors' rows.
        let shapes: Vec<Vec<usize>> = tensors.iter().map(|(file, tensor)| self.shape(file, tensor)).collect();
        let rows = |shapes: &[Vec<usize>]| -> Option<Vec<usize>> {
            let (first, rest) = shapes.split_first()?;
            let mut whole = first.clone();
            for other in rest {
                if other.get(1..)? != first.get(1..)? {
                    return None;
                }
                *whole.first_mut()? += other[0];
            }
            Some(whole)
        };
        let (wanted, first_row) = match origin {
            Origin::Joined(_) => (Some(slot.dims.clone()), 0),
            Origin::Part { parts, place, .. } => {
                let parts: Vec<Vec<usize>> = parts.iter().filter_map(|part| self.dims(part)).collect();
                let first_row = parts.iter().take(*place).map(|dims| dims.first().copied().unwrap_or(0)).sum();
                (rows(&parts), first_row)
            }
        };
        if wanted.is_none() || rows(&shapes) != wanted {
            self.problems.push(self.misfit(slot, key, origin, tensors, wanted.as_deref()));
        }
        if self.problems.len() > before {
            return Ok(None);
        }
        let mut values: Vec<E> = Vec::new();
        for (file, tensor) in tensors {
            let Some(own) = tensor.values::<E>()? else { return Ok(None) };
            if !self.load.overflow
                && let Some(value) = tensor.overflown(&own)?
            {
                self.problems.push(format!(
                    "`{file}` holds {value:e}, which is beyond the type of the model; `Load::convert_to_infinity` allows it"
                ));
                return Ok(None);
            }
            match self.load.mapping.is_transposed(self.bare(file)) {
                true => values.extend(transposed(&own, tensor.shape())),
                false => values.extend(own),
            }
        }
        let width: usize = slot.dims.iter().skip(1).product();
        let len: usize = slot.dims.iter().product();
        Ok(Some(if values.len() == len { values } else { values[first_row * width..][..len].to_vec() }))
    }

    /// The sentence about shapes that do not agree.
    fn misfit(
        &self,
        slot: &Slot,
        key: &str,
        origin: &Origin,
        tensors: &[(String, Stored<'_>)],
        wanted: Option<&[usize]>,
    ) -> String {
        let list = |parts: Vec<String>| parts.join(" and ");
        let in_file = tensors.iter().map(|(file, tensor)| {
            let transposed = self.load.mapping.is_transposed(self.bare(file));
            format!("`{file}` is {:?}{}", tensor.shape(), if transposed { ", transposed," } else { "" })
        });
        let in_file = list(in_file.collect());
        match origin {
            Origin::Part { parts, .. } => {
                let parts = list(parts.iter().map(|part| format!("`{part}`")).collect());
                match wanted {
                    Some(wanted) => format!("{in_file} in the file, and {parts} together are {wanted:?} in the model"),
                    None => format!("{in_file} in the file, and {parts} in the model are no parts of one tensor"),
                }
            }
            Origin::Joined(files) if files.len() == 1 && files[0] == key => {
                format!("{in_file} in the file and {:?} in the model", slot.dims)
            }
            Origin::Joined(_) => format!("{in_file} in the file, and `{}` is {:?} in the model", slot.key, slot.dims),
        }
    }

    /// The shape of a tensor of the file as the model has it.
    fn shape(&self, file: &str, tensor: &Stored<'_>) -> Vec<usize> {
        self.load.mapping.shape(self.bare(file), tensor.shape())
    }

    /// A key of the file without the prefix.
    fn bare<'k>(&self, file: &'k str) -> &'k str {
        below(file, &self.load.file_prefix).unwrap_or(file)
    }

    /// The shape of a tensor of the model, by its key below the prefix.
    fn dims(&self, key: &str) -> Option<Vec<usize>> {
        let slot = self.slots.iter().find(|slot| below(&slot.key, &self.load.model_prefix) == Some(key))?;
        Some(slot.dims.clone())
    }
}

impl Load {
    fn ignores(&self, key: &str) -> bool {
        self.ignore.iter().any(|pattern| key_matches(pattern, key))
    }
}

/// A matrix with its axes swapped; anything else as it is.
fn transposed<E: Float>(values: &[E], shape: &[usize]) -> Vec<E> {
    let [rows, columns] = *shape else { return values.to_vec() };
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// How a file's element type is called in messages.
pub fn name(dtype: Dtype) -> String {
    match dtype {
        Dtype::F32 => "f32".to_owned(),
        Dtype::F64 => "f64".to_owned(),
        other => other.to_string().to_lowercase(),
    }
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
