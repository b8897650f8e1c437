//! One program has one expansion, whichever process expands it: what the macro writes is what incremental builds, caches
//! and readers compare.

use ansatz_lang::borders::{Import, split};
use ansatz_lang::{Expansion, expand, expand_with};
use proc_macro2::{TokenStream, TokenTree};
use std::process::Command;

/// Set in the processes that are compared: how many bytes they take before they begin.
const BYTES: &str = "ANSATZ_BYTES_BEFORE";

/// Layers as hyper-parameters, closures among them: they have no name that could tell them apart, and two that say the
/// same are the same.
const LAYERS: &str = "
    pub dim Pixels = 6;
    net Block(x: [n, d]; act = relu, norm = layer_norm, mix = |y| y |> inner: linear(d) |> tanh, width: usize = 4) -> [n, d] {
        x + (x |> norm: norm |> up: linear(width) |> act |> down: linear(d) |> mix)
    }
    pub net Mlp(x: [n, Pixels]) -> [n, Pixels] {
        x |> a: Block(act = |y| y * sigmoid(y)) |> b: Block(act = |y| square(y)) |> c: Block(act = gelu)
          |> d: Block(act = |y| y * sigmoid(y), mix = |z| z |> [linear(8), linear(Pixels)])
          |> e: [Block(act = leaky_relu(0.1), width = 2 * i); i in 1..3]
          |> f: [|y| dropout(y, 0.1); 2] |> [Block, |y| y |> linear(Pixels)]
    }
    pub net Varied = Stack(block = |y| y |> linear(6));
    net Stack(x: [n, Pixels]; block: layer) -> [n, Pixels] { x |> block |> last: linear(Pixels) }
";

/// Layers that say the same at two places make one struct.
const ALIKE: &str = "
    net Apply(x: [n, 4]; by: layer) -> [n, 4] { x |> by |> linear(4) }
    pub net F(x: [n, 4]) -> [n, 4] {
        x |> a: Apply(by = [linear(4); 2]) |> b: Apply(by = [linear(4); 2]) |> c: Apply(by = [linear(4); 3])
          |> d: Apply(by = [r, (2 k)] -> [r, (2 k)]) |> e: Apply(by = [r, (2 k)] -> [r, (2 k)])
    }
";

/// The same with a mistake inside of such a layer, which its error speaks of.
const MISTAKE: &str = "
    pub dim Pixels = 6;
    net Block(x: [n, d]; act = relu) -> [n, d] { x |> up: linear(4) |> act }
    pub net Mlp(x: [n, Pixels]) -> [n, Pixels] { x |> Block(act = |y| y |> [linear(3), tanh]) }
";

/// The contents of every `net!` in a file.
fn nets(tokens: TokenStream, found: &mut Vec<TokenStream>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (i, tree) in trees.iter().enumerate() {
        let TokenTree::Group(group) = tree else { continue };
        let called = match i.checked_sub(2).map(|at| &trees[at..i]) {
            Some([TokenTree::Ident(name), TokenTree::Punct(mark)]) => name == "net" && mark.as_char() == '!',
            _ => false,
        };
        if called {
            found.push(group.stream());
        } else {
            nets(group.stream(), found);
        }
    }
}

/// The whole of an expansion as text.
fn text(of: &str, expansion: &Expansion) -> String {
    let errors: Vec<_> = expansion.diagnostics.iter().map(|diagnostic| diagnostic.text()).collect();
    format!("{of}\n{}\n{}\n", errors.join("\n"), expansion.tokens)
}

/// Every program of the model library, then those above.
fn everything() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/models");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the folder is there").flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    let (mut all, mut programs) = (String::new(), 0);
    for file in files {
        let source = std::fs::read_to_string(file.path()).expect("the file is there");
        let mut found = vec![];
        nets(source.parse().expect("a file of Rust is tokens"), &mut found);
        for program in found {
            let (uses, rest) = split(program);
            assert!(uses.is_empty(), "the models take nothing from elsewhere");
            all += &text(&file.path().display().to_string(), &expand(rest));
            programs += 1;
        }
    }
    assert!(programs >= 10, "only {programs} programs");
    all += &text("layers", &expand(LAYERS.parse().expect("a program is tokens")));
    all += &text("mistake", &expand(MISTAKE.parse().expect("a program is tokens")));
    let lib = expand(LAYERS.parse().expect("a program is tokens"));
    let import = |name: &str| {
        let export = lib.exports.iter().find(|export| export.name == name).expect("it is declared");
        let path = format!("lib::{name}").parse().expect("a path is tokens");
        Import { name: export.name.clone(), path, entries: export.entries.clone() }
    };
    let user =
        "pub net Two(x: [n, Pixels]) -> [n, Pixels] { x |> Block(act = |y| y + 1) |> b: Block(act = |y| y + 2) }";
    let imports = ["Pixels", "Block"].map(import);
    all + &text("borders", &expand_with(&imports, user.parse().expect("a program is tokens")))
}

/// What a process of its own writes. Another number of bytes is in use before it begins, so that addresses differ.
fn elsewhere(bytes: usize) -> String {
    let program = std::env::current_exe().expect("the test is a program");
    let mut command = Command::new(program);
    command.args(["--exact", "two_processes_write_the_same", "--nocapture"]);
    let output = command.env(BYTES, bytes.to_string()).output().expect("it runs again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it writes text")
}

#[test]
fn two_processes_write_the_same() {
    if let Ok(bytes) = std::env::var(BYTES) {
        let bytes: usize = bytes.parse().expect("a number");
        let before: Vec<Vec<u8>> = (0..16).map(|i| vec![0; bytes + i]).collect();
        println!("{}", everything());
        drop(before);
        return;
    }
    let [first, second] = [1, 1 << 20].map(elsewhere);
    let begins = |text: &str| text.find("alexnet.rs").expect("the first model is there");
    let lines = |text: &str| {
        let text = &text[begins(text)..];
        text[..text.rfind("test ").unwrap_or(text.len())].replace("} ", "}\n").lines().map(str::to_owned).collect()
    };
    let [first, second]: [Vec<String>; 2] = [lines(&first), lines(&second)];
    for (a, b) in first.iter().zip(&second) {
        assert_eq!(a, b);
    }
    assert_eq!(first.len(), second.len());
    assert!(first.iter().any(|line| line.contains("struct Two")), "the last program is there");
}

#[test]
fn layers_are_told_apart_by_what_they_say() {
    let blocks = structs(LAYERS, "Block");
    // The template, the four in a row, a list inside of the last, two widths in a list, and what says nothing.
    assert_eq!(blocks.len(), 1 + 4 + 1 + 2 + 1, "{blocks:?}");
}

#[test]
fn layers_that_say_the_same_make_one_struct() {
    let applied = structs(ALIKE, "Apply");
    // The template, two layers, three layers, a pattern.
    assert_eq!(applied.len(), 1 + 3, "{applied:?}");
}

/// The structs of a right program whose names begin so.
fn structs(source: &str, beginning: &str) -> Vec<String> {
    let expansion = expand(source.parse().expect("a program is tokens"));
    let texts: Vec<_> = expansion.diagnostics.iter().map(|diagnostic| diagnostic.text()).collect();
    assert!(texts.is_empty(), "{texts:#?}");
    let text = expansion.tokens.to_string();
    assert!(!text.contains("0x"), "an address stands in the expansion");
    let named = text.split("struct ").skip(1).filter_map(|rest| rest.split([' ', '<']).next());
    named.filter(|name| name.starts_with(beginning)).map(str::to_owned).collect()
}
