//! One net: its inputs, its bindings, its results.

use super::layers::Placed;
use super::signature::{self, MAX_RANK, Signature};
use super::typed::{Body, Layer, Operation, Step, TypedNet, ValueId};
use super::types::{Element, Type};
use super::value::{Binding, Environment, Label, Site, Tensor, Value};
use super::{Nets, text::text};
use crate::ast::{Block, Expr, ExprKind, Fact, LetPattern, NetItem, ResultType, Size};
use crate::report::{Diagnostic, did_you_mean};
use crate::resolve::{Absorbed, Checked};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use proc_macro2::{Ident, Span};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// The inference of one net.
pub(super) struct Inference<'a, 'n, 'r> {
    pub(super) nets: &'n mut Nets<'a, 'r>,
    pub(super) item: &'a NetItem,
    pub(super) signature: Signature,
    pub(super) values: Vec<Type>,
    pub(super) steps: Vec<Step>,
    pub(super) layers: Vec<Layer>,
    /// Labels in use.
    pub(super) labels: Vec<String>,
    /// How many unlabelled parts of a kind there are: `linear2` comes after `linear1`.
    pub(super) counts: HashMap<&'static str, usize>,
    /// What was made where: a second use of a place is a second use of the same part.
    pub(super) placed: HashMap<Site, Placed>,
    /// The frames of closures by where they were written.
    pub(super) frames: HashMap<Site, usize>,
    /// The closure under inference, 0 outside.
    pub(super) frame: usize,
    /// Everything that should be used.
    bindings: Vec<(Rc<Binding<'a>>, &'static str)>,
}

/// Infers a net.
pub(super) fn net<'a>(nets: &mut Nets<'a, '_>, item: &'a NetItem) -> TypedNet<'a> {
    let before = nets.report.len();
    let signature = signature::signature(item, nets.names, nets.report);
    let mut inference = Inference {
        nets,
        item,
        signature,
        values: vec![],
        steps: vec![],
        layers: vec![],
        labels: vec![],
        counts: HashMap::new(),
        placed: HashMap::new(),
        frames: HashMap::new(),
        frame: 0,
        bindings: vec![],
    };
    let environment = inference.inputs();
    let results = match &item.body {
        Some(body) => inference.block(body, &environment).and_then(|value| inference.results(value, &body.result)),
        None => Err(Absorbed),
    };
    let faultless = inference.nets.report.len() == before && item.body.is_some() && !item.damaged;
    if faultless {
        inference.unused();
        inference.facts();
    }
    let whole = inference.nets.report.len() == before;
    let declared = inference.signature.results.iter().map(|d| d.as_ref().ok()?.whole());
    let results_types = match &results {
        Ok(ids) => ids.iter().map(|&id| Some(inference.values[id].clone())).collect(),
        Err(Absorbed) => declared.collect(),
    };
    TypedNet {
        item,
        run_time: inference.signature.run_time,
        inputs: inference.signature.inputs.into_iter().map(Result::ok).collect(),
        results: results_types,
        layers: inference.layers,
        values: inference.values,
        body: results.ok().filter(|_| whole).map(|results| Body { steps: inference.steps, results }),
    }
}

impl<'a> Inference<'a, '_, '_> {
    /// Reports an error at a token.
    pub(super) fn fault(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.nets.report.error(span, message)
    }

    /// Adds a step that makes one value.
    pub(super) fn push(&mut self, operation: Operation, ty: Type, span: Span) -> Checked<ValueId> {
        if ty.rank() > MAX_RANK {
            let rank = ty.rank();
            self.fault(span, format!("a tensor has at most {MAX_RANK} axes, {ty} has {rank}"));
            return Err(Absorbed);
        }
        self.values.push(ty);
        let id = self.values.len() - 1;
        self.steps.push(Step { results: vec![id], operation, span });
        Ok(id)
    }

    /// The same as a tensor without history.
    pub(super) fn tensor(&mut self, operation: Operation, ty: Type, span: Span) -> Checked<Tensor> {
        let id = self.push(operation, ty.clone(), span)?;
        Ok(Tensor { id, ty, trail: Rc::default() })
    }

