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
