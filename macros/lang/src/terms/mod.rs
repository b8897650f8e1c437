//! Symbolic sizes: sums of products of the names of dimensions and their inverses. Two sizes are the same dimension
//! exactly if their normal forms are equal; names of equal size stay different.

mod atom;
mod dims;
mod divide;
mod print;
mod ratio;

use std::collections::{BTreeMap, BTreeSet};

use ansatz_shapes::Size;

pub use atom::Atom;
use atom::Monomial;
pub use dims::{Dims, Meaning};
use ratio::Ratio;

/// A size in normal form: a sum of products with coefficients that are not zero. Coefficients are fractions and powers
/// may be negative, because `Embed / 4` is a size where 4 divides `Embed`: so the normal form is that of a ring, and
/// nothing needs rewriting. As a whole, a size is a whole number.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    sum: BTreeMap<Monomial, Ratio>,
}

impl Term {
    /// A whole number, of any sign.
    pub fn integer(value: i128) -> Self {
        Self::single(Monomial::default(), Ratio::integer(value))
    }

    /// One atom.
    pub fn atom(atom: Atom) -> Self {
        Self::single(Monomial::power(atom, 1), Ratio::ONE)
    }

    /// A declared dimension.
    pub fn nominal(name: impl Into<String>, number: usize) -> Self {
        Self::atom(Atom::Nominal { name: name.into(), number })
    }

    /// A dimension known at run time.
    pub fn run_time(name: impl Into<String>) -> Self {
        Self::atom(Atom::RunTime(name.into()))
    }

    fn single(monomial: Monomial, coefficient: Ratio) -> Self {
        let mut term = Self::default();
        term.add(monomial, coefficient);
        term
    }

    fn add(&mut self, monomial: Monomial, coefficient: Ratio) {
        let sum = self.sum.get(&monomial).map_or(coefficient, |known| known.plus(coefficient));
        if sum == Ratio::ZERO {
            self.sum.remove(&monomial);
        } else {
            self.sum.insert(monomial, sum);
        }
    }

