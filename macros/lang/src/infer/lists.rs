//! Layers in sequence: `[a, b, c]`, `[layer; 6]`, `[linear(64 * i); i in 1..4]`. Keys are those of PyTorch's
//! `Sequential`: `label.0.weight`, where layers without parameters count.

use super::block::{Inference, Standing, staged};
use super::text::text;
use super::typed::{Loop, Operation};
use super::types::{Axis, Type};
use super::value::{Callable, Environment, Label, LayerValue, Repeated, Site, Tensor, Value};
use crate::ast::{Expr, ExprKind, Size, Times};
use crate::functions;
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use proc_macro2::Ident;
use std::rc::Rc;

/// More layers than this are a slip of the keyboard.
pub(super) const MAX_REPEATS: usize = 4096;

/// So often a layer of a list is tried until it gives what it takes: labels that it drops are dropped before it.
const MOST_TRIES: usize = 3;

impl<'a> Inference<'a, '_, '_> {
    /// `[a, b, c]`: layers in sequence, or a list of sizes.
    pub(super) fn list(
        &mut self,
        items: &'a [Expr],
        expr: &'a Expr,
        label: Option<Label>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        if !items.iter().any(|item| self.is_layer(item, environment)) {
            let values: Vec<_> = items.iter().map(|item| self.value(item, environment)).collect();
            return Ok(Value::List(values.into_iter().collect::<Checked<_>>()?));
        }
        let here = self.open_list(expr, label, None)?;
        let layers: Vec<_> = self.inside(here, |inference| {
            items.iter().enumerate().map(|(i, item)| inference.element(item, i, false, environment)).collect()
        });
        Ok(self.sequence(Callable::Chain(layers.into_iter().collect::<Checked<_>>()?), expr))
    }

    /// `[layer; 6]`, `[linear(64 * i); i in 1..4]`
    pub(super) fn repeat(
        &mut self,
        layer: &'a Expr,
        times: &'a Times,
        expr: &'a Expr,
        label: Option<Label>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        let (index, from, to) = match times {
            Times::Count(count) => (None, 0, self.whole_number(count, environment)?),
            Times::Range { index, bounds } => {
                let (from, to) =
                    (self.whole_number(&bounds[0], environment), self.whole_number(&bounds[1], environment));
                (Some(index), from?, to?)
            }
        };
        let count = to.saturating_sub(from);
        if count == 0 || count > MAX_REPEATS {
            let help = format!("repeat it at least once and at most {MAX_REPEATS} times");
            return self.fault(expr.span, format!("the layer would be repeated {count} times")).help(help).fail();
        }
        let around = self.here.repeated.max(1);
        if count * around > MAX_REPEATS {
            let message =
                format!("the layer would be repeated {count} times in a list that is repeated {around} times");
            return self.fault(expr.span, message).help(format!("{MAX_REPEATS} in all are the most")).fail();
        }
        // With an index the layers may differ, and so may what reads an index inside of them.
        let (site, list) = (self.site(expr), self.open_list(expr, label, index.is_none().then_some(count))?);
        let list = Standing { repeated: count * around, ..list };
        let mut repeated = Repeated { layer, times: count, list, site, environment: environment.clone() };
        let Some(index) = index else {
            // What is wrong with one of them is wrong with all.
            self.repeated_layer(&repeated, 0)?;
            return Ok(self.sequence(Callable::Repeat(Rc::new(repeated)), expr));
        };
        let mut layers = vec![];
        for i in 0..count {
            let number = from + i;
            let value = Value::Number { value: number as f64, integer: Some(number as i128) };
            repeated.environment = self.bind(index, value, "", environment);
            // After an error the others would hold the same.
            layers.push(self.repeated_layer(&repeated, i)?);
        }
        Ok(self.sequence(Callable::Chain(layers), expr))
    }

