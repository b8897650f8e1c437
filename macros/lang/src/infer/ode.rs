//! `ode`: the solution of a differential equation whose right side is a layer.

use super::arguments::{Gift, Given};
use super::block::{Inference, Standing};
use super::typed::{Flow, Method, Operation, Step, Trace};
use super::types::Type;
use super::value::{Callable, Environment, LayerValue, Tensor, Value};
use crate::ast::{Expr, ExprKind};
use crate::functions::{Function, Parameter, Rule};
use crate::report::{Checked, Depends, Place, did_you_mean};
use crate::terms::{Atom, Term};
use ansatz_shapes::Size as _;
use proc_macro2::Ident;

/// The methods, as the runtime crate names them, and how often a step evaluates the field.
const METHODS: [(&str, usize); 7] =
    [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4), ("bosh3", 3), ("dopri5", 6), ("tsit5", 6)];

impl<'a> Inference<'a, '_, '_> {
    /// The tensor at the end of the span. The field is inferred once, on a tensor and a time of its own.
    /// What is integrated along the path comes besides: for `cnf` the logarithm of the determinant.
    pub(super) fn ode(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Value<'a>> {
        let name = function.name;
        self.reals(name, x, at)?;
        if name == "cnf" && x.ty.rank() == 0 {
            return self.fail(at, "`cnf` takes points along the last axis, but is given a scalar []");
        }
        let (Some(Gift::Span(from, to)), Some(Gift::Method(method, steps)), Some(Gift::Layer(field, place))) =
            (given.get("s"), given.get("by"), given.get("field"))
        else {
            return self.unexplained(at);
        };
        let gradient = match given.get("gradient") {
            Some(Gift::Choice(gradient)) => gradient,
            _ => "stored",
        };
        let whole = self.field_takes(field);
        let value = self.body.value(x.ty.clone());
        let time = self.body.value(Type::real(vec![]));
        let work = self.parts.works();
        let value_id = value.id;
        let time_id = time.id;
        let mut inputs = vec![(Value::Tensor(value), *place), (Value::Tensor(time), *place)];
        inputs.truncate(whole);
        let here = Standing { within_ode: true, ..self.here };
        let (slope, body) = self.apart(here, |inference| inference.apply(field, inputs, *place));
        let slope = slope?;
        let items = match &slope {
            Value::Tuple(items) if name == "ode" => items.iter().map(|(_, item)| item).collect(),
            one => vec![one],
        };
        let (slope, rate) = match items[..] {
            [Value::Tensor(slope)] => (slope.clone(), None),
            [Value::Tensor(slope), Value::Tensor(rate)] => (slope.clone(), Some(rate.clone())),
            [Value::Error(lost), ..] | [_, Value::Error(lost), ..] => return Err(*lost),
            _ => {
                let message = format!("the field of `{name}` gives {}, and should give a tensor", slope.what());
                let error = self.fault(*place, message);
                if name == "ode" {
                    error.help("a tensor beside it, `(velocity, rate)`, is integrated along the path");
                }
                return error.fail();
            }
        };
        if let Some(rate) = &rate {
            self.reals("ode", rate, *place)?;
        }
        if slope.ty.axes != x.ty.axes || slope.ty.element != x.ty.element {
            let message = format!("`{name}` goes on from {}, but its field gives {}", x.ty, slope.ty);
            return self
                .about(&slope, *place, message)
                .help("the field gives the derivative of what it takes, which has the same shape")
                .fail();
        }
        // Each step evaluates the field as often as the method has stages.
        let evaluations = match method {
            Method::Known(_, evaluations) => Term::literal(*evaluations),
            Method::Own(path) => Term::atom(Atom::Evaluations(path.clone())),
        };
        let times = evaluations.times(&Term::literal(*steps));
        self.parts.times(&work, &times);
        let trace = match (name, given.get("trace")) {
            ("cnf", Some(Gift::Choice("hutchinson"))) => Some(Trace::Hutchinson(self.draws(layer, "cnf")?)),
            ("cnf", _) => Some(Trace::Exact),
            _ => None,
        };
        let beside = match (&trace, &rate) {
            (Some(_), _) => Some(Type::real(x.ty.axes[..x.ty.rank() - 1].to_vec())),
            (None, rate) => rate.as_ref().map(|rate| rate.ty.clone()),
        };
        let flow = Flow {
            trace,
            method: method.clone(),
            steps: *steps,
            span: (*from, *to),
            gradient,
            time: time_id,
            value: value_id,
            body,
            slope: slope.id,
            rate: rate.as_ref().map(|rate| rate.id),
        };
        if flow.trace.is_some()
            && let Some(mixes) = self.mixes(&flow)
        {
            let message = "`cnf` takes each point by itself, along the last axis, and here its field mixes points";
            let help = "let the field act on the last axis alone; points that move together are one long point: \
                        `[n, t, d] -> [n, (t d)]`";
            return self.fault(mixes, message).help(help).depends(Depends::OnShapes).fail();
        }
        let operation = Operation::Ode { input: x.id, flow: Box::new(flow) };
        let Some(beside) = beside else {
            return self.tensor(operation, x.ty.clone(), at).map(Value::Tensor);
        };
        let (end, integral) = (self.body.value(x.ty.clone()), self.body.value(beside));
        self.body.steps.push(Step { results: vec![end.id, integral.id], operation, span: at });
        Ok(Value::Tuple(vec![(None, Value::Tensor(end)), (None, Value::Tensor(integral))]))
    }

