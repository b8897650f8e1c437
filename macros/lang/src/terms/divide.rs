//! Division of sizes: exact, and rounded.

use super::Term;
use super::atom::{Atom, Monomial};
use super::ratio::Ratio;
use ansatz_shapes::Size as _;
use std::collections::BTreeMap;

impl Term {
    /// The exact quotient, if the names or the numbers of declared dimensions make this a multiple of `by`.
    pub fn divide(&self, by: &Self) -> Option<Self> {
        self.over(by).filter(Self::is_whole)
    }

    /// The exact quotient, also if only the numbers of sums tell that it is exact.
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
        if let (Some(by), Some((inner, within))) = (by.as_integer().filter(|by| *by > 0), rest.one_floor()) {
            // ⌊(⌊x / a⌋ + y) / b⌋ = ⌊(x + a y) / (a b)⌋ for whole y.
            let others = rest.minus(&Self::atom(Atom::FloorDiv(inner.clone(), within.clone())));
            return whole.plus(&inner.plus(&others.times(&within)).floor_div(&within.times(&Self::integer(by))));
        }
        let fraction = match (rest.as_integer(), by.as_integer()) {
            (Some(rest), Some(by)) if 0 <= rest && rest < by => Self::default(),
            _ => Self::atom(opaque(rest, by.clone())),
        };
        whole.plus(&fraction)
    }

    /// `(x, a)` where this is `floor_div(x, a)` and whole multiples of what is not divided, with a number `a`.
    fn one_floor(&self) -> Option<(Self, Self)> {
        let mut found = None;
        for (monomial, factor) in &self.sum {
            match monomial
                .0
                .keys()
                .find(|atom| matches!(atom, Atom::FloorDiv(..) | Atom::CeilDiv(..) | Atom::Quotient(..)))
            {
                None if factor.as_integer().is_some() && monomial.is_whole() => {}
                Some(Atom::FloorDiv(x, a))
                    if found.is_none() && *factor == Ratio::ONE && monomial.degree() == 1 && monomial.0.len() == 1 =>
                {
                    found = Some((x.clone(), a.clone())).filter(|_| a.as_integer().is_some_and(|a| a > 0));
                    found.as_ref()?;
                }
                _ => return None,
            }
        }
        found
    }

    /// `(whole, rest)` with `self = whole * by + rest`, where `by` is one positive product; else `whole` is 0.
    fn take_multiples(&self, by: &Self) -> (Self, Self) {
        let (mut whole, mut rest) = (Self::default(), Self::default());
        let divisor = by.sum.first_key_value().filter(|(_, factor)| by.sum.len() == 1 && !factor.is_negative());
        let Some((divisor, by)) = divisor else { return (whole, self.clone()) };
        for (monomial, &factor) in &self.sum {
            let (mut left, quotient) = (factor, monomial.over(divisor));
            if let (Some(factor), Some(by), true) = (factor.as_integer(), by.as_integer(), quotient.is_whole()) {
                whole.add(quotient.clone(), Ratio::integer(factor.div_euclid(by)));
                left = Ratio::integer(factor.rem_euclid(by));
            }
            match by.inverse().map(|inverse| Self::single(quotient, left.times(inverse))) {
                Some(all) if all.is_whole() => whole = whole.plus(&all),
                _ => rest.add(monomial.clone(), left),
            }
        }
        (whole, rest)
    }

    /// The quotient, if it is a sum of products; it may be no whole number.
    pub(super) fn over(&self, by: &Self) -> Option<Self> {
        let (own, others) = (self.common().unwrap_or_default(), by.common()?);
        let scaled = |term: &Self, by: &Monomial| term.product(&Self::single(by.inverse(), Ratio::ONE));
        let (mut rest, by, mut quotient) = (scaled(self, &own), scaled(by, &others), Self::default());
        let (divisor, coefficient) = by.sum.last_key_value()?;
        let inverse = coefficient.inverse()?;
        // The leading monomial of a product is the product of the leading monomials.
        while let Some((leading, factor)) = rest.sum.last_key_value() {
            let step = Self::single(leading.over(divisor), factor.times(inverse));
            if !step.sum.keys().all(Monomial::is_whole) {
                return None;
            }
            rest = rest.plus(&step.product(&by).product(&Self::integer(-1)));
            quotient = quotient.plus(&step);
        }
        Some(scaled(&quotient, &others.over(&own)))
    }

    /// `self / by`, whatever they are.
    pub fn fraction(of: &Self, by: &Self) -> Self {
        of.over(by).unwrap_or_else(|| Self::atom(Atom::Quotient(of.clone(), by.clone())))
    }

    /// What all products have in common. `None` of 0.
    fn common(&self) -> Option<Monomial> {
        self.sum.keys().cloned().reduce(|common, monomial| common.common(&monomial))
    }

    /// Whether this is surely a whole number: the products of the same unknown names together have a whole coefficient,
    /// and nothing is divided by an unknown name.
    pub(super) fn is_whole(&self) -> bool {
        self.unsure().is_some_and(|unsure| unsure == Self::default())
    }

    /// The products that may be no whole numbers. `None` if something is divided by 0.
    pub(super) fn unsure(&self) -> Option<Self> {
        let mut numbers = BTreeMap::<Monomial, (Ratio, Self)>::new();
        for (monomial, factor) in &self.sum {
            let (number, unknown) = monomial.known()?;
            let (sum, products) = numbers.entry(unknown).or_insert((Ratio::ZERO, Self::default()));
            *sum = sum.plus(number.times(*factor));
            products.add(monomial.clone(), *factor);
        }
        let unsure = numbers.into_iter().filter(|(names, (sum, _))| !names.is_whole() || sum.as_integer().is_none());
        Some(unsure.fold(Self::default(), |all, (_, (_, products))| all.plus(&products)))
    }
}
