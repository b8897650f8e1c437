//! Dimensions as Rust: declarations, types, values.

use crate::ast::{DimItem, Program, Route, Size, TensorType};
use crate::case::capitals;
use crate::infer::{Axis, Element, Type, TypedNet};
use crate::resolve::Names;
use crate::terms::{Atom, Term};
use proc_macro2::{Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};

/// Whether the size of a dimension could not be understood.
pub fn is_unknown(item: &DimItem, names: &Names<'_>) -> bool {
    !matches!(item.size, Size::Literal(..)) && names.dim(&item.name.to_string()).is_none()
}

/// `dim Pixels = 784;` as a type, `dim Wide = 4 * Pixels;` as another name of one. One that travels further than it is
/// seen is public in a private module: rustc asks that of a type that others get.
///
/// The other name also leads to the types of what it mentions, at their places: `Wide<1>` is `Pixels`.
pub fn declare(item: &DimItem, names: &Names<'_>, travels: bool, mentioned: &Types) -> TokenStream {
    let DimItem { attributes, visibility, name, size } = item;
    let visibility = &visibility.tokens;
    if let Size::Literal(number, _) = size {
        let number = (*number).max(1);
        let (literal, doc) = (Literal::usize_unsuffixed(number), format!("A dimension of size {number}."));
        let digits = format!("{number:b}");
        let bits = digits.chars().map(|bit| Literal::u8_unsuffixed(u8::from(bit == '1')));
        let (home, declared) = (
            home(name),
            if travels {
                quote! { pub }
            } else {
                visibility.clone()
            },
        );
        let declaration = quote! {
            ::ansatz::declare_dim! {
                #attributes
                #[doc = ""]
                #[doc = #doc]
                #[allow(dead_code, unreachable_pub)]
                #declared struct #name = #literal, #(#bits)*
            }
        };
        // Errors show `pub`: at the name, an editor would find what is written here.
        let declaration = match visibility.clone().into_iter().next() {
            Some(word) => outlined(declaration, word.span()),
            None => declaration,
        };
        return match travels {
            false => declaration,
            true => quote! {
                #[doc(hidden)]
                #[allow(non_snake_case)]
                mod #home { #declaration }
                #[allow(unused_imports)]
                #visibility use #home::#name;
            },
        };
    }
    let spelling = Spelling::of(names, super::here("E"));
    let Some(dim) = names.dim(&name.to_string()) else { return TokenStream::new() };
    let (ty, doc) =
        (spelling.dim(&dim.term, Mode::Sizes), format!("{}, a dimension of size {}.", dim.term, dim.number));
    let value = dim.term.as_atom().is_none().then(|| {
        let value = spelling.dim_value(&dim.term);
        quote! {
            #[doc = #doc]
            #[allow(dead_code, non_upper_case_globals)]
            #visibility const #name: #ty = #value;
        }
    });
    let head = quote! {
        #attributes
        #[doc = ""]
        #[doc = #doc]
        #[allow(dead_code)]
    };
    if mentioned.is_empty() {
        return quote! { #head #visibility type #name = #ty; #value };
    }
    let home = home(name);
    quote! {
        #[doc(hidden)]
        #[allow(non_snake_case)]
        mod #home {
            #[allow(dead_code, unreachable_pub)]
            #[derive(Debug)]
            pub struct Parts;
        }
        #[automatically_derived]
        impl ::ansatz::nn::Env<0> for #home::Parts {
            type T = #ty;
        }
        #head
        #visibility type #name<const PLACE: usize = 0> = <#home::Parts as ::ansatz::nn::Env<PLACE>>::T;
        #value
    }
}

/// Types that an item passes on, each with the place of its declaration among all that the item mentions.
pub type Types = Vec<(usize, TokenStream)>;

/// The module of what belongs to a dimension.
pub fn home(name: &Ident) -> Ident {
    quote::format_ident!("{}_dim", name)
}

