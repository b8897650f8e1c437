//! Functions of numbers that are known at compile time: `1 / sqrt(64)` is a number.

use super::block::Inference;
use super::value::Environment;
use crate::ast::{Argument, Expr, ExprKind};

impl<'a> Inference<'a, '_, '_> {
    /// A function of the language applied to numbers, where mathematics has it for numbers.
    pub(super) fn of_numbers(
        &self,
        function: &str,
        arguments: &'a [Argument],
        environment: &Environment<'a>,
    ) -> Option<f64> {
        let numbers = arguments.iter().map(|argument| match argument.name {
            Some(_) => None,
            None => self.known_number(&argument.value, environment),
        });
        Some(match (function, numbers.collect::<Option<Vec<f64>>>()?.as_slice()) {
            ("sqrt", [x]) => x.sqrt(),
            ("rsqrt", [x]) => x.sqrt().recip(),
            ("recip", [x]) => x.recip(),
            ("square", [x]) => x * x,
            ("exp", [x]) => x.exp(),
            ("expm1", [x]) => x.exp_m1(),
            ("ln", [x]) => x.ln(),
            ("log1p", [x]) => x.ln_1p(),
            ("sin", [x]) => x.sin(),
            ("cos", [x]) => x.cos(),
            ("tanh", [x]) => x.tanh(),
            ("abs", [x]) => x.abs(),
            ("pow", [x, exponent]) => x.powf(*exponent),
            ("minimum", [a, b]) => a.min(*b),
            ("maximum", [a, b]) => a.max(*b),
            _ => return None,
        })
        .filter(|number| number.is_finite())
    }

    /// The number that an expression is, if it is made of numbers and known sizes alone.
    fn known_number(&self, expr: &'a Expr, environment: &Environment<'a>) -> Option<f64> {
        match &expr.kind {
            ExprKind::Number { value, .. } => Some(*value),
            ExprKind::Name(name) => match environment.iter().find(|binding| binding.name == *name) {
                Some(binding) => binding.value.number().inspect(|_| binding.used.set(true)),
                None => self.facts.dims.term(&name.to_string())?.number().map(|number| number as f64),
            },
            ExprKind::Unary { op: '-', operand } => Some(-self.known_number(operand, environment)?),
            ExprKind::Binary { op, operands } => {
                let (a, b) =
                    (self.known_number(&operands[0], environment)?, self.known_number(&operands[1], environment)?);
                match *op {
                    "+" => Some(a + b),
                    "-" => Some(a - b),
                    "*" => Some(a * b),
                    "/" => Some(a / b).filter(|number| number.is_finite()),
                    _ => None,
                }
            }
            ExprKind::Call { callee, arguments } => match &callee.kind {
                ExprKind::Name(name) => self.of_numbers(&name.to_string(), arguments, environment),
                _ => None,
            },
            _ => None,
        }
    }
}