    /// How many of the value and the time a field takes: a closure or a net says so, a layer takes the value alone, unless it
    /// varies.
    pub(super) fn field_takes(&self, field: &LayerValue<'a>) -> usize {
        match &field.kind {
            Callable::Closure(closure) => closure.parameters.len(),
            Callable::Net(chosen) => self.nets.names.nets[chosen.net].inputs.len(),
            Callable::Bound(layer) => self.field_takes(layer),
            Callable::Function(function, _) if function.rule == Rule::Varying => 2,
            Callable::Function(..)
            | Callable::Member(..)
            | Callable::Pattern(..)
            | Callable::Chain(_)
            | Callable::Repeat(_)
            | Callable::Conditioned(..) => 1,
        }
    }

    /// `rk4(8)`, `my::RALSTON(8)`
    pub(super) fn method(&mut self, expr: &'a Expr, environment: &Environment<'a>) -> Checked<Gift<'a>> {
        let (callee, arguments) = match &expr.kind {
            ExprKind::Call { callee, arguments } => (&**callee, &arguments[..]),
            _ => (expr, &[][..]),
        };
        let (text, method) = match &callee.kind {
            ExprKind::Name(name) => (name.to_string(), self.known_method(name)?),
            ExprKind::Path(path) => {
                self.reachable(path, callee)?;
                (super::text::text(callee), Method::Own(path.clone()))
            }
            ExprKind::Error(lost) => return Err(*lost),
            _ => return self.no_method(expr),
        };
        let [steps] = arguments else {
            let given = arguments.len();
            return self
                .fault(expr.span, format!("`{text}` takes its number of steps, not {given} arguments"))
                .help(format!("write `{text}(8)`"))
                .fail();
        };
        match self.value(&steps.value, environment)? {
            Value::Error(lost) => Err(lost),
            value => match self.dimension(&value).and_then(|steps| steps.number()).filter(|steps| *steps > 0) {
                Some(steps) => Ok(Gift::Method(method, steps)),
                None => {
                    let message = format!("`{text}` takes a number of steps of at least 1, not {}", value.what());
                    self.fail(steps.value.span, message)
                }
            },
        }
    }

    fn known_method(&mut self, name: &Ident) -> Checked<Method> {
        let text = name.to_string();
        if let Some(&(name, evaluations)) = METHODS.iter().find(|(known, _)| *known == text) {
            return Ok(Method::Known(name, evaluations));
        }
        let names: Vec<&str> = METHODS.iter().map(|(name, _)| *name).collect();
        let guess = did_you_mean(&text, &names);
        let error = self.fault(name.span(), format!("there is no method `{text}` for `ode`"));
        match guess {
            Some(guess) => error.help(format!("did you mean `{guess}`?")),
            None if text.starts_with(char::is_uppercase) => {
                error.help(format!("a method of your own is named by its path in Rust: `crate::{text}(8)`"))
            }
            None => error.help(format!("there are {}", names.join(", "))),
        }
        .fail()
    }

    fn no_method<T>(&mut self, expr: &Expr) -> Checked<T> {
        self.fault(expr.span, "`by` names a method with its number of steps").help("write `by = rk4(8)`").fail()
    }

    /// `0..1`
    pub(super) fn span(
        &mut self,
        function: &'static Function,
        parameter: &'static Parameter,
        expr: &'a Expr,
        environment: &Environment<'a>,
    ) -> Checked<Gift<'a>> {
        let ExprKind::Range(ends) = &expr.kind else {
            if let ExprKind::Error(lost) = expr.kind {
                return Err(lost);
            }
            let message = format!("`{}` of `{}` is a range of numbers", parameter.name, function.name);
            return self.fault(expr.span, message).help(format!("write `{} = 0..1`", parameter.name)).fail();
        };
        let mut numbers = [0.0; 2];
        for (number, end) in numbers.iter_mut().zip(ends.iter()) {
            *number = match self.value(end, environment)? {
                Value::Error(lost) => return Err(lost),
                other if let Some(number) = other.number() => number,
                other => {
                    return self
                        .fail(end.span, format!("a range goes from a number to a number, not {}", other.what()));
                }
            };
        }
        let [from, to] = numbers;
        if from == to {
            return self.fail(expr.span, format!("no time passes from {from} to {to}"));
        }
        Ok(Gift::Span(from, to))
    }

    /// One of some words.
    pub(super) fn choice(
        &mut self,
        parameter: &'static Parameter,
        words: &'static [&'static str],
        expr: &'a Expr,
    ) -> Checked<Gift<'a>> {
        let text = match &expr.kind {
            ExprKind::Name(name) => name.to_string(),
            ExprKind::Error(lost) => return Err(*lost),
            _ => super::text::text(expr),
        };
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Ok(Gift::Choice(word));
        }
        let message = format!("`{}` is one of {}, not `{text}`", parameter.name, words.join(", "));
        let guess = did_you_mean(&text, words);
        let error = self.fault(expr.span, message);
        if let Some(guess) = guess {
            error.help(format!("did you mean `{guess}`?"));
        }
        error.fail()
    }

    /// A layer that is given as an argument.
    pub(super) fn field(&mut self, function: &'static Function, expr: &'a Expr, value: Value<'a>) -> Checked<Gift<'a>> {
        let layer = match value {
            Value::Layer(layer) => layer,
            Value::Error(lost) => return Err(lost),
            other => {
                let message =
                    format!("the field of `{}` is a closure, a net or a layer, not {}", function.name, other.what());
                return self.fault(expr.span, message).help(format!("it is called `{}`", function.usage())).fail();
            }
        };
        let takes = self.field_takes(&layer);
        if !(1..=2).contains(&takes) {
            let message =
                format!("the field of `{}` takes the value and the time; this one takes {takes}", function.name);
            return self
                .fault(expr.span, message)
                .help("write `|x, s| …`, or `|x| …` where time does not matter")
                .fail();
        }
        Ok(Gift::Layer(layer, expr.span))
    }
}
