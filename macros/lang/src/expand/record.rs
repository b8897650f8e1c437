//! Recording a net: the functions that take its inputs and give its results, step by step.

use super::dims::{Mode, located, outlined};
use super::steps::At;
use super::{Context, allowances, here};
use crate::ast::Role;
use crate::infer::{Body, Reading, Type, ValueId};
use crate::report::Checked;
use crate::terms::{Atom, Term};
use ansatz_shapes::Size as _;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

impl Context<'_, '_> {
    /// `record`, `init`, the counts.
    pub(super) fn inherent(&self) -> TokenStream {
        let (name, element, allow) = (self.name(), self.element(), allowances());
        let body = self.net.body.as_ref().ok();
        let record = self.record("record", "Records the net on a graph, as nets that contain it do.", body);
        let inverse = (self.net.item.role == Role::Flow).then(|| {
            let body = self.net.inverse.as_ref().map(|inverse| &inverse.body);
            self.record("record_inverse", "Records the inverse: from what the flow gives to what it takes.", body)
        });
        let init = located(quote! { pub fn init(seed: u64) -> Self }, self.net.item.word);
        let methods = self.is_named().then(|| self.methods());
        let dims: Vec<&Ident> = self.spelling.run_time.iter().map(|(dim, _)| dim).collect();
        let total = self.net.layers.iter().fold(Term::literal(0), |sum, layer| sum.plus(&layer.multiply_adds));
        let count = self.spelling.number(&total.numeric(), &quote! { u64 });
        let sizes: Vec<_> = dims.iter().map(|dim| format!("`{dim}`")).collect();
        let doc = match sizes.len() {
            0 => "Multiply-adds of one run.".to_owned(),
            _ => format!("Multiply-adds of one run for these sizes of {}.", sizes.join(", ")),
        };
        let code = quote! {
            #allow
            impl #name {
                /// The number of parameters.
                pub const PARAMETERS: usize = <Self as ::ansatz::nn::Model<f32>>::PARAMETERS;

                #[doc = #doc]
                pub fn multiply_adds(#(#dims: usize),*) -> u64 {
                    #count
                }
            }

            #allow
            impl<#element: ::ansatz::tensor::Float> #name<#element> {
                /// A net with initial parameters, which the seed decides.
                #init {
                    ::ansatz::nn::init(seed)
                }

