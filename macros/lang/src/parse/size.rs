//! Sizes, shapes and facts: what stands in `[n, 3 * d]`, after `dim X =` and after `where`.

use proc_macro2::{Delimiter, Group, Literal, TokenTree};

use super::cursor::{Operator, Parsed, Parser};
use crate::ast::{AxisType, Fact, Size, TensorType};

impl Parser {
    /// `[n, h = 32] in Digit`
    pub fn tensor_type(&mut self) -> Parsed<TensorType> {
        let group = if let Some(group) = self.group(Delimiter::Bracket) {
            group
        } else if let Some(group) = self.group(Delimiter::Parenthesis) {
            let error = self.report.error(group.span(), "a shape stands in brackets");
            error.help(match group.span().source_text() {
                Some(text) if !text.contains('\n') => {
                    format!("write `[{}]` instead of `{text}`", text.trim_matches(['(', ')']))
                }
                _ => "write `[n, d]` instead of `(n, d)`".to_owned(),
            });
            group
        } else {
            let found = self.ident().map(ToString::to_string).unwrap_or_default();
            let hyper = matches!(found.as_str(), "usize" | "bool" | "str" | "layer");
            let scalar = matches!(found.as_str(), "f32" | "f64");
            let name = self.ident().is_some();
            let error = self.unexpected("a shape such as `[n, 784]`");
            if hyper {
                error.help("hyper-parameters stand after a `;`: `net Name(x: [n, d]; width: usize)`");
            } else if scalar {
                error.help("a single number has the shape `[]`; nets work in f32 and in f64");
            } else if name {
                error.help("a shape lists its axes in brackets");
            }
            return error.fail();
        };
        self.bump();
        let axes = self.axes(&group)?;
        let mut space = None;
        if self.is_word("in") {
            self.bump();
            space = Some(self.size("the dimension that the indices point into")?);
        }
        Ok(TensorType { axes, space, span: group.span(), ends: [group.span_open(), group.span_close()] })
    }

    fn axes(&mut self, group: &Group) -> Parsed<Vec<AxisType>> {
        self.within(group, |p| {
            let axes = p.list(Self::axis);
            if p.is_operator(";") {
                let error = p.error("the axes of a shape are separated by `,`");
                return error
                    .help("every axis is written out, and elements have no type: `[n, 3, 3]` for `[[f32; 3]; 3]`")
                    .fail();
            }
            axes.into_iter().collect()
        })
    }

    fn axis(&mut self) -> Parsed<AxisType> {
        let mut label = None;
        if self.ident().is_some() && (self.is_operator_ahead(1, "=") || self.is_operator_ahead(1, ":")) {
            let name = self.name("an axis")?;
            if self.is_operator(":") {
                self.error("the label of an axis is followed by `=`").help(format!("write `{name} = …`"));
            }
            self.take_any_operator();
            label = Some(name);
        }
        let size = self.size("a size")?;
        Ok(AxisType { label, size })
    }

    /// `784`, `Pixels`, `3 * d + 1`, `ceil_div(h, 2)`, `_`
    pub fn size(&mut self, wanted: &str) -> Parsed<Size> {
        self.deeper(|p| {
            let mut left = p.size_product(wanted)?;
            while let Some(operator) = p.operator().filter(|o| matches!(o.text, "+" | "-")) {
                left = p.size_operation(left, operator, Self::size_product)?;
            }
            Ok(left)
        })
    }

    fn size_product(&mut self, wanted: &str) -> Parsed<Size> {
        let mut left = self.size_atom(wanted)?;
        while let Some(operator) = self.operator() {
            match operator.text {
                "*" | "/" => left = self.size_operation(left, operator, Self::size_atom)?,
                "%" | "^" | "**" | "<<" | ">>" => {
                    return self
                        .error(format!("`{}` is not an operator on sizes", operator.text))
                        .help("there are `+`, `-`, `*`, `/`, `ceil_div(a, b)` and `floor_div(a, b)`")
                        .fail();
                }
                _ => break,
            }
        }
        Ok(left)
    }

    fn size_operation(
        &mut self,
        left: Size,
        operator: Operator,
        operand: fn(&mut Self, &str) -> Parsed<Size>,
    ) -> Parsed<Size> {
        self.take_any_operator();
        let right = operand(self, &format!("a size after `{}`", operator.text))?;
        for side in [&left, &right] {
            if let Size::Infer(span) = side {
                return self
                    .report
                    .error(*span, "`_` stands for a whole size, it cannot be part of a calculation")
                    .fail();
            }
        }
        let op = operator.text.chars().next().expect("an operator has a character");
        Ok(Size::Arithmetic { op, operands: Box::new([left, right]), span: operator.first })
    }

