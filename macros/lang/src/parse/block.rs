//! Blocks: `let`s and the value at the end.

use proc_macro2::{Delimiter, Group, Ident, TokenTree};

use super::cursor::{Parsed, Parser};
use crate::ast::{Block, Expr, Let, LetPattern, Own, Statement, Update};
use crate::report::Reported;

/// What was read.
enum Read {
    Statement(Statement),
    Value(Expr),
    /// Reported, and without meaning for the rest of the block.
    Nothing,
}

impl Parser {
    /// The content of `{ … }`; `of` names the block in messages.
    pub fn block(&mut self, group: &Group, of: &str) -> Block {
        self.within(group, |p| {
            let mut statements: Vec<Statement> = vec![];
            let mut result = None;
            let before = p.report.mark();
            while !p.at_end() {
                match p.statement() {
                    Ok(Read::Statement(statement)) => statements.push(statement),
                    Ok(Read::Value(value)) => result = Some(value),
                    Ok(Read::Nothing) => {}
                    Err(reported) => {
                        p.next_statement();
                        if p.at_end() {
                            result = Some(p.unread(reported, p.here()));
                        }
                    }
                }
            }
            let result = result.unwrap_or_else(|| {
                let reported = p.report.failed_since(before).unwrap_or_else(|| p.no_value(of, &statements));
                p.unread(reported, group.span_close())
            });
            Block { statements, result: Box::new(result), span: group.span() }
        })
    }

    fn no_value(&mut self, of: &str, statements: &[Statement]) -> Reported {
        let error = self.error(format!("{of} has no value"));
        error.help(match statements.last() {
            Some(Statement::Let(Let { pattern: LetPattern::Name(name), .. })) => {
                format!("end with the result, for example `{name}`")
            }
            _ => "end with an expression without `;`".to_owned(),
        });
        error.reported()
    }

    fn statement(&mut self) -> Parsed<Read> {
        self.skip_attributes()?;
        if self.at_end() {
            return Ok(Read::Nothing);
        }
        if let Some(semicolon) = self.take_operator(";") {
            self.report.error(semicolon.first, "nothing stands before this `;`").help("remove it");
            return Ok(Read::Nothing);
        }
        self.refuse_rust_statement()?;
        let assigned = self.ident().is_some() && self.is_operator_ahead(1, "=");
        if self.is_word("let") {
            self.bump();
            return self.binding(false).map(Statement::Let).map(Read::Statement);
        } else if self.begins_statement() {
            return self.word_statement().map(Read::Statement);
        } else if assigned {
            let name = self.found();
            self.error(format!("`let` is missing before {name}"))
                .help(format!("write `let {} = …;`", name.trim_matches('`')));
            return self.binding(true).map(Statement::Let).map(Read::Statement);
        }
        let value = self.expr("a value")?;
        self.end_of_value(value)
    }

    /// Whether `param`, `state` or `update` begins a statement; alone they may be names.
    fn begins_statement(&self) -> bool {
        ["param", "state", "update"].iter().any(|word| self.is_word(word)) && self.ident_ahead(1).is_some()
    }

    /// `param w: [d, k] = normal(0.02);`, `state running: [d] = zeros;`, `update running = …;`
    fn word_statement(&mut self) -> Parsed<Statement> {
        let word = self.ident().map(ToString::to_string).unwrap_or_default();
        self.bump();
        let of = if word == "param" { "a parameter" } else { "a state" };
        let name = self.name(of).inspect_err(|lost| self.lost = Some(*lost))?;
        if word == "update" {
            if self.take_operator("=").is_none() {
                return self.unexpected(&format!("`=` and the new value of `{name}`")).fail();
            }
            let value = self.expr(&format!("the new value of `{name}`"))?;
            self.end_of_statement(&format!("the new value of `{name}`"))?;
            return Ok(Statement::Update(Update { name, value }));
        }
        // Whatever is wrong behind the name: the rest of the body cannot be checked without the tensor.
        let own = self.own(word == "state", name);
        self.lost = self.lost.or(own.as_ref().err().copied());
        own.map(Statement::Own)
    }

    /// After the name: `: [d, k] = normal(0.02);`
    fn own(&mut self, state: bool, name: Ident) -> Parsed<Own> {
        if self.take_operator(":").is_none() {
            let word = if state { "state" } else { "param" };
            return self
                .unexpected(&format!("`:` and the shape of `{name}`"))
                .help(format!("write `{word} {name}: [d] = zeros;`"))
                .fail();
        }
        let ty = self.tensor_type()?;
        if self.take_operator("=").is_none() {
            return self
                .unexpected(&format!("`=` and how `{name}` starts"))
                .help("write `= zeros`, or `= normal(0.02)`")
                .fail();
        }
        let start = self.expr(&format!("how `{name}` starts"))?;
        self.end_of_statement(&format!("how `{name}` starts"))?;
        Ok(Own { state, name, ty, start })
    }

