//! The parser against programs, mistakes and noise. `print` writes a tree back with every grouping in parentheses.

mod print;
mod errors;
mod programs;

use proc_macro2::TokenStream;

use super::parse;
use crate::ast::{Item, Program};
use crate::report::{Diagnostic, Report};

/// Parses a source text.
fn read(source: &str) -> (Program, Vec<Diagnostic>) {
    let tokens: TokenStream = source.parse().unwrap_or_else(|error| panic!("{error}: {source}"));
    let mut report = Report::new();
    let program = parse(tokens, &mut report);
    (program, report.into_diagnostics())
}

/// Parses a source text that is right.
fn correct(source: &str) -> Program {
    let (program, diagnostics) = read(source);
    let texts: Vec<_> = diagnostics.iter().map(Diagnostic::text).collect();
    assert!(texts.is_empty(), "{texts:#?}\nin {source}");
    program
}

/// Parses the value of a net's body and prints it with all parentheses.
fn value(source: &str) -> String {
    let program = correct(&format!("net F(x: [n]) -> [n] {{ {source} }}"));
    match &program.items[0] {
        Item::Net(net) => print::block(net.body.as_ref().expect("the body was read")),
        Item::Dim(_) | Item::Alias(_) => unreachable!("the item is a net"),
    }
}
