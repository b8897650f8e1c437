//! Parts with a name: `linear`, and what draws at random. Their labels, and which uses share one part.

use super::arguments::{Gift, Given, flag};
use super::block::Inference;
use super::typed::{Layer, LayerKind, Operation, key};
use super::types::{Axis, Type, shape};
use super::value::{Label, LayerValue, Site, Tensor};
use crate::functions::Function;
use crate::report::Place;
use crate::resolve::{Absorbed, Checked};
use crate::terms::{Atom, Term};
use ansatz_shapes::Size as _;
use proc_macro2::Ident;

/// What was made at a place.
#[derive(Clone, Debug)]
pub(super) enum Placed {
    /// A layer with parameters, by its position.
    Layer(usize),
    /// Random draws under this label. A further use draws anew under the same label.
    Draws(String),
}

impl<'a> Inference<'a, '_, '_> {
    pub(super) fn linear(
        &mut self,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let Some(Gift::Width(outputs, width)) = given.get("width") else { return Err(Absorbed) };
        let (outputs, width) = (outputs.clone(), *width);
        self.reals("linear", x, at)?;
        let Some(last) = x.ty.axes.last() else {
            self.fault(at, "`linear` acts on the last axis, but is given a scalar []");
            return Err(Absorbed);
        };
        if let Some(Placed::Layer(placed)) = self.placed.get(&layer.site) {
            let placed = *placed;
            return self.linear_again(placed, x, at);
        }
        self.fixed(&outputs, width, "produce")?;
        self.fixed(&last.size, at, "take")?;
        let bias = flag("bias", given, true);
        let axes = ansatz_shapes::linear(&x.ty.axes, last, &Axis::from(outputs.clone()));
        let ty = Type::real(axes.map_err(|_| Absorbed)?);
        let label = self.label(layer, "linear", true)?;
        let kind = LayerKind::Linear { inputs: last.size.clone(), outputs, bias };
        let multiply_adds = work(&x.ty, &kind);
        self.layers.push(Layer {
            label,
            scope: layer.scope,
            kind,
            text: unlabelled(&layer.text).to_owned(),
            shown: self.called(layer),
            signature: (x.ty.to_string(), ty.to_string()),
            multiply_adds,
        });
        let position = self.layers.len() - 1;
        self.placed.insert(layer.site, Placed::Layer(position));
        self.tensor(Operation::Layer { layer: position, inputs: vec![x.id] }, ty, at)
    }

    /// A further use of a layer must fit the first.
    fn linear_again(&mut self, position: usize, x: &Tensor, at: Place) -> Checked<Tensor> {
        let LayerKind::Linear { inputs, outputs, .. } = &self.layers[position].kind else { return Err(Absorbed) };
        let (inputs, outputs) = (inputs.clone(), outputs.clone());
        match ansatz_shapes::linear(&x.ty.axes, &Axis::from(inputs.clone()), &Axis::from(outputs)) {
            Ok(axes) => {
                let multiply_adds = work(&x.ty, &self.layers[position].kind);
                self.layers[position].multiply_adds = self.layers[position].multiply_adds.plus(&multiply_adds);
                let operation = Operation::Layer { layer: position, inputs: vec![x.id] };
                self.tensor(operation, Type::real(axes), at)
            }
            Err(misfit) => {
                let callee = self.layers[position].shown.clone();
                let holes = vec!["_".to_owned(); x.ty.rank().saturating_sub(1)];
                let wanted = holes.into_iter().chain([inputs.to_string()]).collect::<Vec<_>>().join(", ");
                let message = format!("`{callee}` takes [{wanted}] but is given {}", x.ty);
                let note = format!("its first use gave it {}", self.layers[position].signature.0);
                self.misfit(&misfit, &callee, message, x, at)
                    .note(note)
                    .help("all uses of a layer share its parameters: give it equal widths, or make a second layer");
                Err(Absorbed)
            }
        }
    }

    /// Checks that a dimension that sizes a parameter is known at compile time.
    fn fixed(&mut self, size: &Term, at: Place, what: &str) -> Checked<()> {
        if size.number().is_some() {
            return Ok(());
        }
        let open = size.atoms().into_iter().find_map(|atom| match atom {
            Atom::RunTime(name) => Some(name.clone()),
            _ => None,
        });
        let name = open.unwrap_or_default();
        let declared: Vec<_> = self.nets.names.dims.iter().map(|dim| dim.item.name.to_string()).collect();
        let guess = crate::report::did_you_mean(&name, &declared);
        let message = format!("`linear` would {what} {size}, which is known only at run time");
        let error = self.fault(at, message);
        error.help(match guess {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("sizes of parameters are declared: `dim {} = …;`", capital(&name)),
        });
        Err(Absorbed)
    }

