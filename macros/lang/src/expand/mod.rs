//! From inferred nets to Rust: a struct of parameters, what records it, and the structs of its inputs and results.

mod batch;
mod dims;
mod docs;
mod model;
mod record;
mod run;
mod stubs;

use crate::ast::{Item, Program, Visibility};
use crate::infer::TypedNet;
use crate::report::Diagnostic;
use crate::resolve::Names;
use dims::Spelling;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use std::rc::Rc;

/// The items of a program, and its errors.
pub fn expand(
    program: &Program,
    names: &Names<'_>,
    nets: &[Rc<TypedNet<'_>>],
    diagnostics: &[Diagnostic],
) -> TokenStream {
    let stubs = stubs::stubs(program, names, nets, diagnostics);
    let dims = program.items.iter().filter_map(|item| match item {
        Item::Dim(dim) if !dims::is_unknown(dim, names) => Some(dims::declare(dim, names)),
        _ => None,
    });
    let nets_tokens = nets.iter().filter(|net| net.is_typed()).map(|net| {
        let context = Context { names, nets, net, spelling: Spelling::new(names, net) };
        context.net()
    });
    std::iter::once(stubs).chain(dims).chain(nets_tokens).collect()
}

/// One net with everything around it.
struct Context<'c, 'a> {
    names: &'c Names<'a>,
    nets: &'c [Rc<TypedNet<'a>>],
    net: &'c TypedNet<'a>,
    spelling: Spelling,
}

impl Context<'_, '_> {
    fn net(&self) -> TokenStream {
        let parts = [self.model(), self.inherent(), self.module(), self.batch(), self.outputs(), self.net_trait()];
        parts.into_iter().collect()
    }

    fn name(&self) -> &Ident {
        &self.net.item.name
    }

    /// The name of a function of the net, placed on the net's name: that is where errors say it is defined.
    fn method(&self, name: &str) -> Ident {
        Ident::new(name, self.name().span())
    }

    fn visibility(&self) -> &Visibility {
        &self.net.item.visibility
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
        self.net.body.is_some()
    }
}

/// The lints that code of a net may trip through no fault of its author.
fn allowances() -> TokenStream {
    quote! { #[allow(dead_code, unused_variables, clippy::type_complexity, clippy::too_many_arguments)] }
}

fn here(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}
