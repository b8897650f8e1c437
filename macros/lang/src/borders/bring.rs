//! A program with what its `use` lines bring.

use super::hidden::{hidden, rename, unpacked};
use super::{Entry, Import};
use crate::ast::{Broken, BrokenKind, Foreign, Item, Program, Route, Visibility};
use crate::parse::{parse, parse_after};
use crate::report::{Report, Reported};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use std::collections::BTreeMap;

/// Reads the content of a `net!` without its `use` lines, and adds what those brought.
pub fn program(imports: &[Import], input: TokenStream, report: &mut Report) -> Program {
    // What is declared once has one name here, its first.
    let mut names: BTreeMap<String, Ident> = BTreeMap::new();
    let mut others: BTreeMap<String, Ident> = BTreeMap::new();
    for Import { name, entries, .. } in imports {
        let first = names.entry(entries[0].id.to_string()).or_insert_with(|| name.clone());
        if first != name {
            others.insert(name.to_string(), first.clone());
        }
    }
    let input = match others.is_empty() {
        true => input,
        false => rename(input, &|name| others.get(name).cloned()),
    };
    let own = parse(input, report);
    let mut program = Program { numbered: own.numbered, ..Program::default() };
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for import in imports {
        let alias = import.entries[0].declares("dim");
        for (position, entry) in import.entries.iter().enumerate() {
            let id = entry.id.to_string();
            let route = match names.get(&id) {
                Some(name) if position == 0 && *name == import.name => Route::Path(import.path.clone()),
                None if entry.typed && alias => Route::Alias { of: import.path.clone(), position },
                None if entry.typed => Route::Part { of: import.path.clone(), position },
                _ => Route::None,
            };
            if let Some(&place) = places.get(&id) {
                let known: &mut Foreign = &mut program.foreign[place];
                if matches!(known.route, Route::None) || matches!(route, Route::Path(_)) {
                    known.route = route;
                }
                continue;
            }
            places.insert(id.clone(), program.foreign.len());
            let name = names.get(&id).unwrap_or(&entry.id).clone();
            // What comes along with something else is seen as far as that.
            let seen = if names.contains_key(&id) { entry } else { &import.entries[0] };
            bring(entry, &name, &seen.visibility, &names, &mut program);
            program.foreign.push(Foreign { name, id: entry.id.clone(), route });
        }
    }
    program.items.extend(own.items);
    program.sources.extend(own.sources);
    program.broken.extend(own.broken);
    program
}

/// Adds one declaration.
fn bring(
    entry: &Entry,
    name: &Ident,
    visibility: &TokenStream,
    names: &BTreeMap<String, Ident>,
    program: &mut Program,
) {
    let visibility = match visibility.to_string().replace(' ', "").as_str() {
        "pub" => quote! { pub },
        "pub(crate)" => quote! { pub(crate) },
        _ => TokenStream::new(),
    };
    let item = rename(unpacked(entry.item.clone()), &|name| names.get(name).cloned());
    // It was read without errors where it is declared.
    let mut read = parse_after(quote! { #visibility #item }, program.numbered, &mut Report::new());
    program.numbered = read.numbered;
    let Some(item) = read.items.pop() else {
        let visibility = Visibility { tokens: visibility };
        program.broken.push(Broken {
            name: name.clone(),
            visibility,
            kind: BrokenKind::Foreign,
            lost: Reported::elsewhere(),
        });
        return;
    };
    program.items.push(item);
    program.sources.push(entry.item.clone());
}

impl Program {
    /// The hidden names of all that a program declares or takes from elsewhere, by their names in it.
    pub fn ids(&self) -> BTreeMap<String, Ident> {
        let mut ids: BTreeMap<String, Ident> =
            self.foreign.iter().map(|foreign| (foreign.name.to_string(), foreign.id.clone())).collect();
        let broken = self.broken.iter().filter(|broken| broken.kind != BrokenKind::Foreign).map(|broken| &broken.name);
        for name in self.items.iter().map(Item::name).chain(broken) {
            ids.entry(name.to_string()).or_insert_with(|| hidden(name));
        }
        ids
    }
}
