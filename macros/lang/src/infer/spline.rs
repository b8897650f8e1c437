//! `spline`: a monotone map of each element, whose parameters are a tensor.

use super::arguments::{Given, flag};
use super::block::Inference;
use super::typed::{Operation, Step};
use super::types::Type;
use super::value::{Tensor, Value};
use crate::functions::Function;
use crate::report::Place;
use crate::resolve::{Absorbed, Checked};
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// The map and the logarithm of its slope. The last axis of the parameters has 3K − 1 numbers for each of `x`.
    pub(super) fn spline(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        parameters: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Value<'a>> {
        self.reals("spline", x, at)?;
        self.reals("spline", parameters, at)?;
        let bound = function.number("bound", given).ok_or(Absorbed)?;
        if !(bound > 0.0 && bound.is_finite()) {
            self.fault(at, format!("the `bound` of `spline` is a positive number, {bound} is not"));
            return Err(Absorbed);
        }
        let fits = match (x.ty.axes.split_last(), parameters.ty.axes.split_last()) {
            (Some((last, leading)), Some((all, others))) if leading == others => {
                match (last.size.number(), all.size.number()) {
                    (Some(elements), Some(numbers)) => {
                        let each = numbers / elements.max(1);
                        each * elements == numbers && each >= 5 && each % 3 == 2
                    }
                    _ => false,
                }
            }
            _ => false,
        };
        if !fits {
            let message = format!("`spline` of {} has no parameters {}", x.ty, parameters.ty);
            let notes = self.notes(parameters, &[]);
            let error = self.fault(at, message);
            error.notes = notes;
            error.help("give each element 3K − 1 of them for K bins, side by side along the last axis: 23 for 8 bins");
            return Err(Absorbed);
        }
        let mut result = || {
            self.values.push(Type::real(x.ty.axes.clone()));
            self.values.len() - 1
        };
        let results = vec![result(), result()];
        let inverse = flag("inverse", given, false);
        let operation = Operation::Spline { input: x.id, parameters: parameters.id, bound, inverse };
        self.steps.push(Step { results: results.clone(), operation, span: at });
        let tensor = |id| Value::Tensor(Tensor { id, ty: Type::real(x.ty.axes.clone()), trail: Rc::default() });
        Ok(Value::Tuple(results.into_iter().map(|id| (None, tensor(id))).collect()))
    }
}
