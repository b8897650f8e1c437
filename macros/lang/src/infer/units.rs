//! Layers with parameters: `linear`, `layer_norm`, `rms_norm`, and what all of them share.

use super::arguments::{Gift, Given, flag};
use super::block::Inference;
use super::typed::{Acts, Argument, Kernel, Layer, LayerKind, Operation, Start};
use super::types::{Axis, Type};
use super::value::{Callable, LayerValue, Tensor};
use crate::functions::Function;
use crate::report::{Checked, Place};
use crate::terms::{Atom, Term};
use ansatz_shapes::{Misfit, Size as _};
use proc_macro2::Ident;

/// The numbers of a tensor: about what the addresses of a machine reach.
const MOST_NUMBERS: usize = 1 << 48;

impl<'a> Inference<'a, '_, '_> {
    /// `x Wᵀ + b`
    pub(super) fn linear(
        &mut self,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let Some(Gift::Width(outputs, width)) = given.get("width") else { return self.unexplained(at) };
        let inputs = self.last_axis("linear", x, at)?;
        if let Some(position) = self.parts.at(layer.site) {
            return self.unit_again(position, x, vec![], at);
        }
        self.fixed("linear", outputs, *width, "produce")?;
        self.fixed("linear", &inputs, at, "take")?;
        let bias = flag("bias", given, true);
        let (i, o) = (self.known(inputs.number(), at)?, self.known(outputs.number(), at)?);
        let kind = LayerKind::Unit {
            name: if bias { "Linear" } else { "UnbiasedLinear" },
            sizes: vec![inputs, outputs.clone()],
            acts: Acts::OnLast,
            parameters: self.numbers("linear", &[i, o], if bias { o } else { 0 }, at)?,
            work: outputs.clone(),
        };
        self.unit("linear", layer, kind, x, vec![], at)
    }

    /// `layer_norm`, `rms_norm`
    pub(super) fn norm(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let width = self.last_axis(function.name, x, at)?;
        let eps = self.eps(function, given, at)?;
        if let Some(position) = self.parts.at(layer.site) {
            return self.unit_again(position, x, vec![Argument::Number(eps)], at);
        }
        self.fixed(function.name, &width, at, "take")?;
        let number = self.known(width.number(), at)?;
        let (name, vectors) = match function.name {
            "layer_norm" => ("LayerNorm", 2),
            _ => ("RmsNorm", 1),
        };
        let parameters = self.numbers(function.name, &[vectors, number], 0, at)?;
        let kind = LayerKind::Unit { name, sizes: vec![width], acts: Acts::OnLast, parameters, work: Term::literal(0) };
        self.unit(function.name, layer, kind, x, vec![Argument::Number(eps)], at)
    }

    /// The number that keeps a division finite.
    pub(super) fn eps(&mut self, function: &'static Function, given: &Given<'a>, at: Place) -> Checked<f64> {
        let eps = self.known(function.number("eps", given), at)?;
        if !(eps > 0.0 && eps.is_finite()) {
            return self
                .fault(at, format!("`eps` of `{}` is a small positive number, {eps} is not", function.name))
                .help("it keeps the division finite; 1e-5 is usual")
                .fail();
        }
        Ok(eps)
    }

    /// The size of the last axis of a tensor of reals.
    pub(super) fn last_axis(&mut self, callee: &str, x: &Tensor, at: Place) -> Checked<Term> {
        self.reals(callee, x, at)?;
        let Some(last) = x.ty.axes.last() else {
            return self.fail(at, format!("`{callee}` acts on the last axis, but is given a scalar []"));
        };
        Ok(last.size.clone())
    }

    /// The first use of a layer makes it.
    pub(super) fn unit(
        &mut self,
        callee: &'static str,
        layer: &LayerValue<'a>,
        kind: LayerKind,
        x: &Tensor,
        settings: Vec<Argument>,
        at: Place,
    ) -> Checked<Tensor> {
        let ty = self.known(applied(&kind, &x.ty).ok(), layer.span)?;
        let position = self.place_unit(callee, layer, kind, x)?;
        let operation = Operation::Layer { layer: position, method: "record", inputs: vec![x.id], settings };
        self.tensor(operation, ty, at)
    }