    pub(super) fn dropout(
        &mut self,
        layer: &LayerValue<'a>,
        x: &Tensor,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        self.reals("dropout", x, at)?;
        let Some(Gift::Number(p)) = given.get("p") else { return Err(Absorbed) };
        let label = self.draws(layer, "dropout")?;
        self.tensor(Operation::Dropout { input: x.id, p: *p, label }, x.ty.clone(), at)
    }

    pub(super) fn draw(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Tensor> {
        let Some(Gift::Shape(axes)) = given.get("shape") else { return Err(Absorbed) };
        let ty = Type::real(axes.clone());
        let p = match (function.name, given.get("p")) {
            ("bernoulli", Some(Gift::Number(p))) if !(0.0..=1.0).contains(p) => {
                self.fault(at, format!("the probability of `bernoulli` lies in [0, 1], {p} does not"));
                return Err(Absorbed);
            }
            ("bernoulli", Some(Gift::Number(p))) => Some(*p),
            ("bernoulli", _) => Some(0.5),
            _ => None,
        };
        if let Some(axis) = axes.iter().find(|axis| {
            let known = |name: &str| self.signature.run_time.iter().any(|n| n == name);
            axis.size.atoms().into_iter().any(|atom| matches!(atom, Atom::RunTime(name) if !known(name)))
        }) {
            self.fault(at, format!("{} has a size that nothing here knows: {axis}", shape(axes)));
            return Err(Absorbed);
        }
        let label = self.draws(layer, function.name)?;
        self.tensor(Operation::Draw { function: function.name, p, label }, ty, at)
    }

    /// The label under which a place draws.
    fn draws(&mut self, layer: &LayerValue<'a>, kind: &'static str) -> Checked<String> {
        if let Some(Placed::Draws(label)) = self.placed.get(&layer.site) {
            return Ok(label.clone());
        }
        let label = self.label(layer, kind, true)?;
        let label = key(&self.layers, layer.scope, &label);
        self.placed.insert(layer.site, Placed::Draws(label.clone()));
        Ok(label)
    }

    /// The name of a new part: its label, or else its kind, with a number where `numbered`.
    pub(super) fn label(&mut self, layer: &LayerValue<'a>, kind: &'static str, numbered: bool) -> Checked<Ident> {
        let (name, written) = match &layer.label {
            Some(Label { name, written }) => (name.clone(), *written),
            None if numbered => {
                let count = self.counts.entry((layer.scope, kind)).or_insert(0);
                *count += 1;
                (Ident::new(&format!("{kind}{count}"), layer.span.first), true)
            }
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
        if let Some(Placed::Layer(scope)) = self.placed.get(&site) {
            return Ok(*scope);
        }
        self.claim(name, self.scope, "each scope has a label of its own")?;
        self.layers.push(Layer {
            label: name.clone(),
            scope: self.scope,
            kind: LayerKind::Scope { times },
            text: text.to_owned(),
            shown: name.to_string(),
            signature: (String::new(), String::new()),
            multiply_adds: Term::literal(0),
        });
        let scope = self.layers.len() - 1;
        self.placed.insert(site, Placed::Layer(scope));
        Ok(scope)
    }

    /// Takes a label, which must be free.
    fn claim(&mut self, name: &Ident, scope: Option<usize>, help: &str) -> Checked<()> {
        let path = key(&self.layers, scope, name);
        if self.labels.contains(&path) {
            self.fault(name.span(), format!("two parts of `{}` are called `{path}`", self.item.name)).help(help);
            return Err(Absorbed);
        }
        self.labels.push(path);
        Ok(())
    }
}

/// The multiply-adds of a layer applied to a tensor of this type.
fn work(x: &Type, layer: &LayerKind) -> Term {
    let LayerKind::Linear { outputs, .. } = layer else { return Term::literal(0) };
    x.axes.iter().fold(outputs.clone(), |work, axis| work.times(&axis.size))
}

/// `linear(256)` of `fc1: linear(256)`.
fn unlabelled(text: &str) -> &str {
    text.split_once(": ").map_or(text, |(_, rest)| rest)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
