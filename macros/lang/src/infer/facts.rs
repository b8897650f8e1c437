//! The conditions after `where`.

use super::block::Inference;
use crate::ast::{Fact, NetItem, Size};
use crate::report::{Checked, Report};
use crate::resolve::{Lost, Names};
use crate::terms::{Dims, Term};
use ansatz_shapes::Size as _;
use proc_macro2::Span;
use std::fmt;

/// What mends a condition that does not hold.
const OTHER_SIZES: &str = "choose sizes for which it holds, or state what the net does need";

/// Whether a relation holds between two numbers; none if the operator is none.
pub(super) fn relation<T: PartialOrd>(op: &str, a: T, b: T) -> Option<bool> {
    Some(match op {
        "==" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        ">=" => a >= b,
        _ => return None,
    })
}

/// A condition that is checked at run time.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumption {
    /// What stands on the left: for `|`, the divisor.
    pub left: Term,
    /// `|`, `==`, `<`, …
    pub op: &'static str,
    /// What stands on the right.
    pub right: Term,
}

impl Assumption {
    /// The run-time dimensions on which it depends.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.left.open_names();
        names.extend(self.right.open_names());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The same with terms in place of run-time dimensions.
    pub(super) fn substitute(&self, replace: &dyn Fn(&str) -> Option<Term>) -> Self {
        Assumption { left: self.left.substitute(replace), op: self.op, right: self.right.substitute(replace) }
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.op, self.right)
    }
}

/// What is known of sizes in a net.
pub(super) struct Facts {
    /// Declared and run-time dimensions.
    pub(super) dims: Dims,
    /// Names that an error elsewhere has left without meaning.
    pub(super) broken: Lost,
    /// The conditions that the net states, as far as only a run can decide them.
    stated: Vec<Assumption>,
    /// Those of them that are not decided yet.
    pub(super) assumed: Vec<Assumption>,
}

impl Facts {
    /// Outside of any net: declared dimensions alone.
    pub(super) fn declared(names: &Names<'_>) -> Self {
        Facts { dims: names.meanings.clone(), broken: names.broken.clone(), stated: vec![], assumed: vec![] }
    }

    /// The facts of a net with these dimensions.
    pub(super) fn of(item: &NetItem, dims: Dims, broken: Lost) -> Self {
        let stated = stated(item, &dims, &broken);
        Facts { dims, broken, stated, assumed: vec![] }
    }

    /// Whether a size surely is at least so large: because dimensions are at least 1, or by a condition.
    pub(super) fn at_least(&self, size: &Term, bound: i128) -> bool {
        let bounded = |size: &Term, bound: i128| size.least().is_some_and(|least| least >= bound);
        bounded(size, bound)
            || self.stated.iter().any(|Assumption { left, op, right }| match *op {
                ">=" | "==" => bounded(&size.minus(left).plus(right), bound),
                ">" => bounded(&size.minus(left).plus(right), bound - 1),
                "<=" => bounded(&size.minus(right).plus(left), bound),
                "<" => bounded(&size.minus(right).plus(left), bound - 1),
                _ => false,
            })
    }

    /// Whether a condition surely holds here.
    pub(super) fn proven(&self, assumption: &Assumption) -> bool {
        let Assumption { left, op, right } = assumption;
        let least = |a: &Term, b: &Term, bound: i128| self.at_least(&a.minus(b), bound);
        self.stated.contains(assumption)
            || match *op {
                "|" => self.dims.quotient(right, left).is_some(),
                "==" => left == right,
                ">=" => least(left, right, 0),
                ">" => least(left, right, 1),
                "<=" => least(right, left, 0),
                "<" => least(right, left, 1),
                _ => least(left, right, 1) || least(right, left, 1),
            }
    }
}

/// The conditions of a net that only a run can decide, as far as its signature can be read.
pub(super) fn stated(item: &NetItem, dims: &Dims, broken: &Lost) -> Vec<Assumption> {
    let read = |size: &Size| bound(size, dims, broken, &mut Report::new()).ok();
    let facts = item.facts.iter().filter_map(|fact| {
        let (left, op, right) = match fact {
            Fact::Divides(by, of) => (by, "|", of),
            Fact::Relation(left, op, right) => (left, *op, right),
        };
        Some(Assumption { left: read(left)?, op, right: read(right)? })
    });
    facts.filter(|fact| fact.left.number().is_none() || fact.right.number().is_none()).collect()
}

/// One side of a condition: a size, or 0, which is none.
fn bound(size: &Size, dims: &Dims, broken: &Lost, report: &mut Report) -> Checked<Term> {
    match size {
        Size::Literal(0, _) => Ok(Term::literal(0)),
        size => crate::resolve::size(size, dims, broken, report),
    }
}

