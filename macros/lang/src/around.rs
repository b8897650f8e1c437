//! What stands around a `net!` in its file: a macro is not told, and what rustc says of its expansion where it cannot stand
//! is a wall. So the file is read. Where that does not find the `net!`, as in what another macro writes, nothing is said.

use crate::ast::{Broken, BrokenKind, Item, Program};
use crate::report::{Report, Reported};
use proc_macro2::{Ident, Span};

/// What is wrong with the place of a `net!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Around {
    /// It stands where a value is expected.
    Value,
    /// It stands in an `impl` or a `trait`: this word.
    Inside(&'static str),
    /// Names that it declares, each with the line that declares it before.
    Taken(Vec<(String, usize)>),
}

/// The words that take a name among the types of a module.
const DECLARING: [&str; 6] = ["struct", "enum", "union", "trait", "type", "mod"];

impl Around {
    /// Reports it. What the program declares then has no type, so that whoever uses it gets no further error.
    pub fn report(&self, program: &mut Program, report: &mut Report) {
        let Program { items, broken, .. } = std::mem::take(program);
        let first = items.first().map(Item::name).or(broken.first().map(|broken| &broken.name));
        let place = first.map_or_else(Span::call_site, Ident::span);
        let taken = match self {
            // No further error fits into the place of a value.
            Around::Value => {
                *report = Report::new();
                let error = report.error(place, "`net!` declares items, and here a value is expected");
                error.help("let it stand by itself, and name what it declares here: `Mlp::<f32>::init(0)`");
                return;
            }
            Around::Inside(word) => {
                let error =
                    report.error(place, format!("`net!` declares items, which cannot stand inside of `{word}`"));
                error.help(format!("move it out: before the `{word}`"));
                return;
            }
            Around::Taken(taken) => taken,
        };
        for item in items {
            let (name, visibility, kind) = match &item {
                Item::Dim(dim) => (&dim.name, &dim.visibility, BrokenKind::Dim),
                Item::Net(net) => (&net.name, &net.visibility, BrokenKind::Net),
                Item::Alias(alias) => (&alias.name, &alias.visibility, BrokenKind::Net),
            };
            let before = taken.iter().find(|(taken, _)| name == taken);
            let lost = before.map(|(_, line)| {
                let error = report.error(name.span(), format!("`{name}` is declared in line {line} already"));
                error.help("give one of them another name").reported()
            });
            let (kind, lost) = (lost.map_or(kind, |_| BrokenKind::Foreign), lost.unwrap_or(Reported::elsewhere()));
            program.broken.push(Broken { name: name.clone(), visibility: visibility.clone(), kind, lost });
        }
        program.broken.extend(broken);
    }
}

/// What is wrong with the place of the macro that runs now.
pub fn here() -> Option<Around> {
    let span = Span::call_site();
    let source = std::fs::read_to_string(span.local_file()?).ok()?;
    let start = span.start();
    around(&source, start.line, start.column)
}

/// The same of the `net!` that begins at a line, from 1, and a column, from 0, of a file.
pub fn around(source: &str, line: usize, column: usize) -> Option<Around> {
    let tokens = scan(source);
    let start = tokens.iter().position(|token| token.line == line && token.columns.contains(&column))?;
    let calls = Calls(&tokens);
    let own = calls.at(start)?;
    if start.checked_sub(1).is_some_and(|before| tokens[before].is("=")) {
        return Some(Around::Value);
    }
    let home = tokens[start].home;
    if let Some(word) = home.and_then(|home| calls.header(home)) {
        return Some(Around::Inside(word));
    }
    let own: Vec<String> = calls.declared(own).map(|(name, _)| name).collect();
    let mut names: Vec<(String, usize)> = vec![];
    for i in (0..start).filter(|&i| tokens[i].home == home) {
        let declared: Vec<_> = match calls.at(i) {
            Some(group) => calls.declared(group).collect(),
            None if DECLARING.iter().any(|word| tokens[i].is(word)) => {
                tokens.get(i + 1).map(|name| (name.text.to_owned(), name.line)).into_iter().collect()
            }
            None => continue,
        };
        let same: Vec<_> = declared.into_iter().filter(|(name, _)| own.contains(name)).collect();
        // Of two with conditions only one may be there.
        if !same.is_empty() && !calls.conditional(i) && !calls.conditional(start) {
            names.extend(same);
        }
    }
    (!names.is_empty()).then_some(Around::Taken(names))
}

/// A word or a sign of a file.
struct Token<'s> {
    text: &'s str,
    line: usize,
    /// Its column in characters, and in bytes.
    columns: [usize; 2],
    /// The bracket around it.
    home: Option<usize>,
}

impl Token<'_> {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

struct Calls<'t, 's>(&'t [Token<'s>]);

