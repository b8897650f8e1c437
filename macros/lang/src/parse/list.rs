//! What stands in brackets: a shape, layers in sequence, a repeated layer.

use super::cursor::{Parsed, Parser};
use crate::ast::{Expr, ExprKind, Size, Times};
use proc_macro2::Span;

impl Parser {
    /// `[a, b]`, `[layer; 6]`, `[linear(64 * i); i in 1..4]`
    pub fn bracketed(&mut self, span: Span) -> Parsed<Expr> {
        let elements = self.list(|p| p.expr("a layer or a size"));
        let broken = elements.iter().find_map(|element| element.as_ref().err().copied());
        let mut elements: Vec<Expr> =
            elements.into_iter().map(|element| element.unwrap_or_else(|lost| self.unread(lost, span))).collect();
        if self.take_operator(";").is_none() {
            return Ok(self.make(ExprKind::List(elements), span));
        }
        if let Some(lost) = broken {
            return Err(lost);
        }
        let times = self.times()?;
        let layer = match elements.len() {
            1 => elements.swap_remove(0),
            0 => {
                return self.report.error(span, "no layer stands before the `;`").help("write `[layer; 6]`").fail();
            }
            _ => {
                return self
                    .report
                    .error(span, "one layer is repeated, several stand before the `;`")
                    .help("put them in a list of their own: `[[a, b]; 6]`")
                    .fail();
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
            return self.unexpected("`..` and the number after the last, as in `i in 1..4`").fail();
        }
        let to: Size = self.size("the number after the last")?;
        self.nothing_left("the range")?;
        Ok(Times::Range { index, bounds: Box::new([from, to]) })
    }
}
