//! Every mistake has one error, on the wrong token, with what it says in full.
//!
//! `diagnostics.txt` holds programs, each with its errors below it: the token between « and », then the text. Where the
//! wording is changed on purpose, `UPDATE_GOLDENS=1` writes the file anew; read the difference.

use ansatz_lang::borders::{Import, split};
use ansatz_lang::{Expansion, expand, expand_with};
use std::fmt::Write as _;

/// Declarations that every program of the file has before it.
const SHARED: &str = "pub dim Pixels = 784; pub dim Digit = 10; pub dim Time = 64; pub dim Embed = 64; dim Secret = 3;
net Classify(x: [n, Pixels]) -> [n, Digit] { x |> linear(Digit) }
net Pair(x: [n, Pixels]) -> (a: [n, 4], b: [n]) { let a = x |> linear(4); (a = a, b = mean(x, over = Pixels)) }
";

/// Another module: `use lib::Name;`.
const LIB: &str = "pub dim Embed = 64; pub dim Width = 64; dim Hidden = 8;
pub net Heads(x: [n, t, d]; heads: usize) -> [n, t, d] where heads | d { x |> [n, t, (heads e)] -> [n, t, (heads e)] }
pub net Narrow(x: [n, d]; act = relu) -> [n, d] { x |> inner: linear(Hidden) |> act |> outer: linear(d) }
pub net Encode(x: [n, Embed]) -> [n, Embed] { x |> Narrow }
";

/// What a program becomes that uses names of the other module.
fn expanded(program: &str) -> Expansion {
    let (uses, rest) = split(program.parse().expect("the programs of the file are tokens"));
    let exports = expand(LIB.parse().expect("tokens")).exports;
    let imports = uses.into_iter().map(|name| {
        let path = name.path.to_string();
        let export = exports.iter().find(|export| path == format!("lib :: {}", export.name)).expect("it is declared");
        Import { name: name.name, path: name.path, entries: export.entries.clone() }
    });
    expand_with(&imports.collect::<Vec<_>>(), rest)
}

/// The errors of a program as the file shows them.
fn errors(source: &str) -> String {
    let program = format!("{SHARED}{source}");
    let lines: Vec<&str> = program.lines().collect();
    let mut shown = String::new();
    for diagnostic in expanded(&program).diagnostics {
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
    let chapter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/errors.md");
    let (kinds, count) = catalogue(&fresh);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(path, &fresh).expect("the file can be written");
        std::fs::write(chapter, &kinds).expect("the file can be written");
    }
    for (found, expected) in fresh.split("\n\n").zip(file.split("\n\n")) {
        assert_eq!(found, expected, "\n{found}\n");
    }
    assert_eq!(fresh, file);
    assert!(count >= 40, "only {count} kinds of mistakes");
    let written = std::fs::read_to_string(chapter).expect("the file is there");
    assert!(written == kinds, "src/errors.md lists other mistakes: UPDATE_GOLDENS=1 writes it");
}

/// Every kind of mistake once, as the chapter of errors has it.
fn catalogue(file: &str) -> (String, usize) {
    let mut kinds: Vec<String> = vec![];
    let mut text = "Every kind of mistake that [`net!`](crate::net) answers, each with a program that makes it and what it is told.\nThe token in question stands between « and ».\n".to_owned();
    for case in file.split("\n\n") {
        let Some((program, errors)) = case.split_once('\n') else { continue };
        let Some((_, message)) = errors.lines().next().and_then(|line| line.split_once("» ")) else { continue };
        // Names and numbers do not make another kind.
        let quoted = message.split('`').enumerate().map(|(i, part)| if i % 2 == 0 { part } else { "" });
        let kind: String = quoted.collect::<String>().chars().filter(|c| c.is_lowercase() || *c == ' ').collect();
        if kinds.contains(&kind) {
            continue;
        }
        kinds.push(kind);
        write!(text, "\n```text\n{program}\n{errors}\n```\n").expect("a string takes everything");
    }
    (text, kinds.len())
}

#[test]
fn every_error_is_short() {
    for case in include_str!("diagnostics.txt").split("\n\n") {
        // Cargo adds the place, the line and the marks below it, in five lines.
        let long = case.split("\n    «").skip(1).find(|error| error.trim_end().lines().count() + 5 >= 12);
        assert!(long.is_none(), "more than 11 lines:\n{long:?}");
    }
}

/// The text that a help line tells to put in the place of the marked tokens, or of another text of the program.
fn mended(program: &str, marked: &str, help: &str) -> Option<String> {
    let quoted: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
    let (wrong, right) = if help.starts_with("did you mean") {
        (marked.to_owned(), quoted[0].to_owned())
    } else if help.contains("instead of") {
        (quoted[1].to_owned(), quoted[0].to_owned())
    } else if help.starts_with("change the body, or promise") {
        let promised = program.rsplit_once("-> ")?.1.split_once(" {")?.0;
        (format!("-> {promised}"), format!("-> {}", quoted[0]))
    } else if help.starts_with("make ") {
        let width = help.split_once("produce ")?.1.split(',').next()?;
        let label = format!("{}: linear(", quoted[0]);
        let call = match program.split_once(&label) {
            Some((_, rest)) => format!("{label}{})", rest.split_once(')')?.0),
            None => quoted[0].to_owned(),
        };
        (call.clone(), format!("{}({width})", call.split_once('(')?.0))
    } else {
        return None;
    };
    let at = program.rfind(&wrong)?;
    Some(format!("{}{right}{}", &program[..at], &program[at + wrong.len()..]))
}

/// Does what the help lines say, where that is a matter of replacing text, and asks for that error to be gone.
#[test]
fn help_lines_mend_programs() {
    let file = include_str!("diagnostics.txt");
    let mut done = 0;
    for case in file.split("\n\n") {
        let Some((program, errors_shown)) = case.split_once('\n') else { continue };
        let mut marked = "";
        let mut message = "";
        for line in errors_shown.lines().map(str::trim) {
            if let Some((token, text)) = line.strip_prefix('«').and_then(|line| line.split_once("» ")) {
                (marked, message) = (token, text);
            }
            let Some(help) = line.strip_prefix("help: ") else { continue };
            let Some(mended) = mended(program, marked, help) else { continue };
            let after = errors(&mended);
            assert!(!after.contains(&format!("«{marked}» {message}")), "{program}\n{help}\n{mended}\n{after}");
            assert_ne!(mended, program);
            done += 1;
        }
    }
    assert!(done >= 20, "only {done} help lines were followed");
}

#[test]
fn no_error_says_what_only_the_compiler_says() {
    let file = include_str!("diagnostics.txt");
    for word in ["UInt<", "Reported", "does not know why", "PhantomData", "Ident {"] {
        assert!(!file.contains(word), "{word}");
    }
}

#[test]
fn the_shared_declarations_are_right() {
    assert_eq!(errors(""), "");
    assert!(expand(LIB.parse().expect("tokens")).diagnostics.is_empty());
}
