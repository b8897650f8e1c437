//! The names that an expression mentions.

use crate::ast::{Argument, Block, Expr, ExprKind, Pattern, PatternAxis, Size, Statement, Times};
use crate::resolve::names_in;
use proc_macro2::Ident;

/// Gives every name in an expression to `found`, those that it binds itself included.
pub(super) fn expression<'a>(expr: &'a Expr, found: &mut dyn FnMut(&'a Ident)) {
    match &expr.kind {
        ExprKind::Name(name) => found(name),
        ExprKind::Path(parts) => parts.iter().for_each(found),
        ExprKind::Number { .. } | ExprKind::Bool(_) | ExprKind::Str(_) | ExprKind::Error(_) => {}
        ExprKind::Call { callee, arguments } => {
            expression(callee, found);
            for Argument { value, .. } in arguments {
                expression(value, found);
            }
        }
        ExprKind::Label { inner, .. } | ExprKind::Member { of: inner, .. } => expression(inner, found),
        ExprKind::Rust { call, result } => {
            expression(call, found);
            result.axes.iter().map(|axis| &axis.size).chain(&result.space).flat_map(names_in).for_each(found);
        }
        ExprKind::Pipeline(parts) | ExprKind::List(parts) => parts.iter().for_each(|part| expression(part, found)),
        ExprKind::Binary { operands, .. } => operands.iter().for_each(|operand| expression(operand, found)),
        ExprKind::Range(ends) => ends.iter().for_each(|end| expression(end, found)),
        ExprKind::Unary { operand, .. } => expression(operand, found),
        ExprKind::Closure { body, .. } => expression(body, found),
        ExprKind::Tuple(items) => items.iter().for_each(|(_, item)| expression(item, found)),
        ExprKind::Repeat { layer, times } => {
            expression(layer, found);
            let sizes: Vec<&Size> = match times {
                Times::Count(count) => vec![count],
                Times::Range { bounds, .. } => bounds.iter().collect(),
            };
            sizes.into_iter().flat_map(names_in).for_each(found);
        }
        ExprKind::Pattern(Pattern { from, to }) => axes(from.iter().chain(to), found),
        ExprKind::Einsum { operands, result } => {
            for operand in operands {
                expression(&operand.tensor, found);
                axes(operand.axes.iter(), found);
            }
            axes(result.iter(), found);
        }
        ExprKind::If { condition, yes, no } => {
            expression(condition, found);
            block(yes, found);
            block(no, found);
        }
        ExprKind::Block(inner) => block(inner, found),
    }
}

fn axes<'a>(axes: impl Iterator<Item = &'a PatternAxis>, found: &mut dyn FnMut(&'a Ident)) {
    axes.flat_map(|axis| &axis.parts).flat_map(names_in).for_each(found);
}

/// The same for a block.
pub(super) fn block<'a>(block: &'a Block, found: &mut dyn FnMut(&'a Ident)) {
    for statement in &block.statements {
        match statement {
            Statement::Let(binding) => expression(&binding.value, found),
            Statement::Own(own) => {
                own.ty.axes.iter().flat_map(|axis| names_in(&axis.size)).for_each(&mut *found);
                expression(&own.start, found);
            }
            Statement::Update(update) => {
                found(&update.name);
                expression(&update.value, found);
            }
        }
    }
    expression(&block.result, found);
}
