//! Reductions, and which axes `over` names.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::text::text;
use super::typed::Call;
use super::types::{Axis, Element, Type};
use super::value::Tensor;
use crate::ast::{Expr, ExprKind};
use crate::functions::runtime::TO_FLOAT;
use crate::functions::{Function, runtime};
use crate::report::{Checked, Place, did_you_mean};
use crate::terms::Atom;
use proc_macro2::Ident;

impl<'a> Inference<'a, '_, '_> {
    pub(super) fn reduce(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let x = match x.ty.element {
            // The mean of truth values is how often they hold.
            Element::Truth if matches!(function.name, "sum" | "mean") => {
                let ty = x.ty.of(Element::Real);
                let real = self.tensor(Call::new(&TO_FLOAT, [x]), ty, at)?;
                Tensor { trail: x.trail.clone(), ..real }
            }
            _ => x.clone(),
        };
        self.reals(function.name, &x, at)?;
        let axes = match given.get("over") {
            Some(Gift::Pattern(pattern, environment)) => {
                return self.reduce_pattern(function, &x, pattern, &environment.clone(), given, at);
            }
            Some(Gift::Axes(over)) => self.over(function.name, over, &x)?,
            _ => (0..x.ty.rank()).collect(),
        };
        if axes.is_empty() {
            if matches!(function.name, "var" | "normal_log_prob") {
                return self
                    .fail(at, format!("`{}` takes a tensor with axes, but is given a scalar []", function.name));
            }
            return Ok(x);
        }
        let kept = self.known(ansatz_shapes::reduce(&x.ty.axes, &axes).ok(), at)?;
        let call = Call::new(&function.runtime, [&x]).over(axes).with_all(function.values(given));
        self.tensor(call, Type::real(kept), at)
    }

    pub(super) fn argmax(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        self.reals("argmax", x, at)?;
        let axis = self.one_axis("argmax", x, given, at)?;
        let kept = self.known(ansatz_shapes::reduce(&x.ty.axes, &[axis]).ok(), at)?;
        let ty = Type { element: Element::Index(x.ty.axes[axis].size.clone()), axes: kept };
        self.tensor(Call::new(runtime("argmax"), [x]).over(vec![axis]), ty, at)
    }

    pub(super) fn along(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        self.reals(function.name, x, at)?;
        let axis = self.one_axis(function.name, x, given, at)?;
        self.tensor(Call::new(&function.runtime, [x]).over(vec![axis]), x.ty.clone(), at)
    }

    /// The one axis of `over`, or else the last.
    pub(super) fn one_axis(&mut self, callee: &str, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<usize> {
        let Some(Gift::Axes(over)) = given.get("over") else {
            return x.ty.rank().checked_sub(1).ok_or_else(|| {
                self.fault(at, format!("`{callee}` takes a tensor with axes, but is given a scalar []")).reported()
            });
        };
        match self.over(callee, over, x)?.as_slice() {
            [axis] => Ok(*axis),
            axes => {
                let message = format!("`{callee}` goes over one axis, not over {}", axes.len());
                self.fail(over.span, message)
            }
        }
    }

    /// The axes that `over = …` names, ascending.
    pub(super) fn over(&mut self, callee: &str, over: &'a Expr, x: &Tensor) -> Checked<Vec<usize>> {
        let names: Vec<&Ident> = match &over.kind {
            ExprKind::Name(name) => vec![name],
            ExprKind::Tuple(items) => {
                let names = items.iter().map(|(_, item)| match &item.kind {
                    ExprKind::Name(name) => Ok(name),
                    _ => Err(item),
                });
                match names.collect() {
                    Ok(names) => names,
                    Err(item) => return self.no_axis(callee, item),
                }
            }
            ExprKind::Error(lost) => return Err(*lost),
            _ => return self.no_axis(callee, over),
        };
        let mut axes = vec![];
        for name in names {
            let axis = self.axis(callee, name, x)?;
            if axes.contains(&axis) {
                return self.fail(name.span(), format!("`over` names the axis `{name}` twice"));
            }
            axes.push(axis);
        }
        axes.sort_unstable();
        Ok(axes)
    }

    fn no_axis<T>(&mut self, callee: &str, item: &Expr) -> Checked<T> {
        let message = format!("`over` takes the label or the dimension of an axis, not `{}`", text(item));
        self.fault(item.span, message)
            .help(format!("label the axis in the signature, `[…, h = 32]`, and write `{callee}(…, over = h)`"))
            .fail()
    }

    /// A label, or else what is left of a dimension of the head, or a dimension, that occurs once.
    fn axis(&mut self, callee: &str, name: &Ident, x: &Tensor) -> Checked<usize> {
        let wanted = name.to_string();
        let axes = &x.ty.axes;
        let labelled = axes.iter().position(|axis| axis.label.as_ref() == Some(&wanted));
        if let Some(axis) = labelled {
            return Ok(axis);
        }
        let once = |found: &dyn Fn(&Axis) -> bool| (0..axes.len()).filter(|&i| found(&axes[i])).collect::<Vec<usize>>();
        let left = once(&|axis| axis.known_as() == Some(&wanted));
        let term = self.facts.dims.term(&wanted);
        let found = if left.len() == 1 { left } else { once(&|axis| term.as_ref() == Some(&axis.size)) };
        match found.as_slice() {
            [axis] => Ok(*axis),
            [] => {
                let known: Vec<String> = axes
                    .iter()
                    .flat_map(|axis| {
                        let size = match axis.size.as_atom() {
                            Some(Atom::Nominal { name, .. } | Atom::RunTime(name)) => Some(name.clone()),
                            _ => None,
                        };
                        axis.known_as().cloned().or(size)
                    })
                    .collect();
                let guess = did_you_mean(&wanted, &known);
                let message = format!("`{callee}` is given {}, which has no axis `{wanted}`", x.ty);
                let notes = self.notes(x, &[]);
                // A trail of one step repeats the sentence.
                let error = self.fault(name.span(), message).notes(if x.trail.len() > 1 { notes } else { vec![] });
                match guess {
                    Some(guess) => error.help(format!("did you mean `{guess}`?")),
                    None => {
                        let named = match known.is_empty() {
                            true => "its axes have no names".to_owned(),
                            false => format!("it has {}", known.join(", ")),
                        };
                        error.help(format!(
                            "{named}; label one in the signature, `[…, {wanted} = …]`, or go by a pattern"
                        ))
                    }
                }
                .fail()
            }
            several => {
                let letters: Vec<String> = (0..axes.len()).map(|i| char::from(b'a' + i as u8).to_string()).collect();
                let labels: Vec<_> =
                    axes.iter().zip(&letters).map(|(axis, letter)| format!("{letter} = {}", axis.size)).collect();
                let message = format!("{} axes of {} are `{wanted}`", several.len(), x.ty);
                self.fault(name.span(), message)
                    .help(format!("label them in the signature, `[{}]`, and name one label", labels.join(", ")))
                    .fail()
            }
        }
    }
}
