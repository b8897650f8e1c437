//! What one does with a net: run it, differentiate it, keep it in files.

use super::Context;
use super::dims::{Mode, Spelling, located, outlined};
use super::record::known;
use crate::ast::{ResultType, Role};
use crate::infer::{Element, Reach, Type, TypedNet};
use crate::report::Checked;
use crate::terms::Atom;
use proc_macro2::TokenStream;
use quote::quote;
use std::rc::Rc;

impl Context<'_, '_> {
    /// `forward`, `gradient`, `session`, `save`, `load`.
    pub(super) fn methods(&self) -> TokenStream {
        let element = self.element();
        let (forward, gradient, flow) = (self.forward(), self.gradient(), self.flow_methods());
        let load = quote! {
            pub fn load(path: impl ::core::convert::AsRef<::std::path::Path>) -> ::ansatz::Result<Self>
        };
        let load = located(load, self.net.item.word);
        quote! {
            #forward
            #gradient
            #flow

            /// The net kept ready to run: weights stay where they are used, and several threads may run it.
            ///
            /// # Errors
            /// If a tensor of the model is not of the shape that its type promises.
            pub fn session(&self) -> ::ansatz::Result<::ansatz::nn::Session<#element, Self>> {
                ::ansatz::nn::Session::new(self)
            }

            /// Writes parameters and buffers as safetensors, with PyTorch's names and layouts.
            ///
            /// # Errors
            /// If the file cannot be written.
            pub fn save(&self, path: impl ::core::convert::AsRef<::std::path::Path>) -> ::ansatz::Result<()> {
                ::ansatz::train::save(self, path)
            }

            /// Reads the net from a file that [`Self::save`] wrote, or PyTorch.
            ///
            /// # Errors
            /// All tensors that are missing, too many or of another shape or type, together.
            #load {
                ::ansatz::train::load(path)
            }
        }
    }

    fn forward(&self) -> TokenStream {
        let (spelling, batch, element) = (&self.spelling, self.batch_name(), self.element());
        let parameters = spelling.parameters();
        let names: Vec<_> = self.net.item.inputs.iter().map(|input| &input.name).collect();
        let inputs = self.net.item.inputs.iter().zip(&self.net.inputs).map(|(input, ty)| {
            let name = &input.name;
            let ty = spelling.placed(spelling.host(&known(ty), Mode::Parameters), &input.ty);
            quote! { #name: #ty }
        });
        let run = quote! { ::ansatz::nn::forward::<#element, Self>(self, &#batch { #(#names),* }) };
        let (result, body) = match self.one_real_result() {
            Some(ty) => {
                let (host, bindings) = (spelling.host(&ty, Mode::Parameters), self.host_bindings());
                let shape = spelling.shape_value(&ty.axes);
                (host, quote! { #bindings ::ansatz::tensor::realize(#run?, #shape) })
            }
            None => (self.output_type(), run),
        };
        let body = if self.whole() { body } else { unreachable() };
        let forward = self.method("forward");
        quote! {
            /// What the net gives for these inputs, as it is used after training.
            ///
            /// # Errors
            /// If the inputs disagree on a dimension.
            pub fn #forward<#parameters>(&self, #(#inputs),*) -> ::ansatz::Result<#result> {
                #body
            }
        }
    }

    /// What a flow does besides, by the nets that come with it.
    fn flow_methods(&self) -> TokenStream {
        let position = self.nets.iter().position(|net| net.reach != Reach::Unused && net.name == *self.name());
        let companion = |role: Role| {
            let of = |net: &&Rc<TypedNet<'_>>| {
                net.item.role == role && net.body.is_ok() && net.nets().first() == position.as_ref()
            };
            self.nets.iter().find(of).filter(|net| net.reach == Reach::Named)
        };
        let (Some(inverse), Some(density)) = (companion(Role::Inverse), companion(Role::LogProb)) else {
            return TokenStream::new();
        };
        let back = self.delegate(inverse, "inverse", "The inverse and the logarithm of its determinant.");
        let doc = "The logarithm of the density of points, where the results of the flow are standard normal.";
        let log_prob = self.delegate(density, "log_prob", doc);
        let sample = self.sample();
        quote! { #back #log_prob #sample }
    }

    /// A method that runs a net whose only part is this one.
    fn delegate(&self, net: &TypedNet<'_>, method: &str, doc: &str) -> TokenStream {
        let other = Context { names: self.names, nets: self.nets, net, spelling: Spelling::new(self.names, net) };
        let (of, method, parameters) = (&net.name, self.method(method), other.spelling.parameters());
        let names: Vec<_> = net.item.inputs.iter().map(|input| &input.name).collect();
        let inputs = names.iter().zip(&net.inputs).map(|(name, ty)| {
            let ty = other.spelling.host(&known(ty), Mode::Parameters);
            quote! { #name: #ty }
        });
        let result = match other.one_real_result() {
            Some(ty) => other.spelling.host(&ty, Mode::Parameters),
            None => other.output_type(),
        };
        quote! {
            #[doc = #doc]
            ///
            /// # Errors
            /// If the inputs disagree on a dimension.
            pub fn #method<#parameters>(&self, #(#inputs),*) -> ::ansatz::Result<#result> {
                #of { flow: ::core::clone::Clone::clone(self) }.forward(#(#names),*)
            }
        }
    }

    /// `sample`, for flows of a batch of points without conditions.
    fn sample(&self) -> TokenStream {
        let [Ok(ty)] = self.net.inputs.as_slice() else { return TokenStream::new() };
        let [rows, columns] = ty.axes.as_slice() else { return TokenStream::new() };
        if !matches!(rows.size.as_atom(), Some(Atom::RunTime(_))) || columns.size.number().is_none() {
            return TokenStream::new();
        }
        let (host, point) = (self.spelling.host(ty, Mode::Sizes), &self.net.item.inputs[0].name);
        let sample = self.method("sample");
        quote! {
            /// So many points of the density of the flow, where its results are standard normal. They depend on the seed.
            ///
            /// # Errors
            /// If the inverse cannot be run.
            pub fn #sample(&self, count: usize, seed: u64) -> ::ansatz::Result<#host> {
                let noise: #host = ::ansatz::flow::noise((count, ::core::default::Default::default()), seed)?;
                ::core::result::Result::Ok(self.inverse(noise)?.#point)
            }
        }
    }

    /// The result, if there is one and it holds reals.
    fn one_real_result(&self) -> Option<Type> {
        match (&self.net.item.result, self.net.results.as_slice()) {
            (ResultType::One(_), [one]) => Some(known(one)).filter(|ty| ty.element == Element::Real),
            _ => None,
        }
    }

    /// `let n: N = HasShape::shape(&x).0;` for every run-time dimension.
    fn host_bindings(&self) -> TokenStream {
        self.bindings(&|index| {
            let input = &self.net.item.inputs[index].name;
            match &self.net.inputs[index] {
                Ok(Type { element: Element::Index(_), .. }) => quote! { #input.shape() },
                _ => quote! { ::ansatz::tensor::HasShape::shape(&#input) },
            }
        })
    }

    /// How many results are scalars.
    pub(super) fn scalars(&self) -> usize {
        self.net.results.iter().filter(|ty| scalar(ty)).count()
    }

    /// `gradient`, for nets with a scalar `loss`, or with one scalar result.
    fn gradient(&self) -> TokenStream {
        let scalars = self.scalars();
        let named = match &self.net.item.result {
            ResultType::One(_) => false,
            ResultType::Named(results) => {
                results.iter().zip(&self.net.results).any(|(result, ty)| result.name == "loss" && scalar(ty))
            }
        };
        if scalars != 1 && !named {
            return TokenStream::new();
        }
        let (batch, element, gradient) = (self.batch_name(), self.element(), self.method("gradient"));
        let parameters = self.spelling.parameters();
        let inputs: Vec<Type> = self.net.inputs.iter().map(known).collect();
        let own = self.element_parameter(inputs.iter());
        let arguments = own.iter().chain(self.spelling.type_parameters());
        let batch = located(quote! { batch: &#batch<#(#arguments),*> }, self.net.item.word);
        quote! {
            /// The loss of a batch and its gradient, which has the type of the model: for hand-written loops.
            ///
            /// # Errors
            /// If the inputs disagree on a dimension.
            pub fn #gradient<#parameters>(
                &self,
                #batch,
            ) -> ::ansatz::Result<(::ansatz::tensor::Tensor<(), #element, ::ansatz::tensor::Cpu>, Self)> {
                ::ansatz::nn::gradient::<#element, Self>(self, batch)
            }
        }
    }

    /// dfdx's `Module`, for nets with one input and one result, both of reals.
    pub(super) fn module(&self) -> TokenStream {
        let inputs: Vec<Type> = self.net.inputs.iter().map(known).collect();
        let (Some(result), [input]) = (self.one_real_result(), inputs.as_slice()) else { return TokenStream::new() };
        if input.element != Element::Real {
            return TokenStream::new();
        }
        let (name, element, spelling) = (self.name(), self.element(), &self.spelling);
        let parameters = spelling.type_parameters();
        let taken = spelling.shape(&input.axes, Mode::Parameters);
        let given = spelling.shape(&result.axes, Mode::Parameters);
        let bindings = self.bindings(&|_| quote! { ::ansatz::tensor::HasShape::shape(&input) });
        let sizes = spelling.run_time.iter().map(|(dim, _)| quote! { ::ansatz::tensor::Dim::size(&#dim) });
        let body = match self.whole() {
            true => quote! {
                #bindings
                let dims = [#(#sizes),*];
                ::ansatz::nn::on_tape(self, input, &dims)
            },
            false => unreachable(),
        };
        let code = quote! {
            #[automatically_derived]
            #[allow(unused_variables)]
            impl<#(#parameters: ::ansatz::tensor::Dim,)* #element, RecordedOn>
                ::ansatz::dfdx::nn::Module<
                    ::ansatz::tensor::Tensor<#taken, #element, ::ansatz::tensor::Cpu, RecordedOn>
                > for #name<#element>
            where
                #element: ::ansatz::tensor::Float,
                RecordedOn: ::ansatz::tensor::Tape<#element, ::ansatz::tensor::Cpu>,
            {
                type Output = ::ansatz::tensor::Tensor<#given, #element, ::ansatz::tensor::Cpu, RecordedOn>;
                type Error = ::ansatz::Error;

                fn try_forward(
                    &self,
                    input: ::ansatz::tensor::Tensor<#taken, #element, ::ansatz::tensor::Cpu, RecordedOn>,
                ) -> ::core::result::Result<Self::Output, Self::Error> {
                    #body
                }
            }
        };
        outlined(code, self.net.item.word)
    }
}

fn unreachable() -> TokenStream {
    quote! { ::core::unreachable!("the net holds an error") }
}

/// Whether a result is one real number.
fn scalar(ty: &Checked<Type>) -> bool {
    matches!(ty, Ok(Type { element: Element::Real, axes }) if axes.is_empty())
}
