//! What a size in the source stands for.

use super::Lost;
use crate::ast::Size;
use crate::report::{Checked, Place, Report, did_you_mean};
use crate::terms::{Dims, Term};
use ansatz_shapes::Size as _;
use proc_macro2::Span;

/// The term of a size. Names stand for what `dims` says; those in `broken` hold an error already.
pub fn size(size: &Size, dims: &Dims, broken: &Lost, report: &mut Report) -> Checked<Term> {
    match size {
        Size::Literal(0, span) => report.error(*span, "a dimension has at least size 1, not 0").fail(),
        Size::Literal(number, _) => Ok(Term::literal(*number)),
        Size::Infer(span) => report.error(*span, "`_` is for results only").help("say which dimension this is").fail(),
        Size::Name(name) => {
            let text = name.to_string();
            if let Some(term) = dims.term(&text) {
                return Ok(term);
            }
            if let Some(reported) = broken.get(&text) {
                return Err(*reported);
            }
            let known: Vec<_> = dims.names().collect();
            let guess = did_you_mean(&text, &known);
            let lower = text.starts_with(char::is_lowercase);
            let message = match lower {
                true => format!("no input has a dimension `{text}`"),
                false => format!("no dimension `{text}` is declared"),
            };
            let error = report.error(name.span(), message).help(match guess {
                Some(guess) => format!("did you mean `{guess}`?"),
                None if lower => "a dimension that is known only at run time is read off an input".to_owned(),
                None => format!("declare it, `dim {text} = …;`, or take it from another `net!`: `use path::{text};`"),
            });
            error.fail()
        }
        Size::Arithmetic { op, operands, span } => {
            let left = self::size(&operands[0], dims, broken, report);
            let right = self::size(&operands[1], dims, broken, report);
            arithmetic(*op, &left?, &right?, dims, *span, report)
        }
        Size::Call { name, arguments } => {
            let terms: Vec<_> = arguments.iter().map(|a| self::size(a, dims, broken, report)).collect();
            let terms = terms.into_iter().collect::<Checked<Vec<_>>>()?;
            division(&name.to_string(), &terms, name.span(), report).map(|quotient| dims.normal(&quotient))
        }
    }
}

/// `left op right` on sizes.
pub fn arithmetic(
    op: char,
    left: &Term,
    right: &Term,
    dims: &Dims,
    span: impl Into<Place>,
    report: &mut Report,
) -> Checked<Term> {
    match op {
        '+' => Ok(left.plus(right)),
        '-' => Ok(left.minus(right)),
        '*' => Ok(left.times(right)),
        _ if right.whole() == Some(0) => report
            .error(span, format!("a division by {right}, which is 0"))
            .help("choose sizes of which this is at least 1")
            .fail(),
        _ => match dims.quotient(left, right) {
            Some(exact) => Ok(exact),
            None => match (left.number(), right.number()) {
                (Some(l), Some(r)) => {
                    let says = |term: &Term, number: usize| match term.as_literal() {
                        Some(_) => number.to_string(),
                        None => format!("{term} = {number}"),
                    };
                    let (left, right) = (says(left, l), says(right, r));
                    report
                        .error(span, format!("`/` is exact, and {right} does not divide {left}"))
                        .help("`floor_div` and `ceil_div` round")
                        .fail()
                }
                _ => report
                    .error(span, format!("`/` is exact, and nothing says that {right} divides {left}"))
                    .help(format!("state it, `where {right} | {left}`, or round by `floor_div` or `ceil_div`"))
                    .fail(),
            },
        },
    }
}

/// `floor_div(a, b)`, `ceil_div(a, b)` of sizes.
pub fn division(name: &str, terms: &[Term], span: Span, report: &mut Report) -> Checked<Term> {
    match (name, terms) {
        ("ceil_div" | "floor_div", [_, by]) if by.number() == Some(0) => {
            report.error(span, format!("`{name}` divides by 0")).fail()
        }
        ("ceil_div", [a, by]) => Ok(a.ceil_div(by)),
        ("floor_div", [a, by]) => Ok(a.floor_div(by)),
        ("ceil_div" | "floor_div", _) => {
            report.error(span, format!("`{name}` takes 2 sizes, not {}", terms.len())).fail()
        }
        _ => {
            let guess = did_you_mean(name, ["ceil_div", "floor_div"]);
            report
                .error(span, format!("no function on sizes is called `{name}`"))
                .help(match guess {
                    Some(guess) => format!("did you mean `{guess}`?"),
                    None => "the functions on sizes are `ceil_div` and `floor_div`".to_owned(),
                })
                .fail()
        }
    }
}
