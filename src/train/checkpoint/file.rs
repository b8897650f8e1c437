//! Reading the safetensors container: named tensors and a table of strings.

use crate::files;
use crate::graph::DType;
use crate::run::Data;
use crate::tensor::Float;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The longest header in bytes that the format allows.
const LONGEST: u64 = 100_000_000;

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

/// A tensor of a file, whose elements are read when they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    file: &'a TensorFile,
    info: &'a TensorInfo,
}

impl Stored<'_> {
    pub fn dtype(&self) -> Dtype {
        self.info.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.info.shape
    }

    /// The elements of a tensor of reals; nothing if it holds something else.
    ///
    /// # Errors
    /// If they cannot be read, as where the file became shorter meanwhile.
    pub fn values<E: Float>(&self) -> Result<Option<Vec<E>>> {
        if !is_real(self.dtype()) {
            return Ok(None);
        }
        let bytes = self.bytes()?;
        Ok(match self.dtype() {
            Dtype::F32 => {
                let values: Vec<f32> = chunks(&bytes).map(f32::from_le_bytes).collect();
                // As they are, bit by bit, if they need no conversion.
                E::slice(&Data::F32(&values)).map(<[E]>::to_vec).or_else(|| Some(convert(&values)))
            }
            Dtype::F64 => {
                let values: Vec<f64> = chunks(&bytes).map(f64::from_le_bytes).collect();
                E::slice(&Data::F64(&values)).map(<[E]>::to_vec).or_else(|| Some(convert(&values)))
            }
            Dtype::F16 => Some(convert(&chunks(&bytes).map(half::f16::from_le_bytes).collect::<Vec<_>>())),
            Dtype::BF16 => Some(convert(&chunks(&bytes).map(half::bf16::from_le_bytes).collect::<Vec<_>>())),
            _ => None,
        })
    }

    /// A finite number that is not finite any more in the type that it was converted to.
    ///
    /// # Errors
    /// As for [`Stored::values`].
    pub fn overflown<E: Float>(&self, converted: &[E]) -> Result<Option<f64>> {
        let finite = |x: &E| Float::to_f64(*x).is_finite();
        // Only these reach beyond others.
        if self.dtype() != Dtype::F64 || converted.iter().all(finite) {
            return Ok(None);
        }
        let bytes = self.bytes()?;
        let mut pairs = chunks(&bytes).map(f64::from_le_bytes).zip(converted);
        Ok(pairs.find(|(stored, converted)| stored.is_finite() && !finite(converted)).map(|(stored, _)| stored))
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let (start, end) = self.info.data_offsets;
        let mut bytes = Vec::new();
        let mut file = self.file.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = (|| {
            bytes.try_reserve_exact(end - start)?;
            bytes.resize(end - start, 0);
            file.seek(SeekFrom::Start(self.file.begin + start as u64))?;
            file.read_exact(&mut bytes)
        })();
        read.map(|()| bytes).map_err(|e| Error::io("read", &self.file.path, e))
    }
}

/// Whether a model can have tensors of what a file has.
pub fn is_real(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16)
}

fn convert<A: Copy + Into<f64>, E: Float>(values: &[A]) -> Vec<E> {
    values.iter().map(|&value| <E as Float>::from_f64(value.into())).collect()
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|chunk| chunk.try_into().expect("a chunk has the length it was cut to"))
}

/// A file whose header has been read and checked. Its tensors are read one by one, when they are asked for.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: Mutex<File>,
    header: Metadata,
    /// Where the tensors begin.
    begin: u64,
}

impl TensorFile {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read or is no whole safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = files::open(path)?;
        match header(&mut file).map_err(|e| Error::io("read", path, e))? {
            Ok((header, begin)) => Ok(TensorFile { path: path.to_owned(), file: Mutex::new(file), header, begin }),
            Err(problem) => Err(Error::Checkpoint { path: path.to_owned(), problems: vec![problem] }),
        }
    }

    /// The tensor of this key.
    pub fn get(&self, key: &str) -> Option<Stored<'_>> {
        Some(Stored { file: self, info: self.header.info(key)? })
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
/// The header of a file, and where its tensors begin; or what is wrong with it.
fn header(file: &mut File) -> io::Result<Result<(Metadata, u64), String>> {
    let bytes = file.metadata()?.len();
    let Some(behind) = bytes.checked_sub(8) else {
        return Ok(Err(format!("the file has {bytes} bytes, fewer than the length of a header takes")));
    };
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > behind {
        return Ok(Err(format!(
            "the header should be {length} bytes long, but only {behind} follow; the file is cut off or is no safetensors \
             file"
        )));
    }
    if length > LONGEST {
        return Ok(Err(format!("the header is {length} bytes long, and safetensors allows {LONGEST}")));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text)?;
    let header: Metadata = match serde_json::from_slice(&text) {
        Ok(header) => header,
        Err(problem) => return Ok(Err(format!("the header is damaged: {problem}"))),
    };
    let tensors = behind - length;
    if header.data_len() as u64 != tensors {
        return Ok(Err(format!(
            "the header speaks of other tensors than the {tensors} bytes behind it hold; the file is cut off or changed"
        )));
    }
    Ok(Ok((header, 8 + length)))
}
