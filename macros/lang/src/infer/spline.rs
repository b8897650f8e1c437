//! `spline` and `affine`: a monotone map of each element, whose parameters are a tensor.

use super::arguments::{Given, flag};
use super::bijections::mapping;
use super::block::Inference;
use super::value::{Tensor, Value};
use crate::functions::{Function, Rule};
use crate::report::{Checked, Place};

impl<'a> Inference<'a, '_, '_> {
    /// The map and the logarithm of its slope. The last axis of the parameters has 3K − 1 numbers for each of `x`, or 2 of an
    /// affine map.
    pub(super) fn transform(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        parameters: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Value<'a>> {
        let (name, affine) = (function.name, function.rule == Rule::Affine);
        self.reals(name, x, at)?;
        self.reals(name, parameters, at)?;
        let bound = if affine { None } else { Some(self.known(function.number("bound", given), at)?) };
        self.positive_bound(bound.unwrap_or(1.0), at)?;
        let fits = match (x.ty.axes.split_last(), parameters.ty.axes.split_last()) {
            (Some((last, leading)), Some((all, others))) if leading == others => {
                match (last.size.number(), all.size.number()) {
                    (Some(elements), Some(numbers)) => {
                        let each = numbers / elements.max(1);
                        let right = if affine { each == 2 } else { each >= 5 && each % 3 == 2 };
                        each * elements == numbers && right
                    }
                    _ => false,
                }
            }
            _ => false,
        };
        if !fits {
            let message = format!("`{name}` of {} has no parameters {}", x.ty, parameters.ty);
            return self
                .about(parameters, at, message)
                .help(match affine {
                    true => "give each element 2 of them, side by side along the last axis",
                    false => {
                        "give each element 3K − 1 of them for K bins, side by side along the last axis: 23 for 8 bins"
                    }
                })
                .fail();
        }
        let inverse = flag("inverse", given, false);
        let (y, slope) = self.two(mapping(x, parameters, bound, inverse), x, at);
        Ok(Value::Tuple(vec![(None, Value::Tensor(y)), (None, Value::Tensor(slope))]))
    }

    /// Where a spline begins and ends.
    pub(super) fn positive_bound(&mut self, bound: f64, at: Place) -> Checked<()> {
        if bound > 0.0 && bound.is_finite() {
            return Ok(());
        }
        self.fail(at, format!("the `bound` of `spline` is a positive number, {bound} is not"))
    }
}
