//! Expressions. `|>` binds least, then `||`, `&&`, comparisons, `+ -`, `* /`, the signs `-` and `!`, and calls bind most.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenTree};

use super::cursor::{Operator, Parsed, Parser};
use crate::ast::{Argument, Block, Expr, ExprKind};
use crate::habits;
use crate::report::{Diagnostic, Place, Reported};

const COMPARISON: u8 = 3;

/// What layers and flows have.
const MEMBERS: [&str; 4] = ["project", "inverse", "log_prob", "sample"];

/// How strongly an infix operator binds.
fn level(operator: &str) -> Option<u8> {
    Some(match operator {
        "||" => 1,
        "&&" => 2,
        "==" | "!=" | "<" | "<=" | ">" | ">=" => COMPARISON,
        "+" | "-" => 4,
        "*" | "/" => 5,
        _ => return None,
    })
}

impl Parser {
    /// An expression with a number of its own.
    pub(super) fn make(&mut self, kind: ExprKind, span: impl Into<Place>) -> Expr {
        self.numbered += 1;
        Expr { number: self.numbered - 1, kind, span: span.into() }
    }

    /// Stands for what could not be read.
    pub(super) fn unread(&mut self, lost: Reported, span: Span) -> Expr {
        self.make(ExprKind::Error(lost), span)
    }

    /// A whole expression: a value, or a pipeline of a value and layers. `wanted` says what stands here.
    pub fn expr(&mut self, wanted: &str) -> Parsed<Expr> {
        let first = self.binary(1, wanted)?;
        if let Some(dots) = self.take_operator("..") {
            let last = self.binary(1, "the end of the range")?;
            return Ok(self.make(ExprKind::Range(Box::new([first, last])), dots.place()));
        }
        let mut stages = vec![first];
        let mut span = None;
        while let Some(operator) = self.operator().filter(|o| matches!(o.text, "|>" | "|")) {
            if operator.text == "|" {
                let error = self.error("`|` is not an operator");
                error.help("`|>` sends a value into a layer; `||` is the logical or");
            }
            self.take_any_operator();
            span = span.or(Some(operator.place()));
            let stage = self.binary(1, "a layer after `|>`")?;
            if let (ExprKind::Name(name), true) = (&stage.kind, self.is_operator("=")) {
                return self.error("a label is followed by `:`").help(format!("write `{name}: …`")).fail();
            }
            stages.push(stage);
        }
        Ok(match span {
            Some(span) => self.make(ExprKind::Pipeline(stages), span),
            None => stages.swap_remove(0),
        })
    }

    /// Infix operators that bind at least as strongly as `least`; equal ones group to the left.
    fn binary(&mut self, least: u8, wanted: &str) -> Parsed<Expr> {
        let mut left = self.unary(wanted)?;
        let mut compared = false;
        while let Some(operator) = self.operator() {
            let Some(level) = level(operator.text) else {
                self.refuse_operator(operator)?;
                break;
            };
            if level < least {
                break;
            }
            if level == COMPARISON && compared {
                return self
                    .error("comparisons cannot be chained")
                    .help("join them with `&&`: `a < b && b < c`")
                    .fail();
            }
            compared |= level == COMPARISON;
            if operator.text == ">" && self.is_operator_ahead(1, "|") {
                return self.error("`>|` is not an operator").help("`|>` sends a value into a layer").fail();
            }
            self.take_any_operator();
            let right = self.binary(level + 1, &format!("a value after `{}`", operator.text))?;
            let kind = ExprKind::Binary { op: operator.text, operands: Box::new([left, right]) };
            left = self.make(kind, operator.place());
        }
        Ok(left)
    }

