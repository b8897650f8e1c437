//! Every mistake has one error, on the wrong token, with what it says in full.
//!
//! `diagnostics.txt` holds programs, each with its errors below it: the token between « and », then the text. Where the
//! wording is changed on purpose, `UPDATE_GOLDENS=1` writes the file anew; read the difference.

use ansatz_lang::expand;
use std::fmt::Write as _;

/// Declarations that every program of the file has before it.
const SHARED: &str = "pub dim Pixels = 784; pub dim Digit = 10; pub dim Time = 64; pub dim Embed = 64; dim Secret = 3;
net Classify(x: [n, Pixels]) -> [n, Digit] { x |> linear(Digit) }
net Pair(x: [n, Pixels]) -> (a: [n, 4], b: [n]) { let a = x |> linear(4); (a = a, b = mean(x, over = Pixels)) }
";

/// The errors of a program as the file shows them.
fn errors(source: &str) -> String {
    let program = format!("{SHARED}{source}");
    let lines: Vec<&str> = program.lines().collect();
    let mut shown = String::new();
    for diagnostic in expand(program.parse().expect("the programs of the file are tokens")).diagnostics {
        let start = diagnostic.place.first.start();
        let end = diagnostic.place.last.end();
        let line = lines[start.line - 1];
        let length = if end.line == start.line { end.column - start.column } else { line.len() };
        let token: String = line.chars().skip(start.column).take(length).collect();
        let text = diagnostic.text().replace('\n', "\n    ");
        writeln!(shown, "    «{token}» {text}").expect("a string takes everything");
    }
    shown
}

#[test]
fn every_mistake_has_one_error_on_its_token() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diagnostics.txt");
    let file = std::fs::read_to_string(path).expect("the file is there");
    let programs = file.lines().filter(|line| !line.is_empty() && !line.starts_with(' '));
    let fresh: String = programs.map(|program| format!("{program}\n{}\n", errors(program))).collect();
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &fresh).expect("the file can be written");
    }
    for (found, expected) in fresh.split("\n\n").zip(file.split("\n\n")) {
        assert_eq!(found, expected, "\n{found}\n");
    }
    assert_eq!(fresh, file);
}

#[test]
fn no_error_says_what_only_the_compiler_says() {
    let file = include_str!("diagnostics.txt");
    for word in ["UInt<", "Absorbed", "PhantomData", "Ident {"] {
        assert!(!file.contains(word), "{word}");
    }
}

#[test]
fn the_shared_declarations_are_right() {
    assert_eq!(errors(""), "");
}
