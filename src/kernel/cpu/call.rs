//! Calls of functions that the library does not know: with their operands in f64, whatever the program computes in.

use super::{Operand, Real};
use crate::kernel::call::{Call, Tensor};

impl Call {
    /// # Panics
    /// If the function gives more or fewer elements than its result has.
    ///
    /// # Safety
    /// Every span lies inside its operand, whose elements are of type `T`; nothing else uses the result meanwhile.
    pub unsafe fn launch<T: Real>(&self, operands: &[Operand]) {
        let first = |operand: usize, offset: usize| operands[operand].pointer.cast::<T>().wrapping_add(offset);
        let read = |(span, dims): &(crate::kernel::pool::Span, Vec<usize>)| -> Vec<f64> {
            let len = dims.iter().product();
            // SAFETY: as the caller says.
            let elements = unsafe { std::slice::from_raw_parts(first(span.operand, span.offset), len) };
            elements.iter().map(|x| x.to_f64()).collect()
        };
        let read: Vec<Vec<f64>> = self.operands.iter().map(read).collect();
        let given = self.operands.iter().zip(&read);
        let given: Vec<Tensor<'_>> = given.map(|((_, dims), elements)| Tensor { dims, elements }).collect();
        let values = self.function.value(&given);
        assert_eq!(values.len(), self.len, "{:?} gives another number of elements than its shape has", self.function);
        // SAFETY: as the caller says.
        let result =
            unsafe { std::slice::from_raw_parts_mut(first(self.result.operand, self.result.offset), self.len) };
        result.iter_mut().zip(values).for_each(|(to, value)| *to = T::from_f64(value));
    }
}