    /// Speaks about operators that the language does not have.
    fn refuse_operator(&mut self, operator: Operator) -> Parsed<()> {
        let text = operator.text;
        let error = match text {
            "%" | "^" | "**" | "@" | "&" | "<<" | ">>" => {
                let error = self.error(format!("`{text}` is not an operator of the language"));
                match text {
                    "**" | "^" => error.help("powers are `square(x)` and `pow(x, 3)`"),
                    "&" => error.help("`&&` is the logical and"),
                    "@" => error.help(habits::meant("matmul").unwrap_or_default()),
                    "%" => error.help(habits::meant("fmod").unwrap_or_default()),
                    _ => error.help("there are `+`, `-`, `*`, `/`, comparisons, `&&` and `||`"),
                }
            }
            "+=" | "-=" | "*=" | "/=" => {
                self.error("nothing changes in a net").help("bind the new value with `let name = …;`")
            }
            "..=" | "..." => self.error("a range is written with two dots").help("write `0..1`"),
            "?" => self.error("a net has no errors to pass on").help("remove the `?`"),
            _ => return Ok(()),
        };
        error.fail()
    }

    /// `-a`, `!a`
    fn unary(&mut self, wanted: &str) -> Parsed<Expr> {
        let Some(operator) = self.operator() else {
            return self.deeper(|p| p.primary(wanted));
        };
        let op = match operator.text {
            "-" => '-',
            "!" => '!',
            "&" | "&&" => {
                return self.error("there are no references in a net").help("write the value without `&`").fail();
            }
            _ => return self.deeper(|p| p.primary(wanted)),
        };
        self.take_any_operator();
        let operand = self.deeper(|p| p.unary(&format!("a value after `{op}`")))?;
        Ok(self.make(ExprKind::Unary { op, operand: Box::new(operand) }, operator.place()))
    }

    /// The smallest parts: names, numbers, calls, labelled layers, groups, closures, `if`.
    fn primary(&mut self, wanted: &str) -> Parsed<Expr> {
        let span = self.here();
        let expr = match self.peek().cloned() {
            Some(TokenTree::Literal(literal)) => {
                let kind = self.literal(&literal)?;
                self.make(kind, span)
            }
            Some(TokenTree::Ident(ident)) => self.word(&ident, wanted)?,
            Some(TokenTree::Group(group)) => self.grouped(&group)?,
            _ => match self.operator().map(|operator| operator.text) {
                Some("|" | "||") => self.closure()?,
                Some("|>") if !wanted.starts_with("a layer") => {
                    return self.error("`|>` needs a value on its left").help("begin with an input: `x |> …`").fail();
                }
                Some(".." | "..=") => {
                    return self.error("a range begins with a number").help("write `0..1`").fail();
                }
                _ => {
                    return self.unexpected(wanted).fail();
                }
            },
        };
        self.refuse_postfix(expr)
    }

    /// What begins with a word.
    pub(super) fn word(&mut self, ident: &Ident, wanted: &str) -> Parsed<Expr> {
        let span = ident.span();
        match ident.to_string().as_str() {
            "true" | "false" => {
                self.bump();
                return Ok(self.make(ExprKind::Bool(ident == "true"), span));
            }
            "if" => return self.choice(),
            "let" => {
                return self
                    .error("`let` begins a statement")
                    .help("a block holds statements: `{ let y = …; y }`")
                    .fail();
            }
            "match" if !self.is_operator_ahead(1, ":") => {
                return self.error("there is no `match`").help("choose with `if … { … } else { … }`").fail();
            }
            "_" => {
                return self.error("`_` is no value").help("it stands for a size in the shape of a result").fail();
            }
            "where" if self.group_ahead(1, Delimiter::Parenthesis).is_some() => {
                return self
                    .error("there is no `where` of values")
                    .help(habits::meant("where").unwrap_or_default())
                    .fail();
            }
            "self" if self.is_operator_ahead(1, ".") => {
                return self.error("there is no `self`").help(habits::meant("self").unwrap_or_default()).fail();
            }
            "in" | "as" | "else" | "where" if !self.is_operator_ahead(1, ":") => {
                return self.unexpected(wanted).fail();
            }
            _ => {}
        }
        if self.is_operator_ahead(1, "::") {
            return self.path();
        }
        let labelled = self.is_operator_ahead(1, ":");
        let name = self.name(if labelled { "a layer" } else { "a value" })?;
        if labelled {
            return self.label(name);
        }
        if self.is_operator("!") && matches!(self.ahead(1), Some(TokenTree::Group(_))) {
            return self
                .report
                .error(span, "macros cannot be called in `net!`")
                .help("functions are called without `!`")
                .fail();
        }
        if name == "einsum" && self.group(Delimiter::Parenthesis).is_some() {
            return self.einsum(span);
        }
        let name = self.make(ExprKind::Name(name), span);
        self.calls(name)
    }

