//! What rustc says about a wrong program: one error on the wrong token, in decimals and names.
//!
//! After a wanted change of a message, `TRYBUILD=overwrite` writes the expected texts anew; read the difference.

#[test]
fn every_mistake_has_one_error() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

#[test]
fn no_error_shows_the_digits_of_a_type_level_number() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|extension| extension == "stderr") {
            let text = std::fs::read_to_string(&path).expect("the file can be read");
            assert!(!text.contains("UInt<"), "{}", path.display());
            // What is wrong inside of `net!` is said by `net!` alone; `rust_…` are mistakes in the code around it.
            let around = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rust_"));
            assert_eq!(text.contains("error[E"), around, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 11, "only {seen} expected texts are there");
}
