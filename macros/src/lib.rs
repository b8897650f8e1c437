//! The procedural macro of the ansatz library. All of its work is done in `ansatz_lang`, an ordinary crate.

#![warn(missing_docs)]

use proc_macro::TokenStream;

/// Declares dimensions and neural networks: shapes are inferred and checked at compile time, and each net becomes a
/// typed struct. The module `ansatz::language` describes the language.
#[proc_macro]
pub fn net(input: TokenStream) -> TokenStream {
    ansatz_lang::expand(input.into()).tokens.into()
}

/// What the names of a `use` in `net!` call back. For `net!` alone.
#[doc(hidden)]
#[proc_macro]
pub fn __import(input: TokenStream) -> TokenStream {
    ansatz_lang::answer(input.into()).tokens.into()
}
