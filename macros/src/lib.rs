//! The procedural macro of the ansatz library. All of its work is done in `ansatz_lang`, an ordinary crate.

#![warn(missing_docs)]

use proc_macro::TokenStream;

/// Declares dimensions and neural networks: shapes are inferred and checked at compile time, and each net becomes a
/// typed struct. The module `ansatz::language` describes the language.
#[proc_macro]
pub fn net(input: TokenStream) -> TokenStream {
    ansatz_lang::expand(input.into()).tokens.into()
}
