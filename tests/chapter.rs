//! The chapter on the language lists the functions and the initialisers that the language has.
//!
//! After a change of the tables, `UPDATE_GOLDENS=1` writes the lists anew; read the difference.

use ansatz_lang::functions::FUNCTIONS;
use ansatz_lang::habits::{HABITS, PARAMETERS};
use ansatz_lang::initialisers::INITIALISERS;

fn initialisers() -> String {
    let rows = INITIALISERS.iter().map(|f| format!("| `{}` | {} |\n", f.usage().trim_end_matches("()"), f.doc));
    format!("\n| initialiser | values |\n|:--|:--|\n{}\n", rows.collect::<String>())
}

fn functions() -> String {
    let rows = FUNCTIONS.iter().map(|f| {
        // A bracket would begin a link.
        let value = f.doc.replace('[', "\\[");
        format!("| `{}` | {} | {value} |\n", f.usage(), f.rule.shapes())
    });
    format!("\n| call | shapes | value |\n|:--|:--|:--|\n{}\n", rows.collect::<String>())
}

fn habits() -> String {
    let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    // A bar would end a cell.
    let cell = |text: &str| text.replace('|', "\\|");
    let rows = HABITS.iter().map(|habit| {
        let form = if habit.form.is_empty() { String::new() } else { format!("`{}`", cell(habit.form)) };
        format!("| {} | {form} | {} |\n", code(habit.names), cell(habit.note))
    });
    let parameters = PARAMETERS.iter().map(|named| format!("| {} | {} |\n", code(named.names), cell(named.mend)));
    format!(
        "\n| elsewhere | here | |\n|:--|:--|:--|\n{}\n| argument elsewhere | here |\n|:--|:--|\n{}\n",
        rows.collect::<String>(),
        parameters.collect::<String>()
    )
}

/// Compares what the chapter lists between two comments, or writes it.
fn stands_in_the_chapter(name: &str, table: String) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/language.md");
    let chapter = std::fs::read_to_string(path).expect("the chapter is there");
    let (before, rest) = chapter.split_once(&begin).expect("the list has a beginning");
    let (listed, after) = rest.split_once(&end).expect("the list has an end");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        let fresh = format!("{before}{begin}{table}{end}{after}");
        std::fs::write(path, fresh).expect("the chapter can be written");
        return;
    }
    assert_eq!(listed, table);
}

#[test]
fn functions_and_initialisers_stand_in_the_chapter() {
    stands_in_the_chapter("functions", functions());
    stands_in_the_chapter("initialisers", initialisers());
    stands_in_the_chapter("habits", habits());
}
