//! The nets of a program and their instances.
//!
//! An instance is a net with its hyper-parameters and those of its dimensions that are known at compile time. A net
//! that needs nothing more than it has by itself is its own first instance; any other is a template, and what it needs
//! comes from the nets and aliases that use it. Instances are inferred one by one, when they are first used.

use super::block::{self, Inference};
use super::typed::{Layer, LayerKind, Reach, TypedNet, Whole, copies};
use super::value::{Chosen, Value};
use super::{Alias, Inferred, Template, mentions};
use crate::ast::{AliasItem, NetItem, Parameter, Route, Visibility};
use crate::borders::plain;
use crate::case::capitals;
use crate::report::{Checked, Depends, Diagnostic, Mark, Place, Report, Reported};
use crate::resolve::{Names, reach};
use crate::terms::{Atom, Term};
use proc_macro2::Ident;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// A net that contains another that contains another … more often than this never ends.
const MAX_DEPTH: usize = 64;

/// All nets of a program while they are inferred.
pub(super) struct Nets<'a, 'r> {
    pub(super) names: &'r Names<'a>,
    pub(super) report: &'r mut Report,
    pub(super) instances: Vec<Instance<'a>>,
    /// The instances under inference, each used by the one before it.
    open: Vec<usize>,
    /// Whether a template is only tried: then all branches are looked at.
    pub(super) trial: bool,
}

/// What an instance is made from.
#[derive(Clone, Debug)]
pub(super) struct Given<'a> {
    pub(super) net: usize,
    /// The hyper-parameters, all of them.
    pub(super) parameters: Vec<Value<'a>>,
    /// The dimensions that are known.
    pub(super) dims: BTreeMap<String, Term>,
}

pub(super) struct Instance<'a> {
    pub(super) given: Given<'a>,
    /// Where the program asks for it: inside of a net of others, where the program asks for that.
    at: Place,
    /// The instances that it uses, by their positions.
    uses: Vec<usize>,
    /// An instance that it uses holds an error.
    lost: Option<Reported>,
    /// Its own errors, which are reported if a net of the program uses it.
    pub(super) errors: Vec<Diagnostic>,
    /// `None` while it is under inference.
    done: Option<Rc<TypedNet<'a>>>,
}

impl<'a> Given<'a> {
    /// Whether both make the same instance.
    fn same(&self, other: &Self) -> bool {
        let mut parameters = self.parameters.iter().zip(&other.parameters);
        self.net == other.net && self.dims == other.dims && parameters.all(|(a, b)| a.same(b))
    }

    /// Whether nothing is known that the net does not say by itself.
    fn is_default(&self, item: &NetItem) -> bool {
        let unknown = |value: &Value<'_>| match value {
            Value::Size(term) => term.number().is_none(),
            value => matches!(value, Value::Error(_)),
        };
        self.parameters.iter().any(unknown)
            || self.dims.is_empty()
                && item.parameters.iter().zip(&self.parameters).all(|(p, value)| by_default(p, value))
    }

    /// `width = 64, c = 3`
    pub(super) fn text(&self, item: &NetItem) -> String {
        let parameters = item.parameters.iter().zip(&self.parameters);
        let parameters = parameters.map(|(parameter, value)| format!("{} = {}", parameter.name, value.text()));
        let dims = self.dims.iter().map(|(name, term)| format!("{name} = {term}"));
        parameters.chain(dims).collect::<Vec<_>>().join(", ")
    }
}

impl<'a, 'r> Nets<'a, 'r> {
    pub(super) fn new(names: &'r Names<'a>, report: &'r mut Report) -> Self {
        Nets { names, report, instances: vec![], open: vec![], trial: false }
    }

