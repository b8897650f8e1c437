//! Handwritten digits that come with the library.

use super::Labelled;
use super::idx::{Idx, labelled};
use crate::Result;
use crate::tensor::{Float, Named};
use std::path::Path;

/// 1797 handwritten digits of 8×8 pixels from 0 (paper) to 1 (ink), with their class: the test part of the UCI data set
/// "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, CC BY 4.0), as scikit-learn carries it.
///
/// # Errors
/// If `X` is not of size 64 or `Y` not of size 10.
pub fn digits<X: Named, Y: Named, E: Float>() -> Result<Labelled<X, Y, E>> {
    let (images, labels) = files()?;
    labelled(&images, &labels, 16.0)
}

/// The images, of bytes from 0 to 16, and their labels.
pub(super) fn files() -> Result<(Idx<'static>, Idx<'static>)> {
    let images = Idx::parse(Path::new("the embedded digits"), include_bytes!("digits/images.idx"))?;
    let labels = Idx::parse(Path::new("the embedded labels"), include_bytes!("digits/labels.idx"))?;
    Ok((images, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Const, to_vec};

    #[test]
    fn the_digits_are_those_of_scikit_learn() {
        let digits = digits::<Const<64>, Const<10>, f64>().expect("the embedded files are well-formed");
        let (features, labels) = (to_vec(&digits.features()), digits.labels());
        assert_eq!(features.len(), 1797 * 64);
        // `load_digits().data[0, :8]`, `.data.sum()` and `numpy.bincount(.target)` of scikit-learn 1.9.
        assert_eq!(features[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0].map(|x| x / 16.0));
        assert_eq!(features.iter().sum::<f64>() * 16.0, 561_718.0);
        let mut counts = [0; 10];
        labels.values().iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn a_wrong_size_is_named() {
        let error = digits::<Const<784>, Const<10>, f32>().expect_err("digits have 64 pixels").to_string();
        assert!(error.contains("64") && error.contains("784"), "{error}");
        let error = digits::<Const<64>, Const<9>, f32>().expect_err("there are 10 classes").to_string();
        assert!(error.contains("the label 9"), "{error}");
    }
}
