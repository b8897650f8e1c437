//! The types of tensors: axes with labels and symbolic sizes, and what the elements are.

use crate::terms::Term;
use ansatz_shapes::Size;
use std::fmt;

/// An axis: a label where one is known, and a size.
#[derive(Clone, Debug)]
pub struct Axis {
    /// `h` of `h = 32`.
    pub label: Option<String>,
    /// The dimension that it was in the head of a net, whatever became of its size: `over` finds it by that.
    pub origin: Option<String>,
    /// Its size.
    pub size: Term,
}

/// Axes are the same if their sizes are provably the same and their labels, where both have one, agree.
impl PartialEq for Axis {
    fn eq(&self, other: &Self) -> bool {
        let labels = self.label.is_none() || other.label.is_none() || self.label == other.label;
        labels && self.size == other.size
    }
}

impl Size for Axis {
    fn literal(size: usize) -> Self {
        Axis::from(Term::literal(size))
    }

    fn plus(&self, other: &Self) -> Self {
        Axis::from(self.size.plus(&other.size))
    }

    fn times(&self, other: &Self) -> Self {
        Axis::from(self.size.times(&other.size))
    }

    fn windows(&self, reach: usize, stride: usize, padding: usize) -> Option<Self> {
        Some(self.resized(self.size.windows(reach, stride, padding)?))
    }

    fn covered(&self, reach: usize, stride: usize, padding: usize) -> Option<Self> {
        Some(self.resized(self.size.covered(reach, stride, padding)?))
    }

    fn is_one(&self) -> bool {
        self.size.is_one()
    }
}

impl From<Term> for Axis {
    fn from(size: Term) -> Self {
        Axis { label: None, origin: None, size }
    }
}

impl Axis {
    /// The same axis with another size.
    pub fn resized(&self, size: Term) -> Self {
        Axis { size, ..self.clone() }
    }

    /// The label, or else the dimension of a head, that the program knows it by.
    pub fn known_as(&self) -> Option<&String> {
        self.label.as_ref().or(self.origin.as_ref())
    }

    /// An axis of another size in its place: whoever looks for the old one finds it.
    pub fn replaced(&self, size: Term) -> Self {
        Axis { label: None, origin: self.known_as().cloned(), size }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Some(label) => write!(f, "{label} = {}", self.size),
            None => write!(f, "{}", self.size),
        }
    }
}

/// What the elements of a tensor are.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// Real numbers.
    Real,
    /// Indices into a dimension.
    Index(Term),
    /// Truth values.
    Truth,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Real => write!(f, "real numbers"),
            Element::Index(space) => write!(f, "indices into {space}"),
            Element::Truth => write!(f, "truth values"),
        }
    }
}

/// The type of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// What the elements are.
    pub element: Element,
    /// The axes.
    pub axes: Vec<Axis>,
}

impl Type {
    /// A tensor of reals.
    pub fn real(axes: Vec<Axis>) -> Self {
        Type { element: Element::Real, axes }
    }

    /// The same axes with other elements.
    pub fn of(&self, element: Element) -> Self {
        Type { element, axes: self.axes.clone() }
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.axes.len()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", shape(&self.axes))?;
        match &self.element {
            Element::Real => Ok(()),
            Element::Index(space) => write!(f, " in {space}"),
            Element::Truth => write!(f, " of truth values"),
        }
    }
}

/// `[n, h = 32]`
pub fn shape(axes: &[Axis]) -> String {
    let axes: Vec<_> = axes.iter().map(ToString::to_string).collect();
    format!("[{}]", axes.join(", "))
}
