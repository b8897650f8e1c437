//! Convolutions of images.

use super::{Init, Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::{Binary, Conv, Graph, NodeId, Pass, StateKind};
use crate::tensor::{ConstDim, Cpu, Float, Path, Scope, Shape, Tensor, Var, record};

/// How a kernel slides over rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slide {
    /// From one position to the next.
    pub stride: [usize; 2],
    /// From one tap of the kernel to the next.
    pub dilation: [usize; 2],
    /// Zeros before the first row and column.
    pub before: [usize; 2],
    /// Zeros behind the last row and column.
    pub after: [usize; 2],
    /// Parts of the channels that are convolved each by itself.
    pub groups: usize,
}

/// `conv2d(O)`: every position of the result `[n, O, h', w']` is the sum over the channels and taps of a kernel that lies on
/// the image `[n, g · C, h, w]` there, plus the bias (`torch.nn.Conv2d`). Weights are `[O, C, KH, KW]` with the C channels of
/// one of g groups, the bias is `[O]`, keyed `weight` and `bias`; both start uniform on ±1/√(C · KH · KW), as in PyTorch.
#[derive(Clone, Debug)]
pub struct Conv2d<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim, E: Float = f32> {
    /// The weights.
    pub weight: Tensor<(O, C, KH, KW), E, Cpu>,
    /// The bias.
    pub bias: Tensor<(O,), E, Cpu>,
}

/// `conv2d(O, bias = false)`: as [`Conv2d`], without a bias.
#[derive(Clone, Debug)]
pub struct UnbiasedConv2d<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim, E: Float = f32> {
    /// The weights.
    pub weight: Tensor<(O, C, KH, KW), E, Cpu>,
}

impl<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim, E: Float> Conv2d<C, O, KH, KW, E> {
    /// Records the layer; `shape` is that of the result.
    pub fn record<S: Shape, Dst: Shape>(scope: &Scope, x: &Var<S, E>, shape: Dst, slide: Slide) -> Var<Dst, E> {
        let weight = scope.parameter::<(O, C, KH, KW), E>("weight", Default::default());
        let bias = scope.parameter::<(O,), E>("bias", Default::default());
        record(&[&x.erase(), &weight.erase(), &bias.erase()], shape, &|g, n| convolve(g, n, slide))
    }
}

impl<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim, E: Float> UnbiasedConv2d<C, O, KH, KW, E> {
    /// Records the layer; `shape` is that of the result.
    pub fn record<S: Shape, Dst: Shape>(scope: &Scope, x: &Var<S, E>, shape: Dst, slide: Slide) -> Var<Dst, E> {
        let weight = scope.parameter::<(O, C, KH, KW), E>("weight", Default::default());
        record(&[&x.erase(), &weight.erase()], shape, &|g, n| convolve(g, n, slide))
    }
}

impl<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim, E: Float> Model<E> for Conv2d<C, O, KH, KW, E> {
    const PARAMETERS: usize = O::SIZE * C::SIZE * KH::SIZE * KW::SIZE + O::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.extend([weight_slot::<C, O, KH, KW>(path), bias_slot::<C, O, KH, KW>(path)]);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        let weight = weight_slot::<C, O, KH, KW>(path).build(source)?;
        Ok(Conv2d { weight, bias: bias_slot::<C, O, KH, KW>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<C, O, KH, KW>(path), &self.weight)?;
        visitor.tensor(&bias_slot::<C, O, KH, KW>(path), &self.bias)
    }
}

impl<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim, E: Float> Model<E> for UnbiasedConv2d<C, O, KH, KW, E> {
    const PARAMETERS: usize = O::SIZE * C::SIZE * KH::SIZE * KW::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.push(weight_slot::<C, O, KH, KW>(path));
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(UnbiasedConv2d { weight: weight_slot::<C, O, KH, KW>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<C, O, KH, KW>(path), &self.weight)
    }
}

fn weight_slot<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim>(path: &Path) -> Slot {
    let init = default_init(C::SIZE * KH::SIZE * KW::SIZE);
    Slot::new::<(O, C, KH, KW)>(path, "weight", StateKind::Parameter, init, true)
}

fn bias_slot<C: ConstDim, O: ConstDim, KH: ConstDim, KW: ConstDim>(path: &Path) -> Slot {
    let init = default_init(C::SIZE * KH::SIZE * KW::SIZE);
    Slot::new::<(O,)>(path, "bias", StateKind::Parameter, init, false)
}

/// PyTorch's default, uniform on ±1/√(fan in).
fn default_init(fan_in: usize) -> Init {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    Init::Uniform(-bound, bound)
}

/// Operands: x, the weights, and the bias if there is one.
fn convolve(g: &mut Graph, operands: &[NodeId], slide: Slide) -> Result<NodeId> {
    let &[x, weight, ref bias @ ..] = operands else { unreachable!("both callers give x and the weights") };
    let plane = |node: NodeId| -> [usize; 2] {
        let dims = &g[node].dims;
        [dims[dims.len() - 2], dims[dims.len() - 1]]
    };
    let Slide { stride, dilation, before, after, groups } = slide;
    let conv = Conv { size: plane(x), kernel: plane(weight), stride, dilation, before, after, groups };
    let y = g.conv(Pass::Forward, conv, x, weight)?;
    match bias {
        &[bias] => {
            let dims = g[y].dims.clone();
            let bias = g.broadcast(bias, &[0, 2, 3], &dims)?;
            g.binary(Binary::Add, y, bias)
        }
        _ => Ok(y),
    }
}
