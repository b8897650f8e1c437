//! What a file of Rust names, as the rules of the house look at it: every path, whole and from the root of its crate, and
//! every `match` with an arm for all that is left.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeSet, HashMap};
use syn::visit::{self, Visit};

/// A path that a file names.
#[derive(Debug)]
pub struct Named {
    /// Its segments: `["crate", "graph", "Op", "MatMul"]`.
    pub path: Vec<String>,
    pub line: usize,
}

/// A `match` that ends in an arm for all that is left.
#[derive(Debug)]
pub struct Wildcard {
    /// The paths in the patterns of its other arms.
    pub over: Vec<Vec<String>>,
    pub line: usize,
}

/// What a file says outside of its tests.
#[derive(Debug, Default)]
pub struct Source {
    pub names: Vec<Named>,
    pub wildcards: Vec<Wildcard>,
    /// The lines with `unsafe` on them.
    pub unsafes: Vec<usize>,
    /// The modules in files of their own that only tests have.
    pub test_modules: BTreeSet<Vec<String>>,
}

/// The module of a file: `["crate", "graph", "build"]` of `graph/build.rs`, which is given below its `src`.
pub fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let inside = path.split('/').filter(|name| !["lib", "mod"].contains(name));
    std::iter::once("crate").chain(inside).map(str::to_owned).collect()
}

/// Reads the text of a file.
pub fn read(file: &str, text: &str) -> Source {
    let tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut reader = Reader { module: module(file), imports: vec![imports(&tree.items)], source: Source::default() };
    reader.visit_file(&tree);
    reader.source
}

struct Reader {
    module: Vec<String>,
    /// For each module around this place, what its `use` lines bring, by the names they give it.
    imports: Vec<HashMap<String, Vec<String>>>,
    source: Source,
}

impl Reader {
    /// The path from the root of the crate, as far as this file alone shows it.
    fn whole(&self, segments: &[String]) -> Vec<String> {
        let mut path = segments.to_vec();
        // A `use` may go through another one.
        for _ in 0..8 {
            match self.imports.last().and_then(|imports| imports.get(&path[0])) {
                Some(target) if target[0] != path[0] => {
                    path.splice(0..1, target.iter().cloned());
                }
                _ => break,
            }
        }
        // What else begins with a capital may be a variant of an enum that is opened by a `use Enum::*;`.
        let opened = self.imports.last().and_then(|imports| imports.get("*"));
        if let Some([target @ .., _]) = opened.map(Vec::as_slice)
            && is_type(&path[0])
            && !["Some", "None", "Ok", "Err", "Self"].contains(&&*path[0])
            && path == segments
        {
            path.splice(0..0, target.iter().cloned());
        }
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        if ups > 0 || path[0] == "self" {
            let base = self.module[..self.module.len().saturating_sub(ups)].to_vec();
            path.splice(0..ups.max(1), base);
        }
        path
    }

    fn name(&mut self, segments: &[String], line: usize) {
        if !segments.is_empty() {
            let path = self.whole(segments);
            self.source.names.push(Named { path, line });
        }
    }

    /// The paths of tokens that syn does not read: those of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let punct = |at: usize| matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        let (mut at, mut path, mut line) = (0, Vec::<String>::new(), 0);
        // What begins with `::` is a path of another crate.
        let mut foreign = false;
        while at < trees.len() {
            match &trees[at] {
                TokenTree::Ident(ident) if path.is_empty() && !foreign => {
                    (path, line) = (vec![ident.to_string()], ident.span().start().line);
                }
                TokenTree::Ident(ident) if !path.is_empty() => path.push(ident.to_string()),
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            at += 1;
            let goes_on = punct(at) && punct(at + 1);
            if !goes_on {
                self.name(&path, line);
                path.clear();
                foreign = false;
            } else {
                foreign |= path.is_empty();
                at += 2;
            }
        }
    }

    fn unsafe_function(&mut self, signature: &syn::Signature) {
        if matches!(signature.safety, syn::Safety::Unsafe(_)) {
            self.source.unsafes.push(signature.fn_token.span.start().line);
        }
    }

    fn within(&mut self, attributes: &[syn::Attribute], go_on: impl FnOnce(&mut Self)) {
        if !attributes.iter().any(is_test) {
            go_on(self);
        }
    }
}

/// `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`
fn is_test(attribute: &syn::Attribute) -> bool {
    let tested = |tokens: &TokenStream| {
        let words: Vec<String> = flat(tokens.clone());
        words.contains(&"test".to_owned()) && !words.contains(&"not".to_owned())
    };
    match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) => list.path.is_ident("cfg") && tested(&list.tokens),
        syn::Meta::NameValue(_) => false,
    }
}

fn flat(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().flat_map(|tree| match tree {
        TokenTree::Group(group) => flat(group.stream()),
        other => vec![other.to_string()],
    });
    words.collect()
}

