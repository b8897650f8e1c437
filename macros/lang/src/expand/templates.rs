//! Templates and aliases as Rust: a template is a name with an explanation, an alias one more name of an instance.

use super::Context;
use super::dims::{Spelling, outlined, structure};
use crate::ast::{ResultType, Route};
use crate::infer::{Alias, Template, TypedNet};
use crate::resolve::Names;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use std::rc::Rc;

/// The struct of a template. It has no values; whoever asks for one reads what is missing.
pub fn template(template: &Template<'_>) -> TokenStream {
    let item = template.item;
    let (attributes, visibility, name) = (&item.attributes, &item.visibility.tokens, &item.name);
    let whole = format_ident!("{name}IsWhole");
    let open: Vec<_> = template.open.iter().map(|open| format!("`{open}`")).collect();
    let open = open.join(", ");
    let given: Vec<_> = template.open.iter().map(|open| format!("{open} = …")).collect();
    let message = format!(
        "`{name}` is a template: name one of its nets inside of `net!`, `net My{name} = {name}({});`",
        given.join(", ")
    );
    // rustc tells more of a type that is declared in the same crate, and of a trait that nothing implements.
    let asked = outlined(quote! { ::core::marker::PhantomData<Self>: #whole }, item.word);
    let [init, load, forward] = ["init", "load", "forward"].map(|function| Ident::new(function, name.span()));
    let inputs: Vec<Ident> = (0..item.inputs.len()).map(|i| format_ident!("Input{i}")).collect();
    let doc = format!("A template: nets and aliases that use it fix {open}.");
    let generics = quote! { <Element: ::ansatz::tensor::Float = f32> };
    let declaration = structure(name, generics, quote! { (::core::marker::PhantomData<Element>); }, item.word);
    quote! {
        #attributes
        #[doc = ""]
        #[doc = #doc]
        #[allow(dead_code)]
        #visibility #declaration

        #[doc(hidden)]
        #[allow(dead_code)]
        #[diagnostic::on_unimplemented(message = #message)]
        #visibility trait #whole {}

        #[diagnostic::do_not_recommend]
        impl #whole for () {}

        #[automatically_derived]
        #[allow(dead_code)]
        impl<Element: ::ansatz::tensor::Float> #name<Element> {
            #[doc(hidden)]
            pub fn #init(_: u64) -> Self
            where
                #asked,
            {
                ::core::unreachable!("a template has no values")
            }

            #[doc(hidden)]
            pub fn #forward<#(#inputs),*>(&self, #(_: #inputs),*) -> ::ansatz::Result<Self>
            where
                #asked,
            {
                ::core::unreachable!("a template has no values")
            }

            #[doc(hidden)]
            pub fn #load(_: impl ::core::convert::AsRef<::std::path::Path>) -> ::ansatz::Result<Self>
            where
                #asked,
            {
                ::core::unreachable!("a template has no values")
            }
        }
    }
}

/// One more name of an instance that has one.
pub fn alias(alias: &Alias<'_>, names: &Names<'_>, nets: &[Rc<TypedNet<'_>>]) -> Option<TokenStream> {
    let net = &nets[alias.net?];
    let item = alias.item;
    let (attributes, visibility, name, of) = (&item.attributes, &item.visibility.tokens, &item.name, &net.name);
    if let Some(Route::Path(path)) = names.foreign(of).map(|foreign| &foreign.route) {
        let context = Context { names, nets, net, spelling: Spelling::new(names, net) };
        let others = context.abroad(name, visibility, path);
        return Some(quote! {
            #attributes
            #[allow(unused_imports)]
            #visibility use #path as #name;
            #others
        });
    }
    let own = |suffix: &str| {
        let (name, of) = (format_ident!("{name}{suffix}"), format_ident!("{of}{suffix}"));
        quote! {
            #[allow(unused_imports)]
            #visibility use #of as #name;
        }
    };
    let (batch, output) = (own("Batch"), matches!(net.item.result, ResultType::Named(_)).then(|| own("Output")));
    Some(quote! {
        #attributes
        #[allow(unused_imports)]
        #visibility use #of as #name;
        #batch
        #output
    })
}
