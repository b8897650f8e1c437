//! Convolutions and their transposes.

use super::{Init, Model, Slot, Source, Visitor};
use crate::graph::{Binary, Conv, Graph, NodeId, Pass, StateKind};
use crate::tensor::{ConstDim, ConstShape, Cpu, Float, Path, Scope, Shape, Tensor, Var, record};
use crate::{Error, Result};

/// How a kernel slides over rows and columns; over one axis, along a single row.
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

macro_rules! layers {
    ($(
        $(#[$doc:meta])*
        $biased:ident, $unbiased:ident <$($size:ident),*> $(, $extra:ident)?:
        weight ($($axis:ident),*), bias $bias:ident, $pass:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $biased<$($size: ConstDim,)* $($extra: ConstDim,)? E: Float = f32> {
            /// The weights.
            pub weight: Tensor<($($axis,)*), E, Cpu>,
            /// The bias.
            pub bias: Tensor<($bias,), E, Cpu>,
        }

        #[doc = concat!("With `bias = false`: as [`", stringify!($biased), "`], without a bias.")]
        #[derive(Clone, Debug)]
        pub struct $unbiased<$($size: ConstDim,)* E: Float = f32> {
            /// The weights.
            pub weight: Tensor<($($axis,)*), E, Cpu>,
        }

        impl<$($size: ConstDim,)* $($extra: ConstDim,)? E: Float> $biased<$($size,)* $($extra,)? E> {
            /// Records the layer; `shape` is that of the result.
            pub fn record<S: Shape, Dst: Shape>(scope: &Scope, x: &Var<S, E>, shape: Dst, slide: Slide) -> Var<Dst, E> {
                let weight = scope.parameter::<($($axis,)*), E>("weight", Default::default());
                let bias = scope.parameter::<($bias,), E>("bias", Default::default());
                let operands = [&x.erase(), &weight.erase(), &bias.erase()];
                record(&operands, shape, &|g, n| convolve(g, n, $pass, shape.concrete().into(), slide))
            }
        }

        impl<$($size: ConstDim,)* E: Float> $unbiased<$($size,)* E> {
            /// Records the layer; `shape` is that of the result.
            pub fn record<S: Shape, Dst: Shape>(scope: &Scope, x: &Var<S, E>, shape: Dst, slide: Slide) -> Var<Dst, E> {
                let weight = scope.parameter::<($($axis,)*), E>("weight", Default::default());
                record(&[&x.erase(), &weight.erase()], shape, &|g, n| convolve(g, n, $pass, shape.concrete().into(), slide))
            }
        }

        impl<$($size: ConstDim,)* $($extra: ConstDim,)? E: Float> Model<E> for $biased<$($size,)* $($extra,)? E> {
            const PARAMETERS: usize = $unbiased::<$($size,)* E>::PARAMETERS + $bias::SIZE;

            fn describe(path: &Path, slots: &mut Vec<Slot>) {
                slots.extend([weight_slot::<($($axis,)*)>(path), bias_slot::<($($axis,)*), ($bias,)>(path)]);
            }

            fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
                let weight = weight_slot::<($($axis,)*)>(path).build(source)?;
                Ok($biased { weight, bias: bias_slot::<($($axis,)*), ($bias,)>(path).build(source)? })
            }

            fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
                visitor.tensor(&weight_slot::<($($axis,)*)>(path), &self.weight)?;
                visitor.tensor(&bias_slot::<($($axis,)*), ($bias,)>(path), &self.bias)
            }
        }

        impl<$($size: ConstDim,)* E: Float> Model<E> for $unbiased<$($size,)* E> {
            const PARAMETERS: usize = 1 $(* $axis::SIZE)*;

            fn describe(path: &Path, slots: &mut Vec<Slot>) {
                slots.push(weight_slot::<($($axis,)*)>(path));
            }

            fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
                Ok($unbiased { weight: weight_slot::<($($axis,)*)>(path).build(source)? })
            }

            fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
                visitor.tensor(&weight_slot::<($($axis,)*)>(path), &self.weight)
            }
        }
    )*};
}

