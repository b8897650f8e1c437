//! Host tensors of indices.

use super::{Named, Shape};
use crate::{Error, Result};
use std::marker::PhantomData;
use std::sync::Arc;

/// A tensor of shape `S` whose elements are indices into the dimension `D`: class labels, tokens. Every element is
/// below the size of `D`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indices<S: Shape, D> {
    values: Arc<[u32]>,
    shape: S,
    space: PhantomData<D>,
}

impl<S: Shape, D: Named> Indices<S, D> {
    /// A tensor of these indices, row-major.
    ///
    /// ```
    /// use ansatz::tensor::{Const, Indices};
    ///
    /// let labels = Indices::<(usize,), Const<10>>::new(vec![3, 1, 9], (3,))?;
    /// assert_eq!(labels.values(), [3, 1, 9]);
    ///
    /// let wrong = Indices::<(usize,), Const<10>>::new(vec![3, 10, 9], (3,));
    /// assert_eq!(
    ///     wrong.unwrap_err().to_string(),
    ///     "the index at position 1 is 10, but `10` has the indices 0 to 9",
    /// );
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there are too few or too many, or one is not below the size of `D`: the message names the first of these,
    /// its position, and the dimension.
    pub fn new(values: impl Into<Arc<[u32]>>, shape: S) -> Result<Self> {
        let values = values.into();
        if values.len() != shape.num_elements() {
            return Err(Error::shape(
                "Indices::new",
                format!(
                    "{} values do not fill the shape {:?}, which takes {}",
                    values.len(),
                    shape.concrete().as_ref(),
                    shape.num_elements()
                ),
            ));
        }
        if let Some(at) = values.iter().position(|&value| value as usize >= D::SIZE) {
            let space = match D::SIZE.checked_sub(1) {
                Some(last) => format!("`{}` has the indices 0 to {last}", D::NAME),
                None => format!("`{}` is empty", D::NAME),
            };
            let position = position(at, shape.concrete().as_ref());
            return Err(Error::value(format!("the index at position {position} is {}, but {space}", values[at])));
        }
        Ok(Indices { values, shape, space: PhantomData })
    }
}

impl<S: Shape, D> Indices<S, D> {
    /// The indices, row-major.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// The shape.
    pub fn shape(&self) -> &S {
        &self.shape
    }
}

/// The place of the `at`-th element: a number, or one for each axis.
fn position(at: usize, dims: &[usize]) -> String {
    if dims.len() <= 1 {
        return at.to_string();
    }
    let mut rest = at;
    let mut place: Vec<String> = dims
        .iter()
        .rev()
        .map(|size| {
            let along = rest % size;
            rest /= size;
            along.to_string()
        })
        .collect();
    place.reverse();
    format!("({})", place.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::shapes::Const;

    crate::declare_dim!(struct Token = 5, 1 0 1);

    #[test]
    fn a_bad_index_is_named_with_its_place() {
        let error = Indices::<_, Token>::new(vec![0, 4, 1, 2, 7, 9], (2, Const::<3>)).expect_err("7 is beyond");
        assert_eq!(error.to_string(), "the index at position (1, 1) is 7, but `Token` has the indices 0 to 4");
    }

    #[test]
    fn the_number_of_values_is_checked() {
        let error = Indices::<_, Token>::new(vec![0, 4], (3,)).expect_err("one is missing");
        assert!(error.to_string().contains("2 values do not fill the shape [3], which takes 3"), "{error}");
    }
}
