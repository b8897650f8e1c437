//! Hidden names: `Embed__ansatz_` and sixteen hexadecimal digits. No two declarations have the same, and no user reads one.

use proc_macro2::{Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

const MARK: &str = "__ansatz_";
const DIGITS: usize = 16;

/// The hidden name of what is declared at this place under this name.
pub fn hidden(name: &Ident) -> Ident {
    let mut hasher = DefaultHasher::new();
    let home = ["CARGO_CRATE_NAME", "CARGO_PKG_VERSION"].map(|variable| std::env::var(variable).unwrap_or_default());
    for span in [name.span(), Span::call_site()] {
        let start = span.start();
        (span.file(), start.line, start.column, expansion(span)).hash(&mut hasher);
    }
    (home, name.to_string()).hash(&mut hasher);
    let plain = name.to_string();
    Ident::new(&format!("{}{MARK}{:016x}", plain.trim_start_matches("r#"), hasher.finish()), name.span())
}

/// The number of the expansion that a token comes from: none where it stands in a file. It tells the expansions of one
/// `macro_rules!` apart, and its debug form is all that stable Rust shows of it.
pub fn expansion(span: Span) -> Option<usize> {
    let debug = format!("{span:?}");
    let digits: String = debug.strip_prefix('#')?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|number| *number > 0)
}

/// Whether a name is a hidden one.
pub fn is_hidden(name: &str) -> bool {
    find(name).is_some()
}

