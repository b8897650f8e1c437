//! The functions of the language: their arguments, and the rules of the simple ones.

use super::block::Inference;
use super::call::count;
use super::typed::{Operation, Scalar};
use super::types::{Axis, Element, Type, shape};
use super::value::{Environment, LayerValue, Tensor, Value};
use crate::ast::{Argument, Expr, ExprKind};
use crate::functions::{Default, Function, Kind, Parameter, Rule};
use crate::report::{Diagnostic, did_you_mean};
use crate::resolve::{Absorbed, Checked};
use crate::terms::Term;
use proc_macro2::Span;
use std::collections::BTreeMap;

/// What a call gives a function besides tensors, by the names of the parameters.
pub(super) type Given<'a> = BTreeMap<&'static str, Gift<'a>>;

/// One argument.
#[derive(Clone, Debug)]
pub(super) enum Gift<'a> {
    Number(f64),
    Flag(bool),
    Count(usize),
    Width(Term, Span),
    Shape(Vec<Axis>),
    Axes(&'a Expr),
    Tensor(Tensor, Span),
}

/// The arguments of a call.
pub(super) struct Arguments<'a> {
    pub(super) tensors: Vec<(Tensor, Span)>,
    pub(super) given: Given<'a>,
}

impl Function {
    /// The first parameter that must be given and is not.
    pub(super) fn missing(&self, given: &Given<'_>) -> Option<&'static str> {
        let missing = |p: &&Parameter| p.default == Default::Required && !given.contains_key(p.name);
        self.parameters.iter().find(missing).map(|p| p.name)
    }

    /// A number that is given, or its default.
    fn number(&self, name: &str, given: &Given<'_>) -> Option<f64> {
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
        at: Span,
        arguments: &'a [Argument],
        piped: Option<Value<'a>>,
        environment: &Environment<'a>,
    ) -> Checked<Arguments<'a>> {
        let mut bound = Arguments { tensors: vec![], given: Given::new() };
        let mut whole = true;
        match piped {
            Some(Value::Tensor(tensor)) => bound.tensors.push((tensor, at)),
            Some(Value::Error) => whole = false,
            Some(other) => {
                self.slot(function.name, &other, at);
                whole = false;
            }
            None => {}
        }
        let mut expected = bound.tensors.len();
        for argument in arguments {
            let expr = &argument.value;
            let shorthand = match &expr.kind {
                ExprKind::Name(name) if argument.name.is_none() => function
                    .parameter(&name.to_string())
                    .filter(|p| !p.positional && !bound.given.contains_key(p.name) && p.kind != Kind::Axes),
                _ => None,
            };
            if argument.name.is_some() || shorthand.is_some() {
                let parameter = match &argument.name {
                    Some(name) => self.parameter(function, name),
                    None => shorthand.ok_or(Absorbed),
                };
                let Ok(parameter) = parameter else {
                    whole = false;
                    continue;
                };
                if bound.given.contains_key(parameter.name) {
                    let span = argument.name.as_ref().map_or(expr.span, proc_macro2::Ident::span);
                    self.fault(span, format!("`{}` is given twice", parameter.name));
                    whole = false;
                    continue;
                }
                match self.gift(function, parameter, expr, None, environment) {
                    Ok(gift) => {
                        bound.given.insert(parameter.name, gift);
                    }
                    Err(Absorbed) => whole = false,
                }
                continue;
            }
            let next = function.parameters.iter().find(|p| p.positional && !bound.given.contains_key(p.name));
            let slots = function.tensors.len();
            let value = self.value(expr, environment);
            let open = expected < slots || function.rule == Rule::Concat;
            match value {
                Err(Absorbed) | Ok(Value::Error) => {
                    // What could not be read may have been a tensor.
                    expected += 1;
                    whole = false;
                }
                Ok(Value::Tensor(tensor)) if open => {
                    expected += 1;
                    bound.tensors.push((tensor, expr.span));
                }
                Ok(value) => match next {
                    Some(parameter) if expected == 0 || expected >= slots => {
                        match self.gift(function, parameter, expr, Some(value), environment) {
                            Ok(gift) => {
                                bound.given.insert(parameter.name, gift);
                            }
                            Err(Absorbed) => return Err(Absorbed),
                        }
                    }
                    _ if open => {
                        self.slot(function.name, &value, expr.span);
                        expected += 1;
                        whole = false;
                    }
                    _ => {
                        self.too_many(function, expr.span);
                        return Err(Absorbed);
                    }
                },
            }
        }
        if !whole {
            return Err(Absorbed);
        }
        self.enough(function, &bound, at)?;
        Ok(bound)
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
            self.fault(name.span(), message).help(format!("it is called `{}`", function.usage()));
            return Err(Absorbed);
        }
        let error = self.fault(name.span(), format!("`{}` has no parameter `{text}`", function.name));
        match guess {
            Some(guess) => error.help(format!("did you mean `{guess}`?")),
            None => error.help(format!("it is called `{}`", function.usage())),
        };
        Err(Absorbed)
    }

    fn too_many(&mut self, function: &'static Function, span: Span) {
        let pair = match function.name {
            "max" => Some("maximum"),
            "min" => Some("minimum"),
            _ => None,
        };
        let error = self.fault(span, format!("`{}` takes no further value by position", function.name));
        match pair {
            Some(pair) => error.help(format!("`{pair}(a, b)` takes two tensors elementwise")),
            None => error.help(format!("it is called `{}`", function.usage())),
        };
    }

    fn enough(&mut self, function: &'static Function, bound: &Arguments<'a>, at: Span) -> Checked<()> {
        let (wanted, came) = (function.tensors.len(), bound.tensors.len());
        if 0 < came && came < wanted {
            let message = format!("`{}` takes {}, not {came}", function.name, count(wanted));
            self.fault(at, message).help(format!("it is called `{}`", function.usage()));
            return Err(Absorbed);
        }
        if let Some(missing) = function.missing(&bound.given)
            && (came > 0 || wanted == 0 || !bound.given.is_empty())
        {
            let message = format!("`{}` needs `{missing}`", function.name);
            self.fault(at, message).help(format!("it is called `{}`", function.usage()));
            return Err(Absorbed);
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
        let value = match value {
            Some(value) => value,
            None => self.value(expr, environment)?,
        };
        match (parameter.kind, value) {
            (_, Value::Error) => Err(Absorbed),
            (Kind::Probability, Value::Number { value, .. }) if !(0.0..1.0).contains(&value) => {
                let message = format!("`{}` of `{}` lies in [0, 1), {value} does not", parameter.name, function.name);
                self.fault(expr.span, message);
                Err(Absorbed)
            }
            (Kind::Number | Kind::Exponent | Kind::Probability, Value::Number { value, .. }) => Ok(Gift::Number(value)),
            (Kind::Count, Value::Number { integer: Some(count), .. }) if count >= 0 => {
                Ok(Gift::Count(usize::try_from(count).map_err(|_| Absorbed)?))
            }
            (Kind::Flag, Value::Flag(flag)) => Ok(Gift::Flag(flag)),
            (Kind::Exponent | Kind::Tensor, Value::Tensor(tensor)) => Ok(Gift::Tensor(tensor, expr.span)),
            (Kind::Shape, Value::List(items)) => self.shape(items, expr).map(Gift::Shape),
            (Kind::Width, value) => match self.dimension(&value) {
                Some(size) => Ok(Gift::Width(self.positive(size, expr.span)?, expr.span)),
                None => self.misgiven(function, parameter, &value, expr),
            },
            (_, value) => self.misgiven(function, parameter, &value, expr),
        }
    }

    fn misgiven<T>(
        &mut self,
        function: &'static Function,
        parameter: &'static Parameter,
        value: &Value<'a>,
        expr: &Expr,
    ) -> Checked<T> {
        let wanted = match parameter.kind {
            Kind::Number | Kind::Probability => "a number that is known at compile time",
            Kind::Exponent => "a number or a tensor",
            Kind::Count => "a whole number",
            Kind::Flag => "`true` or `false`",
            Kind::Width => "a dimension",
            Kind::Shape => "a shape in brackets, `[n, 1]`",
            Kind::Axes => "axes",
            Kind::Tensor => "a tensor",
        };
        let message = format!("`{}` of `{}` is {wanted}, not {}", parameter.name, function.name, value.what());
        self.fault(expr.span, message);
        Err(Absorbed)
    }

    /// A value as a dimension.
    pub(super) fn dimension(&self, value: &Value<'a>) -> Option<Term> {
        match value {
            Value::Size(term) => Some(term.clone()),
            Value::Number { integer: Some(number), .. } => Some(Term::integer(*number)),
            _ => None,
        }
    }

    fn positive(&mut self, size: Term, span: Span) -> Checked<Term> {
        let literal = size.as_integer().is_some_and(|number| number <= 0);
        if literal || size.number() == Some(0) {
            self.fault(span, format!("a dimension has at least size 1, not {size}"));
            return Err(Absorbed);
        }
        Ok(size)
    }

    fn shape(&mut self, items: Vec<Value<'a>>, expr: &'a Expr) -> Checked<Vec<Axis>> {
        let places: Vec<Span> = match &expr.kind {
            ExprKind::List(items) => items.iter().map(|item| item.span).collect(),
            _ => vec![expr.span; items.len()],
        };
        let axes = items.into_iter().zip(places).map(|(item, span)| match self.dimension(&item) {
            Some(size) => Ok(Axis::from(self.positive(size, span)?)),
            None => {
                self.fault(span, format!("a shape lists dimensions, not {}", item.what()));
                Err(Absorbed)
            }
        });
        let axes: Vec<Checked<Axis>> = axes.collect();
        axes.into_iter().collect()
    }

    /// Applies a function to its tensors; there are as many as it takes.
    pub(super) fn function(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        tensors: Vec<(Tensor, Span)>,
        given: &Given<'a>,
        at: Span,
    ) -> Checked<Value<'a>> {
        let all: Vec<Tensor> = tensors.iter().map(|(tensor, _)| tensor.clone()).collect();
        let tensor = match (function.rule, all.as_slice()) {
            (Rule::Map, [x]) => {
                self.reals(function.name, x, at)?;
                let numbers = function.parameters.iter().filter_map(|p| function.number(p.name, given)).collect();
                self.map(function.name, &[x], numbers, x.ty.clone(), at)
            }
            (Rule::Pair, [a, b]) => {
                self.reals(function.name, a, at)?;
                self.reals(function.name, b, at)?;
                self.pair(function.name, function.name, a, b, Element::Real, at)
            }
            (Rule::Power, [x]) => {
                self.reals(function.name, x, at)?;
                match given.get("exponent") {
                    Some(Gift::Tensor(exponent, _)) => {
                        self.reals(function.name, exponent, at)?;
                        self.pair("pow", "pow", x, exponent, Element::Real, at)
                    }
                    Some(Gift::Number(exponent)) => self.map("powf", &[x], vec![*exponent], x.ty.clone(), at),
                    _ => Err(Absorbed),
                }
            }
            (Rule::Select, [condition, yes, no]) => self.select(condition, yes, no, at),
            (Rule::ToReal, [x]) => match &x.ty.element {
                Element::Truth => {
                    let ty = x.ty.of(Element::Real);
                    self.tensor(Operation::ToReal { input: x.id }, ty, at)
                }
                other => {
                    let message = format!("`to_real` takes truth values; `x` holds {other}");
                    self.fault(at, message);
                    Err(Absorbed)
                }
            },
            (Rule::Reduce, [x]) => self.reduce(function, x, given, at),
            (Rule::Argmax, [x]) => self.argmax(x, given, at),
            (Rule::Along, [x]) => self.along(function, x, given, at),
            (Rule::Linear, [x]) => self.linear(layer, x, given, at),
            (Rule::Dropout, [x]) => self.dropout(layer, x, given, at),
            (Rule::CrossEntropy, [logits, target]) => self.cross_entropy(function, logits, target, given, at),
            (Rule::PairLoss, [a, b]) => self.pair_loss(function, a, b, at),
            (Rule::Draw, []) => self.draw(function, layer, given, at),
            (Rule::Concat, _) => self.concat(&all, at),
            _ => unreachable!("the number of tensors was checked"),
        };
        tensor.map(Value::Tensor)
    }

    /// An elementwise step on tensors of one shape.
    pub(super) fn map(
        &mut self,
        function: &'static str,
        inputs: &[&Tensor],
        numbers: Vec<f64>,
        ty: Type,
        at: Span,
    ) -> Checked<Tensor> {
        let inputs = inputs.iter().map(|input| input.id).collect();
        self.tensor(Operation::Map { function, inputs, numbers }, ty, at)
    }

    /// A number in the shape of a tensor.
    pub(super) fn constant(&mut self, like: &Tensor, value: Scalar, at: Span) -> Checked<Tensor> {
        let ty = like.ty.clone();
        self.tensor(Operation::Constant { like: like.id, value }, ty, at)
    }

    /// Checks that a tensor holds reals.
    pub(super) fn reals(&mut self, callee: &str, tensor: &Tensor, at: Span) -> Checked<()> {
        if tensor.ty.element == Element::Real {
            return Ok(());
        }
        let (element, truth) = (tensor.ty.element.clone(), tensor.ty.element == Element::Truth);
        let notes = self.notes(tensor, &[]);
        let error = self.fault(at, format!("`{callee}` takes real numbers, but is given {element}"));
        error.notes = notes;
        if truth {
            error.help("`to_real(…)` makes truth values 1 and 0");
        }
        Err(Absorbed)
    }

    fn cross_entropy(
        &mut self,
        function: &'static Function,
        logits: &Tensor,
        target: &Tensor,
        given: &Given<'a>,
        at: Span,
    ) -> Checked<Tensor> {
        self.reals(function.name, logits, at)?;
        let Some((classes, leading)) = logits.ty.axes.split_last() else {
            self.fault(at, "`cross_entropy` takes logits with an axis of classes, but is given []");
            return Err(Absorbed);
        };
        let Element::Index(space) = &target.ty.element else {
            let message = format!("the target of `cross_entropy` holds indices into {classes}, but is {}", target.ty);
            let notes = self.notes(target, &[]);
            let error = self.fault(at, message);
            error.notes = notes;
            error.help(format!("declare it `[…] in {}`", classes.size));
            return Err(Absorbed);
        };
        if *space != classes.size {
            let message =
                format!("the last axis of the logits is {}, but the target holds indices into {space}", classes.size);
            let notes = self.notes(logits, &[(classes.size.clone(), space.clone())]);
            let error = self.fault(at, message);
            error.notes = notes;
            error.help(format!("let the logits end in {space}, or declare the target `in {}`", classes.size));
            return Err(Absorbed);
        }
        if let Err(misfit) = ansatz_shapes::same(leading, &target.ty.axes) {
            let message = format!(
                "`cross_entropy` of logits {} takes targets {}, but is given {}",
                logits.ty,
                shape(leading),
                shape(&target.ty.axes)
            );
            self.misfit(&misfit, message, target, at);
            return Err(Absorbed);
        }
        let weights = match given.get("weights") {
            Some(Gift::Tensor(weights, span)) => {
                self.reals(function.name, weights, *span)?;
                if let Err(misfit) = ansatz_shapes::same(std::slice::from_ref(classes), &weights.ty.axes) {
                    let message =
                        format!("`weights` has one weight for each class, [{classes}], but is {}", weights.ty);
                    self.misfit(&misfit, message, weights, *span);
                    return Err(Absorbed);
                }
                Some(weights.id)
            }
            _ => None,
        };
        let ignore = match given.get("ignore") {
            Some(Gift::Count(class)) => Some(*class as u64),
            _ => None,
        };
        if let (Some(class), Some(number)) = (ignore, classes.size.number())
            && class >= number as u64
        {
            self.fault(at, format!("`ignore = {class}` is no index into {}, which has size {number}", classes.size));
            return Err(Absorbed);
        }
        let label_smoothing = function.number("label_smoothing", given).unwrap_or(0.0);
        let (logits, target) = (logits.id, target.id);
        let operation = Operation::CrossEntropy { logits, target, weights, ignore, label_smoothing };
        self.tensor(operation, Type::real(vec![]), at)
    }

    fn pair_loss(&mut self, function: &'static Function, a: &Tensor, b: &Tensor, at: Span) -> Checked<Tensor> {
        self.reals(function.name, a, at)?;
        self.reals(function.name, b, at)?;
        if let Err(misfit) = ansatz_shapes::same(&a.ty.axes, &b.ty.axes) {
            let message = format!("`{}` takes two tensors of one shape, not {} and {}", function.name, a.ty, b.ty);
            self.misfit(&misfit, message, b, at);
            return Err(Absorbed);
        }
        self.map(function.name, &[a, b], vec![], Type::real(vec![]), at)
    }

    fn concat(&mut self, tensors: &[Tensor], at: Span) -> Checked<Tensor> {
        for tensor in tensors {
            self.reals("concat", tensor, at)?;
        }
        let shapes: Vec<&[Axis]> = tensors.iter().map(|tensor| tensor.ty.axes.as_slice()).collect();
        let Some(axis) = shapes[0].len().checked_sub(1) else {
            self.fault(at, "`concat` joins along the last axis, but [] has none");
            return Err(Absorbed);
        };
        match ansatz_shapes::concat(&shapes, axis) {
            Ok(axes) => {
                let inputs = tensors.iter().map(|tensor| tensor.id).collect();
                self.tensor(Operation::Concat { inputs, axis }, Type::real(axes), at)
            }
            Err(misfit) => {
                let list: Vec<_> = tensors.iter().map(|tensor| tensor.ty.to_string()).collect();
                let message =
                    format!("`concat` takes tensors that differ in the last axis alone, not {}", list.join(" and "));
                let wrong = match &misfit {
                    ansatz_shapes::Misfit::Size { operand, .. } | ansatz_shapes::Misfit::Rank { operand, .. } => {
                        *operand
                    }
                    ansatz_shapes::Misfit::Axis { .. } => 0,
                };
                self.misfit(&misfit, message, &tensors[wrong], at);
                Err(Absorbed)
            }
        }
    }

    /// Reports shapes that do not fit, with the history of `tensor`.
    pub(super) fn misfit(
        &mut self,
        misfit: &ansatz_shapes::Misfit<Axis>,
        message: String,
        tensor: &Tensor,
        at: Span,
    ) -> &mut Diagnostic {
        let (sizes, help) = match misfit {
            ansatz_shapes::Misfit::Size { expected, found, .. } => (
                vec![(expected.size.clone(), found.size.clone())],
                match (&expected.label, &found.label) {
                    (Some(a), Some(b)) if expected.size == found.size => format!("the axes `{a}` and `{b}` differ"),
                    _ => format!("{} should be {}", found.size, expected.size),
                },
            ),
            ansatz_shapes::Misfit::Rank { expected, found, .. } => {
                (vec![], format!("{expected} axes are wanted, {found} came"))
            }
            ansatz_shapes::Misfit::Axis { axis, rank } => (vec![], format!("there is no axis {axis} among {rank}")),
        };
        let notes = self.notes(tensor, &sizes);
        let error = self.fault(at, message);
        error.notes = notes;
        error.help(help)
    }
}