    fn size_atom(&mut self, wanted: &str) -> Parsed<Size> {
        match self.peek().cloned() {
            Some(TokenTree::Literal(literal)) => {
                let size = self.size_literal(&literal)?;
                self.bump();
                Ok(size)
            }
            Some(TokenTree::Ident(ident)) if ident == "_" => {
                self.bump();
                Ok(Size::Infer(ident.span()))
            }
            Some(TokenTree::Ident(_)) => {
                let name = self.name("a size")?;
                match self.group(Delimiter::Parenthesis) {
                    Some(group) => {
                        self.bump();
                        let arguments = self.within(&group, |p| {
                            let arguments = p.list(|p| p.size("a size"));
                            p.nothing_left("the arguments of a size").map(|()| arguments)
                        })?;
                        Ok(Size::Call { name, arguments: arguments.into_iter().collect::<Parsed<_>>()? })
                    }
                    None if self.is_operator("::") => self
                        .error("a dimension has a name without a path")
                        .help("declare it with `dim` in the same `net!`")
                        .fail(),
                    None => Ok(Size::Name(name)),
                }
            }
            Some(TokenTree::Group(group)) if matches!(group.delimiter(), Delimiter::Parenthesis | Delimiter::None) => {
                self.bump();
                self.within(&group, |p| {
                    let size = p.size(wanted)?;
                    p.nothing_left("the size").map(|()| size)
                })
            }
            _ => {
                let error = match self.operator().map(|operator| operator.text) {
                    Some("-") => self.error("a size is not negative"),
                    Some(".." | "...") => self.error("a shape lists every one of its axes").help("there is no `..`"),
                    _ => self.unexpected(wanted),
                };
                error.fail()
            }
        }
    }

    fn size_literal(&mut self, literal: &Literal) -> Parsed<Size> {
        let text = literal.to_string();
        let digits = text.replace('_', "");
        if digits.chars().all(|c| c.is_ascii_digit()) {
            return match digits.parse() {
                Ok(size) => Ok(Size::Literal(size, literal.span())),
                Err(_) => self.error(format!("the size `{text}` is too large")).fail(),
            };
        }
        let whole: String = digits.chars().take_while(char::is_ascii_digit).collect();
        let suffix = digits[whole.len()..].chars().next();
        let error = match suffix {
            _ if whole.is_empty() => self.error(format!("a size is a whole number, {text} is not")),
            Some('.' | 'e' | 'E') => self.error(format!("a size is a whole number, `{text}` is not")),
            Some('x' | 'o' | 'b') => self.error(format!("sizes are written in decimals, `{text}` is not")),
            _ => self.error(format!("numbers have no type here: `{text}`")).help(format!("write `{whole}`")),
        };
        error.fail()
    }

    /// The facts after `where`, up to the body.
    pub fn facts(&mut self) -> Vec<Fact> {
        let mut facts = vec![];
        let stop = |p: &Self| p.at_end() || p.group(Delimiter::Brace).is_some() || p.is_operator(";");
        loop {
            match self.fact() {
                Ok(fact) => facts.push(fact),
                Err(lost) => {
                    self.lost = Some(lost);
                    self.skip_until(|p| stop(p) || p.is_operator(","));
                }
            }
            if self.take_operator(",").is_none() || stop(self) {
                break;
            }
        }
        if !stop(self) {
            self.lost = Some(self.unexpected("`,` or the body after a fact").reported());
            self.skip_until(stop);
        }
        facts
    }

    fn fact(&mut self) -> Parsed<Fact> {
        let left = self.size("a fact such as `heads | d`")?;
        let Some(operator) = self.operator().filter(|o| matches!(o.text, "|" | "==" | "!=" | "<" | "<=" | ">" | ">="))
        else {
            return self
                .unexpected("`|` or a comparison")
                .help("`a | b` says that `a` divides `b`; `a == b` and `a <= b` compare")
                .fail();
        };
        self.take_any_operator();
        let right = self.size(&format!("a size after `{}`", operator.text))?;
        Ok(match operator.text {
            "|" => Fact::Divides(left, right),
            relation => Fact::Relation(left, relation, right),
        })
    }
}
