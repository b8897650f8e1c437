//! Mistakes: each gives one error, on its own token, with its own sentence.

use super::{print, read};
use crate::ast::{ExprKind, Item, Program};
use crate::report::Diagnostic;

/// Asserts that a source has one error, on the token `mark`.
fn one_error(source: &str, mark: &str, message: &str, help: &str) -> Program {
    let (program, diagnostics) = read(source);
    let texts: Vec<_> = diagnostics.iter().map(|diagnostic| diagnostic.text()).collect();
    assert_eq!(diagnostics.len(), 1, "{source}\n{texts:#?}");
    let diagnostic = &diagnostics[0];
    let span = diagnostic.place.first.join(diagnostic.place.last).unwrap_or(diagnostic.place.first);
    assert_eq!(span.source_text().unwrap_or_default(), mark, "{source}\n{texts:#?}");
    assert_eq!(diagnostic.message, message, "{source}");
    assert_eq!(diagnostic.help.as_deref().unwrap_or(""), help, "{source}");
    program
}

fn in_body(body: &str, mark: &str, message: &str, help: &str) -> Program {
    one_error(&format!("net F(x: [n]) -> [n] {{ {body} }}"), mark, message, help)
}

fn body(program: &Program) -> Option<String> {
    match &program.items[0] {
        Item::Net(net) => net.body.as_ref().ok().map(print::block),
        Item::Dim(_) | Item::Alias(_) => None,
    }
}

fn broken(program: &Program) -> Vec<String> {
    program.broken.iter().map(|broken| broken.name.to_string()).collect()
}

#[test]
fn dims() {
    for (source, mark, message, help) in [
        ("dim A = 3 dim B = 4;", "dim", "expected `;` after the size of `A`, found `dim`", ""),
        ("dim A: 3;", ":", "expected `=` and the size of `A`, found `:`", "write `dim A = 784;`"),
        ("dim A 3;", "3", "expected `=` and the size of `A`, found `3`", "write `dim A = 784;`"),
        ("dim A = 3, B = 4;", ",", "expected `;` after the size of `A`, found `,`", "each dimension has its own `dim`"),
        ("dim A = 3.5;", "3.5", "a size is a whole number, `3.5` is not", ""),
        ("dim A = \"x\";", "\"x\"", "a size is a whole number, \"x\" is not", ""),
        ("dim A = 0x10;", "0x10", "sizes are written in decimals, `0x10` is not", ""),
        ("dim A = 256usize;", "256usize", "numbers have no type here: `256usize`", "write `256`"),
        ("dim A = -3;", "-", "a size is not negative", ""),
        ("dim A = ;", ";", "expected the size of `A`, found `;`", ""),
        ("dim A = net F(x: [n]) -> [n] { x }", "net", "expected the size of `A`, found `net`", ""),
        ("dim A = 3 *;", ";", "expected a size after `*`, found `;`", ""),
        ("dim A = (3 + 1; 2);", ";", "expected `)` after the size, found `;`", ""),
        ("dim A = _ + 1;", "_", "`_` stands for a whole size, it cannot be part of a calculation", ""),
        ("dim = 3;", "=", "expected the name of a dimension, found `=`", ""),
        (
            "dim A = 3 % 2;",
            "%",
            "`%` is not an operator on sizes",
            "there are `+`, `-`, `*`, `/`, `ceil_div(a, b)` and `floor_div(a, b)`",
        ),
    ] {
        one_error(source, mark, message, help);
    }
}

#[test]
fn items() {
    let shown = "a dimension is declared with `dim Name = 784;`";
    for (source, mark, message, help) in [
        ("fn F(x: [n]) -> [n] { x }", "fn", "a net is declared with `net`", "write `net` instead of `fn`"),
        ("nett F(x: [n]) -> [n] { x }", "nett", "expected `dim` or `net`, found `nett`", "did you mean `net`?"),
        ("Dim A = 3;", "Dim", "expected `dim` or `net`, found `Dim`", "did you mean `dim`?"),
        ("pub F(x: [n]) -> [n] { x }", "F", "`net` is missing before `F`", ""),
        ("A = 3;", "A", "`dim` is missing before `A`", ""),
        ("const A: usize = 3;", "const", "`const` cannot stand in `net!`", shown),
        ("struct A { x: u8 }", "struct", "`struct` cannot stand in `net!`", "put it beside the macro"),
        ("net F(x: [n]) -> [n] { x };", ";", "nothing stands before this `;`", "a net ends with its `}`"),
        ("/// Alone.", "/// Alone.", "expected `dim` or `net`, found the end of `net!`", ""),
        ("net f(x: [n]) -> [n] { x }", "f", "the name of a net starts with a capital letter", "write `F`"),
    ] {
        one_error(source, mark, message, help);
    }
}

