//! What can be declared in `net!`, here and in other crates, and what it becomes.

mod borders;
mod depth;
mod extension;
mod extension_ops;
mod foreign_flows;
mod language;
mod language_programs;
mod lists;
mod nets;
mod parameters;
mod patterns;
mod programs;
mod templates;
