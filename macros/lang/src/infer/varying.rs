//! `varying`: a layer whose parameters change with time, made of equal layers.

use super::arguments::{Gift, Given};
use super::block::{Inference, Standing};
use super::typed::{Layer, LayerKind, Operation, Varying, key};
use super::types::Element;
use super::value::{Callable, LayerValue, Repeated, Tensor, Value};
use crate::report::{Checked, Place};
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// What the layer gives at a time: the steps are those of the first layer of the list.
    pub(super) fn varying(&mut self, x: &Tensor, s: &Tensor, given: &Given<'a>, at: Place) -> Checked<Tensor> {
        self.reals("varying", x, at)?;
        self.reals("varying", s, at)?;
        if s.ty.rank() > 0 {
            return self
                .about(s, at, format!("`varying` takes one time for all, [], but is given {}", s.ty))
                .help("the time of `ode` is one: `|x, s| varying(x, s, [Block; 4])`")
                .fail();
        }
        let Some(Gift::Layer(list, place)) = given.get("layers") else { return self.unexplained(at) };
        let repeated = self.equal_layers(list, *place)?;
        let scope = self.known(repeated.list.scope, at)?;
        let span = match given.get("span") {
            Some(Gift::Span(from, to)) => (*from, *to),
            _ => (0.0, 1.0),
        };
        let between = match given.get("between") {
            Some(Gift::Choice(between)) => between,
            _ => "linear",
        };
        let here = Standing { within_ode: true, ..self.here };
        let (y, body) = self.apart(here, |inference| inference.at_first(&repeated, [x, s], *place));
        let y = y?;
        self.only_parameters(scope, *place)?;
        let how = Varying { layers: repeated.times, between, span, body, result: y.id };
        self.tensor(Operation::Varying { time: s.id, list: scope, how: Box::new(how) }, y.ty, at)
    }

    /// The layers of `[Block; 4]`.
    fn equal_layers(&mut self, list: &LayerValue<'a>, place: Place) -> Checked<Rc<Repeated<'a>>> {
        match &list.kind {
            Callable::Bound(inner) => return self.equal_layers(inner, place),
            Callable::Repeat(repeated) if repeated.times < 2 => {
                return self
                    .fault(place, "a single layer does not vary")
                    .help("repeat it, `[Block; 4]`, or let it stand by itself")
                    .fail();
            }
            Callable::Repeat(repeated) => return Ok(repeated.clone()),
            _ => {}
        }
        let message = format!("`varying` goes between equal layers, and `{}` is something else", list.text);
        self.fault(place, message).help("repeat one layer: `varying(x, s, [Block; 4])`").fail()
    }

    /// The first layer applied: one layer is computed, whatever the number of those it is made of.
    fn at_first(&mut self, repeated: &Repeated<'a>, [x, s]: [&Tensor; 2], place: Place) -> Checked<Tensor> {
        let layer = self.one_for_all(repeated)?;
        let takes = self.field_takes(&layer);
        if !(1..=2).contains(&takes) {
            let message = format!("a layer of `varying` takes the value and the time; this one takes {takes}");
            return self.fault(place, message).help("write `[|x, s| …; 4]`, or `[|x| …; 4]`").fail();
        }
        let mut inputs = vec![(Value::Tensor(x.clone()), place), (Value::Tensor(s.clone()), place)];
        inputs.truncate(takes);
        match self.apply(&layer, inputs, place)? {
            Value::Tensor(y) if y.ty.element == Element::Real => Ok(y),
            other => {
                let what = other.what();
                self.fail(place, format!("a layer of `varying` gives {what}, and should give one tensor of reals"))
            }
        }
    }

    /// Checks that the layers of a list hold parameters alone, and at least one.
    fn only_parameters(&mut self, list: usize, place: Place) -> Checked<()> {
        let scopes = |layer: &Layer| std::iter::successors(layer.scope, |&scope| self.parts.layers[scope].scope);
        let own = self.parts.layers.iter().filter(|layer| scopes(layer).any(|scope| scope == list));
        let mut open: Vec<_> = own
            .map(|layer| {
                (
                    key(&self.parts.layers, layer.scope, &layer.label),
                    layer.kind.parameters(),
                    holds_state(layer),
                    net_of(layer),
                )
            })
            .collect();
        let mut parameters = 0;
        while !open.is_empty() {
            let (path, own, state, net) = open.remove(0);
            if state {
                return self
                    .fault(place, format!("`{path}` keeps more than parameters, and parameters alone vary"))
                    .help("let the layer do without; `layer_norm` and `group_norm` keep no statistics")
                    .fail();
            }
            parameters += own;
            let Some(net) = net.map(|net| self.nets.done(net)) else { continue };
            open.extend(net.layers.iter().map(|layer| {
                (format!("{path}.{}", net.key(layer)), layer.kind.parameters(), holds_state(layer), net_of(layer))
            }));
        }
        if parameters == 0 {
            return self
                .fault(place, "these layers have no parameters that could vary")
                .help("apply the layer by itself")
                .fail();
        }
        Ok(())
    }
}

/// The instance that a layer is, by its position.
fn net_of(layer: &Layer) -> Option<usize> {
    match layer.kind {
        LayerKind::Net(net) => Some(net),
        _ => None,
    }
}

/// Whether a layer has tensors that are no parameters.
fn holds_state(layer: &Layer) -> bool {
    match &layer.kind {
        LayerKind::Unit { name, .. } => ["BatchNorm", "ActNorm"].contains(name),
        LayerKind::Tensor { state, .. } => *state,
        LayerKind::Net(_) | LayerKind::Scope { .. } => false,
    }
}