#[test]
fn heads() {
    let arrow = "write `net F(…) -> [n, …] { … }`";
    let inputs = "write `net F(x: [n, …]) -> [n, …] { … }`";
    let brackets = "write `[n, d]` instead of `(n, d)`";
    let number = "a single number has the shape `[]`; nets work in f32 and in f64";
    for (head, mark, message, help) in [
        ("F(x: [n]) [n] { x }", "[", "expected `->` and the shape of the result, found `[`", arrow),
        ("F(x: [n]) => [n] { x }", "=>", "expected `->` and the shape of the result, found `=>`", arrow),
        ("F(x: [n]) { x }", "F", "`F` does not say what it gives", arrow),
        ("F(x: [n]) -> { x }", "{", "expected a shape such as `[n, 784]`, found `{`", ""),
        ("F(x: [n]) -> [n];", ";", "expected the body of `F` in braces, found `;`", ""),
        ("F { x }", "{", "expected the inputs of `F` in parentheses, found `{`", inputs),
        ("F(x = [n]) -> [n] { x }", "=", "expected `:` between `x` and its shape, found `=`", ""),
        ("F(x [n]) -> [n] { x }", "[", "expected `:` between `x` and its shape, found `[`", ""),
        ("F(x) -> [n] { x }", "x", "`x` needs a shape", "write `x: [n, …]`, or `x: []` for a single number"),
        ("F([n]) -> [n] { x }", "[", "expected the name of an input, found `[`", ""),
        ("F(x: [n] y: [n]) -> [n] { x }", "y", "a `,` is missing before `y`", ""),
        ("F(x: (n, d)) -> [n] { x }", "(n, d)", "a shape stands in brackets", brackets),
        ("F(x: [n]) -> (n, d) { x }", "(n, d)", "a shape stands in brackets", brackets),
        ("F(x: f32) -> [n] { x }", "f32", "expected a shape such as `[n, 784]`, found `f32`", number),
        ("F(x: [n, 2.5]) -> [n] { x }", "2.5", "a size is a whole number, `2.5` is not", ""),
        ("F(x: [n d]) -> [n] { x }", "d", "a `,` is missing before `d`", ""),
        ("F(x: [n,, d]) -> [n] { x }", ",", "expected a size, found `,`", ""),
        ("F(x: [h: 32]) -> [n] { x }", ":", "the label of an axis is followed by `=`", "write `h = …`"),
        ("F(x: [n] in) -> [n] { x }", ")", "expected the dimension that the indices point into, found `)`", ""),
        (
            "F(type: [n]) -> [n] { x }",
            "type",
            "`type` is a word of Rust and cannot be the name of an input",
            "choose another, such as `type_`",
        ),
        ("F(mut x: [n]) -> [n] { x }", "mut", "nothing changes in a net", "leave out `mut`"),
        ("F(x: [n]) -> () { x }", "()", "a net gives at least one tensor", "a single number has the shape `[]`"),
        ("F(x: [n]) -> [n] where { x }", "{", "expected a fact such as `heads | d`, found `{`", ""),
        ("F(x: [n]) -> [n] where a | b c == d { x }", "c", "expected `,` or the body after a fact, found `c`", ""),
        (
            "F(x: [n]) -> loss: [] { x }",
            "loss",
            "named results stand in parentheses",
            "write `-> (loss: [], correct: [])`",
        ),
        (
            "F(x: [n]) -> ([], []) { x }",
            "[",
            "several results need names",
            "write `-> (loss: [], correct: [])`, or `-> [n, …]` for one result",
        ),
    ] {
        one_error(&format!("net {head}"), mark, message, help);
    }
}

#[test]
fn blocks() {
    for (source, mark, message, help) in [
        ("", "}", "the net `F` has no value", "end with an expression without `;`"),
        ("let y = x;", "}", "the net `F` has no value", "end with the result, for example `y`"),
        (
            "x |> relu;",
            ";",
            "this `;` throws the value of the block away",
            "remove it: the last expression is the value",
        ),
        ("let y = x let z = y; z", "let", "expected `;` after the value of `y`, found `let`", ""),
        ("let y = x\n y |> relu", "y", "expected `;` after the value of `y`, found `y`", ""),
        ("let y = x relu; y", "relu", "expected an operator or `;` after the value of `y`, found `relu`", ""),
        ("let y x; y", "x", "expected `=` and the value of `y`, found `x`", ""),
        ("let = x; x", "=", "expected the name of a value, found `=`", ""),
        ("let mut y = x; y", "mut", "nothing changes in a net", "leave out `mut`"),
        ("y = x; y", "y", "`let` is missing before `y`", "write `let y = …;`"),
        ("relu(x); x", "relu", "this value is not used", "bind it with `let name = …;`, or remove it"),
        ("return x", "return", "a net has no `return`", "the last expression of a block is its value"),
        ("; x", ";", "nothing stands before this `;`", "remove it"),
        (
            "let y: [n] = x; y",
            ":",
            "a `let` has no type",
            "shapes are inferred; the result of a net is checked against its `->`",
        ),
        (
            "for i in 0..3 { x }",
            "for",
            "there are no loops",
            "`x |> [layer; 6]` applies six layers, one after the other",
        ),
        ("/// Doc.\n x", "/// Doc.", "a doc comment stands before a `dim` or a `net`, not inside of one", "write `//`"),
        (
            "x x",
            "x",
            "expected an operator or the end of the block, found `x`",
            "`|>` sends a value on: `x |> relu`; `let y = …;` gives it a name",
        ),
        (
            "x, y",
            ",",
            "expected an operator or the end of the block, found `,`",
            "several values stand in parentheses: `(a, b)`",
        ),
    ] {
        in_body(source, mark, message, help);
    }
}

