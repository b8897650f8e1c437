//! Normalisation of channels, axis 1 of a tensor: `batch_norm`, `group_norm`.

use super::{Init, Model, Slot, Source, Visitor};
use crate::graph::{Binary, Graph, NodeId, StateKind};
use crate::tensor::composite::{back, grouped, moments, scale, standardised};
use crate::tensor::{Axis, ConstDim, Cpu, Float, HasDim, Path, Scope, Shape, Tensor, Var, record};
use crate::{Error, Result};

/// `batch_norm`: (x − mean) / √(variance + eps) of each channel, times the weight `[C]`, plus the bias `[C]` (Ioffe, Szegedy
/// 2015; `torch.nn.BatchNorm1d`, `BatchNorm2d`). In training, mean and variance are those of the batch over all axes but
/// the channels', and the running ones move towards them by the share `momentum`, the variance with n − 1 in place of n;
/// otherwise they are the running ones. Keyed `weight`, `bias`, `running_mean`, `running_var`, which start as 1, 0, 0, 1.
#[derive(Clone, Debug)]
pub struct BatchNorm<C: ConstDim, E: Float = f32> {
    /// The factor of each channel.
    pub weight: Tensor<(C,), E, Cpu>,
    /// What is added to each channel.
    pub bias: Tensor<(C,), E, Cpu>,
    /// The mean of each channel over the batches of the training, which `momentum` weights.
    pub running_mean: Tensor<(C,), E, Cpu>,
    /// The variance of each channel over these batches.
    pub running_var: Tensor<(C,), E, Cpu>,
}

/// `group_norm`: (x − mean) / √(variance + eps) over each group of channels and all axes after them, times the weight
/// `[C]`, plus the bias `[C]` of each channel (Wu, He 2018; `torch.nn.GroupNorm`). Keyed `weight` and `bias`, which start as
/// 1 and 0.
#[derive(Clone, Debug)]
pub struct GroupNorm<C: ConstDim, E: Float = f32> {
    /// The factor of each channel.
    pub weight: Tensor<(C,), E, Cpu>,
    /// What is added to each channel.
    pub bias: Tensor<(C,), E, Cpu>,
}

impl<C: ConstDim, E: Float> BatchNorm<C, E> {
    /// Records the layer.
    pub fn record<S: Shape + HasDim<Axis<1>, Dim = C>>(
        scope: &Scope,
        x: &Var<S, E>,
        eps: f64,
        momentum: f64,
    ) -> Var<S, E> {
        let parameter = |name| scope.parameter::<(C,), E>(name, Default::default()).erase();
        let buffer = |name| scope.state::<(C,), E>(name, StateKind::Buffer, Default::default()).erase();
        let (weight, bias) = (parameter("weight"), parameter("bias"));
        let (running_mean, running_var) = (buffer("running_mean"), buffer("running_var"));
        let operands = [x.erased(), &weight, &bias, &running_mean, &running_var];
        let training = scope.training();
        record(&operands, *x.shape(), &|g, operands| {
            let &[x, weight, bias, running_mean, running_var] = operands else {
                unreachable!("five operands are recorded")
            };
            let others = others(g, x);
            if !training {
                let center = back(g, running_mean, x, &others)?;
                let centered = g.binary(Binary::Sub, x, center)?;
                let y = standardised(g, centered, running_var, eps, &others)?;
                return affine(g, y, weight, bias);
            }
            let count: usize = others.iter().map(|&axis| g[x].dims[axis]).product();
            if count < 2 {
                return Err(Error::shape(
                    "batch_norm",
                    "a batch of one element a channel has no variance; train on more samples or larger images, or leave \
                     a last batch of one out by `Builder::drop_last`",
                ));
            }
            let (mean, centered, variance) = moments(g, x, &others)?;
            let unbiased = scale(g, variance, count as f64 / (count - 1) as f64)?;
            track(g, running_mean, mean, momentum)?;
            track(g, running_var, unbiased, momentum)?;
            let y = standardised(g, centered, variance, eps, &others)?;
            affine(g, y, weight, bias)
        })
    }
}

