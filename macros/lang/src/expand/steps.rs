//! One step of a net as a typed call.

use super::dims::{Mode, axes};
use super::{Context, here};
use crate::functions::{FUNCTIONS, Function};
use crate::infer::{
    Constant, Degrees, Distance, Kernel, Layer, LayerKind, Method, Naming, Operation, Scalar, Setting, Step, Trace,
    ValueId, key_part,
};
use crate::terms::Term;
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};

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

    /// A step: a `let` with the types of what it makes.
    pub(super) fn step(&self, step: &Step, scope: &Ident) -> TokenStream {
        if let Operation::Name { name, does } = &step.operation {
            return self.name_there(name, does, scope);
        }
        let types = step.results.iter().map(|&id| self.spelling.var(&self.net.values[id], Mode::Parameters));
        let types: Vec<_> = match &step.operation {
            Operation::Rust { result, .. } => types.map(|ty| self.spelling.placed(ty, result)).collect(),
            _ => types.collect(),
        };
        let names: Vec<_> = step.results.iter().map(|&id| self.value(id)).collect();
        if let Operation::Update { layer, value } = step.operation {
            let (scope, value) = (self.around(&self.net.layers[layer], scope), self.borrowed(value));
            let name = key_part(&self.net.layers[layer].label);
            return quote! { #scope.update(#name, #value); };
        }
        let result = step.results.first().copied().unwrap_or_default();
        let call = self.operation(&step.operation, result, scope, step.span.first);
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
            // The inputs have their names.
            Naming::Tensor(id) if self.net.item.inputs.get(*id).is_some_and(|input| input.name == *name) => {
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

    /// The scope that a part records in.
    fn scope_of(&self, layer: &Layer, scope: &Ident) -> TokenStream {
        let key = self.net.key(layer);
        let frozen = layer.frozen.then(|| quote! { .frozen() });
        quote! { &#scope.child(#key)#frozen }
    }

    /// The scope that a tensor stands in which is declared by hand.
    fn around(&self, layer: &Layer, scope: &Ident) -> TokenStream {
        let outer = layer.scope.map(|outer| self.net.key(&self.net.layers[outer]));
        let child = outer.map(|outer| quote! { .child(#outer) });
        let frozen = layer.frozen.then(|| quote! { .clone().frozen() });
        quote! { #scope #child #frozen }
    }

    fn operation(&self, operation: &Operation, result: ValueId, scope: &Ident, at: Span) -> TokenStream {
        let spelling = &self.spelling;
        let ty = &self.net.values[result];
        let element = self.element();
        let shape = || spelling.shape(&ty.axes, Mode::Parameters);
        let child = |label: &str| quote! { &#scope.child(#label) };
        let called = |name: &str| called(name, at);
        match operation {
            Operation::Layer { layer, inputs, settings } => {
                let layer = &self.net.layers[*layer];
                let (of, scope) = (self.layer_type(layer), self.scope_of(layer, scope));
                let inputs = inputs.iter().map(|&id| self.borrowed(id));
                let settings = settings.iter().map(|setting| match setting {
                    Setting::Number(value) => number(*value),
                    Setting::Count(count) => count.to_token_stream(),
                    Setting::Shape => spelling.shape_value(&ty.axes),
                    Setting::Degrees(degrees) => match degrees {
                        Degrees::Elements => quote! { ::ansatz::nn::Degrees::Elements },
                        Degrees::Hidden(count) => quote! { ::ansatz::nn::Degrees::Hidden { count: #count } },
                        Degrees::Results(each) => quote! { ::ansatz::nn::Degrees::Results { each: #each } },
                    },
                    Setting::Kernel(Kernel { stride, dilation, before, after, groups, .. }) => {
                        let pair = |[a, b]: &[usize; 2]| quote! { [#a, #b] };
                        let (stride, dilation) = (pair(stride), pair(dilation));
                        let (before, after) = (pair(before), pair(after));
                        quote! {
                            ::ansatz::nn::Slide {
                                stride: #stride, dilation: #dilation, before: #before, after: #after, groups: #groups,
                            }
                        }
                    }
                });
                quote! { <#of>::record(#scope, #(#inputs),* #(, #settings)*) }
            }
            Operation::Inverse { layer, inputs } => {
                let layer = &self.net.layers[*layer];
                let (of, scope) = (self.layer_type(layer), self.scope_of(layer, scope));
                let inputs = inputs.iter().map(|&id| self.borrowed(id));
                quote! { <#of>::record_inverse(#scope, #(#inputs),*) }
            }
            Operation::Project { layer, input } => {
                let layer = &self.net.layers[*layer];
                let (of, scope, input) = (self.layer_type(layer), self.scope_of(layer, scope), self.borrowed(*input));
                quote! { <#of>::project(#scope, #input) }
            }
            Operation::Own { layer } => {
                let layer = &self.net.layers[*layer];
                let (scope, name, shape) = (self.around(layer, scope), key_part(&layer.label), shape());
                let state = matches!(layer.kind, LayerKind::Tensor { state: true, .. });
                let function = here(if state { "buffer" } else { "parameter" });
                quote! { #scope.#function::<#shape, #element>(#name, ::core::default::Default::default()) }
            }
            Operation::Update { .. } | Operation::Name { .. } => unreachable!("it gives no value"),
            Operation::Gather { table, index } => {
                let (table, index, value) =
                    (self.borrowed(*table), self.borrowed(*index), spelling.shape_value(&ty.axes));
                let function = called("gather");
                quote! { ::ansatz::tensor::#function(#table, #index, #value) }
            }
            Operation::Checkpoint { input, body, result } => {
                let (input, result) = (self.borrowed(*input), self.borrowed(*result));
                let body = body.iter().map(|step| self.step(step, scope));
                quote! { ::ansatz::tensor::checkpoint(#input, || { #(#body)* ::core::clone::Clone::clone(#result) }) }
            }
            Operation::Positions => {
                let value = spelling.shape_value(&ty.axes);
                let function = called("positions");
                quote! { ::ansatz::tensor::#function(#scope, #value) }
            }
            Operation::Map { function, inputs, numbers } => {
                let function = called(function);
                let inputs = inputs.iter().map(|&id| self.borrowed(id));
                let numbers = numbers.iter().map(|&value| number(value));
                quote! { ::ansatz::tensor::#function(#(#inputs),* #(, #numbers)*) }
            }
            Operation::Constant { like, value } => {
                let like = self.borrowed(*like);
                let value = match value {
                    Scalar::Number(value) => number(*value),
                    Scalar::Size(size) => {
                        let size = spelling.number(size, &quote! { usize });
                        quote! { (#size) as f64 }
                    }
                };
                quote! { ::ansatz::tensor::constant_like(#like, #value) }
            }
            Operation::Broadcast { input, axes: new } => {
                let (input, axes, value) = (self.borrowed(*input), axes(new), spelling.shape_value(&ty.axes));
                quote! { ::ansatz::tensor::broadcast::<_, _, #axes, _>(#input, #value) }
            }
            Operation::Squeeze { input, axes: gone } => {
                let (input, axes, shape) = (self.borrowed(*input), axes(gone), shape());
                quote! { ::ansatz::tensor::squeeze::<_, #shape, #axes, _>(#input) }
            }
            Operation::Reduce { function, input, axes: gone, unbiased } => {
                let (function, input, axes, shape) = (called(function), self.borrowed(*input), axes(gone), shape());
                let unbiased = unbiased.iter();
                quote! { ::ansatz::tensor::#function::<_, #shape, #axes, _>(#input #(, #unbiased)*) }
            }
            Operation::Argmax { input, axis } => {
                let (input, axes, shape) = (self.borrowed(*input), axes(&[*axis]), shape());
                let function = called("argmax");
                quote! { ::ansatz::tensor::#function::<_, #shape, #axes, _, _>(#input) }
            }
            Operation::Along { function, input, axis } => {
                let (function, input, axes) = (called(function), self.borrowed(*input), axes(&[*axis]));
                quote! { ::ansatz::tensor::#function::<_, #axes, _>(#input) }
            }
            Operation::ToReal { input } => {
                let input = self.borrowed(*input);
                quote! { ::ansatz::tensor::to_float::<_, _, #element>(#input) }
            }
            Operation::Pool { function, input, kernel, stride, padding, count_padding } => {
                let (function, input, value) =
                    (called(function), self.borrowed(*input), spelling.shape_value(&ty.axes));
                let count_padding = count_padding.iter();
                quote! {
                    ::ansatz::tensor::#function(
                        #input,
                        #value,
                        ::ansatz::tensor::Windows {
                            kernel: &[#(#kernel),*],
                            stride: &[#(#stride),*],
                            padding: &[#(#padding),*],
                        },
                        #(#count_padding)*
                    )
                }
            }
            Operation::Upsample { function, input, factor } => {
                let (function, input, value) =
                    (called(function), self.borrowed(*input), spelling.shape_value(&ty.axes));
                quote! { ::ansatz::tensor::#function(#input, #value, #factor) }
            }
            Operation::Dropout { function, input, p, label } => {
                let function = called(function);
                let (input, p, scope) = (self.borrowed(*input), number(*p), child(label));
                quote! { ::ansatz::tensor::#function(#scope, #input, #p) }
            }
            Operation::CrossEntropy { logits, target, weights, ignore, label_smoothing } => {
                let (logits, target) = (self.borrowed(*logits), self.borrowed(*target));
                let weights = option(weights.map(|id| self.borrowed(id)));
                let ignore = option(ignore.map(|class| {
                    let class = Literal::u64_unsuffixed(class);
                    quote! { #class }
                }));
                let label_smoothing = number(*label_smoothing);
                let function = called("cross_entropy");
                quote! {
                    ::ansatz::tensor::#function(
                        #logits,
                        #target,
                        ::ansatz::tensor::CrossEntropy {
                            weights: #weights,
                            ignore: #ignore,
                            label_smoothing: #label_smoothing,
                        },
                    )
                }
            }
            Operation::Attention { inputs, causal, scale, window, mask, lengths, start, alibi } => {
                let [q, k, v] = inputs.map(|id| self.borrowed(id));
                let erased = |id: &ValueId| {
                    let name = self.value(*id);
                    quote! { #name.erase() }
                };
                let [mask, lengths, start] = [mask, lengths, start].map(|id| option(id.as_ref().map(erased)));
                let scale = option(scale.map(number));
                let window = option(window.map(|window| {
                    let window = Literal::u64_unsuffixed(window);
                    quote! { #window }
                }));
                let value = spelling.shape_value(&ty.axes);
                let function = called("attention");
                quote! {
                    ::ansatz::tensor::#function(#q, #k, #v, #value, ::ansatz::tensor::Attention {
                        causal: #causal,
                        scale: #scale,
                        window: #window,
                        mask: #mask,
                        lengths: #lengths,
                        start: #start,
                        alibi: #alibi,
                    })
                }
            }
            Operation::Rotary { input, base, interleaved, start } => {
                let (input, base) = (self.borrowed(*input), number(*base));
                let start = option(start.map(|id| {
                    let name = self.value(id);
                    quote! { #name.erase() }
                }));
                let function = called("rotary");
                quote! { ::ansatz::tensor::#function(#input, #base, #interleaved, #start) }
            }
            Operation::Draw { function, p, label } => {
                let (function, scope, value) = (called(function), child(label), spelling.shape_value(&ty.axes));
                let p = p.iter().map(|&p| number(p));
                quote! { ::ansatz::tensor::#function(#scope, #value #(, #p)*) }
            }
            Operation::Ode { input, flow } => {
                let (input, body) = (self.borrowed(*input), flow.body.iter().map(|step| self.step(step, scope)));
                let bound = [flow.time, flow.value].map(|id| {
                    let (name, ty) = (self.value(id), spelling.var(&self.net.values[id], Mode::Parameters));
                    quote! { #name: #ty }
                });
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
                let gradient = here(match flow.gradient {
                    "adjoint" => "Adjoint",
                    "recompute" => "Recompute",
                    _ => "Stored",
                });
                let function = match (&flow.trace, flow.rate) {
                    (Some(_), _) => quote! { ::ansatz::flow::cnf },
                    (None, Some(_)) => quote! { ::ansatz::ode::integrate_along },
                    (None, None) => quote! { ::ansatz::ode::integrate },
                };
                let value = spelling.shape_value(&ty.axes);
                let trace = flow.trace.iter().map(|trace| match trace {
                    Trace::Exact => quote! { ::ansatz::flow::Trace::Exact },
                    Trace::Hutchinson(label) => {
                        let scope = child(label);
                        quote! { ::ansatz::flow::Trace::Hutchinson(&::ansatz::tensor::normal(#scope, #value)) }
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
                let key = self.net.key(&self.net.layers[*list]);
                let (time, result) = (self.borrowed(*time), self.borrowed(how.result));
                let body = how.body.iter().map(|step| self.step(step, scope));
                let layers = Literal::usize_unsuffixed(how.layers);
                let between = here(if how.between == "constant" { "Constant" } else { "Linear" });
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
            Operation::Rearrange { input, split, order, new, full } => {
                let (input, value) = (self.value(*input), spelling.shape_value(&ty.axes));
                let number = |size: &Term| spelling.number(size, &quote! { usize });
                let (split, full) = (split.iter().map(number), full.iter().map(number));
                let literal = |i: &usize| Literal::usize_unsuffixed(*i);
                let (order, new) = (order.iter().map(literal), new.iter().map(literal));
                quote! {
                    ::ansatz::tensor::rearrange(
                        &#input.erase(), &[#(#split),*], &[#(#order),*], &[#(#new),*], &[#(#full),*], #value
                    )
                }
            }
            Operation::Einsum { inputs, labels, result } => {
                let inputs = inputs.iter().map(|&id| self.value(id));
                let labels = labels.iter().map(|labels| {
                    let labels = labels.iter().map(|&label| Literal::usize_unsuffixed(label));
                    quote! { &[#(#labels),*] }
                });
                let result = result.iter().map(|&label| Literal::usize_unsuffixed(label));
                let value = spelling.shape_value(&ty.axes);
                let function = called("einsum");
                quote! { ::ansatz::tensor::#function(&[#(#inputs.erase()),*], &[#(#labels),*], &[#(#result),*], #value) }
            }
            Operation::Slice { input, axis, start } | Operation::Pad { input, axis, start } => {
                let function = called(if matches!(operation, Operation::Slice { .. }) { "slice" } else { "pad" });
                let (input, axis) = (self.value(*input), Literal::usize_unsuffixed(*axis));
                let (start, value) = (spelling.number(start, &quote! { usize }), spelling.shape_value(&ty.axes));
                quote! { ::ansatz::tensor::#function(&#input.erase(), #axis, #start, #value) }
            }
            Operation::Reshape { input } => {
                let (input, value) = (self.borrowed(*input), spelling.shape_value(&ty.axes));
                quote! { ::ansatz::tensor::reshape(#input, #value) }
            }
            Operation::OneHot { input } => {
                let (input, value) = (self.value(*input), spelling.shape_value(&ty.axes));
                let function = called("one_hot");
                quote! { ::ansatz::tensor::#function(&#input.erase(), #value) }
            }
            Operation::Clouds { inputs, by } => {
                let [x, y] = inputs.map(|id| self.borrowed(id));
                match by {
                    Distance::Sinkhorn { epsilon, turns } => {
                        let epsilon = number(*epsilon);
                        quote! { ::ansatz::transport::sinkhorn_divergence(#x, #y, #epsilon, #turns) }
                    }
                    Distance::Sliced { directions, label } => {
                        let scope = child(label);
                        quote! { ::ansatz::transport::sliced_wasserstein_loss(#scope, #x, #y, #directions) }
                    }
                }
            }
            Operation::Path { time, kind } => {
                let time = self.borrowed(*time);
                let kind = here(match *kind {
                    "cosine" => "Cosine",
                    "variance_preserving" => "VariancePreserving",
                    _ => "Linear",
                });
                quote! { ::ansatz::flow::path(#time, ::ansatz::flow::Path::#kind) }
            }
            Operation::Transform { input, parameters, bound, inverse } => {
                let (input, parameters) = (self.borrowed(*input), self.borrowed(*parameters));
                match bound.map(number) {
                    Some(bound) => quote! { ::ansatz::flow::spline(#input, #parameters, #bound, #inverse) },
                    None => quote! { ::ansatz::flow::affine(#input, #parameters, #inverse) },
                }
            }
            Operation::Elementwise { input, function, number: slope, inverse } => {
                let (input, function) = (self.borrowed(*input), here(function));
                let slope = slope.map(number).map(|slope| quote! { (#slope) });
                quote! { ::ansatz::flow::elementwise(#input, ::ansatz::flow::Elementwise::#function #slope, #inverse) }
            }
            Operation::Permute { input, order } => {
                let input = self.borrowed(*input);
                let order = order.iter().map(|&i| Literal::usize_unsuffixed(i));
                quote! { ::ansatz::flow::permute(#input, &[#(#order),*]) }
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
            Operation::Concat { inputs, axis } => {
                let inputs = inputs.iter().map(|&id| self.value(id));
                let (axis, value) = (Literal::usize_unsuffixed(*axis), spelling.shape_value(&ty.axes));
                let function = called("concat");
                quote! { ::ansatz::tensor::#function(&[#(#inputs.erase()),*], #axis, #value) }
            }
        }
    }
}

/// The runtime function of a name in the source: an editor that looks the name up there finds the function.
fn called(name: &str, at: Span) -> Ident {
    let is = |function: &Function| function.name.trim_end_matches("1d").trim_end_matches("2d") == name;
    match name == "einsum" || FUNCTIONS.iter().any(is) {
        true => Ident::new(name, Span::call_site().located_at(at)),
        false => here(name),
    }
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

/// `Some(…)` or `None` as an expression.
fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote! { ::core::option::Option::Some(#value) },
        None => quote! { ::core::option::Option::None },
    }
}
