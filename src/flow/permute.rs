//! Permutations of the elements of each point.

use crate::Error;
use crate::tensor::{Float, Shape, Var, record};

/// Along the last axis, element i of the result is element `order[i]` of `x`.
///
/// # Errors
/// At [`Scope::finish`](crate::tensor::Scope::finish): if `order` does not name each element of the last axis.
pub fn permute<S: Shape, E: Float>(x: &Var<S, E>, order: &[usize]) -> Var<S, E> {
    record(&[x.erased()], *x.shape(), &|g, n| {
        let Some(last) = g[n[0]].dims.len().checked_sub(1) else {
            return Err(Error::shape("permute", "a point is the last axis of a tensor, and this is a scalar"));
        };
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < order.len() {
            // Neighbours stay together.
            let run = (1..order.len() - at).take_while(|&i| order[at + i] == order[at] + i).count() + 1;
            pieces.push(g.slice(n[0], last, order[at], run)?);
            at += run;
        }
        g.concat(&pieces, last)
    })
}
