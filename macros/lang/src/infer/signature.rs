//! What the signature of a net says: the types of inputs and results, and the run-time dimensions.

use super::facts::{self, Facts};
use super::instances::Given;
use super::typed::Reading;
use super::types::{Axis, Element, Type};
use super::value::Value;
use crate::ast::{Fact, NetItem, Parameter, ResultType, Size, TensorType};
use crate::report::{Checked, Report, Reported};
use crate::resolve::{Lost, Names, names_in, reach, size};
use crate::terms::{Dims, Meaning, Term};
use proc_macro2::Ident;

/// The most axes a tensor can have, as dfdx's shapes.
pub const MAX_RANK: usize = 6;

/// The signature of a net.
#[derive(Default)]
pub struct Signature {
    /// The run-time dimensions, in order of first appearance.
    pub run_time: Vec<Ident>,
    /// The types of the inputs.
    pub inputs: Vec<Checked<Type>>,
    /// The types of the results; an axis is `None` where `_` is written.
    pub results: Vec<Checked<Declared>>,
}

/// Whether the head of a net mentions a name.
pub fn mentions(item: &NetItem, name: &Ident) -> bool {
    let defaults = item.parameters.iter().filter_map(|parameter| parameter.default.as_ref());
    let mut found = sizes(item).any(|mentioned| mentioned == name);
    defaults.for_each(|default| super::mentions::expression(default, &mut |mentioned| found |= mentioned == name));
    found
}

/// The names that the sizes of a head mention: those of its types, then those of its facts.
fn sizes(item: &NetItem) -> impl Iterator<Item = &Ident> {
    let types = item.inputs.iter().map(|input| &input.ty).chain(results(item).into_iter().map(|(_, ty)| ty));
    let facts = item.facts.iter().flat_map(|fact| match fact {
        Fact::Divides(a, b) | Fact::Relation(a, _, b) => [a, b],
    });
    types.flat_map(type_names).chain(facts.flat_map(names_in))
}

/// The dimensions that are read off the inputs of a net: those that stand by themselves first.
pub fn dimensions(item: &NetItem) -> Vec<&Ident> {
    let mut found: Vec<&Ident> = vec![];
    for name in bare_names(item)
        .chain(item.inputs.iter().flat_map(|input| &input.ty.axes).flat_map(|axis| names_in(&axis.size)))
    {
        if is_lower(&name.to_string()) && !found.contains(&name) {
            found.push(name);
        }
    }
    found.retain(|name| item.parameters.iter().all(|parameter| parameter.name != **name));
    found
}

/// The axes of the inputs that are a name.
fn bare_names(item: &NetItem) -> impl Iterator<Item = &Ident> {
    item.inputs.iter().flat_map(|input| &input.ty.axes).filter_map(|axis| match &axis.size {
        Size::Name(name) => Some(name),
        _ => None,
    })
}

/// A result type with holes.
pub struct Declared {
    /// What the elements are.
    pub element: Element,
    /// The axes; `None` for `_`.
    pub axes: Vec<Option<Axis>>,
}

impl Declared {
    /// The type, if it has no holes.
    pub fn whole(&self) -> Option<Type> {
        let axes = self.axes.iter().cloned().collect::<Option<Vec<_>>>()?;
        Some(Type { element: self.element.clone(), axes })
    }

    /// A type that fits it, with the labels that stand here.
    pub fn labelled(&self, mut ty: Type) -> Type {
        for (axis, declared) in ty.axes.iter_mut().zip(&self.axes) {
            if let Some(Axis { label: Some(label), .. }) = declared {
                axis.label = Some(label.clone());
            }
        }
        ty
    }
}

/// The results of a net with their names.
pub fn results(item: &NetItem) -> Vec<(Option<&Ident>, &TensorType)> {
    match &item.result {
        ResultType::One(ty) => vec![(None, ty)],
        ResultType::Named(results) => results.iter().map(|r| (Some(&r.name), &r.ty)).collect(),
    }
}

