//! Calls: what is called, and what it is given.

use super::block::{Inference, Standing, staged};
use super::value::{Callable, Closure, Environment, Label, LayerValue, Tensor, Value};
use crate::ast::{Argument, Expr, ExprKind, Role};
use crate::functions::Rule;
use crate::report::{Checked, Place};
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// `callee(arguments)`, where a pipeline puts `piped` in front of the arguments.
    pub(super) fn call(
        &mut self,
        expr: &'a Expr,
        callee: &'a Expr,
        arguments: &'a [Argument],
        label: Option<Label>,
        piped: Option<Value<'a>>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        if let (ExprKind::Name(name), None) = (&callee.kind, &piped)
            && (name == "floor_div" || name == "ceil_div")
            && environment.iter().all(|binding| binding.name != *name)
        {
            return self.rounded_size(name, arguments, environment);
        }
        let (callable, label) = match self.callable(callee, label, environment) {
            Ok(found) => found,
            Err(lost) => {
                // The arguments may hold errors of their own, and what they use is used.
                for argument in arguments.iter().filter(|argument| argument.name.is_none()) {
                    let _ = self.value(&argument.value, environment);
                }
                return Err(lost);
            }
        };
        if let Callable::Function(function, given) = &callable
            && given.is_empty()
        {
            if let (Rule::Freeze, [Argument { name: None, value }]) = (function.rule, arguments) {
                return self.freezing(function, value, expr, label, piped, environment);
            }
            if let (None, Some(value)) = (&piped, self.of_numbers(function.name, arguments, environment)) {
                return Ok(Value::Number { value, integer: None });
            }
            let bound = self.arguments(function, callee.span, arguments, label.as_ref(), piped, environment)?;
            if bound.tensors.is_empty() && !function.tensors.is_empty() {
                return Ok(self.layer(Callable::Function(function, Rc::new(bound.given)), expr, label));
            }
            let given = Rc::new(bound.given);
            let layer = self.layer_value(Callable::Function(function, given.clone()), expr, label, callee.span);
            return self.function(function, &layer, bound.tensors, &given, callee.span);
        }
        if let Callable::Net(chosen) = &callable {
            let (chosen, tensors) = self.net_arguments(chosen, arguments, environment)?;
            let callable = Callable::Net(chosen);
            let tensors: Vec<_> = piped.map(|value| (value, callee.span)).into_iter().chain(tensors).collect();
            if tensors.is_empty() {
                return Ok(self.layer(callable, expr, label));
            }
            if let (true, Callable::Net(chosen)) = (self.lacks_points(&callable, tensors.len()), &callable) {
                let conditions = self.tensors(&chosen.name.to_string(), tensors)?;
                return Ok(self.layer(Callable::Conditioned(chosen.clone(), conditions), expr, label));
            }
            let layer = self.layer_value(callable, expr, label, callee.span);
            return self.apply(&layer, tensors, callee.span);
        }
        let mut values: Vec<(Value<'a>, Place)> = piped.into_iter().map(|value| (value, callee.span)).collect();
        let mut lost = None;
        for argument in arguments {
            if let Some(name) = &argument.name {
                let what = super::text::text(callee);
                let error = self.fault(name.span(), format!("`{what}` takes no `{name} = …`"));
                lost = Some(error.help("give its tensors by position").reported());
                continue;
            }
            match self.value(&argument.value, environment) {
                Ok(value) => values.push((value, argument.value.span)),
                Err(reported) => lost = Some(reported),
            }
        }
        if let Some(lost) = lost {
            return Err(lost);
        }
        match callable {
            Callable::Bound(layer) => self.apply(&layer, values, callee.span),
            callable => {
                let layer = self.layer_value(callable, expr, label, callee.span);
                self.apply(&layer, values, callee.span)
            }
        }
    }

    fn layer_value(&self, kind: Callable<'a>, expr: &Expr, label: Option<Label>, span: Place) -> LayerValue<'a> {
        LayerValue { kind, site: self.site(expr), label, scope: self.here.scope, text: super::text::text(expr), span }
    }

    /// What an expression calls, and the label it has.
    fn callable(
        &mut self,
        callee: &'a Expr,
        label: Option<Label>,
        environment: &Environment<'a>,
    ) -> Checked<(Callable<'a>, Option<Label>)> {
        if let ExprKind::Name(name) = &callee.kind
            && environment.iter().all(|binding| binding.name != *name)
            && self.facts.dims.term(&name.to_string()).is_none()
        {
            return Ok((self.declared(name, environment)?, label));
        }
        if let ExprKind::Name(name) = &callee.kind
            && let Some(binding) = environment.find(name)
            && let Value::Maker(maker) = &binding.value
        {
            let layer = match &maker.expr.kind {
                // A bare name is as good as if it stood here.
                ExprKind::Name(name) => return Ok((self.declared(name, &maker.environment)?, label)),
                _ => self.make(maker, callee, label)?,
            };
            return match layer {
                Value::Layer(layer) => Ok((Callable::Bound(layer), None)),
                other => self.no_layer(callee, &other),
            };
        }
        let own = matches!(callee.kind, ExprKind::Member { .. }).then(|| label.clone()).flatten();
        match self.labelled(callee, own, environment)? {
            Value::Layer(layer) => {
                if let (Some(label), Some(own)) = (label.filter(|label| label.written), &layer.label) {
                    let message = format!("`{}` has the label `{}` already", layer.text, own.name);
                    return self
                        .fault(label.name.span(), message)
                        .help(format!(
                            "leave `{}:` out: all uses of `{}` share one set of parameters",
                            label.name, own.name
                        ))
                        .fail();
                }
                Ok((Callable::Bound(layer), None))
            }
            other => self.no_layer(callee, &other),
        }
    }

    /// Whether this is a flow in the body of another that is given all of its conditions and no points.
    fn lacks_points(&self, callable: &Callable<'a>, tensors: usize) -> bool {
        let Callable::Net(chosen) = callable else { return false };
        let net = self.nets.names.nets[chosen.net];
        self.item.role == Role::Flow && net.role == Role::Flow && tensors + 1 == net.inputs.len()
    }

    /// Applies a layer to values.
    pub(super) fn apply(
        &mut self,
        layer: &LayerValue<'a>,
        values: Vec<(Value<'a>, Place)>,
        span: Place,
    ) -> Checked<Value<'a>> {
        if let Some(lost) = values.iter().find_map(|(value, _)| value.lost()) {
            return Err(lost);
        }
        match &layer.kind {
            Callable::Closure(closure) => self.inline(closure, layer, values, span),
            Callable::Bound(inner) => self.apply(inner, values, span),
            Callable::Chain(layers) => self.in_sequence(layers, values, span),
            Callable::Repeat(repeated) => self.apply_repeated(repeated, layer, values, span),
            Callable::Member(flow, name) if name != "project" => self.of_flow(flow, name, values, span),
            Callable::Member(embedding, _) => {
                let tensors = self.tensors(&layer.text, values)?;
                let [(x, _)] = tensors.as_slice() else {
                    let message = format!("`{}` takes 1 tensor, not {}", layer.text, tensors.len());
                    return self.fail(span, message);
                };
                self.project(embedding, x, span).map(Value::Tensor)
            }
            Callable::Pattern(pattern, environment) => {
                let tensors = self.tensors(&layer.text, values)?;
                match tensors.as_slice() {
                    [(x, _)] => self.rearrange(pattern, x, environment, span).map(Value::Tensor),
                    several => {
                        let message = format!("`{}` takes 1 tensor, not {}", layer.text, several.len());
                        self.fail(span, message)
                    }
                }
            }
            Callable::Net(chosen) => {
                let tensors = self.tensors(&layer.text, values)?;
                self.net(chosen, layer, tensors, false, span)
            }
            Callable::Conditioned(chosen, conditions) => {
                let mut tensors = self.tensors(&layer.text, values)?;
                tensors.extend(conditions.iter().cloned());
                self.net(chosen, layer, tensors, false, span)
            }
            Callable::Function(function, given) => {
                let tensors = self.tensors(&layer.text, values)?;
                let wanted = function.tensors.len();
                let fits = tensors.len() == wanted || (tensors.len() > wanted && function.rule.takes_more());
                if !fits {
                    let message = format!("`{}` takes {}, not {}", layer.text, count(wanted), tensors.len());
                    return self.fault(span, message).help(format!("it is called `{}`", function.usage())).fail();
                }
                if let Some(missing) = function.missing(given) {
                    let message = format!("`{}` needs `{missing}`", function.name);
                    return self.fault(span, message).help(format!("it is called `{}`", function.usage())).fail();
                }
                self.function(function, layer, tensors, given, span)
            }
        }
    }

    /// Applies one layer after the other.
    pub(super) fn in_sequence(
        &mut self,
        layers: &[Rc<LayerValue<'a>>],
        values: Vec<(Value<'a>, Place)>,
        span: Place,
    ) -> Checked<Value<'a>> {
        let Some((first, rest)) = layers.split_first() else { return self.unexplained(span) };
        let given = values.clone();
        let value = self.apply(first, values, span)?;
        let mut value = match given.as_slice() {
            [(given, _)] => stage(given, first, value),
            _ => value,
        };
        for layer in rest {
            // What does not fit inside of the chain is wrong there, not where the chain is used.
            let after = self.apply(layer, vec![(value.clone(), layer.span)], layer.span)?;
            value = stage(&value, layer, after);
        }
        Ok(value)
    }

    /// The values as tensors: numbers never fill tensor slots.
    pub(super) fn tensors(&mut self, callee: &str, values: Vec<(Value<'a>, Place)>) -> Checked<Vec<(Tensor, Place)>> {
        let (mut tensors, mut lost) = (vec![], None);
        for (value, span) in values {
            match value {
                Value::Tensor(tensor) => tensors.push((tensor, span)),
                Value::Error(reported) => lost = Some(reported),
                other => lost = Some(self.slot(callee, &other, span)),
            }
        }
        lost.map_or(Ok(tensors), Err)
    }

    /// A closure's body in the place of its call.
    fn inline(
        &mut self,
        closure: &Closure<'a>,
        layer: &LayerValue<'a>,
        values: Vec<(Value<'a>, Place)>,
        span: Place,
    ) -> Checked<Value<'a>> {
        let wanted = closure.parameters.len();
        if values.len() != wanted {
            let name = layer.label.as_ref().map_or("the closure".to_owned(), |label| format!("`{}`", label.name));
            let names: Vec<_> = closure.parameters.iter().map(ToString::to_string).collect();
            let message = format!("{name} takes {wanted} values, |{}|, not {}", names.join(", "), values.len());
            return self.fail(span, message);
        }
        let mut environment = closure.environment.clone();
        for (name, (value, _)) in closure.parameters.iter().zip(values) {
            environment = self.bind(name, value, "", &environment);
        }
        let here = Standing { frame: closure.frame, scope: closure.scope, ..self.here };
        self.inside(here, |inference| inference.value(closure.body, &environment))
    }
}

/// What a layer of a chain gives, with its history.
fn stage<'a>(before: &Value<'a>, layer: &LayerValue<'a>, after: Value<'a>) -> Value<'a> {
    match (before, after) {
        (Value::Tensor(before), Value::Tensor(after)) => Value::Tensor(staged(before, &layer.shown(), after)),
        (_, after) => after,
    }
}

/// `1 tensor`, `2 tensors`
pub(super) fn count(tensors: usize) -> String {
    if tensors == 1 { "1 tensor".to_owned() } else { format!("{tensors} tensors") }
}
