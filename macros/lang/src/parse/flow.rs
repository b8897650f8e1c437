//! `flow F(x: [n, d]) { … }`: what it gives, and the two nets that belong to it, its inverse and its density. An instance
//! `net Six = F(d = 6);` has them as well.

use proc_macro2::{Ident, Span};
use quote::{format_ident, quote};
use std::cell::Cell;

use crate::ast::{
    AliasItem, Argument, AxisType, Block, Expr, ExprKind, Input, Item, Let, LetPattern, NetItem, Program, ResultType,
    Role, Size, Statement, TensorType, Visibility,
};

/// A point and the logarithm of the determinant: `(z: [n, d], log_det: [n])`.
pub fn result(name: &Ident, point: &TensorType) -> ResultType {
    let span = name.span();
    let log_det = TensorType { axes: point.axes[..point.axes.len().saturating_sub(1)].to_vec(), ..point.clone() };
    ResultType::Named(vec![
        Input { name: Ident::new("z", span), ty: point.clone() },
        Input { name: Ident::new("log_det", span), ty: log_det },
    ])
}

impl Program {
    /// Adds the nets that belong to its flows and to its instances of flows; those of other programs have them there.
    pub fn complete(&mut self) {
        let numbered = Cell::new(self.numbered);
        let own = |name: &Ident| self.foreign.iter().all(|foreign| foreign.name != *name);
        let companions = self.items.iter().flat_map(|item| match item {
            Item::Net(net) if net.role == Role::Flow && own(&net.name) => match is_template(net) {
                true => vec![],
                false => companions(net, &net.name, &net.visibility, &|_| None, &numbered),
            },
            Item::Alias(alias) if own(&alias.name) => self.of_instance(alias, &numbered).unwrap_or_default(),
            _ => vec![],
        });
        let companions: Vec<Item> = companions.collect();
        self.numbered = numbered.get();
        self.items.extend(companions);
    }

    /// The companions of `net Six = Steps(d = 6);`, in whose head stands 6 for `d`.
    fn of_instance(&self, alias: &AliasItem, numbered: &Cell<usize>) -> Option<Vec<Item>> {
        let ExprKind::Call { callee, arguments } = &alias.target.kind else { return None };
        let ExprKind::Name(of) = &callee.kind else { return None };
        let flow = self.items.iter().find_map(|item| match item {
            Item::Net(net) if net.role == Role::Flow && net.name == *of => Some(net),
            _ => None,
        })?;
        let mut open = flow.parameters.iter().filter(|parameter| parameter.default.is_none());
        let mut given: Vec<(&Ident, &Expr)> = vec![];
        for Argument { name, value } in arguments {
            given.push((name.as_ref().or_else(|| open.next().map(|parameter| &parameter.name))?, value));
        }
        let defaults =
            flow.parameters.iter().filter_map(|parameter| Some((&parameter.name, parameter.default.as_ref()?)));
        given.extend(defaults);
        let fixed = |name: &Ident| given.iter().find(|(own, _)| *own == name).and_then(|(_, value)| as_size(value));
        Some(companions(flow, &alias.name, &alias.visibility, &fixed, numbered))
    }
}

/// Whether a net must be given hyper-parameters.
fn is_template(net: &NetItem) -> bool {
    net.parameters.iter().any(|parameter| parameter.default.is_none())
}

/// A value that is a size.
fn as_size(value: &Expr) -> Option<Size> {
    match &value.kind {
        ExprKind::Number { integer: Some(number), .. } => {
            Some(Size::Literal(usize::try_from(*number).ok()?, value.span.first))
        }
        ExprKind::Name(name) => Some(Size::Name(name.clone())),
        ExprKind::Binary { op, operands } => {
            let [left, right] = &**operands;
            let (op, operands) = (op.chars().next()?, Box::new([as_size(left)?, as_size(right)?]));
            Some(Size::Arithmetic { op, operands, span: value.span.first })
        }
        _ => None,
    }
}

/// The size with others in place of names.
fn with_sizes(size: &Size, fixed: &dyn Fn(&Ident) -> Option<Size>) -> Size {
    match size {
        Size::Name(name) => fixed(name).unwrap_or_else(|| size.clone()),
        Size::Arithmetic { op, operands, span } => {
            let operands = Box::new([with_sizes(&operands[0], fixed), with_sizes(&operands[1], fixed)]);
            Size::Arithmetic { op: *op, operands, span: *span }
        }
        Size::Call { name, arguments } => {
            let arguments = arguments.iter().map(|argument| with_sizes(argument, fixed)).collect();
            Size::Call { name: name.clone(), arguments }
        }
        Size::Literal(..) | Size::Infer(_) => size.clone(),
    }
}

