//! Patterns, `einsum` and what cuts tensors into pieces, from the outside: values against plain loops, gradients.
#![deny(warnings)]

use ansatz::dfdx::tensor::TensorFromVec;
use ansatz::prelude::*;
use ansatz::tensor::{Const, Cpu, Indices, Tensor};

net! {
    pub dim Embed = 12;

    pub net Heads(x: [n, t, Embed]) -> [n, Embed / 4, t, 4] { x |> [n, t, (h 4)] -> [n, h, t, 4] }
    pub net Back(x: [n, t, Embed]) -> [n, t, Embed] {
        x |> [n, t, (3 e)] -> [n, 3, t, e] |> [n, h, t, e] -> [n, t, (h e)]
    }
    pub net Merge(x: [n, t, Embed]) -> [_, Embed] { x |> [n, t, d] -> [(t n), d] }
    pub net Insert(x: [n, t, Embed]) -> [n, 1, 2, t, Embed] { x |> [n, t, d] -> [n, 1, 2, t, d] }
    pub net Means(x: [n, t, Embed]) -> [Embed / 4, n] { x |> mean([n, t, (h 4)] -> [h, n]) }
    pub net Largest(x: [n, t, Embed]) -> [n, 1, Embed] { x |> max([n, t, d] -> [n, 1, d]) }

    /// q·k over all pairs of places, head by head.
    pub net Scores(q: [n, t, Embed], k: [n, s, Embed]) -> [n, Embed / 4, t, s] {
        let by_head = |z| z |> [n, i, (h 4)] -> [n, h, i, 4];
        let (a, b) = (by_head(q), by_head(k));
        einsum(a[n, h, i, e], b[n, h, j, e] -> [n, h, i, j])
    }
    /// Sums over what only one tensor has, over what all have, and keeps the rest.
    pub net Chain(a: [n, 3], b: [3, 4, m], c: [n, 4]) -> [m, n] {
        einsum(a[n, i], b[i, j, m], c[n, j] -> [m, n])
    }
    pub net Outer(a: [n, 3], b: [n, 4]) -> [4, n, 3] { einsum(a[n, i], b[n, j] -> [j, n, i]) }
    pub net Trace(a: [n, 3], b: [m, 4]) -> [n] { einsum(a[n, i], b[m, j] -> [n]) }
    /// Calls, layers and labels as tensors; a net without parameters that is used twice.
    net Turned(x: [n, c]) -> [c, n] { x |> [n, c] -> [c, n] }
    pub net Calls(a: [n, 3], b: [n, 3]) -> [n, n] {
        einsum(
            (a + b)[n, i],
            Turned(a)[i, m],
            relu(Turned(b))[i, m],
            same: linear(3, init = identity, bias = false)(a)[n, i]
            -> [n, m]
        )
    }

    /// A dimension that no axis has by itself follows from one.
    pub net Pairs(x: [2 * n, 3]) -> [n, 6] { x |> [(n two), c] -> [n, (two c)] }
    pub net Blocks(x: [3, n * t + 1], y: [t]) -> (sums: [n], last: [3, 1]) {
        let blocks = x |> slice(0, n * t) |> [c, (n t)] -> [n, t, c];
        (sums = einsum(blocks[n, t, c], y[t] -> [n]), last = x |> slice(n * t, n * t + 1))
    }
    pub net PairsLoss(x: [4 * n, 3]) -> [] { x |> Pairs |> linear(2) |> square |> mean }

    pub net Pieces(x: [n, t, Embed]) -> [n, t, 8] {
        let (a, b, c) = x |> split(3);
        concat(a + b, c) |> pad(1, 2) |> slice(1, 9)
    }
    pub net Rows(x: [n, t, Embed]) -> [_, Embed] { x |> flatten(over = (n, t)) }
    pub net Flat(x: [n, 3, 4]) -> [n, 12] {
        stack(x, 2 * x) |> sum([k, n, a, b] -> [n, a, b]) |> reshape([n, 12])
    }
    pub net Hot(y: [n, t] in Embed) -> [n, t, Embed] { 2 * one_hot(y) }

    /// Attention of several heads, as one writes it down.
    net Attend(x: [n, t, d]; heads: usize) -> [n, t, d] {
        let (q, k, v) = x |> c_attn: linear(3 * d) |> split(3);
        let by_head = |z| z |> [n, t, (heads e)] -> [n, heads, t, e];
        let (q, k, v) = (by_head(q), by_head(k), by_head(v));
        let scores = einsum(q[n, h, i, e], k[n, h, j, e] -> [n, h, i, j]) / 2.0;
        let mixed = einsum(softmax(scores)[n, h, i, j], v[n, h, j, e] -> [n, h, i, e]);
        mixed |> [n, heads, t, e] -> [n, t, (heads e)] |> c_proj: linear(d)
    }
    pub net Loss(x: [n, t, Embed]) -> [] { x |> Attend(3) |> square |> mean }
    pub net Parts(x: [n, t, Embed]) -> [] {
        let y = x |> Pieces |> [n, t, (a 2)] -> [a, n, (2 t)];
        square(y) * y |> mean([a, b, c] -> [b]) |> sum
    }
}