    /// Infers everything.
    pub(super) fn all(mut self) -> Inferred<'a> {
        let names = self.names;
        let nets = 0..names.nets.len();
        let (foreign, own): (Vec<usize>, Vec<usize>) = nets.partition(|&net| self.is_foreign(net));
        let mut roots = vec![None; names.nets.len()];
        for &net in &own {
            roots[net] = self.root(net);
        }
        let aliases: Vec<(&AliasItem, Option<usize>)> =
            names.aliases.iter().map(|alias| (*alias, self.alias(alias))).collect();
        // Of the nets of others only those that are used here matter.
        for net in foreign {
            if self.instances.iter().any(|instance| instance.given.net == net) {
                roots[net] = self.root(net);
            }
        }
        let whole = |root: Option<usize>| root.filter(|&root| self.instances[root].net().needs.is_empty());
        let roots: Vec<Option<usize>> = roots.into_iter().map(whole).collect();
        let used = roots.iter().copied().chain(aliases.iter().map(|(_, root)| *root)).flatten();
        let mut failed = HashSet::new();
        self.tell(used.collect(), &mut failed);
        self.unused_templates(&own, &roots, &mut failed);
        self.sampled(&own, &roots, &mut failed);
        let templates = own.iter().filter(|&&net| roots[net].is_none() && !names.nets[net].role.is_companion());
        let templates: Vec<_> = templates.map(|&net| self.template(net, &failed)).collect();
        self.named(&roots, &aliases, templates)
    }

    /// Reports the errors of whole instances and of all that they use: of each net those of one instance, as others would
    /// hold the same. The net has failed then.
    fn tell(&mut self, mut used: Vec<usize>, failed: &mut HashSet<usize>) {
        let mut next = 0;
        while let Some(&position) = used.get(next) {
            for &part in &self.instances[position].uses {
                if !used.contains(&part) {
                    used.push(part);
                }
            }
            next += 1;
        }
        used.sort_unstable();
        for instance in used.into_iter().map(|position| &self.instances[position]) {
            // What is wrong with the companion of a flow is wrong with the flow.
            let said = self.names.nets[instance.given.net].role.is_companion() && instance.lost.is_some();
            if instance.net().needs.is_empty()
                && !instance.errors.is_empty()
                && !said
                && failed.insert(instance.given.net)
            {
                self.report.extend(instance.errors.iter().cloned());
            }
        }
    }

    /// Whether an error was reported since for the instance under inference, or holds in one that it uses.
    pub(super) fn failed_since(&self, mark: Mark) -> Option<Reported> {
        let open = self.open.last().map(|&open| &self.instances[open]);
        self.report.failed_since(mark).or(open.and_then(|open| open.lost))
    }

    /// Whether another `net!` declares a net.
    fn is_foreign(&self, net: usize) -> bool {
        self.names.foreign(&self.names.nets[net].name).is_some()
    }

    /// The instance of a net as it stands, unless it has hyper-parameters that must be given.
    fn root(&mut self, net: usize) -> Option<usize> {
        let item = self.names.nets[net];
        if item.parameters.iter().any(|parameter| parameter.default.is_none()) {
            return None;
        }
        let chosen = Chosen { net, name: item.name.clone(), given: BTreeMap::new(), dims: BTreeMap::new() };
        let before = self.report.mark();
        let parameters = Inference::blank(self, item).parameters(&chosen, item.name.span().into());
        self.report.settle_since(before);
        let parameters = parameters.ok()?;
        self.instance(Given { net, parameters, dims: BTreeMap::new() }, item.name.span().into()).ok()
    }

    /// The instance that an alias names.
    fn alias(&mut self, alias: &'a AliasItem) -> Option<usize> {
        let before = self.report.mark();
        let Some(item) = self.names.nets.first() else {
            let message = format!("`{}` should stand for a net, and there is none here", alias.name);
            self.report
                .error(alias.target.span, message)
                .help("declare one, or take it from elsewhere: `use path::Net;`");
            return None;
        };
        let mut inference = Inference::blank(self, item);
        let chosen = inference.target(alias);
        let parameters = chosen.and_then(|chosen| Ok((inference.parameters(&chosen, alias.target.span)?, chosen)));
        self.report.settle_since(before);
        let (parameters, chosen) = parameters.ok()?;
        let given = Given { net: chosen.net, parameters, dims: chosen.dims.clone() };
        let position = self.instance(given, alias.target.span).ok()?;
        let net = self.instances[position].net().clone();
        if net.needs.is_empty() {
            return Some(position);
        }
        let (of, name) = (&net.item.name, &net.needs.first()?.names[0]);
        let message = format!("`{of}` needs `{name}` at compile time, and nothing says what it is");
        self.report.error(alias.target.span, message).help(format!("give it too: `{of}({name} = …)`"));
        None
    }

    /// The position of an instance, which is inferred if it is new.
    pub(super) fn instance(&mut self, given: Given<'a>, at: Place) -> Checked<usize> {
        let user = self.open.last().copied();
        let position = match self.instances.iter().position(|instance| instance.given.same(&given)) {
            Some(position) if self.instances[position].done.is_none() => return self.circle(given.net, at),
            Some(position) => position,
            None if self.open.len() > MAX_DEPTH => return self.circle(given.net, at),
            None => self.infer(given, at),
        };
        if let Some(user) = user {
            let lost = self.instances[position].net().body.as_ref().err().copied();
            let needs = !self.instances[position].net().needs.is_empty();
            let user = &mut self.instances[user];
            user.uses.push(position);
            user.lost = user.lost.or(lost.filter(|_| !needs));
        }
        Ok(position)
    }

    /// Infers a new instance.
    fn infer(&mut self, given: Given<'a>, at: Place) -> usize {
        let item = self.names.nets[given.net];
        // The user reads what they wrote: the call.
        let user = self.open.last().map(|&user| &self.instances[user]);
        let at = user.filter(|user| self.is_foreign(user.given.net)).map_or(at, |user| user.at);
        let (position, before) = (self.instances.len(), self.report.mark());
        self.instances.push(Instance { given, at, uses: vec![], lost: None, errors: vec![], done: None });
        self.open.push(position);
        let given = self.instances[position].given.clone();
        let mut done = block::net(self, item, &given);
        let (mut errors, needs) = self.report.take_since(before);
        if needs.is_empty() {
            let around = self.open.iter().rev().map(|&open| &self.instances[open].given);
            let mut special = around.map(|given| (given, self.names.nets[given.net]));
            let note = special.find(|(given, item)| !given.is_default(item));
            let note = note.map(|(given, item)| format!("here `{}` has {}", item.name, given.text(item)));
            for diagnostic in &mut errors {
                if self.is_foreign(given.net) {
                    diagnostic.place = at;
                    diagnostic.note(format!("inside of `{}`", item.name));
                }
                diagnostic.notes.extend(note.clone());
            }
        }
        self.open.pop();
        done.needs = needs;
        self.instances[position].errors = errors;
        self.instances[position].done = Some(Rc::new(done));
        position
    }

    /// An instance that has been inferred.
    pub(super) fn done(&self, position: usize) -> Rc<TypedNet<'a>> {
        self.instances[position].net().clone()
    }

    /// Whether an instance has neither parameters nor state.
    pub(super) fn is_empty(&self, position: usize) -> bool {
        self.done(position).whole.own == 0
    }

    /// What layers are, with all that nets among them are made of.
    pub(super) fn whole(&self, layers: &[Layer]) -> Whole {
        let of = |layer: &Layer| match layer.kind {
            LayerKind::Net(net) => self.done(net).whole,
            LayerKind::Scope { .. } => Whole { parts: 1, ..Whole::default() },
            LayerKind::Unit { .. } | LayerKind::Tensor { .. } => {
                Whole { parts: 1, own: 1, parameters: layer.kind.parameters() }
            }
        };
        layers.iter().fold(Whole::default(), |all, layer| {
            let (part, copies) = (of(layer), copies(layers, layer.scope));
            let more = |all: usize, part: usize| all.saturating_add(part.saturating_mul(copies));
            Whole {
                parts: more(all.parts, part.parts),
                own: more(all.own, part.own),
                parameters: more(all.parameters, part.parameters),
            }
        })
    }

    /// A net that contains itself.
    fn circle<T>(&mut self, net: usize, at: Place) -> Checked<T> {
        let open: Vec<usize> = self.open.iter().map(|&open| self.instances[open].given.net).collect();
        let start = open.iter().rposition(|&open| open == net).unwrap_or(0);
        let circle: Vec<_> =
            open[start..].iter().chain([&net]).map(|&net| format!("`{}`", self.names.nets[net].name)).collect();
        let name = &self.names.nets[net].name;
        self.report
            .error(at, format!("`{name}` contains itself: {}", circle.join(" → ")))
            .help("a net is a finite tree of layers; break the circle")
            .fail()
    }

    /// What is wrong in templates that nobody completes.
    fn unused_templates(&mut self, own: &[usize], roots: &[Option<usize>], failed: &mut HashSet<usize>) {
        for &net in own {
            let item = self.names.nets[net];
            let complete = |instance: &Instance<'_>| instance.given.net == net && instance.net().needs.is_empty();
            if roots[net].is_some()
                || item.role.is_companion()
                || self.instances.iter().any(complete)
                || failed.contains(&net)
            {
                continue;
            }
            let mut found = self.instances.iter().position(|instance| instance.given.net == net);
            if found.is_none() {
                let before = self.report.mark();
                let parameters = item.parameters.iter().map(|parameter| Value::unknown(parameter, self.report));
                let given = Given { net, parameters: parameters.collect(), dims: BTreeMap::new() };
                found = self.instance(given, item.name.span().into()).ok();
                // A template is nothing by itself: that it must be given its hyper-parameters is no error.
                drop(self.report.take_since(before));
            }
            let Some(found) = found else { continue };
            let done = self.instances[found].net().clone();
            self.report.extend(self.instances[found].errors.clone());
            self.tell(vec![found], failed);
            // Without hyper-parameters, and used nowhere, it was hardly meant as a template, unless others see it.
            if item.parameters.is_empty() && !self.mentioned(net) {
                // Others may complete a public one. What a fact would tell, its head can say for all of them.
                let private = item.visibility.is_private();
                let needs = done.needs.iter().map(|need| &need.diagnostic);
                let needs: Vec<_> = needs.filter(|need| private || need.depends == Depends::OnFacts).cloned().collect();
                if !needs.is_empty() {
                    failed.insert(net);
                }
                self.report.extend(needs);
            }
        }
    }

    /// Whether another net or an alias uses a net.
    fn mentioned(&self, net: usize) -> bool {
        let name = &self.names.nets[net].name;
        let mut found = false;
        let mut look = |mentioned: &Ident| found |= mentioned == name;
        for item in self.names.nets.iter().filter(|item| item.name != *name && !item.role.is_companion()) {
            item.body.iter().for_each(|body| mentions::block(body, &mut look));
        }
        self.names.aliases.iter().for_each(|alias| mentions::expression(&alias.target, &mut look));
        found
    }

    fn template(&self, net: usize, failed: &HashSet<usize>) -> Template<'a> {
        let item = self.names.nets[net];
        let instance = self.instances.iter().find(|instance| instance.given.net == net);
        let given = item.parameters.iter().filter(|parameter| parameter.default.is_none());
        let mut open: Vec<String> = given.map(|parameter| parameter.name.to_string()).collect();
        for name in instance.iter().flat_map(|instance| &instance.net().needs).flat_map(|need| &need.names) {
            if !open.contains(name) {
                open.push(name.clone());
            }
        }
        Template { item, open, failed: failed.contains(&net) }
    }

    /// Gives every instance that is used a name.
    fn named(
        self,
        roots: &[Option<usize>],
        aliases: &[(&'a AliasItem, Option<usize>)],
        templates: Vec<Template<'a>>,
    ) -> Inferred<'a> {
        let names = self.names;
        let mut nets: Vec<TypedNet<'a>> = vec![];
        let mut given = vec![];
        for instance in self.instances {
            let Some(net) = instance.done.and_then(Rc::into_inner) else { unreachable!("every instance was inferred") };
            nets.push(net);
            given.push(instance.given);
        }
        let mut taken: HashSet<String> = HashSet::new();
        let declared = names.nets.iter().map(|net| &net.name).chain(names.aliases.iter().map(|alias| &alias.name));
        for name in declared {
            taken.extend([name.to_string(), format!("{name}Batch"), format!("{name}Output")]);
        }
        taken.extend(names.dims.iter().map(|dim| dim.item.name.to_string()));
        taken.extend(names.broken.keys().cloned());
        let route = |name: &Ident| names.foreign(name).map(|foreign| &foreign.route);
        let mut done = vec![];
        // Names that the user wrote come before those that came along.
        for with_parts in [false, true] {
            let wanted = |name: &Ident| match route(name) {
                None => !with_parts,
                Some(Route::Path(_)) => !with_parts,
                Some(Route::Part { .. }) => with_parts,
                Some(Route::Alias { .. } | Route::None) => false,
            };
            for root in roots.iter().flatten().copied() {
                let net = &mut nets[root];
                if wanted(&net.item.name) && net.reach == Reach::Unused {
                    net.reach = if route(&net.item.name).is_some() { Reach::Abroad } else { Reach::Named };
                }
            }
            for &(item, position) in aliases.iter().filter(|(item, _)| wanted(&item.name)) {
                let foreign = route(&item.name).is_some();
                let Some(position) = position else {
                    if !foreign {
                        done.push(Alias { item, net: None });
                    }
                    continue;
                };
                let net = &mut nets[position];
                if net.reach == Reach::Unused {
                    net.reach = if foreign { Reach::Abroad } else { Reach::Named };
                    (net.name, net.visibility) = (item.name.clone(), item.visibility.clone());
                    net.attributes = item.attributes.clone();
                } else if !foreign {
                    // Who sees the other name sees what it stands for.
                    if reach(&item.visibility) > reach(&net.visibility) {
                        net.visibility = item.visibility.clone();
                    }
                    done.push(Alias { item, net: Some(position) });
                }
            }
        }
        let mut queue: Vec<usize> = (0..nets.len()).filter(|&net| nets[net].reach == Reach::Named).collect();
        // The instance of a net of others is called after the net that it was made for.
        let mut owners: Vec<Ident> = nets.iter().map(|net| net.name.clone()).collect();
        while let Some(position) = queue.pop() {
            for part in nets[position].nets() {
                if nets[part].reach == Reach::Unused {
                    nets[part].reach = Reach::Part;
                    owners[part] = owners[position].clone();
                    queue.push(part);
                }
            }
        }
        for (position, given) in given.iter().enumerate() {
            let net = &mut nets[position];
            if net.reach == Reach::Part {
                let owner = route(&net.item.name).map(|_| &owners[position]);
                net.name = free_name(net.item, owner, given, &mut taken);
                net.visibility = visibility(net.item, given, names);
            }
        }
        Inferred { nets: nets.into_iter().map(Rc::new).collect(), templates, aliases: done }
    }
}

