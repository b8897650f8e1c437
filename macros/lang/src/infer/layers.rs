//! Parts with a name: their labels, which uses share one part, and what draws at random.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::typed::{Call, Key, Layer, LayerKind, Operation};
use super::types::{Axis, Element, Type, shape};
use super::value::{Label, LayerValue, Site, Tensor, Value};
use crate::functions::Function;
use crate::report::{Checked, Place};
use crate::terms::Atom;
use proc_macro2::Ident;

impl<'a> Inference<'a, '_, '_> {
    pub(super) fn dropout(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        self.reals(function.name, x, at)?;
        if function.name == "dropout2d" && x.ty.rank() < 3 {
            return self
                .fault(at, format!("`dropout2d` takes channels on axis 1, [n, channels, …], but is given {}", x.ty))
                .help("`dropout` acts on single elements")
                .fail();
        }
        let label = self.draws(layer, function.name)?;
        let call = Call::new(&function.runtime, [x]).draws(label).with_all(function.values(given));
        self.tensor(call, x.ty.clone(), at)
    }

    /// A layer whose derivative computes it again. Its parts are those of the layer.
    pub(super) fn checkpoint(&mut self, x: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        self.reals("checkpoint", x, at)?;
        let Some(Gift::Layer(layer, place)) = given.get("layer") else { return self.unexplained(at) };
        let inputs = vec![(Value::Tensor(x.clone()), *place)];
        let (value, body) = self.apart(self.here, |inference| inference.apply(layer, inputs, *place));
        match value? {
            Value::Tensor(y) if y.ty.element == Element::Real => {
                let operation = Operation::Checkpoint { input: x.id, body, result: y.id };
                self.tensor(operation, y.ty, at)
            }
            other => {
                let what = other.what();
                self.fail(
                    *place,
                    format!("the layer of `checkpoint` gives {what}, and should give one tensor of reals"),
                )
            }
        }
    }

    pub(super) fn draw(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let Some(Gift::Shape(axes)) = given.get("shape") else { return self.unexplained(at) };
        let ty = Type::real(axes.clone());
        if let Some(p) = function.number("p", given).filter(|p| !(0.0..=1.0).contains(p)) {
            return self.fail(at, format!("the probability of `bernoulli` lies in [0, 1], {p} does not"));
        }
        self.known_sizes(axes, at)?;
        let label = self.draws(layer, function.name)?;
        self.tensor(Call::new(&function.runtime, None).draws(label).with_all(function.values(given)), ty, at)
    }

    /// Checks that a shape has no size that only other inputs would know.
    pub(super) fn known_sizes(&mut self, axes: &[Axis], at: Place) -> Checked<()> {
        if let Some(axis) = axes.iter().find(|axis| {
            let known = |name: &str| self.signature.run_time.iter().any(|n| n == name);
            axis.size.atoms().into_iter().any(|atom| matches!(atom, Atom::RunTime(name) if !known(name)))
        }) {
            return self.fail(at, format!("{} has a size that nothing here knows: {axis}", shape(axes)));
        }
        Ok(())
    }

    /// The label under which a place draws.
    pub(super) fn draws(&mut self, layer: &LayerValue<'a>, kind: &'static str) -> Checked<Key> {
        if let Some(label) = self.parts.drawn(layer.site) {
            return Ok(label);
        }
        let label = self.label(layer, kind, true)?;
        Ok(self.parts.draw(layer.site, layer.scope, label))
    }

    /// The name of a new part: its label, or else its kind, with a number where `numbered`.
    pub(super) fn label(&mut self, layer: &LayerValue<'a>, kind: &'static str, numbered: bool) -> Checked<Ident> {
        let (name, written) = match &layer.label {
            Some(Label { name, written }) => (name.clone(), *written),
            None if numbered => (self.parts.numbered(layer.scope, kind, layer.span.first), true),
            None => (Ident::new(kind, layer.span.first), true),
        };
        let help = match (&layer.label, written) {
            (Some(_), true) => "each part has a label of its own; bind a layer with `let` to use it twice",
            _ => "give this one a label: `name: …`",
        };
        self.claim(&name, layer.scope, help)?;
        Ok(name)
    }

    /// Opens a scope at a place; a second use of the place is the same scope. It reads `text` in the source, and holds
    /// one layer `times` over, if it does.
    pub(super) fn open(&mut self, name: &Ident, site: Site, text: &str, times: Option<usize>) -> Checked<usize> {
        if let Some(scope) = self.parts.at(site) {
            return Ok(scope);
        }
        self.claim(name, self.here.scope, "each scope has a label of its own")?;
        let layer = Layer::new(name.clone(), self.here.scope, LayerKind::Scope { times, folded: false });
        Ok(self.parts.add(Layer { text: text.to_owned(), ..layer }, site))
    }

    /// Takes a label, which must be free.
    pub(super) fn claim(&mut self, name: &Ident, scope: Option<usize>, help: &str) -> Checked<()> {
        self.parts.claim(name, scope).or_else(|path| {
            let of = &self.item.name;
            self.fault(name.span(), format!("two parts of `{of}` are called `{path}`")).help(help).fail()
        })
    }
}
