//! Patterns: `[n, t, (heads e)] -> [n, heads, t, e]`, `einsum(q[n, i, e], k[n, j, e] -> [n, i, j])`.

use super::cursor::{Parsed, Parser};
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
            return self
                .unexpected("the axes of the result in brackets")
                .help("a pattern is `[n, c] -> [c, n]`")
                .fail();
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
                    let error = p.error("the parts of an axis are separated by spaces");
                    return error.help("write `(heads e)`").fail();
                }
                parts.push(p.pattern_part()?);
            }
            Ok(parts)
        })?;
        if parts.is_empty() {
            return self
                .report
                .error(group.span(), "the parentheses are empty")
                .help("an axis of size 1 is written `1`")
                .fail();
        }
        Ok(PatternAxis { parts, grouped: true, span: group.span() })
    }

    fn pattern_part(&mut self) -> Parsed<Size> {
        match self.peek().cloned() {
            Some(TokenTree::Ident(_)) => Ok(Size::Name(self.name("an axis")?)),
            Some(TokenTree::Literal(_)) => {
                let size = self.size("an axis")?;
                if let Size::Literal(0, span) = size {
                    return self.report.error(span, "an axis has at least size 1, not 0").fail();
                }
                Ok(size)
            }
            _ => self
                .unexpected("an axis")
                .help("a pattern names every axis, and lists the parts of one in parentheses: `[n, t, (heads e)]`")
                .fail(),
        }
    }

    /// `einsum(q[n, i, e], k[n, j, e] -> [n, i, j])`; the word has been taken.
    pub fn einsum(&mut self, span: Span) -> Parsed<Expr> {
        let Some(group) = self.group(Delimiter::Parenthesis) else {
            return self.unexpected("the tensors of `einsum` in parentheses").fail();
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
                return p.unexpected("`,` or `->`").help("write `einsum(a[i, k], b[k, j] -> [i, j])`").fail();
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
                return self
                    .unexpected("a tensor")
                    .help("each tensor has its axes behind it: `einsum(q[n, i, e], k[n, j, e] -> [n, i, j])`")
                    .fail();
            }
        };
        let Some(group) = self.group(Delimiter::Bracket) else {
            let calculated = self.operator().is_some_and(|operator| !matches!(operator.text, "," | "->"));
            return self.unexpected("the axes of this tensor in brackets").help(match calculated {
                true => "what is calculated here stands in parentheses, with its axes behind: `einsum((a + b)[i, k] -> [i])`",
                false => "write `einsum(a[i, k], b[k, j] -> [i, j])`",
            }).fail();
        };
        self.bump();
        Ok(Operand { tensor, axes: self.side(&group)? })
    }
}
