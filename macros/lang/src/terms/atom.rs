//! What sizes are made of, and products of it.

use super::Term;
use std::collections::BTreeMap;
use std::fmt;

/// What a size is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// `dim Pixels = 784;`: equal to itself alone, never to a literal of the same size.
    Nominal {
        /// Its name.
        name: String,
        /// Its size.
        number: usize,
    },
    /// `n`: known at run time, or bound by the caller.
    RunTime(String),
    /// `floor_div(a, b)` that has no simpler form.
    FloorDiv(Term, Term),
    /// `ceil_div(a, b)` that has no simpler form; with a literal `b` it is written by `FloorDiv`.
    CeilDiv(Term, Term),
    /// `a / b`, exact because a fact says so.
    Quotient(Term, Term),
}

/// A product of powers of atoms; powers are at least 1. The order is lexicographic in the exponents, smaller atoms
/// first: it respects products, which exact division needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Monomial(pub(super) BTreeMap<Atom, u32>);

impl Atom {
    /// What is divided by what, if there is no remainder.
    pub(super) fn exact(&self) -> Option<(&Term, &Term)> {
        match self {
            Atom::Quotient(a, b) => Some((a, b)),
            Atom::FloorDiv(a, b) => {
                let exact = matches!((a.number(), b.number()), (Some(a), Some(b)) if b != 0 && a.is_multiple_of(b));
                exact.then_some((a, b))
            }
            _ => None,
        }
    }

    /// Whether its size is known.
    pub(super) fn is_known(&self) -> bool {
        self.value(&|_| None).is_some()
    }

    pub(super) fn least(&self) -> Option<i128> {
        match (self, self.value(&|_| None)) {
            (_, Some(value)) => Some(value),
            (Atom::RunTime(_) | Atom::Quotient(..), None) => Some(1),
            (Atom::FloorDiv(a, b) | Atom::CeilDiv(a, b), None) => match (a.least()?, b.as_integer()) {
                (least, Some(by)) if least >= 0 && by > 0 => Some(least.div_euclid(by)),
                (least, _) if least >= 0 => Some(0),
                _ => None,
            },
            (Atom::Nominal { .. }, None) => None,
        }
    }

    pub(super) fn value(&self, size: &dyn Fn(&str) -> Option<usize>) -> Option<i128> {
        let divided = |a: &Term, b: &Term| {
            let (a, b) = (a.value(size)?, b.value(size)?);
            (b > 0).then(|| (a.div_euclid(b), a.rem_euclid(b)))
        };
        match self {
            Atom::Nominal { number, .. } => Some(*number as i128),
            Atom::RunTime(name) => size(name).map(|size| size as i128),
            Atom::FloorDiv(a, b) | Atom::Quotient(a, b) => divided(a, b).map(|(quotient, _)| quotient),
            Atom::CeilDiv(a, b) => divided(a, b).map(|(quotient, rest)| quotient + i128::from(rest != 0)),
        }
    }

    pub(super) fn substitute(&self, replace: &dyn Fn(&str) -> Option<Term>) -> Term {
        match self {
            Atom::Nominal { .. } => Term::atom(self.clone()),
            Atom::RunTime(name) => replace(name).unwrap_or_else(|| Term::atom(self.clone())),
            Atom::FloorDiv(a, b) => a.substitute(replace).floor_div(&b.substitute(replace)),
            Atom::CeilDiv(a, b) => a.substitute(replace).ceil_div(&b.substitute(replace)),
            Atom::Quotient(a, b) => {
                let (a, b) = (a.substitute(replace), b.substitute(replace));
                a.quotient(&b).unwrap_or_else(|| Term::atom(Atom::Quotient(a, b)))
            }
        }
    }
}

impl Monomial {
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = self.clone();
        for (atom, power) in &other.0 {
            *product.0.entry(atom.clone()).or_insert(0) += power;
        }
        product
    }

    pub(super) fn divide(&self, by: &Self) -> Option<Self> {
        let mut quotient = self.clone();
        for (atom, power) in &by.0 {
            let left = quotient.0.get(atom)?.checked_sub(*power)?;
            if left == 0 {
                quotient.0.remove(atom);
            } else {
                quotient.0.insert(atom.clone(), left);
            }
        }
        Some(quotient)
    }

    pub(super) fn degree(&self) -> u32 {
        self.0.values().sum()
    }
}

impl Ord for Monomial {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (mut left, mut right) = (self.0.iter(), other.0.iter());
        loop {
            let order = match (left.next(), right.next()) {
                // The monomial with the smaller atom has a power of it, the other has none.
                (Some((a, m)), Some((b, n))) => b.cmp(a).then(m.cmp(n)),
                (a, b) => return a.is_some().cmp(&b.is_some()),
            };
            if order.is_ne() {
                return order;
            }
        }
    }
}

impl PartialOrd for Monomial {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Monomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factors = self.0.iter().flat_map(|(atom, &power)| (0..power).map(move |_| atom));
        for (i, atom) in factors.enumerate() {
            write!(f, "{}{atom}", if i == 0 { "" } else { " * " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Nominal { name, .. } | Atom::RunTime(name) => f.write_str(name),
            Atom::CeilDiv(a, b) => write!(f, "ceil_div({a}, {b})"),
            Atom::FloorDiv(a, b) | Atom::Quotient(a, b)
                if self.exact().is_some() && a.sum.len() == 1 && b.sum.len() == 1 =>
            {
                match b.as_integer().is_some() || matches!(b.as_atom(), Some(Atom::Nominal { .. } | Atom::RunTime(_))) {
                    true => write!(f, "{a} / {b}"),
                    false => write!(f, "{a} / ({b})"),
                }
            }
            Atom::Quotient(a, b) => write!(f, "({a}) / ({b})"),
            Atom::FloorDiv(a, b) => match (a.sum.get(&Monomial::default()), b.as_integer()) {
                (Some(&constant), Some(by)) if constant == by - 1 => {
                    write!(f, "ceil_div({}, {b})", a.minus(&Term::integer(constant)))
                }
                _ => write!(f, "floor_div({a}, {b})"),
            },
        }
    }
}