    /// The position of a layer that keeps the shape of what it takes; its first use makes it.
    pub(super) fn unit_position(
        &mut self,
        callee: &'static str,
        layer: &LayerValue<'a>,
        kind: LayerKind,
        x: &Tensor,
        at: Place,
    ) -> Checked<usize> {
        let Some(position) = self.parts.at(layer.site) else { return self.place_unit(callee, layer, kind, x) };
        self.used_alike(position, at)?;
        if self.parts.layers[position].kind != kind {
            let first = self.parts.layers[position].signature.0.clone();
            return self
                .fault(at, format!("`{}` is given {}, and its first use gave it {first}", layer.text, x.ty))
                .help("all uses of a layer share its parameters: give it equal widths, or make a second layer")
                .fail();
        }
        let work = work(&x.ty, &kind);
        self.parts.work(position, &work);
        Ok(position)
    }

    fn place_unit(
        &mut self,
        callee: &'static str,
        layer: &LayerValue<'a>,
        kind: LayerKind,
        x: &Tensor,
    ) -> Checked<usize> {
        let ty = self.known(applied(&kind, &x.ty).ok(), layer.span)?;
        let label = self.label(layer, callee, true)?;
        let (work, signature) = (work(&x.ty, &kind), (x.ty.to_string(), ty.to_string()));
        let part = self.part(label, layer, kind, signature, work);
        Ok(self.parts.add(part, layer.site))
    }

    /// The part that a layer makes.
    pub(super) fn part(
        &self,
        label: Ident,
        layer: &LayerValue<'a>,
        kind: LayerKind,
        signature: (String, String),
        multiply_adds: Term,
    ) -> Layer {
        Layer {
            text: unlabelled(&layer.text).to_owned(),
            at: layer.span.first,
            shown: self.parts.called(layer),
            signature,
            multiply_adds,
            starts: starts(layer),
            frozen: self.here.frozen,
            ..Layer::new(label, layer.scope, kind)
        }
    }

    /// A further use of a layer must fit the first.
    pub(super) fn unit_again(
        &mut self,
        position: usize,
        x: &Tensor,
        settings: Vec<Argument>,
        at: Place,
    ) -> Checked<Tensor> {
        self.used_alike(position, at)?;
        let LayerKind::Unit { sizes, acts, .. } = &self.parts.layers[position].kind else {
            return self.unexplained(at);
        };
        let acts = *acts;
        let inputs = match acts {
            Acts::OnImages(kernel) => kernel.channels(sizes)[0].clone(),
            _ => sizes[0].clone(),
        };
        match applied(&self.parts.layers[position].kind, &x.ty) {
            Ok(ty) => {
                let multiply_adds = work(&x.ty, &self.parts.layers[position].kind);
                self.parts.work(position, &multiply_adds);
                let inputs = vec![x.id];
                let operation = Operation::Layer { layer: position, method: "record", inputs, settings };
                self.tensor(operation, ty, at)
            }
            Err(misfit) => {
                let callee = self.parts.layers[position].shown.clone();
                let place = if acts == Acts::OnLast { x.ty.rank().max(1) - 1 } else { 1 };
                let mut wanted = vec!["_".to_owned(); x.ty.rank().max(place + 1)];
                wanted[place] = inputs.to_string();
                let wanted = wanted.join(", ");
                let message = format!("`{callee}` takes [{wanted}] but is given {}", x.ty);
                let note = format!("its first use gave it {}", self.parts.layers[position].signature.0);
                self.misfit(&misfit, &callee, message, x, at)
                    .note(note)
                    .help("all uses of a layer share its parameters: give it equal widths, or make a second layer")
                    .fail()
            }
        }
    }

    /// How many numbers a tensor of these sizes has, and some more, as far as a machine holds them.
    pub(super) fn numbers(&mut self, callee: &str, sizes: &[usize], more: usize, at: Place) -> Checked<usize> {
        let count = sizes.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        match count.and_then(|count| count.checked_add(more)).filter(|count| *count <= MOST_NUMBERS) {
            Some(count) => Ok(count),
            None => {
                let message = format!("`{callee}` would have more numbers than any machine holds");
                self.fault(at, message).help(format!("{MOST_NUMBERS} are the most: choose smaller sizes")).fail()
            }
        }
    }

