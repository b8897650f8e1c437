//! Expressions as one would write them, for the trail of shapes in an error.

use crate::ast::{Argument, Expr, ExprKind, Size, Times};

/// The expression on one line; what is long becomes `…`.
pub fn text(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Name(name) => name.to_string(),
        ExprKind::Path(parts) => parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("::"),
        ExprKind::Number { value, .. } => value.to_string(),
        ExprKind::Bool(flag) => flag.to_string(),
        ExprKind::Str(string) => format!("{string:?}"),
        ExprKind::Call { callee, arguments } => {
            let arguments: Vec<_> = arguments.iter().map(argument).collect();
            format!("{}({})", text(callee), arguments.join(", "))
        }
        ExprKind::Rust { call, .. } => text(call),
        ExprKind::Member { of, name } => format!("{}.{name}", text(of)),
        ExprKind::Label { label, inner } => format!("{label}: {}", text(inner)),
        ExprKind::Binary { op, operands } => format!("{} {op} {}", operand(&operands[0]), operand(&operands[1])),
        ExprKind::Range(ends) => format!("{}..{}", text(&ends[0]), text(&ends[1])),
        ExprKind::Unary { op, operand: inner } => format!("{op}{}", operand(inner)),
        ExprKind::Tuple(items) => {
            let items: Vec<_> = items
                .iter()
                .map(|(name, item)| match name {
                    Some(name) => format!("{name} = {}", text(item)),
                    None => text(item),
                })
                .collect();
            format!("({})", items.join(", "))
        }
        ExprKind::List(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        ExprKind::Repeat { layer, times: Times::Count(Size::Literal(count, _)) } => {
            format!("[{}; {count}]", text(layer))
        }
        ExprKind::Repeat { layer, .. } => format!("[{}; …]", text(layer)),
        ExprKind::Pattern(pattern) => super::patterns::text(pattern),
        ExprKind::Einsum { operands, .. } => {
            let operands: Vec<_> = operands.iter().map(|operand| text(&operand.tensor)).collect();
            format!("einsum({}, …)", operands.join(", "))
        }
        ExprKind::Closure { .. }
        | ExprKind::Pipeline(_)
        | ExprKind::If { .. }
        | ExprKind::Block(_)
        | ExprKind::Error(_) => "…".to_owned(),
    }
}

fn argument(argument: &Argument) -> String {
    match &argument.name {
        Some(name) => format!("{name} = {}", text(&argument.value)),
        None => text(&argument.value),
    }
}

fn operand(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Binary { .. } => format!("({})", text(expr)),
        _ => text(expr),
    }
}
