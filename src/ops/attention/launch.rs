//! Lays out attention and its derivative: operands are read where they lie, transposed, sliced or repeated.

use super::Sizes;
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::attention::{Attention, Pass};
use crate::kernel::view::View;
use crate::kernel::work::Work;
use crate::ops::kind::{Operands, Place};

pub(super) fn launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let node = &graph[id];
    let (Op::Attention(op) | Op::AttentionGradient(op)) = node.op else { return Err(id) };
    // The axes of the operand as those of the view.
    let mut view = |id: NodeId, axes: &[usize]| {
        let Place { buffer, offset, strides } = operands.place(id)?;
        let mut all = vec![0; 4];
        axes.iter().zip(strides).for_each(|(&axis, &stride)| all[axis] = stride as isize);
        let operand = operands.number(*buffer);
        Ok(View { operand, offset: *offset, strides: all, element: graph[id].dtype })
    };
    let rows = [0, 1, 2, 3];
    let (q, k, v) = (view(node.inputs[0], &rows)?, view(node.inputs[1], &rows)?, view(node.inputs[2], &rows)?);
    let mut extras = [const { None }; 4];
    let axes: [&[usize]; 4] = [&rows, &rows, &[1], &[0]];
    for ((extra, operand), axes) in extras.iter_mut().zip(op.extras()).zip(axes) {
        *extra = operand.map(|operand| view(node.inputs[operand], axes)).transpose()?;
    }
    let dims = |i: usize| &*graph[node.inputs[i]].dims;
    let sizes = Sizes::new(dims(0), dims(1), dims(2));
    let Sizes { n, h, g, t, s, e, f } = sizes;
    let last = op.operands();
    let given = if let Op::AttentionGradient(_) = node.op {
        let own = |i: usize| node.inputs[last + i];
        Some([view(own(0), &rows[..3])?, view(own(1), &rows[..3])?, view(own(2), &rows)?])
    } else {
        None
    };
    let operand = operands.number(operands.place(id)?.buffer);
    let own = |offset: usize, strides: [usize; 4]| View {
        operand,
        offset,
        strides: strides.map(|stride| stride as isize).to_vec(),
        element: node.dtype,
    };
    let pass = match given {
        None => {
            Pass::Forward { out: own(0, [t * h * f, f, h * f, 1]), logarithms: own(sizes.result(), [h * t, t, 1, 0]) }
        }
        Some([logarithms, common, c]) => {
            let heads = sizes.columns().map(|(_, _, width)| width);
            let [dq, dk, dv] = [0, 1, 2].map(|i| {
                let (offset, sample, row, _) = sizes.gradients()[i];
                own(offset, [sample, heads[i], row, 1])
            });
            Pass::Backward { logarithms, common, c, dq, dk, dv }
        }
    };
    let [bias, mask, slopes, start] = extras;
    let launch = Attention {
        batch: n,
        heads: h,
        shared: g,
        queries: t,
        keys: s,
        width: e,
        value_width: f,
        scale: op.scale,
        causal: op.causal,
        window: op.window,
        q,
        k,
        v,
        bias,
        mask,
        slopes,
        start,
        pass,
    };
    Ok(Work::Attention(Box::new(launch)))
}
