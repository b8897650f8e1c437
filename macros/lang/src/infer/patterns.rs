//! Patterns: how the axes of a tensor are split, moved, merged, inserted, and summed over.
//!
//! A pattern is read in two steps. The left side gives every part of every axis a size: names in scope are asserted, a
//! fresh name is what remains of its axis. The right side lists the parts of the result.

use super::arguments::Given;
use super::block::Inference;
use super::typed::{Argument, Call};
use super::types::{Axis, Type};
use super::value::{Environment, Tensor, Value};
use crate::ast::{Operand, Pattern, PatternAxis, Size};
use crate::functions::Function;
use crate::functions::runtime::{EINSUM, REARRANGE};
use crate::report::{Checked, Depends, Place};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use proc_macro2::{Ident, Span};
use std::collections::BTreeMap;

/// The parts that have a name, by it.
type Named = BTreeMap<String, Axis>;

/// A part of the result: one of the parts on the left, a new axis that repeats, or an axis of size 1.
enum Source {
    Left(usize),
    New(Axis),
    One,
}

/// A part of an axis on the left.
struct Part {
    /// `None` for a number.
    name: Option<Ident>,
    axis: Axis,
    span: Span,
}

impl<'a> Inference<'a, '_, '_> {
    /// `x |> [n, t, (heads e)] -> [n, heads, t, e]`
    pub(super) fn rearrange(
        &mut self,
        pattern: &'a Pattern,
        x: &Tensor,
        environment: &Environment<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let parts = self.left(&pattern.from, x, environment, at)?;
        let sources = self.right(&pattern.to, &parts, environment)?;
        let lost: Vec<usize> = lost(&parts, &sources);
        if let Some(&first) = lost.first() {
            let part = &parts[first];
            let what = part.name.as_ref().map_or_else(|| part.axis.size.to_string(), ToString::to_string);
            return self
                .fault(part.span, format!("`{what}` does not stand on the right, and a pattern loses nothing"))
                .help("`sum`, `mean`, `max` and `min` take a pattern and go over what does not: `sum([n, c] -> [n])`")
                .fail();
        }
        self.arranged(x, &parts, &sources, &pattern.to, at)
    }

    /// `mean([n, c, h, w] -> [n, c])`
    pub(super) fn reduce_pattern(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        pattern: &'a Pattern,
        environment: &Environment<'a>,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let parts = self.left(&pattern.from, x, environment, at)?;
        let sources = self.right(&pattern.to, &parts, environment)?;
        let lost = lost(&parts, &sources);
        let order = order(&sources);
        let plain = pattern.from.iter().all(|axis| !axis.grouped) && order.is_sorted();
        let ones = |part: &Part| part.name.is_none() && part.axis.size.is_one();
        let (flat, axes) = match plain && !parts.iter().any(ones) {
            true => (x.clone(), lost),
            false => {
                // What goes stands last.
                let all: Vec<usize> = order.iter().chain(&lost).copied().collect();
                let ty = Type { element: x.ty.element.clone(), axes: axes_of(&parts, &all) };
                let operation = moved(x, &parts, all, vec![], vec![]);
                (self.tensor(operation, ty, at)?, (order.len()..order.len() + lost.len()).collect())
            }
        };
        let kept = axes_of(&parts, &order);
        let reduced = match axes.is_empty() {
            // The labels are those of the pattern, even if nothing goes.
            true => Tensor { ty: Type { element: flat.ty.element.clone(), axes: kept }, ..flat },
            false => {
                let call = Call::new(&function.runtime, [&flat]).over(axes).with_all(function.values(given));
                self.tensor(call, Type::real(kept), at)?
            }
        };
        if order.len() == sources.len() && pattern.to.iter().all(|axis| !axis.grouped) {
            return Ok(reduced);
        }
        let kept: Vec<Part> = order
            .iter()
            .map(|&i| Part { name: parts[i].name.clone(), axis: parts[i].axis.clone(), span: parts[i].span })
            .collect();
        let mut next = 0..;
        let sources: Vec<Source> = sources
            .into_iter()
            .map(|source| match source {
                Source::Left(_) => Source::Left(next.next().unwrap_or_default()),
                other => other,
            })
            .collect();
        self.arranged(&reduced, &kept, &sources, &pattern.to, at)
    }

