//! Sizes that follow from others: `n` where an input is `[2 * n + 1]`.

use crate::infer::types::Type;
use crate::terms::{Atom, Term};

/// Where a run-time dimension is read off: an axis whose size is `factor` times the dimension and `rest` more.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The position of the input.
    pub input: usize,
    /// The axis.
    pub axis: usize,
    /// What the dimension is multiplied by.
    pub factor: Term,
    /// What is added.
    pub rest: Term,
}

impl Reading {
    /// The first axis from which a dimension follows that none has by itself, where those that are `known` do not need it.
    pub fn find<'t>(name: &str, known: &[String], inputs: impl Iterator<Item = Option<&'t Type>>) -> Option<Self> {
        let is_open = |term: &Term| term.open_names().iter().any(|other| !known.contains(other));
        let axes = inputs.enumerate().flat_map(|(input, ty)| {
            ty.into_iter().flat_map(|ty| &ty.axes).enumerate().map(move |(axis, size)| (input, axis, &size.size))
        });
        let mut found = None;
        for (input, axis, size) in axes {
            if matches!(size.as_atom(), Some(Atom::RunTime(own)) if own == name) {
                return None;
            }
            let parts = size.linear_in(name).filter(|(factor, rest)| !is_open(factor) && !is_open(rest));
            found = found.or(parts.map(|(factor, rest)| Reading { input, axis, factor, rest }));
        }
        found
    }

    /// The dimension, where the axis has this size.
    pub fn solution(&self, axis: &Term) -> Term {
        Term::fraction(&axis.minus(&self.rest), &self.factor)
    }
}
