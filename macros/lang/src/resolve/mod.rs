//! Names: which dimensions and nets a program declares, what sizes mean, and who may show what.

mod size;

use crate::ast::{AliasItem, DimItem, Foreign, Item, NetItem, Program, Visibility};
use crate::report::{Checked, Report, Reported, did_you_mean};
use crate::terms::{Dims, Meaning, Term};
use proc_macro2::Ident;
use std::collections::BTreeMap;

pub use size::{arithmetic, division, size};

/// Names that an error has left without meaning: to use one is no further error.
pub type Lost = BTreeMap<String, Reported>;

/// The names of a program.
#[derive(Debug)]
pub struct Names<'a> {
    /// The declared dimensions, in source order; those whose size could not be understood are missing.
    pub dims: Vec<Dim<'a>>,
    /// The nets in source order.
    pub nets: Vec<&'a NetItem>,
    /// Names for nets with their hyper-parameters, in source order.
    pub aliases: Vec<&'a AliasItem>,
    /// What the names of dimensions stand for.
    pub meanings: Dims,
    /// Names of declarations that hold an error.
    pub broken: Lost,
    /// What other `net!`s declare.
    foreign: &'a [Foreign],
}

/// A declared dimension.
#[derive(Debug)]
pub struct Dim<'a> {
    /// The declaration.
    pub item: &'a DimItem,
    /// What it stands for: itself, or the term of an alias.
    pub term: Term,
    /// Its size.
    pub number: usize,
}

impl<'a> Names<'a> {
    /// The position of the net of this name.
    pub fn net(&self, name: &str) -> Option<usize> {
        self.nets.iter().position(|net| net.name == name)
    }

    /// The alias of this name.
    pub fn alias(&self, name: &str) -> Option<&'a AliasItem> {
        self.aliases.iter().copied().find(|alias| alias.name == name)
    }

    /// Whether a net or an alias has this name.
    pub fn is_net(&self, name: &str) -> bool {
        self.net(name).is_some() || self.alias(name).is_some()
    }

    /// The declaration of this name in another `net!`.
    pub fn foreign(&self, name: &Ident) -> Option<&'a Foreign> {
        self.foreign.iter().find(|foreign| foreign.name == *name)
    }

    /// The declared dimension of this name.
    pub fn dim(&self, name: &str) -> Option<&Dim<'a>> {
        self.dims.iter().find(|dim| dim.item.name == name)
    }
}

/// Collects the declarations and gives every dimension its size.
pub fn resolve<'a>(program: &'a Program, report: &mut Report) -> Names<'a> {
    let mut first: BTreeMap<String, &Ident> = BTreeMap::new();
    let foreign = program.foreign.as_slice();
    let mut names =
        Names { dims: vec![], nets: vec![], aliases: vec![], meanings: Dims::new(), broken: Lost::new(), foreign };
    names.broken.extend(program.broken.iter().map(|broken| (broken.name.to_string(), broken.lost)));
    let mut dims = vec![];
    for item in &program.items {
        let name = item.name();
        if first.insert(name.to_string(), name).is_some() {
            report.error(name.span(), format!("`{name}` is declared twice")).help("give one of them another name");
            continue;
        }
        match item {
            Item::Dim(dim) => dims.push(dim),
            Item::Net(net) => names.nets.push(net),
            Item::Alias(alias) => names.aliases.push(alias),
        }
    }
    declare(&dims, &mut names, report);
    names
}