impl<C: ConstDim, E: Float> GroupNorm<C, E> {
    /// Records the layer; `groups` divides the number of channels.
    pub fn record<S: Shape + HasDim<Axis<1>, Dim = C>>(
        scope: &Scope,
        x: &Var<S, E>,
        groups: usize,
        eps: f64,
    ) -> Var<S, E> {
        let weight = scope.parameter::<(C,), E>("weight", Default::default());
        let bias = scope.parameter::<(C,), E>("bias", Default::default());
        record(&[x.erased(), weight.erased(), bias.erased()], *x.shape(), &|g, operands| {
            let &[x, weight, bias] = operands else { unreachable!("three operands are recorded") };
            let y = grouped(g, x, groups, eps)?;
            affine(g, y, weight, bias)
        })
    }
}

/// All axes but the channels'.
fn others(g: &Graph, x: NodeId) -> Vec<usize> {
    (0..g[x].dims.len()).filter(|&axis| axis != 1).collect()
}

/// A running statistic after one more value: of several uses of a layer each adds its own.
fn track(g: &mut Graph, running: NodeId, value: NodeId, momentum: f64) -> Result<()> {
    let before = g.state_of(running).and_then(|slot| slot.update).unwrap_or(running);
    // The statistics of a batch are constants to whoever differentiates what follows.
    let value = g.stop_gradient(value);
    let kept = scale(g, before, 1.0 - momentum)?;
    let new = scale(g, value, momentum)?;
    let after = g.binary(Binary::Add, kept, new)?;
    g.update(running, after)
}

/// y · weight + bias along the channels.
fn affine(g: &mut Graph, y: NodeId, weight: NodeId, bias: NodeId) -> Result<NodeId> {
    let others = others(g, y);
    let weight = back(g, weight, y, &others)?;
    let bias = back(g, bias, y, &others)?;
    let y = g.binary(Binary::Mul, y, weight)?;
    g.binary(Binary::Add, y, bias)
}

impl<C: ConstDim, E: Float> Model<E> for BatchNorm<C, E> {
    const PARAMETERS: usize = 2 * C::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.extend([weight_slot::<C>(path), bias_slot::<C>(path), mean_slot::<C>(path), var_slot::<C>(path)]);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(BatchNorm {
            weight: weight_slot::<C>(path).build(source)?,
            bias: bias_slot::<C>(path).build(source)?,
            running_mean: mean_slot::<C>(path).build(source)?,
            running_var: var_slot::<C>(path).build(source)?,
        })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<C>(path), &self.weight)?;
        visitor.tensor(&bias_slot::<C>(path), &self.bias)?;
        visitor.tensor(&mean_slot::<C>(path), &self.running_mean)?;
        visitor.tensor(&var_slot::<C>(path), &self.running_var)
    }
}

impl<C: ConstDim, E: Float> Model<E> for GroupNorm<C, E> {
    const PARAMETERS: usize = 2 * C::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.extend([weight_slot::<C>(path), bias_slot::<C>(path)]);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(GroupNorm { weight: weight_slot::<C>(path).build(source)?, bias: bias_slot::<C>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<C>(path), &self.weight)?;
        visitor.tensor(&bias_slot::<C>(path), &self.bias)
    }
}

fn weight_slot<C: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(C,)>(path, "weight", StateKind::Parameter, Init::Constant(1.0), false)
}

fn bias_slot<C: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(C,)>(path, "bias", StateKind::Parameter, Init::Constant(0.0), false)
}

fn mean_slot<C: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(C,)>(path, "running_mean", StateKind::Buffer, Init::Constant(0.0), false)
}

fn var_slot<C: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(C,)>(path, "running_var", StateKind::Buffer, Init::Constant(1.0), false)
}
