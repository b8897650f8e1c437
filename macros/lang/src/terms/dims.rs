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
        of.quotient(by).or_else(|| {
            let parts = of.parts().map(|part| {
                let by_fact = |(divisor, multiple): &(Term, Term)| {
                    let whole = part.divide(multiple)?.times(divisor).divide(by)?;
                    Some(whole.times(&Term::atom(Atom::Quotient(multiple.clone(), divisor.clone()))))
                };
                part.divide(by).or_else(|| self.facts.iter().find_map(by_fact))
            });
            parts
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.iter().fold(Term::default(), |sum, part| sum.plus(part)))
        })
    }

    /// The same size with its quotients as the facts of this place write them.
    pub fn normal(&self, term: &Term) -> Term {
        term.products().fold(Term::default(), |sum, (factor, atoms)| {
            let atoms = atoms.flat_map(|(atom, power)| (0..power).map(move |_| atom));
            let product = atoms.fold(Term::integer(factor), |product, atom| {
                let own = match atom {
                    Atom::Quotient(a, b) => self.quotient(a, b),
                    _ => None,
                };
                product.times(&own.unwrap_or_else(|| Term::atom(atom.clone())))
            });
            sum.plus(&product)
        })
    }
}