impl<'a> Instance<'a> {
    pub(super) fn net(&self) -> &Rc<TypedNet<'a>> {
        self.done.as_ref().expect("every instance that is asked for was inferred")
    }
}

/// Whether a hyper-parameter is as written in the head of the net, as far as the texts show.
fn by_default(parameter: &Parameter, value: &Value<'_>) -> bool {
    parameter.default.as_ref().is_some_and(|default| match value {
        Value::Maker(maker) => maker.expr.says(default) && maker.environment.iter().next().is_none(),
        value => super::text::text(default) == value.text(),
    })
}

/// `BasicWidth64Stride2`: what differs from the defaults, then the dimensions if that is not enough.
fn free_name(item: &NetItem, owner: Option<&Ident>, given: &Given<'_>, taken: &mut HashSet<String>) -> Ident {
    let net = format!("{}{}", owner.map(ToString::to_string).unwrap_or_default(), plain(&item.name.to_string()));
    let part = |name: &str, value: &str| {
        let value: String = plain(value)
            .chars()
            .map(|letter| match letter {
                '.' => 'p',
                '-' => 'm',
                letter if letter.is_ascii_alphanumeric() => letter,
                _ => '_',
            })
            .collect();
        format!("{}{}", capitals(name), capitals(&value))
    };
    let parameters = item.parameters.iter().zip(&given.parameters);
    let parameters: String = parameters
        .filter(|(parameter, value)| !by_default(parameter, value))
        .map(|(parameter, value)| part(&parameter.name.to_string(), &value.text()))
        .collect();
    let dims: String = given.dims.iter().map(|(name, term)| part(name, &term.to_string())).collect();
    let short = match parameters.is_empty() {
        true => format!("{net}{dims}"),
        false => format!("{net}{parameters}"),
    };
    let long = format!("{net}{parameters}{dims}");
    let numbered = (2..).map(|number| format!("{long}Number{number}"));
    let name = [short, long.clone()].into_iter().chain(numbered).find(|name| !taken.contains(name));
    let name = name.expect("there is always a larger number");
    taken.insert(name.clone());
    Ident::new(&name, item.name.span())
}

/// An instance is seen as far as its net and all dimensions that it names.
fn visibility(item: &NetItem, given: &Given<'_>, names: &Names<'_>) -> Visibility {
    let sizes = given.parameters.iter().filter_map(|value| match value {
        Value::Size(term) => Some(term),
        _ => None,
    });
    let atoms = sizes.chain(given.dims.values()).flat_map(Term::atoms);
    let dims = atoms.filter_map(|atom| match atom {
        Atom::Nominal { name, .. } => Some(&names.dim(name)?.item.visibility),
        _ => None,
    });
    dims.chain([&item.visibility]).min_by_key(|visibility| reach(visibility)).cloned().unwrap_or_default()
}
