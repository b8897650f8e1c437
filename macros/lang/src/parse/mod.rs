//! From tokens to the syntax tree. The parser recovers: it reports every mistake on its own token, once, and keeps
//! what it could read, so that the rest of the program is still checked.

mod cursor;
mod size;
mod signature;
mod parameters;
mod flow;
mod block;
mod expr;
mod list;
mod pattern;
mod literal;

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};

use crate::ast::{
    Block, Broken, BrokenKind, DimItem, Fact, Input, Item, NetItem, Program, ResultType, Role, Visibility,
};
use crate::report::{Report, Reported, did_you_mean};
use cursor::{Parsed, Parser};

/// Reads the content of a `net! { … }`. What could not be read is in the report; it is left out of the program, or
/// stands there as [`ExprKind::Error`](crate::ast::ExprKind::Error). An item of which the head is broken leaves its
/// name; a net of which a binding is lost has no body.
pub fn parse(input: TokenStream, report: &mut Report) -> Program {
    parse_after(input, 0, report)
}

/// The same for a part of a program, of whose expressions so many have a number.
pub fn parse_after(input: TokenStream, numbered: usize, report: &mut Report) -> Program {
    let mut parser = Parser::new(input, numbered, std::mem::take(report));
    let mut program = Program::default();
    while !parser.at_end() {
        let start = parser.position();
        match parser.item() {
            Ok((item, source)) => {
                program.items.push(item);
                program.sources.push(parser.between(source, parser.position()));
            }
            Err(_) => {
                if parser.position() == start {
                    parser.bump();
                }
                parser.next_item();
            }
        }
    }
    *report = parser.report;
    program.broken = parser.broken;
    program.numbered = parser.numbered;
    program
}

impl Parser {
    /// An item, and where it begins behind its attributes and its visibility.
    fn item(&mut self) -> Parsed<(Item, usize)> {
        if self.is_operator(";") {
            return self.error("nothing stands before this `;`").help("a net ends with its `}`").fail();
        }
        let attributes = self.attributes()?;
        let conditional = self.refuse_conditions(&attributes);
        let visibility = self.visibility();
        if self.at_end() {
            return self.unexpected("`dim` or `net`").fail();
        }
        let start = self.position();
        let word = self.here();
        let item = match self.item_word(&visibility)? {
            kind if let Some(lost) = conditional => {
                let kind = if kind == "dim" { BrokenKind::Dim } else { BrokenKind::Net };
                return Err(self.broken(self.ident().cloned(), &visibility, kind, lost));
            }
            "dim" => Item::Dim(self.dim(attributes, visibility)?),
            "flow" => self.net(attributes, visibility, word, Role::Flow)?,
            _ => self.net(attributes, visibility, word, Role::Net)?,
        };
        Ok((item, start))
    }