/// Reads the signature.
pub(super) fn signature(
    item: &NetItem,
    names: &Names<'_>,
    given: &Given<'_>,
    report: &mut Report,
) -> (Signature, Facts) {
    let mut dims = names.meanings.clone();
    let mut run_time: Vec<Ident> = vec![];
    let sizes = item.parameters.iter().zip(&given.parameters).filter_map(|(parameter, value)| match value {
        Value::Size(term) => Some((parameter.name.to_string(), term.clone())),
        Value::Number { integer: Some(integer), .. } => Some((parameter.name.to_string(), Term::integer(*integer))),
        _ => None,
    });
    // The names of inputs, of declared dimensions and of hyper-parameters differ: `twice` says where not.
    for (name, term) in sizes.chain(given.dims.clone()) {
        let _ = dims.declare(name, Meaning::Alias(term));
    }
    let mut broken = names.broken.clone();
    for (parameter, value) in item.parameters.iter().zip(&given.parameters) {
        if let Some(lost) = no_size(item, parameter, value, report) {
            broken.insert(parameter.name.to_string(), lost);
        }
    }
    // Sizes are read off axes that are a bare name; others follow from what they are part of.
    let mut follow: Vec<Ident> = vec![];
    for name in dimensions(item) {
        let text = name.to_string();
        let free = !broken.contains_key(&text);
        if free && dims.declare(text, Meaning::RunTime).is_ok() {
            let list = if bare_names(item).any(|bare| bare == name) { &mut run_time } else { &mut follow };
            list.push(name.clone());
        }
    }
    twice(item, report);
    for name in run_time.iter().chain(&follow) {
        if let Some(input) = item.inputs.iter().find(|input| input.name == *name) {
            report.error(input.name.span(), format!("`{name}` is the name of an input and of a dimension"));
        }
    }
    for fact in facts::stated(item, &dims, &broken).into_iter().filter(|fact| fact.op == "|") {
        dims.assume(fact.left, fact.right);
    }
    let inputs: Vec<_> = item.inputs.iter().map(|input| whole(&input.ty, &dims, &broken, report)).collect();
    while !follow.is_empty() {
        let known: Vec<String> = run_time.iter().map(ToString::to_string).collect();
        let types = || inputs.iter().map(|ty| ty.as_ref().ok());
        let found = follow.iter().position(|name| Reading::find(&name.to_string(), &known, types()).is_some());
        let name = follow.remove(found.unwrap_or(0));
        if found.is_none() && inputs.iter().all(Result::is_ok) {
            report.error(name.span(), format!("the size of `{name}` cannot be read off any input")).help(format!(
                "let an input have an axis `{name}`, or one from which it follows, as from `2 * {name} + 1`"
            ));
        }
        run_time.push(name);
    }
    if let Some(lost) = item.mended.or_else(|| inputs.iter().find_map(|input| input.as_ref().err().copied())) {
        // The broken input may have been meant to have the dimensions that no other has.
        let names = results(item).into_iter().flat_map(|(_, ty)| type_names(ty)).map(ToString::to_string);
        let names = names.filter(|name| is_lower(name) && dims.meaning(name).is_none());
        broken.extend(names.map(|name| (name, lost)));
    }
    let results = results(item).into_iter().map(|(_, ty)| declared(ty, &dims, &broken, report)).collect();
    visible(item, names, report);
    (Signature { run_time, inputs, results }, Facts::of(item, dims, broken))
}

/// Why the sizes of a head cannot be read that mention a hyper-parameter: nothing is known of it, or it is no size.
fn no_size(item: &NetItem, parameter: &Parameter, value: &Value<'_>, report: &mut Report) -> Option<Reported> {
    match value {
        Value::Size(_) | Value::Number { integer: Some(_), .. } => None,
        Value::Error(lost) => Some(*lost),
        value => {
            let mentioned = sizes(item).find(|name| **name == parameter.name)?;
            let message = format!("`{mentioned}` is {}, and no size", value.what());
            let help = "a hyper-parameter that is a size is a whole number: `width: usize`";
            Some(report.error(mentioned.span(), message).help(help).reported())
        }
    }
}

/// Whether a name is one of a run-time dimension.
fn is_lower(name: &str) -> bool {
    name.starts_with(|c: char| c.is_lowercase() || c == '_')
}

fn type_names(ty: &TensorType) -> impl Iterator<Item = &Ident> {
    ty.axes.iter().map(|axis| &axis.size).chain(&ty.space).flat_map(names_in)
}

fn duplicates(names: Vec<&Ident>, what: &str, report: &mut Report) {
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            report.error(name.span(), format!("two {what} are called `{name}`")).help("give one of them another name");
        }
    }
}

