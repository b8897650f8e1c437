//! What is said to whoever comes from another library is right if obeyed.

use ansatz_lang::expand;
use ansatz_lang::functions;
use ansatz_lang::habits::{HABITS, PARAMETERS, PLACES};

/// Inputs of every kind that the forms speak of.
const INPUTS: &str = "x: [n, t, d = 8], y: [n, t, d = 8], z: [n, 1, 8], b: [n, 8], image: [n, c = 3, h = 16, w = 16], \
    features: [n, 12, h = 16, w = 16], tokens: [n, t] in Word, table: [Word, 8], logits: [n, Class], target: [n] in Class, \
    q: [n, 2, t, 4], k: [n, 2, t, 4], v: [n, 2, t, 4], mask: [t, t], square_matrix: [Place, Place]";

/// The errors of a net that holds a form.
fn errors(form: &str) -> Vec<String> {
    let uses = ["x", "y", "z", "b", "image", "features", "table", "logits", "q", "k", "v", "mask", "square_matrix"];
    let uses: Vec<String> = uses.iter().map(|name| format!("mean({name})")).collect();
    let program = format!(
        "pub dim Word = 50; pub dim Class = 10; pub dim Place = 64;
        net F({INPUTS}) -> [] {{ let _form = {form}; {} + mean(to_real(tokens)) + mean(to_real(target)) }}",
        uses.join(" + ")
    );
    let program = program.parse().unwrap_or_else(|error| panic!("`{form}`: {error}"));
    expand(program).diagnostics.iter().map(|diagnostic| diagnostic.text()).collect()
}

#[test]
fn every_form_is_right() {
    let forms = HABITS.iter().map(|habit| habit.form).filter(|form| !form.is_empty());
    let wrong: Vec<_> = forms.map(|form| (form, errors(form))).filter(|(_, errors)| !errors.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_name_has_one_row_and_is_no_function_here() {
    let mut names: Vec<&str> = HABITS.iter().flat_map(|habit| habit.names).copied().collect();
    let ours: Vec<_> = names.iter().filter(|name| functions::find(name).is_some()).collect();
    assert!(ours.is_empty(), "{ours:?}");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count > 150);
    assert!(HABITS.iter().all(|habit| !habit.form.is_empty() || !habit.note.is_empty()));
}

#[test]
fn arguments_have_one_row() {
    for rows in [PARAMETERS, PLACES] {
        let mut names: Vec<&str> = rows.iter().flat_map(|named| named.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
    assert!(PLACES.iter().flat_map(|named| named.names).all(|name| functions::find(name).is_some()));
}