type Batch = Tensor<(usize, usize, Embed), f64, Cpu>;

const N: usize = 2;
const T: usize = 3;
const D: usize = 12;

fn values(len: usize) -> Vec<f64> {
    (0..len).map(|i| (i as f64 * 1.7).sin()).collect()
}

fn x() -> Batch {
    Cpu::default().tensor_from_vec(values(N * T * D), (N, T, Embed))
}

/// What stands at `[n, t, d]`.
fn at(n: usize, t: usize, d: usize) -> f64 {
    values(N * T * D)[(n * T + t) * D + d]
}

fn close(found: &[f64], expected: impl Iterator<Item = f64>) {
    let expected: Vec<f64> = expected.collect();
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() < 1e-12, "{i}: {found} and {expected}");
    }
}

/// All indices below the sizes, the last one fastest.
fn each<const R: usize>(sizes: [usize; R]) -> impl Iterator<Item = [usize; R]> {
    (0..sizes.iter().product()).map(move |mut place| {
        let mut index = [0; R];
        for axis in (0..R).rev() {
            index[axis] = place % sizes[axis];
            place /= sizes[axis];
        }
        index
    })
}

macro_rules! run {
    ($net:ident, $($input:expr),*) => {
        $net::<f64>::init(0).forward($($input),*).unwrap().as_vec()
    };
}

#[test]
fn patterns_move_elements_as_they_say() {
    close(&run!(Heads, x()), each([N, 3, T, 4]).map(|[n, h, t, e]| at(n, t, 4 * h + e)));
    close(&run!(Back, x()), each([N, T, D]).map(|[n, t, d]| at(n, t, d)));
    close(&run!(Merge, x()), each([T, N, D]).map(|[t, n, d]| at(n, t, d)));
    close(&run!(Insert, x()), each([N, 1, 2, T, D]).map(|[n, _, _, t, d]| at(n, t, d)));
    close(&run!(Rows, x()), each([N, T, D]).map(|[n, t, d]| at(n, t, d)));
}

#[test]
fn reductions_go_over_what_does_not_stand_on_the_right() {
    let mean = |h: usize, n: usize| each([T, 4]).map(|[t, e]| at(n, t, 4 * h + e)).sum::<f64>() / 12.0;
    close(&run!(Means, x()), each([3, N]).map(|[h, n]| mean(h, n)));
    let largest = |n: usize, d: usize| (0..T).map(|t| at(n, t, d)).fold(f64::MIN, f64::max);
    close(&run!(Largest, x()), each([N, D]).map(|[n, d]| largest(n, d)));
}

