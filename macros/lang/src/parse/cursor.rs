//! The place in the token tree where the parser stands, and how it speaks about what it finds there.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::ast::Broken;
use crate::report::{Checked, Diagnostic, Place, Report, Reported};

/// What a grammar rule gives back.
pub(super) type Parsed<T> = Checked<T>;

/// Nesting beyond this is refused, so that no input overflows the stack.
const DEEPEST: usize = 200;

/// Longest first, so that `|>` is not read as `|`.
const OPERATORS: [&str; 39] = [
    "..=", "...", "|>", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "::", "..", "**", "+=", "-=", "*=", "/=", "<<",
    ">>", "+", "-", "*", "/", "<", ">", "=", "!", "|", "&", "%", "^", "@", ":", ";", ",", ".", "?", "#",
];

/// An operator or a separator, of one or more characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operator {
    pub text: &'static str,
    pub first: Span,
    pub last: Span,
}

impl Operator {
    pub fn place(&self) -> Place {
        Place { first: self.first, last: self.last }
    }
}

/// Walks over the trees of one group; `within` goes into a group and comes back.
pub(super) struct Parser {
    trees: Vec<TokenTree>,
    at: usize,
    close: Span,
    close_text: &'static str,
    depth: usize,
    pub report: Report,
    /// Set when a part of the head is missing, or a name that a body binds: neither can be checked then.
    pub lost: Option<Reported>,
    /// Whether an `if` was read.
    pub chose: bool,
    /// The items that could not be read.
    pub broken: Vec<Broken>,
    /// The number of the next expression.
    pub numbered: usize,
}

impl Parser {
    pub fn new(input: TokenStream, numbered: usize, report: Report) -> Self {
        let trees = flatten(input);
        let close = trees.last().map_or_else(Span::call_site, TokenTree::span);
        let close_text = "the end of `net!`";
        Parser { trees, at: 0, close, close_text, depth: 0, report, lost: None, chose: false, broken: vec![], numbered }
    }

    /// Reads the content of a group.
    pub fn within<T>(&mut self, group: &Group, read: impl FnOnce(&mut Self) -> T) -> T {
        let trees = std::mem::replace(&mut self.trees, flatten(group.stream()));
        let at = std::mem::replace(&mut self.at, 0);
        let close = std::mem::replace(&mut self.close, group.span_close());
        let close_text = std::mem::replace(&mut self.close_text, closing(group.delimiter()));
        let value = read(self);
        (self.trees, self.at, self.close, self.close_text) = (trees, at, close, close_text);
        value
    }

    /// Reads one level deeper.
    pub fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            return self
                .error("this is nested too deeply")
                .help("give the inner parts names with `let`, or make nets of them")
                .fail();
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    pub fn position(&self) -> usize {
        self.at
    }

    /// The tokens from one position to another.
    pub fn between(&self, start: usize, end: usize) -> TokenStream {
        self.trees.get(start..end.min(self.trees.len())).unwrap_or_default().iter().cloned().collect()
    }

    /// Everything of the group has been read.
    pub fn nothing_left(&mut self, after: &str) -> Parsed<()> {
        if self.at_end() {
            return Ok(());
        }
        let expected = format!("{} after {after}", self.close_text);
        self.unexpected(&expected).fail()
    }

    pub fn at_end(&self) -> bool {
        self.at >= self.trees.len()
    }

    pub fn peek(&self) -> Option<&TokenTree> {
        self.ahead(0)
    }

    pub fn ahead(&self, distance: usize) -> Option<&TokenTree> {
        self.trees.get(self.at + distance)
    }

    pub fn bump(&mut self) {
        self.at += 1;
    }

    /// The place of the next token (of a group: what opens it), or of the closing delimiter.
    pub fn here(&self) -> Span {
        match self.peek() {
            Some(TokenTree::Group(group)) => group.span_open(),
            Some(tree) => tree.span(),
            None => self.close,
        }
    }

