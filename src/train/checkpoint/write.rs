//! Writing the safetensors container.

use super::file::stored;
use crate::files;
use crate::run::Data;
use crate::{Error, Result};
use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, TensorInfo};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// A tensor to be written.
pub struct Entry<'a> {
    pub key: &'a str,
    pub dims: &'a [usize],
    pub data: Data<'a>,
}

/// Writes a file, which takes the place of an old one when it is whole. Equal tensors and notes give equal files.
pub fn write(path: &Path, entries: &[Entry<'_>], notes: &BTreeMap<&str, &str>) -> Result<()> {
    // As safetensors orders them: the widest elements first, so that all are aligned.
    let mut entries: Vec<&Entry<'_>> = entries.iter().collect();
    entries.sort_by_key(|entry| (Reverse(stored(entry.data.dtype())), entry.key));
    let header = header_of(&entries, notes)
        .map_err(|e| Error::value(format!("the tensors do not fit into a safetensors file: {e}")))?;
    files::replace(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        entries.iter().try_for_each(|entry| write_data(file, entry.data))
    })
}

/// The header, in which the notes come first and in order; `safetensors` would write them in an order of chance.
fn header_of(entries: &[&Entry<'_>], notes: &BTreeMap<&str, &str>) -> Result<String, SafeTensorError> {
    let mut end = 0;
    let infos = entries.iter().map(|entry| {
        let begin = end;
        end += entry.data.len() * entry.data.dtype().size();
        let info =
            TensorInfo { dtype: stored(entry.data.dtype()), shape: entry.dims.to_vec(), data_offsets: (begin, end) };
        (entry.key.to_owned(), info)
    });
    let tensors = serde_json::to_string(&Metadata::new(None, infos.collect())?)?;
    let comma = if entries.is_empty() { "" } else { "," };
    let mut header = format!("{{\"__metadata__\":{}{comma}{}", serde_json::json!(notes), &tensors[1..]);
    // Tensors begin at a multiple of eight bytes.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    Ok(header)
}

fn write_data(file: &mut dyn Write, data: Data<'_>) -> io::Result<()> {
    match data {
        Data::F32(v) => v.iter().try_for_each(|x| file.write_all(&x.to_le_bytes())),
        Data::F64(v) => v.iter().try_for_each(|x| file.write_all(&x.to_le_bytes())),
        Data::Index(v) => v.iter().try_for_each(|x| file.write_all(&x.to_le_bytes())),
        Data::Bool(v) => file.write_all(v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::SafeTensors;

    #[test]
    fn notes_stand_in_order_before_aligned_tensors() {
        let notes = BTreeMap::from([("b", "2"), ("a", "\"1\""), ("long", "name")]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tensors.safetensors");
        let (reals, indices, truths) = ([1.5_f32, -2.0], [7_u32], [1_u8, 0, 1]);
        let entries = [
            Entry { key: "mask", dims: &[3], data: Data::Bool(&truths) },
            Entry { key: "x", dims: &[2], data: Data::F32(&reals) },
            Entry { key: "i", dims: &[1, 1], data: Data::Index(&indices) },
        ];
        for entries in [&entries[..], &[]] {
            write(&path, entries, &notes).expect("it is written");
            let bytes = std::fs::read(&path).expect("it is there");
            let (length, header) = SafeTensors::read_metadata(&bytes).expect("a whole file");
            assert_eq!(header.metadata().as_ref().map(|notes| notes.len()), Some(3));
            assert!(length.is_multiple_of(8));
            let text = String::from_utf8_lossy(&bytes[8..8 + length]);
            let places =
                ["__metadata__", "\"a\"", "\"b\"", "\"long\""].map(|part| text.find(part).expect("it is there"));
            assert!(places.is_sorted(), "{text}");
            let tensors = SafeTensors::deserialize(&bytes).expect("a whole file");
            assert_eq!(tensors.len(), entries.len());
            for Entry { key, dims, data } in entries {
                let tensor = tensors.tensor(key).expect("it is written");
                assert_eq!((tensor.dtype(), tensor.shape()), (stored(data.dtype()), *dims));
                let mut expected = Vec::new();
                write_data(&mut expected, *data).expect("memory takes it");
                assert_eq!(tensor.data(), expected);
            }
        }
    }
}
