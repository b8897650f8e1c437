//! Bijections: maps with an inverse and the logarithm of their determinant.

use super::arguments::{Gift, Given};
use super::block::{Inference, Standing};
use super::typed::{Acts, Argument, Call, LayerKind, Operation, Start, Step};
use super::types::{Axis, Type};
use super::value::{Callable, LayerValue, Tensor, Value};
use crate::ast::Role;
use crate::functions::runtime::{self, AFFINE, BROADCAST, PERMUTE, SPLINE};
use crate::functions::{Function, Rule};
use crate::report::{Checked, Place};
use crate::terms::Term;
use ansatz_shapes::Size as _;
use proc_macro2::Ident;

/// What a bijection gives, and the logarithm of its determinant unless that is 0.
type Mapped = (Tensor, Option<Tensor>);

/// Elementwise functions with an inverse.
const ELEMENTWISE: [&str; 6] = ["sigmoid", "logit", "tanh", "exp", "ln", "leaky_relu"];

/// The numbers of a point that is gone through one by one.
const MOST_LISTED: usize = 1 << 16;

/// The bins of a spline that has parameters of its own.
const BINS: usize = 8;

impl<'a> Inference<'a, '_, '_> {
    /// A bijection, or its inverse, applied to points along the last axis.
    pub(super) fn bijection(
        &mut self,
        layer: &LayerValue<'a>,
        x: &Tensor,
        inverse: bool,
        at: Place,
    ) -> Checked<Mapped> {
        match &layer.kind {
            Callable::Conditioned(chosen, _) | Callable::Net(chosen)
                if self.nets.names.nets[chosen.net].role == Role::Flow =>
            {
                let mut tensors = vec![(x.clone(), at)];
                if let Callable::Conditioned(_, conditions) = &layer.kind {
                    tensors.extend(conditions.iter().cloned());
                }
                let value = self.net(chosen, layer, tensors, inverse, at)?;
                let Value::Tuple(results) = value else { return self.unexplained(at) };
                match results.as_slice() {
                    [(_, Value::Tensor(y)), (_, Value::Tensor(log_det))] => Ok((y.clone(), Some(log_det.clone()))),
                    _ => self.unexplained(at),
                }
            }
            Callable::Function(function, given) => match function.rule {
                Rule::Bijection => self.parametric(function, layer, x, given, inverse, at),
                Rule::Permutation => self.permutation(function, x, given, inverse, at).map(|y| (y, None)),
                Rule::Spline | Rule::Affine => self.own_transform(function, layer, x, given, inverse, at),
                Rule::Map => self.elementwise(function, layer, x, given, inverse, at),
                _ => self.no_bijection(layer, x, at),
            },
            _ => self.no_bijection(layer, x, at),
        }
    }

    fn no_bijection<T>(&mut self, layer: &LayerValue<'a>, x: &Tensor, at: Place) -> Checked<T> {
        let shown = &layer.text;
        let (name, rule) = match &layer.kind {
            Callable::Function(function, _) => (function.name, Some(function.rule)),
            _ => ("", None),
        };
        let width = match &layer.kind {
            Callable::Function(_, given) => given.get("width"),
            _ => None,
        };
        let notes = self.notes(x, &[]);
        if let (Some(Gift::Width(width, _)), Some(last)) = (width, x.ty.axes.last())
            && *width != last.size
        {
            let message =
                format!("a flow keeps the dimension of its points, and `{shown}` makes {width} of {}", last.size);
            return self
                .fault(at, message)
                .notes(notes)
                .help("what has no inverse can calculate the parameters of a `coupling`")
                .fail();
        }
        let resizes = matches!(
            rule,
            Some(
                Rule::Slice
                    | Rule::Pad
                    | Rule::Concat
                    | Rule::Split
                    | Rule::Stack
                    | Rule::Flatten
                    | Rule::Reshape
                    | Rule::Reduce
            )
        );
        let help = match name {
            "linear" => "`invertible_linear` is the linear map that has an inverse".to_owned(),
            "relu" | "gelu" | "silu" | "elu" => "`leaky_relu` has an inverse".to_owned(),
            "batch_norm" | "layer_norm" | "rms_norm" => "`actnorm` is the normalisation that has an inverse".to_owned(),
            _ if resizes => "a flow keeps the dimension of its points".to_owned(),
            _ if matches!(layer.kind, Callable::Net(_)) => {
                format!("declare it as a `flow`, or let it calculate the parameters: `coupling({shown})`")
            }
            _ => "there are coupling, autoregressive, actnorm, invertible_linear, affine, spline, reverse, shuffle, \
                  elementwise functions such as leaky_relu, and flows"
                .to_owned(),
        };
        self.fault(at, format!("`{shown}` is no bijection, and the body of a flow is made of them"))
            .notes(notes)
            .help(help)
            .fail()
    }

