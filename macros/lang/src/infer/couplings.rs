//! Maps of numbers whose parameters other numbers of the point decide: `coupling`, `autoregressive`.

use super::arguments::{Gift, Given};
use super::bijections::mapping;
use super::block::Inference;
use super::typed::{Acts, Argument, Degrees, LayerKind};
use super::types::Axis;
use super::value::{Callable, Closure, LayerValue, Site, Tensor, Value};
use crate::functions;
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// The first half says how the second is mapped.
    pub(super) fn coupling(
        &mut self,
        layer: &LayerValue<'a>,
        x: &Tensor,
        size: usize,
        given: &Given<'a>,
        inverse: bool,
        at: Place,
    ) -> Checked<(Tensor, Tensor)> {
        let (axis, half) = (x.ty.rank() - 1, size / 2);
        let kept = self.piece(x, axis, Term::literal(0), Term::literal(half), at)?;
        let moved = self.piece(x, axis, Term::literal(half), Term::literal(size - half), at)?;
        let (each, bound) = self.transformer(given, at)?;
        let parameters = self.conditioner(layer, &kept, &moved, each, given, at)?;
        let (moved, slope) = self.two(mapping(&moved, &parameters, bound, inverse), &moved, at);
        let y = self.joined(&[kept, moved], axis, x.ty.clone(), at)?;
        Ok((y, slope))
    }

    /// How many parameters the map of a number has, and for a spline, where it ends.
    fn transformer(&mut self, given: &Given<'a>, at: Place) -> Checked<(usize, Option<f64>)> {
        let bound = match given.get("bound") {
            Some(Gift::Number(bound)) => *bound,
            _ => 3.0,
        };
        self.positive_bound(bound, at)?;
        match given.get("bins") {
            None => Ok((2, None)),
            Some(Gift::Count(bins)) if *bins > 1 => Ok((self.numbers("spline", &[3, *bins], 0, at)? - 1, Some(bound))),
            _ => self.fail(at, "a spline has 2 bins or more"),
        }
    }

    /// The parameters of the second half.
    fn conditioner(
        &mut self,
        layer: &LayerValue<'a>,
        kept: &Tensor,
        moved: &Tensor,
        each: usize,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let mut wanted = moved.ty.clone();
        let last = self.known(wanted.axes.last().and_then(|last| last.size.number()), at)?;
        let count = self.numbers("coupling", &[last, each], 0, at)?;
        let last = wanted.axes.len() - 1;
        wanted.axes[last] = Axis::from(Term::literal(count));
        let Some(Gift::Layer(net, place)) = given.get("conditioner") else {
            let hidden = self.hidden("coupling", given, at)?;
            let mut h = kept.clone();
            for (i, width) in hidden.iter().chain([&count]).enumerate() {
                if i > 0 {
                    h = self.activated(given, &h, at)?;
                }
                h = self.dense(layer, i, &h, *width, at)?;
            }
            return Ok(h);
        };
        if given.contains_key("hidden") {
            return self.fail(at, "`coupling` has a conditioner or `hidden`, not both");
        }
        let net = inside(net, self.here.scope);
        match self.apply(&net, vec![(Value::Tensor(kept.clone()), *place)], *place)? {
            Value::Tensor(parameters) => {
                let mut sizes = parameters.ty.axes.iter().zip(&wanted.axes);
                let fits = parameters.ty.rank() == wanted.rank()
                    && sizes.clone().take(last).all(|(a, b)| a == b)
                    && sizes.next_back().is_some_and(|(a, b)| a.size.number() == b.size.number());
                if fits && parameters.ty.element == wanted.element {
                    return Ok(parameters);
                }
                let notes = self.notes(&parameters, &[]);
                let message = format!("the conditioner gives {}, and `coupling` needs {wanted}", parameters.ty);
                self.fault(*place, message)
                    .notes(notes)
                    .help(format!("{each} parameters for each number of the second half, {}", moved.ty))
                    .fail()
            }
            other => self.fail(*place, format!("the conditioner of `coupling` gives {}, not a tensor", other.what())),
        }
    }

    /// The widths of the hidden layers.
    fn hidden(&mut self, callee: &str, given: &Given<'a>, at: Place) -> Checked<Vec<usize>> {
        match given.get("hidden") {
            Some(Gift::Counts(widths)) if !widths.is_empty() && widths.iter().all(|width| *width > 0) => {
                Ok(widths.clone())
            }
            Some(_) => self.fail(at, format!("`hidden` of `{callee}` lists the widths of hidden layers, at least 1")),
            None => {
                let (or, example) = match callee {
                    "coupling" => (" or a conditioner", "coupling(hidden = (64, 64))"),
                    _ => ("", "autoregressive(hidden = (64, 64))"),
                };
                self.fault(at, format!("`{callee}` needs `hidden`{or}")).help(format!("write `{example}`")).fail()
            }
        }
    }

    fn activated(&mut self, given: &Given<'a>, h: &Tensor, at: Place) -> Checked<Tensor> {
        let Some(Gift::Layer(act, place)) = given.get("act") else {
            return self.map(functions::runtime("relu"), &[h], vec![], h.ty.clone(), at);
        };
        match self.apply(act, vec![(Value::Tensor(h.clone()), *place)], *place)? {
            Value::Tensor(y) if y.ty == h.ty => Ok(y),
            _ => self.fail(*place, "an activation keeps the shape of what it takes"),
        }
    }

    /// A part of a bijection: the i-th layer that it makes by itself.
    fn inner_linear(&mut self, layer: &LayerValue<'a>, i: usize, width: usize, given: Given<'a>) -> LayerValue<'a> {
        let linear = functions::find("linear").expect("the table has it");
        LayerValue {
            kind: Callable::Function(linear, Rc::new(given)),
            site: Site { frame: self.parts.frame_of(layer.site, i + 1), ..layer.site },
            label: None,
            scope: self.here.scope,
            text: format!("linear({width})"),
            span: layer.span,
        }
    }

    fn dense(&mut self, layer: &LayerValue<'a>, i: usize, x: &Tensor, width: usize, at: Place) -> Checked<Tensor> {
        let given = Given::from([("width", Gift::Width(Term::literal(width), at))]);
        let piece = self.inner_linear(layer, i, width, given.clone());
        self.linear(&piece, x, &given, at)
    }

    /// Each number is mapped as those before it say; the inverse finds one more with every pass.
    pub(super) fn autoregressive(
        &mut self,
        layer: &LayerValue<'a>,
        x: &Tensor,
        size: usize,
        given: &Given<'a>,
        inverse: bool,
        at: Place,
    ) -> Checked<(Tensor, Tensor)> {
        let (each, bound) = self.transformer(given, at)?;
        let widths = self.hidden("autoregressive", given, at)?;
        let count = self.numbers("autoregressive", &[size, each], 0, at)?;
        let mut known = match inverse {
            true => self.constant(x, Argument::Number(0.0), at)?,
            false => x.clone(),
        };
        let mut mapped = None;
        for _ in 0..if inverse { size } else { 1 } {
            let (mut h, mut taken) = (known.clone(), Degrees::Elements);
            for (i, width) in widths.iter().chain([&count]).enumerate() {
                let hidden = i < widths.len();
                if i > 0 {
                    h = self.activated(given, &h, at)?;
                }
                let gives = if hidden { Degrees::Hidden(size - 1) } else { Degrees::Results(each) };
                h = self.masked(layer, i, &h, *width, [taken, gives], at)?;
                taken = gives;
            }
            let (y, slope) = self.two(mapping(x, &h, bound, inverse), x, at);
            known = y.clone();
            mapped = Some((y, slope));
        }
        self.known(mapped, at)
    }

    fn masked(
        &mut self,
        layer: &LayerValue<'a>,
        i: usize,
        x: &Tensor,
        width: usize,
        degrees: [Degrees; 2],
        at: Place,
    ) -> Checked<Tensor> {
        let settings = degrees.map(Argument::Degrees).to_vec();
        let piece = self.inner_linear(layer, i, width, Given::new());
        if let Some(position) = self.parts.at(piece.site) {
            return self.unit_again(position, x, settings, at);
        }
        let inputs = self.last_axis("autoregressive", x, at)?;
        let outputs = Term::literal(width);
        let kind = LayerKind::Unit {
            name: "MaskedLinear",
            parameters: {
                let taken = self.known(inputs.number(), at)?;
                self.numbers("autoregressive", &[width, taken], width, at)?
            },
            sizes: vec![inputs, outputs.clone()],
            acts: Acts::OnLast,
            work: outputs,
        };
        self.unit("linear", &piece, kind, x, settings, at)
    }
}

/// The layer with what it makes in a scope, unless it has a name of its own.
fn inside<'a>(layer: &Rc<LayerValue<'a>>, scope: Option<usize>) -> Rc<LayerValue<'a>> {
    if layer.label.is_some() {
        return layer.clone();
    }
    let kind = match &layer.kind {
        Callable::Closure(closure) => Callable::Closure(Rc::new(Closure {
            parameters: closure.parameters,
            body: closure.body,
            environment: closure.environment.clone(),
            scope,
            frame: closure.frame,
        })),
        Callable::Chain(layers) => Callable::Chain(layers.iter().map(|layer| inside(layer, scope)).collect()),
        other => other.clone(),
    };
    let LayerValue { site, text, span, .. } = &**layer;
    Rc::new(LayerValue { kind, site: *site, label: None, scope, text: text.clone(), span: *span })
}