/// What the `use` lines of a module bring, those inside of its functions too.
fn imports(items: &[syn::Item]) -> HashMap<String, Vec<String>> {
    struct Imports(HashMap<String, Vec<String>>);
    impl<'a> Visit<'a> for Imports {
        fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
            if item.leading_colon.is_none() {
                leaves(&item.tree, &mut Vec::new(), &mut |path, name, _| {
                    // Of what is opened by a star, enums alone say what their names are.
                    let enumerated = |path: &[String]| path.iter().rev().nth(1).is_some_and(|name| is_type(name));
                    if name != "*" || enumerated(path) {
                        self.0.insert(name.to_owned(), path.to_vec());
                    }
                });
            }
        }
        fn visit_item_mod(&mut self, _: &'a syn::ItemMod) {}
    }
    let mut imports = Imports(HashMap::new());
    items.iter().for_each(|item| imports.visit_item(item));
    imports.0
}

/// Every path of a `use`, the name that it gets, and its line. `a::{self, b as c, d::*}` has three.
fn leaves(tree: &syn::UseTree, path: &mut Vec<String>, leaf: &mut dyn FnMut(&[String], &str, usize)) {
    let length = path.len();
    match tree {
        syn::UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            leaves(&inner.tree, path, leaf);
        }
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, path, leaf)),
        syn::UseTree::Name(name) => {
            let line = name.ident.span().start().line;
            if name.ident != "self" {
                path.push(name.ident.to_string());
            }
            if let Some(last) = path.last().cloned() {
                leaf(path, &last, line);
            }
        }
        syn::UseTree::Rename(rename) => {
            if rename.ident != "self" {
                path.push(rename.ident.to_string());
            }
            leaf(path, &rename.rename.to_string(), rename.ident.span().start().line);
        }
        syn::UseTree::Glob(star) => {
            path.push("*".to_owned());
            leaf(path, "*", star.star_token.spans[0].start().line);
        }
    }
    path.truncate(length);
}

fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Whether a pattern takes everything; one with a condition does not.
fn takes_all(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Wild(_) => true,
        syn::Pat::Ident(name) => {
            name.subpat.is_none()
                && name.ident.to_string().starts_with(|first: char| first.is_lowercase() || first == '_')
        }
        syn::Pat::Paren(inner) => takes_all(&inner.pat),
        syn::Pat::Reference(inner) => takes_all(&inner.pat),
        syn::Pat::Or(cases) => cases.cases.iter().any(takes_all),
        syn::Pat::Tuple(tuple) => tuple.elems.iter().all(takes_all),
        syn::Pat::Rest(_) => true,
        _ => false,
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Macro(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            // Modules look at their own.
            _ => &vec![],
        };
        self.within(attributes, |reader| visit::visit_item(reader, item));
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.module.push(item.ident.to_string());
        match &item.content {
            Some((_, items)) => self.within(&item.attrs, |reader| {
                reader.imports.push(imports(items));
                visit::visit_item_mod(reader, item);
                reader.imports.pop();
            }),
            None if item.attrs.iter().any(is_test) => {
                self.source.test_modules.insert(self.module.clone());
            }
            None => {}
        }
        self.module.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.unsafe_function(&item.sig);
        self.within(&item.attrs, |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if item.leading_colon.is_none() {
            let mut found = Vec::new();
            leaves(&item.tree, &mut Vec::new(), &mut |path, _, line| found.push((path.to_vec(), line)));
            found.into_iter().for_each(|(path, line)| self.name(&path, line));
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.leading_colon.is_none() {
            let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
            self.name(&segments(path), line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'a syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_expr_match(&mut self, item: &'a syn::ExprMatch) {
        struct Paths(Vec<Vec<String>>);
        impl<'a> Visit<'a> for Paths {
            fn visit_path(&mut self, path: &'a syn::Path) {
                self.0.push(segments(path));
                visit::visit_path(self, path);
            }
        }
        if item.arms.iter().any(|arm| takes_all(&arm.pat)) {
            let mut paths = Paths(Vec::new());
            item.arms.iter().for_each(|arm| paths.visit_pat(&arm.pat));
            let over = paths.0.iter().map(|path| self.whole(path)).collect();
            self.source.wildcards.push(Wildcard { over, line: item.match_token.span.start().line });
        }
        visit::visit_expr_match(self, item);
    }

    fn visit_expr_unsafe(&mut self, item: &'a syn::ExprUnsafe) {
        self.source.unsafes.push(item.unsafe_token.span.start().line);
        visit::visit_expr_unsafe(self, item);
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.unsafe_function(&item.sig);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.source.unsafes.push(item.impl_token.span.start().line);
        }
        visit::visit_item_impl(self, item);
    }
}
