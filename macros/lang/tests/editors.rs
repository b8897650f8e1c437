//! What an editor finds under a name: the tokens that a name of the source becomes stand in its place, and lead to the
//! declaration, or to the item of the runtime that documents it.

use ansatz_lang::expand;
use proc_macro2::{LineColumn, TokenStream, TokenTree};

const PROGRAM: &str = "pub dim Digit = 10;
net Block(x: [n, d]; wide = 8) -> [n, d] { x + (x |> up: linear(wide) |> gelu |> down: linear(d)) }
pub net Mlp(image: [n, 1, h = 8, w = 8]) -> [n, Digit] {
    let y = image |> stem: conv2d(4, padding = 1) |> max_pool2d(2) |> mean(over = (h, w));
    let z = y |> first: Block |> body: [Block(wide = 16); 2] |> softmax |> layer_norm;
    let shared = linear(8);
    let twice = concat(z, z) |> shared |> shared;
    let narrow = |v| v |> head: linear(Digit) |> dropout(0.1);
    narrow(twice)
}
pub net Score(image: [n, 1, h = 8, w = 8]) -> [n] { Mlp(image) |> mean(over = Digit) }";

/// Every identifier of the expansion with the place that it has in the source.
fn places(tokens: TokenStream, found: &mut Vec<(LineColumn, String)>) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => places(group.stream(), found),
            TokenTree::Ident(ident) => found.push((ident.span().start(), ident.to_string())),
            _ => {}
        }
    }
}

#[test]
fn names_lead_to_what_they_mean() {
    let expansion = expand(PROGRAM.parse().expect("a program is tokens"));
    let texts: Vec<_> = expansion.diagnostics.iter().map(|diagnostic| diagnostic.text()).collect();
    assert!(texts.is_empty(), "{texts:#?}");
    let mut found = vec![];
    places(expansion.tokens, &mut found);
    let cases = [
        // Labels are fields.
        ("stem: conv2d", "stem"),
        ("first: Block", "first"),
        ("body: [Block", "body"),
        ("head: linear", "head"),
        ("shared = linear", "shared"),
        ("shared |> shared", "shared"),
        ("shared;", "shared"),
        ("up: linear", "up"),
        // Layers and functions are those of the runtime.
        ("linear(wide)", "Linear"),
        ("linear(d)", "Linear"),
        ("conv2d(4", "Conv2d"),
        ("layer_norm;", "LayerNorm"),
        ("linear(Digit)", "Linear"),
        ("gelu |>", "gelu"),
        ("max_pool2d(2)", "max_pool"),
        ("mean(over", "mean"),
        ("softmax |>", "softmax"),
        ("concat(z", "concat"),
        ("dropout(0.1)", "dropout"),
        // Values are variables with the shapes as their types, where they are bound and where they are used.
        ("image: [n, 1", "image"),
        ("image |> stem", "image"),
        ("y = image", "y"),
        ("y |> first", "y"),
        ("z, z)", "z"),
        ("z) |> shared", "z"),
        ("v| v", "v"),
        ("v |> head", "v"),
        ("twice = concat", "twice"),
        ("twice)", "twice"),
        ("wide = 8)", "wide"),
        ("wide) |> gelu", "wide"),
        // Dimensions are their types.
        ("Digit] {", "Digit"),
        ("Digit) |> dropout", "Digit"),
        ("Digit) }", "Digit"),
        ("n, 1, h", "n"),
        // Nets are their structs, and declarations their own.
        ("Block |> body", "BlockD4"),
        ("Block(wide = 16)", "BlockWide16"),
        ("Mlp(image", "Mlp"),
        ("Digit = 10", "Digit"),
    ];
    for (at, name) in cases {
        let before = &PROGRAM[..PROGRAM.find(at).unwrap_or_else(|| panic!("{at} stands in the program"))];
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        let place = LineColumn { line: before.matches('\n').count() + 1, column };
        let there: Vec<_> = found.iter().filter(|(at, _)| *at == place).map(|(_, name)| name).collect();
        assert!(there.iter().any(|found| *found == name), "`{at}` leads to {there:?}, not to `{name}`");
    }
}

/// What is around the names of the expansion stands on words and brackets, or an editor would lead from a name to that.
#[test]
fn names_lead_nowhere_else() {
    let mut found = vec![];
    places(expand(PROGRAM.parse().expect("a program is tokens")).tokens, &mut found);
    let lines: Vec<&str> = PROGRAM.lines().collect();
    for (place, name) in found.into_iter().filter(|(_, name)| ["ansatz", "tensor", "struct", "impl"].contains(&&**name))
    {
        let there: String =
            lines[place.line - 1].chars().skip(place.column).take_while(|c| c.is_alphanumeric()).collect();
        // Where the macro is called from stands at the start here.
        assert!(["", "net", "pub"].contains(&&*there), "`{name}` stands at `{there}`");
    }
}
