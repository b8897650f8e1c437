//! What a declared net adds to a model: a function that can be recorded, run and trained.

use super::Model;
use crate::graph::{Graph, NodeId};
use crate::run::Data;
use crate::tensor::{Cpu, Feed, Float, Indices, Named, Scope, Shape, Tensor, cpu, from_vec};
use crate::{Error, Result};
use dfdx::tensor::TensorFromVec;

/// A declared net: a model with a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no net",
    label = "a net that `net!` declares is expected here",
    note = "a trainer is given the net first, then what moves it: `Trainer::builder(Risk::init(0), AdamW::new(1e-3))`"
)]
pub trait Net<E: Float>: Model<E> {
    /// The name in the declaration.
    const NAME: &'static str;
    /// The names of the inputs.
    const INPUTS: &'static [&'static str];
    /// The names of the results; a single unnamed result is called `output`.
    const OUTPUTS: &'static [&'static str];
    /// One value for every input.
    type Batch: BatchOf<Self>;
    /// The results as host tensors.
    type Output: Outputs;
    /// Whether one of the results is a scalar: [`HasLoss`] or [`NoLoss`].
    type Loss;

    /// Declares the inputs on the scope's graph, in order, and records the net; gives the results in order.
    /// `dims` are the run-time dimensions in the order of their first appearance.
    fn trace(scope: &Scope, dims: &[usize]) -> Vec<NodeId>;
}

/// A net that can be trained: one of its results is a scalar.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no loss, so it cannot be trained",
    label = "a net with a scalar result, `[]`, is expected here, before the optimiser",
    note = "declare one around it: `pub net Risk(x: [n, 8], y: [n, 2]) -> [] {{ mse(Mlp(x), y) }}`"
)]
pub trait Trainable<E: Float>: Net<E> {}

#[diagnostic::do_not_recommend]
impl<E: Float, N: Net<E>> Trainable<E> for N where N::Loss: Scalar {}

/// One of the results of a net is a scalar, so that it can be trained.
#[derive(Debug)]
pub struct HasLoss;

/// No result of a net is a scalar.
#[derive(Debug)]
pub struct NoLoss;

/// What stands for a scalar.
#[doc(hidden)]
pub trait Scalar {}

impl Scalar for HasLoss {}

/// A type that a declaration mentions, by its place among all that it mentions: how other `net!`s name it.
#[doc(hidden)]
pub trait Env<const PLACE: usize> {
    /// The type.
    type T;
}

/// The batch of a net whose run-time dimensions are of the types of a tuple: how other `net!`s name it.
#[doc(hidden)]
pub trait BatchFor<Dims> {
    /// The type.
    type T;
}

/// The graph of a net for these run-time dimensions, with its results as named outputs.
///
/// # Errors
/// The first error that recording meets: run-time dimensions that the net cannot take.
pub fn trace<E: Float, M: Net<E>>(dims: &[usize], training: bool) -> Result<Graph> {
    trace_on::<E, M>(&Scope::new(training), dims)
}

/// The same on the root of an empty graph.
pub(super) fn trace_on<E: Float, M: Net<E>>(scope: &Scope, dims: &[usize]) -> Result<Graph> {
    let results = M::trace(scope, dims);
    let mut graph = scope.finish()?;
    for (&name, result) in M::OUTPUTS.iter().zip(results) {
        graph.output(name, result);
    }
    Ok(graph)
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

/// A batch for the net `M`: its own type of batch, with any types of run-time dimensions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a batch of `{M}`",
    label = "the batch of a net `Name` is `NameBatch`, of the same element type"
)]
pub trait BatchOf<M>: Batch {}

/// Collects the run-time dimensions of a batch, in the order of their first appearance, and sees that all inputs agree.
///
/// ```
/// use ansatz::nn::Bindings;
///
/// let mut bindings = Bindings::default();
/// bindings.bind("n", "x", 32)?;
/// bindings.bind("n", "y", 32)?;
/// assert_eq!(bindings.bind("n", "z", 31).unwrap_err().to_string(), "`n` is 32 in `x` and 31 in `z`; all inputs of a batch must agree");
/// assert_eq!(bindings.sizes(), [32]);
/// # Ok::<(), ansatz::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    names: Vec<(&'static str, &'static str)>,
    sizes: Vec<usize>,
}

