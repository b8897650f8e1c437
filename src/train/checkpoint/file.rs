//! The safetensors container: named tensors and a table of strings.

use crate::graph::DType;
use crate::run::Data;
use crate::tensor::Float;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView, View};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A tensor to be written.
pub struct Entry<'a> {
    pub key: &'a str,
    pub dims: &'a [usize],
    pub data: Data<'a>,
}

/// Writes a file atomically: into a temporary file in the same folder, flushed to the disk, then moved to its name. Equal
/// tensors and notes give equal files.
pub fn write(path: &Path, entries: &[Entry<'_>], notes: &BTreeMap<&str, &str>) -> Result<()> {
    let bytes = safetensors::serialize(entries.iter().map(|entry| (entry.key, entry)), None)
        .map_err(|e| Error::value(format!("the tensors do not fit into a safetensors file: {e}")))?;
    write_atomically(path, &with_notes(bytes, notes))
}

/// Puts notes at the beginning of a header without any; `safetensors` would write them in an order of chance.
fn with_notes(mut bytes: Vec<u8>, notes: &BTreeMap<&str, &str>) -> Vec<u8> {
    const LENGTH: usize = size_of::<u64>();
    let mut begin = format!("{{\"__metadata__\":{}", serde_json::json!(notes));
    if bytes[LENGTH + 1] == b'"' {
        begin.push(',');
    }
    // Tensors stay aligned to eight bytes; the first brace of the header is replaced.
    let blanks = (begin.len() - 1).next_multiple_of(LENGTH) - (begin.len() - 1);
    begin.insert_str(1, &" ".repeat(blanks));
    bytes.splice(LENGTH..=LENGTH, begin.bytes());
    let header = u64::from_le_bytes(*bytes.first_chunk().expect("a header has a length")) + begin.len() as u64 - 1;
    bytes[..LENGTH].copy_from_slice(&header.to_le_bytes());
    bytes
}

fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".checkpoint-");
    #[cfg(unix)]
    {
        // What the process's mask allows, as for any new file; the default of temporary files is the owner alone.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let failed = |e| Error::io("write", path, e);
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    // The move itself lasts once the folder is on the disk; not every system can open a folder.
    if let Ok(folder) = std::fs::File::open(folder) {
        folder.sync_all().map_err(failed)?;
    }
    Ok(())
}

impl View for &Entry<'_> {
    fn dtype(&self) -> Dtype {
        stored(self.data.dtype())
    }

    fn shape(&self) -> &[usize] {
        self.dims
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match self.data {
            Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::Index(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::Bool(v) => v.to_vec(),
        })
    }

    fn data_len(&self) -> usize {
        self.data.len() * self.data.dtype().size()
    }
}

/// How an element type is called in a file.
pub fn stored(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::Index => Dtype::U32,
        DType::Bf16 => Dtype::BF16,
        DType::Bool => Dtype::BOOL,
    }
}

/// The elements of a stored tensor of reals; nothing if it holds something else.
pub fn decode<E: Float>(tensor: &TensorView<'_>) -> Option<Vec<E>> {
    match tensor.dtype() {
        Dtype::F32 => {
            let values: Vec<f32> = chunks(tensor.data()).map(f32::from_le_bytes).collect();
            // As they are, bit by bit, if they need no conversion.
            E::slice(&Data::F32(&values)).map(<[E]>::to_vec).or_else(|| Some(convert(&values)))
        }
        Dtype::F64 => {
            let values: Vec<f64> = chunks(tensor.data()).map(f64::from_le_bytes).collect();
            E::slice(&Data::F64(&values)).map(<[E]>::to_vec).or_else(|| Some(convert(&values)))
        }
        Dtype::F16 => Some(convert(&chunks(tensor.data()).map(half::f16::from_le_bytes).collect::<Vec<_>>())),
        Dtype::BF16 => Some(convert(&chunks(tensor.data()).map(half::bf16::from_le_bytes).collect::<Vec<_>>())),
        _ => None,
    }
}