    /// `my_blocks::Attention`
    fn path(&mut self) -> Parsed<Expr> {
        let mut segments = vec![];
        loop {
            match self.ident().cloned() {
                Some(ident) => segments.push(ident),
                None if self.is_operator("<") && segments.len() == 1 => {
                    let name = &segments[0];
                    return self
                        .error("there are no type arguments in a net")
                        .help(format!("arguments stand in parentheses: `{name}(64)`"))
                        .fail();
                }
                None => {
                    return self.unexpected("a name after `::`").fail();
                }
            }
            self.bump();
            if self.take_operator("::").is_none() {
                break;
            }
        }
        let span = segments.last().map_or_else(|| self.here(), Ident::span);
        let path = self.make(ExprKind::Path(segments), span);
        let call = self.calls(path)?;
        if self.take_operator("->").is_none() {
            return Ok(call);
        }
        let (span, result) = (call.span, self.tensor_type()?);
        Ok(self.make(ExprKind::Rust { call: Box::new(call), result }, span))
    }

    /// `f(…)`, `f(…)(…)`, `e.project(…)`
    fn calls(&mut self, mut callee: Expr) -> Parsed<Expr> {
        if self.is_operator(".")
            && let Some(name) = self.ident_ahead(1).filter(|name| MEMBERS.iter().any(|member| name == member)).cloned()
        {
            self.take_operator(".");
            self.bump();
            let span = name.span();
            callee = self.make(ExprKind::Member { of: Box::new(callee), name }, span);
        }
        while let Some(group) = self.group(Delimiter::Parenthesis) {
            self.bump();
            let span = callee.span;
            let arguments = self.within(&group, |p| {
                let places: Vec<Parsed<Argument>> = p.list(Self::argument);
                if let Err(lost) = p.nothing_left("the arguments") {
                    return vec![Argument { name: None, value: p.unread(lost, p.here()) }];
                }
                let mut broken = |lost| Argument { name: None, value: p.unread(lost, group.span()) };
                places.into_iter().map(|argument| argument.unwrap_or_else(&mut broken)).collect()
            });
            callee = self.make(ExprKind::Call { callee: Box::new(callee), arguments }, span);
        }
        Ok(callee)
    }

    /// `x`, `over = Digit`
    fn argument(&mut self) -> Parsed<Argument> {
        let named = self.ident().is_some() && self.is_operator_ahead(1, "=");
        let colon = self.ident().is_some() && self.is_operator_ahead(1, ":") && self.cannot_be_labelled(2);
        if !named && !colon {
            return self.expr("an argument").map(|value| Argument { name: None, value });
        }
        let name = self.name("an argument")?;
        if colon {
            self.error("a named argument is followed by `=`").help(format!("write `{name} = …`"));
        }
        self.bump();
        let value = self.expr(&format!("the value of `{name}`"))?;
        Ok(Argument { name: Some(name), value })
    }

    /// Whether a number or a truth value stands at this distance, which takes no label.
    fn cannot_be_labelled(&self, distance: usize) -> bool {
        match self.ahead(distance) {
            Some(TokenTree::Literal(_)) => true,
            Some(TokenTree::Ident(ident)) => ident == "true" || ident == "false",
            _ => false,
        }
    }

