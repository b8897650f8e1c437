//! The language of `net!`, as an ordinary crate: parse → resolve → infer → expand.

#![warn(missing_docs)]

pub mod ast;
pub mod report;
pub mod parse;
pub mod terms;
pub mod functions;
pub mod initialisers;
pub mod resolve;
pub mod infer;
mod expand;

use proc_macro2::TokenStream;

use report::{Diagnostic, Report};

/// What a `net! { … }` becomes.
#[derive(Debug)]
pub struct Expansion {
    /// The items, with a `compile_error!` for each diagnostic.
    pub tokens: TokenStream,
    /// What is wrong, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
}

/// Expands the content of a `net! { … }`. After an error the items still stand, so that code that uses them keeps its
/// types.
pub fn expand(input: TokenStream) -> Expansion {
    let mut report = Report::new();
    let program = parse::parse(input, &mut report);
    let names = resolve::resolve(&program, &mut report);
    let inferred = infer::infer(&names, &mut report);
    let diagnostics = report.into_diagnostics();
    let tokens = expand::expand(&program, &names, &inferred, &diagnostics);
    Expansion { tokens, diagnostics }
}
