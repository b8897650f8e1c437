//! What other `net!`s need of a declaration: a macro of its name that passes on its tokens and those of all that it
//! mentions, and the types that it mentions.

use super::dims::{Spelling, Types, home};
use super::here;
use crate::ast::{Item, Program, Visibility};
use crate::borders::{Entry, packed, rename};
use crate::infer::{Inferred, Reach};
use crate::resolve::{Names, reach};
use crate::terms::Atom;
use proc_macro2::{Ident, Literal, TokenStream, TokenTree};
use quote::quote;
use std::collections::{BTreeMap, HashSet};

/// A declaration as others get it.
#[derive(Debug)]
pub struct Export {
    /// Its name.
    pub name: Ident,
    /// How far it is seen.
    pub visibility: TokenStream,
    /// The declaration, then all that it mentions.
    pub entries: Vec<Entry>,
    /// The types of those that are typed, each a place among the entries and a type over `Element`.
    types: Types,
    /// The struct that knows them.
    keeper: TokenStream,
}

impl Export {
    /// The macro takes whom to call, and what to pass on behind the entries.
    pub fn tokens(&self) -> TokenStream {
        let Export { name, visibility, entries, types, keeper } = self;
        let id = &entries[0].id;
        let passed_on = entries.iter().map(Entry::tokens);
        let everywhere = (visibility.to_string() == "pub").then(|| quote! { #[macro_export] });
        let types = types.iter().map(|(position, ty)| {
            let position = Literal::usize_unsuffixed(*position);
            let element = (!entries[0].declares("dim")).then(|| here("Element"));
            let bounds = element.iter().map(|element| quote! { <#element: ::ansatz::tensor::Float> });
            quote! {
                #[automatically_derived]
                impl #(#bounds)* ::ansatz::nn::Env<#position> for #keeper {
                    type T = #ty;
                }
            }
        });
        quote! {
            #[doc(hidden)]
            #[allow(unused_macros, non_local_definitions)]
            #everywhere
            macro_rules! #id {
                ({ $($back:tt)* } $($rest:tt)*) => { $($back)* ! { (#(#passed_on)*) { $($back)* } $($rest)* } };
            }
            #[doc(hidden)]
            #[allow(unused_imports)]
            #visibility use #id as #name;
            #(#types)*
        }
    }
}

/// A declaration in hidden names.
struct Source<'a> {
    name: &'a Ident,
    id: &'a Ident,
    visibility: &'a Visibility,
    tokens: TokenStream,
    /// The declarations that it mentions, by their places.
    mentions: Vec<usize>,
}

/// Everything that a program declares or takes from elsewhere.
pub struct Sources<'p, 'a> {
    names: &'p Names<'a>,
    all: Vec<Source<'p>>,
    /// The nets that have a struct of their name.
    structs: HashSet<String>,
    /// One more name of a struct takes the macro of the struct along.
    renamed: HashSet<String>,
}

impl<'p, 'a> Sources<'p, 'a> {
    pub fn new(
        program: &'p Program,
        ids: &'p BTreeMap<String, Ident>,
        names: &'p Names<'a>,
        inferred: &Inferred<'_>,
    ) -> Self {
        let failed = failed(names, inferred);
        let mut all: Vec<Source<'p>> = vec![];
        let items = program.items.iter().zip(&program.sources).map(|(item, tokens)| {
            let visibility = match item {
                Item::Dim(dim) => &dim.visibility,
                Item::Net(net) => &net.visibility,
                Item::Alias(alias) => &alias.visibility,
            };
            let tokens = match names.foreign(item.name()) {
                _ if failed.contains(&item.name().to_string()) => TokenStream::new(),
                Some(_) => tokens.clone(),
                None => packed(rename(tokens.clone(), &|name| ids.get(name).cloned())),
            };
            (item.name(), visibility, tokens)
        });
        let broken = program.broken.iter().filter(|broken| ids.contains_key(&broken.name.to_string()));
        let broken = broken.map(|broken| (&broken.name, &broken.visibility, TokenStream::new()));
        for (name, visibility, tokens) in items.chain(broken) {
            if all.iter().all(|source| source.name != name) {
                all.push(Source { name, id: &ids[&name.to_string()], visibility, tokens, mentions: vec![] });
            }
        }
        let places: BTreeMap<String, usize> =
            all.iter().enumerate().map(|(i, source)| (source.id.to_string(), i)).collect();
        for source in &mut all {
            mentions(source.tokens.clone(), &places, &mut source.mentions);
        }
        let named = inferred.nets.iter().filter(|net| matches!(net.reach, Reach::Named | Reach::Abroad));
        let named = named.map(|net| net.name.to_string());
        let structs = named.chain(inferred.templates.iter().map(|template| template.item.name.to_string()));
        let structs = structs.filter(|name| !failed.contains(name)).collect();
        let renamed = inferred.aliases.iter().filter(|alias| alias.net.is_some());
        let renamed = renamed.map(|alias| alias.item.name.to_string()).collect();
        Sources { names, all, structs, renamed }
    }

    /// What the program itself declares.
    pub fn exports(&self) -> Vec<Export> {
        let own = self.all.iter().enumerate().filter(|(_, source)| self.names.foreign(source.name).is_none());
        let own = own.filter(|(_, source)| !self.renamed.contains(&source.name.to_string()));
        own.map(|(place, source)| self.export(place, source)).collect()
    }

    /// The private dimensions whose types others get with what mentions them.
    pub fn travelling(&self) -> HashSet<String> {
        let mut found = HashSet::new();
        for (place, user) in self.all.iter().enumerate() {
            for source in self.closure(place).into_iter().map(|place| &self.all[place]) {
                if !seen_as_far(source.visibility, user.visibility) {
                    found.insert(source.name.to_string());
                }
            }
        }
        found
    }

    /// The types that an alias of a dimension passes on.
    pub fn mentioned(&self, name: &Ident) -> Types {
        let place = self.all.iter().position(|source| source.name == name);
        place.map_or_else(Types::new, |place| self.types(&self.all[place], &self.closed(place)))
    }

    /// The types that a declaration passes on with its macro.
    fn types(&self, source: &Source<'_>, closure: &[&Source<'_>]) -> Types {
        let name = source.name.to_string();
        if source.tokens.is_empty() || !(self.structs.contains(&name) || self.names.dim(&name).is_some()) {
            return Types::new();
        }
        let others = closure.iter().enumerate().skip(1);
        others.filter_map(|(i, other)| Some((i, self.ty(other, source)?))).collect()
    }

    fn closed(&self, place: usize) -> Vec<&Source<'_>> {
        self.closure(place).into_iter().map(|place| &self.all[place]).collect()
    }

    fn export(&self, place: usize, source: &Source<'_>) -> Export {
        let closure = self.closed(place);
        let types = self.types(source, &closure);
        let entry = |(i, source): (usize, &&Source<'_>)| Entry {
            id: source.id.clone(),
            visibility: source.visibility.tokens.clone(),
            item: source.tokens.clone(),
            typed: types.iter().any(|(position, _)| *position == i),
        };
        let entries = closure.iter().enumerate().map(entry).collect();
        let (name, element) = (source.name, here("Element"));
        let keeper = match self.names.dim(&name.to_string()) {
            Some(_) => {
                let home = home(name);
                quote! { #home::Parts }
            }
            None => quote! { #name<#element> },
        };
        Export { name: name.clone(), visibility: source.visibility.tokens.clone(), entries, types, keeper }
    }

    /// A declaration and all that it mentions.
    fn closure(&self, place: usize) -> Vec<usize> {
        let mut found = vec![place];
        let mut next = 0;
        while let Some(&place) = found.get(next) {
            for &mentioned in &self.all[place].mentions {
                if !found.contains(&mentioned) {
                    found.push(mentioned);
                }
            }
            next += 1;
        }
        found
    }

    /// The type of a declaration over `Element`, if whoever sees `user` may know it.
    fn ty(&self, source: &Source<'_>, user: &Source<'_>) -> Option<TokenStream> {
        let (name, element) = (source.name.to_string(), here("Element"));
        let spelling = Spelling::of(self.names, element);
        if let Some(dim) = self.names.dim(&name) {
            let own = matches!(dim.term.as_atom(), Some(Atom::Nominal { name: nominal, .. }) if *nominal == name);
            return own.then(|| spelling.dimension(source.name));
        }
        let seen = self.structs.contains(&name) && seen_as_far(source.visibility, user.visibility);
        seen.then(|| spelling.net(source.name, None))
    }
}

/// Whether an item is seen by all who see the other one.
fn seen_as_far(item: &Visibility, other: &Visibility) -> bool {
    reach(item) == 2 || other.is_private() || item.tokens.to_string() == other.tokens.to_string()
}

/// The declarations that hold an error.
fn failed(names: &Names<'_>, inferred: &Inferred<'_>) -> HashSet<String> {
    let nets = inferred.nets.iter().filter(|net| net.reach == Reach::Named);
    let nets = nets.filter(|net| !net.is_typed() || net.body.is_err()).map(|net| net.name.to_string());
    let templates = inferred.templates.iter().filter(|template| template.failed);
    let aliases = inferred.aliases.iter().filter(|alias| alias.net.is_none());
    nets.chain(templates.map(|template| template.item.name.to_string()))
        .chain(aliases.map(|alias| alias.item.name.to_string()))
        .chain(names.broken.keys().cloned())
        .collect()
}

fn mentions(tokens: TokenStream, places: &BTreeMap<String, usize>, found: &mut Vec<usize>) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => mentions(group.stream(), places, found),
            TokenTree::Ident(name) => {
                let place = places.get(&name.to_string()).copied();
                found.extend(place.filter(|place| !found.contains(place)));
            }
            _ => {}
        }
    }
}