                #methods
                #record
                #inverse
            }
        };
        outlined(code, self.net.item.word)
    }

    fn record(&self, method: &str, doc: &str, body: Option<&Body>) -> TokenStream {
        let spelling = &self.spelling;
        let parameters = spelling.parameters();
        let scope = self.scope();
        let inputs = self.net.item.inputs.iter().zip(&self.net.inputs).map(|(input, ty)| {
            let (name, var) = (&input.name, spelling.var(&known(ty), Mode::Parameters));
            let ty = spelling.placed(quote! { &#var }, &input.ty);
            quote! { #name: #ty }
        });
        let results: Vec<_> = self.net.results.iter().map(|ty| spelling.var(&known(ty), Mode::Parameters)).collect();
        let result = match results.as_slice() {
            [one] => quote! { #one },
            several => quote! { (#(#several),*) },
        };
        let body = match body {
            None => quote! { ::core::unreachable!("the net holds an error") },
            Some(body) => {
                let inputs = &self.net.item.inputs;
                let shape = |input: usize| {
                    let name = &inputs[input].name;
                    quote! { #name.shape() }
                };
                let (bindings, conditions) = (self.bindings(&shape), self.conditions(&scope));
                let inputs = inputs.iter().enumerate().map(|(id, input)| {
                    let (value, name) = (self.value(id), &input.name);
                    quote! { let #value = #name; }
                });
                let steps = body.steps.iter().map(|step| self.step(step, &At { scope: &scope, loops: &[] }));
                let results = &body.results;
                let values =
                    (0..results.len()).map(|i| self.result(results[i], results[i + 1..].contains(&results[i])));
                let values: Vec<_> = values.collect();
                let value = match values.as_slice() {
                    [one] => quote! { #one },
                    several => quote! { (#(#several),*) },
                };
                quote! { #bindings #conditions #(#inputs)* #(#steps)* #value }
            }
        };
        let record = self.method(method);
        quote! {
            #[doc = #doc]
            pub fn #record<#parameters>(#scope: &::ansatz::tensor::Scope, #(#inputs),*) -> #result {
                #body
            }
        }
    }

    /// What is asked of run-time dimensions.
    fn conditions(&self, scope: &Ident) -> TokenStream {
        let size = quote! { usize };
        let conditions = self.net.assumed.iter().map(|assumption| {
            let (left, right) =
                (self.spelling.number(&assumption.left, &size), self.spelling.number(&assumption.right, &size));
            let holds = match assumption.op {
                "|" => quote! { (#right).is_multiple_of(#left) },
                op => {
                    let op: TokenStream = op.parse().unwrap_or_default();
                    quote! { (#left) #op (#right) }
                }
            };
            let (net, text) = (self.net.item.name.to_string(), assumption.to_string());
            let sizes = assumption.names().into_iter().map(|name| {
                let value = self.spelling.number(&Term::run_time(name.clone()), &size);
                quote! { (#name, #value) }
            });
            quote! { #scope.require(#holds, #net, #text, &[#(#sizes),*]); }
        });
        conditions.collect()
    }

    /// The name of the scope, which no input has.
    pub(super) fn scope(&self) -> Ident {
        let taken = self.net.item.inputs.iter().any(|input| input.name == "scope")
            || self.net.run_time.iter().any(|dim| dim == "scope");
        if taken { here("__scope") } else { here("scope") }
    }

    /// `let n: N = x.shape().0;` for every run-time dimension, where `shape` is how the shape of an input is found.
    pub(super) fn bindings(&self, shape: &dyn Fn(usize) -> TokenStream) -> TokenStream {
        let bindings = self.spelling.run_time.iter().filter_map(|(dim, parameter)| {
            if let Some(reading) = self.net.reading(dim) {
                let value = self.solved(&reading, &shape(reading.input));
                return Some(quote! { let #dim: usize = #value; });
            }
            let (_, input, axis) = self.place(&dim.to_string())?;
            let (shape, axis) = (shape(input), Literal::usize_unsuffixed(axis));
            Some(quote! { let #dim: #parameter = #shape.#axis; })
        });
        quote! { #(#bindings)* }
    }

    /// A run-time dimension that follows from an axis of this shape.
    pub(super) fn solved(&self, reading: &Reading, shape: &TokenStream) -> TokenStream {
        let (whole, axis) = (here("__axis"), Literal::usize_unsuffixed(reading.axis));
        let value = self.spelling.number(&reading.solution(&Term::run_time(whole.to_string())), &quote! { usize });
        quote! { { let #whole = #shape.#axis; #value } }
    }

    /// The first input that has a run-time dimension as an axis by itself, its position, and the axis.
    pub(super) fn place(&self, dim: &str) -> Option<(&Ident, usize, usize)> {
        self.net.item.inputs.iter().zip(&self.net.inputs).enumerate().find_map(|(i, (input, ty))| {
            let is_dim = |size: &Term| matches!(size.as_atom(), Some(Atom::RunTime(name)) if name == dim);
            let axis = ty.as_ref().ok()?.axes.iter().position(|axis| is_dim(&axis.size))?;
            Some((&input.name, i, axis))
        })
    }

    /// A result: the value itself, unless it is an input or goes out once more.
    fn result(&self, id: ValueId, more: bool) -> TokenStream {
        let (name, borrowed) = (self.value(id), self.borrowed(id));
        let input = id < self.net.item.inputs.len();
        if input || more {
            quote! { ::core::clone::Clone::clone(#borrowed) }
        } else {
            quote! { #name }
        }
    }
}

/// The type, or a scalar where an error was reported.
pub(super) fn known(ty: &Checked<Type>) -> Type {
    ty.clone().unwrap_or_else(|_| Type::real(vec![]))
}