/// `FInverse` and `FLogProb` of a flow, or of an instance of one under a name of its own, which fixes sizes.
fn companions(
    flow: &NetItem,
    of: &Ident,
    visibility: &Visibility,
    sizes: &dyn Fn(&Ident) -> Option<Size>,
    numbered: &Cell<usize>,
) -> Vec<Item> {
    let make = |kind, at: Span| Expr { number: numbered.replace(numbered.get() + 1), kind, span: at.into() };
    let name = |name: &Ident| make(ExprKind::Name(name.clone()), name.span());
    // `flow: F.inverse(z, c)`
    let call = |member: &str, arguments: &mut dyn Iterator<Item = &Ident>| {
        let member = ExprKind::Member { of: Box::new(name(of)), name: Ident::new(member, of.span()) };
        let callee = Box::new(make(member, of.span()));
        let arguments = arguments.map(|argument| Argument { name: None, value: name(argument) }).collect();
        let inner = Box::new(make(ExprKind::Call { callee, arguments }, of.span()));
        make(ExprKind::Label { label: Ident::new("flow", of.span()), inner }, of.span())
    };
    let fixed = |input: &Input| {
        let axis = |axis: &AxisType| AxisType { label: axis.label.clone(), size: with_sizes(&axis.size, sizes) };
        let ty = TensorType {
            axes: input.ty.axes.iter().map(axis).collect(),
            space: input.ty.space.as_ref().map(|space| with_sizes(space, sizes)),
            span: input.ty.span,
            ends: input.ty.ends,
        };
        Input { name: input.name.clone(), ty }
    };
    let copy = |input: &Input| Input { name: input.name.clone(), ty: input.ty.clone() };
    let inputs: Vec<Input> = flow.inputs.iter().map(fixed).collect();
    let Some((point, conditions)) = inputs.split_first() else { return vec![] };
    let span = of.span();
    let named = |name: &str| Ident::new(name, span);
    let others: Vec<&Ident> = conditions.iter().map(|input| &input.name).collect();
    let ResultType::Named(results) = result(of, &point.ty) else { return vec![] };
    let [_, log_det] = &results[..] else { return vec![] };

    let z = named(if others.iter().any(|name| *name == "z") { "latent" } else { "z" });
    let latent = std::iter::once(Input { name: z.clone(), ty: point.ty.clone() });
    let (x, log) = (&point.name, &log_det.name);
    let tuple = vec![(Some(x.clone()), name(x)), (Some(log.clone()), name(log))];
    let inverse = Block {
        statements: vec![Statement::Let(Let {
            pattern: LetPattern::Tuple(vec![x.clone(), log.clone()]),
            value: call("inverse", &mut std::iter::once(&z).chain(others.iter().copied())),
        })],
        result: Box::new(make(ExprKind::Tuple(tuple), span)),
        span,
    };
    let density = Block {
        statements: vec![],
        result: Box::new(call("log_prob", &mut std::iter::once(x).chain(others.iter().copied()))),
        span,
    };
    let item = |role, doc: String, inputs: Vec<Input>, result, body| {
        Item::Net(NetItem {
            attributes: quote! { #[doc = #doc] },
            visibility: visibility.clone(),
            word: flow.word,
            name: format_ident!("{}{}", of, if role == Role::Inverse { "Inverse" } else { "LogProb" }),
            role,
            inputs,
            parameters: vec![],
            result,
            facts: vec![],
            body: Ok(body),
            mended: flow.mended,
            damaged: flow.damaged,
            chooses: flow.chooses,
        })
    };
    vec![
        item(
            Role::Inverse,
            format!("The inverse of [`{of}`] and the logarithm of its determinant."),
            latent.chain(conditions.iter().map(copy)).collect(),
            ResultType::Named(vec![copy(point), copy(log_det)]),
            inverse,
        ),
        item(
            Role::LogProb,
            format!("The logarithm of the density that [`{of}`] gives points, where its results are standard normal."),
            inputs.iter().map(copy).collect(),
            ResultType::One(log_det.ty.clone()),
            density,
        ),
    ]
}
