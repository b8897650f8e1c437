//! Templates at sample sizes: what is wrong in all of them is wrong where it is written, whether anybody uses the template or
//! not.
//!
//! A template is tried with sizes that keep its facts: all different, all equal, small and large. Shapes that agree nowhere
//! agree never, as sizes that happen to be equal agree in one of the trials. What depends on how large a size is, or on what
//! divides it, is left to whoever uses the template: another size may do.

use super::facts::relation;
use super::instances::{Given, Instance, Nets};
use super::signature;
use super::typed::Reach;
use super::value::Value;
use crate::ast::{Fact, NetItem, Parameter, ParameterKind, Size};
use crate::report::{Depends, Diagnostic, Report};
use crate::terms::{Dims, Meaning, Term};
use ansatz_shapes::Size as _;
use proc_macro2::Ident;
use std::collections::{BTreeMap, HashSet};

/// Sizes of one trial, by the names of hyper-parameters and dimensions.
type Sizes = BTreeMap<String, usize>;

/// How the sizes of a trial are chosen: the hyper-parameters and the dimensions, in turn from these.
const TRIALS: [([usize; 4], [usize; 4]); 4] =
    [([2, 3, 4, 5], [12, 20, 28, 36]), ([4; 4], [4; 4]), ([2, 3, 4, 5], [192, 256, 320, 448]), ([64; 4], [64; 4])];

/// So many changes of sizes are tried until the facts hold.
const MOST_CHANGES: usize = 400;

