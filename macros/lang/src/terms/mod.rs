//! Symbolic sizes: polynomials with whole coefficients over the names of dimensions. Two sizes are the same dimension
//! exactly if their normal forms are equal; names of equal size stay different.

mod atom;
mod dims;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ansatz_shapes::Size;

pub use atom::Atom;
use atom::Monomial;
pub use dims::{Dims, Meaning};

/// A size in normal form: a sum of monomials with coefficients that are not zero. Coefficients are computed modulo
/// 2¹²⁸, far beyond any size.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    sum: BTreeMap<Monomial, i128>,
}

impl Term {
    /// A whole number, of any sign.
    pub fn integer(value: i128) -> Self {
        Self::single(Monomial::default(), value)
    }

    /// One atom.
    pub fn atom(atom: Atom) -> Self {
        Self::single(Monomial(BTreeMap::from([(atom, 1)])), 1)
    }

    /// A declared dimension.
    pub fn nominal(name: impl Into<String>, number: usize) -> Self {
        Self::atom(Atom::Nominal { name: name.into(), number })
    }

    /// A dimension known at run time.
    pub fn run_time(name: impl Into<String>) -> Self {
        Self::atom(Atom::RunTime(name.into()))
    }

    fn single(monomial: Monomial, coefficient: i128) -> Self {
        let mut term = Self::default();
        term.add(monomial, coefficient);
        term
    }

    fn add(&mut self, monomial: Monomial, coefficient: i128) {
        let sum = self.sum.get(&monomial).copied().unwrap_or(0).wrapping_add(coefficient);
        if sum == 0 {
            self.sum.remove(&monomial);
        } else {
            self.sum.insert(monomial, sum);
        }
    }