    /// `self - other`.
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.times(&Self::integer(-1)))
    }

    /// The product, monomial by monomial.
    fn product(&self, other: &Self) -> Self {
        let mut product = Self::default();
        for (left, a) in &self.sum {
            for (right, b) in &other.sum {
                product.add(left.times(right), a.times(*b));
            }
        }
        product
    }

    /// The number, if no name occurs.
    pub fn as_integer(&self) -> Option<i128> {
        match self.sum.first_key_value() {
            None => Some(0),
            Some((monomial, factor)) if self.sum.len() == 1 && monomial.0.is_empty() => factor.as_integer(),
            Some(_) => None,
        }
    }

    /// The literal size, if no name occurs.
    pub fn as_literal(&self) -> Option<usize> {
        usize::try_from(self.as_integer()?).ok()
    }

    /// The atom, if this is one bare atom.
    pub fn as_atom(&self) -> Option<&Atom> {
        match self.sum.first_key_value() {
            Some((monomial, &Ratio::ONE)) if self.sum.len() == 1 && monomial.0.len() == 1 => {
                monomial.0.first_key_value().filter(|(_, power)| **power == 1).map(|(atom, _)| atom)
            }
            _ => None,
        }
    }

    /// The atoms that occur, those inside of divisions included.
    pub fn atoms(&self) -> BTreeSet<&Atom> {
        let mut found = BTreeSet::new();
        for atom in self.sum.keys().flat_map(|monomial| monomial.0.keys()) {
            found.insert(atom);
            if let Atom::FloorDiv(a, b) | Atom::CeilDiv(a, b) | Atom::Quotient(a, b) = atom {
                found.extend(a.atoms());
                found.extend(b.atoms());
            }
        }
        found
    }

    /// The names of the run-time dimensions that occur.
    pub fn open_names(&self) -> Vec<String> {
        let name = |atom: &Atom| match atom {
            Atom::RunTime(name) => Some(name.clone()),
            _ => None,
        };
        self.atoms().into_iter().filter_map(name).collect()
    }

    /// `(a, b)`, where this is `a` times the run-time dimension and `b` more, and neither mentions it.
    pub fn linear_in(&self, name: &str) -> Option<(Self, Self)> {
        let at = |value: i128| self.substitute(&|other| (other == name).then(|| Self::integer(value)));
        let factor = at(2).minus(&at(1));
        let rest = at(1).minus(&factor);
        let same = factor.times(&Self::run_time(name)).plus(&rest) == *self;
        (same && factor != Self::default()).then_some((factor, rest))
    }

    /// The same products, each as a term.
    fn parts(&self) -> impl Iterator<Item = Self> {
        self.sum.iter().map(|(monomial, factor)| Self::single(monomial.clone(), *factor))
    }

    /// `over / under`: a sum of products with whole coefficients and positive powers, and one such product.
    pub fn over_and_under(&self) -> (Self, Self) {
        let mut number = 1_i128;
        let mut powers = Monomial::default();
        for (monomial, factor) in &self.sum {
            number = (number / ratio::gcd(number, factor.under)).saturating_mul(factor.under);
            powers = powers.common(&monomial.split().1.inverse());
        }
        let under = Self::single(powers.inverse(), Ratio::integer(number));
        (self.product(&under), under)
    }

    /// The products of which this is the sum, with whole coefficients and positive powers: a coefficient, and atoms with
    /// their powers. To be used on what [`Self::over_and_under`] gives.
    pub fn products(&self) -> impl Iterator<Item = (i128, impl Iterator<Item = (&Atom, u32)>)> {
        self.sum.iter().map(|(monomial, factor)| {
            (factor.floor(), monomial.0.iter().map(|(atom, power)| (atom, power.unsigned_abs())))
        })
    }

    /// The size, if every name has a number.
    pub fn number(&self) -> Option<usize> {
        self.evaluate(&|_| None)
    }

    /// The number that it makes, of any sign, if every name has one.
    pub fn whole(&self) -> Option<i128> {
        self.value(&|_| None)
    }

    /// The size, where `size` gives the run-time dimensions. `None` if one is unknown or the value is no size.
    pub fn evaluate(&self, size: &dyn Fn(&str) -> Option<usize>) -> Option<usize> {
        usize::try_from(self.value(size)?).ok()
    }

    /// A number that this is never below, as every dimension is at least 1. `None` if it falls where a size grows.
    pub fn least(&self) -> Option<i128> {
        let (mut sum, mut strict) = (Ratio::ZERO, false);
        for (monomial, factor) in &self.sum {
            if factor.is_negative() && !monomial.0.keys().all(Atom::is_known) {
                return None;
            }
            let (mut product, mut divided) = (*factor, false);
            for (atom, power) in &monomial.0 {
                match *power < 0 && !atom.is_known() {
                    true => divided = true,
                    false => product = product.times(Ratio::integer(atom.least()?).power(*power)?),
                }
            }
            // What is divided by a name of any size comes as near to 0 as it likes, on its side.
            strict |= divided && product > Ratio::ZERO;
            sum = sum.plus(if divided { product.min(Ratio::ZERO) } else { product });
        }
        // The size is a whole number.
        Some(if strict || sum.as_integer().is_none() { sum.floor() + 1 } else { sum.floor() })
    }

    fn value(&self, size: &dyn Fn(&str) -> Option<usize>) -> Option<i128> {
        let sum = self.sum.iter().try_fold(Ratio::ZERO, |sum, (monomial, factor)| {
            let product = monomial.0.iter().try_fold(*factor, |product, (atom, power)| {
                Some(product.times(Ratio::integer(atom.value(size)?).power(*power)?))
            })?;
            Some(sum.plus(product))
        })?;
        Some(sum.floor())
    }

    /// Puts terms in place of run-time dimensions and brings the result into normal form.
    pub fn substitute(&self, replace: &dyn Fn(&str) -> Option<Self>) -> Self {
        self.map(&|atom| atom.substitute(replace))
    }

    /// The same with numbers for the declared dimensions.
    pub fn numeric(&self) -> Self {
        self.map(&|atom| match atom {
            Atom::Nominal { number, .. } => Self::literal(*number),
            other => Self::atom(other.clone()),
        })
    }

    /// The same with another term for each atom.
    fn map(&self, replace: &dyn Fn(&Atom) -> Self) -> Self {
        let product = |monomial: &Monomial| {
            monomial.0.iter().fold(Self::integer(1), |product, (atom, &power)| {
                let value = replace(atom);
                (0..power).fold(product, |product, _| product.times(&value))
            })
        };
        // What has one divisor is divided as a whole: its products need not be whole numbers.
        let mut fractions = BTreeMap::<Self, Self>::new();
        for (monomial, factor) in &self.sum {
            let (above, below) = monomial.split();
            let over = product(&above).times(&Self::single(Monomial::default(), *factor));
            let sum = fractions.entry(product(&below)).or_default();
            *sum = sum.plus(&over);
        }
        fractions.iter().fold(Self::default(), |sum, (under, over)| sum.plus(&Self::fraction(over, under)))
    }
}

impl Size for Term {
    fn literal(size: usize) -> Self {
        Self::integer(size as i128)
    }

    fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (monomial, factor) in &other.sum {
            sum.add(monomial.clone(), *factor);
        }
        sum
    }

    fn windows(&self, reach: usize, stride: usize, padding: usize) -> Option<Self> {
        let room = padding as i128 - reach as i128;
        if stride == 0 || self.number().is_some_and(|number| number as i128 + room < 0) {
            return None;
        }
        Some(self.plus(&Self::integer(room)).floor_div(&Self::integer(stride as i128)).plus(&Self::integer(1)))
    }

    fn covered(&self, reach: usize, stride: usize, padding: usize) -> Option<Self> {
        let around = reach as i128 - stride as i128 - padding as i128;
        let covered = self.times(&Self::literal(stride)).plus(&Self::integer(around));
        let nothing = self.number().is_some() && covered.number().is_none_or(|size| size == 0);
        (!nothing).then_some(covered)
    }

    fn times(&self, other: &Self) -> Self {
        self.product(other)
    }
}

#[cfg(test)]
mod tests;
