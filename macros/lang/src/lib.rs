//! The language of `net!`, as an ordinary crate: parse → resolve → infer → expand.

#![warn(missing_docs)]

pub mod ast;
mod around;
mod case;
pub mod report;
pub mod parse;
pub mod terms;
pub mod functions;
pub mod initialisers;
pub mod habits;
pub mod borders;
pub mod resolve;
pub mod infer;
mod expand;

use around::Around;
use borders::{Import, Step};
use proc_macro2::TokenStream;

pub use expand::Export;
use report::{Diagnostic, Report};

/// What a `net! { … }` becomes.
#[derive(Debug, Default)]
pub struct Expansion {
    /// The items, with a `compile_error!` for each diagnostic.
    pub tokens: TokenStream,
    /// What is wrong, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
    /// What other `net!`s can take from it.
    pub exports: Vec<Export>,
}

/// Expands the content of a `net! { … }`. After an error the items still stand, so that code that uses them keeps its
/// types. With `use` lines it first asks for what they name, and [`answer`] goes on.
pub fn expand(input: TokenStream) -> Expansion {
    let around = around::here();
    let (uses, rest) = borders::split(input);
    match uses.is_empty() || around.is_some() {
        true => expand_within(around.as_ref(), &[], rest),
        false => Expansion { tokens: borders::start(&uses, &rest), ..Expansion::default() },
    }
}

/// Goes on with what a name from elsewhere answered.
pub fn answer(input: TokenStream) -> Expansion {
    match borders::step(input) {
        Some(Step::Next(tokens)) => Expansion { tokens, ..Expansion::default() },
        Some(Step::Last(imports, rest)) => expand_with(&imports, rest),
        None => Expansion {
            tokens: quote::quote! { ::core::compile_error! { "this macro is for `net!` alone" } },
            ..Expansion::default()
        },
    }
}

/// Expands the content of a `net! { … }` whose `use` lines brought these declarations.
pub fn expand_with(imports: &[Import], input: TokenStream) -> Expansion {
    expand_within(None, imports, input)
}

fn expand_within(around: Option<&Around>, imports: &[Import], input: TokenStream) -> Expansion {
    let mut report = Report::new();
    let mut program = borders::program(imports, input, &mut report);
    if let Some(around) = around {
        around.report(&mut program, &mut report);
    }
    program.complete();
    let names = resolve::resolve(&program, &mut report);
    let inferred = infer::infer(&names, &mut report);
    let diagnostics = report.into_diagnostics();
    let (tokens, exports) = expand::expand(&program, &names, &inferred, &diagnostics);
    Expansion { tokens, diagnostics, exports }
}