    /// `self - other`.
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.times(&Self::integer(-1)))
    }

    /// The exact quotient, if this is a multiple of `by` whatever the names stand for.
    pub fn divide(&self, by: &Self) -> Option<Self> {
        let (divisor, coefficient) = by.sum.last_key_value()?;
        let (mut rest, mut quotient) = (self.clone(), Self::default());
        // The leading monomial of a product is the product of the leading monomials.
        while let Some((leading, &factor)) = rest.sum.last_key_value() {
            if factor.checked_rem(*coefficient)? != 0 {
                return None;
            }
            let step = Self::single(leading.divide(divisor)?, factor.checked_div(*coefficient)?);
            rest = rest.sum(&step.product(by).product(&Self::integer(-1)));
            quotient = quotient.sum(&step);
        }
        Some(quotient)
    }

    /// The exact quotient, also if only the numbers tell that it is exact.
    pub fn quotient(&self, by: &Self) -> Option<Self> {
        let exact = |left: usize, right: usize| right != 0 && left.is_multiple_of(right);
        self.divide(by).or_else(|| match (self.number(), by.number()) {
            (Some(left), Some(right)) if exact(left, right) => Some(self.floor_div(by)),
            _ => None,
        })
    }

    /// `self / by`, rounded down. Multiples of `by` are taken out, so that `floor_div(h - 1, 2) + 1` and
    /// `ceil_div(h, 2)` have one normal form.
    pub fn floor_div(&self, by: &Self) -> Self {
        self.rounded_div(by, Atom::FloorDiv)
    }

    /// `self / by`, rounded up.
    pub fn ceil_div(&self, by: &Self) -> Self {
        match by.as_integer() {
            Some(number) if number > 0 => self.plus(&Self::integer(number - 1)).floor_div(by),
            _ => self.rounded_div(by, Atom::CeilDiv),
        }
    }

    fn rounded_div(&self, by: &Self, opaque: fn(Self, Self) -> Atom) -> Self {
        if let Some(exact) = self.divide(by) {
            return exact;
        }
        let (whole, rest) = self.take_multiples(by);
        let fraction = match (rest.as_integer(), by.as_integer()) {
            (Some(rest), Some(by)) if 0 <= rest && rest < by => Self::default(),
            _ => Self::atom(opaque(rest, by.clone())),
        };
        whole.plus(&fraction)
    }

    /// `(whole, rest)` with `self = whole * by + rest`, where `by` is one positive monomial; else `whole` is 0.
    fn take_multiples(&self, by: &Self) -> (Self, Self) {
        let (mut whole, mut rest) = (Self::default(), Self::default());
        let divisor = by.sum.first_key_value().filter(|(_, factor)| by.sum.len() == 1 && **factor > 0);
        for (monomial, &factor) in &self.sum {
            match divisor.and_then(|(divisor, by)| Some((monomial.divide(divisor)?, *by))) {
                Some((quotient, by)) => {
                    whole.add(quotient, factor.div_euclid(by));
                    rest.add(monomial.clone(), factor.rem_euclid(by));
                }
                None => rest.add(monomial.clone(), factor),
            }
        }
        (whole, rest)
    }

    /// The product, monomial by monomial.
    fn product(&self, other: &Self) -> Self {
        let mut product = Self::default();
        for (left, &a) in &self.sum {
            for (right, &b) in &other.sum {
                product.add(left.times(right), a.wrapping_mul(b));
            }
        }
        product
    }

    /// `heads * (d / heads)` is `d`: of a division that is exact there are fewer than its divisor.
    fn cancelled(self) -> Self {
        for (monomial, &factor) in &self.sum {
            for (atom, &power) in &monomial.0 {
                let Some((a, b)) = atom.exact() else { continue };
                let mut others = monomial.clone();
                others.0.remove(atom);
                if power > 1 {
                    others.0.insert(atom.clone(), power - 1);
                }
                let (quotient, left) = match b.as_integer() {
                    Some(by) => (Self::single(others, factor.div_euclid(by)), factor.rem_euclid(by)),
                    None => (Self::single(others, factor).divide(b).unwrap_or_default(), 0),
                };
                if quotient == Self::default() {
                    continue;
                }
                let mut rest = self.clone();
                rest.sum.remove(monomial);
                rest.add(monomial.clone(), left);
                return rest.plus(&quotient.times(a));
            }
        }
        self
    }

    /// The sum, monomial by monomial.
    fn sum(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (monomial, &factor) in &other.sum {
            sum.add(monomial.clone(), factor);
        }
        sum
    }

    /// The number, if no name occurs.
    pub fn as_integer(&self) -> Option<i128> {
        match self.sum.first_key_value() {
            None => Some(0),
            Some((monomial, &factor)) if self.sum.len() == 1 && monomial.0.is_empty() => Some(factor),
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
            Some((monomial, 1)) if self.sum.len() == 1 && monomial.0.len() == 1 => {
                monomial.0.first_key_value().filter(|(_, power)| **power == 1).map(|(atom, _)| atom)
            }
            _ => None,
        }
    }

    /// The atoms that occur, those inside of `ceil_div` and `floor_div` included.
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

    /// The same products, each as a term.
    pub(super) fn parts(&self) -> impl Iterator<Item = Self> {
        self.sum.iter().map(|(monomial, &factor)| Self::single(monomial.clone(), factor))
    }

    /// The products of which this is the sum: a coefficient, and atoms with their powers.
    pub fn products(&self) -> impl Iterator<Item = (i128, impl Iterator<Item = (&Atom, u32)>)> {
        self.sum.iter().map(|(monomial, &factor)| (factor, monomial.0.iter().map(|(atom, &power)| (atom, power))))
    }

    /// The size, if every name has a number.
    pub fn number(&self) -> Option<usize> {
        self.evaluate(&|_| None)
    }

    /// The size, where `size` gives the run-time dimensions. `None` if one is unknown or the value is no size.
    pub fn evaluate(&self, size: &dyn Fn(&str) -> Option<usize>) -> Option<usize> {
        usize::try_from(self.value(size)?).ok()
    }

    /// A number that this is never below, as every dimension is at least 1. `None` if it falls where a size grows.
    pub fn least(&self) -> Option<i128> {
        self.sum.iter().try_fold(0_i128, |sum, (monomial, &factor)| {
            let least = monomial
                .0
                .iter()
                .try_fold(factor, |product, (atom, &power)| product.checked_mul(atom.least()?.checked_pow(power)?))?;
            let grows = factor > 0 || monomial.0.keys().all(Atom::is_known);
            grows.then(|| sum.checked_add(least)).flatten()
        })
    }

    fn value(&self, size: &dyn Fn(&str) -> Option<usize>) -> Option<i128> {
        self.sum.iter().try_fold(0_i128, |sum, (monomial, &factor)| {
            let product = monomial.0.iter().try_fold(factor, |product, (atom, &power)| {
                product.checked_mul(atom.value(size)?.checked_pow(power)?)
            })?;
            sum.checked_add(product)
        })
    }

    /// Puts terms in place of run-time dimensions and brings the result into normal form.
    pub fn substitute(&self, replace: &dyn Fn(&str) -> Option<Self>) -> Self {
        self.sum.iter().fold(Self::default(), |sum, (monomial, &factor)| {
            let product = monomial.0.iter().fold(Self::integer(factor), |product, (atom, &power)| {
                let value = atom.substitute(replace);
                (0..power).fold(product, |product, _| product.times(&value))
            });
            sum.plus(&product)
        })
    }
}

impl Size for Term {
    fn literal(size: usize) -> Self {
        Self::integer(size as i128)
    }

    fn plus(&self, other: &Self) -> Self {
        self.sum(other).cancelled()
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
        self.product(other).cancelled()
    }
}

impl fmt::Display for Term {
    /// `784`, `n`, `3 * Embed`, `a * b + 2 * a - 1`: higher powers first, what is subtracted last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<_> = self.sum.iter().rev().collect();
        parts.sort_by_key(|(monomial, factor)| (**factor < 0, std::cmp::Reverse(monomial.degree())));
        for (i, (monomial, factor)) in parts.iter().enumerate() {
            f.write_str(match (i, **factor < 0) {
                (0, true) => "-",
                (0, false) => "",
                (_, true) => " - ",
                (_, false) => " + ",
            })?;
            let size = factor.unsigned_abs();
            match (size, monomial.0.is_empty()) {
                (_, true) => write!(f, "{size}")?,
                (1, false) => write!(f, "{monomial}")?,
                (_, false) => write!(f, "{size} * {monomial}")?,
            }
        }
        if parts.is_empty() { f.write_str("0") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
