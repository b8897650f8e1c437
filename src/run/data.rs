//! Slices of the element types a program knows.

use crate::graph::DType;

/// A slice of elements of one of the types a program knows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // each is a slice of the element type of its name
pub enum Data<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    Index(&'a [u32]),
    Bool(&'a [u8]),
}

/// The same, to write to.
#[derive(Debug)]
#[allow(missing_docs)] // each is a slice of the element type of its name
pub enum DataMut<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    Index(&'a mut [u32]),
    Bool(&'a mut [u8]),
}

impl<'a> Data<'a> {
    /// So many elements from an address on.
    ///
    /// # Safety
    /// The address is aligned for the elements, and there are so many, which nobody changes as long as the slice lives.
    pub(super) unsafe fn at(first: *const u8, len: usize, dtype: DType) -> Self {
        use std::slice::from_raw_parts;
        // SAFETY: as the caller says; any bits are a number.
        unsafe {
            match dtype {
                DType::F32 => Data::F32(from_raw_parts(first.cast(), len)),
                DType::F64 => Data::F64(from_raw_parts(first.cast(), len)),
                DType::Index => Data::Index(from_raw_parts(first.cast(), len)),
                DType::Bool => Data::Bool(from_raw_parts(first, len)),
                DType::Bf16 => unreachable!("no node of a graph is stored with sixteen bits, see `compile`"),
            }
        }
    }
}

impl Data<'_> {
    /// Whether no element is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        match self {
            Data::F32(v) => v.iter().all(|x| x.is_finite()),
            Data::F64(v) => v.iter().all(|x| x.is_finite()),
            Data::Index(_) | Data::Bool(_) => true,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::Index(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::Index(_) => DType::Index,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// The bytes of the elements.
    #[cfg(feature = "cuda")]
    pub(super) fn bytes(&self) -> &[u8] {
        fn of<T>(values: &[T]) -> &[u8] {
            // SAFETY: numbers without padding, as bytes.
            unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
        }
        match self {
            Data::F32(v) => of(v),
            Data::F64(v) => of(v),
            Data::Index(v) => of(v),
            Data::Bool(v) => v,
        }
    }

    /// The elements as reals, truth values as 0 and 1.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(v) => v.to_vec(),
            Data::Index(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::Bool(v) => v.iter().map(|&x| f64::from(x)).collect(),
        }
    }
}

impl DataMut<'_> {
    /// Copies elements of equal type and number; false if they are not.
    pub fn copy_from(self, from: Data<'_>) -> bool {
        match (self, from) {
            (DataMut::F32(to), Data::F32(from)) if from.len() == to.len() => to.copy_from_slice(from),
            (DataMut::F64(to), Data::F64(from)) if from.len() == to.len() => to.copy_from_slice(from),
            (DataMut::Index(to), Data::Index(from)) if from.len() == to.len() => to.copy_from_slice(from),
            (DataMut::Bool(to), Data::Bool(from)) if from.len() == to.len() => to.copy_from_slice(from),
            _ => return false,
        }
        true
    }
}
