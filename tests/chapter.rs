//! The chapter on the language lists the functions that the language has.
//!
//! After a change of the table of functions, `UPDATE_GOLDENS=1` writes the list anew; read the difference.

use ansatz_lang::functions::FUNCTIONS;

const BEGIN: &str = "<!-- functions -->\n";
const END: &str = "<!-- end of functions -->";

fn table() -> String {
    let rows = FUNCTIONS.iter().map(|f| {
        // A bracket would begin a link.
        let value = f.doc.replace('[', "\\[");
        format!("| `{}` | {} | {value} |\n", f.usage(), f.rule.shapes())
    });
    format!("\n| call | shapes | value |\n|:--|:--|:--|\n{}\n", rows.collect::<String>())
}

#[test]
fn every_function_stands_in_the_chapter() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/language.md");
    let chapter = std::fs::read_to_string(path).expect("the chapter is there");
    let (before, rest) = chapter.split_once(BEGIN).expect("the list has a beginning");
    let (listed, after) = rest.split_once(END).expect("the list has an end");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        let fresh = format!("{before}{BEGIN}{}{END}{after}", table());
        std::fs::write(path, fresh).expect("the chapter can be written");
        return;
    }
    assert_eq!(listed, table());
}
