//! Matrix products, batched, with either operand stored transposed.

use super::cases::{Case, Domain};
use crate::Result;
use crate::graph::{DType, Graph, NodeId};

/// `[.., m, k] · [.., k, n] → [.., m, n]`; `dims` is the result's shape, `inner` is k.
pub(super) fn matmul(a: &[f64], b: &[f64], dims: &[usize], inner: usize, transposed: [bool; 2]) -> Vec<f64> {
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

/// With Y = A·B: Ā = Ȳ·Bᵀ and B̄ = Aᵀ·Ȳ, or the transposes of these where the operand is stored transposed; each is
/// one matrix product whatever is transposed.
pub(super) fn matmul_vjp(
    graph: &mut Graph,
    a: NodeId,
    b: NodeId,
    c: NodeId,
    [left, right]: [bool; 2],
) -> Result<[NodeId; 2]> {
    let a_bar = if left { graph.matmul(b, c, [right, true])? } else { graph.matmul(c, b, [false, !right])? };
    let b_bar = if right { graph.matmul(c, a, [true, left])? } else { graph.matmul(a, c, [!left, false])? };
    Ok([a_bar, b_bar])
}

pub(super) fn matmul_cases(float: DType) -> Result<Vec<Case>> {
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
