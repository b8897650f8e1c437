//! The errors of one `net!`: collected over all stages, each on its own token, put out together.

use crate::borders::{alike, is_hidden, plain};
use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Collects errors. A stage goes on after an error and gives back what it could make sense of.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    needs: Vec<Need>,
}

/// Says that an error was reported: whoever has it may give a value up without a word. Only a report hands it out, so that
/// nothing is lost in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported(());

/// A value, unless an error was reported where it arose: whatever depends on the value is no further error.
pub type Checked<T> = Result<T, Reported>;

impl Reported {
    /// What another `net!` declares and could not read: it says so there.
    pub(crate) fn elsewhere() -> Self {
        Reported(())
    }
}

/// Something that must be known at compile time and is not: an error unless whoever uses the net fixes it.
#[derive(Clone, Debug)]
pub struct Need {
    /// The run-time dimensions on which it depends.
    pub names: Vec<String>,
    /// What is wrong if nobody fixes them.
    pub diagnostic: Diagnostic,
}

/// How far a report has come.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    errors: usize,
    needs: usize,
}

/// Where an error points: from one token to another, which are mostly the same.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The first token.
    pub first: Span,
    /// The last token.
    pub last: Span,
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Place { first: span, last: span }
    }
}

/// One error: a sentence about a token, with what else helps.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The tokens that are wrong.
    pub place: Place,
    /// What was expected and what came, in one sentence.
    pub message: String,
    /// Further lines: where the thing came from.
    pub notes: Vec<String>,
    /// What would mend it.
    pub help: Option<String>,
    /// What it depends on.
    pub depends: Depends,
    reported: Reported,
}

/// What decides whether an error in a template is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depends {
    /// Nothing: it is one for all sizes.
    OnNothing,
    /// Whether shapes agree.
    OnShapes,
    /// What the head could state.
    OnFacts,
    /// How large sizes are, what divides them, or anything else.
    OnSizes,
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an error at a token; notes and help follow in builder style.
    pub fn error(&mut self, place: impl Into<Place>, message: impl Into<String>) -> &mut Diagnostic {
        let (place, message) = (place.into(), message.into());
        self.diagnostics.push(Diagnostic {
            place,
            message,
            notes: vec![],
            help: None,
            depends: Depends::OnSizes,
            reported: Reported(()),
        });
        self.diagnostics.last_mut().expect("one was just pushed")
    }

    /// Adds something that must be known at compile time. What depends on no dimension, nobody can fix: it is an error.
    pub fn need(&mut self, names: Vec<String>, place: Place, message: String, help: String) -> Reported {
        if names.is_empty() {
            return self.error(place, message).help(help).reported;
        }
        let reported = Reported(());
        let depends = Depends::OnSizes;
        let diagnostic = Diagnostic { place, message, notes: vec![], help: Some(help), depends, reported };
        self.needs.push(Need { names, diagnostic });
        reported
    }

    /// The same of something that a fact would tell, which the head could state.
    pub fn need_fact(&mut self, names: Vec<String>, place: Place, message: String, help: String) -> Reported {
        let (errors, needs) = (self.diagnostics.len(), self.needs.len());
        let reported = self.need(names, place, message, help);
        let needed = self.needs[needs..].iter_mut().map(|need| &mut need.diagnostic);
        needed.chain(&mut self.diagnostics[errors..]).for_each(|diagnostic| diagnostic.depends = Depends::OnFacts);
        reported
    }

    /// A mistake of `net!` itself: something is lost for which nobody gave a reason.
    pub fn unexplained(&mut self, place: impl Into<Place>) -> Reported {
        let message = "`net!` cannot make sense of this, and does not know why";
        self.error(place, message).help("this is a mistake of the macro: please report the program").reported
    }

    /// How far it has come.
    pub fn mark(&self) -> Mark {
        Mark { errors: self.diagnostics.len(), needs: self.needs.len() }
    }

    /// Whether an error was added since.
    pub fn failed_since(&self, mark: Mark) -> Option<Reported> {
        self.diagnostics.get(mark.errors).map(|diagnostic| diagnostic.reported)
    }

    /// Whether something must be known since.
    pub fn needs_since(&self, mark: Mark) -> Option<Reported> {
        self.needs.get(mark.needs).map(|need| need.diagnostic.reported)
    }

    /// Takes back what was added since: whoever has it says which of it counts.
    pub fn take_since(&mut self, mark: Mark) -> (Vec<Diagnostic>, Vec<Need>) {
        (self.diagnostics.split_off(mark.errors), self.needs.split_off(mark.needs))
    }

    /// What must be known since and nobody will fix is an error.
    pub fn settle_since(&mut self, mark: Mark) {
        let needs = self.needs.split_off(mark.needs);
        self.diagnostics.extend(needs.into_iter().map(|need| need.diagnostic));
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Adds errors that were taken back.
    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.diagnostics.extend(diagnostics);
    }

    /// The errors in the order of the source, each said once.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut kept: Vec<Diagnostic> = Vec::with_capacity(self.diagnostics.len());
        for diagnostic in self.diagnostics {
            let same = |a: Span, b: Span| a.start() == b.start() && a.end() == b.end() && a.file() == b.file();
            let said = |d: &Diagnostic| d.message == diagnostic.message && same(d.place.first, diagnostic.place.first);
            if !kept.iter().any(said) {
                kept.push(diagnostic);
            }
        }
        kept.sort_by_key(|diagnostic| diagnostic.place.first.start());
        kept
    }
}