impl<'a> Nets<'a, '_> {
    /// Reports what is wrong in templates for all sizes.
    pub(super) fn sampled(&mut self, own: &[usize], roots: &[Option<usize>], failed: &mut HashSet<usize>) {
        let (instances, mut found) = (self.instances.len(), vec![]);
        for &net in own {
            let item = self.names.nets[net];
            let complete = |instance: &Instance<'_>| instance.given.net == net && instance.net().needs.is_empty();
            // An instance of the program has been looked at already.
            let looked_at = !item.chooses && self.instances[..instances].iter().any(complete);
            let template = roots[net].is_none() && !item.role.is_companion();
            if template && !looked_at && !failed.contains(&net) && item.body.is_ok() {
                let errors = self.wrong_for_all(net);
                if !errors.is_empty() {
                    failed.insert(net);
                    found.extend(errors);
                }
            }
        }
        // The trials are no instances of the program.
        self.instances.truncate(instances);
        self.report.extend(found);
    }

    /// What is wrong in a template for all sizes that are tried.
    fn wrong_for_all(&mut self, net: usize) -> Vec<Diagnostic> {
        let item = self.names.nets[net];
        let before = self.report.mark();
        let (mut trials, mut used) = (vec![], false);
        self.trial = true;
        for (parameters, dims) in TRIALS {
            let Some(sizes) = self.sizes(item, parameters, dims) else { continue };
            let Some((instance, whole)) = self.trial(net, &sizes) else { continue };
            used |= whole && self.instances[instance].errors.is_empty();
            trials.push((instance, whole));
            if used && !item.chooses {
                break;
            }
        }
        self.trial = false;
        // What a trial asks for and reports is none of the program.
        drop(self.report.take_since(before));
        let complete = |instance: &Instance<'_>| {
            instance.given.net == net && instance.net().needs.is_empty() && instance.errors.is_empty()
        };
        used |= self.instances.iter().any(complete);
        let place = |error: &Diagnostic| error.place.first.start();
        let everywhere = |error: &Diagnostic| {
            let holds = |&(instance, whole): &(usize, bool)| {
                !whole || self.instances[instance].errors.iter().any(|other| place(other) == place(error))
            };
            error.depends == Depends::OnShapes && !used && trials.iter().all(holds)
        };
        let mut wrong: Vec<Diagnostic> = vec![];
        for (instance, whole) in &trials {
            let instance = &self.instances[*instance];
            for error in &instance.errors {
                let counts = error.depends == Depends::OnNothing || *whole && everywhere(error);
                if counts && wrong.iter().all(|other| place(other) != place(error)) {
                    let mut error = error.clone();
                    error.notes.retain(|note| !note.starts_with("here `"));
                    if error.depends == Depends::OnShapes {
                        error.note(format!("so it is with {}, and with other sizes", instance.given.text(item)));
                    }
                    wrong.push(error);
                }
            }
        }
        wrong
    }

    /// The instance with these sizes, of which the dimensions are given that must be known, and whether nothing else is open.
    fn trial(&mut self, net: usize, sizes: &Sizes) -> Option<(usize, bool)> {
        let item = self.names.nets[net];
        let parameters: Vec<Value<'a>> = item.parameters.iter().map(|p| self.sample(p, sizes)).collect();
        let mut whole = !parameters.iter().any(|value| matches!(value, Value::Error(_)));
        let mut given = Given { net, parameters, dims: BTreeMap::new() };
        let dims = signature::dimensions(item);
        for _ in 0..=dims.len() {
            let instance = self.instance(given.clone(), item.name.span().into()).ok()?;
            let needs = self.instances[instance].net().needs.clone();
            let asked = needs.iter().flat_map(|need| &need.names).filter(|name| dims.iter().any(|dim| *dim == name));
            let known = given.dims.len();
            given.dims.extend(asked.map(|name| (name.clone(), Term::literal(sizes[name]))));
            if given.dims.len() == known {
                // Other mistakes say that nothing can be concluded from this one.
                let alone = |error: &Diagnostic| error.depends != Depends::OnSizes;
                whole &= needs.is_empty() && self.instances[instance].errors.iter().all(alone);
                debug_assert!(self.instances[instance].net().reach == Reach::Unused);
                return Some((instance, whole));
            }
        }
        None
    }

    /// A hyper-parameter in a trial.
    fn sample(&mut self, parameter: &'a Parameter, sizes: &Sizes) -> Value<'a> {
        match (sizes.get(&parameter.name.to_string()), parameter.kind) {
            (Some(&size), _) => Value::of_size(Term::literal(size)),
            (None, Some(ParameterKind::Flag)) => Value::Flag(sizes.values().sum::<usize>().is_multiple_of(2)),
            (None, Some(ParameterKind::Real)) => Value::Number { value: 0.5, integer: None },
            (None, _) => Value::unknown(parameter, self.report),
        }
    }

    /// Sizes that keep the facts of a net, if some are found.
    fn sizes(&self, item: &NetItem, parameters: [usize; 4], dims: [usize; 4]) -> Option<Sizes> {
        let whole = |parameter: &&Parameter| {
            let by_default = || {
                parameter.default.as_ref().is_some_and(|default| super::text::text(default).parse::<usize>().is_ok())
            };
            parameter.kind == Some(ParameterKind::Whole) || parameter.kind.is_none() && by_default()
        };
        let own = item.parameters.iter().filter(whole).map(|parameter| &parameter.name);
        let in_turn = |names: Vec<&Ident>, sizes: [usize; 4]| {
            let sized = names.into_iter().enumerate();
            sized.map(|(i, name)| (name.to_string(), sizes[i % 4] + 8 * (i / 4))).collect::<Vec<_>>()
        };
        let mut sizes: Sizes = in_turn(own.collect(), parameters).into_iter().collect();
        sizes.extend(in_turn(signature::dimensions(item), dims));
        let names: Vec<String> = sizes.keys().cloned().collect();
        for change in 0..MOST_CHANGES {
            let Some(broken) = item.facts.iter().find(|fact| !self.holds(fact, &sizes)) else { return Some(sizes) };
            // One after the other of the names that it mentions gets another size.
            let (Fact::Divides(a, b) | Fact::Relation(a, _, b)) = broken;
            let mentioned: Vec<&String> = [a, b]
                .into_iter()
                .flat_map(|size| crate::resolve::names_in(size))
                .filter_map(|name| names.iter().find(|own| name == *own))
                .collect();
            let name = mentioned.get(change % mentioned.len().max(1))?;
            *sizes.get_mut(*name)? = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128][change * 5 % 14];
        }
        None
    }

    /// Whether a fact holds; one of the number of parameters is left to the body.
    fn holds(&self, fact: &Fact, sizes: &Sizes) -> bool {
        let mut dims: Dims = self.names.meanings.clone();
        for (name, size) in sizes {
            let _ = dims.declare(name.clone(), Meaning::Alias(Term::literal(*size)));
        }
        let number = |size: &Size| match size {
            Size::Literal(0, _) => Some(0),
            size => crate::resolve::size(size, &dims, &self.names.broken, &mut Report::new()).ok()?.whole(),
        };
        let (Fact::Divides(a, b) | Fact::Relation(a, _, b)) = fact;
        let (Some(a), Some(b)) = (number(a), number(b)) else { return true };
        match fact {
            Fact::Divides(..) => a > 0 && b % a == 0,
            Fact::Relation(_, op, _) => relation(op, a, b) != Some(false),
        }
    }
}
