//! Loops with all that may go from step to step, be read and be stacked.

use super::super::cases::{Case, Domain};
use crate::Result;
use crate::graph::{Binary, DType, Distribution, Graph, LoopGradient, Looped, NodeId, Op, StateKind, Unary};

const ALL: Domain = Domain::reals(-1.5, 1.5);

/// h ← h + tanh(h·w)/4, with w captured.
fn residual(graph: &mut Graph, count: usize, h: NodeId, w: NodeId) -> Result<NodeId> {
    let repeated = graph.repeat(count, &[h], |outer, body, carries| {
        let w = body.lift(outer, w);
        let y = body.matmul(carries[0], w, [false, false])?;
        let y = body.unary(Unary::Tanh, y)?;
        let quarter = body.constant_like(0.25, y);
        let y = body.binary(Binary::Mul, y, quarter)?;
        Ok(vec![body.binary(Binary::Add, carries[0], y)?])
    });
    Ok(repeated?[0])
}

/// One vector of all that a loop gives, so that every result is tested at once.
fn joined(graph: &mut Graph, looped: &Looped) -> Result<NodeId> {
    let mut all = Vec::new();
    for &result in looped.carries.iter().chain(&looped.stacks) {
        let len = graph[result].len();
        all.push(graph.reshape(result, &[len])?);
    }
    graph.concat(&all, 0)
}

pub(super) fn loop_cases(float: DType) -> Result<Vec<Case>> {
    let matrices = [(&[2, 3][..], ALL), (&[3, 3][..], ALL)];
    let mut cases = Vec::new();
    for count in [0, 1, 2, 4] {
        cases.push(Case::new(format!("Loop of {count} residual steps"), float, &matrices, |graph, x| {
            residual(graph, count, x[0], x[1])
        })?);
    }
    cases.push(Case::new("Loop that stores for its derivative", float, &matrices, |graph, x| {
        let repeated = graph.repeat(3, &[x[0]], |outer, body, carries| {
            body.set_gradient(LoopGradient::Store);
            let w = body.lift(outer, x[1]);
            let product = body.matmul(carries[0], w, [false, false])?;
            let y = body.unary(Unary::Tanh, product)?;
            let z = body.binary(Binary::Mul, y, product)?;
            let z = body.unary(Unary::Sin, z)?;
            Ok(vec![body.binary(Binary::Add, y, z)?])
        });
        Ok(repeated?[0])
    })?);
    // (a, b) ← (b, sin(a)·x_i + i/8), and a·b stacked: two carries that change places, slices, stacks, the step.
    for count in [1, 3] {
        let inputs = [(&[3][..], ALL), (&[3][..], ALL), (&[count, 3][..], ALL)];
        cases.push(Case::new(format!("Loop of {count} steps over slices"), float, &inputs, |graph, x| {
            let looped = graph.scan(count, &x[..2], &x[2..], |_, body, carries, slices| {
                let sin = body.unary(Unary::Sin, carries[0])?;
                let driven = body.binary(Binary::Mul, sin, slices[0])?;
                let step = body.step();
                let time = body.cast(step, float);
                let time = body.broadcast(time, &[0], &[3])?;
                let eighth = body.constant_like(0.125, time);
                let time = body.binary(Binary::Mul, time, eighth)?;
                let next = body.binary(Binary::Add, driven, time)?;
                let product = body.binary(Binary::Mul, carries[0], carries[1])?;
                Ok((vec![carries[1], next], vec![product, carries[0]]))
            })?;
            joined(graph, &looped)
        })?);
    }
    cases.push(Case::new("Loop in a loop", float, &matrices, |graph, x| {
        let repeated = graph.repeat(2, &[x[0]], |outer, body, carries| {
            let w = body.lift(outer, x[1]);
            let inner = residual(body, 3, carries[0], w)?;
            Ok(vec![body.unary(Unary::Sin, inner)?])
        });
        Ok(repeated?[0])
    })?);
    cases.push(Case::new("Loop with state and draws", float, &[(&[2, 3], ALL)], |graph, x| {
        let repeated = graph.repeat(3, &[x[0]], |_, body, carries| {
            let scale = body.state("scale", StateKind::Parameter, &[2, 3], float)?;
            let noise = body.random(Distribution::Uniform, 7, &[2, 3], float)?;
            let y = body.binary(Binary::Mul, noise, carries[0])?;
            let y = body.unary(Unary::Sin, y)?;
            let third = body.constant_like(0.3, y);
            let scale = body.binary(Binary::Mul, scale, third)?;
            Ok(vec![body.binary(Binary::Mul, y, scale)?])
        });
        Ok(repeated?[0])
    })?);
    // Views of what is captured, an index and a truth value from step to step.
    let inputs = [(&[4][..], ALL), (&[2, 4][..], ALL), (&[4][..], Domain::Bools)];
    cases.push(Case::new("Loop with an index and a truth value", float, &inputs, |graph, x| {
        let row = graph.slice(x[1], 0, 1, 1)?;
        let row = graph.reshape(row, &[4])?;
        let begin = graph.constant(0.0, &[4], DType::Index);
        let looped = graph.scan(3, &[x[0], begin, x[2]], &[], |outer, body, carries, _| {
            let row = body.lift(outer, row);
            let position = body.cast(carries[1], float);
            let eighth = body.constant_like(0.125, position);
            let position = body.binary(Binary::Mul, position, eighth)?;
            let sum = body.binary(Binary::Add, carries[0], position)?;
            let other = body.binary(Binary::Mul, sum, row)?;
            let next = body.select(carries[2], sum, other)?;
            let step = body.step();
            let step = body.broadcast(step, &[0], &[4])?;
            let one = body.constant(1.0, &[4], DType::Index);
            let odd = body.compare(crate::graph::Compare::Eq, step, one)?;
            Ok((vec![next, step, odd], vec![next]))
        })?;
        joined(graph, &Looped { carries: looped.carries[..1].to_vec(), stacks: looped.stacks })
    })?);
    Ok(cases)
}

pub(super) fn part_cases(float: DType) -> Result<Vec<Case>> {
    // A result that is a view of what went in, and one that nobody uses.
    Ok(vec![Case::new("Part", float, &[(&[2], ALL), (&[3, 2], ALL)], |graph, x| {
        let looped = graph.scan(3, &[x[0], x[0]], &[x[1]], |_, body, carries, slices| {
            let next = body.binary(Binary::Mul, carries[0], slices[0])?;
            let unused = body.unary(Unary::Exp, carries[1])?;
            Ok((vec![next, unused], vec![slices[0], next]))
        })?;
        let sum = graph.binary(Binary::Add, looped.stacks[0], looped.stacks[1])?;
        let last = graph.broadcast(looped.carries[0], &[0], &[3, 2])?;
        graph.binary(Binary::Mul, sum, last)
    })?])
}

pub(super) fn fold_in_cases(float: DType) -> Result<Vec<Case>> {
    let case = Case::new("FoldIn", float, &[(&[], Domain::Indices(9))], |graph, x| {
        let key = graph.key()?;
        let folded = graph.fold_in(key, x[0])?;
        let other = graph.fold_in(folded, x[0])?;
        let noise = Op::Random { distribution: Distribution::Uniform, path: 3 };
        let noise = graph.push(noise, vec![other], vec![5, 7], float);
        Ok(noise)
    });
    Ok(vec![case?])
}