    /// Takes the word that says which item begins here; a missing or misspelt one is reported and mended.
    fn item_word(&mut self, visibility: &Visibility) -> Parsed<&'static str> {
        let Some(word) = self.ident().map(ToString::to_string) else {
            return self.unexpected("`dim` or `net`").fail();
        };
        let error = match word.as_str() {
            "dim" => {
                self.bump();
                return Ok("dim");
            }
            "net" => {
                self.bump();
                return Ok("net");
            }
            "flow" => {
                self.bump();
                return Ok("flow");
            }
            "fn" if self.is_function_of_rust() => {
                let name = self.ident_ahead(1).map(ToString::to_string).unwrap_or_default();
                self.error("a function of Rust stands beside `net!`, not inside of it")
                    .help(format!("a net calls it by its path and says what it gives: `x |> self::{name} -> [n, 8]`"))
            }
            "fn" => {
                self.error("a net is declared with `net`").help("write `net` instead of `fn`");
                self.bump();
                return Ok("net");
            }
            "use" => return Err(self.refused_use()),
            "const" | "static" | "type" | "let" => {
                let name = self.ident_ahead(1).cloned();
                let error = self.error(format!("`{word}` cannot stand in `net!`"));
                let lost = error.help("a dimension is declared with `dim Name = 784;`").reported();
                return Err(self.broken(name, visibility, BrokenKind::Dim, lost));
            }
            "struct" | "enum" | "mod" | "impl" | "trait" | "extern" | "macro_rules" | "unsafe" | "async" => {
                self.error(format!("`{word}` cannot stand in `net!`")).help("put it beside the macro")
            }
            _ if self.is_operator_ahead(1, "!") => self
                .error("macros cannot be called in `net!`")
                .help("a macro of your own can write a whole `net! { … }`, with what it varies"),
            _ if matches!(self.ahead(1), Some(TokenTree::Ident(_))) => {
                let meant = did_you_mean(&word, ["dim", "net"]);
                let error = self.unexpected("`dim` or `net`");
                match meant.as_deref() {
                    Some(meant) => {
                        error.help(format!("did you mean `{meant}`?"));
                        self.bump();
                        return Ok(if meant == "dim" { "dim" } else { "net" });
                    }
                    None => error,
                }
            }
            _ if self.group_ahead(1, Delimiter::Parenthesis).is_some() => {
                self.error(format!("`net` is missing before `{word}`"));
                return Ok("net");
            }
            _ if self.is_operator_ahead(1, "=") => {
                self.error(format!("`dim` is missing before `{word}`"));
                return Ok("dim");
            }
            _ => self.unexpected("`dim` or `net`"),
        };
        error.fail()
    }

    /// Whether `fn` begins a function of Rust rather than a net: it is generic, or takes references.
    fn is_function_of_rust(&self) -> bool {
        let group = self.group_ahead(2, Delimiter::Parenthesis);
        let borrows = group.is_some_and(|group| group.stream().into_iter().any(|tree| tree.to_string() == "&"));
        self.ident_ahead(1).is_some_and(|name| name.to_string().starts_with(char::is_lowercase))
            && (self.is_operator_ahead(2, "<") || borrows)
    }

    /// A `use` that could not be read: its names are known all the same.
    fn refused_use(&mut self) -> Reported {
        let (start, mut end) = (self.position() + 1, 1);
        while self.ahead(end).is_some_and(|tree| tree.to_string() != ";") {
            end += 1;
        }
        let trees: Vec<TokenTree> = self.between(start, start + end - 1).into_iter().collect();
        let error = match crate::borders::read(&trees) {
            Err(fault) => self.report.error(fault.span, fault.message).help(fault.help),
            Ok(_) if self.ahead(end).is_none() => self.error("`;` is missing after the path of this `use`"),
            Ok(_) => self.error("attributes and doc comments cannot stand before `use`"),
        };
        let lost = error.reported();
        self.broken(idents(trees.into_iter().collect()), &Visibility::default(), BrokenKind::Foreign, lost)
    }

    /// Goes past the broken item to where the next one may begin.
    fn next_item(&mut self) {
        while !self.at_end() && !self.begins_item() && !self.is_operator("#") {
            let braces = self.group(Delimiter::Brace).is_some();
            if !braces && self.take_operator(";").is_none() {
                self.bump();
                continue;
            }
            if braces {
                self.bump();
                self.take_operator(";");
            }
            return;
        }
    }

    /// `#[…]` and doc comments, as they are.
    fn attributes(&mut self) -> Parsed<TokenStream> {
        let mut attributes = vec![];
        while self.is_operator("#") {
            let Some(group) = self.group_ahead(1, Delimiter::Bracket) else {
                return self.unexpected("`dim` or `net`").fail();
            };
            attributes.extend(self.peek().cloned());
            attributes.push(group.into());
            self.bump();
            self.bump();
        }
        Ok(attributes.into_iter().collect())
    }

    /// What other declarations use cannot be there in some builds only: `net!` does not know in which.
    fn refuse_conditions(&mut self, attributes: &TokenStream) -> Option<Reported> {
        for tree in attributes.clone() {
            if let TokenTree::Group(group) = tree
                && let Some(TokenTree::Ident(word)) = group.stream().into_iter().next()
                && word == "cfg"
            {
                let error = self.report.error(word.span(), "`#[cfg]` cannot stand on a declaration in `net!`");
                let help = "give it a `net!` of its own, and put the attribute before that: `#[cfg(…)] net! { … }`";
                return Some(error.help(help).reported());
            }
        }
        None
    }

    /// `pub`, `pub(crate)` or nothing.
    fn visibility(&mut self) -> Visibility {
        let mut tokens = vec![];
        if self.is_word("pub") {
            tokens.extend(self.peek().cloned());
            self.bump();
            if let Some(group) = self.group(Delimiter::Parenthesis) {
                tokens.push(group.into());
                self.bump();
            }
        }
        Visibility { tokens: tokens.into_iter().collect() }
    }

    /// `Pixels = 784;`
    fn dim(&mut self, attributes: TokenStream, visibility: Visibility) -> Parsed<DimItem> {
        let name = self.name("a dimension")?;
        if self.take_operator("=").is_none() {
            let error = self.unexpected(&format!("`=` and the size of `{name}`"));
            let lost = error.help(format!("write `dim {name} = 784;`")).reported();
            if self.take_operator(":").is_none() && !matches!(self.peek(), Some(TokenTree::Literal(_))) {
                return Err(self.broken([name], &visibility, BrokenKind::Dim, lost));
            }
        }
        let wanted = format!("the size of `{name}`");
        if self.begins_item() {
            let lost = self.unexpected(&wanted).reported();
            return Err(self.broken([name], &visibility, BrokenKind::Dim, lost));
        }
        match self.size(&wanted) {
            Ok(size) => {
                self.end_of_dim(&name, &visibility);
                Ok(DimItem { attributes, visibility, name, size })
            }
            Err(lost) => Err(self.broken([name], &visibility, BrokenKind::Dim, lost)),
        }
    }

    fn end_of_dim(&mut self, name: &Ident, visibility: &Visibility) {
        if self.take_operator(";").is_some() {
            return;
        }
        let begins_item = self.at_end() || self.is_operator("#") || self.begins_item();
        let error = self.unexpected(&format!("`;` after the size of `{name}`"));
        if !begins_item {
            let lost = error.help("each dimension has its own `dim`").reported();
            if self.take_operator(",").is_some() {
                if self.at_end() || self.begins_item() || self.is_operator("#") {
                    return;
                }
                self.broken(self.ident().cloned(), visibility, BrokenKind::Dim, lost);
            }
            self.end_of_broken_item();
        }
    }

    /// Keeps the names of what could not be read.
    fn broken(
        &mut self,
        names: impl IntoIterator<Item = Ident>,
        visibility: &Visibility,
        kind: BrokenKind,
        lost: Reported,
    ) -> Reported {
        let broken = |name| Broken { name, visibility: visibility.clone(), kind, lost };
        self.broken.extend(names.into_iter().map(broken));
        lost
    }

    fn end_of_broken_item(&mut self) {
        self.skip_until(|p| p.is_operator(";") || p.is_operator("#") || p.begins_item());
        self.take_operator(";");
    }

    /// `Mlp(x: [n, Pixels]) -> [n, Digit] where … { … }`
    fn net(&mut self, attributes: TokenStream, visibility: Visibility, word: Span, role: Role) -> Parsed<Item> {
        let before = self.report.mark();
        let name = self.type_name("a net")?;
        self.lost = None;
        if self.is_operator("=") {
            return self.alias(attributes, visibility, name);
        }
        let ((inputs, parameters), result) = match self.inputs(&name) {
            Ok(inputs) if role == Role::Flow => {
                let result = self.flow_result(&name, &inputs.0);
                (inputs, result)
            }
            Ok(inputs) => (inputs, self.result(&name)),
            Err(_) if self.is_operator("->") => ((vec![], vec![]), self.result(&name)),
            Err(lost) => ((vec![], vec![]), Err(lost)),
        };
        let facts = self.where_clause();
        let head = self.lost.map_or(result, Err);
        self.lost = head.as_ref().err().copied();
        let (mended, errors) = (self.report.failed_since(before), self.report.mark());
        self.chose = false;
        let body = self.body(&name);
        let damaged = self.report.failed_since(errors).is_some();
        match head {
            Ok(result) => Ok(Item::Net(NetItem {
                attributes,
                visibility,
                word,
                name,
                role,
                inputs,
                parameters,
                result,
                facts,
                body,
                mended,
                damaged,
                chooses: self.chose,
            })),
            Err(lost) => Err(self.broken([name], &visibility, BrokenKind::Net, lost)),
        }
    }

    /// What a flow gives is not written.
    fn flow_result(&mut self, name: &Ident, inputs: &[Input]) -> Parsed<ResultType> {
        if self.is_operator("->") {
            let error = self.error("a flow gives points as it takes them, and the logarithm of its determinant");
            error.help("leave `-> …` out");
            self.result(name)?;
        }
        match inputs.first() {
            Some(point) => Ok(flow::result(name, &point.ty)),
            None => Err(self.lost.unwrap_or_else(|| {
                let error = self.report.error(name.span(), format!("`{name}` takes no points"));
                error.help(format!("write `flow {name}(x: [n, d]) {{ x |> … }}`")).reported()
            })),
        }
    }

    fn where_clause(&mut self) -> Vec<Fact> {
        if !self.is_word("where") {
            return vec![];
        }
        self.bump();
        self.facts()
    }

    /// The body; it is read for its mistakes even if the head of the net is broken.
    fn body(&mut self, net: &Ident) -> Parsed<Block> {
        if self.group(Delimiter::Brace).is_none() {
            if self.lost.is_none() {
                self.lost = Some(self.unexpected(&format!("the body of `{net}` in braces")).reported());
            }
            self.skip_until(|p| {
                p.is_operator(";") || p.group(Delimiter::Brace).is_some() || p.is_operator("#") || p.begins_item()
            });
        }
        let Some(group) = self.group(Delimiter::Brace) else {
            self.take_operator(";");
            return Err(self.lost.unwrap_or_else(|| self.report.unexplained(net.span())));
        };
        self.bump();
        let body = self.block(&group, &format!("the net `{net}`"));
        self.lost.map_or(Ok(body), Err)
    }

    /// Whether the next two words begin an item; `dim` and `net` alone may be names.
    fn begins_item(&self) -> bool {
        self.is_word("pub")
            || (self.ident_ahead(1).is_some() && ["dim", "net", "flow", "use", "fn"].iter().any(|w| self.is_word(w)))
    }
}

/// All identifiers, those in groups included.
fn idents(stream: TokenStream) -> Vec<Ident> {
    stream
        .into_iter()
        .flat_map(|tree| match tree {
            TokenTree::Ident(ident) => vec![ident],
            TokenTree::Group(group) => idents(group.stream()),
            _ => vec![],
        })
        .collect()
}

#[cfg(test)]
mod tests;
