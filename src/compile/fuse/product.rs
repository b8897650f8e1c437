//! Lays out one matrix product: operands are read where they lie, transposed, sliced or repeated.

use super::homes::{Homes, Place, number};
use crate::graph::{Graph, NodeId, Op};
use crate::kernel::gemm::Gemm;
use crate::kernel::schedule::BufferId;
use crate::kernel::view::View;

/// Leading axes of a product that have to be walked: size, and strides of left, right and result.
type Axis = (usize, [usize; 3]);

/// The products that compute a `MatMul` node, and the buffers that they name.
///
/// # Errors
/// The operand that has to be kept in memory first.
pub(super) fn products(graph: &Graph, homes: &Homes, id: NodeId) -> Result<(Vec<Gemm>, Vec<BufferId>), NodeId> {
    let node = &graph[id];
    let Op::MatMul { transpose_left, transpose_right } = node.op else { return Err(id) };
    let place = |id: NodeId| homes.place[id.index()].clone().ok_or(id);
    let (a, b, c) = (place(node.inputs[0])?, place(node.inputs[1])?, place(id)?);
    let rank = node.dims.len();
    let left = &graph[node.inputs[0]].dims;
    let k = left[if transpose_left { rank - 2 } else { rank - 1 }];
    let (mut m, mut n) = (node.dims[rank - 2], node.dims[rank - 1]);

    let mut operands = Vec::new();
    let mut view = |place: &Place, transposed: bool| {
        let operand = number(&mut operands, place.buffer);
        let (mut row, mut column) = (place.strides[rank - 2], place.strides[rank - 1]);
        if transposed {
            std::mem::swap(&mut row, &mut column);
        }
        View { operand, offset: place.offset, strides: vec![0, row as isize, column as isize], element: node.dtype }
    };
    let (mut a_view, mut b_view, mut c_view) = (view(&a, transpose_left), view(&b, transpose_right), view(&c, false));

    let mut axes: Vec<Axis> = Vec::new();
    for axis in (0..rank - 2).filter(|&axis| node.dims[axis] != 1) {
        let (size, strides) = (node.dims[axis], [a.strides[axis], b.strides[axis], c.strides[axis]]);
        match axes.last_mut() {
            Some((outer, before)) if (0..3).all(|i| before[i] == strides[i] * size) => {
                (*outer, *before) = (*outer * size, strides);
            }
            _ => axes.push((size, strides)),
        }
    }
    // A batch that only one operand walks is more rows (or columns) of that operand: one large product.
    while let Some(&(size, [sa, sb, sc])) = axes.last() {
        let (sa, sb, sc) = (sa as isize, sb as isize, sc as isize);
        let rows_follow = m == 1 || (sa == a_view.strides[1] * m as isize && sc == c_view.strides[1] * m as isize);
        let columns_follow = n == 1 || (sb == b_view.strides[2] * n as isize && sc == c_view.strides[2] * n as isize);
        if sb == 0 && rows_follow {
            if m == 1 {
                (a_view.strides[1], c_view.strides[1]) = (sa, sc);
            }
            m *= size;
        } else if sa == 0 && columns_follow {
            if n == 1 {
                (b_view.strides[2], c_view.strides[2]) = (sb, sc);
            }
            n *= size;
        } else {
            break;
        }
        axes.pop();
    }
    let widest = (0..axes.len()).max_by_key(|&i| axes[i].0);
    let (batch, steps) = widest.map_or((1, [0; 3]), |i| axes.remove(i));
    let views = [&mut a_view, &mut b_view, &mut c_view];
    for (view, step) in views.into_iter().zip(steps) {
        view.strides[0] = step as isize;
    }

    let mut gemms = vec![Gemm { batch, m, n, k, a: a_view, b: b_view, c: c_view, accumulate: false }];
    for (size, steps) in axes {
        gemms = (0..size)
            .flat_map(|i| {
                gemms.iter().cloned().map(move |mut gemm| {
                    let Gemm { a, b, c, .. } = &mut gemm;
                    for (view, step) in [a, b, c].into_iter().zip(steps) {
                        view.offset += i * step;
                    }
                    gemm
                })
            })
            .collect();
    }
    Ok((gemms, operands))
}