    /// After the name: `: linear(256)`, `: ( … )`
    fn label(&mut self, label: Ident) -> Parsed<Expr> {
        self.take_operator(":");
        let wanted = format!("a layer after the label `{label}`");
        let inner = match self.group(Delimiter::Parenthesis) {
            Some(group) => {
                self.bump();
                let span = group.span();
                let scope = self.within(&group, |p| p.parenthesised(&group))?;
                let block = Block { statements: vec![], result: Box::new(scope), span };
                self.make(ExprKind::Block(block), span)
            }
            None => self.deeper(|p| p.primary(&wanted))?,
        };
        if matches!(inner.kind, ExprKind::Number { .. } | ExprKind::Bool(_) | ExprKind::Str(_)) {
            return self
                .report
                .error(inner.span, format!("the label `{label}` names a layer, and this is none"))
                .help("named arguments are written `name = value`, inside of the call")
                .fail();
        }
        let span = label.span();
        Ok(self.make(ExprKind::Label { label, inner: Box::new(inner) }, span))
    }

    /// `( … )`, `[ … ]`, `{ … }`
    fn grouped(&mut self, group: &Group) -> Parsed<Expr> {
        let span = group.span();
        self.bump();
        match group.delimiter() {
            Delimiter::Parenthesis => self.within(group, |p| p.parenthesised(group)),
            Delimiter::Brace => {
                let block = self.block(group, "this block");
                Ok(self.make(ExprKind::Block(block), span))
            }
            Delimiter::None => self.within(group, |p| {
                let value = p.expr("a value")?;
                p.nothing_left("the value").map(|()| value)
            }),
            Delimiter::Bracket if self.is_operator("->") => self.pattern(group),
            Delimiter::Bracket => self.within(group, |p| p.bracketed(span)),
        }
    }

    /// `(a)`, `(a, b)`, `(loss = …, correct = …)`
    fn parenthesised(&mut self, group: &Group) -> Parsed<Expr> {
        let span = group.span();
        if self.at_end() {
            return self.report.error(span, "the parentheses are empty").help("put a value between them").fail();
        }
        let elements = self.list(|p| {
            let name = match p.ident() {
                Some(_) if p.is_operator_ahead(1, "=") => Some(p.name("a result")?),
                _ => None,
            };
            if name.is_some() {
                p.take_operator("=");
            }
            p.expr("a value").map(|value| (name, value))
        });
        self.nothing_left("the value")?;
        let mut elements = elements.into_iter().collect::<Parsed<Vec<_>>>()?;
        let named = elements.iter().filter(|(name, _)| name.is_some()).count();
        if named > 0 && named < elements.len() {
            let bare = elements.iter().find(|(name, _)| name.is_none()).map_or(span.into(), |(_, value)| value.span);
            return self
                .report
                .error(bare, "this result has no name")
                .help("name every result: `(loss = …, correct = …)`")
                .fail();
        }
        if elements.len() == 1 && named == 0 {
            return Ok(elements.swap_remove(0).1);
        }
        Ok(self.make(ExprKind::Tuple(elements), span))
    }

    /// `|q, k| …`; the body reaches as far right as it can.
    fn closure(&mut self) -> Parsed<Expr> {
        let span = self.here();
        if self.is_operator("||") {
            return self
                .error("a closure has at least one parameter")
                .help("a value without parameters is bound with `let`")
                .fail();
        }
        self.take_operator("|");
        let mut parameters = vec![];
        while !self.is_operator("|") {
            parameters.push(self.name("a parameter")?);
            if self.is_operator(":") {
                return self.error("the parameters of a closure have no type").help("shapes are inferred").fail();
            }
            if self.take_operator(",").is_none() && !self.is_operator("|") {
                return self.unexpected("`,` or `|` after a parameter").fail();
            }
        }
        self.take_operator("|");
        if parameters.is_empty() {
            return self.report.error(span, "a closure has at least one parameter").fail();
        }
        let body = self.expr("the body of the closure")?;
        Ok(self.make(ExprKind::Closure { parameters, body: Box::new(body) }, span))
    }