impl Diagnostic {
    /// Extends the marked range to the end of `last`.
    pub fn to(&mut self, last: Span) -> &mut Self {
        self.place.last = last;
        self
    }

    /// Adds a line that says where something came from.
    pub fn note(&mut self, line: impl Into<String>) -> &mut Self {
        self.notes.push(line.into());
        self
    }

    /// Says where something came from, in these lines alone.
    pub fn notes(&mut self, lines: Vec<String>) -> &mut Self {
        self.notes = lines;
        self
    }

    /// That it was reported.
    pub fn reported(&self) -> Reported {
        self.reported
    }

    /// Gives a value up, for which the error stands.
    pub fn fail<T>(&self) -> Checked<T> {
        Err(self.reported)
    }

    /// Says what it depends on.
    pub fn depends(&mut self, depends: Depends) -> &mut Self {
        self.depends = depends;
        self
    }

    /// Says what would mend it.
    pub fn help(&mut self, sentence: impl Into<String>) -> &mut Self {
        self.help = Some(sentence.into());
        self
    }

    /// The whole text: the message, the notes and the help, a line each. rustc aligns the later lines behind `error: `.
    pub fn text(&self) -> String {
        let alike = alike(&format!("{}\n{}", self.message, self.notes.join("\n")));
        // Such a name says nothing, so neither does a help line with it.
        let help = match alike.first() {
            Some(name) => Some(format!("tell them apart: `use path::{name} as Other{name};`")),
            None => self.help.clone(),
        };
        let alike = alike.iter().map(|name| format!("two modules each declare `{name}`, and these are different"));
        let help = help.iter().map(|help| format!("help: {help}"));
        let lines: Vec<String> =
            [self.message.clone()].into_iter().chain(self.notes.clone()).chain(alike).chain(help).collect();
        plain(&lines.join("\n")).into_owned()
    }

    /// `::core::compile_error! { "…" }`, placed so that rustc underlines the whole place.
    pub fn tokens(&self) -> TokenStream {
        let Place { first, last } = self.place;
        let punct = |character, spacing| {
            let mut punct = Punct::new(character, spacing);
            punct.set_span(first);
            TokenTree::from(punct)
        };
        let mut text = Literal::string(&self.text());
        text.set_span(last);
        let mut argument = Group::new(Delimiter::Brace, TokenTree::from(text).into());
        argument.set_span(last);
        [
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            Ident::new("core", first).into(),
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            Ident::new("compile_error", first).into(),
            punct('!', Spacing::Alone),
            argument.into(),
        ]
        .into_iter()
        .collect()
    }
}

/// The candidate that `name` was probably meant to be, if one is near enough.
pub fn did_you_mean<I>(name: &str, candidates: I) -> Option<String>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    let wanted = plain(name);
    candidates
        .into_iter()
        .filter(|candidate| candidate.as_ref() != name && !is_hidden(candidate.as_ref()))
        .filter_map(|candidate| {
            let candidate = candidate.as_ref();
            let length = name.chars().count().max(candidate.chars().count());
            // `BatchNorm` for `batch_norm` is one slip, however many letters differ.
            let distance = if plain(candidate) == wanted { 0 } else { distance(name, candidate) };
            (distance == 0 || distance * 3 <= length).then(|| (distance, candidate.to_string()))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Damerau–Levenshtein distance: insertions, deletions, substitutions and swaps of neighbours cost one each
/// (the form in which no letter is edited twice).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let edited = changed.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { edited.min(table[i - 2][j - 2] + 1) } else { edited }
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(source: &str) -> Vec<Span> {
        source.parse::<TokenStream>().unwrap().into_iter().map(|tree| tree.span()).collect()
    }

    #[test]
    fn errors_come_once_and_in_the_order_of_the_source() {
        let places = spans("a b\nc");
        let mut report = Report::new();
        report.error(places[2], "third");
        report.error(places[0], "first").help("the first help counts");
        report.error(places[0], "first");
        report.error(places[0], "also first");
        let messages: Vec<_> = report.into_diagnostics().into_iter().map(|d| d.message).collect();
        assert_eq!(messages, ["first", "also first", "third"]);
    }

    #[test]
    fn notes_and_help_follow_the_message() {
        let mut report = Report::new();
        let places = spans("x y");
        report.error(places[0], "it is wrong").note("it came\nfrom here").help("mend it").to(places[1]);
        let diagnostic = report.into_diagnostics().remove(0);
        assert_eq!(diagnostic.text(), "it is wrong\nit came\nfrom here\nhelp: mend it");
        let tokens = diagnostic.tokens().to_string();
        assert!(tokens.replace(' ', "").starts_with("::core::compile_error!{"), "{tokens}");
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["linear", "relu", "gelu", "batch_norm", "cross_entropy", "Digit"];
        let mean = |name| did_you_mean(name, known);
        assert_eq!(mean("lienar").as_deref(), Some("linear"));
        assert_eq!(mean("Linear").as_deref(), Some("linear"));
        assert_eq!(mean("BatchNorm").as_deref(), Some("batch_norm"));
        assert_eq!(mean("cross_entrpy").as_deref(), Some("cross_entropy"));
        assert_eq!(mean("rellu").as_deref(), Some("relu"));
        assert_eq!(mean("Digits").as_deref(), Some("Digit"));
        assert_eq!(mean("softmax"), None);
        assert_eq!(mean("q"), None);
        assert_eq!(mean("linear"), None);
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        assert_eq!(distance("abcd", "abdc"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
