//! Matrix products, batched, with either operand stored transposed.

use super::cases::{Case, Domain};
use super::causal::{Course, Site};
use super::rule::{Cotangents, Kind, Rule, Walk};
use super::verify::{fit, float, operand};
use crate::Result;
use crate::graph::{DType, Graph, Node, NodeId};
use ansatz_shapes as shapes;

/// A product of matrices, and which operand is stored transposed.
pub(super) struct MatMul(pub [bool; 2]);

impl Rule for MatMul {
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

    fn kind(&self) -> Kind {
        Kind::Alone
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
