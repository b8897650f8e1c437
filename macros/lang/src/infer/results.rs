//! The results of a net, against its signature.

use super::block::{Inference, last};
use super::typed::ValueId;
use super::types::Element;
use super::value::Value;
use crate::ast::{Expr, ExprKind, ResultType};
use crate::report::{Checked, Depends, Place, did_you_mean};

impl<'a> Inference<'a, '_, '_> {
    /// Checks the results against the signature.
    pub(super) fn results(&mut self, value: Value<'a>, expr: &'a Expr) -> Checked<Vec<ValueId>> {
        let at = last(expr).span;
        match (&self.item.result, value) {
            (_, Value::Error(lost)) => Err(lost),
            // The head may have meant other results.
            (ResultType::One(_), Value::Tuple(_)) | (ResultType::Named(_), Value::Tensor(_))
                if let Some(lost) = self.item.mended =>
            {
                Err(lost)
            }
            (ResultType::One(_), Value::Tuple(items)) => {
                let (name, count) = (&self.item.name, items.len());
                let message = format!("`{name}` promises one result, but its body gives {count}");
                self.fault(at, message).help("name them in the signature: `-> (loss: [], …)`").fail()
            }
            (ResultType::One(_), value) => Ok(vec![self.result(0, value, at)?]),
            (ResultType::Named(declared), Value::Tuple(items)) => {
                let names: Vec<String> = declared.iter().map(|d| d.name.to_string()).collect();
                self.named_results(&names, items, expr, at)
            }
            (ResultType::Named(declared), other) => {
                let names: Vec<_> = declared.iter().map(|d| format!("{} = …", d.name)).collect();
                let message = format!(
                    "`{}` promises {} results, but its body gives {}",
                    self.item.name,
                    names.len(),
                    other.what()
                );
                self.fault(at, message).help(format!("end the body with `({})`", names.join(", "))).fail()
            }
        }
    }

    fn named_results(
        &mut self,
        names: &[String],
        items: Vec<(Option<String>, Value<'a>)>,
        expr: &'a Expr,
        at: Place,
    ) -> Checked<Vec<ValueId>> {
        let written: Vec<_> = names.iter().map(|name| format!("{name} = …")).collect();
        let form = format!("end the body with `({})`", written.join(", "));
        let place = |i: usize| match &expr.kind {
            ExprKind::Tuple(items) => {
                (items[i].0.as_ref().map_or(items[i].1.span, |name| name.span().into()), last(&items[i].1).span)
            }
            _ => (at, at),
        };
        if items.iter().any(|(name, _)| name.is_none()) {
            return self.fault(at, format!("the results of `{}` have names", self.item.name)).help(form).fail();
        }
        let mut ids: Vec<Option<Checked<ValueId>>> = names.iter().map(|_| None).collect();
        for (i, (name, value)) in items.into_iter().enumerate() {
            let name = name.unwrap_or_default();
            let (name_span, value_span) = place(i);
            match names.iter().position(|n| *n == name) {
                Some(result) if ids[result].is_some() => {
                    return self.fail(name_span, format!("the result `{name}` is given twice"));
                }
                Some(result) => ids[result] = Some(self.result(result, value, value_span)),
                None => {
                    let guess = did_you_mean(&name, names);
                    let message = format!("`{}` promises no result `{name}`", self.item.name);
                    return self
                        .fault(name_span, message)
                        .help(match guess {
                            Some(guess) => format!("did you mean `{guess}`?"),
                            None => form,
                        })
                        .fail();
                }
            }
        }
        let missing: Vec<_> =
            names.iter().zip(&ids).filter(|(_, id)| id.is_none()).map(|(n, _)| format!("`{n}`")).collect();
        if !missing.is_empty() {
            let message =
                format!("`{}` promises {}, but its body does not give it", self.item.name, missing.join(" and "));
            return self.fault(at, message).help(form).fail();
        }
        ids.into_iter().flatten().collect()
    }

    /// Checks one result against the signature.
    fn result(&mut self, index: usize, value: Value<'a>, at: Place) -> Checked<ValueId> {
        let tensor = match value {
            Value::Tensor(tensor) => tensor,
            Value::Error(lost) => return Err(lost),
            Value::Layer(layer) => {
                let message = format!("the body ends with the layer `{}`, not with a tensor", layer.text);
                return self.fault(at, message).help("apply it: `x |> …`").fail();
            }
            other => {
                let message = format!("the result of a net is a tensor, not {}", other.what());
                return self.fail(at, message);
            }
        };
        let declared = self.signature.results[index].as_ref().map_err(|lost| *lost)?;
        if tensor.ty.element == Element::Truth {
            let message = "a result holds real numbers or indices, this holds truth values";
            return self.fault(at, message).help("`to_real(…)` makes them 1 and 0").fail();
        }
        let axes = declared.axes.len() == tensor.ty.rank()
            && declared.axes.iter().zip(&tensor.ty.axes).all(|(d, axis)| d.as_ref().is_none_or(|d| d == axis));
        if axes && declared.element == tensor.ty.element {
            return Ok(tensor.id);
        }
        let holes = declared.axes.iter().map(|axis| axis.as_ref().map_or("_".to_owned(), ToString::to_string));
        let holes = format!("[{}]", holes.collect::<Vec<_>>().join(", "));
        let promised = match &declared.element {
            Element::Index(space) => format!("{holes} in {space}"),
            _ => holes,
        };
        let sizes: Vec<_> = match declared.axes.len() == tensor.ty.rank() {
            true => declared
                .axes
                .iter()
                .zip(&tensor.ty.axes)
                .filter_map(|(d, axis)| d.as_ref().filter(|d| *d != axis).map(|d| (d.size.clone(), axis.size.clone())))
                .collect(),
            false => vec![],
        };
        let name = super::signature::results(self.item)[index].0.map_or(String::new(), |name| format!(" as `{name}`"));
        let message = format!("`{}` promises {promised}{name}, but its body gives {}", self.item.name, tensor.ty);
        let differ = |d: &Option<super::Axis>, axis: &super::Axis| d.as_ref().is_some_and(|d| d != axis);
        let last_alone = declared.axes.len() == tensor.ty.rank()
            && declared.axes.iter().zip(&tensor.ty.axes).rev().skip(1).all(|(d, axis)| !differ(d, axis));
        let wanted = declared.axes.last().cloned().flatten().filter(|_| last_alone);
        let help = match (wanted, self.producer(&tensor, tensor.ty.rank().saturating_sub(1))) {
            (Some(wanted), Some(producer)) => format!("make `{producer}` produce {}", wanted.size),
            _ => format!("change the body, or promise `{}`", tensor.ty),
        };
        let notes = self.notes(&tensor, &sizes);
        self.fault(at, message).depends(Depends::OnShapes).notes(notes).help(help).fail()
    }
}