/// A finite number of a stored tensor that is not finite any more in the type it was decoded to.
pub fn overflown<E: Float>(tensor: &TensorView<'_>, decoded: &[E]) -> Option<f64> {
    let finite = |x: &E| Float::to_f64(*x).is_finite();
    // Only these reach beyond others.
    if tensor.dtype() != Dtype::F64 || decoded.iter().all(finite) {
        return None;
    }
    let stored = chunks(tensor.data()).map(f64::from_le_bytes);
    stored.zip(decoded).find(|(stored, decoded)| stored.is_finite() && !finite(decoded)).map(|(stored, _)| stored)
}

fn convert<A: Copy + Into<f64>, E: Float>(values: &[A]) -> Vec<E> {
    values.iter().map(|&value| <E as Float>::from_f64(value.into())).collect()
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|chunk| chunk.try_into().expect("a chunk has the length it was cut to"))
}

/// A file in memory whose header has been read and checked.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
    header: Metadata,
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or is no whole safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        match header(&bytes) {
            Ok(header) => Ok(TensorFile { path: path.to_owned(), bytes, header }),
            Err(problem) => Err(Error::Checkpoint { path: path.to_owned(), problems: vec![problem] }),
        }
    }

    /// The tensor of this key.
    pub fn get(&self, key: &str) -> Option<TensorView<'_>> {
        let info = self.header.info(key)?;
        let tensors = &self.bytes[self.bytes.len() - self.header.data_len()..];
        let (start, end) = info.data_offsets;
        TensorView::new(info.dtype, info.shape.clone(), &tensors[start..end]).ok()
    }

    /// All keys, in the order of the file.
    pub fn keys(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// An entry of the table of strings.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(name).map(String::as_str)
    }

    /// An error that names the file.
    pub fn error(&self, problems: Vec<String>) -> Error {
        Error::Checkpoint { path: self.path.clone(), problems }
    }
}

fn header(bytes: &[u8]) -> Result<Metadata, String> {
    let Some(length) = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)) else {
        return Err(format!("the file has {} bytes, fewer than the length of a header takes", bytes.len()));
    };
    let behind = bytes.len() as u64 - 8;
    if length > behind {
        return Err(format!(
            "the header should be {length} bytes long, but only {behind} follow; the file is cut off or is no \
             safetensors file"
        ));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| match error {
        safetensors::SafeTensorError::MetadataIncompleteBuffer => format!(
            "the header speaks of other tensors than the {} bytes behind it hold; the file is cut off or changed",
            behind - length
        ),
        other => format!("the header is damaged: {other}"),
    })?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stand_in_order_before_aligned_tensors() {
        let notes = BTreeMap::from([("b", "2"), ("a", "\"1\""), ("long", "name")]);
        for values in [&[][..], &[1.5_f32, -2.0]] {
            let dims = [values.len()];
            let entries = [Entry { key: "x", dims: &dims, data: Data::F32(values) }];
            let entries = if values.is_empty() { &[][..] } else { &entries };
            let plain = safetensors::serialize(entries.iter().map(|e| (e.key, e)), None).expect("it fits");
            let bytes = with_notes(plain, &notes);
            let header = header(&bytes).expect("a whole file");
            assert_eq!(header.metadata().as_ref().map(|notes| notes.len()), Some(3));
            assert_eq!(header.metadata().as_ref().and_then(|notes| notes.get("a")).map(String::as_str), Some("\"1\""));
            let (begin, tensors) = bytes.split_at(bytes.len() - header.data_len());
            assert!(begin.len().is_multiple_of(8));
            assert_eq!(tensors, values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
            let text = String::from_utf8_lossy(&begin[8..]);
            let places =
                ["__metadata__", "\"a\"", "\"b\"", "\"long\""].map(|part| text.find(part).expect("it is there"));
            assert!(places.is_sorted(), "{text}");
        }
    }
}