    fn inputs(&mut self) -> Environment<'a> {
        let mut environment = Environment::default();
        for (i, input) in self.item.inputs.iter().enumerate() {
            let value = match &self.signature.inputs[i] {
                Ok(ty) => {
                    let trail = Rc::new(vec![format!("{} : {ty}", input.name)]);
                    Value::Tensor(Tensor { id: i, ty: ty.clone(), trail })
                }
                Err(Absorbed) => Value::Error,
            };
            // A place is taken even where the type is unknown, so that ids and inputs agree.
            let ty = self.signature.inputs[i].as_ref().map_or_else(|_| Type::real(vec![]), Clone::clone);
            self.values.push(ty);
            environment = self.bind(&input.name, value, "input", &environment);
        }
        environment
    }

    /// One more name. `what` it is, if it must be used.
    pub(super) fn bind(
        &mut self,
        name: &Ident,
        value: Value<'a>,
        what: &'static str,
        environment: &Environment<'a>,
    ) -> Environment<'a> {
        let value = match value {
            Value::Tensor(tensor) => {
                let trail = Rc::new(vec![format!("{name} : {}", tensor.ty)]);
                Value::Tensor(Tensor { trail, ..tensor })
            }
            other => other,
        };
        let binding = Rc::new(Binding { name: name.clone(), value, used: Cell::new(false) });
        self.bindings.push((binding.clone(), what));
        environment.with(binding)
    }

    /// A block: its bindings in order, then its value.
    pub(super) fn block(&mut self, block: &'a Block, environment: &Environment<'a>) -> Checked<Value<'a>> {
        let mut environment = environment.clone();
        for binding in &block.lets {
            let value = self.bound(&binding.pattern, &binding.value, &environment);
            match &binding.pattern {
                LetPattern::Name(name) => {
                    environment = self.bind(name, value.unwrap_or(Value::Error), "`let`", &environment);
                }
                LetPattern::Tuple(names) => {
                    let values = self.spread_tuple(names, value, &binding.value);
                    for (name, value) in names.iter().zip(values) {
                        environment = self.bind(name, value, "`let`", &environment);
                    }
                }
            }
        }
        self.value(&block.result, &environment)
    }

    /// The value of a `let`. Its name is the label of what the right side makes, unless that has one.
    fn bound(&mut self, pattern: &'a LetPattern, value: &'a Expr, environment: &Environment<'a>) -> Checked<Value<'a>> {
        match (pattern, &value.kind) {
            (LetPattern::Name(name), ExprKind::Call { .. } | ExprKind::Name(_)) => {
                let label = Label { name: name.clone(), written: false };
                self.labelled(value, Some(label), environment)
            }
            _ => self.value(value, environment),
        }
    }

    fn spread_tuple(&mut self, names: &[Ident], value: Checked<Value<'a>>, expr: &Expr) -> Vec<Value<'a>> {
        let wanted = names.len();
        match value {
            Ok(Value::Tuple(items)) if items.len() == wanted => items.into_iter().map(|(_, value)| value).collect(),
            Ok(Value::Error) | Err(Absorbed) => vec![Value::Error; wanted],
            Ok(other) => {
                let what = other.what();
                self.fault(expr.span, format!("the `let` binds {wanted} names, but this is {what}"));
                vec![Value::Error; wanted]
            }
        }
    }

    /// Checks the results against the signature.
    fn results(&mut self, value: Value<'a>, expr: &'a Expr) -> Checked<Vec<ValueId>> {
        let at = last(expr).span;
        match (&self.item.result, value) {
            (_, Value::Error) => Err(Absorbed),
            (ResultType::One(_), Value::Tuple(items)) => {
                let (name, count) = (&self.item.name, items.len());
                let message = format!("`{name}` promises one result, but its body gives {count}");
                self.fault(at, message).help("name them in the signature: `-> (loss: [], …)`");
                Err(Absorbed)
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
                self.fault(at, message).help(format!("end the body with `({})`", names.join(", ")));
                Err(Absorbed)
            }
        }
    }

    fn named_results(
        &mut self,
        names: &[String],
        items: Vec<(Option<String>, Value<'a>)>,
        expr: &'a Expr,
        at: Span,
    ) -> Checked<Vec<ValueId>> {
        let written: Vec<_> = names.iter().map(|name| format!("{name} = …")).collect();
        let form = format!("end the body with `({})`", written.join(", "));
        let place = |i: usize| match &expr.kind {
            ExprKind::Tuple(items) => {
                (items[i].0.as_ref().map_or(items[i].1.span, Ident::span), last(&items[i].1).span)
            }
            _ => (at, at),
        };
        if items.iter().any(|(name, _)| name.is_none()) {
            self.fault(at, format!("the results of `{}` have names", self.item.name)).help(form);
            return Err(Absorbed);
        }
        let mut ids: Vec<Option<Checked<ValueId>>> = names.iter().map(|_| None).collect();
        for (i, (name, value)) in items.into_iter().enumerate() {
            let name = name.unwrap_or_default();
            let (name_span, value_span) = place(i);
            match names.iter().position(|n| *n == name) {
                Some(result) if ids[result].is_some() => {
                    self.fault(name_span, format!("the result `{name}` is given twice"));
                    return Err(Absorbed);
                }
                Some(result) => ids[result] = Some(self.result(result, value, value_span)),
                None => {
                    let guess = did_you_mean(&name, names);
                    let message = format!("`{}` promises no result `{name}`", self.item.name);
                    self.fault(name_span, message).help(match guess {
                        Some(guess) => format!("did you mean `{guess}`?"),
                        None => form,
                    });
                    return Err(Absorbed);
                }
            }
        }
        let missing: Vec<_> =
            names.iter().zip(&ids).filter(|(_, id)| id.is_none()).map(|(n, _)| format!("`{n}`")).collect();
        if !missing.is_empty() {
            let message =
                format!("`{}` promises {}, but its body does not give it", self.item.name, missing.join(" and "));
            self.fault(at, message).help(form);
            return Err(Absorbed);
        }
        ids.into_iter().flatten().collect()
    }

    /// Checks one result against the signature.
    fn result(&mut self, index: usize, value: Value<'a>, at: Span) -> Checked<ValueId> {
        let tensor = match value {
            Value::Tensor(tensor) => tensor,
            Value::Error => return Err(Absorbed),
            Value::Layer(layer) => {
                let message = format!("the body ends with the layer `{}`, not with a tensor", layer.text);
                self.fault(at, message).help("apply it: `x |> …`");
                return Err(Absorbed);
            }
            other => {
                let message = format!("the result of a net is a tensor, not {}", other.what());
                self.fault(at, message);
                return Err(Absorbed);
            }
        };
        let Ok(declared) = &self.signature.results[index] else { return Err(Absorbed) };
        if tensor.ty.element == Element::Truth {
            let message = "a result holds real numbers or indices, this holds truth values";
            self.fault(at, message).help("`to_real(…)` makes them 1 and 0");
            return Err(Absorbed);
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
        let notes = self.notes(&tensor, &sizes);
        let error = self.fault(at, message);
        error.notes = notes;
        error.help("change the body, or the type in the signature");
        Err(Absorbed)
    }

    /// What an error about a tensor says besides: how the tensor came about, and why equal numbers are not enough.
    pub(super) fn notes(&self, tensor: &Tensor, sizes: &[(Term, Term)]) -> Vec<String> {
        let mut notes = vec![];
        if !tensor.trail.is_empty() {
            notes.push(tensor.trail.join("  |> "));
        }
        let same = sizes.iter().find(|(a, b)| a.number().is_some() && a.number() == b.number() && a != b);
        if let Some((a, b)) = same {
            let number = a.number().unwrap_or_default();
            notes.push(match (a.as_literal(), b.as_literal()) {
                (None, None) => format!("{a} and {b} both have size {number}, but they are different dimensions"),
                _ => format!("a literal is not a named dimension, though both have size {number} here"),
            });
        }
        notes
    }

    /// What was bound and never used.
    fn unused(&mut self) {
        let unused: Vec<_> = self
            .bindings
            .iter()
            .filter(|(binding, what)| !what.is_empty() && !binding.used.get())
            .map(|(binding, what)| (binding.name.clone(), *what))
            .collect();
        for (name, what) in unused {
            if name.to_string().starts_with('_') {
                continue;
            }
            let message = match what {
                "input" => format!("the input `{name}` is never used"),
                _ => format!("`{name}` is never used"),
            };
            self.fault(name.span(), message).help(format!("remove it, or call it `_{name}`"));
        }
    }

    /// The conditions after `where`.
    fn facts(&mut self) {
        let item = self.item;
        for fact in &item.facts {
            let Fact::Relation(left, op, right) = fact else {
                let Fact::Divides(by, of) = fact else { continue };
                let (Ok(by_term), Ok(of_term)) = (self.fact_size(by), self.fact_size(of)) else { continue };
                match (by_term.number(), of_term.number()) {
                    (Some(b), Some(o)) if b == 0 || !o.is_multiple_of(b) => {
                        let message = format!("{by_term} = {b} does not divide {of_term} = {o}");
                        self.fault(place(by), message);
                    }
                    (Some(_), Some(_)) => {}
                    _ if of_term.divide(&by_term).is_some() => {}
                    _ => self.open_fact(place(by)),
                }
                continue;
            };
            let (Ok(l), Ok(r)) = (self.fact_size(left), self.fact_size(right)) else { continue };
            let (Some(a), Some(b)) = (l.number(), r.number()) else {
                self.open_fact(place(left));
                continue;
            };
            let holds = match *op {
                "==" => a == b,
                "!=" => a != b,
                "<" => a < b,
                "<=" => a <= b,
                ">" => a > b,
                _ => a >= b,
            };
            if !holds {
                let says = |size: &Size, term: &Term, number: usize| match size {
                    Size::Literal(..) => number.to_string(),
                    Size::Name(name) => format!("`{name}` is {number}"),
                    _ => format!("{term} is {number}"),
                };
                let message = format!("{}, which is not {op} {b}", says(left, &l, a));
                self.fault(place(left), message);
            }
        }
    }

    fn open_fact(&mut self, span: Span) {
        self.fault(span, "this cannot be decided here: it depends on a dimension that is known only at run time")
            .help("conditions may use declared dimensions, numbers and `parameters`");
    }

    fn fact_size(&mut self, size: &Size) -> Checked<Term> {
        if let Size::Name(name) = size
            && name == "parameters"
        {
            return self.parameters();
        }
        crate::resolve::size(size, &self.signature.dims, &self.nets.names.broken, self.nets.report)
    }

    /// The number of parameters of this net.
    fn parameters(&mut self) -> Checked<Term> {
        let counts: Vec<_> = self.layers.iter().map(|layer| parameters(layer, self.nets)).collect();
        let total = counts.into_iter().sum::<Option<usize>>().ok_or(Absorbed)?;
        Ok(Term::literal(total))
    }
}

/// The number of parameters of a layer.
fn parameters(layer: &Layer, nets: &mut Nets<'_, '_>) -> Option<usize> {
    match &layer.kind {
        super::LayerKind::Linear { inputs, outputs, bias } => {
            let (i, o) = (inputs.number()?, outputs.number()?);
            Some(i * o + if *bias { o } else { 0 })
        }
        super::LayerKind::Net(net) => {
            let inner = nets.infer(*net);
            inner.layers.iter().map(|layer| parameters(layer, nets)).sum()
        }
    }
}

/// The expression whose value this is: the last stage of a pipeline.
pub(super) fn last(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Pipeline(stages) => stages.last().map_or(expr, last),
        ExprKind::Label { inner, .. } => last(inner),
        ExprKind::Block(block) => last(&block.result),
        _ => expr,
    }
}

fn place(size: &Size) -> Span {
    match size {
        Size::Literal(_, span) | Size::Infer(span) | Size::Arithmetic { span, .. } => *span,
        Size::Name(name) | Size::Call { name, .. } => name.span(),
    }
}

/// The trail of a tensor with one more stage.
pub(super) fn staged(before: &Tensor, stage: &Expr, after: Tensor) -> Tensor {
    let mut trail = (*before.trail).clone();
    trail.push(format!("{} : {}", text(stage), after.ty));
    Tensor { trail: Rc::new(trail), ..after }
}
