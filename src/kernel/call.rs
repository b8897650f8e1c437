//! A call of a function that the library does not know, as data.

use super::view::{Access, View};
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

/// One launch. Its views are dense.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub function: Arc<dyn Function>,
    /// The operands with their shapes.
    pub operands: Vec<(View, Vec<usize>)>,
    /// The result.
    pub result: View,
    /// How many elements it has.
    pub len: usize,
}

impl Call {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        for (view, dims) in &mut self.operands {
            visit(Access::Read, view, &[dims.iter().product()]);
        }
        visit(Access::Write, &mut self.result, &[self.len]);
    }
}
