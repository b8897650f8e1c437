//! Programs with a token changed: none stops the macro, and none is lost in silence.

use ansatz_lang::expand;
use proc_macro2::{Group, TokenStream, TokenTree};
use std::panic::catch_unwind;

/// Tokens that take the place of others: names, words, and numbers whose products no machine word holds.
const TOKENS: &str =
    "x n d c h Pixels Digit linear relu conv2d split slice pad concat flatten max_pool2d attention ode coupling
    over width let if else net flow where | |> + - * / == < = ; : , 0 1 2 3 7 0.5 1e300 4294967296 18446744073709551615
    9223372036854775807 1000000007 [] () [n] (x) floor_div true rk4 positions param state _";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn count(stream: TokenStream) -> usize {
    let of = |tree| match tree {
        TokenTree::Group(group) => 1 + count(group.stream()),
        _ => 1,
    };
    stream.into_iter().map(of).sum()
}

/// The tokens with the `at`-th one taken away, doubled, with another one behind it, or mostly replaced: a number by a
/// number, a name by a name.
fn changed(stream: TokenStream, at: &mut usize, how: usize, other: &TokenTree) -> TokenStream {
    let alike = |tree: &TokenTree| std::mem::discriminant(tree) == std::mem::discriminant(other);
    let mut out: Vec<TokenTree> = vec![];
    for tree in stream {
        let hit = *at == 0;
        *at = at.wrapping_sub(1);
        match tree {
            TokenTree::Group(group) if !hit => {
                out.push(Group::new(group.delimiter(), changed(group.stream(), at, how, other)).into());
            }
            tree if !hit => out.push(tree),
            tree => match how {
                0 => {}
                1 => out.extend([tree.clone(), tree]),
                2 => out.extend([tree, other.clone()]),
                3 => out.push(other.clone()),
                _ if alike(&tree) => out.push(other.clone()),
                _ => out.push(tree),
            },
        }
    }
    out.into_iter().collect()
}

#[test]
fn changed_programs_neither_panic_nor_are_lost_in_silence() {
    let (shared, rest) = include_str!("programs.txt").split_once("\n\n").expect("declarations, sizes, programs");
    let (_, programs) = rest.split_once("\n\n").expect("declarations, sizes, programs");
    let programs = programs.lines().filter_map(|line| line.strip_prefix('+')?.split_once(' '));
    let programs: Vec<TokenStream> = programs
        .map(|(_, program)| format!("{shared}\nnet F{program}").parse().expect("the programs of the file are tokens"))
        .collect();
    let tokens: Vec<TokenTree> = TOKENS.parse::<TokenStream>().expect("tokens").into_iter().collect();
    let before = count(shared.parse().expect("tokens"));
    let cases = std::env::var("ANSATZ_MUTATIONS").map_or(3_000, |cases| cases.parse().expect("a number"));
    let mut random = Random(7);
    let (mut right, mut wrong) = (0, vec![]);
    for _ in 0..cases {
        let mut program = programs[random.below(programs.len())].clone();
        for _ in 0..=random.below(3) {
            let mut at = before + random.below(count(program.clone()) - before);
            let other = &tokens[random.below(tokens.len())];
            program = changed(program, &mut at, random.below(24), other);
        }
        let text = program.to_string();
        let Ok(expansion) = catch_unwind(|| expand(text.parse().expect("tokens"))) else {
            wrong.push(format!("panics: {text}"));
            continue;
        };
        let lost = expansion.diagnostics.is_empty() && expansion.tokens.to_string().contains("the net holds an error");
        let unexplained = expansion.diagnostics.iter().any(|error| error.message.contains("does not know why"));
        right += usize::from(expansion.diagnostics.is_empty());
        if lost || unexplained {
            wrong.push(format!("{}: {text}", if lost { "lost" } else { "unexplained" }));
        }
    }
    assert!(right > cases / 10, "only {right} of the changed programs are right");
    assert!(wrong.is_empty(), "{} programs\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_alias_of_nothing_is_told() {
    let expansion = expand("pub net Small = Missing(layers = 2);".parse().expect("tokens"));
    let texts: Vec<_> = expansion.diagnostics.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(texts, ["`Small` should stand for a net, and there is none here"]);
}
