//! The language of `net!`, as an ordinary crate: parse → resolve → infer → expand.

#![warn(missing_docs)]

pub mod ast;
pub mod report;
pub mod parse;
pub mod terms;

use proc_macro2::TokenStream;

use report::{Diagnostic, Report};

/// What a `net! { … }` becomes.
#[derive(Debug)]
pub struct Expansion {
    /// The items, and a `compile_error!` for each diagnostic.
    pub tokens: TokenStream,
    /// What is wrong, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
}

/// Expands the content of a `net! { … }`.
pub fn expand(input: TokenStream) -> Expansion {
    let mut report = Report::new();
    let _program = parse::parse(input, &mut report);
    let diagnostics = report.into_diagnostics();
    let tokens = diagnostics.iter().map(Diagnostic::tokens).collect();
    Expansion { tokens, diagnostics }
}
