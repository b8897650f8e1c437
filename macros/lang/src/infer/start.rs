//! Initialisers: how a tensor starts.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::text::text;
use super::typed::Start;
use super::value::Environment;
use super::value::Value;
use crate::ast::{Argument, Expr, ExprKind};
use crate::functions::Function;
use crate::initialisers::{INITIALISERS, find};
use crate::report::{Checked, Place, did_you_mean};
use proc_macro2::Ident;

/// What starts: how errors call it, and how many axes it has.
#[derive(Clone, Copy)]
pub(super) struct Started<'s> {
    pub name: &'s str,
    pub rank: usize,
}

impl<'a> Inference<'a, '_, '_> {
    /// `normal(0.02)`, `zeros`, `0.5`
    pub(super) fn start(&mut self, expr: &'a Expr, of: Started<'_>, environment: &Environment<'a>) -> Checked<Start> {
        let (name, arguments): (_, &'a [Argument]) = match &expr.kind {
            ExprKind::Name(name) => (name, &[]),
            ExprKind::Call { callee, arguments } => match &callee.kind {
                ExprKind::Name(name) => (name, arguments),
                ExprKind::Path(path) => return self.own_start(path, callee, arguments, environment),
                _ => return self.no_start(expr, of),
            },
            ExprKind::Path(path) => return self.own_start(path, expr, &[], environment),
            ExprKind::Error(lost) => return Err(*lost),
            _ => {
                return match self.value(expr, environment)? {
                    Value::Number { value, .. } => Ok(Start::known("Constant", vec![value])),
                    Value::Error(lost) => Err(lost),
                    _ => self.no_start(expr, of),
                };
            }
        };
        match environment.find(name).map(|binding| binding.value.clone()) {
            Some(Value::Number { value, .. }) if arguments.is_empty() => {
                return Ok(Start::known("Constant", vec![value]));
            }
            // A hyper-parameter of a template, which is not given yet.
            Some(Value::Error(lost)) => return Err(lost),
            _ => {}
        }
        let Some(function) = find(&name.to_string()) else {
            let known: Vec<_> = INITIALISERS.iter().map(|f| f.name).collect();
            let guess = did_you_mean(&name.to_string(), &known);
            let error = self.fault(name.span(), format!("there is no initialiser `{name}`"));
            return match guess {
                Some(guess) => error.help(format!("did you mean `{guess}`?")),
                None => error.help(format!("there are {}, and numbers", known.join(", "))),
            }
            .fail();
        };
        let given = self.arguments(function, expr.span, arguments, None, None, environment)?.given;
        let start = self.chosen(function, &given, expr.span)?;
        let least = match start.name {
            "Constant" | "Uniform" | "Normal" | "TruncatedNormal" => 0,
            _ => 2,
        };
        if of.rank < least {
            let axes = if of.rank == 1 { "1 axis".to_owned() } else { format!("{} axes", of.rank) };
            let message = format!("`{name}` starts tensors of 2 axes or more, and {} has {axes}", of.name);
            return self
                .fault(expr.span, message)
                .help("`zeros`, `ones`, `normal` and `uniform` start any tensor")
                .fail();
        }
        Ok(start)
    }

    /// What the runtime crate calls it, with its numbers.
    fn chosen(&mut self, function: &'static Function, given: &Given<'a>, at: Place) -> Checked<Start> {
        let number = |name| function.number(name, given);
        let fan = match given.get("mode") {
            Some(Gift::Choice("fan_out")) => "Out",
            _ => "In",
        };
        let plain = |name, number: Option<f64>| Start::known(name, number.into_iter().collect());
        let fanned = |name, gain| Start { fan: Some(fan), ..Start::known(name, vec![gain]) };
        let relu = number("gain").unwrap_or(std::f64::consts::SQRT_2);
        let start = match function.name {
            "zeros" => plain("Constant", Some(0.0)),
            "ones" => plain("Constant", Some(1.0)),
            "normal" => plain("Normal", number("deviation")),
            "truncated_normal" => plain("TruncatedNormal", number("deviation")),
            "uniform" => Start::known("Uniform", number("from").into_iter().chain(number("to")).collect()),
            "kaiming_normal" => fanned("KaimingNormal", relu),
            "kaiming_uniform" => fanned("KaimingUniform", relu),
            "xavier_normal" => plain("XavierNormal", number("gain")),
            "xavier_uniform" => plain("XavierUniform", number("gain")),
            "orthogonal" => plain("Orthogonal", number("gain")),
            _ => plain("Identity", number("gain")),
        };
        let problem = match (function.name, start.numbers.as_slice()) {
            ("uniform", [from, to]) if from > to => {
                Some(format!("`uniform` goes from the smaller number to the greater, {from} is above {to}"))
            }
            ("normal" | "truncated_normal", [deviation]) if *deviation < 0.0 => {
                Some(format!("a standard deviation is not negative, {deviation} is"))
            }
            _ => None,
        };
        match problem {
            Some(problem) => self.fail(at, problem),
            None => Ok(start),
        }
    }

    /// `my::hippo(2)`: a function of Rust of the tensor that starts, and of numbers.
    fn own_start(
        &mut self,
        path: &[Ident],
        callee: &Expr,
        arguments: &'a [Argument],
        environment: &Environment<'a>,
    ) -> Checked<Start> {
        self.reachable(path, callee)?;
        let mut constants = vec![];
        for argument in arguments {
            let value = self.value(&argument.value, environment)?;
            match value.constant().filter(|_| argument.name.is_none()) {
                Some(constant) => constants.push(constant),
                None => {
                    if let Value::Error(lost) = value {
                        return Err(lost);
                    }
                    let message = format!("`{}` takes numbers, truth values and texts by position", text(callee));
                    return self.fault(argument.value.span, message).fail();
                }
            }
        }
        Ok(Start { own: Some((path.to_vec(), constants)), ..Start::known("Own", vec![]) })
    }

    fn no_start<T>(&mut self, expr: &Expr, of: Started<'_>) -> Checked<T> {
        let message = format!("{} starts with an initialiser or a number, not with `{}`", of.name, text(expr));
        self.fault(expr.span, message).help("write `zeros`, or `normal(0.02)`").fail()
    }
}
