//! Prints what the program on standard input expands to.
use std::io::Read;

fn main() {
    let mut source = String::new();
    std::io::stdin().read_to_string(&mut source).expect("standard input is text");
    let expansion = ansatz_lang::expand(source.parse().expect("the input is tokens"));
    for d in &expansion.diagnostics {
        eprintln!("{}:{}: {}", d.span.start().line, d.span.start().column, d.text());
    }
    println!("{}", expansion.tokens);
}
