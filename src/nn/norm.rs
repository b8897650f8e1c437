//! Normalisation over the last axis.

use super::{Init, Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::{Binary, Graph, NodeId, StateKind, Unary};
use crate::tensor::composite::{back, mean, standardised, var};
use crate::tensor::{ConstDim, Cpu, EndsWith, Float, Path, Scope, Tensor, Var, record};

/// `layer_norm`: (x − mean) / √(variance + eps) over the last axis, times the weight `[D]`, plus the bias `[D]`, keyed
/// `weight` and `bias`, which start as 1 and 0 (Ba, Kiros, Hinton 2016; `torch.nn.LayerNorm`).
#[derive(Clone, Debug)]
pub struct LayerNorm<D: ConstDim, E: Float = f32> {
    /// The factor of each feature.
    pub weight: Tensor<(D,), E, Cpu>,
    /// What is added to each feature.
    pub bias: Tensor<(D,), E, Cpu>,
}

/// `rms_norm`: x / √(mean of x² + eps) over the last axis, times the weight `[D]`, keyed `weight`, which starts as 1 (Zhang,
/// Sennrich 2019; `torch.nn.RMSNorm` with this `eps`).
#[derive(Clone, Debug)]
pub struct RmsNorm<D: ConstDim, E: Float = f32> {
    /// The factor of each feature.
    pub weight: Tensor<(D,), E, Cpu>,
}

impl<D: ConstDim, E: Float> LayerNorm<D, E> {
    /// Records the layer.
    pub fn record<S: EndsWith<D>>(scope: &Scope, x: &Var<S, E>, eps: f64) -> Var<S, E> {
        let weight = scope.parameter::<(D,), E>("weight", Default::default());
        let bias = scope.parameter::<(D,), E>("bias", Default::default());
        record(&[&x.erase(), &weight.erase(), &bias.erase()], *x.shape(), &|g, operands| {
            let &[x, weight, bias] = operands else { unreachable!("three operands are recorded") };
            let last = [g[x].dims.len() - 1];
            let (center, variance) = (mean(g, x, &last)?, var(g, x, &last, false)?);
            let center = back(g, center, x, &last)?;
            let centered = g.binary(Binary::Sub, x, center)?;
            let y = standardised(g, centered, variance, eps, &last)?;
            let y = along_features(g, Binary::Mul, y, weight)?;
            along_features(g, Binary::Add, y, bias)
        })
    }
}

impl<D: ConstDim, E: Float> RmsNorm<D, E> {
    /// Records the layer.
    pub fn record<S: EndsWith<D>>(scope: &Scope, x: &Var<S, E>, eps: f64) -> Var<S, E> {
        let weight = scope.parameter::<(D,), E>("weight", Default::default());
        record(&[&x.erase(), &weight.erase()], *x.shape(), &|g, operands| {
            let &[x, weight] = operands else { unreachable!("two operands are recorded") };
            let square = g.unary(Unary::Square, x)?;
            let last = [g[x].dims.len() - 1];
            let power = mean(g, square, &last)?;
            let y = standardised(g, x, power, eps, &last)?;
            along_features(g, Binary::Mul, y, weight)
        })
    }
}

/// Joins every row of x with a vector of features.
fn along_features(g: &mut Graph, op: Binary, x: NodeId, features: NodeId) -> Result<NodeId> {
    let leading: Vec<usize> = (0..g[x].dims.len() - 1).collect();
    let features = back(g, features, x, &leading)?;
    g.binary(op, x, features)
}

impl<D: ConstDim, E: Float> Model<E> for LayerNorm<D, E> {
    const PARAMETERS: usize = 2 * D::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.extend([weight_slot::<D>(path), bias_slot::<D>(path)]);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(LayerNorm { weight: weight_slot::<D>(path).build(source)?, bias: bias_slot::<D>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<D>(path), &self.weight)?;
        visitor.tensor(&bias_slot::<D>(path), &self.bias)
    }
}

impl<D: ConstDim, E: Float> Model<E> for RmsNorm<D, E> {
    const PARAMETERS: usize = D::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.push(weight_slot::<D>(path));
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(RmsNorm { weight: weight_slot::<D>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<D>(path), &self.weight)
    }
}

fn weight_slot<D: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(D,)>(path, "weight", StateKind::Parameter, Init::Constant(1.0), false)
}

fn bias_slot<D: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(D,)>(path, "bias", StateKind::Parameter, Init::Constant(0.0), false)
}
