//! Calls of the runtime crate: one kind of step, printed as the row of its function says.

use super::{Kernel, Key, Operation, ValueId};
use crate::functions::Runtime;
use crate::infer::value::Tensor;
use crate::terms::Term;

/// A call of a function of the runtime crate.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub of: &'static Runtime,
    /// The tensors that it takes.
    pub tensors: Vec<ValueId>,
    /// The axes that it goes over, ascending.
    pub axes: Vec<usize>,
    /// What keys its draw, if it draws.
    pub label: Option<Key>,
    /// What else it is given, in order, each with its name.
    pub values: Vec<(&'static str, Argument)>,
}

/// What a call is given besides its tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A real number.
    Number(f64),
    /// A whole number.
    Count(usize),
    /// `true` or `false`.
    Flag(bool),
    /// A size.
    Size(Term),
    /// A size as a real number.
    Real(Term),
    /// Sizes.
    Sizes(Vec<Term>),
    /// Whole numbers.
    Counts(Vec<usize>),
    /// Whole numbers for each tensor.
    Lists(Vec<Vec<usize>>),
    /// One of the words of an enum, with its number if it has one.
    Word(&'static str, Option<f64>),
    /// A tensor.
    Tensor(ValueId),
    /// A tensor without its type.
    Erased(ValueId),
    /// Something that may be absent.
    Maybe(Option<Box<Argument>>),
    /// The shape of the result.
    Shape,
    /// How a kernel slides.
    Kernel(Kernel),
    /// Which elements of a point the features on one side of a masked layer know of.
    Degrees(Degrees),
}

/// Which elements of a point features know of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Degrees {
    /// Each of itself: they are the elements.
    Elements,
    /// Of the first ones, in turn 1, 2, … up to so many.
    Hidden(usize),
    /// Of those before the element that they belong to, so many to each.
    Results(usize),
}

impl From<Call> for Operation {
    fn from(call: Call) -> Self {
        Operation::Call(call)
    }
}

impl Argument {
    /// Something that may be absent.
    pub fn maybe(argument: Option<Self>) -> Self {
        Argument::Maybe(argument.map(Box::new))
    }
}

impl Call {
    /// A call with these tensors.
    pub(in crate::infer) fn new<'t>(of: &'static Runtime, tensors: impl IntoIterator<Item = &'t Tensor>) -> Self {
        let tensors = tensors.into_iter().map(|tensor| tensor.id).collect();
        Call { of, tensors, axes: vec![], label: None, values: vec![] }
    }

    /// The same over these axes.
    pub(in crate::infer) fn over(self, axes: Vec<usize>) -> Self {
        Call { axes, ..self }
    }

    /// The same with a draw under this label.
    pub(in crate::infer) fn draws(self, label: Key) -> Self {
        Call { label: Some(label), ..self }
    }

    /// The same with one more value.
    pub(in crate::infer) fn with(mut self, name: &'static str, value: Argument) -> Self {
        self.values.push((name, value));
        self
    }

    /// The same with more values.
    pub(in crate::infer) fn with_all(mut self, values: Vec<(&'static str, Argument)>) -> Self {
        self.values.extend(values);
        self
    }
}
