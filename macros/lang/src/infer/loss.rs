//! Losses.

use super::arguments::{Gift, Given};
use super::arithmetic::with_ones;
use super::block::Inference;
use super::typed::{Argument, Call};
use super::types::{Element, Type, shape};
use super::value::Tensor;
use crate::functions::Function;
use crate::report::{Checked, Place};

impl<'a> Inference<'a, '_, '_> {
    pub(super) fn cross_entropy(
        &mut self,
        function: &'static Function,
        logits: &Tensor,
        target: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        if let (Element::Index(_), Element::Real) = (&logits.ty.element, &target.ty.element) {
            let message = format!("`cross_entropy` takes the logits first, but is given {} first", logits.ty);
            return self.fault(at, message).help("swap them: `cross_entropy(logits, target)`").fail();
        }
        self.reals(function.name, logits, at)?;
        let Some((classes, leading)) = logits.ty.axes.split_last() else {
            return self.fail(at, "`cross_entropy` takes logits with an axis of classes, but is given []");
        };
        let Element::Index(space) = &target.ty.element else {
            let message = format!("the target of `cross_entropy` holds indices into {classes}, but is {}", target.ty);
            return self.about(target, at, message).help(format!("declare it `[…] in {}`", classes.size)).fail();
        };
        if *space != classes.size {
            let message =
                format!("the last axis of the logits is {}, but the target holds indices into {space}", classes.size);
            let notes = self.notes(logits, &[(classes.size.clone(), space.clone())]);
            return self
                .fault(at, message)
                .notes(notes)
                .help(format!("let the logits end in {space}, or declare the target `in {}`", classes.size))
                .fail();
        }
        if let Err(misfit) = ansatz_shapes::same(leading, &target.ty.axes) {
            let message = format!(
                "`cross_entropy` of logits {} takes targets {}, but is given {}",
                logits.ty,
                shape(leading),
                shape(&target.ty.axes)
            );
            return self.misfit(&misfit, function.name, message, target, at).fail();
        }
        let weights = match given.get("weights") {
            Some(Gift::Tensor(weights, span)) => {
                self.reals(function.name, weights, *span)?;
                if let Err(misfit) = ansatz_shapes::same(std::slice::from_ref(classes), &weights.ty.axes) {
                    let message =
                        format!("`weights` has one weight for each class, [{classes}], but is {}", weights.ty);
                    return self.misfit(&misfit, "weights", message, weights, *span).fail();
                }
                Some(weights.id)
            }
            _ => None,
        };
        let ignore = match given.get("ignore") {
            Some(Gift::Count(class)) => Some(*class),
            _ => None,
        };
        if let (Some(class), Some(number)) = (ignore, classes.size.number())
            && class >= number
        {
            return self
                .fail(at, format!("`ignore = {class}` is no index into {}, which has size {number}", classes.size));
        }
        let label_smoothing = function.number("label_smoothing", given).unwrap_or(0.0);
        let call = Call::new(&function.runtime, [logits, target])
            .with("weights", Argument::maybe(weights.map(Argument::Tensor)))
            .with("ignore", Argument::maybe(ignore.map(Argument::Count)))
            .with("label_smoothing", Argument::Number(label_smoothing));
        self.tensor(call, Type::real(vec![]), at)
    }

    pub(super) fn pair_loss(
        &mut self,
        function: &'static Function,
        a: &Tensor,
        b: &Tensor,
        at: Place,
    ) -> Checked<Tensor> {
        self.reals(function.name, a, at)?;
        self.reals(function.name, b, at)?;
        if let Err(misfit) = ansatz_shapes::same(&a.ty.axes, &b.ty.axes) {
            let message = format!("`{}` takes two tensors of one shape, not {} and {}", function.name, a.ty, b.ty);
            let mend = with_ones(a, b).or_else(|| with_ones(b, a));
            let error = self.misfit(&misfit, function.name, message, b, at);
            if let Some(mend) = mend {
                error.help(mend);
            }
            return error.fail();
        }
        self.map(&function.runtime, &[a, b], vec![], Type::real(vec![]), at)
    }
}
