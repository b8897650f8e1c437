//! One net: its inputs, its bindings, its results.

use super::facts::Facts;
use super::instances::{Given, Nets};
use super::parts::Parts;
use super::signature::{self, MAX_RANK, Signature};
use super::typed::{Body, Naming, Operation, Reach, Step, TypedNet, ValueId};
use super::types::Type;
use super::value::{Binding, Environment, Label, Tensor, Value};
use crate::ast::{Block, Expr, ExprKind, LetPattern, NetItem, Role, Statement};
use crate::report::{Checked, Diagnostic, Mark, Place};
use proc_macro2::Ident;
use std::cell::Cell;
use std::rc::Rc;

/// The inference of one net.
pub(super) struct Inference<'a, 'n, 'r> {
    pub(super) nets: &'n mut Nets<'a, 'r>,
    pub(super) item: &'a NetItem,
    pub(super) signature: Signature,
    /// What is known of its sizes.
    pub(super) facts: Facts,
    /// What its body does so far.
    pub(super) body: Draft,
    /// What its body has made so far.
    pub(super) parts: Parts,
    /// Where in the body it stands.
    pub(super) here: Standing,
    /// Where the report stood before the net.
    pub(super) before: Mark,
    /// Everything that should be used.
    bindings: Vec<(Rc<Binding<'a>>, &'static str)>,
}

/// A body while it is inferred.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The values so far.
    pub(super) values: Vec<Type>,
    /// The steps so far.
    pub(super) steps: Vec<Step>,
}

impl Draft {
    /// One more value.
    pub(super) fn value(&mut self, ty: Type) -> Tensor {
        self.values.push(ty.clone());
        Tensor { id: self.values.len() - 1, ty, trail: Rc::default() }
    }
}

/// A place in a body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// The closure, 0 outside.
    pub(super) frame: usize,
    /// The scope, by its position among the layers.
    pub(super) scope: Option<usize>,
    /// Whether parts that are made or used here are frozen.
    pub(super) frozen: bool,
    /// Whether this is the field of a differential equation.
    pub(super) within_ode: bool,
    /// How often the lists around it repeat it, all together; 0 outside of any.
    pub(super) repeated: usize,
}

impl Standing {
    /// The same in a scope.
    pub(super) fn under(self, scope: usize) -> Self {
        Standing { scope: Some(scope), ..self }
    }
}

/// How far a body has come.
pub(super) struct Snapshot {
    parts: Parts,
    values: usize,
    bindings: usize,
    mark: Mark,
}

/// Infers a net.
pub(super) fn net<'a>(nets: &mut Nets<'a, '_>, item: &'a NetItem, given: &Given<'a>) -> TypedNet<'a> {
    let before = nets.report.mark();
    let (signature, facts) = signature::signature(item, nets.names, given, nets.report);
    let mut inference = Inference::with(nets, item, signature, facts, before);
    let environment = inference.inputs(given);
    if inference.nets.failed_since(before).is_none() {
        inference.conditions(false);
        inference.contradictions();
    }
    let stands = if item.facts.is_empty() { None } else { inference.nets.failed_since(before) };
    let results = match (&item.body, stands) {
        (Err(lost), _) => Err(*lost),
        (_, Some(lost)) => Err(lost),
        (Ok(body), None) if item.role == Role::Flow => {
            inference.flow(body, &environment).map(|(results, back)| (results, Some(back)))
        }
        (Ok(body), None) => inference
            .block(body, &environment)
            .and_then(|value| inference.results(value, &body.result))
            .map(|results| (results, None)),
    };
    // What stands behind something that nobody knows was not looked at.
    let needs = inference.nets.report.needs_since(before);
    let faultless = inference.nets.failed_since(before).is_none() && item.body.is_ok() && !item.damaged;
    if faultless && results.is_ok() && needs.is_none() {
        inference.unused();
        inference.idle_states();
    }
    if faultless {
        inference.conditions(true);
    }
    let lost = inference.nets.failed_since(before).or(needs);
    let declared = inference.signature.results.iter();
    let types = match &results {
        Ok((ids, _)) => {
            let typed = declared.zip(ids);
            typed
                .map(|(d, &id)| Ok(d.as_ref().map_err(|lost| *lost)?.labelled(inference.body.values[id].clone())))
                .collect()
        }
        Err(lost) => declared.map(|d| d.as_ref().map_err(|lost| *lost)?.whole().ok_or(*lost)).collect(),
    };
    let steps = inference.body.steps;
    let (body, inverse) = match lost.map_or(results, Err) {
        Ok((results, inverse)) => (Ok(Body { steps, results }), inverse),
        Err(lost) => (Err(lost), None),
    };
    TypedNet {
        item,
        name: item.name.clone(),
        visibility: item.visibility.clone(),
        attributes: item.attributes.clone(),
        reach: Reach::Unused,
        needs: vec![],
        assumed: inference.facts.assumed,
        run_time: inference.signature.run_time,
        inputs: inference.signature.inputs,
        results: types,
        whole: inference.nets.whole(&inference.parts.layers),
        layers: inference.parts.layers,
        values: inference.body.values,
        body,
        inverse,
        repeats: vec![],
    }
    .with_repeats()
}