    /// `coupling`, `autoregressive`, `actnorm`, `invertible_linear`
    fn parametric(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        inverse: bool,
        at: Place,
    ) -> Checked<Mapped> {
        let (last, size) = self.points(function.name, x, at)?;
        let (y, slope) = match function.name {
            "coupling" | "autoregressive" => {
                if function.name == "autoregressive" {
                    self.listed(function.name, size, at)?;
                }
                if size < 2 {
                    return self
                        .fault(at, format!("`{}` needs points of 2 numbers or more, not {}", function.name, x.ty))
                        .help("`affine` and `spline` act on each number by itself")
                        .fail();
                }
                let scope = self.part_scope(layer, function.name)?;
                self.inside(self.here.under(scope), |inference| match function.name {
                    "coupling" => inference.coupling(layer, x, size, given, inverse, at),
                    _ => inference.autoregressive(layer, x, size, given, inverse, at),
                })?
            }
            name => {
                let (of, rows, work) = match name {
                    "actnorm" => ("ActNorm", 2, Term::literal(0)),
                    _ => ("InvertibleLinear", size, last.clone()),
                };
                let parameters = self.numbers(name, &[rows, size], 0, at)?;
                let kind = LayerKind::Unit { name: of, sizes: vec![last], acts: Acts::OnLast, parameters, work };
                let position = self.unit_position(function.name, layer, kind, x, at)?;
                let method = if inverse { "record_inverse" } else { "record" };
                let (inputs, settings) = (vec![x.id], vec![]);
                self.two(Operation::Layer { layer: position, method, inputs, settings }, x, at)
            }
        };
        Ok((y, Some(self.over_points(&slope, at)?)))
    }

    /// The size of the last axis, which must be known.
    fn points(&mut self, callee: &str, x: &Tensor, at: Place) -> Checked<(Term, usize)> {
        let last = self.last_axis(callee, x, at)?;
        self.fixed(callee, &last, at, "take points of")?;
        let size = self.known(last.number(), at)?;
        Ok((last, size))
    }

    /// Checks that the numbers of a point can be gone through one by one.
    fn listed(&mut self, callee: &str, size: usize, at: Place) -> Checked<()> {
        if size <= MOST_LISTED {
            return Ok(());
        }
        let message = format!("`{callee}` goes through the numbers of a point one by one, and {size} are too many");
        self.fault(at, message).help(format!("{MOST_LISTED} are the most")).fail()
    }

    /// A step with two results of the type of `x`.
    pub(super) fn two(&mut self, operation: impl Into<Operation>, x: &Tensor, at: Place) -> (Tensor, Tensor) {
        let [first, second] = [(); 2].map(|()| self.body.value(Type::real(x.ty.axes.clone())));
        self.body.steps.push(Step { results: vec![first.id, second.id], operation: operation.into(), span: at });
        (first, second)
    }

    /// `reverse`, `shuffle(seed = 0)`
    pub(super) fn permutation(
        &mut self,
        function: &'static Function,
        x: &Tensor,
        given: &Given<'a>,
        inverse: bool,
        at: Place,
    ) -> Checked<Tensor> {
        let (_, size) = self.points(function.name, x, at)?;
        self.listed(function.name, size, at)?;
        let seed = match given.get("seed") {
            Some(Gift::Count(seed)) => *seed as u64,
            _ => 0,
        };
        let order: Vec<usize> = match function.name {
            "reverse" => (0..size).rev().collect(),
            _ => shuffled(size, seed),
        };
        let mut back = vec![0; size];
        order.iter().enumerate().for_each(|(i, &from)| back[from] = i);
        let order = if inverse { back } else { order };
        self.tensor(Call::new(&PERMUTE, [x]).with("order", Argument::Counts(order)), x.ty.clone(), at)
    }

