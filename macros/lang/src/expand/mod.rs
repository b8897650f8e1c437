//! From inferred nets to Rust: a struct of parameters, what records it, and the structs of its inputs and results.

mod batch;
mod dims;
mod docs;
mod export;
mod model;
mod record;
mod run;
mod steps;
mod stubs;
mod templates;

use crate::ast::{Item, Program, Visibility};
use crate::borders::shown;
use crate::infer::{Inferred, Reach, TypedNet};
use crate::report::Diagnostic;
use crate::resolve::Names;
use dims::Spelling;
pub use export::Export;
use export::Sources;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use std::rc::Rc;

/// The items of a program and its errors, and what other programs need of it.
pub fn expand(
    program: &Program,
    names: &Names<'_>,
    inferred: &Inferred<'_>,
    diagnostics: &[Diagnostic],
) -> (TokenStream, Vec<Export>) {
    let nets = inferred.nets.as_slice();
    let ids = program.ids();
    let sources = Sources::new(program, &ids, names, inferred);
    let travelling = sources.travelling();
    let stubs = stubs::stubs(program, names, inferred, diagnostics);
    let dims = program.items.iter().filter_map(|item| match item {
        Item::Dim(dim) if !dims::is_unknown(dim, names) && names.foreign(&dim.name).is_none() => {
            let travels = travelling.contains(&dim.name.to_string());
            Some(dims::declare(dim, names, travels, &sources.mentioned(&dim.name)))
        }
        _ => None,
    });
    let own = |net: &&Rc<TypedNet<'_>>| net.is_typed() && matches!(net.reach, Reach::Named | Reach::Part);
    let nets_tokens = nets.iter().filter(own).map(|net| {
        let context = Context { names, nets, net, spelling: Spelling::new(names, net) };
        context.net()
    });
    let templates = inferred.templates.iter().map(templates::template);
    let aliases = inferred.aliases.iter().filter_map(|alias| templates::alias(alias, names, nets));
    let first = [stubs, dims::mentions(program, names)];
    let items = first.into_iter().chain(dims).chain(nets_tokens).chain(templates).chain(aliases).collect();
    let items = if program.foreign.is_empty() { items } else { shown(items) };
    let exports = sources.exports();
    let passed_on = exports.iter().map(Export::tokens);
    (std::iter::once(items).chain(passed_on).collect(), exports)
}

/// One net with everything around it.
struct Context<'c, 'a> {
    names: &'c Names<'a>,
    nets: &'c [Rc<TypedNet<'a>>],
    net: &'c TypedNet<'a>,
    spelling: Spelling<'c, 'a>,
}

impl Context<'_, '_> {
    fn net(&self) -> TokenStream {
        let mut parts = vec![self.model(), self.inherent()];
        // Nobody but the nets around it can run a part.
        if self.is_named() {
            parts.extend([self.module(), self.batch(), self.outputs(), self.net_trait()]);
        }
        parts.into_iter().collect()
    }

    fn name(&self) -> &Ident {
        &self.net.name
    }

    /// Whether the user can name the net.
    fn is_named(&self) -> bool {
        self.net.reach == Reach::Named
    }

    /// The name of a function of the net, placed on the net's name: that is where errors say it is defined.
    fn method(&self, name: &str) -> Ident {
        Ident::new(name, self.name().span())
    }

    fn visibility(&self) -> &Visibility {
        &self.net.visibility
    }

    /// The type parameter of the elements: `E`, unless the program gives that name to something else.
    fn element(&self) -> &Ident {
        &self.spelling.element
    }

    fn batch_name(&self) -> Ident {
        format_ident!("{}Batch", self.name())
    }

    fn output_name(&self) -> Ident {
        format_ident!("{}Output", self.name())
    }

    /// Whether the whole net is known, so that it can be recorded.
    fn whole(&self) -> bool {
        self.net.body.is_ok()
    }
}

/// The lints that code of a net may trip through no fault of its author.
fn allowances() -> TokenStream {
    quote! { #[allow(dead_code, unused_variables)]
    #[allow(clippy::type_complexity, clippy::too_many_arguments, clippy::approx_constant)] }
}

fn here(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}