impl Calls<'_, '_> {
    /// The bracket of a `net!` that begins here.
    fn at(&self, start: usize) -> Option<usize> {
        let mut at = start;
        if start > 0 && self.0[start - 1].is(":") {
            return None;
        }
        while self.0.get(at + 1)?.is(":") && self.0.get(at + 2)?.is(":") {
            at += 3;
        }
        let open = self.0.get(at + 2).filter(|open| ["{", "(", "["].contains(&open.text));
        (self.0[at].is("net") && self.0.get(at + 1)?.is("!") && open.is_some()).then_some(at + 2)
    }

    /// The names that a `net!` with this bracket declares whatever the conditions are, with their lines.
    fn declared(&self, open: usize) -> impl Iterator<Item = (String, usize)> {
        let inside = (open + 1..self.0.len()).take_while(move |&i| self.0[i].home != self.0[open].home);
        let words = inside.filter(move |&i| {
            self.0[i].home == Some(open)
                && ["net", "dim", "flow"].iter().any(|word| self.0[i].is(word))
                && !self.conditional(i)
        });
        words.filter_map(|i| self.0.get(i + 1).map(|name| (name.text.to_owned(), name.line)))
    }

    /// Where the item begins that a token stands in, attributes included.
    fn item(&self, of: usize) -> usize {
        let home = self.0[of].home;
        let before = (0..of).rev().take_while(|&i| Some(i) != home);
        let mut start = of;
        for i in before.filter(|&i| self.0[i].home == home) {
            if self.0[i].is(";") || self.0[i].is("}") {
                break;
            }
            start = i;
        }
        start
    }

    /// Whether the item that a token stands in has a condition.
    fn conditional(&self, of: usize) -> bool {
        self.0[self.item(of)..of].iter().any(|token| token.is("cfg"))
    }

    /// `impl` or `trait`, if this bracket is that of one.
    fn header(&self, open: usize) -> Option<&'static str> {
        if !self.0[open].is("{") {
            return None;
        }
        let start = self.item(open);
        let words = self.0[start..open].iter().filter(|token| token.home == self.0[open].home);
        let skipped = ["unsafe", "pub", "auto", "#", "[", "]", "(", ")", "default"];
        let first = words.into_iter().find(|token| !skipped.contains(&token.text))?;
        ["impl", "trait"].into_iter().find(|word| first.is(word))
    }
}

/// The words and signs of a file, without comments. A text is one sign.
fn scan(source: &str) -> Vec<Token<'_>> {
    let mut scanner = Scanner { source, at: 0, line: 1, columns: [0; 2] };
    let (mut tokens, mut open): (Vec<Token<'_>>, Vec<usize>) = (vec![], vec![]);
    while let Some((start, line, columns)) = scanner.next() {
        let text = &source[start..scanner.at];
        if matches!(text, ")" | "]" | "}") {
            open.pop();
        }
        tokens.push(Token { text, line, columns, home: open.last().copied() });
        if matches!(text, "(" | "[" | "{") {
            open.push(tokens.len() - 1);
        }
    }
    tokens
}

