//! Calls of functions that the library does not know: with their operands in f64, whatever the program computes in.

use super::{Fault, Kernel, Operand, Real, Scratch};
use crate::call::{Call, Tensor};
use crate::view::View;
use std::slice::{from_raw_parts, from_raw_parts_mut};

impl<T: Real> Kernel<T> for Call {
    fn divides(&self) -> bool {
        false
    }

    fn scratch_bytes(&self, _: usize) -> usize {
        0
    }

    unsafe fn launch(&self, operands: &[Operand], _: usize, _: &mut Scratch) -> Result<(), Fault> {
        let first = |view: &View| operands[view.operand].pointer.cast::<T>().wrapping_add(view.offset);
        let read = |(view, dims): &(View, Vec<usize>)| -> Vec<f64> {
            // SAFETY: as the caller says.
            let elements = unsafe { from_raw_parts(first(view), dims.iter().product()) };
            elements.iter().map(|x| x.to_f64()).collect()
        };
        let read: Vec<Vec<f64>> = self.operands.iter().map(read).collect();
        let given = self.operands.iter().zip(&read);
        let given: Vec<Tensor<'_>> = given.map(|((_, dims), elements)| Tensor { dims, elements }).collect();
        let values = self.function.value(&given);
        if values.len() != self.len {
            let function = format!("{:?}", self.function);
            return Err(Fault::Count { function, given: values.len(), expected: self.len });
        }
        // SAFETY: as the caller says.
        let result = unsafe { from_raw_parts_mut(first(&self.result), self.len) };
        result.iter_mut().zip(values).for_each(|(to, value)| *to = T::from_f64(value));
        Ok(())
    }
}
