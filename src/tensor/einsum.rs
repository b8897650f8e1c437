//! Sums of products over axes with labels (Einstein's summation), as products of matrices.

use super::var::record;
use super::{Erased, Float, Shape, Var};
use crate::Result;
use crate::graph::{Binary, Graph, NodeId};

/// Multiplies the operands and sums over every label that the result does not have: with the labels `[0, 1]` and
/// `[1, 2]` and the result `[0, 2]` it is a product of matrices. Each operand has a label once.
///
/// Operands are joined from left to right, each pair as one batched product of matrices.
pub fn einsum<Dst: Shape, E: Float, const N: usize>(
    operands: &[Erased; N],
    labels: &[&[usize]; N],
    result: &[usize],
    shape: Dst,
) -> Var<Dst, E> {
    const { assert!(N > 0, "einsum needs an operand") };
    let operands: Vec<&Erased> = operands.iter().collect();
    record(&operands, shape, &|g, n| {
        let mut rest = n.iter().zip(labels).map(|(&node, labels)| Labelled { node, labels: labels.to_vec() });
        let mut left: Vec<Labelled> = rest.by_ref().collect();
        let mut all = left.remove(0);
        while !left.is_empty() {
            let next = left.remove(0);
            let keep = |label: &usize| result.contains(label) || left.iter().any(|other| other.labels.contains(label));
            all = product(g, all, next, &keep)?;
        }
        let all = summed(g, all, &|label| result.contains(label))?;
        permuted(g, &all, result)
    })
}

/// A node whose axes have labels.
struct Labelled {
    node: NodeId,
    labels: Vec<usize>,
}

/// The product of two operands, summed over what is not kept.
fn product(g: &mut Graph, a: Labelled, b: Labelled, keep: &dyn Fn(&usize) -> bool) -> Result<Labelled> {
    let a = {
        let other = &b.labels;
        summed(g, a, &|label| keep(label) || other.contains(label))?
    };
    let b = {
        let other = &a.labels;
        summed(g, b, &|label| keep(label) || other.contains(label))?
    };
    let shared = |label: &&usize| b.labels.contains(label);
    let batch: Vec<usize> = a.labels.iter().filter(shared).filter(|label| keep(label)).copied().collect();
    let gone: Vec<usize> = a.labels.iter().filter(shared).filter(|label| !keep(label)).copied().collect();
    let own = |x: &Labelled, other: &Labelled| -> Vec<usize> {
        x.labels.iter().filter(|label| !other.labels.contains(label)).copied().collect()
    };
    let (rows, columns) = (own(&a, &b), own(&b, &a));
    let labels = [batch.clone(), rows.clone(), columns.clone()].concat();
    let sizes: Vec<usize> =
        labels.iter().map(|label| size(g, &a, *label).or(size(g, &b, *label)).unwrap_or(1)).collect();
    let node = match gone.is_empty() {
        true => {
            let (a, b) = (spread(g, &a, &labels, &sizes)?, spread(g, &b, &labels, &sizes)?);
            g.binary(Binary::Mul, a, b)?
        }
        false => {
            let (a, a_transposed) = matrix(g, &a, &batch, &rows, &gone)?;
            let (b, b_transposed) = matrix(g, &b, &batch, &columns, &gone)?;
            // `matrix` gives [.., own, gone]: what `b` needs is its transpose.
            let product = g.matmul(a, b, [a_transposed, !b_transposed])?;
            g.reshape(product, &sizes)?
        }
    };
    Ok(Labelled { node, labels })
}

/// `[batch, own, gone]` as matrices, or `[batch, gone, own]` if it lies like that: then `true`.
fn matrix(g: &mut Graph, x: &Labelled, batch: &[usize], own: &[usize], gone: &[usize]) -> Result<(NodeId, bool)> {
    let other = [batch, gone, own].concat();
    let transposed = x.labels == other;
    let order = if transposed { other } else { [batch, own, gone].concat() };
    let node = permuted(g, x, &order)?;
    let count = |labels: &[usize]| labels.iter().filter_map(|label| size(g, x, *label)).product::<usize>();
    let (rows, columns) = if transposed { (gone, own) } else { (own, gone) };
    let mut dims = vec![count(rows), count(columns)];
    if !batch.is_empty() {
        dims.insert(0, count(batch));
    }
    Ok((g.reshape(node, &dims)?, transposed))
}

fn size(g: &Graph, x: &Labelled, label: usize) -> Option<usize> {
    x.labels.iter().position(|own| *own == label).map(|axis| g[x.node].dims[axis])
}

/// Sums over the labels that are not kept.
fn summed(g: &mut Graph, x: Labelled, keep: &dyn Fn(&usize) -> bool) -> Result<Labelled> {
    let axes: Vec<usize> = (0..x.labels.len()).filter(|&axis| !keep(&x.labels[axis])).collect();
    if axes.is_empty() {
        return Ok(x);
    }
    let node = g.sum(x.node, &axes)?;
    Ok(Labelled { node, labels: x.labels.into_iter().filter(keep).collect() })
}

/// The axes in this order of labels.
fn permuted(g: &mut Graph, x: &Labelled, labels: &[usize]) -> Result<NodeId> {
    let order: Vec<usize> = labels.iter().filter_map(|label| x.labels.iter().position(|own| own == label)).collect();
    if order.is_sorted() { Ok(x.node) } else { g.permute(x.node, &order) }
}

/// Repeats along the labels that it does not have.
fn spread(g: &mut Graph, x: &Labelled, labels: &[usize], sizes: &[usize]) -> Result<NodeId> {
    let own: Vec<usize> = labels.iter().filter(|label| x.labels.contains(label)).copied().collect();
    let node = permuted(g, x, &own)?;
    let new: Vec<usize> = (0..labels.len()).filter(|&axis| !x.labels.contains(&labels[axis])).collect();
    if new.is_empty() { Ok(node) } else { g.broadcast(node, &new, sizes) }
}
