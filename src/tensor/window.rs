//! Functions of images: pooling and up-sampling of the last one or two axes, normalisation of each channel.

use super::composite::{self, clamp, compare_with, scale};
use super::var::record;
use super::{Float, Shape, Var};
use crate::graph::{Binary, Compare, DType, Graph, NodeId, Pool, Unary, Window};
use crate::{Error, Result};

/// Windows over the last axes of a tensor, one number for each of these axes (one or two).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows<'a> {
    /// The size of a window.
    pub kernel: &'a [usize],
    /// From one window to the next.
    pub stride: &'a [usize],
    /// How far the first and last windows reach over the edge, at most half of their size.
    pub padding: &'a [usize],
}

/// The greatest element of each window; `shape` is that of x with ⌊(size + 2 padding − kernel) / stride⌋ + 1 for the
/// axes of the windows. What lies outside does not count; the derivative goes to the first of equals, as in PyTorch.
pub fn max_pool<S: Shape, Dst: Shape, E: Float>(x: &Var<S, E>, shape: Dst, windows: Windows<'_>) -> Var<Dst, E> {
    record(&[x.erased()], shape, &|g, n| pooled(g, n[0], windows, &|g, x, window| g.pool(Pool::Max, window, &[x])))
}

/// The mean of each window, with zeros outside that count if `count_padding` and otherwise do not (`count_include_pad`
/// of PyTorch); `shape` as for [`max_pool`].
pub fn avg_pool<S: Shape, Dst: Shape, E: Float>(
    x: &Var<S, E>,
    shape: Dst,
    windows: Windows<'_>,
    count_padding: bool,
) -> Var<Dst, E> {
    record(&[x.erased()], shape, &|g, n| {
        pooled(g, n[0], windows, &|g, x, window| {
            let sum = g.pool(Pool::Sum, window, &[x])?;
            if count_padding || window.padding == [0, 0] {
                return scale(g, sum, 1.0 / (window.kernel[0] * window.kernel[1]) as f64);
            }
            let ones = g.constant(1.0, &window.size, g[x].dtype);
            let count = g.pool(Pool::Sum, window, &[ones])?;
            let dims = g[sum].dims.clone();
            let count = g.broadcast(count, &(0..dims.len() - 2).collect::<Vec<_>>(), &dims)?;
            g.binary(Binary::Div, sum, count)
        })
    })
}

/// Every element of the last two axes repeated to blocks of `factor` × `factor`; `shape` is that of x with these axes
/// `factor` times as long (`torch.nn.Upsample(mode = "nearest")`).
pub fn upsample_nearest<S: Shape, Dst: Shape, E: Float>(x: &Var<S, E>, shape: Dst, factor: usize) -> Var<Dst, E> {
    record(&[x.erased()], shape, &|g, n| {
        let [h, w] = plane(g, n[0])?;
        g.pool(Pool::Spread, Window::blocks([h * factor, w * factor], [factor, factor]), &[n[0]])
    })
}

/// Linear interpolation along the last two axes between the centres of the elements; `shape` as for
/// [`upsample_nearest`] (`torch.nn.Upsample(mode = "bilinear", align_corners = False)`).
pub fn upsample_bilinear<S: Shape, Dst: Shape, E: Float>(x: &Var<S, E>, shape: Dst, factor: usize) -> Var<Dst, E> {
    record(&[x.erased()], shape, &|g, n| {
        let [h, w] = plane(g, n[0])?;
        let (dims, dtype) = (g[n[0]].dims.clone(), g[n[0]].dtype);
        let planes = dims[..dims.len() - 2].iter().product();
        // Down the columns, then along the rows: y = A_h · x · A_wᵀ for each plane.
        let down = interpolation(g, h, factor, dtype)?;
        let down = g.broadcast(down, &[0], &[planes, h * factor, h])?;
        let x = g.reshape(n[0], &[planes, h, w])?;
        let x = g.matmul(down, x, [false, false])?;
        let x = g.reshape(x, &[planes * h * factor, w])?;
        let along = interpolation(g, w, factor, dtype)?;
        let y = g.matmul(x, along, [false, true])?;
        g.reshape(y, &[&dims[..dims.len() - 2], &[h * factor, w * factor]].concat())
    })
}

/// `instance_norm`: (x − mean) / √(variance + eps) over all axes after the channels, without parameters (Ulyanov et al.
/// 2016; `torch.nn.InstanceNorm2d`).
pub fn instance_norm<S: Shape, E: Float>(x: &Var<S, E>, eps: f64) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, operands| {
        let channels = g[operands[0]].dims.get(1).copied().unwrap_or(0);
        composite::grouped(g, operands[0], channels, eps)
    })
}

/// The matrix `[factor · size, size]` whose row i has the weights of the elements around (i + ½) / factor − ½, which is
/// moved to the nearest element where it lies outside.
fn interpolation(g: &mut Graph, size: usize, factor: usize, dtype: DType) -> Result<NodeId> {
    let dims = [factor * size, size];
    let position = |g: &mut Graph, axis| {
        let position = g.iota(&dims, axis)?;
        Ok::<_, Error>(g.cast(position, dtype))
    };
    let (to, from) = (position(g, 0)?, position(g, 1)?);
    let half = g.constant_like(0.5, to);
    let to = g.binary(Binary::Add, to, half)?;
    let to = scale(g, to, 1.0 / factor as f64)?;
    let to = g.binary(Binary::Sub, to, half)?;
    let to = clamp(g, to, 0.0, size.saturating_sub(1) as f64)?;
    let distance = g.binary(Binary::Sub, to, from)?;
    let distance = g.unary(Unary::Abs, distance)?;
    let one = g.constant_like(1.0, distance);
    let weight = g.binary(Binary::Sub, one, distance)?;
    let near = compare_with(g, Compare::Gt, weight, 0.0)?;
    let zero = g.constant_like(0.0, weight);
    g.select(near, weight, zero)
}

/// Gives a tensor with the windows of its last axes, or axis, which then are those of a row, to `operation`.
fn pooled(
    g: &mut Graph,
    x: NodeId,
    windows: Windows<'_>,
    operation: &dyn Fn(&mut Graph, NodeId, Window) -> Result<NodeId>,
) -> Result<NodeId> {
    let axes = windows.kernel.len();
    let mut dims = g[x].dims.clone();
    let fits = (1..=2).contains(&axes) && windows.stride.len() == axes && windows.padding.len() == axes;
    if !fits || dims.len() < axes {
        return Err(Error::shape("pooling", format!("windows {windows:?} do not slide over {dims:?}")));
    }
    let both = |sizes: &[usize], row: usize| if let [only] = *sizes { [row, only] } else { [sizes[0], sizes[1]] };
    let leading = dims.len() - axes;
    let window = Window {
        size: both(&dims[leading..], 1),
        kernel: both(windows.kernel, 1),
        stride: both(windows.stride, 1),
        padding: both(windows.padding, 0),
    };
    dims.truncate(leading);
    let x = g.reshape(x, &[&dims[..], &window.size].concat())?;
    let y = operation(g, x, window)?;
    let sizes = g[y].dims[leading + 2 - axes..].to_vec();
    g.reshape(y, &[&dims[..], &sizes].concat())
}

/// The sizes of the last two axes.
fn plane(g: &Graph, x: NodeId) -> Result<[usize; 2]> {
    let dims = &g[x].dims;
    dims.last_chunk().copied().ok_or_else(|| Error::shape("upsample", format!("takes rows and columns, not {dims:?}")))
}
