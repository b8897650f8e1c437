//! Matrix products, batched, with either operand stored transposed.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::kind::{Kind, Operands, Place};
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use super::verify::{fit, float, operand};
use crate::graph::{DType, Graph, Node, NodeId, Op, misfit};
use crate::kernel::gemm::Gemm;
use crate::kernel::view::View;
use crate::kernel::work::Work;
use crate::{Error, Result};
use ansatz_shapes as shapes;

impl Graph {
    /// Matrix product over the last two axes; see [`Op::MatMul`].
    pub fn matmul(&mut self, a: NodeId, b: NodeId, transposed: [bool; 2]) -> Result<NodeId> {
        self.expect_float("a matrix product", a)?;
        if self[a].dtype != self[b].dtype {
            return Err(Error::shape("a matrix product", "the operands have different element types"));
        }
        let dims = shapes::matmul(&self[a].dims, &self[b].dims, transposed).map_err(misfit("a matrix product"))?;
        let dtype = self[a].dtype;
        let [transpose_left, transpose_right] = transposed;
        Ok(self.push(Op::MatMul { transpose_left, transpose_right }, vec![a, b], dims, dtype))
    }
}

/// A product of matrices, and which operand is stored transposed.
pub(super) struct MatMul(pub [bool; 2]);

impl Rule<'_> for MatMul {
    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let (a, b) = (operand(graph, node, 0), operand(graph, node, 1));
        float(node)?;
        if a.dtype != b.dtype {
            return Err(format!("multiplies {:?} by {:?}", a.dtype, b.dtype));
        }
        Ok((fit(shapes::matmul(&a.dims, &b.dims, self.0))?, a.dtype))
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(products)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let last = at.node().dims.len() - 1;
        let [(left, rows), (right, columns)] = [
            if self.0[0] { (last - 1, last) } else { (last, last - 1) },
            if self.0[1] { (last, last - 1) } else { (last - 1, last) },
        ];
        let (mut a, mut b) = (at.except(0, left), at.except(1, right));
        (a[rows], b[columns]) = (Some(last - 1), Some(last));
        at.computed(&[a, b])
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        let (rank, from) = (node.dims.len(), &operand(graph, node, 0).dims);
        let inner = from[if self.0[0] { rank - 2 } else { rank - 1 }];
        Ok(matmul(operands[0], operands[1], &node.dims, inner, self.0))
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        // With Y = A·B: Ā = Ȳ·Bᵀ and B̄ = Aᵀ·Ȳ, or the transposes of these where the operand is stored transposed; each is one
        // matrix product whatever is transposed.
        let (a, b, c, [left, right]) = (graph[y].inputs[0], graph[y].inputs[1], c.one()?, self.0);
        let a_bar = if left { graph.matmul(b, c, [right, true])? } else { graph.matmul(c, b, [false, !right])? };
        let b_bar = if right { graph.matmul(c, a, [true, left])? } else { graph.matmul(a, c, [!left, false])? };
        Ok(vec![Some(a_bar), Some(b_bar)])
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        // Without an inner axis it is a sum of nothing.
        let left = &to.node(node.inputs[0]).dims;
        let inner = left[left.len() - if self.0[0] { 2 } else { 1 }];
        (inner == 0).then(|| to.constant(0.0, &node.dims, node.dtype))
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        matmul_cases(float)
    }
}

/// `[.., m, k] · [.., k, n] → [.., m, n]`; `dims` is the result's shape, `inner` is k.
fn matmul(a: &[f64], b: &[f64], dims: &[usize], inner: usize, transposed: [bool; 2]) -> Vec<f64> {
    let [.., m, n] = *dims else {
        unreachable!("a verified matrix product has two axes or more");
    };
    let (k, batch) = (inner, dims[..dims.len() - 2].iter().product::<usize>());
    let mut y = Vec::with_capacity(batch * m * n);
    for sample in 0..batch {
        let (a, b) = (&a[sample * m * k..][..m * k], &b[sample * k * n..][..k * n]);
        for row in 0..m {
            for column in 0..n {
                let products = (0..k).map(|i| {
                    let left = if transposed[0] { a[i * m + row] } else { a[row * k + i] };
                    let right = if transposed[1] { b[column * k + i] } else { b[i * n + column] };
                    left * right
                });
                y.push(products.sum());
            }
        }
    }
    y
}

fn matmul_cases(float: DType) -> Result<Vec<Case>> {
    let all = Domain::reals(-2.0, 2.0);
    let mut cases = Vec::new();
    for batch in [&[] as &[usize], &[3], &[2, 2]] {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            let [m, k, n] = [2, 4, 3];
            let shape = |rows: usize, columns: usize, turned: bool| {
                let matrix = if turned { [columns, rows] } else { [rows, columns] };
                [batch, &matrix].concat()
            };
            let (a, b) = (shape(m, k, transposed[0]), shape(k, n, transposed[1]));
            let name = format!("MatMul {a:?} by {b:?}, transposed {transposed:?}");
            cases.push(Case::new(name, float, &[(&a, all), (&b, all)], |graph, x| {
                graph.matmul(x[0], x[1], transposed)
            })?);
        }
    }
    cases.push(Case::new("MatMul of a matrix by itself", float, &[(&[3, 3], all)], |graph, x| {
        graph.matmul(x[0], x[0], [false, true])
    })?);
    Ok(cases)
}

/// Leading axes of a product that have to be walked: size, and strides of left, right and result.
type Axis = (usize, [usize; 3]);

/// The operands of the products are read where they lie, transposed, sliced or repeated.
fn products(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let node = &graph[id];
    let Op::MatMul { transpose_left, transpose_right } = node.op else { return Err(id) };
    let (a, b, c) = (operands.place(node.inputs[0])?, operands.place(node.inputs[1])?, operands.place(id)?);
    let rank = node.dims.len();
    let left = &graph[node.inputs[0]].dims;
    let k = left[if transpose_left { rank - 2 } else { rank - 1 }];
    let (mut m, mut n) = (node.dims[rank - 2], node.dims[rank - 1]);

    let mut view = |place: &Place, transposed: bool| {
        let operand = operands.number(place.buffer);
        let (mut row, mut column) = (place.strides[rank - 2], place.strides[rank - 1]);
        if transposed {
            std::mem::swap(&mut row, &mut column);
        }
        View { operand, offset: place.offset, strides: vec![0, row as isize, column as isize], element: node.dtype }
    };
    let (mut a_view, mut b_view, mut c_view) = (view(a, transpose_left), view(b, transpose_right), view(c, false));

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
    Ok(Work::Products(gemms))
}
