//! The functions of the language: which rule each follows, and the simple rules.

use super::arguments::{Gift, Given};
use super::block::Inference;
use super::typed::{Argument, Call};
use super::types::{Element, Type};
use super::value::{LayerValue, Tensor, Value};
use crate::functions::runtime::{CONSTANT, POWF, TO_FLOAT};
use crate::functions::{Function, Rule, Runtime};
use crate::report::{Checked, Place};

impl<'a> Inference<'a, '_, '_> {
    /// Applies a function to its tensors; there are as many as it takes.
    pub(super) fn function(
        &mut self,
        function: &'static Function,
        layer: &LayerValue<'a>,
        tensors: Vec<(Tensor, Place)>,
        given: &Given<'a>,
        at: Place,
    ) -> Checked<Value<'a>> {
        let all: Vec<Tensor> = tensors.iter().map(|(tensor, _)| tensor.clone()).collect();
        let tensor = match (function.rule, all.as_slice()) {
            (Rule::Map, [x]) => {
                self.reals(function.name, x, at)?;
                self.map(&function.runtime, &[x], function.values(given), x.ty.clone(), at)
            }
            (Rule::Pair, [a, b]) => {
                self.reals(function.name, a, at)?;
                self.reals(function.name, b, at)?;
                self.pair(function.name, &function.runtime, a, b, Element::Real, at)
            }
            (Rule::Power, [x]) => {
                self.reals(function.name, x, at)?;
                match given.get("exponent") {
                    Some(Gift::Tensor(exponent, _)) => {
                        self.reals(function.name, exponent, at)?;
                        self.pair("pow", &function.runtime, x, exponent, Element::Real, at)
                    }
                    Some(Gift::Number(_)) => self.map(&POWF, &[x], function.values(given), x.ty.clone(), at),
                    _ => self.unexplained(at),
                }
            }
            (Rule::Select, [condition, yes, no]) => self.select(condition, yes, no, at),
            (Rule::ToReal, [x]) => match &x.ty.element {
                Element::Real => self.fail(at, "`to_real` takes truth values or indices, but is given real numbers"),
                _ => self.tensor(Call::new(&TO_FLOAT, [x]), x.ty.of(Element::Real), at),
            },
            (Rule::Reduce, [x]) => self.reduce(function, x, given, at),
            (Rule::Argmax, [x]) => self.argmax(x, given, at),
            (Rule::Along, [x]) => self.along(function, x, given, at),
            (Rule::Linear, [x]) => self.linear(layer, x, given, at),
            (Rule::Embedding, [x]) => self.embedding(layer, x, given, at),
            (Rule::Gather, [table, index]) => self.gather(table, index, at),
            (Rule::Checkpoint, [x]) => self.checkpoint(x, given, at),
            (Rule::Positions, []) => self.positions(given, at),
            (Rule::Norm, [x]) => self.norm(function, layer, x, given, at),
            (Rule::Pool, [x]) => self.pool(function, x, given, at),
            (Rule::Upsample, [x]) => self.upsample(x, given, at),
            (Rule::ChannelNorm, [x]) => self.channel_norm(function, layer, x, given, at),
            (Rule::Dropout, [x]) => self.dropout(function, layer, x, given, at),
            (Rule::CrossEntropy, [logits, target]) => self.cross_entropy(function, logits, target, given, at),
            (Rule::PairLoss, [a, b]) => self.pair_loss(function, a, b, at),
            (Rule::Draw, []) => self.draw(function, layer, given, at),
            (Rule::Freeze, _) => return self.freeze(tensors, given, at),
            (Rule::Spline | Rule::Affine, [x, parameters]) => {
                return self.transform(function, x, parameters, given, at);
            }
            (Rule::Bijection, [x]) => {
                let (y, log_det) = self.bijection(layer, x, false, at)?;
                let log_det = self.known(log_det, at)?;
                return Ok(Value::Tuple(vec![(None, Value::Tensor(y)), (None, Value::Tensor(log_det))]));
            }
            (Rule::Permutation, [x]) => self.permutation(function, x, given, false, at),
            (Rule::Clouds, [x, y]) => self.clouds(function, layer, x, y, given, at),
            (Rule::Path, [s]) => return self.path(function, s, given, at),
            (Rule::Ode | Rule::Cnf, [x]) => return self.ode(function, layer, x, given, at),
            (Rule::Varying, [x, s]) => self.varying(x, s, given, at),
            (Rule::Attention, [q, k, v]) => self.attention(function, [q, k, v], given, at),
            (Rule::Rotary, [x]) => self.rotary(function, x, given, at),
            (Rule::Concat, _) => self.concat(&all, given, at),
            (Rule::Stack, _) => self.stack(&all, at),
            (Rule::Conv, [x]) => self.conv(function, layer, x, given, at),
            (Rule::Split, [x]) => return self.split(x, given, at),
            (Rule::Slice, [x]) => self.slice(x, given, at),
            (Rule::Pad, [x]) => self.pad(x, given, at),
            (Rule::Flatten, [x]) => self.flatten(x, given, at),
            (Rule::Reshape, [x]) => self.reshape(function, x, given, at),
            (Rule::OneHot, [x]) => self.one_hot(x, at),
            _ => unreachable!("the number of tensors was checked"),
        };
        tensor.map(Value::Tensor)
    }

    /// An elementwise step on tensors of one shape.
    pub(super) fn map(
        &mut self,
        of: &'static Runtime,
        inputs: &[&Tensor],
        values: Vec<(&'static str, Argument)>,
        ty: Type,
        at: Place,
    ) -> Checked<Tensor> {
        self.tensor(Call::new(of, inputs.iter().copied()).with_all(values), ty, at)
    }

    /// A number in the shape of a tensor.
    pub(super) fn constant(&mut self, like: &Tensor, value: Argument, at: Place) -> Checked<Tensor> {
        self.tensor(Call::new(&CONSTANT, [like]).with("value", value), like.ty.clone(), at)
    }

    /// Checks that a tensor holds reals.
    pub(super) fn reals(&mut self, callee: &str, tensor: &Tensor, at: Place) -> Checked<()> {
        if tensor.ty.element == Element::Real {
            return Ok(());
        }
        let (element, truth) = (tensor.ty.element.clone(), tensor.ty.element == Element::Truth);
        let notes = self.notes(tensor, &[]);
        let error = self.fault(at, format!("`{callee}` takes real numbers, but is given {element}"));
        error.notes = notes;
        if truth {
            error.help("`to_real(…)` makes truth values 1 and 0");
        }
        error.fail()
    }
}