    fn end_of_statement(&mut self, after: &str) -> Parsed<()> {
        if self.take_operator(";").is_some() {
            return Ok(());
        }
        let next_line = self.on_new_line() || self.at_end();
        let error = self.unexpected(&format!("`;` after {after}"));
        if next_line { Ok(()) } else { error.fail() }
    }

    /// Names the way of the language for what Rust would write otherwise.
    fn refuse_rust_statement(&mut self) -> Parsed<()> {
        let Some(word) = self.ident().map(ToString::to_string) else {
            return Ok(());
        };
        match word.as_str() {
            "return" => {
                self.error("a net has no `return`").help("the last expression of a block is its value");
                self.bump();
                Ok(())
            }
            "for" | "while" | "loop" => {
                let help = "`x |> [layer; 6]` applies six layers, one after the other";
                Err(self.lose("there are no loops", help))
            }
            "fn" | "net" | "dim" | "struct" | "const" | "use" if self.ident_ahead(1).is_some() => {
                Err(self.lose(&format!("`{word}` cannot stand in a block"), "declare it beside the net"))
            }
            _ => Ok(()),
        }
    }

    /// After `let`: `logits = …;`. If a name cannot be read, the whole body is given up. With `mended`, the `let`
    /// was missing, and a missing `;` is not worth a second error.
    fn binding(&mut self, mended: bool) -> Parsed<Let> {
        if self.is_word("mut") {
            self.error("nothing changes in a net").help("leave out `mut`");
            self.bump();
        }
        let pattern = self.let_pattern().inspect_err(|lost| self.lost = Some(*lost))?;
        let what = match &pattern {
            LetPattern::Name(name) => format!("`{name}`"),
            LetPattern::Tuple(_) => "the tuple".to_string(),
        };
        if self.is_operator(":") {
            self.error("a `let` has no type")
                .help("shapes are inferred; the result of a net is checked against its `->`");
            self.skip_until(|p| p.is_operator("=") || p.is_operator(";") || p.is_word("let"));
        }
        if self.take_operator("=").is_none() {
            let lost = self.unexpected(&format!("`=` and the value of {what}")).reported();
            self.next_statement();
            return Ok(Let { value: self.unread(lost, self.here()), pattern });
        }
        let value = match self.expr(&format!("the value of {what}")) {
            Ok(value) => value,
            Err(lost) => {
                self.next_statement();
                return Ok(Let { value: self.unread(lost, self.here()), pattern });
            }
        };
        if self.take_operator(";").is_some() {
            return Ok(Let { pattern, value });
        }
        if mended && self.at_end() {
            return Ok(Let { pattern, value });
        }
        let next_line = self.on_new_line() || self.is_word("let") || self.at_end();
        let expected = if next_line { "`;`" } else { "an operator or `;`" };
        let lost = self.unexpected(&format!("{expected} after the value of {what}")).reported();
        if next_line {
            return Ok(Let { pattern, value });
        }
        self.next_statement();
        Ok(Let { value: self.unread(lost, self.here()), pattern })
    }

    fn let_pattern(&mut self) -> Parsed<LetPattern> {
        let Some(group) = self.group(Delimiter::Parenthesis) else {
            return self.name("a value").map(LetPattern::Name);
        };
        self.bump();
        let names: Vec<Parsed<Ident>> = self.within(&group, |p| {
            let names = p.list(|p| p.name("a value"));
            p.nothing_left("the names").map(|()| names)
        })?;
        if names.is_empty() {
            return self
                .report
                .error(group.span(), "expected names between the parentheses")
                .help("write `let (q, k, v) = …;`")
                .fail();
        }
        names.into_iter().collect::<Parsed<_>>().map(LetPattern::Tuple)
    }

    /// What stands after an expression that is not a `let` says whether it is the value of the block.
    fn end_of_value(&mut self, value: Expr) -> Parsed<Read> {
        if self.at_end() {
            return Ok(Read::Value(value));
        }
        if self.is_operator(";") {
            let semicolon = self.here();
            self.bump();
            if self.at_end() {
                let error = self.report.error(semicolon, "this `;` throws the value of the block away");
                error.help("remove it: the last expression is the value");
                return Ok(Read::Value(value));
            }
            let error = self.report.error(value.span, "this value is not used");
            error.help("bind it with `let name = …;`, or remove it");
            return Ok(Read::Nothing);
        }
        let comma = self.is_operator(",");
        let value_follows = !matches!(self.peek(), Some(TokenTree::Punct(_)));
        let error = self.unexpected("an operator or the end of the block");
        if comma {
            error.help("several values stand in parentheses: `(a, b)`");
        } else if value_follows {
            error.help("`|>` sends a value on: `x |> relu`; `let y = …;` gives it a name");
        }
        error.fail()
    }

    /// Goes past the next `;`, or to the next `let`.
    fn next_statement(&mut self) {
        self.skip_until(|p| p.is_operator(";") || p.is_word("let") || p.begins_statement());
        self.take_operator(";");
    }
}