    /// Whether the next token begins a new line.
    pub fn on_new_line(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.trees.get(at));
        before.is_some_and(|before| before.span().end().line < self.here().start().line)
    }

    pub fn ident(&self) -> Option<&Ident> {
        self.ident_ahead(0)
    }

    pub fn ident_ahead(&self, distance: usize) -> Option<&Ident> {
        match self.ahead(distance) {
            Some(TokenTree::Ident(ident)) => Some(ident),
            _ => None,
        }
    }

    /// Whether the next token is this word.
    pub fn is_word(&self, word: &str) -> bool {
        self.ident().is_some_and(|ident| ident == word)
    }

    /// The next token, if it is a group of this kind.
    pub fn group(&self, delimiter: Delimiter) -> Option<Group> {
        self.group_ahead(0, delimiter)
    }

    pub fn group_ahead(&self, distance: usize, delimiter: Delimiter) -> Option<Group> {
        match self.ahead(distance) {
            Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.clone()),
            _ => None,
        }
    }

    pub fn operator(&self) -> Option<Operator> {
        self.operator_ahead(0)
    }

    pub fn operator_ahead(&self, distance: usize) -> Option<Operator> {
        OPERATORS.into_iter().find_map(|text| {
            let mut last = None;
            for (i, character) in text.chars().enumerate() {
                match self.ahead(distance + i) {
                    Some(TokenTree::Punct(punct)) if punct.as_char() == character => {
                        // `|>` is no operator of Rust: in a `macro_rules!` its parts come as two.
                        let joined = punct.spacing() == proc_macro2::Spacing::Joint || text == "|>";
                        if i + 1 < text.len() && !joined {
                            return None;
                        }
                        last = Some(punct.span());
                    }
                    _ => return None,
                }
            }
            Some(Operator { text, first: self.ahead(distance)?.span(), last: last? })
        })
    }

    pub fn is_operator(&self, text: &str) -> bool {
        self.operator().is_some_and(|operator| operator.text == text)
    }

    pub fn is_operator_ahead(&self, distance: usize, text: &str) -> bool {
        self.operator_ahead(distance).is_some_and(|operator| operator.text == text)
    }

    /// Takes the operator if it is next.
    pub fn take_operator(&mut self, text: &str) -> Option<Operator> {
        let operator = self.operator().filter(|operator| operator.text == text)?;
        self.at += text.len();
        Some(operator)
    }

    /// Takes whatever operator is next.
    pub fn take_any_operator(&mut self) -> Option<Operator> {
        let operator = self.operator()?;
        self.at += operator.text.len();
        Some(operator)
    }

    /// Goes on until `stop` holds or the group ends.
    pub fn skip_until(&mut self, stop: impl Fn(&Self) -> bool) {
        while !self.at_end() && !stop(self) {
            self.bump();
        }
    }

    /// An error at the next token.
    pub fn error(&mut self, message: impl Into<String>) -> &mut Diagnostic {
        let (first, last) = match self.operator() {
            Some(operator) => (operator.first, operator.last),
            None => (self.here(), self.here()),
        };
        self.report.error(first, message).to(last)
    }

    /// An error at the next token, after which the head or the body of the net cannot be checked.
    pub fn lose(&mut self, message: &str, help: &str) -> Reported {
        let lost = self.error(message).help(help).reported();
        self.lost = Some(lost);
        lost
    }

    /// "expected … , found …" at the next token.
    pub fn unexpected(&mut self, expected: &str) -> &mut Diagnostic {
        let found = self.found();
        self.error(format!("expected {expected}, found {found}"))
    }

    /// The next token in words.
    pub fn found(&self) -> String {
        match self.peek() {
            None => self.close_text.to_string(),
            Some(TokenTree::Ident(ident)) => format!("`{ident}`"),
            Some(TokenTree::Literal(literal)) => format!("`{literal}`"),
            Some(TokenTree::Group(group)) => opening(group.delimiter()).to_string(),
            Some(TokenTree::Punct(punct)) => match self.operator() {
                Some(operator) => format!("`{}`", operator.text),
                None => format!("`{}`", punct.as_char()),
            },
        }
    }

    /// Reads elements between commas to the end of the group, or up to a `;`. A broken element is `Err` in its place.
    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Parsed<T>) -> Vec<Parsed<T>> {
        let mut elements = vec![];
        while !self.at_end() && !self.is_operator(";") {
            let mut read = self.skip_attributes().and_then(|()| element(self));
            if read.is_ok() && !self.at_end() && !self.is_operator(",") && !self.is_operator(";") {
                read = self.missing_comma().fail();
            }
            if read.is_err() {
                self.skip_until(|p| p.is_operator(",") || p.is_operator(";"));
            }
            elements.push(read);
            if self.take_operator(",").is_none() {
                break;
            }
        }
        elements
    }

    fn missing_comma(&mut self) -> &mut Diagnostic {
        let (found, close) = (self.found(), self.close_text);
        match self.peek() {
            Some(TokenTree::Punct(_)) | None => self.unexpected(&format!("`,` or {close}")),
            Some(_) => self.error(format!("a `,` is missing before {found}")),
        }
    }

    /// Reports an attribute or a doc comment where none can stand, and goes past it.
    pub fn skip_attributes(&mut self) -> Parsed<()> {
        while self.is_operator("#") {
            let Some(group) = self.group_ahead(1, Delimiter::Bracket) else {
                return self.unexpected("a value").fail();
            };
            let doc = flatten(group.stream()).first().is_some_and(|tree| tree.to_string() == "doc");
            let (first, last) = (self.here(), group.span());
            if doc {
                let error =
                    self.report.error(first, "a doc comment stands before a `dim` or a `net`, not inside of one");
                error.to(last).help("write `//`");
            } else {
                self.report.error(first, "attributes stand before a `dim` or a `net`, not inside of one").to(last);
            }
            self.at += 2;
        }
        Ok(())
    }
}

/// The trees of a stream. What a `macro_rules!` fragment wraps around a single token is taken off.
fn flatten(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().map(unwrap_fragment).collect()
}

fn unwrap_fragment(tree: TokenTree) -> TokenTree {
    if let TokenTree::Group(group) = &tree
        && group.delimiter() == Delimiter::None
    {
        let mut content = group.stream().into_iter();
        if let (Some(only), None) = (content.next(), content.next()) {
            return unwrap_fragment(only);
        }
    }
    tree
}

fn opening(delimiter: Delimiter) -> &'static str {
    match delimiter {
        Delimiter::Parenthesis => "`(`",
        Delimiter::Bracket => "`[`",
        Delimiter::Brace => "`{`",
        Delimiter::None => "a macro's fragment",
    }
}

fn closing(delimiter: Delimiter) -> &'static str {
    match delimiter {
        Delimiter::Parenthesis => "`)`",
        Delimiter::Bracket => "`]`",
        Delimiter::Brace => "`}`",
        Delimiter::None => "the end of a macro's fragment",
    }
}