#[test]
fn einsum_is_its_loops() {
    let k: Batch = Cpu::default().tensor_from_vec(values(N * 5 * D), (N, 5, Embed));
    let second = values(N * 5 * D);
    let score = |n: usize, h: usize, i: usize, j: usize| -> f64 {
        (0..4).map(|e| at(n, i, 4 * h + e) * second[(n * 5 + j) * D + 4 * h + e]).sum()
    };
    close(&run!(Scores, x(), k), each([N, 3, T, 5]).map(|[n, h, i, j]| score(n, h, i, j)));

    let (a, b, c) = (values(2 * 3), values(3 * 4 * 5), values(2 * 4));
    let chain = |m: usize, n: usize| -> f64 {
        each([3, 4]).map(|[i, j]| a[n * 3 + i] * b[(i * 4 + j) * 5 + m] * c[n * 4 + j]).sum()
    };
    let device = Cpu::default();
    let first: Tensor<(usize, Const<3>), f64, Cpu> = device.tensor_from_vec(a.clone(), (2, Const));
    let middle: Tensor<(Const<3>, Const<4>, usize), f64, Cpu> = device.tensor_from_vec(b.clone(), (Const, Const, 5));
    let last: Tensor<(usize, Const<4>), f64, Cpu> = device.tensor_from_vec(c.clone(), (2, Const));
    close(&run!(Chain, first.clone(), middle, last.clone()), each([5, 2]).map(|[m, n]| chain(m, n)));
    close(&run!(Outer, first.clone(), last.clone()), each([4, 2, 3]).map(|[j, n, i]| a[n * 3 + i] * c[n * 4 + j]));
    let total: f64 = c.iter().sum();
    close(&run!(Trace, first.clone(), last), (0..2).map(|n| a[n * 3..][..3].iter().sum::<f64>() * total));

    let b: Vec<f64> = values(6).into_iter().map(|value| 1.5 - 3.0 * value).collect();
    let other: Tensor<(usize, Const<3>), f64, Cpu> = device.tensor_from_vec(b.clone(), (2, Const));
    let called = |n: usize, m: usize| -> f64 {
        (0..3).map(|i| (a[n * 3 + i] + b[n * 3 + i]) * a[m * 3 + i] * b[m * 3 + i].max(0.0) * a[n * 3 + i]).sum()
    };
    close(&run!(Calls, first, other), each([2, 2]).map(|[n, m]| called(n, m)));
}

#[test]
fn a_size_follows_from_an_axis() -> Result<()> {
    let rows = |count: usize| from_vec(values(3 * count), (count, Const::<3>));
    close(&run!(Pairs, rows(4)?), values(12).into_iter());
    let error = Pairs::<f64>::init(0).forward(rows(5)?).unwrap_err().to_string();
    assert_eq!(error, "axis 0 of `x` is 5 and should be 2 * n = 4, where `n` is 2 in `x`");

    let (x, y) = (values(3 * 7), values(2));
    let blocks = Blocks::<f64>::init(0);
    let found = blocks.forward(from_vec(x.clone(), (Const, 7))?, from_vec(y.clone(), (2,))?)?;
    close(&to_vec(&found.sums), (0..3).map(|n| each([2, 3]).map(|[t, c]| x[7 * c + 2 * n + t] * y[t]).sum()));
    close(&to_vec(&found.last), (0..3).map(|c| x[7 * c + 6]));
    assert!(blocks.forward(from_vec(x.clone(), (Const, 7))?, from_vec(vec![1.0; 4], (4,))?).is_err());
    let error = blocks.forward(from_vec(x, (Const, 7))?, from_vec(vec![], (0,))?).unwrap_err().to_string();
    assert!(error.contains("should be n * t + 1 = 1"), "{error}");
    assert_eq!(PairsLoss::multiply_adds(5), 10 * 6 * 2);
    Ok(())
}

ansatz::gradcheck!(PairsLoss);

#[test]
fn pieces_are_cut_and_joined() {
    let joined = |n: usize, t: usize, place: usize| match place {
        0..4 => at(n, t, place) + at(n, t, 4 + place),
        4..8 => at(n, t, 4 + place),
        _ => 0.0,
    };
    close(&run!(Pieces, x()), each([N, T, 8]).map(|[n, t, place]| joined(n, t, place)));
    let x: Tensor<(usize, Const<3>, Const<4>), f64, Cpu> =
        Cpu::default().tensor_from_vec(values(24), (2, Const, Const));
    close(&run!(Flat, x), values(24).into_iter().map(|value| 3.0 * value));
}

#[test]
fn indices_are_rows() {
    let y: Indices<(usize, usize), Embed> = Indices::new(vec![3, 0, 11, 3], (2, 2)).unwrap();
    let hot = |i: usize, d: usize| if [3, 0, 11, 3][i] == d { 2.0 } else { 0.0 };
    close(&run!(Hot, y), each([4, D]).map(|[i, d]| hot(i, d)));
}

ansatz::gradcheck!(Loss);
ansatz::gradcheck!(Parts);