    /// The i-th layer of `[layer; 6]`.
    fn repeated_layer(&mut self, repeated: &Repeated<'a>, i: usize) -> Checked<Rc<LayerValue<'a>>> {
        let here = Standing { frame: self.parts.frame_of(repeated.site, i), ..repeated.list };
        self.inside(here, |inference| inference.element(repeated.layer, i, true, &repeated.environment))
    }

    /// All layers of `[layer; 6]`.
    pub(super) fn repeated_layers(&mut self, repeated: &Repeated<'a>) -> Checked<Vec<Rc<LayerValue<'a>>>> {
        // Those that a loop stood for are made one by one now.
        self.parts.fold(repeated.list.scope, false);
        (0..repeated.times).map(|i| self.repeated_layer(repeated, i)).collect()
    }

    /// The first layer of `[layer; 6]`, which stands for all: the others have the same parts.
    pub(super) fn one_for_all(&mut self, repeated: &Repeated<'a>) -> Checked<Rc<LayerValue<'a>>> {
        if repeated.list.scope.is_some_and(|list| self.parts.in_scope(list) <= 1) {
            self.parts.fold(repeated.list.scope, true);
        }
        self.repeated_layer(repeated, 0)
    }

    /// `[layer; 6]` applied to a value.
    pub(super) fn apply_repeated(
        &mut self,
        repeated: &Repeated<'a>,
        layer: &LayerValue<'a>,
        values: Vec<(Value<'a>, Place)>,
        at: Place,
    ) -> Checked<Value<'a>> {
        if let [(Value::Tensor(x), place)] = values.as_slice()
            && let Some(y) = self.looped(repeated, x, *place, at)?
        {
            return Ok(Value::Tensor(staged(x, &layer.shown(), y)));
        }
        let layers = self.repeated_layers(repeated)?;
        self.in_sequence(&layers, values, at)
    }

    /// The same as a loop: where a layer gives what it takes, all are alike. Gives nothing where they are not.
    fn looped(&mut self, repeated: &Repeated<'a>, x: &Tensor, place: Place, at: Place) -> Checked<Option<Tensor>> {
        let list = self.known(repeated.list.scope, at)?;
        if repeated.times == 1 || self.parts.in_scope(list) > 1 {
            return Ok(None);
        }
        let mut ty = x.ty.clone();
        for _ in 0..MOST_TRIES {
            let (before, work, updates) = (self.snapshot(), self.parts.works(), self.parts.updated.len());
            let input = Tensor { trail: x.trail.clone(), ..self.body.value(ty.clone()) };
            let value = input.id;
            let layer = self.one_for_all(repeated)?;
            let inputs = vec![(Value::Tensor(input), place)];
            let (y, body) = self.apart(self.here, |inference| inference.apply(&layer, inputs, at));
            let y = match y? {
                // What is updated twice is said where it is.
                Value::Tensor(y) if y.ty == ty && self.parts.updated.len() == updates => y,
                _ => {
                    self.restore(before);
                    return Ok(None);
                }
            };
            let known = common(&ty, &y.ty);
            if known.axes.iter().zip(&ty.axes).all(|(a, b)| a.label == b.label && a.origin == b.origin) {
                self.parts.times(&work, &Term::literal(repeated.times));
                let how = Loop { list, times: repeated.times, value, body, result: y.id };
                return self.tensor(Operation::Loop { input: x.id, how: Box::new(how) }, ty, at).map(Some);
            }
            // The second layer would not see what the first one did: nor may the first.
            ty = known;
            self.restore(before);
        }
        Ok(None)
    }

    /// Opens the scope of a list, and gives the place in it.
    fn open_list(&mut self, expr: &'a Expr, label: Option<Label>, times: Option<usize>) -> Checked<Standing> {
        let site = self.site(expr);
        let name = match label {
            _ if self.parts.at(site).is_some() => Ident::new("_", expr.span.first),
            Some(label) => label.name,
            None => self.parts.numbered(self.here.scope, "sequential", expr.span.first),
        };
        let scope = self.open(&name, site, &text(expr), times)?;
        Ok(self.here.under(scope))
    }

    /// The i-th layer. Where its parts would have labels of their own, they stand in a scope `i`.
    fn element(
        &mut self,
        item: &'a Expr,
        i: usize,
        repeated: bool,
        environment: &Environment<'a>,
    ) -> Checked<Rc<LayerValue<'a>>> {
        let name = Ident::new(&format!("_{i}"), item.span.first);
        let scoped = match item.kind {
            ExprKind::Pipeline(_) | ExprKind::Closure { .. } | ExprKind::Block(_) => true,
            ExprKind::Label { .. } => repeated,
            _ => false,
        };
        let value = if scoped {
            let scope = self.open(&name, Site { around: true, ..self.site(item) }, "( … )", None)?;
            self.inside(self.here.under(scope), |inference| inference.value(item, environment))?
        } else {
            self.labelled(item, Some(Label { name, written: false }), environment)?
        };
        match value {
            Value::Layer(layer) => Ok(layer),
            Value::Error(lost) => Err(lost),
            other => {
                let message = format!("`{}` is {}, and this list holds layers", text(item), other.what());
                self.fault(item.span, message).help("a list is layers in sequence: `x |> [linear(64), relu]`").fail()
            }
        }
    }

    fn sequence(&self, kind: Callable<'a>, expr: &'a Expr) -> Value<'a> {
        let (site, scope) = (self.site(expr), self.here.scope);
        Value::Layer(Rc::new(LayerValue { kind, site, label: None, scope, text: text(expr), span: expr.span }))
    }

    /// Whether an element of a list is meant as a layer: anything but sizes and numbers.
    pub(super) fn is_layer(&self, item: &Expr, environment: &Environment<'a>) -> bool {
        match &item.kind {
            ExprKind::Name(name) => match environment.iter().find(|binding| binding.name == *name) {
                Some(binding) => matches!(binding.value, Value::Layer(_) | Value::Maker(_)),
                None => {
                    let text = name.to_string();
                    let size = self.facts.dims.term(&text).is_some();
                    !size && (self.nets.names.is_net(&text) || functions::find(&text).is_some())
                }
            },
            ExprKind::Call { callee, .. } => {
                !matches!(&callee.kind, ExprKind::Name(name) if name == "ceil_div" || name == "floor_div")
            }
            ExprKind::Label { .. }
            | ExprKind::Pipeline(_)
            | ExprKind::Closure { .. }
            | ExprKind::List(_)
            | ExprKind::Repeat { .. }
            | ExprKind::Pattern(_)
            | ExprKind::If { .. }
            | ExprKind::Member { .. }
            | ExprKind::Block(_) => true,
            ExprKind::Path(_)
            | ExprKind::Rust { .. }
            | ExprKind::Number { .. }
            | ExprKind::Bool(_)
            | ExprKind::Str(_)
            | ExprKind::Binary { .. }
            | ExprKind::Unary { .. }
            | ExprKind::Range(_)
            | ExprKind::Tuple(_)
            | ExprKind::Einsum { .. }
            | ExprKind::Error(_) => false,
        }
    }

    /// A number of repetitions, known at compile time.
    fn whole_number(&mut self, size: &Size, environment: &Environment<'a>) -> Checked<usize> {
        let place: Place = match size {
            Size::Literal(number, _) => return Ok(*number),
            Size::Name(name) => {
                if let Some(binding) = environment.find(name) {
                    match binding.value {
                        Value::Number { integer: Some(number), .. } if number >= 0 => {
                            return Ok(usize::try_from(number).unwrap_or(usize::MAX));
                        }
                        Value::Error(lost) => return Err(lost),
                        Value::Size(_) => {}
                        _ => {
                            let what = binding.value.what();
                            return self.fail(
                                name.span(),
                                format!("a layer is repeated a whole number of times; `{name}` is {what}"),
                            );
                        }
                    }
                }
                name.span().into()
            }
            Size::Infer(span) | Size::Arithmetic { span, .. } => (*span).into(),
            Size::Call { name, .. } => name.span().into(),
        };
        let term = crate::resolve::size(size, &self.facts.dims, &self.facts.broken, self.nets.report)?;
        // What no machine counts is too often.
        let beyond = term.as_integer().map(|number| if number > 0 { usize::MAX } else { 0 });
        term.number().or(beyond).ok_or_else(|| {
            let message = format!("a layer is repeated {term} times, which is known only at run time");
            let help = "repeat it a number of times, or as often as a declared dimension says";
            self.need(&term, place, message, help.to_owned())
        })
    }
}

/// The same type with the labels that both have.
fn common(a: &Type, b: &Type) -> Type {
    let both = |a: &Option<String>, b: &Option<String>| a.clone().filter(|a| Some(a) == b.as_ref());
    let axes = a.axes.iter().zip(&b.axes).map(|(a, b)| Axis {
        label: both(&a.label, &b.label),
        origin: both(&a.origin, &b.origin),
        size: a.size.clone(),
    });
    Type { axes: axes.collect(), ..a.clone() }
}