impl Inference<'_, '_, '_> {
    /// The conditions after `where`: those on sizes, or those on the number of parameters, which the body decides.
    pub(super) fn conditions(&mut self, on_parameters: bool) {
        let item = self.item;
        let is_count = |size: &Size| matches!(size, Size::Name(name) if name == "parameters");
        for fact in &item.facts {
            let (Fact::Divides(left, right) | Fact::Relation(left, _, right)) = fact;
            if (is_count(left) || is_count(right)) != on_parameters {
                continue;
            }
            let Fact::Relation(left, op, right) = fact else {
                let Fact::Divides(by, of) = fact else { continue };
                let (Ok(by_term), Ok(of_term)) = (self.fact_size(by), self.fact_size(of)) else { continue };
                match (by_term.number(), of_term.number()) {
                    (Some(b), Some(o)) if b == 0 || !o.is_multiple_of(b) => {
                        let (by_text, of_text) = (equation(by, &by_term, b), equation(of, &of_term, o));
                        let message = format!("{by_text} does not divide {of_text}");
                        self.fault(place(by), message).help(OTHER_SIZES);
                    }
                    (Some(_), Some(_)) => {}
                    _ if of_term.divide(&by_term).is_some() => {}
                    _ => self.open_fact(by_term, "|", of_term, place(by)),
                }
                continue;
            };
            let (Ok(l), Ok(r)) = (self.fact_size(left), self.fact_size(right)) else { continue };
            let (Some(a), Some(b)) = (l.number(), r.number()) else {
                self.open_fact(l, op, r, place(left));
                continue;
            };
            if relation(op, a, b) == Some(false) {
                let says = |size: &Size, term: &Term, number: usize| match size {
                    Size::Literal(..) => number.to_string(),
                    Size::Name(name) => format!("`{name}` is {number}"),
                    _ => format!("{term} is {number}"),
                };
                let message = format!("{}, which is not {op} {b}", says(left, &l, a));
                self.fault(place(left), message).help(OTHER_SIZES);
            }
        }
    }

    /// Speaks of a condition that never holds where the others do.
    pub(super) fn contradictions(&mut self) {
        let item = self.item;
        for fact in &item.facts {
            let Fact::Relation(left, op, right) = fact else { continue };
            let (Ok(l), Ok(r)) = (self.fact_size(left), self.fact_size(right)) else { continue };
            let opposite = match *op {
                "<" => ">=",
                "<=" => ">",
                ">" => "<=",
                ">=" => "<",
                "==" => "!=",
                _ => continue,
            };
            let open = l.number().is_none() || r.number().is_none();
            let never = Assumption { left: l, op: opposite, right: r };
            if open && self.facts.proven(&never) {
                let Assumption { left: l, right: r, .. } = never;
                self.fault(place(left), format!("no size keeps `{l} {op} {r}` and the other conditions"))
                    .help("a dimension is at least 1; leave one of them out");
                return;
            }
        }
    }

    /// A condition on dimensions that are known only at run time is checked then, and holds in the body.
    fn open_fact(&mut self, left: Term, op: &'static str, right: Term, span: Span) {
        let assumption = Assumption { left, op, right };
        let here = |name: &String| self.signature.run_time.iter().any(|own| own == name);
        if assumption.names().iter().all(here) {
            self.facts.assumed.push(assumption);
            return;
        }
        let message = "this cannot be decided here: it depends on a hyper-parameter that is not given";
        let help = "conditions may use dimensions, numbers and `parameters`";
        self.need(&assumption.left.plus(&assumption.right), span.into(), message.to_owned(), help.to_owned());
    }

    fn fact_size(&mut self, size: &Size) -> Checked<Term> {
        if let Size::Name(name) = size
            && name == "parameters"
        {
            return self.parameter_count();
        }
        bound(size, &self.facts.dims, &self.facts.broken, self.nets.report)
    }

    /// The number of parameters of this net.
    fn parameter_count(&mut self) -> Checked<Term> {
        if let Some(lost) = self.nets.report.needs_since(self.before) {
            return Err(lost);
        }
        Ok(Term::literal(self.nets.whole(&self.parts.layers).parameters))
    }
}

/// `heads = 3`, `2 * Embed = 128`, `3`
fn equation(size: &Size, term: &Term, number: usize) -> String {
    match size {
        Size::Literal(..) => number.to_string(),
        Size::Name(name) => format!("{name} = {number}"),
        _ => format!("{term} = {number}"),
    }
}

fn place(size: &Size) -> Span {
    match size {
        Size::Literal(_, span) | Size::Infer(span) | Size::Arithmetic { span, .. } => *span,
        Size::Name(name) | Size::Call { name, .. } => name.span(),
    }
}
