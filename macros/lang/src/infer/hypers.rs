//! Hyper-parameters: what a net is given besides tensors.

use super::block::{Inference, Standing};
use super::mentions;
use super::text::text;
use super::value::{Binding, Callable, Chosen, Environment, Label, Maker, Value};
use crate::ast::{AliasItem, Argument, Expr, ExprKind, Parameter, ParameterKind};
use crate::report::{Checked, Place, Report, Reported, did_you_mean};
use crate::terms::Term;
use proc_macro2::Ident;
use std::cell::Cell;
use std::rc::Rc;

/// A net and the tensors that it is called with.
pub(super) type Called<'a> = (Rc<Chosen<'a>>, Vec<(Value<'a>, Place)>);

impl<'a> Inference<'a, '_, '_> {
    /// Sorts the arguments of a net into tensors and hyper-parameters. By position come the tensors, then the
    /// hyper-parameters that have no default.
    pub(super) fn net_arguments(
        &mut self,
        chosen: &Chosen<'a>,
        arguments: &'a [Argument],
        environment: &Environment<'a>,
    ) -> Checked<Called<'a>> {
        let item = self.nets.names.nets[chosen.net];
        let mut chosen = chosen.clone();
        let (mut tensors, mut lost) = (vec![], None);
        for argument in arguments {
            let expr = &argument.value;
            let is_parameter = |name: &str| {
                let mut own = item.parameters.iter();
                own.any(|p| p.name == name && p.kind.is_some_and(|kind| kind != ParameterKind::Layer))
            };
            if let Some(reported) = self.colon(argument, is_parameter, environment) {
                lost = Some(reported);
                continue;
            }
            let next = item
                .parameters
                .iter()
                .enumerate()
                .position(|(i, parameter)| parameter.default.is_none() && !chosen.given.contains_key(&i));
            let position = match (&argument.name, &expr.kind) {
                (Some(name), _) => match self.parameter_named(&chosen, name) {
                    Ok(Some(position)) => Some(position),
                    Ok(None) => {
                        lost = lost.or(self.dim_argument(&mut chosen, name, expr, environment).err());
                        continue;
                    }
                    Err(reported) => {
                        lost = Some(reported);
                        continue;
                    }
                },
                (None, ExprKind::Name(name)) => {
                    let named = |parameter: &Parameter| parameter.name == *name;
                    item.parameters.iter().position(named).filter(|i| !chosen.given.contains_key(i))
                }
                _ => None,
            };
            let layer = |inference: &Self, position: usize| {
                inference.kind(&item.parameters[position]) == ParameterKind::Layer
                    && inference.is_layer(expr, environment)
            };
            let position = position.or_else(|| next.filter(|&next| layer(self, next)));
            if let Some(position) = position {
                match self.hyper(item, &item.parameters[position], expr, environment) {
                    Ok(value) => drop(chosen.given.insert(position, value)),
                    Err(reported) => lost = Some(reported),
                }
                continue;
            }
            match (self.value(expr, environment), next) {
                (Err(reported) | Ok(Value::Error(reported)), _) => lost = Some(reported),
                (Ok(value @ (Value::Tensor(_) | Value::Tuple(_))), _) | (Ok(value), None) => {
                    tensors.push((value, expr.span));
                }
                (Ok(value), Some(next)) => match self.fitting(item, &item.parameters[next], value, expr) {
                    Ok(value) => drop(chosen.given.insert(next, value)),
                    Err(reported) => lost = Some(reported),
                },
            }
        }
        lost.map_or_else(|| Ok((Rc::new(chosen), tensors)), Err)
    }

    /// The position of the hyper-parameter of this name; `None` for a dimension of an input.
    fn parameter_named(&mut self, chosen: &Chosen<'a>, name: &Ident) -> Checked<Option<usize>> {
        let item = self.nets.names.nets[chosen.net];
        let position = item.parameters.iter().position(|parameter| parameter.name == *name);
        if let Some(position) = position {
            if chosen.given.contains_key(&position) {
                return self.fail(name.span(), format!("`{name}` is given twice"));
            }
            return Ok(Some(position));
        }
        let dims = super::signature::dimensions(item);
        if dims.contains(&name) {
            return Ok(None);
        }
        let text = name.to_string();
        let of = &item.name;
        if item.inputs.iter().any(|input| input.name == *name) {
            return self.fail(name.span(), format!("`{name}` is a tensor of `{of}`: give it by position"));
        }
        let known: Vec<_> = item.parameters.iter().map(|p| p.name.to_string()).collect();
        let guess = did_you_mean(&text, known.iter().cloned().chain(dims.iter().map(ToString::to_string)));
        let error = self.fault(name.span(), format!("`{of}` has no hyper-parameter `{text}`"));
        match (guess, known.as_slice()) {
            (Some(guess), _) => error.help(format!("did you mean `{guess}`?")),
            (None, _) if let Some(mend) = crate::habits::parameter(&text) => error.help(mend),
            (None, []) => {
                let dims: Vec<_> = dims.iter().map(|dim| format!("`{dim}`")).collect();
                error.help(format!("it has none; its dimensions are {}", dims.join(", ")))
            }
            (None, known) => error.help(format!("it has `{}`", known.join("`, `"))),
        }
        .fail()
    }

    /// `d = 784`: a dimension that is given by name.
    fn dim_argument(
        &mut self,
        chosen: &mut Chosen<'a>,
        name: &Ident,
        expr: &'a Expr,
        environment: &Environment<'a>,
    ) -> Checked<()> {
        let value = self.value(expr, environment)?;
        match self.dimension(&value) {
            Some(term) if term.number().is_some_and(|number| number > 0) => {
                chosen.dims.insert(name.to_string(), term);
                Ok(())
            }
            _ => {
                let message = format!("the dimension `{name}` is a size that is known here, not {}", value.what());
                self.fail(expr.span, message)
            }
        }
    }

    /// What kind of hyper-parameter this is: as declared, or as its default is.
    fn kind(&self, parameter: &Parameter) -> ParameterKind {
        let of_default = |expr: &Expr| match &expr.kind {
            ExprKind::Number { integer: None, .. } => ParameterKind::Real,
            ExprKind::Bool(_) => ParameterKind::Flag,
            ExprKind::Str(_) => ParameterKind::Text,
            ExprKind::Name(name) => {
                let text = name.to_string();
                let callable = self.nets.names.is_net(&text) || crate::functions::find(&text).is_some();
                if callable { ParameterKind::Layer } else { ParameterKind::Whole }
            }
            ExprKind::Call { .. }
            | ExprKind::Closure { .. }
            | ExprKind::List(_)
            | ExprKind::Repeat { .. }
            | ExprKind::Pipeline(_)
            | ExprKind::Pattern(_)
            | ExprKind::Label { .. } => ParameterKind::Layer,
            ExprKind::Unary { op: '-', operand } if !matches!(operand.kind, ExprKind::Name(_)) => ParameterKind::Real,
            _ => ParameterKind::Whole,
        };
        parameter.kind.or_else(|| parameter.default.as_ref().map(of_default)).unwrap_or(ParameterKind::Whole)
    }

    /// All hyper-parameters: those that are given, and the defaults of the others, which see the ones before them.
    pub(super) fn parameters(&mut self, chosen: &Chosen<'a>, at: Place) -> Checked<Vec<Value<'a>>> {
        let item = self.nets.names.nets[chosen.net];
        let mut environment = Environment::default();
        let mut values = vec![];
        for (i, parameter) in item.parameters.iter().enumerate() {
            let value = match (chosen.given.get(&i), &parameter.default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => self.hyper(item, parameter, default, &environment)?,
                (None, None) => {
                    let (of, name) = (&chosen.name, &parameter.name);
                    let message = format!("`{of}` needs its hyper-parameter `{name}`");
                    return self.fault(at, message).help(format!("give it: `{of}({name} = …)`")).fail();
                }
            };
            let binding = Binding { name: parameter.name.clone(), value: value.clone(), used: Cell::new(true) };
            environment = environment.with(Rc::new(binding));
            values.push(value);
        }
        Ok(values)
    }

    /// The value of a hyper-parameter, as it is written.
    fn hyper(
        &mut self,
        item: &crate::ast::NetItem,
        parameter: &Parameter,
        expr: &'a Expr,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        if self.kind(parameter) == ParameterKind::Layer {
            return self.maker(item, parameter, expr, environment);
        }
        let value = self.value(expr, environment)?;
        self.fitting(item, parameter, value, expr)
    }

    /// A value as a hyper-parameter takes it.
    fn fitting(
        &mut self,
        item: &crate::ast::NetItem,
        parameter: &Parameter,
        value: Value<'a>,
        expr: &'a Expr,
    ) -> Checked<Value<'a>> {
        let kind = self.kind(parameter);
        let wanted = match (kind, value) {
            (_, Value::Error(lost)) => return Err(lost),
            (ParameterKind::Whole, Value::Number { integer: Some(integer), value }) if integer >= 0 => {
                return Ok(Value::Number { integer: Some(integer), value });
            }
            (ParameterKind::Whole, Value::Size(term)) if term.number().is_some() => {
                return Ok(match term.as_integer() {
                    Some(integer) => Value::Number { integer: Some(integer), value: integer as f64 },
                    None => Value::Size(term),
                });
            }
            (ParameterKind::Whole | ParameterKind::Real, Value::Size(term)) if term.number().is_none() => {
                let (of, name) = (&item.name, &parameter.name);
                let message = format!("`{name}` of `{of}` would be {term}, which is known only at run time");
                let help = "hyper-parameters are fixed at compile time";
                return Err(self.need(&term, expr.span, message, help.to_owned()));
            }
            (ParameterKind::Real, Value::Size(term)) => {
                let value = term.number().unwrap_or_default() as f64;
                return Ok(Value::Number { value, integer: None });
            }
            (ParameterKind::Real, Value::Number { value, .. }) => return Ok(Value::Number { value, integer: None }),
            (ParameterKind::Flag, value @ Value::Flag(_)) | (ParameterKind::Text, value @ Value::Text(_)) => {
                return Ok(value);
            }
            (_, value) => value,
        };
        let what = match kind {
            ParameterKind::Whole => "a whole number or a dimension",
            ParameterKind::Real => "a number",
            ParameterKind::Flag => "`true` or `false`",
            ParameterKind::Text => "a text in quotes",
            ParameterKind::Layer => "a layer",
        };
        let (of, name) = (&item.name, &parameter.name);
        let negative = kind == ParameterKind::Whole && wanted.number().is_some_and(|number| number < 0.0);
        let message = format!("`{name}` of `{of}` is {what}, not {}", wanted.what());
        let error = self.fault(expr.span, message);
        if negative {
            error.help(format!(
                "where a net contains itself, it ends by a choice: `if {name} == 0 {{ … }} else {{ … }}`"
            ));
        }
        error.fail()
    }

    /// A layer as a hyper-parameter, with what it mentions.
    fn maker(
        &mut self,
        item: &crate::ast::NetItem,
        parameter: &Parameter,
        expr: &'a Expr,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        let (of, parameter) = (&item.name, &parameter.name);
        if let ExprKind::Name(name) = &expr.kind
            && let Some(binding) = environment.find(name)
            && let Value::Maker(_) | Value::Error(_) = &binding.value
        {
            return Ok(binding.value.clone());
        }
        if !self.is_layer(expr, environment) {
            let value = self.value(expr, environment)?;
            let message = format!("`{parameter}` of `{of}` is a layer, not {}", value.what());
            return self.fail(expr.span, message);
        }
        let mut names: Vec<&'a Ident> = vec![];
        mentions::expression(expr, &mut |name| names.push(name));
        let own: &[Ident] = match &expr.kind {
            ExprKind::Closure { parameters, .. } => parameters,
            _ => &[],
        };
        let (mut seen, mut text) = (Environment::default(), text(expr));
        for name in names.into_iter().filter(|name| !own.contains(name)) {
            let value = match environment.find(name).map(|binding| binding.value.clone()) {
                Some(value) => value,
                None => match self.facts.dims.term(&name.to_string()) {
                    Some(term) if self.nets.names.dim(&name.to_string()).is_none() => Value::Size(term),
                    _ => continue,
                },
            };
            match &value {
                Value::Tensor(_) | Value::Layer(_) | Value::Tuple(_) | Value::List(_) => {
                    let message = format!("`{parameter}` of `{of}` cannot see {}", value.what());
                    return self
                        .fault(name.span(), message)
                        .help("a layer that is a hyper-parameter mentions numbers, dimensions and other layers")
                        .fail();
                }
                Value::Size(term) if term.number().is_none() => {
                    let message = format!("`{parameter}` of `{of}` mentions {term}, which is known only at run time");
                    let help = "hyper-parameters are fixed at compile time";
                    return Err(self.need(term, name.span().into(), message, help.to_owned()));
                }
                _ => {}
            }
            text.push_str(&format!(", {name} = {}", value.text()));
            seen = seen.with(Rc::new(Binding { name: name.clone(), value, used: Cell::new(true) }));
        }
        Ok(Value::Maker(Rc::new(Maker { expr, environment: seen, text })))
    }

    /// A layer of its own for every use of a hyper-parameter.
    pub(super) fn make(&mut self, maker: &Maker<'a>, used: &'a Expr, label: Option<Label>) -> Checked<Value<'a>> {
        let site = self.site(used);
        let frame = self.parts.frame_of(site, 0);
        let here = Standing { frame, ..self.here };
        self.inside(here, |inference| inference.labelled(maker.expr, label, &maker.environment))
    }

    /// What an alias stands for.
    pub(super) fn target(&mut self, alias: &'a AliasItem) -> Checked<Chosen<'a>> {
        let environment = Environment::default();
        let (callee, arguments): (_, &'a [Argument]) = match &alias.target.kind {
            ExprKind::Call { callee, arguments } => (&**callee, arguments),
            _ => (&alias.target, &[]),
        };
        let chosen = match &callee.kind {
            ExprKind::Name(name) if *name == alias.name => {
                return self.fail(name.span(), format!("`{name}` stands for itself"));
            }
            ExprKind::Name(name) if self.facts.dims.term(&name.to_string()).is_some() => {
                return self.no_net(alias);
            }
            ExprKind::Name(name) => match self.declared(name, &environment)? {
                Callable::Net(chosen) => chosen,
                _ => return self.no_net(alias),
            },
            _ => return self.no_net(alias),
        };
        let (chosen, tensors) = self.net_arguments(&chosen, arguments, &environment)?;
        if let Some((value, at)) = tensors.first() {
            let message = format!("an alias fixes hyper-parameters, and this is {}", value.what());
            return self.fail(*at, message);
        }
        Ok(Chosen { name: alias.name.clone(), ..(*chosen).clone() })
    }

    fn no_net<T>(&mut self, alias: &AliasItem) -> Checked<T> {
        let name = &alias.name;
        self.fault(alias.target.span, format!("`{name}` should stand for a net, and `{}` is none", text(&alias.target)))
            .help(format!("name a net with its hyper-parameters: `net {name} = Net(layers = 12);`"))
            .fail()
    }

    /// Something must be known at compile time: whoever uses this net has to fix it.
    pub(super) fn need(&mut self, term: &Term, at: Place, message: String, help: String) -> Reported {
        self.nets.report.need(term.open_names(), at, message, help)
    }
}

