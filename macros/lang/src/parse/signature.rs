//! The head of a net: its name, what it takes and what it gives.

use proc_macro2::{Delimiter, Ident};

use super::cursor::{Parsed, Parser};
use crate::ast::{Input, Parameter, ResultType};

/// The words of Rust that cannot name anything.
const KEYWORDS: [&str; 52] = [
    "as", "break", "const", "continue", "crate", "else", "enum", "extern", "false", "fn", "for", "if", "impl", "in",
    "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self", "Self", "static", "struct", "super",
    "trait", "true", "type", "unsafe", "use", "where", "while", "async", "await", "dyn", "abstract", "become", "box",
    "do", "final", "macro", "override", "priv", "typeof", "unsized", "virtual", "yield", "try", "gen",
];

impl Parser {
    /// An identifier that Rust accepts as a name.
    pub fn name(&mut self, of: &str) -> Parsed<Ident> {
        let Some(ident) = self.ident().cloned() else {
            return self.unexpected(&format!("the name of {of}")).fail();
        };
        let text = ident.to_string();
        if KEYWORDS.contains(&text.as_str()) {
            let error = self.error(format!("`{text}` is a word of Rust and cannot be the name of {of}"));
            return error.help(format!("choose another, such as `{text}_`")).fail();
        }
        // rustc gives such a name on, and takes none back.
        if !text.trim_start_matches("r#").chars().all(|letter| letter.is_alphanumeric() || letter == '_') {
            return self
                .error(format!("`{text}` is no name that Rust knows"))
                .help("names are letters, digits and `_`")
                .fail();
        }
        self.bump();
        Ok(ident)
    }

    /// A name that becomes a Rust type.
    pub fn type_name(&mut self, of: &str) -> Parsed<Ident> {
        let name = self.name(of)?;
        let text = name.to_string();
        if text.starts_with(|c: char| c.is_lowercase()) {
            let error = self.report.error(name.span(), format!("the name of {of} starts with a capital letter"));
            error.help(format!("write `{}`", camel_case(&text)));
        }
        Ok(name)
    }

    /// `(x: [n, Pixels], y: [n] in Digit; width: usize)`
    pub fn inputs(&mut self, net: &Ident) -> Parsed<(Vec<Input>, Vec<Parameter>)> {
        if self.is_operator("<") {
            let help = "a lower-case dimension such as `n` in `[n, 784]` is known only at run time";
            self.lose("a net has no type parameters", help);
            self.skip_until(|p| p.group(Delimiter::Parenthesis).is_some() || p.group(Delimiter::Brace).is_some());
        }
        let Some(group) = self.group(Delimiter::Parenthesis) else {
            let error = self.unexpected(&format!("the inputs of `{net}` in parentheses"));
            let lost = error.help(format!("write `net {net}(x: [n, …]) -> [n, …] {{ … }}`")).reported();
            self.lost = Some(lost);
            return Err(lost);
        };
        self.bump();
        self.within(&group, |p| {
            let inputs = p.list(|p| p.input("an input"));
            p.lost = p.lost.or(inputs.iter().find_map(|input| input.as_ref().err().copied()));
            let parameters = p.parameters();
            Ok((inputs.into_iter().flatten().collect(), parameters))
        })
    }

    /// `x: [n, Pixels]`
    fn input(&mut self, of: &str) -> Parsed<Input> {
        if self.is_word("mut") {
            self.error("nothing changes in a net").help("leave out `mut`");
            self.bump();
        } else if self.is_operator("&") {
            return self.error("there are no references in a net").help("inputs are tensors: `x: [n, 784]`").fail();
        } else if self.is_word("self") {
            return self
                .error("a net has no `self`")
                .help("its layers are made in the body, its inputs are tensors: `x: [n, 784]`")
                .fail();
        }
        let name = self.name(of)?;
        if self.at_end() || self.is_operator(",") || self.is_operator(";") {
            return self
                .report
                .error(name.span(), format!("`{name}` needs a shape"))
                .help(format!("write `{name}: [n, …]`, or `{name}: []` for a single number"))
                .fail();
        }
        if self.take_operator(":").is_none() {
            let lost = self.unexpected(&format!("`:` between `{name}` and its shape")).reported();
            if self.take_operator("=").is_none() && self.group(Delimiter::Bracket).is_none() {
                return Err(lost);
            }
        }
        let ty = self.tensor_type()?;
        Ok(Input { name, ty })
    }

    /// `-> [n, Digit]` or `-> (loss: [], correct: [])`
    pub fn result(&mut self, net: &Ident) -> Parsed<ResultType> {
        let arrow = self.take_operator("->").is_some();
        if !arrow {
            let help = format!("write `net {net}(…) -> [n, …] {{ … }}`");
            if self.group(Delimiter::Brace).is_some() || self.at_end() || self.is_operator(";") {
                return self.report.error(net.span(), format!("`{net}` does not say what it gives")).help(help).fail();
            }
            let lost = self.unexpected("`->` and the shape of the result").help(help).reported();
            if matches!(self.operator().map(|o| o.text), Some("=>" | ":" | "-" | "=")) {
                self.take_any_operator();
            } else if self.group(Delimiter::Bracket).is_none() && self.group(Delimiter::Parenthesis).is_none() {
                return Err(lost);
            }
        }
        if let Some(group) = self.group(Delimiter::Parenthesis)
            && self.within(&group, |p| p.at_end() || p.peek_is_named_shape() || p.peek_is_shape())
        {
            self.bump();
            return self.named_results(&group);
        }
        if self.ident().is_some() && self.is_operator_ahead(1, ":") {
            let error = self.error("named results stand in parentheses");
            error.help("write `-> (loss: [], correct: [])`");
            let mut results = vec![];
            while self.ident().is_some() && self.is_operator_ahead(1, ":") {
                results.push(self.input("a result")?);
                self.take_operator(",");
            }
            return Ok(ResultType::Named(results));
        }
        self.tensor_type().map(ResultType::One)
    }

    fn peek_is_named_shape(&self) -> bool {
        let assigned = self.is_operator_ahead(1, "=") && self.group_ahead(2, Delimiter::Bracket).is_some();
        self.ident().is_some() && (assigned || self.is_operator_ahead(1, ":"))
    }

    fn peek_is_shape(&self) -> bool {
        self.group(Delimiter::Bracket).is_some()
    }

    fn named_results(&mut self, group: &proc_macro2::Group) -> Parsed<ResultType> {
        self.within(group, |p| {
            if p.at_end() {
                let error = p.report.error(group.span(), "a net gives at least one tensor");
                return error.help("a single number has the shape `[]`").fail();
            }
            if p.peek_is_shape() {
                return p
                    .error("several results need names")
                    .help("write `-> (loss: [], correct: [])`, or `-> [n, …]` for one result")
                    .fail();
            }
            let results = p.list(|p| p.input("a result"));
            p.nothing_left("the results")?;
            results.into_iter().collect::<Parsed<_>>().map(ResultType::Named)
        })
    }
}

fn camel_case(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut characters = word.chars();
            characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
        })
        .collect()
}
