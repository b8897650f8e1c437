//! The language of `net!`, as an ordinary crate: parse → resolve → infer → expand.

#![warn(missing_docs)]

pub mod ast;
pub mod report;
pub mod terms;
