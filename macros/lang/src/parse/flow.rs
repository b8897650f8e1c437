//! `flow F(x: [n, d]) { … }`: what it gives, and the two nets that belong to it, its inverse and its density.

use proc_macro2::{Ident, Span};
use quote::{format_ident, quote};

use crate::ast::{
    Argument, Block, Expr, ExprKind, Input, Item, Let, LetPattern, NetItem, Program, ResultType, Role, Statement,
    TensorType,
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
    /// Adds the nets that belong to its flows; those of other programs have them there.
    pub fn complete(&mut self) {
        let own = |flow: &NetItem| self.foreign.iter().all(|foreign| foreign.name != flow.name);
        let companions = self.items.iter().flat_map(|item| match item {
            Item::Net(net) if net.role == Role::Flow && own(net) => companions(net),
            _ => vec![],
        });
        let companions: Vec<Item> = companions.collect();
        self.items.extend(companions);
    }
}

/// `FInverse` and `FLogProb`. A flow that must be given hyper-parameters has none.
fn companions(flow: &NetItem) -> Vec<Item> {
    let Some((point, conditions)) = flow.inputs.split_first() else { return vec![] };
    if flow.parameters.iter().any(|parameter| parameter.default.is_none()) {
        return vec![];
    }
    let span = flow.name.span();
    let named = |name: &str| Ident::new(name, span);
    let copy = |input: &Input| Input { name: input.name.clone(), ty: input.ty.clone() };
    let others: Vec<&Ident> = conditions.iter().map(|input| &input.name).collect();
    let ResultType::Named(results) = result(&flow.name, &point.ty) else { return vec![] };
    let [_, log_det] = &results[..] else { return vec![] };

    let latent = named(if others.iter().any(|name| *name == "z") { "latent" } else { "z" });
    let inputs = std::iter::once(Input { name: latent.clone(), ty: point.ty.clone() });
    let (x, log) = (&point.name, &log_det.name);
    let tuple = vec![(Some(x.clone()), name(x)), (Some(log.clone()), name(log))];
    let inverse = Block {
        statements: vec![Statement::Let(Let {
            pattern: LetPattern::Tuple(vec![x.clone(), log.clone()]),
            value: call(&flow.name, "inverse", std::iter::once(&latent).chain(others.iter().copied())),
        })],
        result: Box::new(Expr { kind: ExprKind::Tuple(tuple), span: span.into() }),
        span,
    };
    let density = Block {
        statements: vec![],
        result: Box::new(call(&flow.name, "log_prob", std::iter::once(x).chain(others.iter().copied()))),
        span,
    };
    let item = |role, doc: String, inputs: Vec<Input>, result, body| {
        Item::Net(NetItem {
            attributes: quote! { #[doc = #doc] },
            visibility: flow.visibility.clone(),
            name: format_ident!("{}{}", flow.name, if role == Role::Inverse { "Inverse" } else { "LogProb" }),
            role,
            inputs,
            parameters: vec![],
            result,
            facts: vec![],
            body: Some(body),
            mended: flow.mended,
            damaged: flow.damaged,
        })
    };
    let of = &flow.name;
    vec![
        item(
            Role::Inverse,
            format!("The inverse of [`{of}`] and the logarithm of its determinant."),
            inputs.chain(conditions.iter().map(copy)).collect(),
            ResultType::Named(vec![copy(point), copy(log_det)]),
            inverse,
        ),
        item(
            Role::LogProb,
            format!("The logarithm of the density that [`{of}`] gives points, where its results are standard normal."),
            flow.inputs.iter().map(copy).collect(),
            ResultType::One(log_det.ty.clone()),
            density,
        ),
    ]
}

fn name(name: &Ident) -> Expr {
    Expr { kind: ExprKind::Name(name.clone()), span: name.span().into() }
}

/// `flow: F.inverse(z, c)`
fn call<'i>(flow: &Ident, member: &str, arguments: impl Iterator<Item = &'i Ident>) -> Expr {
    let span: Span = flow.span();
    let of = ExprKind::Member { of: Box::new(name(flow)), name: Ident::new(member, span) };
    let callee = Box::new(Expr { kind: of, span: span.into() });
    let arguments = arguments.map(|argument| Argument { name: None, value: name(argument) }).collect();
    let inner = Box::new(Expr { kind: ExprKind::Call { callee, arguments }, span: span.into() });
    Expr { kind: ExprKind::Label { label: Ident::new("flow", span), inner }, span: span.into() }
}
