//! Names across modules and crates.
//!
//! Every declaration becomes, besides its Rust, a macro of the same name that passes on its tokens and those of all
//! that it mentions. A `net!` with `use` lines calls those macros one after the other; each calls back with what it
//! has and with what was collected before, and the last call expands the whole. What a foreign declaration mentions
//! has hidden names here, so that equal names of two modules never meet.

mod bring;
mod hidden;
mod uses;

pub use bring::program;
use hidden::expansion;
pub use hidden::{alike, is_hidden, packed, plain, rename, shown};
pub use uses::{Use, read, split};

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::quote;

/// What a `use` brings.
#[derive(Clone, Debug)]
pub struct Import {
    /// The name here.
    pub name: Ident,
    /// The path as it is written.
    pub path: TokenStream,
    /// The declaration, then all that it mentions.
    pub entries: Vec<Entry>,
}

/// A declaration on its way from one `net!` to another.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its hidden name, which no other declaration has.
    pub id: Ident,
    /// How far it is seen where it is declared.
    pub visibility: TokenStream,
    /// The declaration in hidden names; nothing if it holds an error.
    pub item: TokenStream,
    /// Whether the first entry knows the type of this one.
    pub typed: bool,
}

impl Import {
    /// Reads what an exported macro passes on; `None` if it is something else.
    pub fn new(name: Ident, path: TokenStream, entries: TokenStream) -> Option<Self> {
        let entries: Option<Vec<Entry>> = entries.into_iter().map(Entry::read).collect();
        Some(Import { name, path, entries: entries.filter(|entries| !entries.is_empty())? })
    }
}

impl Entry {
    /// `(Embed__ansatz_… {pub} {dim Embed__ansatz_… = 64;} typed)`
    pub fn tokens(&self) -> TokenStream {
        let Entry { id, visibility, item, typed } = self;
        let typed = typed.then(|| quote! { typed });
        quote! { (#id {#visibility} {#item} #typed) }
    }

    /// Whether it is declared with this word.
    pub fn declares(&self, keyword: &str) -> bool {
        matches!(self.item.clone().into_iter().next(), Some(TokenTree::Ident(word)) if word == keyword)
    }

    fn read(tree: TokenTree) -> Option<Self> {
        let mut parts = group(tree, Delimiter::Parenthesis)?.stream().into_iter();
        let TokenTree::Ident(id) = parts.next()? else { return None };
        let visibility = group(parts.next()?, Delimiter::Brace)?.stream();
        let item = group(parts.next()?, Delimiter::Brace)?.stream();
        Some(Entry { id, visibility, item, typed: parts.next().is_some() })
    }
}

fn group(tree: TokenTree, delimiter: Delimiter) -> Option<Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// A name that is called when all before it are collected.
struct Pending {
    /// The macro under a name of its own.
    call: Ident,
    name: Ident,
    path: TokenStream,
}

/// What a `net!` with `use` lines becomes at first: imports, and the call of the first of them.
pub fn start(uses: &[Use], rest: &TokenStream) -> TokenStream {
    let pending: Vec<Pending> =
        uses.iter().map(|a| Pending { call: call(a), name: a.name.clone(), path: a.path.clone() }).collect();
    let imports = pending.iter().map(|Pending { call, path, .. }| {
        quote! {
            #[allow(unused_imports)]
            use #path as #call;
        }
    });
    let again = uses.iter().filter(|a| !a.visibility.is_empty()).map(|Use { visibility, path, name }| {
        quote! {
            #[allow(unused_imports)]
            #visibility use #path as #name;
        }
    });
    let first = next(&quote! { ::ansatz::__import }, TokenStream::new(), &pending, rest);
    quote! { #(#imports)* #(#again)* #first }
}

/// If the item has no such macro, rustc says that there is none of this name: so it reads as what is wrong. Its place and
/// the expansion that it comes from tell it from others.
fn call(a: &Use) -> Ident {
    let (name, span) = (a.name.to_string(), a.name.span());
    let inner = expansion(span).map_or_else(String::new, |number| format!("_{number}"));
    let (name, at) = (name.trim_start_matches("r#"), span.start());
    Ident::new(&format!("{name}_is_no_dim_or_net_{}_{}{inner}", at.line, at.column), span)
}

/// The call of the first name that is pending. It answers with `$back ! { (entries) {back} (name {path}) [done] [pending] {rest} }`.
fn next(back: &TokenStream, done: TokenStream, pending: &[Pending], rest: &TokenStream) -> TokenStream {
    let Some((Pending { call, name, path }, pending)) = pending.split_first() else { return TokenStream::new() };
    let pending = pending.iter().map(|Pending { call, name, path }| quote! { (#call #name {#path}) });
    quote! { #call! { {#back} (#name {#path}) [#done] [#(#pending)*] {#rest} } }
}

/// What follows on the answer of an exported macro.
pub enum Step {
    /// The call of the next one.
    Next(TokenStream),
    /// All are collected: the imports, and the content of the `net!` without its `use` lines.
    Last(Vec<Import>, TokenStream),
}

/// Reads the answer of an exported macro; `None` if it is none.
pub fn step(answer: TokenStream) -> Option<Step> {
    let mut parts = answer.into_iter();
    let mut part = |delimiter| Some(group(parts.next()?, delimiter)?.stream());
    let entries = part(Delimiter::Parenthesis)?;
    let back = part(Delimiter::Brace)?;
    let current = part(Delimiter::Parenthesis)?;
    let done = part(Delimiter::Bracket)?;
    let pending = part(Delimiter::Bracket)?;
    let rest = part(Delimiter::Brace)?;
    let done = quote! { #done (#current (#entries)) };
    let pending = pending.into_iter().map(|tree| {
        let mut parts = group(tree, Delimiter::Parenthesis)?.stream().into_iter();
        let (TokenTree::Ident(call), TokenTree::Ident(name)) = (parts.next()?, parts.next()?) else { return None };
        Some(Pending { call, name, path: group(parts.next()?, Delimiter::Brace)?.stream() })
    });
    let pending: Vec<Pending> = pending.collect::<Option<_>>()?;
    if !pending.is_empty() {
        return Some(Step::Next(next(&back, done, &pending, &rest)));
    }
    let imports = done.into_iter().map(|tree| {
        let mut parts = group(tree, Delimiter::Parenthesis)?.stream().into_iter();
        let TokenTree::Ident(name) = parts.next()? else { return None };
        let path = group(parts.next()?, Delimiter::Brace)?.stream();
        Import::new(name, path, group(parts.next()?, Delimiter::Parenthesis)?.stream())
    });
    Some(Step::Last(imports.collect::<Option<_>>()?, rest))
}