struct Scanner<'s> {
    source: &'s str,
    at: usize,
    line: usize,
    columns: [usize; 2],
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn step(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        self.columns = match character {
            '\n' => [0; 2],
            _ => [self.columns[0] + 1, self.columns[1] + character.len_utf8()],
        };
        self.line += usize::from(character == '\n');
        Some(character)
    }

    /// Goes behind the next occurrence of a text.
    fn behind(&mut self, text: &str) {
        let end = self.rest().find(text).map_or(self.source.len(), |end| self.at + end + text.len());
        while self.at < end {
            self.step();
        }
    }

    fn skip(&mut self) {
        loop {
            if self.rest().starts_with("//") {
                self.behind("\n");
            } else if self.rest().starts_with("/*") {
                self.comment();
            } else if self.rest().starts_with(char::is_whitespace) {
                self.step();
            } else {
                return;
            }
        }
    }

    /// Goes behind a comment, in which others may stand.
    fn comment(&mut self) {
        let mut depth = 0;
        loop {
            let rest = self.rest();
            let (opens, closes) = (rest.starts_with("/*"), rest.starts_with("*/"));
            if opens || closes {
                self.step();
                depth += if opens { 1 } else { -1 };
            }
            if self.step().is_none() || depth == 0 {
                return;
            }
        }
    }

    /// Where the next token begins; the scanner then stands behind it.
    fn next(&mut self) -> Option<(usize, usize, [usize; 2])> {
        self.skip();
        let (start, line, columns) = (self.at, self.line, self.columns);
        let first = self.step()?;
        if first.is_alphabetic() || first == '_' {
            while self.rest().starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                self.step();
            }
            let (word, rest) = (&self.source[start..self.at], self.rest());
            if matches!(word, "r" | "br" | "cr")
                && (rest.starts_with('"') || rest.starts_with("#\"") || rest.starts_with("##"))
            {
                let hashes = rest.len() - rest.trim_start_matches('#').len();
                self.behind("\"");
                self.behind(&format!("\"{}", "#".repeat(hashes)));
            }
        } else if first == '"' {
            self.text('"');
        } else if first == '\'' {
            // A lifetime is no text.
            let mut ahead = self.rest().chars();
            let (one, two) = (ahead.next(), ahead.next());
            if one == Some('\\') || two == Some('\'') {
                self.text('\'');
            }
        }
        Some((start, line, columns))
    }

    /// Goes to the end of a text.
    fn text(&mut self, end: char) {
        while let Some(character) = self.step() {
            if character == '\\' {
                self.step();
            } else if character == end {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is around the last `net!`.
    fn last(source: &str) -> Option<Around> {
        let before = &source[..source.rfind("net!").expect("there is one")];
        let line = before.rsplit('\n').next().unwrap_or_default();
        let column = line.strip_suffix("ansatz::").unwrap_or(line).chars().count();
        around(source, before.matches('\n').count() + 1, column)
    }

    fn taken(source: &str) -> Vec<(String, usize)> {
        match last(source) {
            Some(Around::Taken(names)) => names,
            None => vec![],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_taken_within_one_module() {
        let one = |name: &str, line| vec![(name.to_owned(), line)];
        assert_eq!(
            taken("use a::*;\nnet! { pub net A(x: [n]) -> [] { x } }\nnet! { net A(y: [n]) -> [] { y } }"),
            one("A", 2)
        );
        assert_eq!(taken("\nnet! { dim D = 4; }\npub fn f() {}\nnet! { dim E = 3; pub dim D = 5; }"), one("D", 2));
        assert_eq!(taken("\n#[derive(Debug)]\nstruct A;\nnet! { net A(x: [n]) -> [] { x } }"), one("A", 3));
        assert_eq!(taken("\nansatz::net! { flow A(x: [n, 2]) { x } }\nmod m { }\nnet! { net A = B(3); }"), one("A", 2));
        assert_eq!(taken("\nnet! { net A(x: [n]) -> [] { x } }\nmod m { net! { net A(x: [n]) -> [] { x } } }"), []);
        assert_eq!(taken("\nmod m { net! { net A(x: [n]) -> [] { x } } }\nnet! { net A(x: [n]) -> [] { x } }"), []);
        assert_eq!(taken("\nfn f() { net! { dim A = 1; } }\nfn g() { net! { dim A = 1; } }"), []);
        assert_eq!(
            taken("\n// net! { dim A = 1; }\nconst B: &str = \"net! { dim A = 1; }\";\nnet! { dim A = 1; }"),
            []
        );
        assert_eq!(taken("\n#[cfg(a)]\nnet! { dim A = 1; }\n#[cfg(not(a))]\nnet! { dim A = 1; }"), []);
        assert_eq!(taken("\n#[cfg(a)]\nstruct A;\nnet! { dim A = 1; }"), []);
        assert_eq!(taken("\nnet! { #[cfg(a)] dim A = 1; }\nnet! { dim B = 2; #[cfg(not(a))] dim A = 3; }"), []);
        assert_eq!(taken("\nnet! { #[cfg(a)] dim A = 1; dim B = 4; }\nnet! { dim B = 2; }"), one("B", 2));
        assert_eq!(taken("\nnet! { dim A = 1; }\nfn f<'a>(x: &'a str) -> char { '\\'' }\nnet! { dim B = 1; }"), []);
        assert_eq!(taken("/* net! { dim A = 1; } /* */ */ r#\"net! { dim A = 2; }\"#;\nnet! { dim A = 1; }"), []);
    }

    #[test]
    fn a_net_is_an_item() {
        assert_eq!(last("struct A;\nimpl<T> A {\n    net! { dim B = 1; }\n}"), Some(Around::Inside("impl")));
        assert_eq!(last("pub(crate) trait T {\n    net! { dim B = 1; }\n}"), Some(Around::Inside("trait")));
        assert_eq!(last("fn f() -> impl Copy {\n    net! { dim B = 1; }\n 3 }"), None);
        assert_eq!(last("impl A { fn f() {\n    net! { dim B = 1; }\n } }"), None);
        assert_eq!(last("fn f() { let m = net! { dim B = 1; }; }"), Some(Around::Value));
        assert_eq!(last("macro_rules! m { ($a:ident) => { net! { dim $a = 1; } } }"), None);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for source in
            ["", "net!", "'", "\"", "r#\"", "/*", "net! {", "}}} net! { dim A", "é net! { dim A = 1; }", "'\\"]
        {
            for column in 0..8 {
                let _ = around(source, 1, column);
            }
        }
    }
}
