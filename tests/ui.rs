//! What rustc says about a wrong program: one error on the wrong token, in decimals and names.
//!
//! After a wanted change of a message, `TRYBUILD=overwrite` writes the expected texts anew; read the difference.

#[test]
fn every_mistake_has_one_error() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}

/// Mistakes in the code around `net!` that rustc itself words: how many lines its longest error takes, and what fills
/// them. All that the macro decides there is which lines of the program are shown.
const LONGER: [(&str, usize, &str); 4] = [
    ("rust_batch", 20, "rustc shows the call, both types, whose batch it is, and where the method is declared"),
    ("rust_facts", 13, "rustc shows the trait that fails, what it is needed for, and where the function asks for it"),
    ("rust_words", 20, "rustc shows the call, the net, and the lines of the library that ask for what is missing"),
    ("rust_swapped", 22, "rustc shows the call, both types, where type parameters are declared, and the method"),
];

#[test]
fn every_error_is_short() {
    for (name, text) in goldens() {
        let longest = text.split("\n\n").map(|error| error.trim_end().lines().count()).max().unwrap_or_default();
        match LONGER.iter().find(|(longer, ..)| *longer == name) {
            Some((_, lines, why)) => assert_eq!(longest, *lines, "{name}: {why}"),
            None => assert!(longest < 12, "an error of {name} has {longest} lines"),
        }
    }
}

/// The expected texts by their names.
fn goldens() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
    let paths =
        std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let texts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "stderr")).map(|path| {
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("the file can be read"))
    });
    texts.collect()
}

#[test]
fn no_error_shows_the_digits_of_a_type_level_number() {
    let goldens = goldens();
    for (name, text) in &goldens {
        assert!(!text.contains("UInt<"), "{name}");
        // What is wrong inside of `net!` is said by `net!` alone; `rust_…` are mistakes in the code around it.
        assert_eq!(text.contains("error[E"), name.starts_with("rust_"), "{name}");
    }
    assert!(goldens.len() >= 11, "only {} expected texts are there", goldens.len());
}