layers! {
    /// `conv1d(O)`: as [`Conv2d`] along one axis, `[n, g · C, t]` (`torch.nn.Conv1d`). Weights are `[O, C, K]`.
    Conv1d, UnbiasedConv1d<C, O, K>: weight (O, C, K), bias O, Pass::Forward;

    /// `conv2d(O)`: every position of the result `[n, O, h', w']` is the sum over the channels and taps of a kernel that lies
    /// on the image `[n, g · C, h, w]` there, plus the bias (`torch.nn.Conv2d`). Weights are `[O, C, KH, KW]` with the C
    /// channels of one of g groups, the bias is `[O]`, keyed `weight` and `bias`; both start uniform on ±1/√(C · KH · KW), as
    /// in PyTorch.
    Conv2d, UnbiasedConv2d<C, O, KH, KW>: weight (O, C, KH, KW), bias O, Pass::Forward;

    /// `conv_transpose1d(B)`: as [`ConvTranspose2d`] along one axis, `[n, C, t]` (`torch.nn.ConvTranspose1d`). Weights are
    /// `[C, O, K]`.
    ConvTranspose1d, UnbiasedConvTranspose1d<C, O, K>, B: weight (C, O, K), bias B, Pass::Data;

    /// `conv_transpose2d(B)`: every position of the image `[n, C, h, w]` lays its multiple of a kernel on the result
    /// `[n, B, h', w']`, where they are added, and the bias to them (`torch.nn.ConvTranspose2d`). Weights are
    /// `[C, O, KH, KW]` with the O channels that one of g groups gives, B = g · O; the bias is `[B]`. Both start uniform on
    /// ±1/√(O · KH · KW), as in PyTorch.
    ConvTranspose2d, UnbiasedConvTranspose2d<C, O, KH, KW>, B: weight (C, O, KH, KW), bias B, Pass::Data;
}

fn weight_slot<W: ConstShape>(path: &Path) -> Slot {
    Slot::new::<W>(path, "weight", StateKind::Parameter, default_init::<W>(), true)
}

fn bias_slot<W: ConstShape, B: ConstShape>(path: &Path) -> Slot {
    Slot::new::<B>(path, "bias", StateKind::Parameter, default_init::<W>(), false)
}

/// PyTorch's default, uniform on ±1/√(fan in), where the fan in of weights is what lies behind their first axis.
fn default_init<W: ConstShape>() -> Init {
    let dims: Vec<usize> = W::default().concrete().into();
    let fan_in: usize = dims[1..].iter().product();
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    Init::Uniform(-bound, bound)
}

/// Operands: x, the weights, and the bias if there is one; `dims` is the shape of the result.
fn convolve(g: &mut Graph, operands: &[NodeId], pass: Pass, dims: Vec<usize>, slide: Slide) -> Result<NodeId> {
    let &[x, weight, ref bias @ ..] = operands else { unreachable!("both callers give x and the weights") };
    let [x, weight] = [plane(g, x)?, plane(g, weight)?];
    let rows_and_columns = |dims: &[usize]| match *dims {
        [_, _, h, w] => Ok([h, w]),
        [_, _, t] => Ok([1, t]),
        _ => Err(Error::shape("a convolution", format!("takes images or rows of channels, not {dims:?}"))),
    };
    let image = if pass == Pass::Forward { &g[x].dims } else { &dims };
    let (size, kernel) = (rows_and_columns(image)?, rows_and_columns(&g[weight].dims)?);
    let Slide { stride, dilation, before, after, groups } = slide;
    let conv = Conv { size, kernel, stride, dilation, before, after, groups };
    let y = g.conv(pass, conv, x, weight)?;
    let y = g.reshape(y, &dims)?;
    match bias {
        &[bias] => {
            let axes: Vec<usize> = (0..dims.len()).filter(|&axis| axis != 1).collect();
            let bias = g.broadcast(bias, &axes, &dims)?;
            g.binary(Binary::Add, y, bias)
        }
        _ => Ok(y),
    }
}

/// Images as they are, rows as images of one row.
fn plane(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    match *g[x].dims {
        [n, c, t] => g.reshape(x, &[n, c, 1, t]),
        _ => Ok(x),
    }
}