    /// `einsum(q[n, i, e], k[n, j, e] -> [n, i, j])`
    pub(super) fn einsum(
        &mut self,
        operands: &'a [Operand],
        result: &'a [PatternAxis],
        environment: &Environment<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let mut named: Vec<(String, Axis)> = vec![];
        let (mut inputs, mut labels) = (vec![], vec![]);
        for Operand { tensor, axes } in operands {
            let x = match self.value(tensor, environment)? {
                Value::Tensor(x) => x,
                Value::Error(lost) => return Err(lost),
                other => {
                    return Err(self.slot("einsum", &other, tensor.span));
                }
            };
            self.reals("einsum", &x, tensor.span)?;
            if let Some(group) = axes.iter().find(|axis| axis.grouped) {
                return self
                    .fault(group.span, "`einsum` names whole axes")
                    .help("split the axis first: `x |> [n, (a b)] -> [n, a, b]`")
                    .fail();
            }
            let parts = self.left(axes, &x, environment, tensor.span)?;
            let mut own = vec![];
            for (i, part) in parts.iter().enumerate() {
                let Some(name) = &part.name else {
                    return self.fail(part.span, "`einsum` names its axes, numbers have no place here");
                };
                if parts[..i].iter().any(|before| before.name.as_ref() == Some(name)) {
                    return self
                        .fault(part.span, format!("`{name}` stands twice in one tensor"))
                        .help("every axis has a name of its own")
                        .fail();
                }
                let text = name.to_string();
                match named.iter().position(|(known, _)| *known == text) {
                    Some(label) if named[label].1.size != part.axis.size => {
                        let message = format!("`{text}` is {} before and {} here", named[label].1.size, part.axis.size);
                        let notes = self.notes(&x, &[(named[label].1.size.clone(), part.axis.size.clone())]);
                        return self.fault(part.span, message).notes(notes).fail();
                    }
                    Some(label) => own.push(label),
                    None => {
                        named.push((text, part.axis.clone()));
                        own.push(named.len() - 1);
                    }
                }
            }
            inputs.push(x);
            labels.push(own);
        }
        let mut kept = vec![];
        for axis in result {
            let label = match axis.parts.as_slice() {
                [Size::Name(name)] if !axis.grouped => named.iter().position(|(known, _)| name == known),
                _ => None,
            };
            match label {
                Some(label) if kept.contains(&label) => {
                    return self.fail(axis.span, format!("`{}` stands twice in the result", named[label].0));
                }
                Some(label) => kept.push(label),
                None => {
                    let names: Vec<_> = named.iter().map(|(name, _)| format!("`{name}`")).collect();
                    return self
                        .fault(axis.span, "the result of `einsum` names axes of its tensors")
                        .help(format!("these are {}", names.join(", ")))
                        .fail();
                }
            }
        }
        let axes = kept.iter().map(|&label| named[label].1.clone()).collect();
        let call = Call::new(&EINSUM, &inputs).with("labels", Argument::Lists(labels));
        self.tensor(call.with("result", Argument::Counts(kept)), Type::real(axes), at)
    }

    /// The parts of the axes of a tensor.
    fn left(
        &mut self,
        written: &'a [PatternAxis],
        x: &Tensor,
        environment: &Environment<'a>,
        at: Place,
    ) -> Checked<Vec<Part>> {
        if written.len() != x.ty.rank() {
            let names: Vec<_> = written.iter().map(shown).collect();
            let message = format!("[{}] names {} axes, but is given {}", names.join(", "), names.len(), x.ty);
            return self.about(x, at, message).depends(Depends::OnShapes).fail();
        }
        let mut named = Named::new();
        let mut parts: Vec<Part> = vec![];
        for (written, axis) in written.iter().zip(&x.ty.axes) {
            let mut known = Term::literal(1);
            let mut fresh = None;
            let start = parts.len();
            for size in &written.parts {
                let (name, term, span) = match size {
                    Size::Name(name) => (Some(name.clone()), self.in_scope(name, axis, environment), name.span()),
                    Size::Literal(number, span) => (None, Some(Term::literal(*number)), *span),
                    _ => return self.unexplained(written.span),
                };
                // A size that is known may stand in several axes, as a number may.
                if let (Some(name), None) = (&name, &term)
                    && named.contains_key(&name.to_string())
                {
                    return self
                        .fault(span, format!("`{name}` stands twice on the left"))
                        .help("every axis has a name of its own")
                        .fail();
                }
                let text = name.as_ref().map(ToString::to_string);
                let (label, origin) = if term.is_none() { (text, None) } else { (None, text) };
                match (term, &fresh) {
                    (Some(term), _) => {
                        known = known.times(&term);
                        parts.push(Part { name: name.clone(), axis: Axis { label, origin, size: term }, span });
                    }
                    (None, None) => {
                        fresh = Some(parts.len());
                        parts.push(Part {
                            name: name.clone(),
                            axis: Axis { label, origin, size: Term::literal(1) },
                            span,
                        });
                    }
                    (None, Some(_)) => {
                        let name = name.map_or_else(String::new, |name| name.to_string());
                        return self
                            .fault(span, format!("the size of `{name}` cannot be told: two parts of one axis are new"))
                            .help("one part of an axis is what the others leave; give the others a size")
                            .fail();
                    }
                }
                if let Some(name) = &name {
                    named.insert(name.to_string(), axis.clone());
                }
            }
            match fresh {
                Some(fresh) if parts.len() == start + 1 => {
                    parts[fresh].axis.size = axis.size.clone();
                }
                Some(fresh) => parts[fresh].axis.size = self.quotient(&axis.size, &known, written.span.into(), x)?,
                None if known == axis.size => {
                    if let [part] = &mut parts[start..] {
                        part.axis = axis.clone();
                    }
                }
                None => {
                    let message = format!("`{}` is {known} here, but the axis is {}", shown(written), axis.size);
                    let notes = self.notes(x, &[(known, axis.size.clone())]);
                    let dims = super::signature::dimensions(self.item);
                    let of_input = written.parts.iter().find_map(|part| match part {
                        Size::Name(name) => dims.iter().find(|own| **own == name),
                        _ => None,
                    });
                    let help = match of_input {
                        Some(name) => {
                            format!(
                                "`{name}` is the size that an axis of the inputs has; name this one otherwise, and it takes any size"
                            )
                        }
                        None => "a name in scope is asserted; a new name takes any size".to_owned(),
                    };
                    return self.fault(written.span, message).notes(notes).help(help).fail();
                }
            }
        }
        Ok(parts)
    }

