//! One net: its inputs, its bindings, its results.

use super::facts::{self, Assumption};
use super::instances::{Given, Nets};
use super::layers::Placed;
use super::signature::{self, MAX_RANK, Signature};
use super::typed::{Body, Layer, Naming, Operation, Reach, Step, TypedNet, ValueId};
use super::types::Type;
use super::value::{Binding, Environment, Label, Site, Tensor, Value};
use crate::ast::{Block, Expr, ExprKind, LetPattern, NetItem, Role, Statement};
use crate::report::{Checked, Diagnostic, Mark, Place};
use proc_macro2::Ident;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// The inference of one net.
pub(super) struct Inference<'a, 'n, 'r> {
    pub(super) nets: &'n mut Nets<'a, 'r>,
    pub(super) item: &'a NetItem,
    pub(super) signature: Signature,
    pub(super) values: Vec<Type>,
    pub(super) steps: Vec<Step>,
    pub(super) layers: Vec<Layer>,
    /// Labels in use, with the scopes before them.
    pub(super) labels: Vec<String>,
    /// How many unlabelled parts of a kind there are in a scope: `linear2` comes after `linear1`.
    pub(super) counts: HashMap<(Option<usize>, &'static str), usize>,
    /// What was made where: a second use of a place is a second use of the same part.
    pub(super) placed: HashMap<Site, Placed>,
    /// The frames of closures and of repeated layers, by where they were written and which one it is.
    pub(super) frames: HashMap<(Site, usize), usize>,
    /// The closure under inference, 0 outside.
    pub(super) frame: usize,
    /// The scope under inference, by its position among the layers.
    pub(super) scope: Option<usize>,
    /// The states that have an update, by their positions among the layers.
    pub(super) updated: Vec<usize>,
    /// The states that values are read from.
    pub(super) owned: Vec<(ValueId, usize)>,
    /// Whether parts that are made or used now are frozen.
    pub(super) frozen: bool,
    /// Whether the field of a differential equation is under inference.
    pub(super) within_ode: bool,
    /// Where the report stood before the net.
    pub(super) before: Mark,
    /// The conditions that the net states, as far as only a run can decide them.
    pub(super) stated: Vec<Assumption>,
    /// Those of them that are not decided yet.
    pub(super) assumed: Vec<Assumption>,
    /// Everything that should be used.
    bindings: Vec<(Rc<Binding<'a>>, &'static str)>,
}

/// Infers a net.
pub(super) fn net<'a>(nets: &mut Nets<'a, '_>, item: &'a NetItem, given: &Given<'a>) -> TypedNet<'a> {
    let before = nets.report.mark();
    let signature = signature::signature(item, nets.names, given, nets.report);
    let mut inference = Inference::with(nets, item, signature, before);
    let environment = inference.inputs(given);
    if inference.nets.failed_since(before).is_none() {
        inference.facts(false);
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
        inference.facts(true);
    }
    let lost = inference.nets.failed_since(before).or(needs);
    let declared = inference.signature.results.iter();
    let types = match &results {
        Ok((ids, _)) => {
            let typed = declared.zip(ids);
            typed.map(|(d, &id)| Ok(d.as_ref().map_err(|lost| *lost)?.labelled(inference.values[id].clone()))).collect()
        }
        Err(lost) => declared.map(|d| d.as_ref().map_err(|lost| *lost)?.whole().ok_or(*lost)).collect(),
    };
    let steps = inference.steps;
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
        assumed: inference.assumed,
        run_time: inference.signature.run_time,
        inputs: inference.signature.inputs,
        results: types,
        layers: inference.layers,
        values: inference.values,
        body,
        inverse,
        repeats: vec![],
    }
    .with_repeats()
}

impl<'a, 'n, 'r> Inference<'a, 'n, 'r> {
    fn with(nets: &'n mut Nets<'a, 'r>, item: &'a NetItem, signature: Signature, before: Mark) -> Self {
        let stated = facts::stated(item, &signature.dims, &signature.broken);
        Inference {
            nets,
            item,
            signature,
            values: vec![],
            steps: vec![],
            layers: vec![],
            labels: vec![],
            counts: HashMap::new(),
            placed: HashMap::new(),
            frames: HashMap::new(),
            frame: 0,
            scope: None,
            updated: vec![],
            owned: vec![],
            frozen: false,
            within_ode: false,
            before,
            stated,
            assumed: vec![],
            bindings: vec![],
        }
    }

    /// Outside of any net: for hyper-parameters, which see declared dimensions alone.
    pub(super) fn blank(nets: &'n mut Nets<'a, 'r>, item: &'a NetItem) -> Self {
        let signature = Signature::blank(nets.names);
        let before = nets.report.mark();
        Self::with(nets, item, signature, before)
    }
}

impl<'a> Inference<'a, '_, '_> {
    /// Reports an error at a token.
    pub(super) fn fault(&mut self, place: impl Into<Place>, message: impl Into<String>) -> &mut Diagnostic {
        self.nets.report.error(place, message)
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
            return self.fault(span, format!("a tensor has at most {MAX_RANK} axes, {ty} has {rank}")).fail();
        }
        self.values.push(ty);
        let id = self.values.len() - 1;
        self.steps.push(Step { results: vec![id], operation: operation.into(), span });
        Ok(id)
    }

    /// The same as a tensor without history.
    pub(super) fn tensor(&mut self, operation: impl Into<Operation>, mut ty: Type, span: Place) -> Checked<Tensor> {
        for axis in &mut ty.axes {
            axis.size = self.signature.dims.normal(&axis.size);
        }
        let id = self.push(operation, ty.clone(), span)?;
        Ok(Tensor { id, ty, trail: Rc::default() })
    }

    fn inputs(&mut self, given: &Given<'a>) -> Environment<'a> {
        let mut environment = Environment::default();
        for (parameter, value) in self.item.parameters.iter().zip(&given.parameters) {
            // A size that is a name by itself is found among the dimensions.
            let what = if self.signature.mentions(self.item, &parameter.name) { "" } else { "hyper-parameter" };
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
            self.values.push(ty);
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
            self.steps.push(Step { results: vec![], operation, span: name.span().into() });
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
