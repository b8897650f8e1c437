//! Programs with tokens changed, cut short, or of random tokens: none stops the macro or keeps it long, and none is lost in
//! silence. `ANSATZ_MUTATIONS=200000` tries as many.

use ansatz_lang::borders::split;
use ansatz_lang::expand;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// No program of a page takes longer.
const MOST_TIME: Duration = Duration::from_secs(1);

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

/// The tokens up to the `at`-th one; what encloses it is closed.
fn cut(stream: TokenStream, at: &mut usize) -> TokenStream {
    let mut out: Vec<TokenTree> = vec![];
    for tree in stream {
        if *at == 0 {
            break;
        }
        *at -= 1;
        match tree {
            TokenTree::Group(group) => out.push(Group::new(group.delimiter(), cut(group.stream(), at)).into()),
            tree => out.push(tree),
        }
    }
    out.into_iter().collect()
}

/// What stands in the `net!`s of a file, without what it takes from elsewhere.
fn nets(stream: TokenStream, found: &mut Vec<TokenStream>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    for (i, tree) in trees.iter().enumerate() {
        let TokenTree::Group(group) = tree else { continue };
        match i.checked_sub(2).map(|before| (trees[before].to_string(), trees[before + 1].to_string())) {
            Some((net, mark)) if net == "net" && mark == "!" => found.push(split(group.stream()).1),
            _ => nets(group.stream(), found),
        }
    }
}

/// The programs that are changed, each with how many of its tokens stay: small ones, and those of the library.
fn programs() -> Vec<(TokenStream, usize)> {
    let (shared, rest) = include_str!("programs.txt").split_once("\n\n").expect("declarations, sizes, programs");
    let (_, programs) = rest.split_once("\n\n").expect("declarations, sizes, programs");
    let programs = programs.lines().filter_map(|line| line.strip_prefix('+')?.split_once(' '));
    let before = count(shared.parse().expect("tokens"));
    let small = programs.map(|(_, program)| {
        let program = format!("{shared}\nnet F{program}");
        (program.parse().expect("the programs of the file are tokens"), before)
    });
    let mut models = vec![];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/models");
    for file in std::fs::read_dir(folder).expect("the models are there") {
        let text = std::fs::read_to_string(file.expect("it can be read").path()).expect("it can be read");
        nets(text.parse().expect("Rust is tokens"), &mut models);
    }
    assert!(models.len() > 10, "only {} programs are in the library", models.len());
    // Of each of the library as many as there are small ones would take long.
    small.chain(models.into_iter().map(|program| (program, 0))).collect()
}

/// A program that nobody wrote, and whether little was changed.
fn program(random: &mut Random, programs: &[(TokenStream, usize)], tokens: &[TokenTree]) -> (TokenStream, bool) {
    let (mut program, before) = programs[random.below(programs.len())].clone();
    let within =
        |random: &mut Random, program: &TokenStream| before + random.below((count(program.clone()) - before).max(1));
    match random.below(8) {
        0 => {
            let mut at = within(random, &program);
            (cut(program, &mut at), false)
        }
        1 => {
            let head = "net F(x: [n, d]; width: usize) -> [n, d]".parse::<TokenStream>().expect("tokens");
            let body = (0..random.below(24)).map(|_| tokens[random.below(tokens.len())].clone());
            let body = TokenTree::from(Group::new(Delimiter::Brace, body.collect()));
            let around = (0..random.below(6)).map(|_| tokens[random.below(tokens.len())].clone());
            (head.into_iter().chain([body]).chain(around).collect(), false)
        }
        _ => {
            for _ in 0..=random.below(3) {
                let mut at = within(random, &program);
                let other = &tokens[random.below(tokens.len())];
                program = changed(program, &mut at, random.below(24), other);
            }
            (program, true)
        }
    }
}

/// What is wrong with the expansion of a program; else whether the program is right.
fn fault(text: &str) -> Result<bool, &'static str> {
    let expanded = || {
        let start = Instant::now();
        catch_unwind(|| expand(text.parse().expect("tokens"))).map(|expansion| (expansion, start.elapsed()))
    };
    let (expansion, time) = expanded().map_err(|_| "panics")?;
    // Another program may have had the machine.
    if time > MOST_TIME && expanded().is_ok_and(|(_, again)| again > MOST_TIME) {
        return Err("takes long");
    }
    let lost = expansion.diagnostics.is_empty() && expansion.tokens.to_string().contains("the net holds an error");
    let unexplained = expansion.diagnostics.iter().any(|error| error.message.contains("does not know why"));
    match (lost, unexplained) {
        (true, _) => Err("is lost"),
        (_, true) => Err("is unexplained"),
        _ => Ok(expansion.diagnostics.is_empty()),
    }
}

#[test]
fn changed_programs_neither_panic_nor_hang_nor_are_lost_in_silence() {
    let cases: usize = std::env::var("ANSATZ_MUTATIONS").map_or(20_000, |cases| cases.parse().expect("a number"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = move |seed: usize| {
        let (programs, mut random) = (programs(), Random(7 + seed as u64));
        let tokens: Vec<TokenTree> = TOKENS.parse::<TokenStream>().expect("tokens").into_iter().collect();
        let (mut right, mut changed, mut wrong) = (0, 0, vec![]);
        for _ in (seed..cases).step_by(threads) {
            let (program, little) = program(&mut random, &programs, &tokens);
            let text = program.to_string();
            changed += usize::from(little);
            match fault(&text) {
                Ok(is_right) => right += usize::from(little && is_right),
                Err(how) => wrong.push(format!("{how}: {text}")),
            }
        }
        (right, changed, wrong)
    };
    let parts: Vec<(usize, usize, Vec<String>)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|seed| scope.spawn(move || part(seed))).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread ends")).collect()
    });
    let (right, changed): (usize, usize) = parts.iter().fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1));
    let wrong: Vec<&str> = parts.iter().flat_map(|part| &part.2).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} programs\n{}", wrong.len(), wrong.join("\n"));
    assert!(right > changed / 10, "only {right} of {changed} changed programs are right");
}

#[test]
fn an_alias_of_nothing_is_told() {
    let expansion = expand("pub net Small = Missing(layers = 2);".parse().expect("tokens"));
    let texts: Vec<_> = expansion.diagnostics.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(texts, ["`Small` should stand for a net, and there is none here"]);
}