impl Bindings {
    /// The dimension `dim` has this size in `input`.
    ///
    /// # Errors
    /// If an earlier input says otherwise.
    pub fn bind(&mut self, dim: &'static str, input: &'static str, size: usize) -> Result<()> {
        match self.names.iter().position(|&(name, _)| name == dim) {
            None => {
                self.names.push((dim, input));
                self.sizes.push(size);
                Ok(())
            }
            Some(i) if self.sizes[i] == size => Ok(()),
            Some(i) => Err(Error::value(format!(
                "`{dim}` is {} in `{}` and {size} in `{input}`; all inputs of a batch must agree",
                self.sizes[i], self.names[i].1
            ))),
        }
    }

    /// The size of a dimension, 0 if nothing has bound it.
    pub fn size(&self, dim: &str) -> usize {
        self.names.iter().position(|&(name, _)| name == dim).map_or(0, |i| self.sizes[i])
    }

    /// An axis whose size is calculated from other dimensions, `written` as in the declaration, has the size `found`.
    ///
    /// # Errors
    /// If that is not the size `expected`.
    ///
    /// ```
    /// let mut bindings = ansatz::nn::Bindings::default();
    /// bindings.bind("n", "x", 4)?;
    /// let error = bindings.check("pairs", 0, "2 * n", 2 * bindings.size("n"), 7).unwrap_err();
    /// assert_eq!(error.to_string(), "axis 0 of `pairs` is 7 and should be 2 * n = 8, where `n` is 4 in `x`");
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    pub fn check(&self, input: &str, axis: usize, written: &str, expected: usize, found: usize) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        let words: Vec<&str> = written.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let origins = self.names.iter().zip(&self.sizes).filter(|((dim, _), _)| words.contains(dim));
        let origins: Vec<_> = origins.map(|((dim, input), size)| format!("`{dim}` is {size} in `{input}`")).collect();
        Err(Error::value(format!(
            "axis {axis} of `{input}` is {found} and should be {written} = {expected}, where {}",
            origins.join(" and ")
        )))
    }

    /// The sizes in the order of first appearance.
    pub fn sizes(self) -> Vec<usize> {
        self.sizes
    }
}

/// A result of a program.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The size of each axis.
    pub dims: &'a [usize],
    /// The elements, row-major.
    pub data: Data<'a>,
}

/// The results of a net as host tensors: a tensor if there is one, else a struct with a field for each, whose
/// implementation reads `Outputs::collect(&values[i..=i])?` for the i-th.
pub trait Outputs: Sized {
    /// Makes host tensors of the results of a program, in order.
    ///
    /// # Errors
    /// If they are not of the net's shapes and element types.
    fn collect(values: &[Value<'_>]) -> Result<Self>;
}

impl<S: Shape, E: Float> Outputs for Tensor<S, E, Cpu> {
    fn collect(values: &[Value<'_>]) -> Result<Self> {
        let (value, shape) = one::<S>(values)?;
        let elements = E::slice(&value.data).ok_or_else(|| wrong_type::<E>(value))?;
        from_vec(elements.to_vec(), shape)
    }
}

impl<S: Shape> Outputs for Tensor<S, bool, Cpu> {
    fn collect(values: &[Value<'_>]) -> Result<Self> {
        let (value, shape) = one::<S>(values)?;
        let Data::Bool(elements) = value.data else { return Err(wrong_type::<bool>(value)) };
        let elements = elements.iter().map(|&x| x != 0).collect();
        cpu()
            .try_tensor_from_vec(elements, shape)
            .map_err(|e| Error::value(format!("a result could not be stored: {e}")))
    }
}

impl<S: Shape, D: Named> Outputs for Indices<S, D> {
    fn collect(values: &[Value<'_>]) -> Result<Self> {
        let (value, shape) = one::<S>(values)?;
        let Data::Index(elements) = value.data else { return Err(wrong_type::<u32>(value)) };
        Indices::new(elements, shape)
    }
}

fn one<'v, S: Shape>(values: &'v [Value<'_>]) -> Result<(&'v Value<'v>, S)> {
    let [value] = values else {
        return Err(Error::value(format!("one result is expected, and the program has {}", values.len())));
    };
    let mut dims = S::Concrete::default();
    if value.dims.len() == S::NUM_DIMS {
        for (axis, &size) in value.dims.iter().enumerate() {
            dims[axis] = size;
        }
        if let Some(shape) = S::from_concrete(&dims) {
            return Ok((value, shape));
        }
    }
    Err(Error::shape(
        "collecting a result",
        format!("a result has the shape {:?}, which its type does not take", value.dims),
    ))
}

fn wrong_type<T>(value: &Value<'_>) -> Error {
    let expected = std::any::type_name::<T>();
    Error::value(format!("a result has elements of type {:?} where {expected} is expected", value.data.dtype()))
}