    /// `affine`, `spline` with parameters of their own, which are the same for all points.
    fn own_transform(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        inverse: bool,
        at: Place,
    ) -> Checked<Mapped> {
        let (_, size) = self.points(function.name, x, at)?;
        let (each, bound) = match function.rule {
            Rule::Affine => (2, None),
            _ => (3 * BINS - 1, Some(self.known(function.number("bound", given), at)?)),
        };
        self.positive_bound(bound.unwrap_or(1.0), at)?;
        let sizes = vec![Term::literal(self.numbers(function.name, &[size, each], 0, at)?)];
        let position = match self.parts.at(layer.site) {
            Some(position) => position,
            None => {
                let label = self.label(layer, function.name, true)?;
                let start = Start::known("Constant", vec![0.0]);
                let kind = LayerKind::Tensor { sizes: sizes.clone(), state: false, start };
                let signature = (x.ty.to_string(), x.ty.to_string());
                let part = self.part(label, layer, kind, signature, Term::literal(0));
                self.parts.add(part, layer.site)
            }
        };
        self.used_alike(position, at)?;
        let own = Type::real(sizes.into_iter().map(Axis::from).collect());
        let parameters = self.tensor(Operation::Own { layer: position }, own.clone(), at)?;
        let leading = &x.ty.axes[..x.ty.rank() - 1];
        let ty = Type::real(leading.iter().cloned().chain(own.axes).collect());
        let axes: Vec<usize> = (0..leading.len()).collect();
        let parameters = match axes.is_empty() {
            true => parameters,
            false => self.tensor(Call::new(&BROADCAST, [&parameters]).over(axes), ty, at)?,
        };
        let inverse = inverse != super::arguments::flag("inverse", given, false);
        let (y, slope) = self.two(mapping(x, &parameters, bound, inverse), x, at);
        Ok((y, Some(self.over_points(&slope, at)?)))
    }

    fn elementwise(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        inverse: bool,
        at: Place,
    ) -> Checked<Mapped> {
        if !ELEMENTWISE.contains(&function.name) {
            return self.no_bijection(layer, x, at);
        }
        let number = function.number("slope", given);
        if number.is_some_and(|slope| slope <= 0.0) {
            return self.fail(at, "`leaky_relu` has an inverse where its slope is positive");
        }
        let call = Call::new(&runtime::ELEMENTWISE, [x]).with("function", Argument::Word(function.name, number));
        let (y, slope) = self.two(call.with("inverse", Argument::Flag(inverse)), x, at);
        Ok((y, Some(self.over_points(&slope, at)?)))
    }

    /// Opens the scope of a layer that is made of layers.
    fn part_scope(&mut self, layer: &LayerValue<'a>, kind: &'static str) -> Checked<usize> {
        let name = match &layer.label {
            _ if self.parts.at(layer.site).is_some() => Ident::new("_", layer.span.first),
            Some(label) => label.name.clone(),
            None => self.parts.numbered(layer.scope, kind, layer.span.first),
        };
        let here = Standing { scope: layer.scope, ..self.here };
        self.inside(here, |inference| inference.open(&name, layer.site, &layer.text, None))
    }
}

/// The map of each number of `x` by parameters: affinely, or by a spline that ends at a bound.
pub(super) fn mapping(x: &Tensor, parameters: &Tensor, bound: Option<f64>, inverse: bool) -> Call {
    let tensors = [x, parameters];
    let call = match bound {
        Some(bound) => Call::new(&SPLINE, tensors).with("bound", Argument::Number(bound)),
        None => Call::new(&AFFINE, tensors),
    };
    call.with("inverse", Argument::Flag(inverse))
}

/// A permutation that depends on a seed alone (Fisher, Yates; the numbers are SplitMix64's).
fn shuffled(size: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..size).collect();
    let mut state = seed;
    for i in (1..size).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(i, ((z ^ (z >> 31)) % (i as u64 + 1)) as usize);
    }
    order
}
