//! The safetensors container: named tensors and a table of strings.

use crate::graph::DType;
use crate::run::Data;
use crate::tensor::Float;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A tensor to be written.
pub struct Entry<'a> {
    pub key: &'a str,
    pub dims: &'a [usize],
    pub data: Data<'a>,
}

/// Writes a file atomically: into a temporary file in the same folder, flushed to the disk, then moved to its name.
pub fn write(path: &Path, entries: &[Entry<'_>], metadata: HashMap<String, String>) -> Result<()> {
    let bytes = safetensors::serialize(entries.iter().map(|entry| (entry.key, entry)), Some(metadata))
        .map_err(|e| Error::value(format!("the tensors do not fit into a safetensors file: {e}")))?;
    write_atomically(path, &bytes)
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
