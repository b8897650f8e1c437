//! Host tensors: dfdx's tensors, and how data comes in and out of them.

use super::{Cpu, Float, Shape, Tensor};
use crate::{Error, Result};
use dfdx::tensor::{Gradients, TensorFromVec};
use dfdx::tensor_ops::ReshapeTo;
use std::fmt::Debug;
use std::sync::OnceLock;

/// The device of the tensors that this library makes; one for all, as each has its own generator and cache.
pub fn cpu() -> Cpu {
    static CPU: OnceLock<Cpu> = OnceLock::new();
    CPU.get_or_init(Cpu::default).clone()
}

/// A tensor of these elements, row-major.
///
/// ```
/// use ansatz::tensor::{Const, from_vec, to_vec};
///
/// let x = from_vec(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (2, Const::<3>))?;
/// assert_eq!(to_vec(&x)[3], 4.0);
/// assert!(from_vec(vec![1.0], (2, Const::<3>)).is_err());
/// # Ok::<(), ansatz::Error>(())
/// ```
///
/// # Errors
/// If there are too few or too many.
pub fn from_vec<S: Shape, E: Float>(values: Vec<E>, shape: S) -> Result<Tensor<S, E, Cpu>> {
    let (found, dims) = (values.len(), shape.concrete());
    if dims.as_ref().iter().try_fold(1usize, |len, &size| len.checked_mul(size)).is_none() {
        let problem = format!("the shape {:?} has more elements than can be counted", dims.as_ref());
        return Err(Error::shape("from_vec", problem));
    }
    cpu().try_tensor_from_vec(values, shape).map_err(|_| {
        Error::shape(
            "from_vec",
            format!("{found} values do not fill the shape {:?}, which takes {}", dims.as_ref(), shape.num_elements()),
        )
    })
}

/// The elements of a tensor, row-major.
pub fn to_vec<S: Shape, E: Float>(x: &Tensor<S, E, Cpu>) -> Vec<E> {
    let mut values = vec![E::default(); dfdx::shapes::HasShape::shape(x).num_elements()];
    copy_into(x, &mut values);
    values
}

/// Copies the elements of a tensor, row-major, to a slice of their number.
///
/// # Panics
/// If the slice has another length.
pub fn copy_into<S: Shape, E: Float>(x: &Tensor<S, E, Cpu>, values: &mut [E]) {
    // dfdx copies memory as it lies; a broadcast or permuted tensor is first laid out in order.
    x.clone().contiguous().copy_into(values);
}

/// The same tensor under a shape type with equal sizes: run-time dimensions as static ones and the reverse.
///
/// # Errors
/// If the sizes differ.
pub fn realize<S: Shape, Dst: Shape, E: Float>(x: Tensor<S, E, Cpu>, shape: Dst) -> Result<Tensor<Dst, E, Cpu>> {
    let found = dfdx::shapes::HasShape::shape(&x).concrete();
    if found.as_ref() != shape.concrete().as_ref() {
        return Err(Error::shape(
            "realize",
            format!("a tensor of shape {:?} is taken for one of shape {:?}", found.as_ref(), shape.concrete().as_ref()),
        ));
    }
    x.try_reshape_like(&shape).map_err(|e| Error::value(format!("a tensor could not be laid out in order: {e}")))
}

/// A host tensor whose type does not tell its shape: how a model shows its tensors.
pub trait HostTensor<E: Float>: Debug {
    /// The size of each axis.
    fn dims(&self) -> Vec<usize>;

    /// The elements, row-major.
    fn to_vec(&self) -> Vec<E>;

    /// Copies the elements, row-major, to a slice of their number.
    ///
    /// # Panics
    /// If the slice has another length.
    fn copy_into(&self, values: &mut [E]);

    /// A handle on the same tensor; the elements are shared.
    fn handle(&self) -> Box<dyn HostTensor<E>>;

    /// Whether the elements lie row-major in memory, with none missing.
    fn is_contiguous(&self) -> bool;

    /// Adds to this tensor's gradient on dfdx's tape.
    ///
    /// # Errors
    /// If dfdx cannot allocate it, or it has another number of elements.
    fn add_gradient(&self, gradients: &mut Gradients<E, Cpu>, values: &[E]) -> Result<(), dfdx::tensor::CpuError>;
}

impl<S: Shape, E: Float> HostTensor<E> for Tensor<S, E, Cpu> {
    fn dims(&self) -> Vec<usize> {
        dfdx::shapes::HasShape::shape(self).concrete().into()
    }

    fn to_vec(&self) -> Vec<E> {
        to_vec(self)
    }

    fn copy_into(&self, values: &mut [E]) {
        copy_into(self, values);
    }

    fn handle(&self) -> Box<dyn HostTensor<E>> {
        Box::new(self.clone())
    }

    fn is_contiguous(&self) -> bool {
        // dfdx hides the strides. `contiguous` gives the tensor itself if there is nothing to do, and gradients are
        // kept by identity, so the two then share theirs.
        let mut gradients = Gradients::<E, Cpu>::leaky();
        let mut address = |x: &Tensor<S, E, Cpu>| gradients.get_or_alloc_mut(x).map(|own| own.as_ptr());
        let (own, laid_out) = (address(self), address(&self.clone().contiguous()));
        matches!((own, laid_out), (Ok(own), Ok(laid_out)) if own == laid_out)
    }

    fn add_gradient(&self, gradients: &mut Gradients<E, Cpu>, values: &[E]) -> Result<(), dfdx::tensor::CpuError> {
        let own = gradients.get_or_alloc_mut(self)?;
        if own.len() != values.len() {
            return Err(dfdx::tensor::CpuError::WrongNumElements);
        }
        for (own, &value) in own.iter_mut().zip(values) {
            *own += value;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::shapes::Const;
    use dfdx::tensor_ops::{BroadcastTo, PermuteTo};

    #[test]
    fn views_are_read_in_order() {
        let x = from_vec(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (Const::<2>, Const::<3>)).expect("six values");
        let transposed: Tensor<(Const<3>, Const<2>), f64, Cpu> = x.clone().permute();
        assert_eq!(to_vec(&transposed), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let row = from_vec(vec![1.0, 2.0], (Const::<2>,)).expect("two values");
        let repeated: Tensor<(Const<3>, Const<2>), f64, Cpu> = row.broadcast();
        assert_eq!(to_vec(&repeated), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
        assert!(x.is_contiguous());
        assert!(!transposed.is_contiguous());
        assert!(!repeated.is_contiguous());
    }

    #[test]
    fn sizes_are_checked_when_a_shape_type_is_replaced() {
        let x = from_vec(vec![1.0f32; 6], (2, Const::<3>)).expect("six values");
        assert!(realize(x.clone(), (Const::<2>, 3)).is_ok());
        assert!(realize(x, (Const::<3>, 2)).is_err());
    }
}
