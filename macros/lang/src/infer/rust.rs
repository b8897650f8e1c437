//! Functions of Rust over recorded tensors: what they give is written, and rustc checks that they do.

use super::block::Inference;
use super::text::text;
use super::typed::Operation;
use super::types::{Axis, Element, Type};
use super::value::{Environment, Value};
use crate::ast::{Expr, ExprKind, TensorType};
use crate::report::Place;
use crate::resolve::{Absorbed, Checked, size};
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
        let ExprKind::Path(path) = &callee.kind else { return Err(Absorbed) };
        let (shown, at) = (text(callee), callee.span);
        self.reachable(path, callee)?;
        let mut values: Vec<(Value<'a>, Place)> = piped.into_iter().map(|value| (value, at)).collect();
        let mut whole = true;
        for argument in arguments {
            if let Some(name) = &argument.name {
                let message = format!("a function of Rust takes no `{name} = …`");
                self.fault(name.span(), message).help("its arguments are given by position");
                whole = false;
                continue;
            }
            match self.value(&argument.value, environment) {
                Ok(value) => values.push((value, argument.value.span)),
                Err(Absorbed) => whole = false,
            }
        }
        let (mut inputs, mut constants) = (vec![], vec![]);
        for (value, place) in values {
            let constant = match value {
                Value::Tensor(tensor) if constants.is_empty() => {
                    inputs.push((tensor.id, place));
                    continue;
                }
                Value::Error => return Err(Absorbed),
                ref other => other.constant(),
            };
            match constant {
                Some(constant) => constants.push(constant),
                None => {
                    let message = format!(
                        "a function of Rust takes tensors, then numbers, sizes that are known here, truth values and texts, not {}",
                        value.what()
                    );
                    self.fault(place, message);
                    whole = false;
                }
            }
        }
        if whole && inputs.is_empty() {
            self.fault(at, format!("`{shown}` is given no tensor")).help(format!("write `x |> {shown} -> […]`"));
            whole = false;
        }
        let ty = self.written(result);
        if !whole {
            return Err(Absorbed);
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
        self.fault(expr.span, message).help("there, write its path from the root of the crate: `crate::…`");
        Err(Absorbed)
    }

    /// A type as it is written.
    fn written(&mut self, ty: &TensorType) -> Checked<Type> {
        let (dims, broken) = (&self.signature.dims, &self.signature.broken);
        let axes = ty.axes.iter().map(|axis| {
            let label = axis.label.as_ref().map(ToString::to_string);
            Ok(Axis { label, size: size(&axis.size, dims, broken, self.nets.report)? })
        });
        let axes: Checked<Vec<Axis>> = axes.collect();
        let element = match &ty.space {
            Some(space) => Element::Index(size(space, dims, broken, self.nets.report)?),
            None => Element::Real,
        };
        Ok(Type { element, axes: axes? })
    }
}