    /// `if c == 8 { … } else { … }`
    fn choice(&mut self) -> Parsed<Expr> {
        self.chose = true;
        let span = self.here();
        self.bump();
        if self.group(Delimiter::Brace).is_some() {
            return self.unexpected("a condition after `if`").fail();
        }
        let condition = self.binary(1, "a condition after `if`")?;
        let Some(then) = self.group(Delimiter::Brace) else {
            let assigned = self.is_operator("=");
            let error = self.unexpected("`{` after the condition");
            if assigned {
                error.help("`==` compares");
            }
            return error.fail();
        };
        self.bump();
        let yes = self.block(&then, "this branch");
        if !self.is_word("else") {
            return self
                .report
                .error(span, "an `if` without `else` has no value when the condition is false")
                .help("add `else { … }`")
                .fail();
        }
        self.bump();
        let no = if self.is_word("if") {
            let chained = self.deeper(Self::choice)?;
            Block { statements: vec![], span: chained.span.first, result: Box::new(chained) }
        } else {
            let Some(group) = self.group(Delimiter::Brace) else {
                return self.unexpected("`{` after `else`").fail();
            };
            self.bump();
            self.block(&group, "this branch")
        };
        Ok(self.make(ExprKind::If { condition: Box::new(condition), yes, no }, span))
    }

    /// Speaks about `x.relu()` and `x[0]`.
    fn refuse_postfix(&mut self, expr: Expr) -> Parsed<Expr> {
        if self.is_operator(".") {
            self.refuse_method(&expr).fail()
        } else if let Some(group) = self.group(Delimiter::Bracket)
            && let ExprKind::Name(name) = &expr.kind
            && !self.on_new_line()
        {
            let of_layer = crate::functions::find(&name.to_string()).is_some();
            let help = match of_layer {
                true => format!("arguments stand in parentheses: `{name}({})`", group.stream()),
                false => format!(
                    "`slice({name}, 0, 1, over = t)` is a part of an axis, and `|> [n, 1, d] -> [n, d]` drops an axis of size 1"
                ),
            };
            self.error(format!("`{name}[…]` is not in the language")).help(help).fail()
        } else if self.is_word("as") {
            self.error("there is no `as`")
                .help("a size is a number already, and `to_real(x)` makes numbers of truth values and indices")
                .fail()
        } else {
            Ok(expr)
        }
    }

    fn refuse_method(&mut self, receiver: &Expr) -> &mut Diagnostic {
        let dot = self.here();
        self.bump();
        let receiver = match &receiver.kind {
            ExprKind::Name(name) => name.to_string(),
            _ => "x".to_string(),
        };
        let Some(name) = self.ident().cloned() else {
            let error = self.report.error(dot, "there are no fields");
            return error.help("take the results of a net apart with `let (a, b) = …;`");
        };
        let meant = habits::meant(&name.to_string());
        let call = self.group_ahead(1, Delimiter::Parenthesis);
        if habits::MODULES.contains(&receiver.as_str()) {
            let help = meant.unwrap_or_else(|| "the functions of the language have no module".to_owned());
            return self.report.error(name.span(), format!("there is no `{receiver}.{name}`")).help(help);
        }
        match call {
            Some(group) => {
                let empty = group.stream().is_empty();
                let arguments = if empty { "" } else { "(…)" };
                let own = crate::functions::find(&name.to_string()).is_some();
                let piped = || format!("write `{receiver} |> {name}{arguments}`");
                let error = self.report.error(name.span(), format!("there are no methods: `.{name}()`"));
                error.help(meant.filter(|_| !own).unwrap_or_else(piped))
            }
            None => {
                let error = self.report.error(name.span(), format!("there are no fields: `.{name}`"));
                let apart = || "take the results of a net apart with `let (a, b) = …;`".to_owned();
                error.help(meant.unwrap_or_else(apart))
            }
        }
    }
}
