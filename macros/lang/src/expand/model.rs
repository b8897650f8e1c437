//! The struct of a net and its tree of named tensors.

use super::dims::{Mode, outlined, structure};
use super::steps::{constant, number};
use super::{Context, allowances, here};
use crate::ast::Visibility;
use crate::case::capitals;
use crate::infer::{Layer, LayerKind, Start, key_part};
use crate::resolve::reach;
use crate::terms::{Atom, Term};
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote};

/// What a field adds to the `Model` of its struct.
struct Field {
    parameters: TokenStream,
    describe: TokenStream,
    build: TokenStream,
    visit: TokenStream,
}

/// How a tensor starts, as Rust.
fn init(start: &Start) -> TokenStream {
    if let Some((path, constants)) = &start.own {
        let constants = constants.iter().map(constant);
        return quote! { ::ansatz::nn::Init::Own(|start| #(#path)::*(start #(, #constants)*)) };
    }
    let (name, numbers) = (here(start.name), start.numbers.iter().map(|&value| number(value)));
    let fan = start.fan.map(|fan| {
        let fan = here(fan);
        quote! { , ::ansatz::nn::Fan::#fan }
    });
    quote! { ::ansatz::nn::Init::#name(#(#numbers),* #fan) }
}

impl Context<'_, '_> {
    /// The struct, and its `Model`; those of its scopes with them.
    pub(super) fn model(&self) -> TokenStream {
        let (attributes, docs) = match self.is_named() {
            true => (self.net.attributes.clone(), self.table()),
            false => (quote! { #[doc(hidden)] }, self.table()),
        };
        let scopes = self
            .net
            .layers
            .iter()
            .enumerate()
            .filter(|(i, layer)| matches!(layer.kind, LayerKind::Scope { .. }) && !self.net.parts(Some(*i)).is_empty())
            .filter(|(i, _)| self.net.repeats[*i].is_none() && !self.is_copy(*i));
        let scopes = scopes.map(|(i, layer)| {
            let doc = format!("The part `{}` of [`{}`].", self.net.key(layer), self.name());
            self.tree(&self.scope_name(i), &quote! { #[doc = #doc] }, Some(i))
        });
        let net = self.tree(self.name(), &quote! { #attributes #docs }, None);
        quote! { #net #(#scopes)* }
    }

    /// The struct of a net or a scope.
    fn tree(&self, name: &Ident, attributes: &TokenStream, scope: Option<usize>) -> TokenStream {
        let (element, visibility) = (self.element(), &self.visibility().tokens);
        let parts = self.net.parts(scope);
        let fields = parts.iter().map(|(i, layer)| {
            let (label, ty, visibility) = (&layer.label, self.field_type(*i), self.field_visibility(layer));
            let doc = match layer.kind {
                LayerKind::Scope { .. } => format!("`{}: {}`", layer.label, layer.text),
                LayerKind::Tensor { .. } => format!("`{}` : `{}`", layer.text, layer.signature.1),
                _ => format!("`{}` : `{}` → `{}`", layer.text, layer.signature.0, layer.signature.1),
            };
            quote! { #[doc = #doc] #visibility #label: #ty }
        });
        let labels: Vec<_> = parts.iter().map(|(_, layer)| &layer.label).collect();
        let fields_as: Vec<Field> = parts.iter().map(|(i, _)| self.field(*i)).collect();
        let counts = fields_as.iter().map(|field| &field.parameters);
        let describe = fields_as.iter().map(|field| &field.describe);
        let build = fields_as.iter().map(|field| &field.build);
        let visit = fields_as.iter().map(|field| &field.visit);
        // A net without parameters still has elements of some type.
        let (marker, marker_value) = match labels.is_empty() {
            true => (
                quote! { element: ::core::marker::PhantomData<#element> },
                quote! { element: ::core::marker::PhantomData },
            ),
            false => (quote! {}, quote! {}),
        };
        let allow = allowances();
        let generics = quote! { <#element: ::ansatz::tensor::Float = f32> };
        let declaration = structure(name, generics, quote! { { #(#fields,)* #marker } }, self.net.item.word);
        let model = quote! {
            #[automatically_derived]
            #allow
            impl<#element: ::ansatz::tensor::Float> ::ansatz::nn::Model<#element> for #name<#element> {
                const PARAMETERS: usize = 0 #(+ #counts)*;

                fn describe(path: &::ansatz::nn::Path, slots: &mut ::std::vec::Vec<::ansatz::nn::Slot>) {
                    #(#describe;)*
                }

                fn build(
                    path: &::ansatz::nn::Path,
                    source: &mut dyn ::ansatz::nn::Source<#element>,
                ) -> ::ansatz::Result<Self> {
                    ::core::result::Result::Ok(Self {
                        #(#labels: #build?,)*
                        #marker_value
                    })
                }

                fn visit(
                    &self,
                    path: &::ansatz::nn::Path,
                    visitor: &mut dyn ::ansatz::nn::Visitor<#element>,
                ) -> ::ansatz::Result<()> {
                    #(#visit?;)*
                    ::core::result::Result::Ok(())
                }
            }
        };
        let model = outlined(model, self.net.item.word);
        quote! {
            #attributes
            #[derive(Clone, Debug)]
            #allow
            #visibility #declaration

            #model
        }
    }

    /// What a field adds to the `Model` of its struct, by the position of its part.
    fn field(&self, part: usize) -> Field {
        let (element, layer) = (self.element(), &self.net.layers[part]);
        let (label, key) = (&layer.label, Literal::string(&key_part(&layer.label)));
        if let LayerKind::Tensor { sizes, state, start } = &layer.kind {
            let dims = sizes.iter().map(|size| self.spelling.dim(size, Mode::Sizes));
            let kind = here(if *state || layer.frozen { "Buffer" } else { "Parameter" });
            // Scales and biases do not decay.
            let (init, decays) = (init(start), !*state && sizes.len() > 1);
            let slot = quote! {
                ::ansatz::nn::Slot::new::<(#(#dims,)*)>(path, #key, ::ansatz::graph::StateKind::#kind, #init, #decays)
            };
            let parameters = Literal::usize_unsuffixed(layer.kind.parameters());
            return Field {
                parameters: quote! { #parameters },
                describe: quote! { slots.push(#slot) },
                build: quote! { #slot.build(source) },
                visit: quote! { visitor.tensor(&#slot, &self.#label) },
            };
        }
        let ty = self.field_type(part);
        let declared = self.declared(part);
        let of = match &declared {
            Some(declared) => quote! { #declared. },
            None => quote! { <#ty as ::ansatz::nn::Model<#element>>:: },
        };
        let turbofish = declared.map(|_| quote! { ::<#element, #ty> });
        Field {
            parameters: quote! { <#ty as ::ansatz::nn::Model<#element>>::PARAMETERS },
            describe: quote! { #of describe #turbofish (&path.child(#key), slots) },
            build: quote! { #of build #turbofish (&path.child(#key), source) },
            visit: quote! { #of visit #turbofish (&self.#label, &path.child(#key), visitor) },
        }
    }

    /// What the net says of a part besides its type; of a repeated one, what it says of the first.
    fn declared(&self, part: usize) -> Option<TokenStream> {
        let layer = &self.net.layers[part];
        if let LayerKind::Scope { .. } = layer.kind {
            return self.net.repeats[part].and_then(|(first, _)| self.declared(first));
        }
        let frozen = layer.frozen;
        if layer.starts.is_empty() && !frozen {
            return None;
        }
        let starts = layer.starts.iter().map(|(name, start)| {
            let init = init(start);
            quote! { (#name, #init) }
        });
        Some(quote! { ::ansatz::nn::Declared { starts: &[#(#starts),*], frozen: #frozen } })
    }

    /// The type of a field, by the position of its part.
    fn field_type(&self, part: usize) -> TokenStream {
        let element = self.element();
        match self.net.layers[part].kind {
            LayerKind::Scope { .. } => {
                if let Some((first, times)) = self.net.repeats[part] {
                    let (first, times) = (self.field_type(first), Literal::usize_unsuffixed(times));
                    return quote! { ::ansatz::nn::Repeat<#first, #times> };
                }
                let name = self.scope_name(part);
                quote! { #name<#element> }
            }
            _ => self.layer_type(&self.net.layers[part]),
        }
    }

    /// Whether a scope stands in a repeated layer other than the first, which has the type of the first.
    fn is_copy(&self, scope: usize) -> bool {
        let Some(outer) = self.net.layers[scope].scope else { return false };
        self.is_copy(outer) || self.net.repeats[outer].is_some_and(|(first, _)| first != scope)
    }

    /// The struct of a scope: `MlpHead` for `head` in `Mlp`.
    fn scope_name(&self, scope: usize) -> Ident {
        let layer = &self.net.layers[scope];
        if let Some(outer) = layer.scope.filter(|&outer| self.net.repeats[outer].is_some()) {
            return self.scope_name(outer);
        }
        let outer = layer.scope.map_or_else(|| self.name().clone(), |outer| self.scope_name(outer));
        let part = key_part(&layer.label);
        let name = match part.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("{outer}Item{part}"),
            false => format!("{outer}{}", capitals(&part)),
        };
        let taken = |name: &str| {
            let generated = |net: &Ident| name == format!("{net}Batch") || name == format!("{net}Output");
            self.names.is_net(name)
                || self.names.dim(name).is_some()
                || self.nets.iter().any(|net| net.name == name || generated(&net.name))
        };
        match taken(&name) {
            true => format_ident!("{name}Part", span = layer.label.span()),
            false => Ident::new(&name, layer.label.span()),
        }
    }

    /// The type of a field.
    pub(super) fn layer_type(&self, layer: &Layer) -> TokenStream {
        let element = self.element();
        match &layer.kind {
            LayerKind::Unit { name, sizes, .. } => {
                let name = Ident::new(name, Span::call_site().located_at(layer.at));
                let sizes = sizes.iter().map(|size| self.spelling.dim(size, Mode::Sizes));
                quote! { ::ansatz::nn::#name<#(#sizes,)* #element> }
            }
            LayerKind::Tensor { sizes, .. } => {
                let sizes = sizes.iter().map(|size| self.spelling.dim(size, Mode::Sizes));
                quote! { ::ansatz::tensor::Tensor<(#(#sizes,)*), #element, ::ansatz::tensor::Cpu> }
            }
            LayerKind::Net(net) => self.spelling.net(&self.nets[*net].name, Some(layer.at)),
            LayerKind::Scope { .. } => unreachable!("no step records a scope by itself"),
        }
    }

    /// A field is seen as far as its net and everything that its type names.
    fn field_visibility(&self, layer: &Layer) -> TokenStream {
        let own: &Visibility = self.visibility();
        let named: Vec<&Visibility> = match &layer.kind {
            LayerKind::Unit { sizes, .. } | LayerKind::Tensor { sizes, .. } => {
                sizes.iter().filter_map(|size| self.dim_visibility(size)).collect()
            }
            LayerKind::Scope { .. } => vec![],
            LayerKind::Net(net) => vec![&self.nets[*net].visibility],
        };
        let least = named.into_iter().chain([own]).min_by_key(|visibility| reach(visibility));
        least.map_or_else(TokenStream::new, |visibility| visibility.tokens.clone())
    }

    fn dim_visibility(&self, size: &Term) -> Option<&Visibility> {
        match size.as_atom()? {
            Atom::Nominal { name, .. } => Some(&self.names.dim(name)?.item.visibility),
            _ => None,
        }
    }
}
