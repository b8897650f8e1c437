//! The types of tensor elements.

use super::feed::Buffer;
use crate::graph::DType;
use crate::run::{Data, DataMut};
use std::fmt::Debug;
use std::marker::PhantomData;

/// A real number type: `f32` or `f64`.
pub trait Float: Element + dfdx::shapes::Dtype + Default {
    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// The same value.
    fn to_f64(self) -> f64;
    /// A slice, as programs take it.
    fn data(values: &[Self]) -> Data<'_>;
    /// The slice of this type, if it is one.
    fn slice<'a>(data: &Data<'a>) -> Option<&'a [Self]>;
    /// The slice of this type to write to, if it is one.
    fn slice_mut<'a>(data: DataMut<'a>) -> Option<&'a mut [Self]>;
    /// The buffer as one of this type.
    #[doc(hidden)]
    fn buffer(buffer: &mut Buffer) -> &mut Vec<Self>;
}

/// What a recorded tensor can hold: reals, indices into a dimension, truth values.
pub trait Element: 'static + Copy + Debug {
    /// How programs store it.
    const DTYPE: DType;

    /// For indices into a dimension of known size, that size.
    fn space() -> Option<usize> {
        None
    }
}

/// An index into the dimension `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct In<D>(PhantomData<D>);

impl<D: dfdx::shapes::Dim> Element for In<D> {
    const DTYPE: DType = DType::Index;

    fn space() -> Option<usize> {
        // Of all sizes, a dimension of known size is made from its own alone, and one known at run time from every one.
        let known = D::from_size(0).is_none() || D::from_size(1).is_none();
        known.then(|| (0..=u32::MAX as usize).find(|&size| D::from_size(size).is_some())).flatten()
    }
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;
}

macro_rules! float {
    ($ty:ident, $variant:ident) => {
        impl Element for $ty {
            const DTYPE: DType = DType::$variant;
        }

        #[diagnostic::do_not_recommend]
        impl Float for $ty {
            fn from_f64(value: f64) -> Self {
                value as $ty
            }

            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            fn data(values: &[Self]) -> Data<'_> {
                Data::$variant(values)
            }

            fn slice<'a>(data: &Data<'a>) -> Option<&'a [Self]> {
                match *data {
                    Data::$variant(values) => Some(values),
                    _ => None,
                }
            }

            fn slice_mut<'a>(data: DataMut<'a>) -> Option<&'a mut [Self]> {
                match data {
                    DataMut::$variant(values) => Some(values),
                    _ => None,
                }
            }

            fn buffer(buffer: &mut Buffer) -> &mut Vec<Self> {
                if !matches!(buffer, Buffer::$variant(_)) {
                    *buffer = Buffer::$variant(Vec::new());
                }
                match buffer {
                    Buffer::$variant(values) => values,
                    _ => unreachable!("the buffer has just been made one of this type"),
                }
            }
        }
    };
}

float!(f32, F32);
float!(f64, F64);

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::shapes::Const;

    #[test]
    fn spaces_of_known_size() {
        assert_eq!(In::<Const<7>>::space(), Some(7));
        assert_eq!((In::<Const<0>>::space(), In::<Const<1>>::space()), (Some(0), Some(1)));
        assert_eq!((In::<usize>::space(), bool::space()), (None, None));
    }
}
