//! From noise to data: `path`, `sinkhorn_divergence`, `sliced_wasserstein`.

use super::arguments::Given;
use super::block::Inference;
use super::typed::{Argument, Call, Step};
use super::types::Type;
use super::value::{LayerValue, Tensor, Value};
use crate::functions::Function;
use crate::report::{Checked, Place};
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// The coefficients of a path and their derivatives, each in the shape of the time.
    pub(super) fn path(
        &mut self,
        function: &'static Function,
        s: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Value<'a>> {
        self.reals("path", s, at)?;
        let ty = Type::real(s.ty.axes.clone());
        let first = self.body.values.len();
        self.body.values.extend(vec![ty.clone(); 4]);
        let results: Vec<_> = (first..first + 4).collect();
        let operation = Call::new(&function.runtime, [s]).with_all(function.values(given)).into();
        self.body.steps.push(Step { results: results.clone(), operation, span: at });
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
            return self
                .about(y, at, message)
                .help(match sliced {
                    true => "give two clouds of equally many points, `[n, d]` and `[n, d]`",
                    false => "give two clouds of points, `[n, d]` and `[m, d]`",
                })
                .fail();
        }
        let values = function.values(given);
        for (parameter, value) in &values {
            let message = match value {
                Argument::Count(0) => format!("`{parameter}` of `{name}` is at least 1"),
                Argument::Number(number) if !(*number > 0.0 && number.is_finite()) => {
                    format!("the `{parameter}` of `{name}` is a positive number, {number} is not")
                }
                _ => continue,
            };
            return self.fail(at, message);
        }
        let mut call = Call::new(&function.runtime, [x, y]).with_all(values);
        if sliced {
            call = call.draws(self.draws(layer, "sliced_wasserstein")?);
        }
        self.tensor(call, Type::real(vec![]), at)
    }
}
