//! Stand-ins for what holds an error, so that the code that uses it gives no further one.
//!
//! A type that depends on a `compile_error!` is unknown to rustc, which then accepts every use of it: here the
//! projection of an array whose length is the error. A declaration that could not be read becomes such a type. A net
//! of which only the body holds an error keeps its struct and its functions; it dereferences to the unknown type,
//! which has whatever field or method is missing.

use crate::ast::{BrokenKind, Item, Program, ResultType, Route, Visibility};
use crate::infer::{Inferred, Reach, TypedNet};
use crate::report::Diagnostic;
use crate::resolve::Names;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use std::rc::Rc;

/// The errors of a program, and what stands for the declarations that hold them.
pub fn stubs(program: &Program, names: &Names<'_>, inferred: &Inferred<'_>, diagnostics: &[Diagnostic]) -> TokenStream {
    let used = |net: &&Rc<TypedNet<'_>>| matches!(net.reach, Reach::Named | Reach::Part);
    let mut errors = diagnostics.iter().map(Diagnostic::tokens);
    // What holds an error elsewhere is unknown here as well, though the error is told there.
    let Some(mut unknown) = errors.next().map(Unknown::of).or_else(|| Unknown::abroad(program)) else {
        return TokenStream::new();
    };
    let mut items = TokenStream::new();
    for missing in missing(program, names, inferred) {
        items.extend(missing.aliases(&mut unknown));
    }
    let nets = inferred.nets.iter().filter(used).filter(|net| net.is_typed() && net.body.is_err());
    let templates = inferred.templates.iter().filter(|template| template.failed);
    for name in nets.map(|net| &net.name).chain(templates.map(|template| &template.item.name)) {
        let target = unknown.ty(&[]);
        unknown.name.get_or_insert_with(|| quote! { <#name as ::core::ops::Deref>::Target });
        items.extend(quote! {
            #[automatically_derived]
            impl<Element: ::ansatz::tensor::Float> ::core::ops::Deref for #name<Element> {
                type Target = #target;

                fn deref(&self) -> &Self::Target {
                    ::core::unreachable!("the net holds an error")
                }
            }
        });
    }
    // With no declaration to carry it, the first error stands by itself as the others do.
    let alone = unknown.error.into_iter().chain(errors);
    std::iter::once(items).chain(alone).collect()
}

/// The unknown type: the first error makes it, what comes after refers to it.
struct Unknown {
    error: Option<TokenStream>,
    name: Option<TokenStream>,
}

impl Unknown {
    fn of(error: TokenStream) -> Self {
        Unknown { error: Some(error), name: None }
    }

    /// By what another `net!` could not read.
    fn abroad(program: &Program) -> Option<Self> {
        let broken = |name: &Ident| program.broken.iter().any(|broken| broken.name == *name);
        program.foreign.iter().find_map(|foreign| match &foreign.route {
            Route::Path(path) if broken(&foreign.name) => {
                Some(Unknown { error: None, name: Some(quote! { <#path as ::core::ops::Deref>::Target }) })
            }
            _ => None,
        })
    }

    /// The unknown type, as an alias with these parameters writes it: each must occur.
    fn ty(&mut self, parameters: &[Ident]) -> TokenStream {
        let base = match self.error.take() {
            Some(error) => quote! { [(); #error] },
            None => self.name.clone().unwrap_or_default(),
        };
        quote! { <(#base, #(#parameters),*) as ::core::ops::Deref>::Target }
    }
}

/// A declaration of which nothing but the name is known.
struct Missing<'a> {
    name: &'a Ident,
    visibility: &'a Visibility,
    kind: BrokenKind,
    outputs: bool,
    /// Whether it is a net whose name no other item has.
    inferred: bool,
}

fn missing<'a>(program: &'a Program, names: &'a Names<'_>, inferred: &'a Inferred<'_>) -> Vec<Missing<'a>> {
    let unread = program.broken.iter().filter(|broken| broken.kind != BrokenKind::Foreign).map(|broken| {
        let outputs = broken.kind == BrokenKind::Net;
        Missing { name: &broken.name, visibility: &broken.visibility, kind: broken.kind, outputs, inferred: false }
    });
    let dims = program.items.iter().filter_map(|item| match item {
        Item::Dim(dim) if super::dims::is_unknown(dim, names) && names.foreign(&dim.name).is_none() => {
            let (name, visibility) = (&dim.name, &dim.visibility);
            Some(Missing { name, visibility, kind: BrokenKind::Dim, outputs: false, inferred: false })
        }
        _ => None,
    });
    let untyped = inferred.nets.iter().filter(|net| !net.is_typed() && matches!(net.reach, Reach::Named | Reach::Part));
    let untyped = untyped.map(|net| Missing {
        name: &net.name,
        visibility: &net.visibility,
        kind: BrokenKind::Net,
        outputs: matches!(net.item.result, ResultType::Named(_)),
        inferred: true,
    });
    let aliases = inferred.aliases.iter().filter(|alias| alias.net.is_none()).map(|alias| Missing {
        name: &alias.item.name,
        visibility: &alias.item.visibility,
        kind: BrokenKind::Net,
        outputs: true,
        inferred: false,
    });
    let mut all: Vec<Missing<'a>> = vec![];
    for missing in unread.chain(dims).chain(untyped).chain(aliases) {
        let taken = all.iter().any(|other| other.name == missing.name)
            || (!missing.inferred && names.nets.iter().any(|net| net.name == *missing.name))
            || names.dim(&missing.name.to_string()).is_some();
        if !taken {
            all.push(missing);
        }
    }
    all
}

impl Missing<'_> {
    fn aliases(&self, unknown: &mut Unknown) -> TokenStream {
        let name = self.name;
        match self.kind {
            BrokenKind::Net => {
                let net = self.alias(name.clone(), &["Element"], unknown);
                let dims = ["Element", "A", "B", "C", "D", "E", "F"];
                let batch = self.alias(format_ident!("{name}Batch"), &dims, unknown);
                let output = self.outputs.then(|| self.alias(format_ident!("{name}Output"), &["Element"], unknown));
                quote! { #net #batch #output }
            }
            _ => {
                let (ty, visibility) = (self.alias(name.clone(), &[], unknown), &self.visibility.tokens);
                quote! {
                    #ty
                    #[allow(dead_code, missing_docs, non_upper_case_globals)]
                    #visibility const #name: #name = ::core::unreachable!("the dimension holds an error");
                }
            }
        }
    }

    fn alias(&self, name: Ident, parameters: &[&str], unknown: &mut Unknown) -> TokenStream {
        let visibility = &self.visibility.tokens;
        let parameters: Vec<Ident> = parameters.iter().map(|parameter| super::here(parameter)).collect();
        let ty = unknown.ty(&parameters);
        unknown.name.get_or_insert_with(|| quote! { #name });
        quote! {
            #[allow(dead_code, missing_docs, non_camel_case_types)]
            #visibility type #name<#(#parameters = f32),*> = #ty;
        }
    }
}