#[test]
fn expressions() {
    let pipe = "`|>` sends a value into a layer; `||` is the logical or";
    let chained = "join them with `&&`: `a < b && b < c`";
    let results = "name every result: `(loss = …, correct = …)`";
    for (source, mark, message, help) in [
        ("x | relu", "|", "`|` is not an operator", pipe),
        ("x |>", "}", "expected a layer after `|>`, found `}`", ""),
        ("|> relu", "|>", "`|>` needs a value on its left", "begin with an input: `x |> …`"),
        ("x.relu()", "relu", "there are no methods: `.relu()`", "write `x |> relu`"),
        ("x.relu().sum()", "relu", "there are no methods: `.relu()`", "write `x |> relu`"),
        ("x |> fc1 = linear(3)", "=", "a label is followed by `:`", "write `fc1: …`"),
        ("x |> fc1:", "}", "expected a layer after the label `fc1`, found `}`", ""),
        ("x |> dropout(p: 0.5)", ":", "a named argument is followed by `=`", "write `p = …`"),
        ("f(a b)", "b", "a `,` is missing before `b`", ""),
        ("f(a,, b)", ",", "expected an argument, found `,`", ""),
        ("f(a; b)", ";", "expected `)` after the arguments, found `;`", ""),
        ("f(over =)", ")", "expected the value of `over`, found `)`", ""),
        ("x + * 3", "*", "expected a value after `+`, found `*`", ""),
        ("x ** 2", "**", "`**` is not an operator of the language", "powers are `square(x)` and `pow(x, 3)`"),
        ("a & b", "&", "`&` is not an operator of the language", "`&&` is the logical and"),
        ("a < b < c", "<", "comparisons cannot be chained", chained),
        ("a == b == c", "==", "comparisons cannot be chained", chained),
        ("()", "()", "the parentheses are empty", "put a value between them"),
        ("(loss = a, b)", "b", "this result has no name", results),
        ("[a; 3.5]", "3.5", "a size is a whole number, `3.5` is not", ""),
        ("[; 3]", "[; 3]", "no layer stands before the `;`", "write `[layer; 6]`"),
        ("if a = b { b } else { c }", "=", "expected `{` after the condition, found `=`", "`==` compares"),
        ("if { b } else { c }", "{", "expected a condition after `if`, found `{`", ""),
        ("if a { } else { c }", "}", "this branch has no value", "end with an expression without `;`"),
        ("|x: [n]| x", ":", "the parameters of a closure have no type", "shapes are inferred"),
        ("|x y| x", "y", "expected `,` or `|` after a parameter, found `y`", ""),
        ("3usize", "3usize", "numbers have no type here: `3usize`", "write `3`"),
        (
            "x as f32",
            "as",
            "there is no `as`",
            "a size is a number already, and `to_real(x)` makes numbers of truth values and indices",
        ),
        ("x >| relu", ">", "`>|` is not an operator", "`|>` sends a value into a layer"),
        (
            "x |> nn.Linear(12, 64)",
            "Linear",
            "there is no `nn.Linear`",
            "write `linear(x, width, bias = true, init = …)`",
        ),
        (
            "x.permute(0, 2, 1)",
            "permute",
            "there are no methods: `.permute()`",
            "write `x |> [n, t, d] -> [n, d, t]`: a pattern names the axes before and after",
        ),
        ("x @ y", "@", "`@` is not an operator of the language", "write `einsum(x[n, i, d], y[n, j, d] -> [n, i, j])`"),
        ("where(a, b, c)", "where", "there is no `where` of values", "write `select(x > 0, x, y)`"),
        (
            "self.fc1(x)",
            "self",
            "there is no `self`",
            "a net has no `self`: a layer is made where it is used, `x |> fc1: linear(64)`",
        ),
        ("foo!(x)", "foo", "macros cannot be called in `net!`", "functions are called without `!`"),
        ("if a { b }", "if", "an `if` without `else` has no value when the condition is false", "add `else { … }`"),
        (
            "[a, b; 3]",
            "[a, b; 3]",
            "one layer is repeated, several stand before the `;`",
            "put them in a list of their own: `[[a, b]; 6]`",
        ),
    ] {
        in_body(source, mark, message, help);
    }
}