/// Where the next hidden part of a text begins.
fn find(text: &str) -> Option<usize> {
    text.match_indices(MARK).map(|(at, _)| at).find(|at| {
        let digits = text.as_bytes().get(at + MARK.len()..at + MARK.len() + DIGITS);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// The text with names as their authors wrote them.
pub fn plain(text: &str) -> Cow<'_, str> {
    let Some(mut at) = find(text) else { return Cow::Borrowed(text) };
    let (mut shown, mut rest) = (String::new(), text);
    loop {
        shown.push_str(&rest[..at]);
        rest = &rest[at + MARK.len() + DIGITS..];
        match find(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// The hidden names of a text that look like another name of it.
pub fn alike(text: &str) -> Vec<String> {
    let words = || text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let mut found: Vec<String> = vec![];
    for word in words().filter(|word| is_hidden(word)) {
        let name = plain(word);
        if words().any(|other| other != word && plain(other) == name) && !found.iter().any(|seen| *seen == name) {
            found.push(name.into_owned());
        }
    }
    found
}

/// The tokens with plain names in their texts.
pub fn shown(tokens: TokenStream) -> TokenStream {
    let tree = |tree| match tree {
        TokenTree::Group(group) => {
            let mut plain = proc_macro2::Group::new(group.delimiter(), shown(group.stream()));
            plain.set_span(group.span());
            plain.into()
        }
        TokenTree::Literal(literal) => {
            let text = literal.to_string();
            match plain(&text).parse::<Literal>() {
                Ok(mut shorter) if is_hidden(&text) => {
                    shorter.set_span(literal.span());
                    shorter.into()
                }
                _ => literal.into(),
            }
        }
        other => other,
    };
    tokens.into_iter().map(tree).collect()
}

/// The tokens with other names for what is declared. Labels, names of arguments and of results, and paths keep theirs.
pub fn rename(tokens: TokenStream, to: &dyn Fn(&str) -> Option<Ident>) -> TokenStream {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let punct = |at: usize, character| matches!(trees.get(at), Some(TokenTree::Punct(p)) if p.as_char() == character);
    let joint = |at: usize| matches!(trees.get(at), Some(TokenTree::Punct(p)) if p.spacing() == Spacing::Joint);
    let double = |at: usize| punct(at, ':') && joint(at) && punct(at + 1, ':');
    let declares = |at: usize| matches!(trees.get(at), Some(TokenTree::Ident(word)) if ["let", "net", "flow", "dim"].iter().any(|w| word == w));
    let renamed = trees.iter().enumerate().map(|(i, tree)| match tree {
        TokenTree::Group(group) => {
            let mut inner = proc_macro2::Group::new(group.delimiter(), rename(group.stream(), to));
            inner.set_span(group.span());
            inner.into()
        }
        TokenTree::Ident(name) => {
            let in_path = double(i + 1) || (i >= 2 && double(i - 2));
            let label = punct(i + 1, ':') && !double(i + 1);
            let equals = punct(i + 1, '=') && !(joint(i + 1) && (punct(i + 2, '=') || punct(i + 2, '>')));
            let argument = equals && !(i >= 1 && declares(i - 1));
            match to(&name.to_string()).filter(|_| !in_path && !label && !argument) {
                Some(other) => other.into(),
                None => tree.clone(),
            }
        }
        other => other.clone(),
    });
    renamed.collect()
}

/// The tokens as a macro can pass them on: with `$crate` for `crate`, and with `=>` for `|>`, which a macro would take
/// apart, as it is no operator of Rust.
pub fn packed(tokens: TokenStream) -> TokenStream {
    pairs(tokens, ['|', '>'], ['=', '>'], true)
}

/// The tokens as they were, with `|>`.
pub fn unpacked(tokens: TokenStream) -> TokenStream {
    pairs(tokens, ['=', '>'], ['|', '>'], false)
}

fn pairs(tokens: TokenStream, from: [char; 2], to: [char; 2], rooted: bool) -> TokenStream {
    let mut trees: Vec<TokenTree> = vec![];
    let mut rest = tokens.into_iter().peekable();
    while let Some(tree) = rest.next() {
        let first = matches!(&tree, TokenTree::Punct(p) if p.as_char() == from[0] && p.spacing() == Spacing::Joint);
        match tree {
            TokenTree::Group(group) => {
                let mut inner = proc_macro2::Group::new(group.delimiter(), pairs(group.stream(), from, to, rooted));
                inner.set_span(group.span());
                trees.push(inner.into());
            }
            TokenTree::Ident(word) if rooted && word == "crate" => {
                trees.extend([TokenTree::from(Punct::new('$', Spacing::Alone)), word.into()]);
            }
            tree if first && matches!(rest.peek(), Some(TokenTree::Punct(p)) if p.as_char() == from[1]) => {
                let spans = [tree.span(), rest.next().map_or_else(Span::call_site, |second| second.span())];
                for ((character, spacing), span) in to.into_iter().zip([Spacing::Joint, Spacing::Alone]).zip(spans) {
                    let mut punct = Punct::new(character, spacing);
                    punct.set_span(span);
                    trees.push(punct.into());
                }
            }
            other => trees.push(other),
        }
    }
    trees.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn hidden_names_are_told_apart_and_read_as_written() {
        let [a, b] = ["a Embed", "b Embed"].map(|source| {
            let tokens: Vec<TokenTree> = source.parse::<TokenStream>().unwrap().into_iter().collect();
            hidden(&Ident::new("Embed", tokens[1].span())).to_string()
        });
        assert_ne!(a, b);
        assert!(is_hidden(&a) && !is_hidden("Embed"));
        assert_eq!(plain(&format!("[n, {a}] and {b}")), "[n, Embed] and Embed");
        assert_eq!(alike(&format!("[n, {a}] and {b}")), ["Embed"]);
        assert_eq!(alike(&format!("[n, {a}] and Embed")), ["Embed"]);
        assert!(alike(&format!("[n, {a}] and {a}")).is_empty());
        assert_eq!(plain("__ansatz_"), "__ansatz_");
    }

    #[test]
    fn labels_arguments_and_paths_keep_their_names() {
        let source =
            quote! { net A(x: [n, B]; A: usize) -> [n, B] { let B = x; B: f(B, B = B, a::B::b) |> g(B == B) } };
        let other = |name: &str| (name == "B").then(|| Ident::new("C", Span::call_site()));
        let expected =
            quote! { net A(x: [n, C]; A: usize) -> [n, C] { let C = x; B: f(C, B = C, a::B::b) |> g(C == C) } };
        assert_eq!(rename(source, &other).to_string(), expected.to_string());
    }
}
