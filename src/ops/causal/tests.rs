//! What the language does not write by itself: loops, and graphs that were built by hand.

use super::*;
use crate::Result;
use crate::graph::{Binary, DType, ReduceOp, Unary};

const D: usize = 3;

/// Whether what `build` makes of positions `[2, t, 3]` can be read piece by piece.
fn judged(build: impl Fn(&mut Graph, NodeId, usize) -> Result<NodeId>) -> Result<(), String> {
    let [one, other] = [5, 6].map(|t| {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, t, D], DType::F64);
        let y = build(&mut graph, x, t).expect("it is recorded");
        graph.output("y", y);
        graph
    });
    causal(&one, &other, 5, None).map_err(|Obstacle { op, problem, .. }| format!("{op} {problem}"))
}

#[test]
fn loops_stay_at_their_positions() {
    // Steps that are as many whatever is read, over carries, captures and stacks.
    let apart = judged(|graph, x, t| {
        let zero = graph.constant_like(0.0, x);
        let stack = graph.broadcast(x, &[0], &[4, 2, t, D])?;
        let looped = graph.scan(4, &[zero, x], &[stack], |outer, body, carries, slices| {
            let x = body.lift(outer, x);
            let sum = body.binary(Binary::Add, carries[0], slices[0])?;
            let next = body.binary(Binary::Mul, sum, x)?;
            Ok((vec![next, carries[1]], vec![sum]))
        })?;
        let last = graph.sum(looped.stacks[0], &[0])?;
        graph.binary(Binary::Add, looped.carries[0], last)
    });
    assert_eq!(apart, Ok(()));
}

#[test]
fn loops_over_positions_are_refused() {
    let steps = judged(|graph, x, t| {
        Ok(graph.repeat(t, &[x], |_, body, carries| Ok(vec![body.unary(Unary::Sin, carries[0])?]))?[0])
    });
    assert!(steps.is_err_and(|problem| problem.ends_with("takes a step for each position")));
    // A running sum over the axis: causal, but nothing is kept.
    let running = judged(|graph, x, t| {
        let rows = graph.permute(x, &[1, 0, 2])?;
        let zero = graph.constant(0.0, &[2, D], DType::F64);
        let looped = graph.scan(t, &[zero], &[rows], |_, body, carries, slices| {
            let sum = body.binary(Binary::Add, carries[0], slices[0])?;
            Ok((vec![sum], vec![sum]))
        })?;
        graph.permute(looped.stacks[0], &[1, 0, 2])
    });
    assert!(running.is_err_and(|problem| problem.ends_with("takes a step for each position")));
    let inside = judged(|graph, x, t| {
        let looped = graph.repeat(2, &[x], |_, body, carries| {
            let sum = body.reduce(ReduceOp::Max, carries[0], &[1])?;
            Ok(vec![body.broadcast(sum, &[1], &[2, t, D])?])
        });
        Ok(looped?[0])
    });
    assert!(inside.is_err_and(|problem| problem.contains("has a body in which Reduce")));
}

#[test]
fn lengths_and_numbers_of_positions_are_seen() {
    let counted = judged(|graph, x, t| {
        let number = graph.iota(&[2, t, D], 1)?;
        let number = graph.cast(number, DType::F64);
        graph.binary(Binary::Add, x, number)
    });
    assert!(counted.is_err_and(|problem| problem.ends_with(COUNTS)));
    let length = judged(|graph, x, t| {
        let count = graph.constant_like(t as f64, x);
        graph.binary(Binary::Div, x, count)
    });
    assert!(length.is_err_and(|problem| problem.ends_with(LENGTH)));
    let first = judged(|graph, x, t| {
        let first = graph.slice(x, 1, 0, 1)?;
        let first = graph.reshape(first, &[2, D])?;
        graph.broadcast(first, &[1], &[2, t, D])
    });
    assert!(first.is_err_and(|problem| problem.ends_with(MIXES)));
    let joined = judged(|graph, x, t| {
        let rows = graph.reshape(x, &[2 * t, D])?;
        let w = graph.constant(0.5, &[D, 4], DType::F64);
        let y = graph.matmul(rows, w, [false, false])?;
        graph.reshape(y, &[2, t, 4])
    });
    assert_eq!(joined, Ok(()));
}
