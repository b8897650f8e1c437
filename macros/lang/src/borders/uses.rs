//! `use path::Name;`, `use path::{A, B as C};`

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};

/// A name that is declared elsewhere.
#[derive(Clone, Debug)]
pub struct Use {
    /// What stood before `use`.
    pub visibility: TokenStream,
    /// The whole path.
    pub path: TokenStream,
    /// The name here.
    pub name: Ident,
}

/// What is wrong with a `use`.
#[derive(Debug)]
pub struct Fault {
    /// The wrong token.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What would mend it.
    pub help: String,
}

/// The `use` lines of a `net!`, and its other content. Lines that cannot be read stay, for the parser to report.
pub fn split(input: TokenStream) -> (Vec<Use>, TokenStream) {
    let trees: Vec<TokenTree> = input.into_iter().collect();
    let (mut uses, mut rest, mut at) = (vec![], vec![], 0);
    while let Some(tree) = trees.get(at) {
        let end = trees[at..].iter().position(|tree| is(tree, ';')).map(|length| at + length);
        if let (TokenTree::Ident(word), Some(end)) = (tree, end)
            && word == "use"
        {
            let start = visibility(&rest);
            // An attribute would fall to the next item.
            let attribute = matches!(rest.get(..start), Some([.., TokenTree::Punct(hash), TokenTree::Group(_)]) if hash.as_char() == '#');
            if let (false, Ok(mut found)) = (attribute, read(&trees[at + 1..end])) {
                let visibility: TokenStream = rest.drain(start..).collect();
                found.iter_mut().for_each(|a| a.visibility = visibility.clone());
                uses.extend(found);
                at = end + 1;
                continue;
            }
        }
        rest.push(tree.clone());
        at += 1;
    }
    (uses, rest.into_iter().collect())
}

/// Where the visibility begins that these tokens end with.
fn visibility(before: &[TokenTree]) -> usize {
    let public = |at: usize| matches!(before.get(at), Some(TokenTree::Ident(word)) if word == "pub");
    let restricted =
        matches!(before.last(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
    match before.len() {
        length if length >= 1 && public(length - 1) => length - 1,
        length if length >= 2 && restricted && public(length - 2) => length - 2,
        length => length,
    }
}

fn is(tree: &TokenTree, character: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Reads what stands between `use` and `;`.
pub fn read(trees: &[TokenTree]) -> Result<Vec<Use>, Fault> {
    let mut uses = vec![];
    branch(trees, vec![], Span::call_site(), &mut uses)?;
    Ok(uses)
}

/// A path, or the rest of one behind `before`.
fn branch(trees: &[TokenTree], before: Vec<TokenTree>, here: Span, uses: &mut Vec<Use>) -> Result<(), Fault> {
    let mut path = before;
    let mut rest = trees;
    if let [a, b, tail @ ..] = rest
        && path.is_empty()
        && is(a, ':')
        && is(b, ':')
    {
        path.extend([a.clone(), b.clone()]);
        rest = tail;
    }
    loop {
        let span = rest.first().map_or(here, TokenTree::span);
        match rest {
            [TokenTree::Ident(name), a, b, tail @ ..] if is(a, ':') && is(b, ':') => {
                path.extend([name.clone().into(), a.clone(), b.clone()]);
                rest = tail;
            }
            [TokenTree::Group(group)] if group.delimiter() == Delimiter::Brace && !path.is_empty() => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                for part in inner.split(|tree| is(tree, ',')).filter(|part| !part.is_empty()) {
                    branch(part, path.clone(), group.span(), uses)?;
                }
                return Ok(());
            }
            [TokenTree::Ident(name), TokenTree::Ident(word), TokenTree::Ident(other)]
                if word == "as" && other != "_" =>
            {
                path.push(named(name)?.into());
                uses.push(Use {
                    visibility: TokenStream::new(),
                    path: path.into_iter().collect(),
                    name: other.clone(),
                });
                return Ok(());
            }
            [TokenTree::Ident(name)] => {
                path.push(named(name)?.into());
                uses.push(Use { visibility: TokenStream::new(), path: path.into_iter().collect(), name: name.clone() });
                return Ok(());
            }
            [tree] if is(tree, '*') => {
                let message = "`net!` takes names from elsewhere one by one, not all that there are".to_owned();
                return Err(Fault { span, message, help: "name them: `use path::{A, B};`".to_owned() });
            }
            _ => {
                let message = "a name from elsewhere is expected here".to_owned();
                return Err(Fault {
                    span,
                    message,
                    help: "write `use path::Name;` or `use path::{A, B as C};`".to_owned(),
                });
            }
        }
    }
}

fn named(name: &Ident) -> Result<Ident, Fault> {
    match name.to_string().as_str() {
        word @ ("self" | "super" | "crate" | "Self") => {
            let message = format!("`{word}` is no dim and no net");
            Err(Fault { span: name.span(), message, help: "name what stands inside: `use path::{A, B};`".to_owned() })
        }
        _ => Ok(name.clone()),
    }
}
