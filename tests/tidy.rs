//! The house rules that a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in the order of dependency: each may use only what stands before it (its own line's rooms included).
const ORDER: &[&[&str]] = &[
    &["error"],
    &["kernel"],
    &["graph"],
    &["ops"],
    &["grad", "compile"],
    &["run"],
    &["tensor"],
    &["nn", "optim", "ode", "flow", "transport"],
    &["data", "plot"],
    &["text"],
    &["train", "check"],
    &["models"],
];

fn level(room: &str) -> Option<usize> {
    ORDER.iter().position(|rooms| rooms.contains(&room))
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The room that a file of `src` belongs to: its folder, or its own name.
fn room(file: &Path, src: &Path) -> String {
    let relative = file.strip_prefix(src).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a line of code names by `crate::room`.
fn named_rooms(line: &str) -> Vec<String> {
    line.match_indices("crate::")
        .flat_map(|(at, prefix)| {
            let rest = &line[at + prefix.len()..];
            let names = match rest.strip_prefix('{') {
                Some(list) => list.split_once('}').map_or(list, |(list, _)| list),
                None => rest,
            };
            names
                .split(',')
                .map(|name| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
                .take(if rest.starts_with('{') { usize::MAX } else { 1 })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn no_room_uses_one_that_stands_after_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut backward = Vec::new();
    for file in files.iter().filter(|f| !f.ends_with("lib.rs") && !f.ends_with("prelude.rs")) {
        let own = room(file, &src);
        let own_level = level(&own).unwrap_or_else(|| panic!("the room `{own}` has no place in ORDER"));
        let text = fs::read_to_string(file).unwrap();
        // Tests may look anywhere: the part of a file from `#[cfg(test)]` on does not count.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            for name in named_rooms(line) {
                if level(&name).is_some_and(|used| used > own_level) {
                    backward.push(format!("{}:{}: {own} uses {name}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(backward.is_empty(), "backward dependencies:\n{}", backward.join("\n"));
}

#[test]
fn the_reverse_walk_names_no_op() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/grad.rs")).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    assert!(!code.contains("Op::"), "src/grad.rs names an op; its rule belongs beside the op in src/ops");
}

#[test]
fn no_golden_message_shows_type_level_digits() {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    for entry in fs::read_dir(ui).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "stderr") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("UInt<"), "{} shows type-level digits", path.display());
        }
    }
}
