//! The structs of inputs and results, and what ties them to the net.

use super::dims::{Mode, outlined, structure};
use super::record::known;
use super::{Context, allowances};
use crate::ast::ResultType;
use crate::infer::{Element, Type};
use crate::terms::Atom;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

impl Context<'_, '_> {
    /// `MlpBatch`, its `Batch`, and what it can be made from.
    pub(super) fn batch(&self) -> TokenStream {
        let name = self.batch_name();
        let doc = format!("The inputs of [`{}`].", self.name());
        let inputs: Vec<(&Ident, Type)> =
            self.net.item.inputs.iter().zip(&self.net.inputs).map(|(input, ty)| (&input.name, known(ty))).collect();
        let names: Vec<_> = inputs.iter().map(|(name, _)| *name).collect();
        let types: Vec<_> = inputs.iter().map(|(_, ty)| self.spelling.host(ty, Mode::Parameters)).collect();
        let docs = inputs.iter().map(|(_, ty)| format!("`{ty}`"));
        let element = self.element_parameter(inputs.iter().map(|(_, ty)| ty));
        let dims = self.spelling.type_parameters();
        let declared = element.iter().map(|e| quote! { #e: ::ansatz::tensor::Float = f32 });
        let declared = declared.chain(dims.iter().map(|dim| quote! { #dim: ::ansatz::tensor::Dim = usize }));
        let bounds = element.iter().map(|e| quote! { #e: ::ansatz::tensor::Float });
        let bounds: Vec<_> = bounds.chain(dims.iter().map(|dim| quote! { #dim: ::ansatz::tensor::Dim })).collect();
        let arguments: Vec<_> = element.iter().chain(dims.iter().copied()).collect();
        let (net, net_element) = (self.name(), self.element());
        let of_bounds: Vec<_> = std::iter::once(quote! { #net_element: ::ansatz::tensor::Float })
            .chain(dims.iter().map(|dim| quote! { #dim: ::ansatz::tensor::Dim }))
            .collect();
        let bindings = inputs.iter().flat_map(|(input, ty)| {
            let shape = host_shape(input, ty);
            let text = input.to_string();
            ty.axes.iter().enumerate().filter_map(move |(axis, size)| {
                let Some(Atom::RunTime(dim)) = size.size.as_atom() else { return None };
                let axis = Literal::usize_unsuffixed(axis);
                Some(quote! { bindings.bind(#dim, #text, ::ansatz::tensor::Dim::size(&#shape.#axis))?; })
            })
        });
        // What is no bare name is checked once the names are bound.
        let checks = inputs.iter().flat_map(|(input, ty)| {
            let shape = host_shape(input, ty);
            let text = input.to_string();
            ty.axes.iter().enumerate().filter_map(move |(axis, size)| {
                if size.size.number().is_some() || matches!(size.size.as_atom(), Some(Atom::RunTime(_))) {
                    return None;
                }
                let (written, place) = (size.size.to_string(), Literal::usize_unsuffixed(axis));
                let expected = self.spelling.number(&size.size, &quote! { usize });
                let found = quote! { ::ansatz::tensor::Dim::size(&#shape.#place) };
                Some(quote! { bindings.check(#text, #place, #written, #expected, #found)?; })
            })
        });
        let checks: Vec<_> = checks.collect();
        let sizes = self.spelling.run_time.iter().filter(|_| !checks.is_empty()).map(|(dim, _)| {
            let text = dim.to_string();
            let Some(reading) = self.net.reading(dim) else {
                return quote! { let #dim = bindings.size(#text); };
            };
            let (input, ty) = &inputs[reading.input];
            let (value, of) = (self.solved(&reading, &host_shape(input, ty)), input.to_string());
            quote! {
                let #dim: usize = #value;
                bindings.bind(#text, #of, #dim)?;
            }
        });
        let feeds = inputs.iter().map(|(input, ty)| match ty.element {
            Element::Index(_) => quote! { feed.indices(&self.#input); },
            _ => quote! { feed.tensor(&self.#input); },
        });
        let source = match types.as_slice() {
            [one] => quote! { #one },
            several => quote! { (#(#several),*) },
        };
        let pattern = match names.as_slice() {
            [one] => quote! { #one },
            several => quote! { (#(#several),*) },
        };
        let fields = quote! { { #(#[doc = #docs] pub #names: #types,)* } };
        let declaration = structure(&name, quote! { <#(#declared),*> }, fields, self.net.item.word);
        let belongs = quote! {
            impl<#(#of_bounds),*> ::ansatz::nn::BatchOf<#net<#net_element>> for #name<#(#arguments),*> {}
        };
        let impls = quote! {
            #[automatically_derived]
            #[allow(unused_mut, unused_variables)]
            impl<#(#bounds),*> ::ansatz::nn::Batch for #name<#(#arguments),*> {
                fn dims(&self) -> ::ansatz::Result<::std::vec::Vec<usize>> {
                    let mut bindings = <::ansatz::nn::Bindings as ::core::default::Default>::default();
                    #(#bindings)*
                    #(#sizes)*
                    #(#checks)*
                    ::core::result::Result::Ok(bindings.sizes())
                }

                fn feed(&self, feed: &mut ::ansatz::tensor::Feed) {
                    #(#feeds)*
                }
            }

            #[automatically_derived]
            #belongs

            #[automatically_derived]
            impl<#(#of_bounds),*> ::ansatz::nn::BatchFor<(#(#dims,)*)> for #net<#net_element> {
                type T = #name<#(#arguments),*>;
            }

            #[automatically_derived]
            impl<#(#bounds),*> ::core::convert::From<#source> for #name<#(#arguments),*> {
                fn from(#pattern: #source) -> Self {
                    Self { #(#names),* }
                }
            }
        };
        self.companion(&doc, declaration, impls)
    }

    /// A struct beside the net: its declaration, and what it can do.
    fn companion(&self, doc: &str, declaration: TokenStream, impls: TokenStream) -> TokenStream {
        let (visibility, allow) = (&self.visibility().tokens, allowances());
        let impls = outlined(impls, self.net.item.word);
        quote! {
            #[doc = #doc]
            #[derive(Clone, Debug)]
            #allow
            #visibility #declaration

            #impls
        }
    }

    /// `RiskOutput`, for nets with named results.
    pub(super) fn outputs(&self) -> TokenStream {
        let ResultType::Named(results) = &self.net.item.result else { return TokenStream::new() };
        let name = self.output_name();
        let doc = format!("The results of [`{}`].", self.name());
        let types: Vec<Type> = self.net.results.iter().map(known).collect();
        let names: Vec<_> = results.iter().map(|result| &result.name).collect();
        let hosts = types.iter().map(|ty| self.spelling.host(ty, Mode::Sizes));
        let docs = types.iter().map(|ty| format!("`{ty}`"));
        let element = self.element_parameter(types.iter());
        let declared = element.iter().map(|e| quote! { <#e: ::ansatz::tensor::Float = f32> });
        let bounds = element.iter().map(|e| quote! { <#e: ::ansatz::tensor::Float> });
        let arguments = element.iter().map(|e| quote! { <#e> });
        let positions = (0..names.len()).map(Literal::usize_unsuffixed);
        let fields = quote! { { #(#[doc = #docs] pub #names: #hosts,)* } };
        let declaration = structure(&name, quote! { #(#declared)* }, fields, self.net.item.word);
        let impls = quote! {
            #[automatically_derived]
            impl #(#bounds)* ::ansatz::nn::Outputs for #name #(#arguments)* {
                fn collect(values: &[::ansatz::nn::Value<'_>]) -> ::ansatz::Result<Self> {
                    ::core::result::Result::Ok(Self {
                        #(#names: ::ansatz::nn::Outputs::collect(
                            values.get(#positions..=#positions).unwrap_or_default()
                        )?,)*
                    })
                }
            }
        };
        self.companion(&doc, declaration, impls)
    }

    /// The batch and the results of a net of another `net!` under another name. Where those stand is not known here, but the
    /// net knows them.
    pub(super) fn abroad(&self, name: &Ident, visibility: &TokenStream, path: &TokenStream) -> TokenStream {
        let types: Vec<Type> = self.net.inputs.iter().map(known).collect();
        let dims = self.spelling.type_parameters();
        let parts = |types: &[Type]| match self.element_parameter(types.iter()) {
            Some(element) => (Some(quote! { #element = f32 }), quote! { #element }),
            None => (None, quote! { f32 }),
        };
        let (parameter, element) = parts(&types);
        let parameters = parameter.into_iter().chain(dims.iter().map(|dim| quote! { #dim = usize }));
        let (batch, doc) = (format_ident!("{name}Batch"), format!("The inputs of [`{name}`]."));
        let outputs = matches!(self.net.item.result, ResultType::Named(_)).then(|| {
            let types: Vec<Type> = self.net.results.iter().map(known).collect();
            let (parameter, element) = parts(&types);
            let parameter = parameter.map(|parameter| quote! { <#parameter> });
            let (output, doc) = (format_ident!("{name}Output"), format!("The results of [`{name}`]."));
            quote! {
                #[doc = #doc]
                #[allow(dead_code)]
                #visibility type #output #parameter = <#path<#element> as ::ansatz::nn::Net<#element>>::Output;
            }
        });
        quote! {
            #[doc = #doc]
            #[allow(dead_code)]
            #visibility type #batch<#(#parameters),*> = <#path<#element> as ::ansatz::nn::BatchFor<(#(#dims,)*)>>::T;
            #outputs
        }
    }

    /// The type parameter of the elements, if one of these types holds reals.
    pub(super) fn element_parameter<'t>(&self, mut types: impl Iterator<Item = &'t Type>) -> Option<Ident> {
        types.any(|ty| ty.element == Element::Real).then(|| self.element().clone())
    }

    /// `RiskBatch<E>`: run-time dimensions are `usize`.
    pub(super) fn batch_type(&self) -> TokenStream {
        let types: Vec<Type> = self.net.inputs.iter().map(known).collect();
        let (name, element) = (self.batch_name(), self.element_parameter(types.iter()));
        let arguments = element.iter();
        quote! { #name<#(#arguments),*> }
    }

    /// What a run gives: a tensor, or `RiskOutput<E>`.
    pub(super) fn output_type(&self) -> TokenStream {
        let types: Vec<Type> = self.net.results.iter().map(known).collect();
        match (&self.net.item.result, types.as_slice()) {
            (ResultType::One(_), [one]) => self.spelling.host(one, Mode::Sizes),
            _ => {
                let (name, element) = (self.output_name(), self.element_parameter(types.iter()));
                let arguments = element.iter();
                quote! { #name<#(#arguments),*> }
            }
        }
    }

    /// The `Net` of the struct.
    pub(super) fn net_trait(&self) -> TokenStream {
        let (name, element, scope) = (self.name(), self.element(), self.scope());
        let text = name.to_string();
        let inputs: Vec<_> = self.net.item.inputs.iter().map(|input| &input.name).collect();
        let input_names = inputs.iter().map(ToString::to_string);
        let outputs: Vec<String> = match &self.net.item.result {
            ResultType::One(_) => vec!["output".to_owned()],
            ResultType::Named(results) => results.iter().map(|result| result.name.to_string()).collect(),
        };
        let (batch, output) = (self.batch_type(), self.output_type());
        let body = match self.whole() {
            false => quote! { ::core::unreachable!("the net holds an error") },
            true => {
                let dims = self.spelling.run_time.iter().enumerate().map(|(i, (dim, _))| {
                    let i = Literal::usize_unsuffixed(i);
                    quote! { let #dim = dims[#i]; }
                });
                let declared = self.net.item.inputs.iter().zip(&self.net.inputs).map(|(input, ty)| {
                    let (name, text, ty) = (&input.name, input.name.to_string(), known(ty));
                    let shape = self.spelling.shape(&ty.axes, Mode::Sizes);
                    let holds = self.spelling.element_type(&ty.element, Mode::Sizes);
                    let value = self.spelling.shape_value(&ty.axes);
                    quote! { let #name = #scope.input::<#shape, #holds>(#text, #value); }
                });
                let results: Vec<_> = (0..outputs.len()).map(|i| quote::format_ident!("__{i}")).collect();
                let pattern = match results.as_slice() {
                    [one] => quote! { #one },
                    several => quote! { (#(#several),*) },
                };
                quote! {
                    #(#dims)*
                    #(#declared)*
                    let #pattern = Self::record(#scope, #(&#inputs),*);
                    ::std::vec![#(#results.id()),*]
                }
            }
        };
        // A net that holds an error is not said to lack anything else.
        let loss = super::here(if self.scalars() > 0 || !self.whole() { "HasLoss" } else { "NoLoss" });
        let code = quote! {
            #[automatically_derived]
            #[allow(unused_variables)]
            impl<#element: ::ansatz::tensor::Float> ::ansatz::nn::Net<#element> for #name<#element> {
                const NAME: &'static str = #text;
                const INPUTS: &'static [&'static str] = &[#(#input_names),*];
                const OUTPUTS: &'static [&'static str] = &[#(#outputs),*];
                type Batch = #batch;
                type Output = #output;
                type Loss = ::ansatz::nn::#loss;

                fn trace(
                    #scope: &::ansatz::tensor::Scope,
                    dims: &[usize],
                ) -> ::std::vec::Vec<::ansatz::graph::NodeId> {
                    #body
                }
            }
        };
        outlined(code, self.net.item.word)
    }
}

/// The shape of an input of a batch.
fn host_shape(input: &Ident, ty: &Type) -> TokenStream {
    match ty.element {
        Element::Index(_) => quote! { self.#input.shape() },
        _ => quote! { ::ansatz::tensor::HasShape::shape(&self.#input) },
    }
}
