//! Functions of Rust over recorded tensors: what they give is written, and rustc checks that they do.

use super::block::Inference;
use super::text::text;
use super::typed::Operation;
use super::types::{Axis, Element, Type};
use super::value::{Environment, Value};
use crate::ast::{Expr, ExprKind, TensorType};
use crate::report::{Checked, Place};
use crate::resolve::size;
use proc_macro2::Ident;

impl<'a> Inference<'a, '_, '_> {
    /// `my::op(y, 3) -> [n, d]`, where a pipeline puts `piped` in front of the arguments.
    pub(super) fn rust(
        &mut self,
        call: &'a Expr,
        result: &TensorType,
        piped: Option<Value<'a>>,
        environment: &Environment<'a>,
    ) -> Checked<Value<'a>> {
        let (callee, arguments) = match &call.kind {
            ExprKind::Call { callee, arguments } => (&**callee, arguments.as_slice()),
            _ => (call, [].as_slice()),
        };
        let (shown, at) = (text(callee), callee.span);
        let ExprKind::Path(path) = &callee.kind else { return self.unexplained(at) };
        self.reachable(path, callee)?;
        let mut values: Vec<(Value<'a>, Place)> = piped.into_iter().map(|value| (value, at)).collect();
        let mut lost = None;
        for argument in arguments {
            if let Some(name) = &argument.name {
                let message = format!("a function of Rust takes no `{name} = …`");
                lost = Some(self.fault(name.span(), message).help("its arguments are given by position").reported());
                continue;
            }
            match self.value(&argument.value, environment) {
                Ok(value) => values.push((value, argument.value.span)),
                Err(reported) => lost = Some(reported),
            }
        }
        let (mut inputs, mut constants) = (vec![], vec![]);
        for (value, place) in values {
            let constant = match value {
                Value::Tensor(tensor) if constants.is_empty() => {
                    inputs.push((tensor.id, place));
                    continue;
                }
                Value::Error(lost) => return Err(lost),
                ref other => other.constant(),
            };
            match constant {
                Some(constant) => constants.push(constant),
                None => {
                    let message = format!(
                        "a function of Rust takes tensors, then numbers, sizes that are known here, truth values and texts, not {}",
                        value.what()
                    );
                    lost = Some(self.fault(place, message).reported());
                }
            }
        }
        if lost.is_none() && inputs.is_empty() {
            let error = self.fault(at, format!("`{shown}` is given no tensor"));
            lost = Some(error.help(format!("write `x |> {shown} -> […]`")).reported());
        }
        let ty = self.written(result);
        if let Some(lost) = lost {
            return Err(lost);
        }
        let operation = Operation::Rust { path: path.clone(), inputs, constants, result: result.clone() };
        self.tensor(operation, ty?, at).map(Value::Tensor)
    }

    /// A path of Rust leads to the same item wherever the net is used.
    pub(super) fn reachable(&mut self, path: &[Ident], expr: &Expr) -> Checked<()> {
        let rooted = path.first().is_some_and(|first| ["$crate", "std", "core"].iter().any(|root| first == root));
        if self.nets.names.foreign(&self.item.name).is_none() || rooted {
            return Ok(());
        }
        let message = format!("`{}` is found only where `{}` is declared", text(expr), self.item.name);
        self.fault(expr.span, message).help("there, write its path from the root of the crate: `crate::…`").fail()
    }

    /// A type as it is written.
    fn written(&mut self, ty: &TensorType) -> Checked<Type> {
        let (dims, broken) = (&self.facts.dims, &self.facts.broken);
        let axes = ty.axes.iter().map(|axis| {
            let label = axis.label.as_ref().map(ToString::to_string);
            Ok(Axis { label, origin: None, size: size(&axis.size, dims, broken, self.nets.report)? })
        });
        let axes: Checked<Vec<Axis>> = axes.collect();
        let element = match &ty.space {
            Some(space) => Element::Index(size(space, dims, broken, self.nets.report)?),
            None => Element::Real,
        };
        Ok(Type { element, axes: axes? })
    }
}
