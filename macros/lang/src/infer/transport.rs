//! From noise to data: `path`, `sinkhorn_divergence`, `sliced_wasserstein`.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::typed::{Distance, Operation, Step};
use super::types::Type;
use super::value::{LayerValue, Tensor, Value};
use crate::functions::Function;
use crate::report::{Checked, Place};
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// The coefficients of a path and their derivatives, each in the shape of the time.
    pub(super) fn path(&mut self, s: &Tensor, given: &Given<'a>, at: Place) -> Checked<Value<'a>> {
        self.reals("path", s, at)?;
        let kind = match given.get("kind") {
            Some(Gift::Choice(kind)) => kind,
            _ => "linear",
        };
        let ty = Type::real(s.ty.axes.clone());
        let first = self.values.len();
        self.values.extend(vec![ty.clone(); 4]);
        let results: Vec<_> = (first..first + 4).collect();
        self.steps.push(Step { results: results.clone(), operation: Operation::Path { time: s.id, kind }, span: at });
        let tensor = |id| (None, Value::Tensor(Tensor { id, ty: ty.clone(), trail: Rc::default() }));
        Ok(Value::Tuple(results.into_iter().map(tensor).collect()))
    }

    /// A scalar from two clouds of points.
    pub(super) fn clouds(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        y: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let name = function.name;
        self.reals(name, x, at)?;
        self.reals(name, y, at)?;
        let sliced = name == "sliced_wasserstein";
        let fits = match (&x.ty.axes[..], &y.ty.axes[..]) {
            ([n, d], [m, e]) => d == e && (n == m || !sliced),
            _ => false,
        };
        if !fits {
            let message = format!("`{name}` does not compare {} with {}", x.ty, y.ty);
            let notes = self.notes(y, &[]);
            return self
                .fault(at, message)
                .notes(notes)
                .help(match sliced {
                    true => "give two clouds of equally many points, `[n, d]` and `[n, d]`",
                    false => "give two clouds of points, `[n, d]` and `[m, d]`",
                })
                .fail();
        }
        let count = |name: &str| match given.get(name) {
            Some(Gift::Count(count)) => Some(*count),
            _ => function.number(name, given).map(|count| count as usize),
        };
        let counted = if sliced { "directions" } else { "turns" };
        let number = self.known(count(counted), at)?;
        if number == 0 {
            return self.fault(at, format!("`{counted}` of `{name}` is at least 1")).fail();
        }
        let by = match sliced {
            true => Distance::Sliced { directions: number, label: self.draws(layer, "sliced_wasserstein")? },
            false => {
                let epsilon = self.known(function.number("epsilon", given), at)?;
                if !(epsilon > 0.0 && epsilon.is_finite()) {
                    return self
                        .fault(at, format!("the `epsilon` of `{name}` is a positive number, {epsilon} is not"))
                        .fail();
                }
                Distance::Sinkhorn { epsilon, turns: number }
            }
        };
        self.tensor(Operation::Clouds { inputs: [x.id, y.id], by }, Type::real(vec![]), at)
    }
}