/// The dimensions that a program mentions, each where it does: an editor leads from there to the declaration.
pub fn mentions(program: &Program, names: &Names<'_>) -> TokenStream {
    fn collect(tokens: &TokenStream, found: &mut dyn FnMut(&Ident)) {
        for tree in tokens.clone() {
            match tree {
                TokenTree::Group(group) => collect(&group.stream(), found),
                TokenTree::Ident(name) => found(&name),
                _ => {}
            }
        }
    }
    let spelling = Spelling::of(names, super::here("E"));
    let mut types = vec![];
    let items = program.items.iter().zip(&program.sources);
    for (_, source) in items.filter(|(item, _)| names.foreign(item.name()).is_none()) {
        collect(source, &mut |name| {
            if names.dim(&name.to_string()).is_some() {
                types.push(located(spelling.dimension(name), name.span()));
            }
        });
    }
    match types.is_empty() {
        true => TokenStream::new(),
        false => quote! { const _: ::core::option::Option<(#(#types,)*)> = ::core::option::Option::None; },
    }
}

/// How the names of a net are spelt in Rust.
pub struct Spelling<'n, 'a> {
    names: &'n Names<'a>,
    /// The type parameter of the elements.
    pub element: Ident,
    /// The run-time dimensions: their names, and the type parameters of those that are axes of their own; others are numbers.
    pub run_time: Vec<(Ident, Option<Ident>)>,
}

/// What stands for a run-time dimension in a type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its type parameter.
    Parameters,
    /// `usize`
    Sizes,
}

impl<'n, 'a> Spelling<'n, 'a> {
    /// The spelling outside of any net.
    pub fn of(names: &'n Names<'a>, element: Ident) -> Self {
        Spelling { names, element, run_time: vec![] }
    }

    /// The spelling for one net.
    pub fn new(names: &'n Names<'a>, net: &TypedNet<'_>) -> Self {
        let declared = |name: &str| names.meanings.meaning(name).is_some() || names.is_net(name);
        let free = |candidates: &[String], taken: &[String]| {
            let free = candidates.iter().find(|name| !declared(name) && !taken.contains(name));
            free.cloned().unwrap_or_else(|| format!("{}_", candidates[candidates.len() - 1]))
        };
        let element = free(&["E".into(), "Elem".into(), "ElementType".into()], &[]);
        let mut taken = vec![element.clone()];
        let mut run_time = vec![];
        for name in &net.run_time {
            if net.reading(name).is_some() {
                run_time.push((name.clone(), None));
                continue;
            }
            let capital = capitals(&name.to_string());
            let parameter = free(&[capital.clone(), format!("{capital}Dim"), format!("{capital}RunTime")], &taken);
            taken.push(parameter.clone());
            run_time.push((name.clone(), Some(Ident::new(&parameter, Span::call_site()))));
        }
        Spelling { names, element: super::here(&element), run_time }
    }

    /// The type of a declared dimension.
    pub fn dimension(&self, name: &Ident) -> TokenStream {
        match self.names.foreign(name).map(|foreign| &foreign.route) {
            Some(Route::Path(path)) => path.clone(),
            Some(Route::Part { of, position }) => part(of, *position),
            Some(Route::Alias { of, position }) => {
                let position = Literal::usize_unsuffixed(*position);
                quote! { #of<#position> }
            }
            Some(Route::None) | None => quote! { #name },
        }
    }

    /// The type of a net by its name, with the name placed where it is used.
    pub fn net(&self, name: &Ident, at: Option<Span>) -> TokenStream {
        let element = &self.element;
        let mut name = name.clone();
        name.set_span(at.map_or(name.span(), |at| name.span().located_at(at)));
        match self.names.foreign(&name).map(|foreign| &foreign.route) {
            Some(Route::Path(path)) => {
                let path = at.map_or(path.clone(), |at| located(path.clone(), at));
                quote! { #path<#element> }
            }
            Some(Route::Part { of, position }) => part(&quote! { #of<#element> }, *position),
            Some(Route::Alias { .. } | Route::None) | None => quote! { #name<#element> },
        }
    }

    /// `N`, `T`
    pub fn type_parameters(&self) -> Vec<&Ident> {
        self.run_time.iter().filter_map(|(_, parameter)| parameter.as_ref()).collect()
    }

    /// `N: ::ansatz::tensor::Dim, T: ::ansatz::tensor::Dim`
    pub fn parameters(&self) -> TokenStream {
        let parameters = self.type_parameters();
        quote! { #(#parameters: ::ansatz::tensor::Dim),* }
    }

    /// Whether a dimension is a `usize` in a type: it is calculated of run-time dimensions.
    pub fn is_number(&self, size: &Term) -> bool {
        match size.as_atom() {
            Some(Atom::Nominal { .. }) => false,
            Some(Atom::RunTime(name)) => {
                self.run_time.iter().all(|(own, parameter)| own != name || parameter.is_none())
            }
            _ => size.number().is_none(),
        }
    }

    /// The type of a dimension.
    pub fn dim(&self, size: &Term, mode: Mode) -> TokenStream {
        match size.as_atom() {
            Some(Atom::Nominal { name, .. }) => self.dimension(&super::here(name)),
            Some(Atom::RunTime(name)) if mode == Mode::Parameters => {
                match self.run_time.iter().find(|(own, _)| own == name) {
                    Some((_, Some(parameter))) => quote! { #parameter },
                    _ => quote! { usize },
                }
            }
            _ => match size.number() {
                Some(number) => {
                    let number = Literal::usize_unsuffixed(number);
                    quote! { ::ansatz::tensor::Const<#number> }
                }
                None => quote! { usize },
            },
        }
    }

    /// The value of a dimension, of the type that [`Self::dim`] spells.
    pub fn dim_value(&self, size: &Term) -> TokenStream {
        match size.as_atom() {
            Some(Atom::Nominal { name, .. }) => {
                let (name, ty) = (super::here(name), self.dim(size, Mode::Sizes));
                match self.names.foreign(&name) {
                    Some(_) => quote! { <#ty as ::core::default::Default>::default() },
                    None => ty,
                }
            }
            Some(Atom::RunTime(name)) => self.variable(name).into_token_stream(),
            _ => match size.number() {
                Some(number) => {
                    let number = Literal::usize_unsuffixed(number);
                    quote! { ::ansatz::tensor::Const::<#number> }
                }
                None => self.number(size, &quote! { usize }),
            },
        }
    }

    /// A size as a number of type `ty`, computed from run-time dimensions in scope.
    pub fn number(&self, size: &Term, ty: &TokenStream) -> TokenStream {
        let (over, under) = size.over_and_under();
        match under.as_literal() {
            Some(1) => self.whole(&over, ty),
            _ => self.quotient("div_euclid", &over, &under, ty),
        }
    }

    /// The same for a sum of products with whole coefficients and positive powers.
    fn whole(&self, size: &Term, ty: &TokenStream) -> TokenStream {
        let (mut sum, mut less) = (vec![], vec![]);
        for (factor, atoms) in size.products() {
            let atoms = atoms.flat_map(|(atom, power)| (0..power).map(move |_| atom));
            let mut factors: Vec<_> = atoms.map(|atom| self.atom(atom, ty)).collect();
            if factor.unsigned_abs() != 1 || factors.is_empty() {
                factors.insert(0, Literal::u128_unsuffixed(factor.unsigned_abs()).into_token());
            }
            let product = joined(&factors, '*');
            if factor < 0 { less.push(product) } else { sum.push(product) }
        }
        match sum.is_empty() {
            true => quote! { 0 },
            false => {
                let sum = joined(&sum, '+');
                less.iter().fold(sum, |sum, less| quote! { <#ty>::saturating_sub(#sum, #less) })
            }
        }
    }

    fn atom(&self, atom: &Atom, ty: &TokenStream) -> TokenStream {
        match atom {
            Atom::Nominal { number, .. } => Literal::usize_unsuffixed(*number).into_token(),
            Atom::RunTime(name) => {
                let name = self.variable(name);
                let size = quote! { ::ansatz::tensor::Dim::size(&#name) };
                if ty.to_string() == "usize" {
                    size
                } else {
                    quote! { (#size as #ty) }
                }
            }
            Atom::Evaluations(path) => quote! { (#(#path)::*.evaluations() as #ty) },
            Atom::FloorDiv(a, b) | Atom::Quotient(a, b) => self.quotient("div_euclid", a, b, ty),
            Atom::CeilDiv(a, b) => self.quotient("div_ceil", a, b, ty),
        }
    }

    /// A division by a function of integers. A run-time size may be 0: then the quotient is 0, and nothing panics.
    fn quotient(&self, function: &str, over: &Term, under: &Term, ty: &TokenStream) -> TokenStream {
        let (function, literal) = (super::here(function), under.as_literal().is_some());
        let (over, under) = (self.number(over, ty), self.number(under, ty));
        match literal {
            true => quote! { <#ty>::#function(#over, #under) },
            false => quote! { match #under { 0 => 0, __under => <#ty>::#function(#over, __under) } },
        }
    }

    /// The name with the span of the signature, where it stands there.
    fn variable(&self, name: &str) -> Ident {
        self.run_time.iter().find(|(own, _)| own == name).map_or_else(|| super::here(name), |(own, _)| own.clone())
    }

    /// The type of a shape.
    pub fn shape(&self, axes: &[Axis], mode: Mode) -> TokenStream {
        let dims = axes.iter().map(|axis| self.dim(&axis.size, mode));
        quote! { (#(#dims,)*) }
    }

    /// The value of a shape.
    pub fn shape_value(&self, axes: &[Axis]) -> TokenStream {
        let dims = axes.iter().map(|axis| self.dim_value(&axis.size));
        quote! { (#(#dims,)*) }
    }

    /// The element type of a recorded tensor.
    pub fn element_type(&self, element: &Element, mode: Mode) -> TokenStream {
        let own = &self.element;
        match element {
            Element::Real => quote! { #own },
            Element::Index(space) => {
                let space = self.dim(space, mode);
                quote! { ::ansatz::tensor::In<#space> }
            }
            Element::Truth => quote! { bool },
        }
    }

    /// The type of a recorded tensor.
    pub fn var(&self, ty: &Type, mode: Mode) -> TokenStream {
        let (shape, element) = (self.shape(&ty.axes, mode), self.element_type(&ty.element, mode));
        quote! { ::ansatz::tensor::Var<#shape, #element> }
    }

    /// A type of the program, placed where it is written: each dimension by name on that name, all else on the brackets.
    pub fn placed(&self, ty: TokenStream, written: &TensorType) -> TokenStream {
        let sizes = written.axes.iter().map(|axis| &axis.size).chain(&written.space);
        let mut names: Vec<(String, Span)> = sizes
            .filter_map(|size| match size {
                Size::Name(name) => {
                    let own = self.run_time.iter().find(|(own, _)| own == name);
                    let parameter = own.and_then(|(_, parameter)| parameter.as_ref());
                    Some((parameter.unwrap_or(name).to_string(), name.span()))
                }
                _ => None,
            })
            .collect();
        let [open, close] = written.ends;
        let mut place = |token: &TokenTree| {
            let own = names.iter().position(|(name, _)| token.to_string() == *name);
            own.map_or(open, |own| names.remove(own).1)
        };
        let mut placed: Vec<TokenTree> = spanned(ty, &mut place).into_iter().collect();
        if let Some(last) = placed.last_mut() {
            last.set_span(close);
        }
        placed.into_iter().collect()
    }

    /// The type of a tensor on the host.
    pub fn host(&self, ty: &Type, mode: Mode) -> TokenStream {
        let shape = self.shape(&ty.axes, mode);
        match &ty.element {
            Element::Index(space) => {
                let space = self.dim(space, mode);
                quote! { ::ansatz::tensor::Indices<#shape, #space> }
            }
            _ => {
                let element = self.element_type(&ty.element, mode);
                quote! { ::ansatz::tensor::Tensor<#shape, #element, ::ansatz::tensor::Cpu> }
            }
        }
    }
}

/// The type that an item knows of another one.
fn part(of: &TokenStream, position: usize) -> TokenStream {
    let position = Literal::usize_unsuffixed(position);
    quote! { <#of as ::ansatz::nn::Env<#position>>::T }
}

trait IntoToken {
    fn into_token(self) -> TokenStream;
}

impl IntoToken for Literal {
    fn into_token(self) -> TokenStream {
        TokenTree::from(self).into()
    }
}

/// `a * b * c`
fn joined(parts: &[TokenStream], operator: char) -> TokenStream {
    let operator = proc_macro2::Punct::new(operator, proc_macro2::Spacing::Alone);
    let mut parts = parts.iter();
    let first = parts.next();
    let rest = parts.map(|part| quote! { #operator #part });
    quote! { #first #(#rest)* }
}

/// The type `Axis<0>`, `Axes2<0, 1>`, …
pub fn axes(axes: &[usize]) -> TokenStream {
    let numbers = axes.iter().map(|axis| Literal::usize_unsuffixed(*axis));
    let name = match axes.len() {
        1 => super::here("Axis"),
        several => super::here(&format!("Axes{several}")),
    };
    quote! { ::ansatz::tensor::#name<#(#numbers),*> }
}

/// The same tokens, placed where they come from.
pub fn located(tokens: TokenStream, at: Span) -> TokenStream {
    spanned(tokens, &mut |token| token.span().located_at(at))
}

/// `struct Name<…> { … }`, whose outside stands at `at`: errors about it show that and not the whole `net!`.
pub fn structure(name: &Ident, generics: TokenStream, fields: TokenStream, at: Span) -> TokenStream {
    let [generics, fields] = [generics, fields].map(|tokens| outlined(tokens, at));
    quote_spanned! { at => struct #name #generics #fields }
}

/// The same tokens at `at`; what is in brackets keeps its places.
pub fn outlined(item: TokenStream, at: Span) -> TokenStream {
    let placed = item.into_iter().map(|mut tree| {
        tree.set_span(at);
        tree
    });
    placed.collect()
}

fn spanned(tokens: TokenStream, span: &mut dyn FnMut(&TokenTree) -> Span) -> TokenStream {
    let placed = tokens.into_iter().map(|mut tree| {
        let at = span(&tree);
        if let TokenTree::Group(group) = &tree {
            tree = Group::new(group.delimiter(), spanned(group.stream(), span)).into();
        }
        tree.set_span(at);
        tree
    });
    placed.collect()
}