/// Names of inputs, of results, and of labels in one type occur once.
fn twice(item: &NetItem, report: &mut Report) {
    let mut check = |names: Vec<&Ident>, what: &str| duplicates(names, what, report);
    check(item.inputs.iter().map(|input| &input.name).collect(), "inputs");
    check(item.parameters.iter().map(|parameter| &parameter.name).collect(), "hyper-parameters");
    for parameter in &item.parameters {
        if item.inputs.iter().any(|input| input.name == parameter.name) {
            let name = &parameter.name;
            report
                .error(name.span(), format!("`{name}` is the name of an input and of a hyper-parameter"))
                .help("give one of them another name");
        }
    }
    let mut check = |names: Vec<&Ident>, what: &str| duplicates(names, what, report);
    check(results(item).into_iter().filter_map(|(name, _)| name).collect(), "results");
    let types = item.inputs.iter().map(|input| &input.ty).chain(results(item).into_iter().map(|(_, ty)| ty));
    for ty in types {
        check(ty.axes.iter().filter_map(|axis| axis.label.as_ref()).collect(), "axes");
    }
}

fn whole(ty: &TensorType, dims: &Dims, broken: &Lost, report: &mut Report) -> Checked<Type> {
    let hole = ty.axes.iter().find_map(|axis| match axis.size {
        Size::Infer(span) => Some(span),
        _ => None,
    });
    if let Some(span) = hole {
        return report
            .error(span, "the size of an input cannot be inferred")
            .help("a lower-case name stands for any size")
            .fail();
    }
    let mut read = declared(ty, dims, broken, report)?.whole().ok_or_else(|| report.unexplained(ty.span))?;
    for (axis, written) in read.axes.iter_mut().zip(&ty.axes) {
        axis.origin = origin(&written.size);
    }
    Ok(read)
}

/// The dimension that an axis is by itself: whatever becomes of its size, it is known by that.
pub(super) fn origin(size: &Size) -> Option<String> {
    match size {
        Size::Name(name) => Some(name.to_string()),
        _ => None,
    }
}

fn declared(ty: &TensorType, dims: &Dims, broken: &Lost, report: &mut Report) -> Checked<Declared> {
    if ty.axes.len() > MAX_RANK {
        let rank = ty.axes.len();
        return report.error(ty.span, format!("a tensor has at most {MAX_RANK} axes, this one has {rank}")).fail();
    }
    let axes: Vec<Checked<Option<Axis>>> = ty
        .axes
        .iter()
        .map(|axis| match &axis.size {
            Size::Infer(_) => Ok(None),
            written => {
                let label = axis.label.as_ref().map(ToString::to_string);
                // What an error leaves of a net is found by the first of the dimensions that it is made of.
                let mut named = names_in(written).into_iter().map(ToString::to_string);
                let origin = origin(written).or_else(|| named.find(|name| is_lower(name)));
                Ok(Some(Axis { label, origin, size: size(written, dims, broken, report)? }))
            }
        })
        .collect();
    let element = match &ty.space {
        None => Ok(Element::Real),
        Some(space) => match size(space, dims, broken, report) {
            Ok(term) if term.number().is_none() => {
                let message = format!("indices into {term} need its size at compile time");
                let help = format!("declare a dimension, `dim Name = …;`, and write `in Name` instead of `in {term}`");
                Err(report.need(term.open_names(), ty.span.into(), message, help))
            }
            other => other.map(Element::Index),
        },
    };
    Ok(Declared { element: element?, axes: axes.into_iter().collect::<Checked<_>>()? })
}

/// A net may not show a dimension that fewer can see.
fn visible(item: &NetItem, names: &Names<'_>, report: &mut Report) {
    let types = item.inputs.iter().map(|input| &input.ty).chain(results(item).into_iter().map(|(_, ty)| ty));
    let mut said: Vec<String> = vec![];
    for name in types.flat_map(type_names) {
        let Some(dim) = names.dim(&name.to_string()) else { continue };
        let (net, shown) = (&item.visibility, &dim.item.visibility);
        if reach(shown) < reach(net) && !said.contains(&name.to_string()) {
            said.push(name.to_string());
            report
                .error(
                    name.span(),
                    format!("`{}` is `{}` and shows the private dimension `{name}`", item.name, net.tokens),
                )
                .help(format!("declare it `{} dim {name} = …;`", net.tokens));
        }
    }
}
