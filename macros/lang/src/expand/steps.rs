//! One step of a net as a typed call.

use super::dims::{Mode, Spelling, axes};
use super::{Context, here};
use crate::case::capitals;
use crate::functions::{Runtime, Slot, TypeSlot};
use crate::infer::{
    Argument, Call, Constant, Degrees, Kernel, Key, Layer, LayerKind, Method, Naming, Operation, Step, Trace, Type,
    TypedNet, ValueId, key_part, key_with,
};
use crate::terms::Term;
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};

/// Where a step stands in the code.
#[derive(Clone, Copy)]
pub(super) struct At<'s> {
    /// The name of the scope.
    pub scope: &'s Ident,
    /// The lists whose layers it goes through, the outermost first.
    pub loops: &'s [usize],
}

impl Context<'_, '_> {
    /// The variable of a value. Those that the program names are for editors alone.
    pub(super) fn value(&self, id: ValueId) -> Ident {
        format_ident!("__{id}")
    }

    /// A reference to a value: inputs are references already.
    pub(super) fn borrowed(&self, id: ValueId) -> TokenStream {
        let name = self.value(id);
        if id < self.net.item.inputs.len() {
            quote! { #name }
        } else {
            quote! { &#name }
        }
    }

    /// A value that a closure takes.
    fn bound(&self, id: ValueId) -> TokenStream {
        let (name, ty) = (self.value(id), self.spelling.var(&self.net.values[id], Mode::Parameters));
        quote! { #name: #ty }
    }

    /// A step: a `let` with the types of what it makes.
    pub(super) fn step(&self, step: &Step, at: &At<'_>) -> TokenStream {
        if let Operation::Name { name, does } = &step.operation {
            return self.name_there(name, does, at.scope);
        }
        let types = step.results.iter().map(|&id| self.spelling.var(&self.net.values[id], Mode::Parameters));
        let types: Vec<_> = match &step.operation {
            Operation::Rust { result, .. } => types.map(|ty| self.spelling.placed(ty, result)).collect(),
            _ => types.collect(),
        };
        let names: Vec<_> = step.results.iter().map(|&id| self.value(id)).collect();
        if let Operation::Update { layer, value } = step.operation {
            let (scope, value) = (self.around(&self.net.layers[layer], at), self.borrowed(value));
            let name = key_part(&self.net.layers[layer].label);
            return quote! { #scope.update(#name, #value); };
        }
        let call = self.operation(&step.operation, &step.results, at, step.span.first);
        match (names.as_slice(), types.as_slice()) {
            ([name], [ty]) => quote! { let #name: #ty = #call; },
            _ => quote! { let (#(#names),*): (#(#types),*) = #call; },
        }
    }

    /// A name where it stands, for editors: a variable, unless the code needs that name for its own ones.
    fn name_there(&self, name: &Ident, does: &Naming, scope: &Ident) -> TokenStream {
        if name == scope || self.net.run_time.contains(name) {
            return TokenStream::new();
        }
        match does {
            // The inputs have their names. What a closure calls like one may be another name to Rust.
            Naming::Tensor(id)
                if self
                    .net
                    .item
                    .inputs
                    .get(*id)
                    .is_some_and(|input| input.name == *name && input.name.span().start() == name.span().start()) =>
            {
                TokenStream::new()
            }
            Naming::Tensor(id) => {
                let value = self.borrowed(*id);
                quote! { let #name = #value; }
            }
            Naming::Constant(value) => {
                let value = constant(value);
                quote! { let #name = #value; }
            }
            Naming::Use => quote! { let _ = #name; },
            Naming::Part => {
                let mut parts = self.net.layers.iter().filter(|layer| layer.label == *name);
                let (Some(part), None) = (parts.next(), parts.next()) else { return TokenStream::new() };
                let mut path = vec![name];
                let mut outer = part.scope;
                while let Some(scope) = outer {
                    // What is repeated is a slice.
                    if self.net.repeats[scope].is_some() {
                        return TokenStream::new();
                    }
                    path.insert(0, &self.net.layers[scope].label);
                    outer = self.net.layers[scope].scope;
                }
                quote! { let _ = |net: &Self| { let _ = &net.#(#path).*; }; }
            }
        }
    }

    /// The path of a part or of a draw: in a loop, that of the layer it has come to.
    fn path(&self, layer: Option<usize>, label: &Ident, at: &At<'_>) -> TokenStream {
        let mut places = vec![];
        let key = key_with(&self.net.layers, layer, label, &mut |list| {
            at.loops.contains(&list).then(|| {
                places.push(place_in(list));
                "{}".to_owned()
            })
        });
        match places.is_empty() {
            true => quote! { #key },
            false => quote! { &::std::format!(#key, #(#places),*) },
        }
    }

    /// The scope that a part records in.
    fn scope_of(&self, layer: &Layer, at: &At<'_>) -> TokenStream {
        let (key, scope) = (self.path(layer.scope, &layer.label, at), at.scope);
        let frozen = layer.frozen.then(|| quote! { .frozen() });
        quote! { &#scope.child(#key)#frozen }
    }

    /// The scope that a tensor stands in which is declared by hand.
    fn around(&self, layer: &Layer, at: &At<'_>) -> TokenStream {
        let outer = layer.scope.map(|outer| &self.net.layers[outer]);
        let (outer, scope) = (outer.map(|outer| self.path(outer.scope, &outer.label, at)), at.scope);
        let child = outer.map(|outer| quote! { .child(#outer) });
        let frozen = layer.frozen.then(|| quote! { .clone().frozen() });
        quote! { #scope #child #frozen }
    }

    fn operation(&self, operation: &Operation, results: &[ValueId], at: &At<'_>, place: Span) -> TokenStream {
        let (spelling, scope) = (&self.spelling, at.scope);
        let ty = &self.net.values[results.first().copied().unwrap_or_default()];
        let element = self.element();
        match operation {
            Operation::Call(call) => self.call(call, ty, at, place),
            Operation::Layer { layer, method, inputs, settings } => {
                let layer = &self.net.layers[*layer];
                let (of, scope, method) = (self.layer_type(layer), self.scope_of(layer, at), here(method));
                let settings = settings.iter().map(|setting| self.argument(setting, ty));
                if let LayerKind::Net(net) = layer.kind {
                    return self.net_call(&self.nets[net], results, inputs, &|inputs| {
                        quote! { <#of>::#method(#scope, #(#inputs),*) }
                    });
                }
                let inputs = inputs.iter().map(|&id| self.borrowed(id));
                quote! { <#of>::#method(#scope, #(#inputs),* #(, #settings)*) }
            }
            Operation::Own { layer } => {
                let layer = &self.net.layers[*layer];
                let (scope, name) = (self.around(layer, at), key_part(&layer.label));
                let shape = spelling.shape(&ty.axes, Mode::Parameters);
                let state = matches!(layer.kind, LayerKind::Tensor { state: true, .. });
                let function = here(if state { "buffer" } else { "parameter" });
                quote! { #scope.#function::<#shape, #element>(#name, ::core::default::Default::default()) }
            }
            Operation::Update { .. } | Operation::Name { .. } => unreachable!("it gives no value"),
            Operation::Checkpoint { input, body, result } => {
                let (input, result) = (self.borrowed(*input), self.borrowed(*result));
                let body = body.iter().map(|step| self.step(step, at));
                quote! { ::ansatz::tensor::checkpoint(#input, || { #(#body)* ::core::clone::Clone::clone(#result) }) }
            }
            Operation::Loop { input, how } => {
                let loops: Vec<usize> = at.loops.iter().copied().chain([how.list]).collect();
                let inside = At { loops: &loops, ..*at };
                let body = how.body.iter().map(|step| self.step(step, &inside));
                let (input, result, value) = (self.borrowed(*input), self.borrowed(how.result), self.bound(how.value));
                let (times, place) = (Literal::usize_unsuffixed(how.times), place_in(how.list));
                quote! {
                    ::ansatz::tensor::repeat(#input, #times, |#place, #value| {
                        #(#body)*
                        ::core::clone::Clone::clone(#result)
                    })
                }
            }
            Operation::Ode { input, flow } => {
                let (input, body) = (self.borrowed(*input), flow.body.iter().map(|step| self.step(step, at)));
                let bound = [flow.time, flow.value].map(|id| self.bound(id));
                let slope = self.borrowed(flow.slope);
                let slope = quote! { ::core::clone::Clone::clone(#slope) };
                let slopes = match flow.rate.map(|rate| self.borrowed(rate)) {
                    Some(rate) => quote! { (#slope, ::core::clone::Clone::clone(#rate)) },
                    None => slope,
                };
                let (start, end) = (number(flow.span.0), number(flow.span.1));
                let method = match &flow.method {
                    Method::Known(name, _) => {
                        let name = here(&name.to_uppercase());
                        quote! { ::ansatz::ode::#name }
                    }
                    Method::Own(path) => quote! { #(#path)::* },
                };
                let steps = Literal::usize_unsuffixed(flow.steps);
                let gradient = here(&capitals(flow.gradient));
                let function = match (&flow.trace, flow.rate) {
                    (Some(_), _) => quote! { ::ansatz::flow::cnf },
                    (None, Some(_)) => quote! { ::ansatz::ode::integrate_along },
                    (None, None) => quote! { ::ansatz::ode::integrate },
                };
                let value = spelling.shape_value(&ty.axes);
                let trace = flow.trace.iter().map(|trace| match trace {
                    Trace::Exact => quote! { ::ansatz::flow::Trace::Exact },
                    Trace::Hutchinson(Key { scope: outer, label }) => {
                        let label = self.path(*outer, label, at);
                        quote! { ::ansatz::flow::Trace::Hutchinson(&::ansatz::tensor::normal(&#scope.child(#label), #value)) }
                    }
                });
                quote! {
                    #function(
                        #input,
                        &::ansatz::ode::Integral {
                            span: #start..#end,
                            method: &#method,
                            steps: #steps,
                            gradient: ::ansatz::ode::Gradient::#gradient,
                        },
                        #(#trace,)*
                        |#(#bound),*| {
                            #(#body)*
                            #slopes
                        },
                    )
                }
            }
            Operation::Varying { time, list, how } => {
                let list = &self.net.layers[*list];
                let key = self.path(list.scope, &list.label, at);
                let (time, result) = (self.borrowed(*time), self.borrowed(how.result));
                let body = how.body.iter().map(|step| self.step(step, at));
                let layers = Literal::usize_unsuffixed(how.layers);
                let between = here(&capitals(how.between));
                let (start, end) = (number(how.span.0), number(how.span.1));
                quote! {
                    {
                        let #scope = &#scope.varying(
                            #key,
                            #time,
                            &::ansatz::tensor::Varying {
                                layers: #layers,
                                between: ::ansatz::tensor::Between::#between,
                                span: #start..#end,
                            },
                        );
                        #(#body)*
                        ::core::clone::Clone::clone(#result)
                    }
                }
            }
            Operation::Rust { path, inputs, constants, result: _ } => {
                let inputs = inputs.iter().map(|(id, place)| {
                    let mut name = self.value(*id);
                    name.set_span(name.span().located_at(place.first));
                    match *id < self.net.item.inputs.len() {
                        true => quote! { #name },
                        false => quote_spanned! { place.first => &#name },
                    }
                });
                let constants = constants.iter().map(constant);
                let last = path.last().map_or_else(Span::call_site, Ident::span);
                let arguments = quote_spanned! { last => (#(#inputs),* #(, #constants)*) };
                quote! { #(#path)::* #arguments }
            }
        }
    }

    /// A net inside of this one. Where a size is a number in one of them and a dimension of its own in the other, the tensor
    /// is read under the other shape.
    fn net_call(
        &self,
        of: &TypedNet<'_>,
        results: &[ValueId],
        inputs: &[ValueId],
        call: &dyn Fn(&[TokenStream]) -> TokenStream,
    ) -> TokenStream {
        let inner = Spelling::new(self.names, of);
        let differ = |declared: &Type, here: &Type| {
            let pairs = declared.axes.iter().zip(&here.axes);
            let numbers =
                pairs.map(|(there, here)| inner.is_number(&there.size) && !self.spelling.is_number(&here.size));
            let numbers: Vec<bool> = numbers.collect();
            numbers.contains(&true).then_some(numbers)
        };
        let inputs = inputs.iter().zip(&of.inputs).map(|(&id, declared)| {
            let (value, here) = (self.borrowed(id), &self.net.values[id]);
            match declared.as_ref().ok().and_then(|declared| differ(declared, here)) {
                None => value,
                Some(numbers) => {
                    let sizes = numbers.iter().zip(&here.axes).map(|(&number, axis)| match number {
                        true => self.spelling.number(&axis.size, &quote! { usize }),
                        false => self.spelling.dim_value(&axis.size),
                    });
                    quote! { &::ansatz::tensor::reshape(#value, (#(#sizes,)*)) }
                }
            }
        });
        let call = call(&inputs.collect::<Vec<_>>());
        let declared = of.results.iter().map(|ty| ty.as_ref().ok());
        let other = |(&id, declared): (&ValueId, Option<&Type>)| differ(declared?, &self.net.values[id]).map(|_| id);
        let others: Vec<Option<ValueId>> = results.iter().zip(declared).map(other).collect();
        if others.iter().all(Option::is_none) {
            return call;
        }
        let names: Vec<Ident> = results.iter().map(|&id| self.value(id)).collect();
        let values: Vec<_> = names
            .iter()
            .zip(&others)
            .map(|(name, other)| match other {
                None => quote! { #name },
                Some(id) => {
                    let shape = self.spelling.shape_value(&self.net.values[*id].axes);
                    quote! { ::ansatz::tensor::reshape(&#name, #shape) }
                }
            })
            .collect();
        match (names.as_slice(), values.as_slice()) {
            ([name], [value]) => quote! { { let #name = #call; #value } },
            _ => quote! { { let (#(#names),*) = #call; (#(#values),*) } },
        }
    }

    /// A call, as the row of its function says.
    fn call(&self, call: &Call, ty: &Type, at: &At<'_>, place: Span) -> TokenStream {
        let Runtime { module, name, types, arguments, spoken } = call.of;
        let module = here(module);
        let mut function = here(name);
        if *spoken {
            // An editor that looks the name up where it stands in the source finds the function.
            function.set_span(Span::call_site().located_at(place));
        }
        let types = types.iter().map(|slot| match slot {
            TypeSlot::Inferred => quote! { _ },
            TypeSlot::Shape => self.spelling.shape(&ty.axes, Mode::Parameters),
            TypeSlot::Axes => axes(&call.axes),
            TypeSlot::Element => self.element().to_token_stream(),
        });
        let types: Vec<TokenStream> = types.collect();
        let types = (!types.is_empty()).then(|| quote! { ::<#(#types),*> });
        let erased = || call.tensors.iter().map(|&id| self.value(id));
        let mut values = call.values.iter();
        let arguments = arguments.iter().flat_map(|slot| match slot {
            Slot::Tensors => call.tensors.iter().map(|&id| self.borrowed(id)).collect(),
            Slot::Erased => erased().map(|tensor| quote! { &#tensor.erase() }).collect(),
            Slot::List => {
                let tensors = erased();
                vec![quote! { &[#(#tensors.erase()),*] }]
            }
            Slot::Shape => vec![self.spelling.shape_value(&ty.axes)],
            Slot::Scope => vec![at.scope.to_token_stream()],
            Slot::Draw => {
                let label = call.label.as_ref().map(|key| self.path(key.scope, &key.label, at));
                let scope = at.scope;
                vec![quote! { &#scope.child(#label) }]
            }
            Slot::Fields(of, count) => {
                let (names, values): (Vec<_>, Vec<_>) =
                    values.by_ref().take(*count).map(|(name, value)| (here(name), self.argument(value, ty))).unzip();
                let of = path(of);
                vec![quote! { #of { #(#names: #values),* } }]
            }
            Slot::Variant(of) => {
                let (of, variant) = (path(of), values.next().map(|(_, value)| self.argument(value, ty)));
                vec![quote! { #of::#variant }]
            }
            Slot::Values => values.by_ref().map(|(_, value)| self.argument(value, ty)).collect::<Vec<_>>(),
        });
        quote! { ::ansatz::#module::#function #types (#(#arguments),*) }
    }

    /// What a call or a layer is given besides its tensors.
    fn argument(&self, argument: &Argument, ty: &Type) -> TokenStream {
        let size = |size: &Term| self.spelling.number(size, &quote! { usize });
        let counts = |counts: &[usize]| {
            let counts = counts.iter().map(|&count| Literal::usize_unsuffixed(count));
            quote! { &[#(#counts),*] }
        };
        match argument {
            Argument::Number(value) => number(*value),
            Argument::Count(count) => Literal::usize_unsuffixed(*count).to_token_stream(),
            Argument::Flag(flag) => quote! { #flag },
            Argument::Size(term) => size(term),
            Argument::Real(term) => {
                let size = size(term);
                quote! { (#size) as f64 }
            }
            Argument::Sizes(terms) => {
                let sizes = terms.iter().map(size);
                quote! { &[#(#sizes),*] }
            }
            Argument::Counts(all) => counts(all),
            Argument::Lists(lists) => {
                let lists = lists.iter().map(|list| counts(list));
                quote! { &[#(#lists),*] }
            }
            Argument::Word(word, value) => {
                let (word, value) = (here(&capitals(word)), value.map(number).map(|value| quote! { (#value) }));
                quote! { #word #value }
            }
            Argument::Tensor(id) => self.borrowed(*id),
            Argument::Erased(id) => {
                let name = self.value(*id);
                quote! { #name.erase() }
            }
            Argument::Maybe(Some(value)) => {
                let value = self.argument(value, ty);
                quote! { ::core::option::Option::Some(#value) }
            }
            Argument::Maybe(None) => quote! { ::core::option::Option::None },
            Argument::Shape => self.spelling.shape_value(&ty.axes),
            Argument::Degrees(degrees) => match degrees {
                Degrees::Elements => quote! { ::ansatz::nn::Degrees::Elements },
                Degrees::Hidden(count) => quote! { ::ansatz::nn::Degrees::Hidden { count: #count } },
                Degrees::Results(each) => quote! { ::ansatz::nn::Degrees::Results { each: #each } },
            },
            Argument::Kernel(Kernel { stride, dilation, before, after, groups, .. }) => {
                let [stride, dilation, before, after] =
                    [stride, dilation, before, after].map(|[a, b]| quote! { [#a, #b] });
                quote! {
                    ::ansatz::nn::Slide {
                        stride: #stride, dilation: #dilation, before: #before, after: #after, groups: #groups,
                    }
                }
            }
        }
    }
}

/// The variable that counts the layers of a list.
fn place_in(list: usize) -> Ident {
    format_ident!("__at{list}")
}

/// An item of the runtime crate.
fn path(of: &str) -> TokenStream {
    let parts = of.split("::").map(here);
    quote! { ::ansatz #(::#parts)* }
}

/// A number as an expression. A negative literal is two tokens.
pub(super) fn number(value: f64) -> TokenStream {
    let magnitude = value.abs();
    let literal = match magnitude.is_finite() {
        true => {
            let literal = Literal::f64_suffixed(magnitude);
            quote! { #literal }
        }
        false => quote! { ::core::primitive::f64::INFINITY },
    };
    if value.is_sign_negative() {
        quote! { -#literal }
    } else {
        literal
    }
}

pub(super) fn constant(constant: &Constant) -> TokenStream {
    match constant {
        Constant::Whole(whole) => quote! { #whole },
        Constant::Real(real) => number(*real),
        Constant::Flag(flag) => quote! { #flag },
        Constant::Text(text) => quote! { #text },
    }
}