impl<'a> Value<'a> {
    /// Whether two hyper-parameters have the same value. Layers do that say the same of the same things.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Number { value: a, integer: i }, Value::Number { value: b, integer: j }) => {
                i == j && a.to_bits() == b.to_bits()
            }
            (Value::Flag(a), Value::Flag(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Size(a), Value::Size(b)) => a == b,
            (Value::Maker(a), Value::Maker(b)) => {
                let [mut left, mut right] = [a, b].map(|maker| maker.environment.iter());
                a.expr.says(b.expr)
                    && loop {
                        match (left.next(), right.next()) {
                            (None, None) => break true,
                            (Some(a), Some(b)) if a.name == b.name && a.value.same(&b.value) => {}
                            _ => break false,
                        }
                    }
            }
            (Value::Error(_), Value::Error(_)) => true,
            _ => false,
        }
    }

    /// A hyper-parameter as one would write it.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Number { integer: Some(integer), .. } => integer.to_string(),
            Value::Number { value, .. } => value.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::Text(text) => format!("{text:?}"),
            Value::Size(term) => term.to_string(),
            Value::Maker(maker) => maker.text.clone(),
            other => other.what(),
        }
    }

    /// A hyper-parameter of which nothing is known: a whole number is a name.
    pub(super) fn unknown(parameter: &Parameter, report: &mut Report) -> Self {
        let name = parameter.name.to_string();
        if parameter.kind == Some(ParameterKind::Whole) {
            return Value::Size(Term::run_time(name));
        }
        let (message, help) = (format!("nothing says what `{name}` is"), format!("give it: `{name} = …`"));
        Value::Error(report.need(vec![name], parameter.name.span().into(), message, help))
    }
}
