//! A call of a function that the library does not know, as data.

use super::pool::Span;
use std::fmt::Debug;
use std::sync::Arc;

/// A function of tensors of real numbers.
pub trait Function: Debug + Send + Sync {
    /// The elements of the result, row-major, as many as its shape has.
    fn value(&self, operands: &[Tensor<'_>]) -> Vec<f64>;
}

/// Real numbers with their shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor<'a> {
    /// The size of each axis.
    pub dims: &'a [usize],
    /// The elements, row-major.
    pub elements: &'a [f64],
}

/// One launch.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub function: Arc<dyn Function>,
    /// The operands with their shapes; their elements lie one after the other.
    pub operands: Vec<(Span, Vec<usize>)>,
    /// The result.
    pub result: Span,
    /// How many elements it has.
    pub len: usize,
}
