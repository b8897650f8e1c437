//! What stands in brackets: a shape, layers in sequence, a repeated layer.

use super::cursor::{Parsed, Parser, Reported};
use crate::ast::{Expr, ExprKind, Size, Times};
use proc_macro2::Span;

impl Parser {
    /// `[a, b]`, `[layer; 6]`, `[linear(64 * i); i in 1..4]`
    pub fn bracketed(&mut self, span: Span) -> Parsed<Expr> {
        let elements = self.list(|p| p.expr("a layer or a size"));
        let broken = elements.iter().any(Result::is_err);
        let mut elements: Vec<Expr> =
            elements.into_iter().map(|element| element.unwrap_or_else(|_| self.unread(span))).collect();
        if self.take_operator(";").is_none() {
            return Ok(self.make(ExprKind::List(elements), span));
        }
        if broken {
            return Err(Reported);
        }
        let times = self.times()?;
        let layer = match elements.len() {
            1 => elements.swap_remove(0),
            0 => {
                self.report.error(span, "no layer stands before the `;`").help("write `[layer; 6]`");
                return Err(Reported);
            }
            _ => {
                let error = self.report.error(span, "one layer is repeated, several stand before the `;`");
                error.help("put them in a list of their own: `[[a, b]; 6]`");
                return Err(Reported);
            }
        };
        Ok(self.make(ExprKind::Repeat { layer: Box::new(layer), times }, span))
    }

    /// `6`, `i in 1..4`
    fn times(&mut self) -> Parsed<Times> {
        let indexed = self.ident().is_some() && self.ident_ahead(1).is_some_and(|word| word == "in");
        if !indexed {
            let count = self.size("the number of repetitions")?;
            self.nothing_left("the count")?;
            return Ok(Times::Count(count));
        }
        let index = self.name("the name of a number")?;
        self.bump();
        let from = self.size("the first number")?;
        if self.take_operator("..").is_none() {
            self.unexpected("`..` and the number after the last, as in `i in 1..4`");
            return Err(Reported);
        }
        let to: Size = self.size("the number after the last")?;
        self.nothing_left("the range")?;
        Ok(Times::Range { index, bounds: Box::new([from, to]) })
    }
}
