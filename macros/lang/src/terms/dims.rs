//! The dimensions in scope, and what is known of them.

use super::{Atom, Term};
use ansatz_shapes::Size as _;
use std::collections::BTreeMap;

/// The dimensions in scope, by name.
#[derive(Clone, Debug, Default)]
pub struct Dims {
    known: BTreeMap<String, Meaning>,
    /// What divides what, where the terms do not say it: divisor and multiple.
    facts: Vec<(Term, Term)>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// `dim Pixels = 784;`
    Nominal(usize),
    /// `dim Wide = 4 * Embed;`
    Alias(Term),
    /// `n`
    RunTime,
}

impl Dims {
    /// No dimensions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name. If it is known already, it keeps its meaning, which is given back.
    pub fn declare(&mut self, name: impl Into<String>, meaning: Meaning) -> Result<(), Meaning> {
        let name = name.into();
        match self.known.get(&name) {
            Some(old) => Err(old.clone()),
            None => {
                self.known.insert(name, meaning);
                Ok(())
            }
        }
    }

    /// What a name stands for.
    pub fn meaning(&self, name: &str) -> Option<&Meaning> {
        self.known.get(name)
    }

    /// The size that a name stands for; an alias gives its term.
    pub fn term(&self, name: &str) -> Option<Term> {
        self.known.get(name).map(|meaning| match meaning {
            Meaning::Nominal(number) => Term::nominal(name, *number),
            Meaning::Alias(term) => term.clone(),
            Meaning::RunTime => Term::run_time(name),
        })
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// From here on `by` divides `of`.
    pub fn assume(&mut self, by: Term, of: Term) {
        // Of several literals that divide one term, their least common multiple does.
        let same = self.facts.iter_mut().find(|(known, of_known)| *of_known == of && known.as_literal().is_some());
        match (same, by.as_literal()) {
            (Some((known, _)), Some(new)) if new > 0 => {
                let old = known.as_literal().unwrap_or(1);
                let common = (1..=new).rev().find(|i| new.is_multiple_of(*i) && old.is_multiple_of(*i)).unwrap_or(1);
                *known = Term::literal(old / common * new);
            }
            _ => self.facts.push((by, of)),
        }
    }

    /// Every name of this meaning gets another one.
    pub fn rename(&mut self, from: &Term, to: &Term) {
        let names: Vec<String> =
            self.known.keys().filter(|name| self.term(name).as_ref() == Some(from)).cloned().collect();
        for name in names {
            self.known.insert(name, Meaning::Alias(to.clone()));
        }
    }

    /// The exact quotient `of / by`, if the terms, their numbers or a fact say that it is exact.
    pub fn quotient(&self, of: &Term, by: &Term) -> Option<Term> {
        if let Some(quotient) = of.over(by)
            && self.is_whole(&quotient)
        {
            return Some(quotient);
        }
        of.quotient(by).or_else(|| {
            let by_fact = |(divisor, multiple): &(Term, Term)| {
                let whole = of.over(multiple)?.times(divisor).over(by).filter(|whole| self.is_whole(whole))?;
                Some(whole.times(&Term::fraction(multiple, divisor)))
            };
            self.facts.iter().find_map(by_fact)
        })
    }

    /// Whether a fraction is a whole number: as it stands, as a multiple of what a fact says is one, or product by
    /// product.
    fn is_whole(&self, fraction: &Term) -> bool {
        let Some(unsure) = fraction.unsure() else { return false };
        let is_multiple = |fraction: &Term| self.is_multiple(fraction, &self.facts, 4);
        unsure == Term::default() || is_multiple(&unsure) || unsure.parts().all(|part| is_multiple(&part))
    }

    /// Whether a fraction is a whole multiple of a product of so many quotients by facts.
    fn is_multiple(&self, fraction: &Term, facts: &[(Term, Term)], factors: usize) -> bool {
        factors > 0
            && facts.iter().enumerate().any(|(i, (divisor, multiple))| {
                let rest = fraction.over(multiple).map(|rest| rest.times(divisor));
                rest.is_some_and(|rest| rest.is_whole() || self.is_multiple(&rest, &facts[..=i], factors - 1))
            })
    }

    /// The same size, with whatever a fact makes a multiple taken out of rounded divisions.
    pub fn normal(&self, term: &Term) -> Term {
        if self.facts.is_empty() {
            return term.clone();
        }
        term.map(&|atom| match atom {
            Atom::FloorDiv(a, b) => self.rounded(a, b, Term::floor_div),
            Atom::CeilDiv(a, b) => self.rounded(a, b, Term::ceil_div),
            Atom::Quotient(a, b) => self.quotient(a, b).unwrap_or_else(|| Term::atom(atom.clone())),
            _ => Term::atom(atom.clone()),
        })
    }

    fn rounded(&self, of: &Term, by: &Term, divide: fn(&Term, &Term) -> Term) -> Term {
        let (of, by) = (self.normal(of), self.normal(by));
        let (mut whole, mut rest) = (Term::default(), Term::default());
        for part in of.parts() {
            match self.quotient(&part, &by) {
                Some(quotient) => whole = whole.plus(&quotient),
                None => rest = rest.plus(&part),
            }
        }
        whole.plus(&divide(&rest, &by))
    }
}
