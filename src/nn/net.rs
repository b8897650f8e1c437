//! What a declared net adds to a model: a function that can be recorded, run and trained.

use super::Model;
use crate::Result;
use crate::graph::NodeId;
use crate::run::Data;
use crate::tensor::{Feed, Float, Scope};

/// A declared net: a model with a function.
pub trait Net<E: Float>: Model<E> {
    /// The name in the declaration.
    const NAME: &'static str;
    /// The names of the inputs.
    const INPUTS: &'static [&'static str];
    /// The names of the results; a single unnamed result is called `output`.
    const OUTPUTS: &'static [&'static str];
    /// One value for every input.
    type Batch: Batch;
    /// The results as host tensors.
    type Output: Outputs;

    /// Declares the inputs on the scope's graph, in order, and records the net; gives the results in order.
    /// `dims` are the run-time dimensions in the order of their first appearance.
    fn trace(scope: &Scope, dims: &[usize]) -> Vec<NodeId>;
}

/// One value for every input of a net.
pub trait Batch {
    /// The run-time dimensions in the order of their first appearance.
    ///
    /// # Errors
    /// If two inputs disagree on a dimension, naming both.
    fn dims(&self) -> Result<Vec<usize>>;

    /// Copies every input, in order, to where a program reads it.
    fn feed(&self, feed: &mut Feed);
}

/// The results of a net as host tensors.
pub trait Outputs: Sized {
    /// Reads the results from the outputs of a program, in order. `dims` are the run-time dimensions of the batch.
    ///
    /// # Errors
    /// If they are not of the net's shapes.
    fn collect(dims: &[usize], outputs: &[Data<'_>]) -> Result<Self>;
}