    /// Checks that a dimension that sizes a parameter is known at compile time.
    pub(super) fn fixed(&mut self, callee: &str, size: &Term, at: Place, what: &str) -> Checked<()> {
        if size.number().is_some_and(|number| number > 0) {
            return Ok(());
        }
        if let Some(number) = size.whole() {
            let error = self.fault(at, format!("`{callee}` would {what} {size} = {number}"));
            return match number <= 0 {
                true => error.help("a dimension has at least size 1"),
                false => error.help("no machine counts so far: choose smaller sizes"),
            }
            .fail();
        }
        let open = size.atoms().into_iter().find_map(|atom| match atom {
            Atom::RunTime(name) => Some(name.clone()),
            _ => None,
        });
        let name = open.unwrap_or_default();
        let declared: Vec<_> = self.nets.names.dims.iter().map(|dim| dim.item.name.to_string()).collect();
        let guess = crate::report::did_you_mean(&name, &declared);
        let message = format!("`{callee}` would {what} {size}, which is known only at run time");
        let help = match guess {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("sizes of parameters are declared: `dim {} = …;`", capital(&name)),
        };
        Err(self.need(size, at, message, help))
    }
}

/// How the weights and the bias of a layer start, where it says so.
fn starts(layer: &LayerValue<'_>) -> Vec<(&'static str, Start)> {
    let Callable::Function(_, given) = &layer.kind else { return vec![] };
    let start = |parameter, tensor| match given.get(parameter) {
        Some(Gift::Start(start)) => Some((tensor, start.clone())),
        _ => None,
    };
    start("init", "weight").into_iter().chain(start("bias", "bias")).collect()
}

/// What a layer gives for a tensor of this type.
#[expect(clippy::result_large_err, reason = "a misfit is rare, and is told at once")]
pub(super) fn applied(kind: &LayerKind, x: &Type) -> Result<Type, Misfit<Axis>> {
    let LayerKind::Unit { sizes, acts, .. } = kind else { return Ok(x.clone()) };
    if *acts == Acts::OnChannels {
        return match x.axes.get(1) {
            None => Err(Misfit::Rank { operand: 0, expected: 2, found: x.rank() }),
            Some(axis) if axis.size == sizes[0] => Ok(x.clone()),
            Some(axis) => {
                let (expected, found) = (Axis::from(sizes[0].clone()), axis.clone());
                Err(Misfit::Size { operand: 0, axis: 1, expected, found })
            }
        };
    }
    if let Acts::OnImages(kernel) = acts {
        return kernel.applied(sizes, x);
    }
    if *acts == Acts::ByIndex {
        return Ok(Type::real(x.axes.iter().cloned().chain(sizes.get(1).cloned().map(Axis::from)).collect()));
    }
    // The label of the last axis is no part of what the layer takes, and stays where its size stays.
    let unlabelled = Axis::from(sizes[0].clone());
    let taken = x.axes.last().filter(|last| last.size == sizes[0]).unwrap_or(&unlabelled);
    let given = sizes.get(1).map(|outputs| Axis::from(outputs.clone()));
    ansatz_shapes::linear(&x.axes, taken, given.as_ref().unwrap_or(taken)).map(Type::real)
}

/// The multiply-adds of a layer applied to a tensor of this type.
fn work(x: &Type, kind: &LayerKind) -> Term {
    let LayerKind::Unit { work, acts, .. } = kind else { return Term::literal(0) };
    if let (Acts::OnImages(Kernel { behind: None, .. }), Ok(y)) = (acts, applied(kind, x)) {
        return y.axes.iter().fold(work.clone(), |work, axis| work.times(&axis.size));
    }
    x.axes.iter().fold(work.clone(), |work, axis| work.times(&axis.size))
}

/// `linear(256)` of `fc1: linear(256)`.
pub(super) fn unlabelled(text: &str) -> &str {
    text.split_once(": ").map_or(text, |(_, rest)| rest)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
