//! Patterns: `[n, t, (heads e)] -> [n, heads, t, e]`, `einsum(q[n, i, e], k[n, j, e] -> [n, i, j])`.

use super::cursor::{Parsed, Parser, Reported};
use crate::ast::{Expr, ExprKind, Operand, Pattern, PatternAxis, Size};
use crate::report::Place;
use proc_macro2::{Delimiter, Group, Span, TokenTree};

impl Parser {
    /// What follows the left side, which has been taken: `-> […]`.
    pub fn pattern(&mut self, left: &Group) -> Parsed<Expr> {
        let from = self.side(left)?;
        let (to, last) = self.arrow()?;
        let span = Place { first: left.span(), last };
        Ok(self.make(ExprKind::Pattern(Pattern { from, to }), span))
    }

    /// `-> [n, i, j]`
    fn arrow(&mut self) -> Parsed<(Vec<PatternAxis>, Span)> {
        self.take_operator("->");
        let Some(right) = self.group(Delimiter::Bracket) else {
            self.unexpected("the axes of the result in brackets").help("a pattern is `[n, c] -> [c, n]`");
            return Err(Reported);
        };
        self.bump();
        Ok((self.side(&right)?, right.span()))
    }

    /// `[n, t, (heads e)]`
    fn side(&mut self, group: &Group) -> Parsed<Vec<PatternAxis>> {
        self.within(group, |p| {
            let axes = p.list(Self::pattern_axis);
            p.nothing_left("the axes of a pattern")?;
            axes.into_iter().collect()
        })
    }

    fn pattern_axis(&mut self) -> Parsed<PatternAxis> {
        let span = self.here();
        let Some(group) = self.group(Delimiter::Parenthesis) else {
            return Ok(PatternAxis { parts: vec![self.pattern_part()?], grouped: false, span });
        };
        self.bump();
        let parts = self.within(&group, |p| {
            let mut parts = vec![];
            while !p.at_end() {
                if p.is_operator(",") || p.is_operator("*") {
                    p.error("the parts of an axis are separated by spaces").help("write `(heads e)`");
                    return Err(Reported);
                }
                parts.push(p.pattern_part()?);
            }
            Ok(parts)
        })?;
        if parts.is_empty() {
            self.report.error(group.span(), "the parentheses are empty").help("an axis of size 1 is written `1`");
            return Err(Reported);
        }
        Ok(PatternAxis { parts, grouped: true, span: group.span() })
    }

    fn pattern_part(&mut self) -> Parsed<Size> {
        match self.peek().cloned() {
            Some(TokenTree::Ident(_)) => Ok(Size::Name(self.name("an axis")?)),
            Some(TokenTree::Literal(_)) => {
                let size = self.size("an axis")?;
                if let Size::Literal(0, span) = size {
                    self.report.error(span, "an axis has at least size 1, not 0");
                    return Err(Reported);
                }
                Ok(size)
            }
            _ => {
                let error = self.unexpected("an axis");
                error.help("a pattern lists names, numbers, and parts of one axis in parentheses: `[n, (heads e)]`");
                Err(Reported)
            }
        }
    }

    /// `einsum(q[n, i, e], k[n, j, e] -> [n, i, j])`; the word has been taken.
    pub fn einsum(&mut self, span: Span) -> Parsed<Expr> {
        let Some(group) = self.group(Delimiter::Parenthesis) else {
            self.unexpected("the tensors of `einsum` in parentheses");
            return Err(Reported);
        };
        self.bump();
        let (operands, result) = self.within(&group, |p| {
            let mut operands = vec![];
            loop {
                operands.push(p.operand()?);
                if p.take_operator(",").is_none() {
                    break;
                }
            }
            if !p.is_operator("->") {
                p.unexpected("`,` or `->`").help("write `einsum(a[i, k], b[k, j] -> [i, j])`");
                return Err(Reported);
            }
            let (result, _) = p.arrow()?;
            p.nothing_left("the result of `einsum`")?;
            Ok((operands, result))
        })?;
        Ok(self.make(ExprKind::Einsum { operands, result }, span))
    }

    /// `q[n, i, e]`, `f(x)[n, i]`, `(x |> f)[n, i]`: what binds as strongly as a call, or stands in parentheses.
    fn operand(&mut self) -> Parsed<Operand> {
        let tensor = match (self.group(Delimiter::Parenthesis), self.ident().cloned()) {
            (Some(group), _) => {
                self.bump();
                self.within(&group, |p| {
                    let value = p.expr("a tensor")?;
                    p.nothing_left("the tensor").map(|()| value)
                })?
            }
            (None, Some(word)) => self.deeper(|p| p.word(&word, "a tensor"))?,
            (None, None) => {
                self.unexpected("a tensor");
                return Err(Reported);
            }
        };
        let Some(group) = self.group(Delimiter::Bracket) else {
            let calculated = self.operator().is_some_and(|operator| !matches!(operator.text, "," | "->"));
            let error = self.unexpected("the axes of this tensor in brackets");
            error.help(match calculated {
                true => "what is calculated here stands in parentheses, with its axes behind: `einsum((a + b)[i, k] -> [i])`",
                false => "write `einsum(a[i, k], b[k, j] -> [i, j])`",
            });
            return Err(Reported);
        };
        self.bump();
        Ok(Operand { tensor, axes: self.side(&group)? })
    }
}