    /// The parts of the result.
    fn right(
        &mut self,
        written: &'a [PatternAxis],
        parts: &[Part],
        environment: &Environment<'a>,
    ) -> Checked<Vec<Source>> {
        let mut sources: Vec<Source> = vec![];
        for size in written.iter().flat_map(|axis| &axis.parts) {
            let taken = |i: usize| sources.iter().any(|source| matches!(source, Source::Left(j) if *j == i));
            let source = match size {
                Size::Literal(1, _) => Source::One,
                Size::Literal(number, _) => {
                    let literal = Term::literal(*number);
                    let of_size = |part: &Part| part.name.is_none() && part.axis.size == literal;
                    match (0..parts.len()).find(|&left| of_size(&parts[left]) && !taken(left)) {
                        Some(left) => Source::Left(left),
                        None => Source::New(Axis::from(literal)),
                    }
                }
                Size::Name(name) => match place(parts, name, &taken) {
                    Some(left) if taken(left) => {
                        return self
                            .fault(name.span(), format!("`{name}` stands twice on the right"))
                            .help("every part of the tensor has one place in the result")
                            .fail();
                    }
                    Some(left) => Source::Left(left),
                    None => match self.in_scope(name, &Axis::from(Term::literal(1)), environment) {
                        Some(size) => Source::New(Axis { label: None, origin: Some(name.to_string()), size }),
                        None => {
                            let known: Vec<_> =
                                parts.iter().filter_map(|part| part.name.as_ref()).map(ToString::to_string).collect();
                            let guess = crate::report::did_you_mean(&name.to_string(), &known);
                            return self
                                .fault(name.span(), format!("nothing says how large `{name}` is"))
                                .help(match guess {
                                    Some(guess) => format!("did you mean `{guess}`?"),
                                    None => format!("on the left stand {}", known.join(", ")),
                                })
                                .fail();
                        }
                    },
                },
                Size::Infer(span) | Size::Arithmetic { span, .. } => return self.unexplained(*span),
                Size::Call { name, .. } => return self.unexplained(name.span()),
            };
            sources.push(source);
        }
        Ok(sources)
    }

    /// The result of a pattern that loses nothing.
    fn arranged(
        &mut self,
        x: &Tensor,
        parts: &[Part],
        sources: &[Source],
        written: &[PatternAxis],
        at: Place,
    ) -> Checked<Tensor> {
        let axis = |source: &Source| match source {
            Source::Left(part) => parts[*part].axis.clone(),
            Source::New(axis) => axis.clone(),
            Source::One => Axis::from(Term::literal(1)),
        };
        let mut rest = sources.iter();
        let axes = written.iter().map(|written| {
            let own: Vec<Axis> = rest.by_ref().take(written.parts.len()).map(axis).collect();
            match own.as_slice() {
                [one] => one.clone(),
                several => Axis::from(several.iter().fold(Term::literal(1), |all, part| all.times(&part.size))),
            }
        });
        let ty = Type { element: x.ty.element.clone(), axes: axes.collect() };
        let whole: Vec<&Source> = sources.iter().filter(|source| !matches!(source, Source::One)).collect();
        let new = whole.iter().enumerate().filter(|(_, source)| matches!(source, Source::New(_)));
        let new: Vec<usize> = new.map(|(i, _)| i).collect();
        let full = whole.iter().map(|source| axis(source).size).collect();
        self.tensor(moved(x, parts, order(sources), new, full), ty, at)
    }

