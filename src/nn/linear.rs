//! Linear layers: x · Wᵀ + b over the last axis.

use super::{Init, Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::{Binary, Graph, NodeId, StateKind};
use crate::tensor::{ConstDim, Cpu, EndsWith, Float, Path, Scope, Tensor, Var, record};

/// `linear(O)`: x · Wᵀ + b over the last axis, with weights `[O, I]` and bias `[O]`, keyed `weight` and `bias`. Both start
/// uniform on ±1/√I, as in PyTorch.
#[derive(Clone, Debug)]
pub struct Linear<I: ConstDim, O: ConstDim, E: Float = f32> {
    /// The weights W.
    pub weight: Tensor<(O, I), E, Cpu>,
    /// The bias b.
    pub bias: Tensor<(O,), E, Cpu>,
}

/// `linear(O, bias = false)`: x · Wᵀ over the last axis, with weights [O, I], keyed `weight`. They start uniform on
/// ±1/√I, as in PyTorch.
#[derive(Clone, Debug)]
pub struct UnbiasedLinear<I: ConstDim, O: ConstDim, E: Float = f32> {
    /// The weights W.
    pub weight: Tensor<(O, I), E, Cpu>,
}

impl<I: ConstDim, O: ConstDim, E: Float> Linear<I, O, E> {
    /// Records the layer; every leading axis is kept.
    pub fn record<S: EndsWith<I>>(scope: &Scope, x: &Var<S, E>) -> Var<S::With<O>, E> {
        let weight = scope.parameter::<(O, I), E>("weight", Default::default());
        let bias = scope.parameter::<(O,), E>("bias", Default::default());
        record(&[&x.erase(), &weight.erase(), &bias.erase()], x.shape().with(O::default()), &affine)
    }

    /// Multiply-adds for one position of the leading axes.
    pub const MULTIPLY_ADDS: u64 = I::SIZE as u64 * O::SIZE as u64;
}

impl<I: ConstDim, O: ConstDim, E: Float> UnbiasedLinear<I, O, E> {
    /// Records the layer; every leading axis is kept.
    pub fn record<S: EndsWith<I>>(scope: &Scope, x: &Var<S, E>) -> Var<S::With<O>, E> {
        let weight = scope.parameter::<(O, I), E>("weight", Default::default());
        record(&[&x.erase(), &weight.erase()], x.shape().with(O::default()), &affine)
    }

    /// Multiply-adds for one position of the leading axes.
    pub const MULTIPLY_ADDS: u64 = I::SIZE as u64 * O::SIZE as u64;
}

impl<I: ConstDim, O: ConstDim, E: Float> Model<E> for Linear<I, O, E> {
    const PARAMETERS: usize = O::SIZE * I::SIZE + O::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.extend([weight_slot::<I, O>(path), bias_slot::<I, O>(path)]);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(Linear { weight: weight_slot::<I, O>(path).build(source)?, bias: bias_slot::<I, O>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<I, O>(path), &self.weight)?;
        visitor.tensor(&bias_slot::<I, O>(path), &self.bias)
    }
}

impl<I: ConstDim, O: ConstDim, E: Float> Model<E> for UnbiasedLinear<I, O, E> {
    const PARAMETERS: usize = O::SIZE * I::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.push(weight_slot::<I, O>(path));
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(UnbiasedLinear { weight: weight_slot::<I, O>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<I, O>(path), &self.weight)
    }
}

fn weight_slot<I: ConstDim, O: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(O, I)>(path, "weight", StateKind::Parameter, default_init(I::SIZE), true)
}

fn bias_slot<I: ConstDim, O: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(O,)>(path, "bias", StateKind::Parameter, default_init(I::SIZE), false)
}

/// PyTorch's default: Kaiming uniform with a = √5, which is uniform on ±1/√(fan in).
fn default_init(fan_in: usize) -> Init {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    Init::Uniform(-bound, bound)
}

/// Operands: x [.., I], the weights [O, I], and the bias [O] if there is one. Leading axes are merged for the product.
pub(super) fn affine(g: &mut Graph, operands: &[NodeId]) -> Result<NodeId> {
    let &[x, weight, ref bias @ ..] = operands else { unreachable!("both callers give x and the weights") };
    let mut dims = g[x].dims.clone();
    let inputs = dims.pop().expect("EndsWith promises a last axis");
    let rows: usize = dims.iter().product();
    let outputs = g[weight].dims[0];
    dims.push(outputs);
    let x = g.reshape(x, &[rows, inputs])?;
    let mut y = g.matmul(x, weight, [false, true])?;
    if let &[bias] = bias {
        let bias = g.broadcast(bias, &[0], &[rows, outputs])?;
        y = g.binary(Binary::Add, y, bias)?;
    }
    g.reshape(y, &dims)
}
