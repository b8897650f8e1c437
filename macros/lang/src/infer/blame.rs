//! What errors about tensors say besides: where they come from, why equal numbers are not enough, what would mend it.

use super::block::Inference;
use super::typed::{Acts, LayerKind, Operation};
use super::types::Axis;
use super::value::{Tensor, Value};
use crate::report::{Depends, Diagnostic, Place, Reported};
use crate::terms::Term;
use ansatz_shapes::Misfit;

impl<'a> Inference<'a, '_, '_> {
    /// Reports shapes that do not fit, with the history of `tensor`. `callee` took it.
    pub(super) fn misfit(
        &mut self,
        misfit: &Misfit<Axis>,
        callee: &str,
        message: String,
        tensor: &Tensor,
        at: Place,
    ) -> &mut Diagnostic {
        let (sizes, help) = match misfit {
            Misfit::Size { axis, expected, found, .. } => {
                let labels = (&expected.label, &found.label);
                let help = match (labels, self.producer(tensor, *axis)) {
                    ((Some(a), Some(b)), _) if expected.size == found.size => {
                        let mend = super::arithmetic::relabelled(tensor, b, a);
                        mend.unwrap_or_else(|| format!("the axes `{a}` and `{b}` differ"))
                    }
                    (_, Some(producer)) if producer == callee || crate::functions::find(callee).is_some() => {
                        format!("make `{producer}` produce {}", expected.size)
                    }
                    (_, Some(producer)) => {
                        format!("make `{producer}` produce {}, or let `{callee}` take {}", expected.size, found.size)
                    }
                    _ => format!("{} should be {}", found.size, expected.size),
                };
                (vec![(expected.size.clone(), found.size.clone())], help)
            }
            Misfit::Rank { expected, found, .. } => {
                let axes = if *expected == 1 { "axis is" } else { "axes are" };
                (vec![], format!("{expected} {axes} wanted, {found} came"))
            }
            Misfit::Axis { axis, rank } => (vec![], format!("there is no axis {axis} among {rank}")),
        };
        let notes = self.notes(tensor, &sizes);
        let error = self.fault(at, message).depends(Depends::OnShapes);
        error.notes = notes;
        error.help(help)
    }

    /// How the tensor came about, and which sizes are equal numbers of different dimensions.
    pub(super) fn notes(&self, tensor: &Tensor, sizes: &[(Term, Term)]) -> Vec<String> {
        let trail = (!tensor.trail.is_empty()).then(|| tensor.trail.join("  |> "));
        trail.into_iter().chain(confused(sizes)).collect()
    }

    /// The layer that gives the last axis of a tensor its size.
    pub(super) fn producer(&self, tensor: &Tensor, axis: usize) -> Option<String> {
        if axis + 1 != tensor.ty.rank() {
            return None;
        }
        let mut value = tensor.id;
        loop {
            let step = self.body.steps.iter().find(|step| step.results.contains(&value))?;
            value = match &step.operation {
                Operation::Layer { layer, inputs, .. } => match &self.parts.layers[*layer].kind {
                    LayerKind::Unit { acts: Acts::OnImages(_), .. } => return None,
                    LayerKind::Unit { sizes, .. } if sizes.len() > 1 => {
                        return Some(self.parts.layers[*layer].shown.clone());
                    }
                    LayerKind::Unit { .. } => *inputs.first()?,
                    _ => return None,
                },
                // What keeps the shape of what it takes keeps its last axis.
                Operation::Call(call) if self.body.values[*call.tensors.first()?].axes == tensor.ty.axes => {
                    call.tensors[0]
                }
                _ => return None,
            };
        }
    }

    /// Reports something that is no tensor in the place of one.
    pub(super) fn slot(&mut self, callee: &str, value: &Value<'a>, span: Place) -> Reported {
        let net = callee.split('(').next().unwrap_or_default();
        let own = self.nets.names.net(net).and_then(|net| self.nets.names.nets[net].parameters.first());
        let own = own.map_or_else(
            || "a net has its hyper-parameters where it is made: `let f = Net(width = 8);`".to_owned(),
            |own| {
                let (own, value) = (&own.name, value.text());
                format!("a net has its hyper-parameters where it is made: `let f = {net}({own} = {value});`")
            },
        );
        let help = match value {
            Value::Number { .. } | Value::Size(_) => Some(match crate::functions::find(callee) {
                Some(function) if function.rule.takes_numbers() => {
                    "a number stands for a tensor where another real tensor says of which shape"
                }
                Some(_) => "numbers never fill the places of tensors",
                None => &own,
            }),
            Value::List(_) => Some("give the tensors one after the other, without brackets"),
            Value::Tuple(_) => Some("give the tensors one after the other, or bind the parts: `let (a, b) = …;`"),
            _ => None,
        };
        let error = self.fault(span, format!("`{callee}` takes a tensor here, not {}", value.what()));
        if let Some(help) = help {
            error.help(help);
        }
        error.reported()
    }
}

/// A sentence about the first pair of different dimensions that have the same size.
pub(super) fn confused(sizes: &[(Term, Term)]) -> Option<String> {
    let (a, b) = sizes.iter().find(|(a, b)| a.number().is_some() && a.number() == b.number() && a != b)?;
    let number = a.number().unwrap_or_default();
    let named = match (a.as_literal(), b.as_literal()) {
        (None, None) => {
            return Some(format!("`{a}` and `{b}` both have size {number}, but they are different dimensions"));
        }
        (Some(_), _) => b,
        (_, Some(_)) => a,
    };
    let mend = if named.as_atom().is_some() { "; `rename` gives it the name" } else { "" };
    Some(format!("`{named}` has size {number}, but a literal is never equal to a named dimension{mend}"))
}
