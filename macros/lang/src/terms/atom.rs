//! What sizes are made of, and products of it.

use super::Term;
use super::ratio::Ratio;
use proc_macro2::Ident;
use std::collections::BTreeMap;

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
    /// `a / b`, where `b` is a sum that does not divide `a` whatever the names stand for: a fact says that it does.
    Quotient(Term, Term),
    /// How often a step by a method of the user's evaluates its field, which rustc alone knows: the path of the method.
    Evaluations(Vec<Ident>),
}

/// A product of powers of atoms, none of them 0. Where no power is negative, the order is lexicographic in the
/// exponents, smaller atoms first: it respects products, which exact division needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Monomial(pub(super) BTreeMap<Atom, i32>);

impl Atom {
    /// Whether its size is known.
    pub(super) fn is_known(&self) -> bool {
        self.value(&|_| None).is_some()
    }

    pub(super) fn least(&self) -> Option<i128> {
        match (self, self.value(&|_| None)) {
            (_, Some(value)) => Some(value),
            (Atom::RunTime(_) | Atom::Quotient(..) | Atom::Evaluations(_), None) => Some(1),
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
            Atom::Evaluations(_) => None,
            Atom::FloorDiv(a, b) | Atom::Quotient(a, b) => divided(a, b).map(|(quotient, _)| quotient),
            Atom::CeilDiv(a, b) => divided(a, b).map(|(quotient, rest)| quotient + i128::from(rest != 0)),
        }
    }

    pub(super) fn substitute(&self, replace: &dyn Fn(&str) -> Option<Term>) -> Term {
        match self {
            Atom::Nominal { .. } | Atom::Evaluations(_) => Term::atom(self.clone()),
            Atom::RunTime(name) => replace(name).unwrap_or_else(|| Term::atom(self.clone())),
            Atom::FloorDiv(a, b) => a.substitute(replace).floor_div(&b.substitute(replace)),
            Atom::CeilDiv(a, b) => a.substitute(replace).ceil_div(&b.substitute(replace)),
            Atom::Quotient(a, b) => Term::fraction(&a.substitute(replace), &b.substitute(replace)),
        }
    }
}

impl Monomial {
    pub(super) fn power(atom: Atom, power: i32) -> Self {
        Monomial(BTreeMap::from([(atom, power)]))
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = self.clone();
        for (atom, power) in &other.0 {
            let sum = product.0.get(atom).unwrap_or(&0) + power;
            match sum {
                0 => product.0.remove(atom),
                _ => product.0.insert(atom.clone(), sum),
            };
        }
        product
    }

    pub(super) fn inverse(&self) -> Self {
        Monomial(self.0.iter().map(|(atom, power)| (atom.clone(), -power)).collect())
    }

    pub(super) fn over(&self, by: &Self) -> Self {
        self.times(&by.inverse())
    }

    /// What divides both, whatever the names stand for: of each atom the lower power.
    pub(super) fn common(&self, other: &Self) -> Self {
        let lower = |atom| {
            let power = |of: &Self| of.0.get(atom).copied().unwrap_or(0);
            Some((Atom::clone(atom), power(self).min(power(other)))).filter(|(_, power)| *power != 0)
        };
        Monomial(self.0.keys().chain(other.0.keys()).filter_map(lower).collect())
    }

    /// Whether nothing is divided by.
    pub(super) fn is_whole(&self) -> bool {
        self.0.values().all(|power| *power > 0)
    }

    /// What is multiplied, and what it is divided by.
    pub(super) fn split(&self) -> (Self, Self) {
        let (above, below): (BTreeMap<_, _>, BTreeMap<_, _>) = self.0.clone().into_iter().partition(|(_, p)| *p > 0);
        (Monomial(above), Monomial(below).inverse())
    }

    /// The number that its known atoms make, and the others.
    pub(super) fn known(&self) -> Option<(Ratio, Self)> {
        let (mut number, mut others) = (Ratio::ONE, Self::default());
        for (atom, power) in &self.0 {
            match atom.value(&|_| None) {
                Some(value) => number = number.times(Ratio::integer(value).power(*power)?),
                None => {
                    others.0.insert(atom.clone(), *power);
                }
            }
        }
        Some((number, others))
    }

    pub(super) fn degree(&self) -> i32 {
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
