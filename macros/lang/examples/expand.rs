//! What `net!` says of a program: `cargo run -p ansatz-lang --example expand -- "net A(x: [n, 3]) -> [n, 3] { x |> relu }"`.

fn main() {
    let program = std::env::args().nth(1).expect("a program");
    let start = std::time::Instant::now();
    let expansion = ansatz_lang::expand(program.parse().expect("a program is tokens"));
    for diagnostic in &expansion.diagnostics {
        let place = diagnostic.place.first.start();
        println!("{}:{}: {}", place.line, place.column, diagnostic.text());
    }
    println!("{} characters of Rust in {:.0?}", expansion.tokens.to_string().len(), start.elapsed());
}