    /// What a name in scope stands for. The name of the axis itself is no assertion.
    fn in_scope(&self, name: &Ident, axis: &Axis, environment: &Environment<'a>) -> Option<Term> {
        if axis.known_as().is_some_and(|known| name == known) {
            return Some(axis.size.clone());
        }
        if let Some(binding) = environment.iter().find(|binding| binding.name == *name)
            && let Some(term) = self.dimension(&binding.value)
        {
            binding.used.set(true);
            return Some(term);
        }
        self.facts.dims.term(&name.to_string())
    }

    /// `of / by`, which must be exact.
    pub(super) fn quotient(&mut self, of: &Term, by: &Term, at: Place, x: &Tensor) -> Checked<Term> {
        if let Some(quotient) = self.facts.dims.quotient(of, by) {
            return Ok(quotient);
        }
        if let (Some(o), Some(b)) = (of.number(), by.number()) {
            let says = |term: &Term, number: usize| match term.as_literal() {
                Some(_) => number.to_string(),
                None => format!("{term} = {number}"),
            };
            let message = format!("{} does not divide {}", says(by, b), says(of, o));
            return self.about(x, at, message).fail();
        }
        let message = format!("nothing says that {by} divides {of}");
        let help = format!("state it, `where {by} | {of}`, or fix the size at compile time");
        Err(self.nets.report.need_fact(of.plus(by).open_names(), at, message, help))
    }
}

/// The first part of a name that the result does not have yet, or else the last.
fn place(parts: &[Part], name: &Ident, taken: &dyn Fn(usize) -> bool) -> Option<usize> {
    let all: Vec<usize> = (0..parts.len()).filter(|&i| parts[i].name.as_ref() == Some(name)).collect();
    all.iter().copied().find(|&i| !taken(i)).or(all.last().copied())
}

/// The parts of the tensor in the order of the result.
fn order(sources: &[Source]) -> Vec<usize> {
    let left = |source: &Source| match source {
        Source::Left(part) => Some(*part),
        _ => None,
    };
    sources.iter().filter_map(left).collect()
}

/// The parts that the result does not have. An axis of size 1 is none.
fn lost(parts: &[Part], sources: &[Source]) -> Vec<usize> {
    let order = order(sources);
    let one = |part: &Part| part.name.is_none() && part.axis.size.is_one();
    (0..parts.len()).filter(|i| !order.contains(i) && !one(&parts[*i])).collect()
}

fn axes_of(parts: &[Part], order: &[usize]) -> Vec<Axis> {
    order.iter().map(|&i| parts[i].axis.clone()).collect()
}

/// The step that moves parts into an order. Parts of size 1 that nothing names are dropped before.
fn moved(x: &Tensor, parts: &[Part], order: Vec<usize>, new: Vec<usize>, full: Vec<Term>) -> Call {
    let kept: Vec<usize> = (0..parts.len()).filter(|i| order.contains(i)).collect();
    let order = order.iter().filter_map(|part| kept.iter().position(|own| own == part)).collect();
    let split = kept.iter().map(|&i| parts[i].axis.size.clone()).collect();
    Call::new(&REARRANGE, [x])
        .with("split", Argument::Sizes(split))
        .with("order", Argument::Counts(order))
        .with("new", Argument::Counts(new))
        .with("full", Argument::Sizes(full))
}

fn shown(axis: &PatternAxis) -> String {
    let parts: Vec<_> = axis
        .parts
        .iter()
        .map(|part| match part {
            Size::Name(name) => name.to_string(),
            Size::Literal(number, _) => number.to_string(),
            _ => "_".to_owned(),
        })
        .collect();
    if axis.grouped { format!("({})", parts.join(" ")) } else { parts.join(" ") }
}

/// `[n, c] -> [n]`
pub(super) fn text(pattern: &Pattern) -> String {
    let side = |axes: &[PatternAxis]| axes.iter().map(shown).collect::<Vec<_>>().join(", ");
    format!("[{}] -> [{}]", side(&pattern.from), side(&pattern.to))
}
