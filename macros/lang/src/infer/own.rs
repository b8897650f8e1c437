//! Tensors that a net declares by hand, `param` and `state`, and parts that are not trained, `freeze`.

use super::arguments::{Gift, Given};
use super::block::{Inference, Standing};
use super::start::Started;
use super::text::text;
use super::typed::{Layer, LayerKind, Operation, Step};
use super::types::{Axis, Type};
use super::value::{Callable, Environment, Label, Tensor, Value};
use crate::ast::{Expr, Own, Size, Update};
use crate::functions::Function;
use crate::report::{Checked, Place, did_you_mean};
use crate::terms::{Meaning, Term};
use std::rc::Rc;

impl<'a> Inference<'a, '_, '_> {
    /// `param w: [d, k] = normal(0.02);` as the value of its name. A place that is used again is the same tensor.
    pub(super) fn own(&mut self, own: &'a Own, environment: &Environment<'a>) -> Checked<Value<'a>> {
        let site = self.site(&own.start);
        let position = match self.parts.at(site) {
            Some(position) => position,
            None => {
                let part = self.own_part(own, environment)?;
                self.parts.add(part, site)
            }
        };
        let at = own.name.span().into();
        self.used_alike(position, at)?;
        let LayerKind::Tensor { sizes, .. } = &self.parts.layers[position].kind else { return self.unexplained(at) };
        let axes = sizes.iter().cloned().zip(&own.ty.axes);
        let axes = axes.map(|(size, axis)| Axis { label: None, origin: super::signature::origin(&axis.size), size });
        let ty = Type::real(axes.collect());
        let tensor = self.tensor(Operation::Own { layer: position }, ty, at)?;
        if own.state {
            self.parts.owned.push((tensor.id, position));
        }
        Ok(Value::Tensor(tensor))
    }

    fn own_part(&mut self, own: &'a Own, environment: &Environment<'a>) -> Checked<Layer> {
        let Own { state, name, ty, start } = own;
        let called = format!("`{name}`");
        let sizes = self.own_sizes(own, environment);
        let start = self.start(start, Started { name: &called, rank: ty.axes.len() }, environment);
        let (sizes, start) = (sizes?, start?);
        self.claim(name, self.here.scope, "give one of them another name")?;
        let shape = Type::real(sizes.iter().cloned().map(Axis::from).collect());
        let word = if *state { "state" } else { "param" };
        let kind = LayerKind::Tensor { sizes, state: *state, start };
        Ok(Layer {
            text: format!("{word} = {}", text(&own.start)),
            signature: (String::new(), shape.to_string()),
            frozen: self.here.frozen,
            ..Layer::new(name.clone(), self.here.scope, kind)
        })
    }

    /// The sizes of the axes, which must be known at compile time.
    fn own_sizes(&mut self, own: &'a Own, environment: &Environment<'a>) -> Checked<Vec<Term>> {
        let name = &own.name;
        if own.ty.space.is_some() {
            let what = if own.state { "a state" } else { "a parameter" };
            return self.fail(own.ty.span, format!("{what} holds real numbers, and `{name}` would hold indices"));
        }
        let mut dims = self.facts.dims.clone();
        for binding in environment.iter() {
            if let Some(term) = self.dimension(&binding.value) {
                // The innermost comes first, and a name that is known already stays.
                let _ = dims.declare(binding.name.to_string(), Meaning::Alias(term));
            }
        }
        let mut sizes = vec![];
        for axis in &own.ty.axes {
            if let Size::Infer(span) = axis.size {
                return self
                    .fault(span, format!("the shape of `{name}` cannot be inferred"))
                    .help("say which dimension this is")
                    .fail();
            }
            crate::resolve::names_in(&axis.size).into_iter().for_each(|name| drop(environment.find(name)));
            let size = crate::resolve::size(&axis.size, &dims, &self.facts.broken, self.nets.report)?;
            let what = if own.state { "be a state with an axis of" } else { "be a parameter with an axis of" };
            self.fixed(&name.to_string(), &size, name.span().into(), what)?;
            sizes.push(size);
        }
        let numbers: Vec<usize> = sizes.iter().filter_map(Term::number).collect();
        self.numbers(&name.to_string(), &numbers, 0, name.span().into())?;
        Ok(sizes)
    }

    /// `update running = …;`
    pub(super) fn update(&mut self, update: &'a Update, environment: &Environment<'a>) -> Checked<()> {
        let name = &update.name;
        let value = self.value(&update.value, environment);
        let binding = environment.iter().find(|binding| binding.name == *name).cloned();
        let state = match binding.as_ref().map(|binding| &binding.value) {
            Some(Value::Tensor(tensor)) => self.parts.state_of(tensor),
            Some(Value::Error(lost)) => return Err(*lost),
            _ => None,
        };
        let Some(layer) = state else {
            let states: Vec<String> = self.parts.states().map(|(_, label)| label.to_string()).collect();
            let guess = did_you_mean(&name.to_string(), &states);
            let message = match &binding {
                Some(_) => format!("`{name}` is no state, and only a state is updated"),
                None => format!("there is no state `{name}` here"),
            };
            return self
                .fault(name.span(), message)
                .help(match guess.filter(|_| binding.is_none()) {
                    Some(guess) => format!("did you mean `{guess}`?"),
                    None => format!("declare it: `state {name}: [d] = zeros;`"),
                })
                .fail();
        };
        if self.here.within_ode {
            return self
                .fault(name.span(), format!("`{name}` is updated inside of a differential equation"))
                .help("its field is evaluated many times in a step; update the state outside")
                .fail();
        }
        if self.parts.updated.contains(&layer) {
            return self
                .fault(name.span(), format!("`{name}` is updated twice"))
                .help("a state has one new value after each step of training: put it in one `update`")
                .fail();
        }
        self.parts.updated.push(layer);
        let tensor = match value? {
            Value::Tensor(tensor) => tensor,
            Value::Error(lost) => return Err(lost),
            other => {
                let message = format!("the new value of `{name}` is a tensor, not {}", other.what());
                return self.fail(update.value.span, message);
            }
        };
        let LayerKind::Tensor { sizes, .. } = &self.parts.layers[layer].kind else {
            return self.unexplained(name.span());
        };
        let wanted = Type::real(sizes.iter().cloned().map(Axis::from).collect());
        if tensor.ty != wanted {
            let notes = self.notes(&tensor, &[]);
            let more = tensor.ty.rank() > wanted.rank();
            let error = self
                .fault(update.value.span, format!("`{name}` is {wanted}, but its update gives {}", tensor.ty))
                .notes(notes);
            if more {
                error.help("`mean(…, over = …)` leaves the axes of the samples out");
            }
            return error.fail();
        }
        self.body.steps.push(Step {
            results: vec![],
            operation: Operation::Update { layer, value: tensor.id },
            span: name.span().into(),
        });
        Ok(())
    }

    /// States that nothing updates.
    pub(super) fn idle_states(&mut self) {
        let idle = self.parts.states().filter(|(i, _)| !self.parts.updated.contains(i));
        let idle: Vec<_> = idle.map(|(_, label)| label.clone()).collect();
        for name in idle {
            self.fault(name.span(), format!("the state `{name}` is never updated"))
                .help(format!("write `update {name} = …;`; what training finds by itself is a `param`"));
        }
    }

    /// `freeze(layer)`, whose label is that of the layer, as a layer or applied to what a pipeline brings.
    pub(super) fn freezing(
        &mut self,
        function: &'static Function,
        inner: &'a Expr,
        expr: &'a Expr,
        label: Option<Label>,
        piped: Option<Value<'a>>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        let layer = match self.labelled(inner, label, environment)? {
            Value::Layer(layer) => layer,
            other => return self.no_layer(inner, &other),
        };
        let given = Given::from([("layer", Gift::Layer(layer, inner.span))]);
        let Value::Layer(frozen) = self.layer(Callable::Function(function, Rc::new(given)), expr, None) else {
            return self.unexplained(expr.span);
        };
        match piped {
            Some(piped) => self.apply(&frozen, vec![(piped, expr.span)], expr.span),
            None => Ok(Value::Layer(frozen)),
        }
    }

    /// A frozen layer applied: what it makes keeps its values.
    pub(super) fn freeze(&mut self, tensors: Vec<(Tensor, Place)>, given: &Given<'a>, at: Place) -> Checked<Value<'a>> {
        let Some(Gift::Layer(layer, _)) = given.get("layer") else { return self.unexplained(at) };
        let values = tensors.into_iter().map(|(tensor, at)| (Value::Tensor(tensor), at)).collect();
        self.inside(Standing { frozen: true, ..self.here }, |inference| inference.apply(layer, values, at))
    }

    /// All uses of a part are frozen, or none.
    pub(super) fn used_alike(&mut self, position: usize, at: Place) -> Checked<()> {
        let layer = &self.parts.layers[position];
        if layer.frozen == self.here.frozen {
            return Ok(());
        }
        let shown = layer.shown.clone();
        self.fault(at, format!("`{shown}` is frozen in one use and trained in another"))
            .help("all uses of a part share its parameters: freeze all of them, or none")
            .fail()
    }
}
