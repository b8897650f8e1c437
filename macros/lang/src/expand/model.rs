//! The struct of a net and its tree of named tensors.

use super::dims::Mode;
use super::{Context, allowances};
use crate::ast::Visibility;
use crate::infer::{Layer, LayerKind};
use crate::resolve::reach;
use crate::terms::{Atom, Term};
use proc_macro2::{Literal, TokenStream};
use quote::quote;

impl Context<'_, '_> {
    /// The struct, and its `Model`.
    pub(super) fn model(&self) -> TokenStream {
        let (name, element) = (self.name(), self.element());
        let (attributes, visibility) = (&self.net.item.attributes, &self.visibility().tokens);
        let docs = self.table();
        let fields = self.net.layers.iter().map(|layer| {
            let (label, ty, visibility) = (&layer.label, self.layer_type(layer), self.field_visibility(layer));
            let doc = format!("`{}`: {} → {}", layer.text, layer.signature.0, layer.signature.1);
            quote! { #[doc = #doc] #visibility #label: #ty }
        });
        let labels: Vec<_> = self.net.layers.iter().map(|layer| &layer.label).collect();
        let keys: Vec<_> = labels.iter().map(|label| Literal::string(&label.to_string().replace("r#", ""))).collect();
        let types: Vec<_> = self.net.layers.iter().map(|layer| self.layer_type(layer)).collect();
        // A net without parameters still has elements of some type.
        let (marker, marker_value) = match labels.is_empty() {
            true => (
                quote! { element: ::core::marker::PhantomData<#element> },
                quote! { element: ::core::marker::PhantomData },
            ),
            false => (quote! {}, quote! {}),
        };
        let allow = allowances();
        quote! {
            #attributes
            #docs
            #[derive(Clone, Debug)]
            #allow
            #visibility struct #name<#element: ::ansatz::tensor::Float = f32> {
                #(#fields,)*
                #marker
            }

            #[automatically_derived]
            #allow
            impl<#element: ::ansatz::tensor::Float> ::ansatz::nn::Model<#element> for #name<#element> {
                const PARAMETERS: usize = 0 #(+ <#types as ::ansatz::nn::Model<#element>>::PARAMETERS)*;

                fn describe(path: &::ansatz::nn::Path, slots: &mut ::std::vec::Vec<::ansatz::nn::Slot>) {
                    #(<#types as ::ansatz::nn::Model<#element>>::describe(&path.child(#keys), slots);)*
                }

                fn build(
                    path: &::ansatz::nn::Path,
                    source: &mut dyn ::ansatz::nn::Source<#element>,
                ) -> ::ansatz::Result<Self> {
                    ::core::result::Result::Ok(Self {
                        #(#labels: ::ansatz::nn::Model::build(&path.child(#keys), source)?,)*
                        #marker_value
                    })
                }

                fn visit(
                    &self,
                    path: &::ansatz::nn::Path,
                    visitor: &mut dyn ::ansatz::nn::Visitor<#element>,
                ) -> ::ansatz::Result<()> {
                    #(::ansatz::nn::Model::visit(&self.#labels, &path.child(#keys), visitor)?;)*
                    ::core::result::Result::Ok(())
                }
            }
        }
    }

    /// The type of a field.
    pub(super) fn layer_type(&self, layer: &Layer) -> TokenStream {
        let element = self.element();
        match &layer.kind {
            LayerKind::Linear { inputs, outputs, bias } => {
                let (i, o) = (self.spelling.dim(inputs, Mode::Sizes), self.spelling.dim(outputs, Mode::Sizes));
                match bias {
                    true => quote! { ::ansatz::nn::Linear<#i, #o, #element> },
                    false => quote! { ::ansatz::nn::UnbiasedLinear<#i, #o, #element> },
                }
            }
            LayerKind::Net(net) => {
                let name = &self.names.nets[*net].name;
                quote! { #name<#element> }
            }
        }
    }

    /// A field is seen as far as its net and everything that its type names.
    fn field_visibility(&self, layer: &Layer) -> TokenStream {
        let own: &Visibility = self.visibility();
        let named: Vec<&Visibility> = match &layer.kind {
            LayerKind::Linear { inputs, outputs, .. } => {
                [inputs, outputs].into_iter().filter_map(|size| self.dim_visibility(size)).collect()
            }
            LayerKind::Net(net) => vec![&self.names.nets[*net].visibility],
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
