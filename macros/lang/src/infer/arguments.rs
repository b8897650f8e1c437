//! The arguments of a function: which are tensors, which are parameters.

use super::block::Inference;
use super::call::count;
use super::start::Started;
use super::typed::{Argument, Method, Start};
use super::types::{Axis, Element};
use super::value::{Environment, Label, LayerValue, Tensor, Value};
use crate::ast::{self, Expr, ExprKind, Pattern};
use crate::functions::{Default, Function, Kind, Parameter, Rule};
use crate::report::{Checked, Depends, Place, Reported, did_you_mean};
use crate::terms::Term;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a call gives a function besides tensors, by the names of the parameters.
pub(super) type Given<'a> = BTreeMap<&'static str, Gift<'a>>;

/// One argument.
#[derive(Clone, Debug)]
pub(super) enum Gift<'a> {
    Number(f64),
    Flag(bool),
    Count(usize),
    Counts(Vec<usize>),
    Width(Term, Place),
    Shape(Vec<Axis>),
    Axes(&'a Expr),
    /// From a number to a number.
    Span(f64, f64),
    /// A method and its steps.
    Method(Method, usize),
    Choice(&'static str),
    Layer(Rc<LayerValue<'a>>, Place),
    Pattern(&'a Pattern, Environment<'a>),
    Tensor(Tensor, Place),
    Start(Start),
}

/// The arguments of a call.
pub(super) struct Arguments<'a> {
    pub(super) tensors: Vec<(Tensor, Place)>,
    pub(super) given: Given<'a>,
}

impl Function {
    /// The first parameter that must be given and is not.
    pub(super) fn missing(&self, given: &Given<'_>) -> Option<&'static str> {
        let missing = |p: &&Parameter| p.default == Default::Required && !given.contains_key(p.name);
        self.parameters.iter().find(missing).map(|p| p.name)
    }

    /// What the runtime crate is told of the parameters: numbers, truth values, words and tensors, as they are given or by
    /// default.
    pub(super) fn values(&self, given: &Given<'_>) -> Vec<(&'static str, Argument)> {
        let value = |parameter: &Parameter| {
            let name = parameter.name;
            let default = match parameter.default {
                Default::Value(value) => Some(value),
                Default::Required | Default::Absent => None,
            };
            let count = |text: &str| text.parse().expect("the defaults in the table are numbers");
            let found = match (parameter.kind, given.get(name)) {
                (Kind::Number | Kind::Probability | Kind::Exponent, _) => {
                    self.number(name, given).map(Argument::Number)
                }
                (Kind::Count, Some(Gift::Count(number))) => Some(Argument::Count(*number)),
                (Kind::Count, _) => default.map(|text| Argument::Count(count(text))),
                (Kind::Flag, _) => Some(Argument::Flag(flag(name, given, default == Some("true")))),
                (Kind::Choice(_), Some(Gift::Choice(word))) => Some(Argument::Word(word, None)),
                (Kind::Choice(_), _) => default.map(|word| Argument::Word(word, None)),
                (Kind::Tensor, Some(Gift::Tensor(tensor, _))) => Some(Argument::Erased(tensor.id)),
                (Kind::Tensor, _) => None,
                _ => return None,
            };
            Some((name, if parameter.default == Default::Absent { Argument::maybe(found) } else { found? }))
        };
        self.parameters.iter().filter_map(value).collect()
    }

    /// A number that is given, or its default.
    pub(super) fn number(&self, name: &str, given: &Given<'_>) -> Option<f64> {
        match given.get(name) {
            Some(Gift::Number(number)) => Some(*number),
            _ => match self.parameter(name)?.default {
                Default::Value(value) => Some(value.parse().expect("the defaults in the table are numbers")),
                _ => None,
            },
        }
    }
}

/// `true` or `false` as given, or else `absent`.
pub(super) fn flag(name: &str, given: &Given<'_>, absent: bool) -> bool {
    match given.get(name) {
        Some(Gift::Flag(flag)) => *flag,
        _ => absent,
    }
}

impl<'a> Inference<'a, '_, '_> {
    /// Sorts the arguments of a call into tensors and parameters.
    pub(super) fn arguments(
        &mut self,
        function: &'static Function,
        at: Place,
        arguments: &'a [ast::Argument],
        label: Option<&Label>,
        piped: Option<Value<'a>>,
        environment: &Environment<'a>,
    ) -> Checked<Arguments<'a>> {
        let mut bound = Arguments { tensors: vec![], given: Given::new() };
        let (mut lost, mut scalars) = (None, vec![]);
        match piped {
            Some(Value::Tensor(tensor)) => bound.tensors.push((tensor, at)),
            Some(Value::Error(reported)) => lost = Some(reported),
            Some(other) => lost = Some(self.slot(function.name, &other, at)),
            None => {}
        }
        let mut expected = bound.tensors.len();
        for argument in arguments {
            let expr = &argument.value;
            if let Some(reported) =
                self.colon(argument, |name| function.parameter(name).is_some_and(|p| !p.kind.is_layer()), environment)
            {
                lost = Some(reported);
                continue;
            }
            let shorthand = match &expr.kind {
                ExprKind::Name(name) if argument.name.is_none() => function
                    .parameter(&name.to_string())
                    .filter(|p| !p.positional && !bound.given.contains_key(p.name) && !p.kind.is_read_as_written()),
                _ => None,
            };
            let parameter = match &argument.name {
                Some(name) => Some(self.parameter(function, name)),
                None => shorthand.map(Ok),
            };
            if let Some(parameter) = parameter {
                let parameter = match parameter {
                    Ok(parameter) => parameter,
                    Err(reported) => {
                        lost = Some(reported);
                        continue;
                    }
                };
                if bound.given.contains_key(parameter.name) {
                    let span = argument.name.as_ref().map_or(expr.span, |name| name.span().into());
                    lost = Some(self.fault(span, format!("`{}` is given twice", parameter.name)).reported());
                    continue;
                }
                match self.gift(function, parameter, expr, None, environment) {
                    Ok(gift) => {
                        bound.given.insert(parameter.name, gift);
                    }
                    Err(reported) => lost = Some(reported),
                }
                continue;
            }
            if let (ExprKind::Pattern(pattern), Rule::Reduce) = (&expr.kind, function.rule)
                && !bound.given.contains_key("over")
            {
                bound.given.insert("over", Gift::Pattern(pattern, environment.clone()));
                continue;
            }
            let next = function.parameters.iter().find(|p| p.positional && !bound.given.contains_key(p.name));
            let slots = function.tensors.len();
            // A layer that is the last of the arguments without a name has the label of the call.
            let mut unnamed = arguments.iter().filter(|argument| argument.name.is_none());
            let last = unnamed.next_back().is_some_and(|last| last.value.number == expr.number);
            let label = label.filter(|_| last && next.is_some_and(|next| next.kind == Kind::Layer));
            let value = self.labelled(expr, label.cloned(), environment);
            let open = expected < slots || function.rule.takes_more();
            match value {
                Err(reported) | Ok(Value::Error(reported)) => {
                    // What could not be read may have been a tensor.
                    expected += 1;
                    lost = Some(reported);
                }
                Ok(Value::Tensor(tensor)) if open => {
                    expected += 1;
                    bound.tensors.push((tensor, expr.span));
                }
                Ok(value) => match next {
                    Some(parameter) if expected == 0 || expected >= slots => {
                        let gift = self.gift(function, parameter, expr, Some(value), environment)?;
                        bound.given.insert(parameter.name, gift);
                    }
                    _ if open
                        && function.rule.takes_numbers()
                        && matches!(value, Value::Number { .. } | Value::Size(_)) =>
                    {
                        scalars.push((expected, value, expr.span));
                        expected += 1;
                    }
                    _ if open => {
                        lost = Some(self.slot(function.name, &value, expr.span));
                        expected += 1;
                    }
                    _ => return Err(self.too_many(function, expr.span)),
                },
            }
        }
        // What was lost may have been the tensor that a number stands beside.
        for (place, value, span) in scalars.into_iter().take_while(|_| lost.is_none()).collect::<Vec<_>>() {
            let like = bound.tensors.iter().map(|(tensor, _)| tensor).find(|tensor| tensor.ty.element == Element::Real);
            let filled = match like.cloned() {
                Some(like) => self.scalar(function.name, &like, value, span).map(|scalar| (scalar, span)),
                None => Err(self.slot(function.name, &value, span)),
            };
            match filled {
                Ok(scalar) => bound.tensors.insert(place.min(bound.tensors.len()), scalar),
                Err(reported) => lost = Some(reported),
            }
        }
        if let Some(lost) = lost {
            return Err(lost);
        }
        self.enough(function, &bound, at)?;
        Ok(bound)
    }

    /// Speaks of a named argument that is written as a label: the name is that of a parameter, or what it names is no layer.
    pub(super) fn colon(
        &mut self,
        argument: &'a ast::Argument,
        is_parameter: impl Fn(&str) -> bool,
        environment: &Environment<'a>,
    ) -> Option<Reported> {
        let ExprKind::Label { label, inner } = &argument.value.kind else { return None };
        let no_layer = matches!(&inner.kind, ExprKind::Name(name)
            if self.facts.dims.term(&name.to_string()).is_some() && !self.is_layer(inner, environment));
        (is_parameter(&label.to_string()) || no_layer).then(|| {
            let value = super::text::text(inner);
            let error = self.fault(label.span(), "a named argument is followed by `=`");
            error.help(format!("write `{label} = {value}`")).reported()
        })
    }

    fn parameter(&mut self, function: &'static Function, name: &proc_macro2::Ident) -> Checked<&'static Parameter> {
        let text = name.to_string();
        if let Some(parameter) = function.parameter(&text) {
            return Ok(parameter);
        }
        let known: Vec<_> = function.parameters.iter().map(|p| p.name).collect();
        let guess = did_you_mean(&text, &known);
        if function.tensors.contains(&text.as_str()) {
            let message = format!("`{text}` is a tensor of `{}`: give it by position", function.name);
            return self.fault(name.span(), message).help(format!("it is called `{}`", function.usage())).fail();
        }
        let help = match (crate::habits::parameter(&text), guess) {
            (Some(mend), _) => mend.to_owned(),
            (None, Some(guess)) => format!("did you mean `{guess}`?"),
            (None, None) => format!("it is called `{}`", function.usage()),
        };
        let error = self.fault(name.span(), format!("`{}` has no parameter `{text}`", function.name));
        error.depends(Depends::OnNothing).help(help).fail()
    }

    fn too_many(&mut self, function: &'static Function, span: Place) -> Reported {
        let help = crate::habits::place(function.name)
            .map_or_else(|| format!("it is called `{}`", function.usage()), str::to_owned);
        self.fault(span, format!("`{}` takes no further value by position", function.name)).help(help).reported()
    }

    fn enough(&mut self, function: &'static Function, bound: &Arguments<'a>, at: Place) -> Checked<()> {
        let (wanted, came) = (function.tensors.len(), bound.tensors.len());
        if 0 < came && came < wanted {
            let message = format!("`{}` takes {}, not {came}", function.name, count(wanted));
            return self.fault(at, message).help(format!("it is called `{}`", function.usage())).fail();
        }
        if let Some(missing) = function.missing(&bound.given)
            && (came > 0 || wanted == 0 || !bound.given.is_empty())
        {
            let message = format!("`{}` needs `{missing}`", function.name);
            return self.fault(at, message).help(format!("it is called `{}`", function.usage())).fail();
        }
        Ok(())
    }

    /// One argument as its parameter takes it; `value` if it was evaluated already.
    fn gift(
        &mut self,
        function: &'static Function,
        parameter: &'static Parameter,
        expr: &'a Expr,
        value: Option<Value<'a>>,
        environment: &Environment<'a>,
    ) -> Checked<Gift<'a>> {
        if parameter.kind == Kind::Axes {
            return Ok(Gift::Axes(expr));
        }
        match parameter.kind {
            Kind::Span => return self.span(function, parameter, expr, environment),
            Kind::Method => return self.method(expr, environment),
            Kind::Choice(words) => return self.choice(parameter, words, expr),
            Kind::Start => return self.started(function, parameter, expr, environment),
            Kind::Bias if !self.is_flag(expr, environment) => {
                return self.started(function, parameter, expr, environment);
            }
            _ => {}
        }
        let value = match value {
            Some(value) => value,
            None => self.value(expr, environment)?,
        };
        match (parameter.kind, value) {
            (_, Value::Error(lost)) => Err(lost),
            (Kind::Probability, Value::Number { value, .. }) if !(0.0..1.0).contains(&value) => {
                let message = format!("`{}` of `{}` lies in [0, 1), {value} does not", parameter.name, function.name);
                self.fail(expr.span, message)
            }
            (Kind::Number | Kind::Exponent | Kind::Probability, Value::Number { value, .. }) => Ok(Gift::Number(value)),
            (Kind::Padding, Value::Text(text)) if &*text == "same" => Ok(Gift::Choice("same")),
            (Kind::Count | Kind::Counts | Kind::Padding, Value::Size(term)) if !term.open_names().is_empty() => {
                let message = format!(
                    "`{}` of `{}` would be {term}, which is known only at run time",
                    parameter.name, function.name
                );
                Err(self.need(
                    &term,
                    expr.span,
                    message,
                    "it shapes the layer, which is fixed at compile time".to_owned(),
                ))
            }
            (Kind::Count, value) => match self.dimension(&value).and_then(|size| size.number()) {
                Some(count) => Ok(Gift::Count(count)),
                None => self.misgiven(function, parameter, &value, expr),
            },
            (Kind::Counts | Kind::Padding, value) => {
                let counts = match &value {
                    Value::Tuple(items) => items.iter().map(|(_, item)| self.dimension(item)?.number()).collect(),
                    one => self.dimension(one).and_then(|one| Some(vec![one.number()?])),
                };
                match counts {
                    Some(counts) => Ok(Gift::Counts(counts)),
                    None => self.misgiven(function, parameter, &value, expr),
                }
            }
            (Kind::Flag | Kind::Bias, Value::Flag(flag)) => Ok(Gift::Flag(flag)),
            (Kind::Exponent | Kind::Tensor, Value::Tensor(tensor)) => Ok(Gift::Tensor(tensor, expr.span)),
            (Kind::Field, value) => self.field(function, expr, value),
            (Kind::Layer, Value::Layer(layer)) => Ok(Gift::Layer(layer, expr.span)),
            (Kind::Shape, Value::List(items)) => self.shape(items, expr).map(Gift::Shape),
            (Kind::Extent, value) => match self.dimension(&value) {
                Some(size) if size.as_integer().is_none_or(|number| number >= 0) => Ok(Gift::Width(size, expr.span)),
                _ => self.misgiven(function, parameter, &value, expr),
            },
            (Kind::Width, value) => match self.dimension(&value) {
                Some(size) => Ok(Gift::Width(self.positive(size, expr.span)?, expr.span)),
                None => self.misgiven(function, parameter, &value, expr),
            },
            (_, value) => self.misgiven(function, parameter, &value, expr),
        }
    }

    /// How the weights or the bias of a layer start.
    fn started(
        &mut self,
        function: &'static Function,
        parameter: &'static Parameter,
        expr: &'a Expr,
        environment: &Environment<'a>,
    ) -> Checked<Gift<'a>> {
        let vector = parameter.kind == Kind::Bias || matches!(function.rule, Rule::Norm | Rule::ChannelNorm);
        let tensor = if parameter.kind == Kind::Bias { "bias" } else { "weight" };
        let name = format!("the {tensor} of `{}`", function.name);
        let of = Started { name: &name, rank: if vector { 1 } else { 2 } };
        self.start(expr, of, environment).map(Gift::Start)
    }

    /// Whether an expression stands for a truth value rather than an initialiser.
    fn is_flag(&self, expr: &Expr, environment: &Environment<'a>) -> bool {
        match &expr.kind {
            ExprKind::Name(name) => environment.iter().any(|binding| binding.name == *name),
            ExprKind::Call { .. } | ExprKind::Path(_) => false,
            _ => true,
        }
    }

    fn misgiven<T>(
        &mut self,
        function: &'static Function,
        parameter: &'static Parameter,
        value: &Value<'a>,
        expr: &Expr,
    ) -> Checked<T> {
        let whole = matches!(parameter.kind, Kind::Width | Kind::Extent | Kind::Count | Kind::Counts | Kind::Padding);
        if let (true, Value::Number { value, integer: None }) = (whole, value) {
            let message =
                format!("`{}` of `{}` is a whole number, and {value} is a real one", parameter.name, function.name);
            let help = match value.fract() == 0.0 {
                true => format!("write `{value}`, or divide whole numbers: `16 / 2`"),
                false => "`floor_div(a, b)` and `ceil_div(a, b)` round".to_owned(),
            };
            return self.fault(expr.span, message).help(help).fail();
        }
        let wanted = match parameter.kind {
            Kind::Number | Kind::Probability => "a number that is known at compile time",
            Kind::Exponent => "a number or a tensor",
            Kind::Count => "a whole number",
            Kind::Counts => "a whole number, or one for each axis, `(3, 5)`",
            Kind::Padding => "a whole number, one for each axis, or \"same\"",
            Kind::Flag => "`true` or `false`",
            Kind::Width => "a dimension",
            Kind::Extent => "a size, or 0",
            Kind::Shape => "a shape in brackets, `[n, 1]`",
            Kind::Axes => "axes",
            Kind::Span => "a range of numbers, `0..1`",
            Kind::Method => "a method with its number of steps, `rk4(8)`",
            Kind::Choice(_) => "one of its words",
            Kind::Field | Kind::Layer => "a closure, a net or a layer",
            Kind::Start => "an initialiser",
            Kind::Bias => "`true`, `false` or an initialiser",
            Kind::Tensor => "a tensor",
        };
        let message = format!("`{}` of `{}` is {wanted}, not {}", parameter.name, function.name, value.what());
        self.fail(expr.span, message)
    }

    /// A value as a dimension.
    pub(super) fn dimension(&self, value: &Value<'a>) -> Option<Term> {
        match value {
            Value::Size(term) => Some(term.clone()),
            Value::Number { integer: Some(number), .. } => Some(Term::integer(*number)),
            _ => None,
        }
    }

    fn positive(&mut self, size: Term, span: Place) -> Checked<Term> {
        let literal = size.as_integer().is_some_and(|number| number <= 0);
        if literal || size.number() == Some(0) {
            let error = self.fault(span, format!("a dimension has at least size 1, not {size}"));
            if size.as_integer() == Some(-1) {
                error.help("no size is left to be calculated: write it, or merge axes by `flatten` or a pattern");
            }
            return error.fail();
        }
        Ok(size)
    }

    fn shape(&mut self, items: Vec<Value<'a>>, expr: &'a Expr) -> Checked<Vec<Axis>> {
        let places: Vec<Place> = match &expr.kind {
            ExprKind::List(items) => items.iter().map(|item| item.span).collect(),
            _ => vec![expr.span; items.len()],
        };
        let axes = items.into_iter().zip(places).map(|(item, span)| match self.dimension(&item) {
            Some(size) => Ok(Axis::from(self.positive(size, span)?)),
            None => self.fail(span, format!("a shape lists dimensions, not {}", item.what())),
        });
        let axes: Vec<Checked<Axis>> = axes.collect();
        axes.into_iter().collect()
    }
}
