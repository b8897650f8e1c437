//! Expressions.

use super::block::{Inference, staged};
use super::mentions;
use super::text::text;
use super::value::{Callable, Chosen, Closure, Environment, Label, LayerValue, Site, Tensor, Value};
use crate::ast::{Block, Expr, ExprKind, Role};
use crate::functions;
use crate::report::{Checked, Depends, did_you_mean};
use proc_macro2::Ident;
use std::collections::BTreeMap;
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// The value of an expression.
    pub(super) fn value(&mut self, expr: &'a Expr, environment: &Environment<'a>) -> Checked<Value<'a>> {
        self.labelled(expr, None, environment)
    }

    /// The value of an expression that `label` names.
    pub(super) fn labelled(
        &mut self,
        expr: &'a Expr,
        label: Option<Label>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr, label, environment),
            ExprKind::Number { value, integer } => {
                Ok(Value::Number { value: *value, integer: integer.map(i128::from) })
            }
            ExprKind::Bool(flag) => Ok(Value::Flag(*flag)),
            ExprKind::Str(text) => Ok(Value::Text(text.as_str().into())),
            ExprKind::Call { callee, arguments } => self.call(expr, callee, arguments, label, None, environment),
            ExprKind::Label { label: name, inner } => {
                if let Some(outer) = label.filter(|outer| outer.written) {
                    return self
                        .fault(name.span(), format!("`{}` and `{name}` both name one part", outer.name))
                        .help("a part has one label: leave one of them out")
                        .fail();
                }
                if let ExprKind::Block(block) = &inner.kind {
                    let scope = self.open(name, self.site(inner), "( … )", None)?;
                    return self.inside(self.here.under(scope), |inference| inference.block(block, environment));
                }
                self.labelled(inner, Some(Label { name: name.clone(), written: true }), environment)
            }
            ExprKind::Pipeline(stages) => self.pipeline(stages, environment),
            ExprKind::Binary { op, operands } => {
                let left = self.value(&operands[0], environment);
                let right = self.value(&operands[1], environment);
                self.binary(op, left?, right?, expr)
            }
            ExprKind::Unary { op, operand } => {
                let value = self.value(operand, environment)?;
                self.unary(*op, value, expr)
            }
            ExprKind::Closure { parameters, body } => {
                let frame = self.parts.frame_of(self.site(expr), 0);
                let closure =
                    Closure { parameters, body, environment: environment.clone(), scope: self.here.scope, frame };
                let kind = Callable::Closure(Rc::new(closure));
                Ok(self.layer(kind, expr, label))
            }
            ExprKind::Tuple(items) => {
                let values: Vec<_> = items.iter().map(|(_, item)| self.value(item, environment)).collect();
                let names = items.iter().map(|(name, _)| name.as_ref().map(ToString::to_string));
                // A part that holds an error leaves the others whole.
                Ok(Value::Tuple(names.zip(values.into_iter().map(|v| v.unwrap_or_else(Value::Error))).collect()))
            }
            ExprKind::List(items) => self.list(items, expr, label, environment),
            ExprKind::Repeat { layer, times } => self.repeat(layer, times, expr, label, environment),
            ExprKind::If { condition, yes, no } => match self.value(condition, environment)? {
                Value::Flag(flag) => {
                    let (taken, other) = if flag { (yes, no) } else { (no, yes) };
                    // What the other side uses is used.
                    mentions::block(other, &mut |name| drop(environment.find(name)));
                    if self.nets.trial {
                        self.looked_at(other, environment);
                    }
                    if !flag {
                        return self.labelled_block(taken, label, environment);
                    }
                    let dims = self.facts.dims.clone();
                    let inside = self.equated(condition, taken, environment)?;
                    let value = self.labelled_block(taken, label, &inside);
                    self.facts.dims = dims;
                    value
                }
                Value::Error(lost) => Err(lost),
                other => {
                    let message =
                        format!("`if` chooses at compile time and takes `true` or `false`, not {}", other.what());
                    self.fault(condition.span, message).help("`select(condition, a, b)` chooses elementwise").fail()
                }
            },
            ExprKind::Range(_) => {
                self.fault(expr.span, "a range is no value").help("ranges are times of `ode`: `s = 0..1`").fail()
            }
            ExprKind::Pattern(pattern) => Ok(self.layer(Callable::Pattern(pattern, environment.clone()), expr, label)),
            ExprKind::Einsum { operands, result } => {
                self.einsum(operands, result, environment, expr.span).map(Value::Tensor)
            }
            ExprKind::Block(block) => self.block(block, environment),
            ExprKind::Rust { call, result } => self.rust(call, result, None, environment),
            ExprKind::Path(path) => {
                let help = match path.last() {
                    Some(name)
                        if path.first().is_some_and(|first| crate::habits::MODULES.iter().any(|m| first == m)) =>
                    {
                        crate::habits::meant(&name.to_string())
                            .unwrap_or_else(|| "the functions of the language have no path".to_owned())
                    }
                    Some(name) if name.to_string().starts_with(char::is_uppercase) => {
                        format!("a net comes by `use {};` in this `net!`", text(expr))
                    }
                    _ => format!("the result of a function of Rust is written: `{} -> [n, …]`", text(expr)),
                };
                self.fault(expr.span, format!("`{}` is a path, of which `net!` knows nothing", text(expr)))
                    .help(help)
                    .fail()
            }
            // The label is that of the layer.
            ExprKind::Member { of, name } => match self.labelled(of, label, environment)? {
                Value::Layer(layer) => Ok(self.layer(Callable::Member(layer, name.to_string()), expr, None)),
                other => self.no_layer(of, &other),
            },
            ExprKind::Error(lost) => Err(*lost),
        }
    }

    /// Looks at a branch that is not taken for what is wrong whatever the condition says. Nothing that it makes stays.
    fn looked_at(&mut self, branch: &'a Block, environment: &Environment<'a>) {
        let (parts, body, before) = (self.parts.clone(), self.body.clone(), self.nets.report.mark());
        let _ = self.block(branch, environment);
        (self.parts, self.body) = (parts, body);
        let (errors, _) = self.nets.report.take_since(before);
        self.nets.report.extend(errors.into_iter().filter(|error| error.depends == Depends::OnNothing));
    }

    /// The place of an expression.
    pub(super) fn site(&self, expr: &Expr) -> Site {
        Site { frame: self.here.frame, expression: expr.number, around: false }
    }

    /// A layer that waits for its tensors.
    pub(super) fn layer(&self, kind: Callable<'a>, expr: &Expr, label: Option<Label>) -> Value<'a> {
        let layer = LayerValue {
            kind,
            site: self.site(expr),
            label,
            scope: self.here.scope,
            text: text(expr),
            span: expr.span,
        };
        Value::Layer(Rc::new(layer))
    }

    fn name(
        &mut self,
        name: &Ident,
        expr: &'a Expr,
        label: Option<Label>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        if let Some(binding) = environment.find(name) {
            self.use_step(name, &binding);
            return match &binding.value {
                Value::Error(lost) => Err(*lost),
                Value::Maker(maker) => self.make(maker, expr, label),
                value => Ok(value.clone()),
            };
        }
        if let Some(size) = self.facts.dims.term(&name.to_string()) {
            return Ok(Value::Size(size));
        }
        let kind = self.declared(name, environment)?;
        Ok(self.layer(kind, expr, label))
    }

    /// The net or function of this name.
    pub(super) fn declared(&mut self, name: &Ident, environment: &Environment<'a>) -> Checked<Callable<'a>> {
        let text = name.to_string();
        if let Some(net) = self.nets.names.net(&text) {
            let chosen = Chosen { net, name: name.clone(), given: BTreeMap::new(), dims: BTreeMap::new() };
            return Ok(Callable::Net(Rc::new(chosen)));
        }
        if let Some(alias) = self.nets.names.alias(&text) {
            return Ok(Callable::Net(Rc::new(self.target(alias)?)));
        }
        if let Some(function) = functions::find(&text) {
            return Ok(Callable::Function(function, Rc::default()));
        }
        if let Some(lost) = self.facts.broken.get(&text) {
            return Err(*lost);
        }
        if self.item.role == Role::Flow && self.item.inputs.first().is_some_and(|point| point.name == *name) {
            return self
                .fault(name.span(), format!("`{name}` flows through the body, and its first stage alone names it"))
                .help("a conditioner takes its half of the point as a parameter of its own: `coupling(|a| …)`")
                .fail();
        }
        let known: Vec<String> = environment
            .iter()
            .map(|binding| binding.name.to_string())
            .chain(self.facts.dims.names().map(str::to_owned))
            .chain(self.nets.names.nets.iter().map(|net| net.name.to_string()))
            .chain(self.nets.names.aliases.iter().map(|alias| alias.name.to_string()))
            .chain(functions::FUNCTIONS.iter().map(|f| f.name.to_owned()))
            .collect();
        let help = match (crate::habits::habit(&text), did_you_mean(&text, &known)) {
            (Some(habit), _) => habit.mend(),
            (None, Some(guess)) => format!("did you mean `{guess}`?"),
            (None, None) if text.starts_with(char::is_uppercase) => {
                format!("a net of another `net!` comes by its path: `use path::{text};`")
            }
            (None, None) => "names are inputs, `let`s, dimensions, nets, and the functions of the language".to_owned(),
        };
        let error = self.fault(name.span(), format!("there is no `{text}` here"));
        error.depends(Depends::OnNothing).help(help).fail()
    }

    /// `x |> f |> g`
    fn pipeline(&mut self, stages: &'a [Expr], environment: &Environment<'a>) -> Checked<Value<'a>> {
        let Some((first, rest)) = stages.split_first() else { return self.unexplained(self.item.name.span()) };
        let mut value = self.value(first, environment)?;
        if let Value::Layer(first) = value {
            return self.chain(first, rest, stages, environment);
        }
        if let Value::Tensor(tensor) = &mut value
            && tensor.trail.is_empty()
        {
            tensor.trail = Rc::new(vec![format!("{} : {}", text(first), tensor.ty)]);
        }
        for stage in rest {
            let after = self.stage(stage, stage, None, value.clone(), environment)?;
            value = match (&value, after) {
                (Value::Tensor(before), Value::Tensor(after)) => Value::Tensor(staged(before, &text(stage), after)),
                (_, Value::Tensor(after)) => {
                    Value::Tensor(Tensor { trail: Rc::new(vec![format!("{} : {}", text(stage), after.ty)]), ..after })
                }
                (_, other) => other,
            };
        }
        Ok(value)
    }

    /// A pipeline that begins with a layer is a layer: one after the other.
    fn chain(
        &mut self,
        first: Rc<LayerValue<'a>>,
        rest: &'a [Expr],
        stages: &'a [Expr],
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        let mut layers = vec![first];
        for stage in rest {
            match self.value(stage, environment)? {
                Value::Layer(layer) => layers.push(layer),
                other => return self.no_layer(stage, &other),
            }
        }
        let (site, span) = (self.site(&stages[0]), stages[0].span);
        let text = layers.iter().map(|layer| layer.text.clone()).collect::<Vec<_>>().join(" |> ");
        let kind = Callable::Chain(layers);
        Ok(Value::Layer(Rc::new(LayerValue { kind, site, label: None, scope: self.here.scope, text, span })))
    }

    /// One stage applied to what comes out of the stage before.
    fn stage(
        &mut self,
        stage: &'a Expr,
        whole: &'a Expr,
        label: Option<Label>,
        piped: Value<'a>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        match &stage.kind {
            ExprKind::Label { label: name, inner } if !matches!(inner.kind, ExprKind::Block(_)) => {
                if let Some(outer) = label {
                    return self
                        .fault(name.span(), format!("`{}` and `{name}` both name one part", outer.name))
                        .help("a part has one label: leave one of them out")
                        .fail();
                }
                let label = Label { name: name.clone(), written: true };
                self.stage(inner, whole, Some(label), piped, environment)
            }
            ExprKind::Name(_) => self.call(stage, stage, &[], label, Some(piped), environment),
            ExprKind::Call { callee, arguments } => {
                self.call(stage, callee, arguments, label, Some(piped), environment)
            }
            ExprKind::Rust { call, result } if label.is_none() => self.rust(call, result, Some(piped), environment),
            _ => match self.labelled(stage, label, environment)? {
                Value::Layer(layer) => self.apply(&layer, vec![(piped, whole.span)], stage.span),
                Value::Error(lost) => Err(lost),
                other => self.no_layer(stage, &other),
            },
        }
    }

    pub(super) fn no_layer<T>(&mut self, expr: &Expr, value: &Value<'a>) -> Checked<T> {
        if let Value::Error(lost) = value {
            return Err(*lost);
        }
        let message = format!("`{}` is {}, which cannot be applied", text(expr), value.what());
        let help = match value {
            Value::Text(_) => {
                "a pattern stands without quotes, its axes between commas: `[n, c, h, w] -> [n, (c h w)]`"
            }
            _ => "a layer, a net, a function or a closure can",
        };
        self.fault(expr.span, message).help(help).fail()
    }
}
