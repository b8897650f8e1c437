//! Attention, and positions that turn queries and keys.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::typed::Call;
use super::types::{Axis, Element, Type, shape};
use super::value::Tensor;
use crate::functions::Function;
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::{Misfit, Size as _};

impl<'a> Inference<'a, '_, '_> {
    pub(super) fn attention(
        &mut self,
        function: &'static Function,
        [q, k, v]: [&Tensor; 3],
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        for x in [q, k, v] {
            self.reals("attention", x, at)?;
        }
        let axes = match ansatz_shapes::attention(&q.ty.axes, &k.ty.axes, &v.ty.axes) {
            Ok(axes) => axes,
            Err(misfit) => return self.unattended(&misfit, [q, k, v], at),
        };
        let lead = axes.len() - 3;
        let (heads, shared) = (&axes[lead].size, &k.ty.axes[lead].size);
        if self.facts.dims.quotient(heads, shared).is_none() {
            let (many, few) = (numbered(heads), numbered(shared));
            return self
                .about(
                    k,
                    at,
                    format!("each head of keys serves as many heads of queries, but {few} does not divide {many}"),
                )
                .help(format!("let the queries have a multiple of {shared} heads"))
                .fail();
        }
        let scores = [&axes[..lead + 2], &k.ty.axes[lead + 1..lead + 2]].concat();
        if let Some(Gift::Tensor(mask, span)) = given.get("mask") {
            self.mask(mask, &scores, *span)?;
        }
        self.per_sample("lengths", &axes[..lead], given)?;
        self.per_sample("start", &axes[..lead], given)?;
        if let Some(Gift::Count(0)) = given.get("window") {
            let message = "`window` counts the positions that a query sees, itself included: at least 1";
            return self.fail(at, message);
        }
        let call = Call::new(&function.runtime, [q, k, v]).with_all(function.values(given));
        self.tensor(call, Type::real(axes), at)
    }

    /// Says what is wrong with the shapes of queries, keys and values.
    fn unattended(&mut self, misfit: &Misfit<Axis>, tensors: [&Tensor; 3], at: Place) -> Checked<Tensor> {
        let [q, k, v] = tensors.map(|tensor| &tensor.ty);
        let whole = "`attention` takes queries […, heads, t, e], keys […, heads, s, e] and values […, heads, s, f]";
        let (wrong, message) = match misfit {
            Misfit::Size { operand, axis, .. } => {
                let from_right = q.rank() - axis;
                let message = match (operand, from_right) {
                    (1, 1) => format!("queries and keys have one width, but they are {q} and {k}"),
                    (2, 2) => format!("each key has a value, but keys and values are {k} and {v}"),
                    (2, 3) => format!("keys and values have the same heads, but they are {k} and {v}"),
                    _ => format!("{whole} of the same samples, not {q}, {k} and {v}"),
                };
                (*operand, message)
            }
            Misfit::Rank { operand, .. } => (*operand, format!("{whole}, not {q}, {k} and {v}")),
            Misfit::Axis { .. } => (0, whole.to_owned()),
        };
        self.misfit(misfit, "attention", message, tensors[wrong], at).fail()
    }

    /// A mask of scores: truth values for each key or each score, or reals that are added to the scores.
    fn mask(&mut self, mask: &Tensor, scores: &[Axis], span: Place) -> Checked<()> {
        let lead = scores.len() - 3;
        let keys = [&scores[..lead], &scores[lead + 2..]].concat();
        let for_keys = mask.ty.element == Element::Truth && mask.ty.rank() == keys.len();
        let fits = match (&mask.ty.element, for_keys) {
            (Element::Index(_), _) => {
                let message = format!(
                    "`mask` says by truth values which keys are seen, or adds reals to the scores; this is {}",
                    mask.ty
                );
                return self.fail(span, message);
            }
            (_, true) => mask.ty.axes == keys,
            (_, false) => ansatz_shapes::broadcast(scores, &mask.ty.axes).is_ok_and(|(dims, _)| dims == *scores),
        };
        if fits {
            return Ok(());
        }
        let (scores, keys) = (shape(scores), shape(&keys));
        let message = match mask.ty.element {
            Element::Truth => format!(
                "`mask` has a truth value for each key, {keys}, or for each score, {scores}, but is {}",
                mask.ty
            ),
            _ => format!("`mask` is added to the scores {scores}, but is {}", mask.ty),
        };
        self.about(mask, span, message).fail()
    }

    /// Indices, one for each sample.
    fn per_sample(&mut self, name: &'static str, samples: &[Axis], given: &Given<'a>) -> Checked<()> {
        let Some(Gift::Tensor(tensor, span)) = given.get(name) else { return Ok(()) };
        if !matches!(tensor.ty.element, Element::Index(_)) || tensor.ty.axes != samples {
            let message =
                format!("`{name}` holds an index for each sample, {} in …, but is {}", shape(samples), tensor.ty);
            return self.about(tensor, *span, message).fail();
        }
        Ok(())
    }

    pub(super) fn rotary(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        self.reals("rotary", x, at)?;
        let Some([_, width]) = x.ty.axes.last_chunk::<2>() else {
            let message = format!("`rotary` takes positions and what stands there, […, t, e], but is given {}", x.ty);
            return self.fail(at, message);
        };
        if self.facts.dims.quotient(&width.size, &Term::literal(2)).is_none() {
            let message =
                format!("`rotary` turns pairs of numbers, but the last axis of {} is odd or of unknown size", x.ty);
            return self.about(x, at, message).fail();
        }
        let base = function.number("base", given).unwrap_or(1e4);
        if !(base.is_finite() && base > 0.0) {
            return self.fail(at, format!("`base` of `rotary` is positive, {base} is not"));
        }
        if let Some(Gift::Tensor(start, _)) = given.get("start") {
            let samples = x.ty.axes[..start.ty.rank().min(x.ty.rank() - 2)].to_vec();
            self.per_sample("start", &samples, given)?;
        }
        let call = Call::new(&function.runtime, [x]).with_all(function.values(given));
        self.tensor(call, x.ty.clone(), at)
    }
}

/// `Heads = 6`, `3`
fn numbered(size: &Term) -> String {
    match (size.as_literal(), size.number()) {
        (None, Some(number)) => format!("{size} = {number}"),
        _ => size.to_string(),
    }
}
