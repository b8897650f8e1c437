//! Nets inside of nets.

use super::block::Inference;
use super::call::count;
use super::instances::Given;
use super::signature;
use super::typed::{LayerKind, Operation, Step, TypedNet};
use super::types::{Axis, Element, Type};
use super::value::{Chosen, LayerValue, Tensor, Value};
use crate::borders::plain;
use crate::case::snake_case;
use crate::report::{Checked, Place};
use crate::terms::{Atom, Term};
use ansatz_shapes::Size as _;
use proc_macro2::Ident;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the run-time dimensions of a net are where it is used.
type Bound = BTreeMap<String, Axis>;

/// A net inside of others is made of at most so many parts.
const MOST_PARTS: usize = 1 << 16;

impl<'a> Inference<'a, '_, '_> {
    /// Applies a net, or the inverse of a flow.
    pub(super) fn net(
        &mut self,
        chosen: &Chosen<'a>,
        layer: &LayerValue<'a>,
        tensors: Vec<(Tensor, Place)>,
        inverse: bool,
        at: Place,
    ) -> Checked<Value<'a>> {
        let (name, item) = (&chosen.name, self.nets.names.nets[chosen.net]);
        if tensors.len() != item.inputs.len() {
            let inputs: Vec<_> = item.inputs.iter().map(|input| input.name.to_string()).collect();
            let message = format!("`{name}` takes {}, not {}", count(inputs.len()), tensors.len());
            return self.fault(at, message).help(format!("it is called `{name}({})`", inputs.join(", "))).fail();
        }
        let (net, bound) = self.instance(chosen, layer, &tensors, at)?;
        let inner = self.nets.done(net);
        let types = inner.results.iter().map(|ty| ty.as_ref().map(|ty| substituted(ty, &bound)).map_err(|lost| *lost));
        let mut types: Checked<Vec<Type>> = types.collect();
        for axis in types.iter_mut().flatten().flat_map(|ty| &mut ty.axes) {
            axis.size = self.facts.dims.normal(&axis.size);
        }
        let work = match &inner.inverse {
            Some(back) if inverse => back.multiply_adds.clone(),
            _ => inner.layers.iter().fold(Term::literal(0), |sum, layer| sum.plus(&layer.multiply_adds)),
        };
        let work = substitute(&work, &bound);
        let position = self.place_net(net, chosen, layer, &tensors, types.as_deref().unwrap_or_default(), work)?;
        let types = types?;
        let mut results = vec![];
        for ty in &types {
            if ty.rank() > signature::MAX_RANK {
                return self.unexplained(at);
            }
            self.body.values.push(ty.clone());
            results.push(self.body.values.len() - 1);
        }
        let inputs = tensors.iter().map(|(tensor, _)| tensor.id).collect();
        let method = if inverse { "record_inverse" } else { "record" };
        let operation = Operation::Layer { layer: position, method, inputs, settings: vec![] };
        self.body.steps.push(Step { results: results.clone(), operation, span: at });
        let names = signature::results(inner.item).into_iter().map(|(name, _)| name.map(ToString::to_string));
        let tensors =
            results.into_iter().zip(types).map(|(id, ty)| Value::Tensor(Tensor { id, ty, trail: Rc::default() }));
        let mut items: Vec<_> = names.zip(tensors).collect();
        match items.as_slice() {
            [(None, _)] => self.known(items.pop().map(|(_, value)| value), at),
            _ => Ok(Value::Tuple(items)),
        }
    }

    /// The instance of a net that takes these tensors. What it needs at compile time comes from their types.
    fn instance(
        &mut self,
        chosen: &Chosen<'a>,
        layer: &LayerValue<'a>,
        tensors: &[(Tensor, Place)],
        at: Place,
    ) -> Checked<(usize, Bound)> {
        let parameters = self.parameters(chosen, at)?;
        let given = Given { net: chosen.net, parameters, dims: chosen.dims.clone() };
        let mut net = self.nets.instance(given.clone(), at)?;
        let mut inner = self.nets.done(net);
        let bound = self.bind_inputs(&inner, layer, tensors)?;
        let is_known = |name: &String| bound.get(name).is_some_and(|axis| axis.size.number().is_some());
        if inner.needs.is_empty() && !inner.assumed.iter().any(|assumption| assumption.names().iter().any(is_known)) {
            self.obey(&inner, chosen, &bound, at)?;
            return Ok((net, bound));
        }
        let known = bound.iter().filter(|(_, axis)| axis.size.number().is_some());
        let known = known.map(|(name, axis)| (name.clone(), axis.size.clone()));
        net = self.nets.instance(Given { dims: given.dims.into_iter().chain(known).collect(), ..given }, at)?;
        inner = self.nets.done(net);
        let (mut lost, mut said) = (None, vec![]);
        for need in &inner.needs {
            let name = need.names.iter().find(|name| bound.contains_key(*name));
            let (Some(name), of) = (name.filter(|name| !said.contains(name)), &chosen.name) else { continue };
            said.push(name);
            let size = bound[name].size.clone();
            let message =
                format!("`{of}` needs `{name}` at compile time, and here it is {size}, known only at run time");
            // The first reason is the one that tells: it stands in the innermost net.
            let inside = need.diagnostic.help.clone().filter(|help| help.starts_with("in `"));
            let help = inside.unwrap_or_else(|| format!("in `{of}`: {}", need.diagnostic.message));
            lost = Some(self.need(&size, at, message, help));
        }
        if !inner.needs.is_empty() {
            return lost.map_or_else(|| self.unexplained(at), Err);
        }
        self.obey(&inner, chosen, &bound, at)?;
        Ok((net, bound))
    }

    /// Checks that what a net asks of run-time dimensions holds here.
    fn obey(&mut self, inner: &TypedNet<'a>, chosen: &Chosen<'a>, bound: &Bound, at: Place) -> Checked<()> {
        for assumption in &inner.assumed {
            let here = assumption.substitute(&|name| bound.get(name).map(|axis| axis.size.clone()));
            if self.facts.proven(&here) {
                continue;
            }
            let (of, name) = (&chosen.name, &self.item.name);
            let message = format!("`{of}` needs `{assumption}`, and nothing says that `{here}`");
            let help = format!("state it in the head of `{name}`: `where {here}`");
            return Err(self.need(&here.left.plus(&here.right), at, message, help));
        }
        Ok(())
    }

    fn place_net(
        &mut self,
        net: usize,
        chosen: &Chosen<'a>,
        layer: &LayerValue<'a>,
        tensors: &[(Tensor, Place)],
        results: &[Type],
        work: Term,
    ) -> Checked<usize> {
        if let Some(position) = self.parts.at(layer.site) {
            self.used_alike(position, layer.span)?;
            self.parts.work(position, &work);
            return Ok(position);
        }
        let parts = self.nets.done(net).whole.parts;
        if parts > MOST_PARTS {
            let message = format!("`{}` has {parts} parts, with those of the nets inside of it", chosen.name);
            return self
                .fault(layer.span, message)
                .help(format!("{MOST_PARTS} are the most that a net is made of"))
                .fail();
        }
        let label = match &layer.label {
            Some(_) => self.label(layer, "", false)?,
            None => self.label_of_net(net, chosen, layer)?,
        };
        let list = |types: Vec<String>| if types.len() == 1 { types.concat() } else { types.join(", ") };
        let takes = list(tensors.iter().map(|(tensor, _)| tensor.ty.to_string()).collect());
        let gives = list(results.iter().map(ToString::to_string).collect());
        let mut part = self.part(label, layer, LayerKind::Net(net), (takes, gives), work);
        if layer.label.is_none() {
            part.shown = chosen.name.to_string();
        }
        Ok(self.parts.add(part, layer.site))
    }

    /// The label of a net that is given none. Two uses of one net may be meant to share its parameters or not, so they say
    /// which; where there are none to share, a number tells them apart.
    fn label_of_net(&mut self, net: usize, chosen: &Chosen<'a>, layer: &LayerValue<'a>) -> Checked<Ident> {
        let of = plain(&chosen.name.to_string()).into_owned();
        let kind = snake_case(&of);
        let numbered = (2..).map(|number| format!("{kind}{number}"));
        let mut labels =
            std::iter::once(kind.clone()).chain(numbered).map(|label| Ident::new(&label, layer.span.first));
        let label = match self.nets.is_empty(net) {
            true => labels.find(|label| self.parts.is_free(label, layer.scope)),
            false => labels.next(),
        };
        let help = format!(
            "with a label it has parameters of its own: `other: {of}`; to share one set, bind the net: `let {kind} = {of};`"
        );
        let label = self.known(label, layer.span)?;
        self.claim(&label, layer.scope, &help)?;
        Ok(label)
    }

    /// Checks what a net is given, and finds its run-time dimensions.
    fn bind_inputs(
        &mut self,
        inner: &TypedNet<'a>,
        layer: &LayerValue<'a>,
        tensors: &[(Tensor, Place)],
    ) -> Checked<Bound> {
        let mut bound = Bound::new();
        // An axis that is a bare name binds it; the first one does.
        for (declared, (tensor, _)) in inner.inputs.iter().zip(tensors) {
            let declared = declared.as_ref().map_err(|lost| *lost)?;
            if declared.rank() != tensor.ty.rank() {
                continue;
            }
            for (axis, came) in declared.axes.iter().zip(&tensor.ty.axes) {
                if let Some(Atom::RunTime(name)) = axis.size.as_atom() {
                    bound.entry(name.clone()).or_insert_with(|| came.clone());
                }
            }
        }
        for name in inner.run_time.iter().filter(|name| inner.reading(name).is_some()) {
            self.follow(inner, layer, name, tensors, &mut bound)?;
        }
        let mut lost = None;
        for (i, (declared, (tensor, span))) in inner.inputs.iter().zip(tensors).enumerate() {
            let declared = declared.as_ref().map_err(|lost| *lost)?;
            lost = lost.or(self.input(inner, layer, i, declared, tensor, *span, &bound).err());
        }
        lost.map_or(Ok(bound), Err)
    }

    /// Binds a dimension that follows from the size of an axis.
    fn follow(
        &mut self,
        inner: &TypedNet<'a>,
        layer: &LayerValue<'a>,
        name: &Ident,
        tensors: &[(Tensor, Place)],
        bound: &mut Bound,
    ) -> Checked<()> {
        let Some(reading) = inner.reading(name) else { return Ok(()) };
        let ((tensor, span), declared) = (&tensors[reading.input], inner.inputs[reading.input].as_ref().ok());
        let (Some(came), Some(declared)) = (tensor.ty.axes.get(reading.axis), declared) else { return Ok(()) };
        if declared.rank() != tensor.ty.rank() {
            return Ok(());
        }
        let (factor, rest) = (substitute(&reading.factor, bound), substitute(&reading.rest, bound));
        let all = came.size.minus(&rest);
        let exact = self.facts.dims.quotient(&all, &factor);
        if let Some(size) = exact.clone().filter(|size| self.facts.at_least(size, 1)) {
            bound.insert(name.to_string(), Axis::from(size));
            return Ok(());
        }
        let written = substitute(&declared.axes[reading.axis].size, bound);
        let callee = layer.label.as_ref().filter(|label| label.written).map(|label| label.name.to_string());
        let callee = callee.unwrap_or_else(|| inner.item.name.to_string());
        let (known, size) = (came.size.number().is_some() && all.open_names().is_empty(), &came.size);
        let says = if known {
            format!("{size} is {written} for no `{name}`")
        } else {
            format!("nothing says that {size} is {written} for some `{name}`")
        };
        let error = self.about(tensor, *span, format!("`{callee}` takes {declared}, and {says}"));
        match exact {
            _ if known => {}
            None => drop(error.help(format!("state it in the head: `where {factor} | {all}`"))),
            Some(_) => drop(error.help(format!("state it in the head: `where {size} > {rest}`"))),
        }
        error.fail()
    }

    #[expect(clippy::too_many_arguments, reason = "they are what one sentence of an error speaks of")]
    fn input(
        &mut self,
        inner: &TypedNet<'a>,
        layer: &LayerValue<'a>,
        index: usize,
        declared: &Type,
        tensor: &Tensor,
        span: Place,
        bound: &Bound,
    ) -> Checked<()> {
        let wanted = substituted(declared, bound);
        let name = match &layer.label {
            Some(label) if label.written => label.name.to_string(),
            _ => inner.item.name.to_string(),
        };
        let input = match inner.inputs.len() {
            1 => String::new(),
            _ => format!(" as `{}`", inner.item.inputs[index].name),
        };
        let fit = ansatz_shapes::same(&wanted.axes, &tensor.ty.axes);
        match (&wanted.element, &tensor.ty.element) {
            (a, b) if a == b => {}
            (Element::Index(a), Element::Index(b)) => {
                let message = format!("`{name}` takes indices into {a}{input}, but is given indices into {b}");
                let notes = self.notes(tensor, &[(a.clone(), b.clone())]);
                return self.fault(span, message).notes(notes).fail();
            }
            (a, b) => {
                let message = format!("`{name}` takes {a}{input}, but is given {b}");
                return self.about(tensor, span, message).fail();
            }
        }
        let Err(misfit) = fit else { return Ok(()) };
        let message = format!("`{name}` takes {}{input} but is given {}", pattern(declared), tensor.ty);
        let samples = tensor.ty.rank() == wanted.rank() + 1 && tensor.ty.axes[1..] == wanted.axes[..];
        let (of, own) = (&inner.item.name, &inner.item.inputs[index].name);
        let error = self.misfit(&misfit, &name, message, tensor, span);
        if samples {
            let axes: Vec<String> =
                ["n".to_owned()].into_iter().chain(declared.axes.iter().map(ToString::to_string)).collect();
            error.help(format!("the axis of the samples is written too: `net {of}({own}: [{}])`", axes.join(", ")));
        }
        error.fail()
    }
}

/// A declared type as a pattern: what the caller chooses is `_`.
fn pattern(declared: &Type) -> String {
    let axes: Vec<_> = declared
        .axes
        .iter()
        .map(|axis| match axis.size.as_atom() {
            Some(Atom::RunTime(_)) => "_".to_owned(),
            _ => axis.size.to_string(),
        })
        .collect();
    format!("[{}]", axes.join(", "))
}

fn substitute(term: &Term, bound: &Bound) -> Term {
    term.substitute(&|name| bound.get(name).map(|axis| axis.size.clone()))
}

fn substituted(ty: &Type, bound: &Bound) -> Type {
    let element = match &ty.element {
        Element::Index(space) => Element::Index(substitute(space, bound)),
        other => other.clone(),
    };
    // A dimension that the net carries through keeps the label that it has outside, and what it makes of one is found by it.
    let axis = |axis: &Axis| {
        let size = substitute(&axis.size, bound);
        match axis.known_as().and_then(|name| bound.get(name)) {
            Some(outside) if outside.size == size => outside.clone(),
            Some(outside) => outside.replaced(size),
            None => Axis { label: axis.label.clone(), origin: None, size },
        }
    };
    Type { element, axes: ty.axes.iter().map(axis).collect() }
}
