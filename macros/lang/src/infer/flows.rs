//! Flows: bodies of bijections, which run both ways, and what nets ask of them.

use super::block::{Inference, staged};
use super::typed::{Argument, Body, Call, Inverse, ValueId};
use super::types::{Axis, Type};
use super::value::{Callable, Environment, LayerValue, Site, Tensor, Value};
use crate::ast::{Block, ExprKind, Role};
use crate::functions::runtime;
use crate::functions::runtime::operator;
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// The body of a flow: its results, and the inverse of its steps.
    pub(super) fn flow(&mut self, body: &'a Block, environment: &Environment<'a>) -> Checked<(Vec<ValueId>, Inverse)> {
        let point = self.item.inputs.first().map(|input| &input.name);
        let point = self.known(point, self.item.name.span())?;
        // The parts may see the other inputs, but not what flows through them.
        drop(environment.find(point));
        let environment = environment.without(point);
        let (first, stages) = match &body.result.kind {
            ExprKind::Pipeline(stages) => self.known(stages.split_first(), body.span)?,
            ExprKind::Error(lost) => return Err(*lost),
            _ => (&*body.result, &[][..]),
        };
        let inside = self.statements(body, &environment);
        if !matches!(&first.kind, ExprKind::Name(name) if name == point) {
            return self
                .fault(first.span, format!("the body of a flow begins with `{point}`"))
                .help(format!("write `{point} |> coupling(hidden = 64) |> …`"))
                .fail();
        }
        let stages: Vec<_> = stages.iter().map(|stage| (stage, self.value(stage, &inside))).collect();
        let mut chain = vec![];
        for (stage, value) in stages {
            match value? {
                Value::Layer(layer) => self.bijections(&layer, &mut chain)?,
                other => return self.no_layer(stage, &other),
            }
        }
        let ty = self.signature.inputs[0].as_ref().map_err(|lost| *lost)?;
        let trail = Rc::new(vec![format!("{point} : {ty}")]);
        let x = Tensor { id: 0, ty: ty.clone(), trail };
        let at = point.span().into();
        self.reals(&self.item.name.to_string(), &x, at)?;
        if x.ty.rank() == 0 {
            return self.fail(at, "a flow takes points along the last axis, but is given a scalar []");
        }
        // What the statements make is made in both directions.
        let shared = self.body.steps.clone();
        let results = self.through(&chain, &x, false)?;
        let forward = std::mem::replace(&mut self.body.steps, shared);
        let work = self.parts.works();
        chain.reverse();
        let back = self.through(&chain, &x, true)?;
        let steps = std::mem::replace(&mut self.body.steps, forward);
        let mut total = Term::literal(0);
        for (layer, before) in self.parts.layers.iter_mut().zip(work) {
            total = total.plus(&layer.multiply_adds.minus(&before));
            layer.multiply_adds = before;
        }
        Ok((results, Inverse { body: Body { steps, results: back }, multiply_adds: total }))
    }

    /// The bijections of a chain of chains, in order.
    fn bijections(&mut self, layer: &Rc<LayerValue<'a>>, chain: &mut Vec<Rc<LayerValue<'a>>>) -> Checked<()> {
        match &layer.kind {
            Callable::Chain(layers) => layers.iter().try_for_each(|layer| self.bijections(layer, chain)),
            Callable::Repeat(repeated) => {
                let layers = self.repeated_layers(repeated)?;
                layers.iter().try_for_each(|layer| self.bijections(layer, chain))
            }
            Callable::Bound(inner) => self.bijections(inner, chain),
            _ => {
                chain.push(layer.clone());
                Ok(())
            }
        }
    }

    /// One bijection after the other, and the logarithm of the determinant of all.
    fn through(&mut self, chain: &[Rc<LayerValue<'a>>], x: &Tensor, inverse: bool) -> Checked<Vec<ValueId>> {
        let (mut x, mut total) = (x.clone(), None);
        for layer in chain {
            let at = layer.span;
            let (y, slope) = self.bijection(layer, &x, inverse, at)?;
            x = staged(&x, &layer.shown(), y);
            total = match (total, slope) {
                (Some(total), Some(slope)) => Some(self.sum(&total, &slope, at)?),
                (total, slope) => total.or(slope),
            };
        }
        let total = match total {
            Some(total) => total,
            None => {
                let at = self.item.name.span().into();
                let zeros = self.constant(&x, Argument::Number(0.0), at)?;
                self.over_points(&zeros, at)?
            }
        };
        Ok(vec![x.id, total.id])
    }

    /// a + b
    pub(super) fn sum(&mut self, a: &Tensor, b: &Tensor, at: Place) -> Checked<Tensor> {
        self.map(operator("+"), &[a, b], vec![], a.ty.clone(), at)
    }

    /// The sum over the last axis.
    pub(super) fn over_points(&mut self, x: &Tensor, at: Place) -> Checked<Tensor> {
        self.reduced_points("sum", x, at)
    }

    fn reduced_points(&mut self, function: &'static str, x: &Tensor, at: Place) -> Checked<Tensor> {
        let last = x.ty.rank() - 1;
        let ty = Type::real(x.ty.axes[..last].to_vec());
        self.tensor(Call::new(runtime(function), [x]).over(vec![last]), ty, at)
    }

    /// `F.inverse(z)`, `F.log_prob(x)`, `F.sample([n, d])` of a flow; further tensors are its conditions.
    pub(super) fn of_flow(
        &mut self,
        of: &LayerValue<'a>,
        name: &str,
        values: Vec<(Value<'a>, Place)>,
        at: Place,
    ) -> Checked<Value<'a>> {
        let mut bound = of;
        while let Callable::Bound(inner) = &bound.kind {
            bound = inner;
        }
        let shown = self.parts.called(bound);
        let chosen = match &bound.kind {
            Callable::Net(chosen) if self.nets.names.nets[chosen.net].role == Role::Flow => chosen.clone(),
            _ => {
                return self
                    .fault(at, format!("`{shown}` has no `{name}`"))
                    .help("a flow has: `flow F(x: [n, d]) { … }`, and then `F.inverse`, `F.log_prob` and `F.sample`")
                    .fail();
            }
        };
        let mut values = values;
        let drawn = match (name, values.first()) {
            ("sample", Some((Value::List(sizes), place))) => {
                let z = self.noise(bound, sizes.clone(), *place)?;
                values[0] = (Value::Tensor(z), *place);
                true
            }
            ("sample", _) => {
                return self
                    .fault(at, format!("`{shown}.sample` takes the shape of what it draws"))
                    .help(format!("write `{shown}.sample([n, d])`"))
                    .fail();
            }
            _ => false,
        };
        let tensors = self.tensors(&format!("{shown}.{name}"), values)?;
        let inverse = drawn || name == "inverse";
        let Value::Tuple(results) = self.net(&chosen, bound, tensors, inverse, at)? else {
            return self.unexplained(at);
        };
        let [(_, Value::Tensor(point)), (_, Value::Tensor(log_det))] = results.as_slice() else {
            return self.unexplained(at);
        };
        if point.ty.rank() == 0 {
            // The flow itself says so.
            let lost = self.nets.failed_since(self.before);
            return lost.map_or_else(|| self.unexplained(at), Err);
        }
        match name {
            "sample" => Ok(Value::Tensor(point.clone())),
            "inverse" => Ok(Value::Tuple(results.iter().map(|(_, value)| (None, value.clone())).collect())),
            _ => {
                let density = self.reduced_points("normal_log_prob", point, at)?;
                self.sum(&density, log_det, at).map(Value::Tensor)
            }
        }
    }

    /// Standard normal draws of a shape.
    fn noise(&mut self, flow: &LayerValue<'a>, sizes: Vec<Value<'a>>, at: Place) -> Checked<Tensor> {
        let axes: Option<Vec<Axis>> = sizes.iter().map(|size| self.dimension(size).map(Axis::from)).collect();
        let Some(axes) = axes else {
            return self.fail(at, "a shape lists dimensions");
        };
        self.known_sizes(&axes, at)?;
        let site = Site { frame: self.parts.frame_of(flow.site, 0), ..flow.site };
        let layer = LayerValue {
            kind: flow.kind.clone(),
            site,
            label: None,
            scope: self.here.scope,
            text: flow.text.clone(),
            span: at,
        };
        let label = self.draws(&layer, "normal")?;
        self.tensor(Call::new(runtime("normal"), None).draws(label), Type::real(axes), at)
    }
}
