//! Sizes as text.

use super::Term;
use super::atom::{Atom, Monomial};
use super::ratio::Ratio;
use std::cmp::Reverse;
use std::fmt;

impl fmt::Display for Term {
    /// `784`, `n`, `3 * Embed`, `Embed / 4`, `a * b + 2 * a - 1`: higher powers first, what is subtracted last. What has
    /// one divisor stands together: `(a + 1) / 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<_> = self.sum.iter().rev().collect();
        parts.sort_by_key(|(monomial, factor)| (factor.is_negative(), Reverse(monomial.degree())));
        let mut groups = Vec::<((i128, Monomial), Vec<(Monomial, i128)>)>::new();
        for (monomial, factor) in parts {
            let (above, below) = monomial.split();
            let under = (factor.under, below);
            let divided = under.0 > 1 || !under.1.0.is_empty();
            match groups.iter_mut().find(|(known, _)| divided && *known == under) {
                Some((_, products)) => products.push((above, factor.over)),
                None => groups.push((under, vec![(above, factor.over)])),
            }
        }
        for (i, ((number, below), products)) in groups.iter().enumerate() {
            let together = products.len() > 1;
            if together && i > 0 {
                f.write_str(" + ")?;
            }
            f.write_str(if together { "(" } else { "" })?;
            for (j, (above, factor)) in products.iter().enumerate() {
                f.write_str(match (if together { j } else { i }, *factor < 0) {
                    (0, true) => "-",
                    (0, false) => "",
                    (_, true) => " - ",
                    (_, false) => " + ",
                })?;
                write!(f, "{}", Product(factor.unsigned_abs(), above))?;
            }
            f.write_str(if together { ")" } else { "" })?;
            match (*number == 1, below.0.values().sum::<i32>()) {
                (true, 0) => {}
                (true, 1) | (false, 0) => write!(f, " / {}", Product(number.unsigned_abs(), below))?,
                _ => write!(f, " / ({})", Product(number.unsigned_abs(), below))?,
            }
        }
        if groups.is_empty() { f.write_str("0") } else { Ok(()) }
    }
}

/// `3 * a * b`
struct Product<'m>(u128, &'m Monomial);

impl fmt::Display for Product<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Product(number, monomial) = self;
        let mut written = *number != 1 || monomial.0.is_empty();
        if written {
            write!(f, "{number}")?;
        }
        for (atom, power) in &monomial.0 {
            for _ in 0..*power {
                write!(f, "{}{atom}", if written { " * " } else { "" })?;
                written = true;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Nominal { name, .. } | Atom::RunTime(name) => f.write_str(name),
            Atom::Evaluations(path) => {
                write!(f, "{}.evaluations", path.last().map(ToString::to_string).unwrap_or_default())
            }
            Atom::CeilDiv(a, b) => write!(f, "ceil_div({a}, {b})"),
            Atom::Quotient(a, b) => write!(f, "(({a}) / ({b}))"),
            Atom::FloorDiv(a, b) => {
                match (a.sum.get(&Monomial::default()).map(|one| Ratio::as_integer(*one)), b.as_integer()) {
                    (Some(Some(constant)), Some(by)) if constant == by - 1 => {
                        write!(f, "ceil_div({}, {b})", a.minus(&Term::integer(constant)))
                    }
                    _ => write!(f, "floor_div({a}, {b})"),
                }
            }
        }
    }
}