impl<'a, 'n, 'r> Inference<'a, 'n, 'r> {
    fn with(nets: &'n mut Nets<'a, 'r>, item: &'a NetItem, signature: Signature, facts: Facts, before: Mark) -> Self {
        let (body, parts, here, bindings) = (Draft::default(), Parts::default(), Standing::default(), vec![]);
        Inference { nets, item, signature, facts, body, parts, here, before, bindings }
    }

    /// Outside of any net: for hyper-parameters, which see declared dimensions alone.
    pub(super) fn blank(nets: &'n mut Nets<'a, 'r>, item: &'a NetItem) -> Self {
        let (before, facts) = (nets.report.mark(), Facts::declared(nets.names));
        Self::with(nets, item, Signature::default(), facts, before)
    }
}

impl<'a> Inference<'a, '_, '_> {
    /// What is found at another place of the body.
    pub(super) fn inside<T>(&mut self, here: Standing, find: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.here, here);
        let found = find(self);
        self.here = outer;
        found
    }

    /// The same, with the steps of it, which are none of the body itself.
    pub(super) fn apart<T>(&mut self, here: Standing, find: impl FnOnce(&mut Self) -> T) -> (T, Vec<Step>) {
        let outer = std::mem::take(&mut self.body.steps);
        let found = self.inside(here, find);
        (found, std::mem::replace(&mut self.body.steps, outer))
    }

    /// How far the body has come.
    pub(super) fn snapshot(&self) -> Snapshot {
        let (values, bindings) = (self.body.values.len(), self.bindings.len());
        Snapshot { parts: self.parts.clone(), values, bindings, mark: self.nets.report.mark() }
    }

    /// Takes back what the body made since, but for its steps, which were apart.
    pub(super) fn restore(&mut self, before: Snapshot) {
        drop(self.nets.report.take_since(before.mark));
        self.body.values.truncate(before.values);
        self.bindings.truncate(before.bindings);
        self.parts = before.parts;
    }

    /// Reports an error at a token.
    pub(super) fn fault(&mut self, place: impl Into<Place>, message: impl Into<String>) -> &mut Diagnostic {
        self.nets.report.error(place, message)
    }

    /// Gives a value up, for which an error at a token stands.
    pub(super) fn fail<T>(&mut self, place: impl Into<Place>, message: impl Into<String>) -> Checked<T> {
        self.fault(place, message).fail()
    }

    /// Reports an error at a token that takes a tensor, with how that came about.
    pub(super) fn about(
        &mut self,
        tensor: &Tensor,
        place: impl Into<Place>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let notes = self.notes(tensor, &[]);
        self.fault(place, message).notes(notes)
    }

    /// Something is missing that must be there: a mistake of the macro itself, and never lost in silence.
    pub(super) fn unexplained<T>(&mut self, place: impl Into<Place>) -> Checked<T> {
        Err(self.nets.report.unexplained(place))
    }

    /// What is there unless the macro itself is mistaken.
    pub(super) fn known<T>(&mut self, value: Option<T>, place: impl Into<Place>) -> Checked<T> {
        value.map_or_else(|| self.unexplained(place), Ok)
    }

    /// Adds a step that makes one value.
    pub(super) fn push(&mut self, operation: impl Into<Operation>, ty: Type, span: Place) -> Checked<ValueId> {
        if ty.rank() > MAX_RANK {
            let rank = ty.rank();
            return self.fail(span, format!("a tensor has at most {MAX_RANK} axes, {ty} has {rank}"));
        }
        let id = self.body.value(ty).id;
        self.body.steps.push(Step { results: vec![id], operation: operation.into(), span });
        Ok(id)
    }

    /// The same as a tensor without history.
    pub(super) fn tensor(&mut self, operation: impl Into<Operation>, mut ty: Type, span: Place) -> Checked<Tensor> {
        for axis in &mut ty.axes {
            axis.size = self.facts.dims.normal(&axis.size);
        }
        let id = self.push(operation, ty.clone(), span)?;
        Ok(Tensor { id, ty, trail: Rc::default() })
    }

    fn inputs(&mut self, given: &Given<'a>) -> Environment<'a> {
        let mut environment = Environment::default();
        for (parameter, value) in self.item.parameters.iter().zip(&given.parameters) {
            // A size that is a name by itself is found among the dimensions.
            let what = if signature::mentions(self.item, &parameter.name) { "" } else { "hyper-parameter" };
            environment = self.bind(&parameter.name, value.clone(), what, &environment);
        }
        for (i, input) in self.item.inputs.iter().enumerate() {
            let value = match &self.signature.inputs[i] {
                Ok(ty) => {
                    let trail = Rc::new(vec![format!("{} : {ty}", input.name)]);
                    Value::Tensor(Tensor { id: i, ty: ty.clone(), trail })
                }
                Err(lost) => Value::Error(*lost),
            };
            // A place is taken even where the type is unknown, so that ids and inputs agree.
            let ty = self.signature.inputs[i].as_ref().map_or_else(|_| Type::real(vec![]), Clone::clone);
            self.body.values.push(ty);
            environment = self.bind(&input.name, value, "input", &environment);
        }
        environment
    }

    /// One more name. `what` it is, if it must be used.
    pub(super) fn bind(
        &mut self,
        name: &Ident,
        value: Value<'a>,
        what: &'static str,
        environment: &Environment<'a>,
    ) -> Environment<'a> {
        let value = match value {
            Value::Tensor(tensor) => {
                let trail = Rc::new(vec![format!("{name} : {}", tensor.ty)]);
                Value::Tensor(Tensor { trail, ..tensor })
            }
            other => other,
        };
        self.name_step(name, value.naming());
        let binding = Rc::new(Binding { name: name.clone(), value, used: Cell::new(false) });
        self.bindings.push((binding.clone(), what));
        environment.with(binding)
    }

    /// Says where a name is used that was bound in this net.
    pub(super) fn use_step(&mut self, name: &Ident, binding: &Rc<Binding<'a>>) {
        if self.bindings.iter().any(|(own, _)| Rc::ptr_eq(own, binding)) {
            let does = match &binding.value {
                Value::Layer(_) => Some(Naming::Part),
                value => value.naming().map(|_| Naming::Use),
            };
            // Rust finds a variable by the hygiene of where it is bound.
            let mut here = binding.name.clone();
            here.set_span(binding.name.span().located_at(name.span()));
            self.name_step(&here, does);
        }
    }

    /// Says where a name stands. A name in capitals may be that of a constant, which no variable can have.
    fn name_step(&mut self, name: &Ident, does: Option<Naming>) {
        let small = name.to_string().starts_with(|c: char| c.is_lowercase());
        if let Some(does) = does.filter(|_| small) {
            let operation = Operation::Name { name: name.clone(), does };
            self.body.steps.push(Step { results: vec![], operation, span: name.span().into() });
        }
    }

    /// A block: its bindings in order, then its value.
    pub(super) fn block(&mut self, block: &'a Block, environment: &Environment<'a>) -> Checked<Value<'a>> {
        self.labelled_block(block, None, environment)
    }

    /// The same, where a label names what the block makes.
    pub(super) fn labelled_block(
        &mut self,
        block: &'a Block,
        label: Option<Label>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        let environment = self.statements(block, environment);
        self.labelled(&block.result, label, &environment)
    }

    /// The statements of a block in order; gives what its value can see.
    pub(super) fn statements(&mut self, block: &'a Block, environment: &Environment<'a>) -> Environment<'a> {
        let mut environment = environment.clone();
        for statement in &block.statements {
            let binding = match statement {
                Statement::Let(binding) => binding,
                Statement::Own(own) => {
                    let value = self.own(own, &environment).unwrap_or_else(Value::Error);
                    let what = if own.state { "" } else { "parameter" };
                    environment = self.bind(&own.name, value, what, &environment);
                    continue;
                }
                Statement::Update(update) => {
                    // A mistake in it is reported, and nothing depends on it.
                    let _ = self.update(update, &environment);
                    continue;
                }
            };
            let value = self.bound(&binding.pattern, &binding.value, &environment);
            match &binding.pattern {
                LetPattern::Name(name) => {
                    environment = self.bind(name, value.unwrap_or_else(Value::Error), "`let`", &environment);
                }
                LetPattern::Tuple(names) => {
                    let values = self.spread_tuple(names, value, &binding.value);
                    for (name, value) in names.iter().zip(values) {
                        environment = self.bind(name, value, "`let`", &environment);
                    }
                }
            }
        }
        environment
    }

    /// The value of a `let`. Its name is the label of what the right side makes, unless that has one.
    fn bound(&mut self, pattern: &'a LetPattern, value: &'a Expr, environment: &Environment<'a>) -> Checked<Value<'a>> {
        match (pattern, &value.kind) {
            (
                LetPattern::Name(name),
                ExprKind::Call { .. }
                | ExprKind::Name(_)
                | ExprKind::Closure { .. }
                | ExprKind::List(_)
                | ExprKind::If { .. }
                | ExprKind::Repeat { .. },
            ) => {
                let label = Label { name: name.clone(), written: false };
                self.labelled(value, Some(label), environment)
            }
            _ => self.value(value, environment),
        }
    }

    fn spread_tuple(&mut self, names: &[Ident], value: Checked<Value<'a>>, expr: &Expr) -> Vec<Value<'a>> {
        let wanted = names.len();
        match value {
            Ok(Value::Tuple(items)) if items.len() == wanted => items.into_iter().map(|(_, value)| value).collect(),
            Ok(Value::Error(lost)) | Err(lost) => vec![Value::Error(lost); wanted],
            Ok(other) => {
                let what = other.what();
                let error = self.fault(expr.span, format!("the `let` binds {wanted} names, but this is {what}"));
                if matches!(other, Value::Tensor(_)) {
                    error.help(format!("bind one name: `let {} = …;`", names[0]));
                }
                vec![Value::Error(error.reported()); wanted]
            }
        }
    }

    /// What was bound and never used.
    fn unused(&mut self) {
        let unused: Vec<_> = self
            .bindings
            .iter()
            .filter(|(binding, what)| !what.is_empty() && !binding.used.get())
            .map(|(binding, what)| (binding.name.clone(), *what))
            .collect();
        for (name, what) in unused {
            if name.to_string().starts_with('_') {
                continue;
            }
            let message = match what {
                "input" | "hyper-parameter" | "parameter" => format!("the {what} `{name}` is never used"),
                _ => format!("`{name}` is never used"),
            };
            self.fault(name.span(), message).help(format!("remove it, or call it `_{name}`"));
        }
    }
}

/// The expression whose value this is: the last stage of a pipeline.
pub(super) fn last(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Pipeline(stages) => stages.last().map_or(expr, last),
        ExprKind::Label { inner, .. } => last(inner),
        ExprKind::Block(block) => last(&block.result),
        _ => expr,
    }
}

/// The trail of a tensor with one more stage.
pub(super) fn staged(before: &Tensor, stage: &str, after: Tensor) -> Tensor {
    let mut trail = (*before.trail).clone();
    trail.push(format!("{stage} : {}", after.ty));
    Tensor { trail: Rc::new(trail), ..after }
}