/// Aliases may use dimensions that are declared later, so they are resolved until no more can be.
fn declare<'a>(items: &[&'a DimItem], names: &mut Names<'a>, report: &mut Report) {
    let mut waiting: Vec<&DimItem> = vec![];
    for item in items {
        let name = item.name.to_string();
        if name.starts_with(|c: char| c.is_lowercase()) {
            let message = format!("a declared dimension begins with a capital, `{name}` does not");
            let help = "lower-case names are dimensions that are known only at run time";
            names.broken.insert(name, report.error(item.name.span(), message).help(help).reported());
        } else if let crate::ast::Size::Literal(number, span) = item.size {
            if number == 0 {
                report.error(span, format!("`{name}` has size 0, a dimension has at least size 1"));
            }
            // An empty dimension goes on as 1, so that its uses are no further errors.
            let declared = names.meanings.declare(name, Meaning::Nominal(number.max(1)));
            debug_assert!(declared.is_ok(), "names occur once");
        } else {
            waiting.push(item);
        }
    }
    loop {
        let before = waiting.len();
        waiting.retain(|item| {
            let ready = names_in(&item.size).iter().all(|name| {
                let name = name.to_string();
                !items.iter().any(|other| other.name == name) || names.meanings.meaning(&name).is_some()
            });
            if ready {
                let name = item.name.to_string();
                match alias(item, names, report) {
                    Ok(term) => {
                        let declared = names.meanings.declare(name, Meaning::Alias(term));
                        debug_assert!(declared.is_ok(), "names occur once");
                    }
                    Err(lost) => drop(names.broken.insert(name, lost)),
                }
            }
            !ready
        });
        if waiting.len() == before || waiting.is_empty() {
            break;
        }
    }
    for item in waiting {
        let waits = names_in(&item.size).into_iter().find_map(|name| names.broken.get(&name.to_string()).copied());
        let lost = waits.unwrap_or_else(|| {
            report.error(item.name.span(), format!("the size of `{}` depends on itself", item.name)).reported()
        });
        names.broken.insert(item.name.to_string(), lost);
    }
    for item in items {
        if let Some(term) = names.meanings.term(&item.name.to_string()) {
            let number = term.number().expect("the size of a declared dimension is known");
            names.dims.push(Dim { item, term, number });
        }
    }
}

/// What the size of an alias stands for.
fn alias(item: &DimItem, names: &Names<'_>, report: &mut Report) -> Checked<Term> {
    let name = &item.name;
    if let Some(lost) = names_in(&item.size).iter().find_map(|part| names.broken.get(&part.to_string())) {
        return Err(*lost);
    }
    let lower = names_in(&item.size).into_iter().find(|n| names.meanings.meaning(&n.to_string()).is_none());
    if let Some(unknown) = lower {
        let known: Vec<_> = names.meanings.names().collect();
        let guess = did_you_mean(&unknown.to_string(), &known);
        let error = report.error(unknown.span(), format!("no dimension `{unknown}` is declared"));
        if let Some(guess) = guess {
            error.help(format!("did you mean `{guess}`?"));
        }
        return error.fail();
    }
    let term = size(&item.size, &names.meanings, &Lost::new(), report)?;
    match term.number() {
        Some(number) if number > 0 => Ok(term),
        Some(_) => report.error(name.span(), format!("`{name}` has size 0, a dimension has at least size 1")).fail(),
        None => report
            .error(name.span(), format!("`{name}` = {term} is no size"))
            .help("a size is a whole number, at least 1 and no more than a machine counts")
            .fail(),
    }
}

/// The names that a size mentions.
pub fn names_in(size: &crate::ast::Size) -> Vec<&Ident> {
    use crate::ast::Size;
    match size {
        Size::Literal(..) | Size::Infer(_) => vec![],
        Size::Name(name) => vec![name],
        Size::Arithmetic { operands, .. } => operands.iter().flat_map(names_in).collect(),
        Size::Call { arguments, .. } => arguments.iter().flat_map(names_in).collect(),
    }
}

/// How far an item can be seen: nowhere else, somewhere, everywhere.
pub fn reach(visibility: &Visibility) -> u8 {
    match (visibility.is_private(), visibility.tokens.clone().into_iter().count()) {
        (true, _) => 0,
        (false, 1) => 2,
        (false, _) => 1,
    }
}
