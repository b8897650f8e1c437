//! A list of equal parts becomes a loop: what the macro writes of it does not grow with its length.

use ansatz_lang::expand;
use proc_macro2::{TokenStream, TokenTree};

/// Bodies with a list of N equal parts.
const BODIES: [&str; 10] = [
    "x |> [linear(8); N]",
    "x |> layers: [[linear(8), tanh]; N]",
    "x |> [Block; N]",
    "x |> blocks: [Block(width = 16); N] |> linear(8)",
    "x |> [|h| h + (h |> dropout(0.1) |> linear(8)); N]",
    "x |> [f: linear(4) |> relu |> linear(8); N]",
    "checkpoint(x, [Block; N])",
    "x |> [[Block; 2]; N]",
    "let step = |h| h |> linear(8) |> tanh; x |> [step; N]",
    "x |> [layer_norm; N] |> linear(16) |> [batch_norm; N] |> linear(8)",
];

fn tokens(stream: TokenStream) -> usize {
    let of = |tree| match tree {
        TokenTree::Group(group) => 2 + tokens(group.stream()),
        _ => 1,
    };
    stream.into_iter().map(of).sum()
}

/// The tokens of a net with this body.
fn expanded(body: &str, times: usize) -> (usize, String) {
    let program = format!(
        "pub dim Embed = 8;
         net Block(x: [n, d]; width: usize = 4) -> [n, d] {{ x + (x |> linear(width) |> relu |> linear(d)) }}
         pub net Net(x: [n, Embed]) -> [n, 8] {{ {} |> rename([n, 8]) }}",
        body.replace("N", &times.to_string()).replace("8", "Embed").replace("Embed0", "80")
    );
    let expansion = expand(program.parse().expect("a program is tokens"));
    let errors: Vec<_> = expansion.diagnostics.iter().map(|error| error.text()).collect();
    assert!(errors.is_empty(), "{body}: {errors:#?}");
    let text = expansion.tokens.to_string();
    (tokens(expansion.tokens), text)
}

#[test]
fn lists_of_equal_parts_are_loops() {
    for body in BODIES {
        let ((two, _), (many, _)) = (expanded(body, 2), expanded(body, 2000));
        assert_eq!(two, many, "{body}");
    }
}

#[test]
fn the_table_counts_all_parts_of_a_list() {
    let (_, text) = expanded("x |> layers: [linear(8); N]", 300);
    assert!(text.contains("| `layers.0…299` | `linear(Embed)` | `[n, Embed]` | `21_600` | `19_200 * n` |"), "{text}");
    assert!(text.contains("| **total** | | | **`21_600`** | **`19_200 * n`** |"), "{text}");
}

#[test]
fn what_a_list_holds_is_checked_to_its_end() {
    for (body, wrong) in [
        ("x |> [linear(8) |> [n, c] -> [n, c, 1] |> flatten |> linear(7); N]", "linear(7)"),
        ("state s = zeros([8]); x |> [|h| { update s = mean(h, over = n); h }; N]", "update"),
    ] {
        let program = format!("pub net Net(x: [n, 8]) -> [n, 8] {{ {} }}", body.replace("N", "3"));
        let expansion = expand(program.parse().expect("a program is tokens"));
        assert!(!expansion.diagnostics.is_empty(), "{wrong} in {body}");
    }
}