#[test]
fn what_is_not_in_the_language_yet() {
    in_body("ode(x, s = 0..=1, by = rk4(8))", "..=", "a range is written with two dots", "write `0..1`");
    in_body("ode(x, s = ..1, by = rk4(8))", "..", "a range begins with a number", "write `0..1`");
    let flow =
        one_error("flow F() { x |> reverse }", "F", "`F` takes no points", "write `flow F(x: [n, d]) { x |> … }`");
    assert_eq!(broken(&flow), ["F"]);
}

#[test]
fn what_a_use_cannot_say() {
    let glob = "`net!` takes names from elsewhere one by one, not all that there are";
    one_error("use blocks::*; dim A = 3;", "*", glob, "name them: `use path::{A, B};`");
    let inside = "name what stands inside: `use path::{A, B};`";
    one_error("use blocks::{self, B}; dim A = 3;", "self", "`self` is no dim and no net", inside);
    let written = "write `use path::Name;` or `use path::{A, B as C};`";
    one_error("use blocks::A as _; dim A = 3;", "A", "a name from elsewhere is expected here", written);
    let used = one_error(
        "#[doc = \"a\"] use blocks::{B, C as D};",
        "use",
        "attributes and doc comments cannot stand before `use`",
        "",
    );
    assert!(broken(&used).contains(&"D".to_string()) && used.items.is_empty());
}

#[test]
fn all_mistakes_of_a_program_are_found_at_once() {
    let source = "
        dim A = 3.5;
        pub dim B: 4;
        net F(x: (n, A)) -> [n, B] {
            let y = x.relu();
            let z = y |> linear(B bias = false);
            f(y z) + (z | relu)
        }
        fn G(x: [n]) [n] { x }
        net H(x: [n, -1]) -> [n] { x; }
    ";
    let (program, diagnostics) = read(source);
    let marks: Vec<_> = diagnostics.iter().map(|d| d.place.first.source_text().unwrap()).collect();
    assert_eq!(marks, ["3.5", ":", "(n, A)", "relu", "bias", "z", "|", "fn", "[", "-", ";"]);
    assert_eq!(broken(&program), ["A", "H"]);
    assert_eq!(program.items.len(), 3);
}

#[test]
fn a_broken_value_leaves_its_name() {
    let (program, diagnostics) = read("net F(x: [n]) -> [n] { let y = x.relu(); let (a, b) = ; y + a * b }");
    assert_eq!(diagnostics.len(), 2);
    assert_eq!(body(&program).as_deref(), Some("let y = <error>; let (a, b) = <error>; (y + (a * b))"));
}

#[test]
fn a_lost_name_gives_up_the_body_and_keeps_the_head() {
    let (program, diagnostics) = read("net F(x: [n]) -> [n] { let = x; y }");
    assert_eq!(diagnostics.len(), 1);
    assert!(broken(&program).is_empty() && body(&program).is_none());
    let Item::Net(net) = &program.items[0] else { panic!("the item is a net") };
    assert_eq!(net.inputs.len(), 1);
}

#[test]
fn a_broken_argument_stands_in_its_place() {
    let (program, _) = read("net F(x: [n]) -> [n] { f(x, = 3, over = n) }");
    let Item::Net(net) = &program.items[0] else { panic!("the item is a net") };
    let ExprKind::Call { arguments, .. } = &net.body.as_ref().unwrap().result.kind else { panic!("it is a call") };
    let broken: Vec<_> = arguments.iter().map(|a| matches!(a.value.kind, ExprKind::Error(_))).collect();
    assert_eq!(broken, [false, true, false]);
}

/// The stages after the parser add nothing to a mistake that the parser has reported.
#[test]
fn one_mistake_is_one_error_after_all_stages() {
    for body in ["x.relu()", "x |>", "x ** 2", "let y = ; y", "let y = x |> relu;", "x |> linear(3 bias = true)", ""] {
        let source = format!("dim A = 3.5; dim B = 2 * A; pub net F(x: [n, A]) -> [n, B] {{ {body} }}");
        let diagnostics = crate::expand(source.parse().unwrap()).diagnostics;
        let texts: Vec<_> = diagnostics.iter().map(Diagnostic::text).collect();
        assert_eq!(texts.len(), 2, "{source}\n{texts:#?}");
    }
}
