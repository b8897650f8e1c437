//! The IDX format, in which MNIST is distributed: a magic number (two zeros, element type, number of axes), the size of
//! each axis as a big-endian 32-bit number, then the elements.

use super::Labelled;
use crate::files::read;
use crate::tensor::{Float, Named};
use crate::{Error, Result};
use std::path::Path;

/// Reads images and their labels, both of unsigned bytes (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`).
/// Pixels become numbers from 0 to 1, all axes of an image but the first become one of size `X`.
///
/// # Errors
/// If a file cannot be read, is no IDX file, is shorter or longer than it says, the two files differ in length, an
/// image has not `X` pixels, or a label is not below `Y`.
pub fn idx<X: Named, Y: Named, E: Float>(
    images: impl AsRef<Path>,
    labels: impl AsRef<Path>,
) -> Result<Labelled<X, Y, E>> {
    let (images, labels) = (images.as_ref(), labels.as_ref());
    let (image_bytes, label_bytes) = (read(images)?, read(labels)?);
    labelled(&Idx::parse(images, &image_bytes)?, &Idx::parse(labels, &label_bytes)?, 255.0)
}

/// Pairs images with labels; `white` is the byte that becomes 1.
pub(super) fn labelled<X: Named, Y: Named, E: Float>(
    images: &Idx<'_>,
    labels: &Idx<'_>,
    white: f64,
) -> Result<Labelled<X, Y, E>> {
    images.pairs_with(labels)?;
    let features = images.bytes.iter().map(|&byte| <E as Float>::from_f64(f64::from(byte) / white)).collect();
    let classes = labels.bytes.iter().map(|&byte| u32::from(byte)).collect();
    let pixels = images.dims[1..].iter().product();
    Labelled::new(pixels, features, classes).map_err(|problem| images.error(problem))
}

/// An IDX file of unsigned bytes.
pub(super) struct Idx<'a> {
    path: &'a Path,
    pub dims: Vec<usize>,
    pub bytes: &'a [u8],
}

impl<'a> Idx<'a> {
    pub fn parse(path: &'a Path, file: &'a [u8]) -> Result<Self> {
        let error = |problem: String| Error::Data { path: path.to_owned(), problem };
        let Some((&[zero, also_zero, kind, rank], rest)) = file.split_first_chunk::<4>() else {
            return Err(error(format!("has {} bytes; an IDX file begins with four", file.len())));
        };
        if [zero, also_zero] == [0x1f, 0x8b] {
            return Err(error("is compressed with gzip; unpack it first (`gunzip FILE`)".into()));
        }
        if [zero, also_zero] != [0, 0] {
            return Err(error(format!("begins with {zero:#04x} {also_zero:#04x}; an IDX file begins with two zeros")));
        }
        if kind != 8 {
            return Err(error(format!("has elements of type {kind:#04x}; only unsigned bytes (0x08) are read")));
        }
        let rank = usize::from(rank);
        if rank == 0 || rest.len() < 4 * rank {
            return Err(error(format!("says that it has {rank} axes, but ends before their sizes")));
        }
        let (sizes, bytes) = rest.split_at(4 * rank);
        let dims: Vec<usize> =
            sizes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
        let len = dims.iter().try_fold(1usize, |len, &size| len.checked_mul(size));
        if len != Some(bytes.len()) {
            let expected = len.map_or("more than fit in memory".to_owned(), |len| len.to_string());
            return Err(error(format!(
                "says that it holds {dims:?} bytes ({expected}) behind its header, but {} follow; download it again",
                bytes.len()
            )));
        }
        Ok(Idx { path, dims, bytes })
    }

    /// Are these images, and those a label for each?
    pub fn pairs_with(&self, labels: &Idx<'_>) -> Result<()> {
        if labels.dims.len() != 1 {
            return Err(
                labels.error(format!("holds {} axes; labels have one. Are the two files swapped?", labels.dims.len()))
            );
        }
        if self.dims.len() < 2 {
            return Err(self.error("holds one axis; images have two or more. Are the two files swapped?".into()));
        }
        if self.dims[0] != labels.dims[0] {
            let (n, other, m) = (self.dims[0], labels.path.display(), labels.dims[0]);
            return Err(self.error(format!("holds {n} images, but {other} holds {m} labels")));
        }
        Ok(())
    }

    pub fn error(&self, problem: String) -> Error {
        Error::Data { path: self.path.to_owned(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Const, to_vec};

    fn file(kind: u8, dims: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, kind, dims.len() as u8];
        file.extend(dims.iter().flat_map(|d| d.to_be_bytes()));
        file.extend(bytes);
        file
    }

    fn message(images: &[u8], labels: &[u8]) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let paths = [folder.path().join("images"), folder.path().join("labels")];
        std::fs::write(&paths[0], images).expect("a temporary file");
        std::fs::write(&paths[1], labels).expect("a temporary file");
        match idx::<Const<4>, Const<3>, f32>(&paths[0], &paths[1]) {
            Ok(_) => "read".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn pixels_and_labels_are_read() {
        let images = file(8, &[2, 2, 2], &[0, 51, 102, 153, 204, 255, 0, 0]);
        let labels = file(8, &[2], &[2, 0]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("i"), images).expect("a temporary file");
        std::fs::write(folder.path().join("l"), labels).expect("a temporary file");
        let read =
            idx::<Const<4>, Const<3>, f64>(folder.path().join("i"), folder.path().join("l")).expect("well-formed");
        assert_eq!(to_vec(&read.features()), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.0, 0.0]);
        assert_eq!(read.labels().values(), [2, 0]);
    }

    #[test]
    fn each_malformed_file_has_its_message() {
        let images = file(8, &[2, 2, 2], &[0; 8]);
        let labels = file(8, &[2], &[2, 0]);
        assert_eq!(message(&images, &labels), "read");
        for (images, labels, part) in [
            (vec![0, 0], labels.clone(), "has 2 bytes"),
            (vec![0x1f, 0x8b, 8, 0, 0], labels.clone(), "gunzip"),
            (vec![1, 0, 8, 3], labels.clone(), "two zeros"),
            (file(0x0d, &[2, 2, 2], &[0; 32]), labels.clone(), "0x0d"),
            (vec![0, 0, 8, 3, 0, 0, 0, 2], labels.clone(), "ends before"),
            (file(8, &[2, 2, 2], &[0; 7]), labels.clone(), "but 7 follow"),
            (file(8, &[u32::MAX, u32::MAX, u32::MAX], &[0; 7]), labels.clone(), "more than fit"),
            (file(8, &[1, 2, 2], &[0; 4]), labels.clone(), "1 images, but"),
            (file(8, &[2, 3, 2], &[0; 12]), labels.clone(), "6 features"),
            (images.clone(), file(8, &[2], &[3, 0]), "the label 3"),
            (labels.clone(), images.clone(), "swapped"),
            (labels.clone(), labels.clone(), "swapped"),
        ] {
            let found = message(&images, &labels);
            assert!(found.contains(part), "{found}");
        }
    }
}
