//! Scaled dot-product attention. Its derivative is an op of its own, which computes the scores again; the derivative of
//! that is the derivative of its formula written out in other ops.

mod build;
mod cases;
mod launch;

pub(crate) use build::Sizes;
pub use build::{Attend, Attention};

use super::cases::Case;
use super::causal::{Course, Site};
use super::kind::Kind;
use super::rule::{Cotangents, Rule, Walk};
use super::simplify::Rewriter;
use crate::Result;
use crate::graph::{Binary, Compare, DType, Graph, Node, NodeId, Op, Unary};
use ansatz_shapes as shapes;
use cases::{attention_cases, gradient_cases};
use launch::launch;

/// Attention.
pub(super) struct Forward<'a>(pub &'a Attention);

impl<'a> Rule<'a> for Forward<'a> {
    fn arity(&self) -> Option<usize> {
        Some(self.0.operands())
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        result(graph, node, self.0, false)
    }

    fn kind(&self) -> Kind<'a> {
        Kind::Alone(launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        at.attention(self.0)
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(attention(self.0, sizes(graph, &node.inputs), operands))
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let c = c.one()?;
        attention_vjp(graph, y, c, self.0)
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        // Zeros, and the logarithms of empty sums.
        let sizes = sizes(to.graph(), &node.inputs);
        if sizes.t > 0 && sizes.s > 0 {
            return None;
        }
        let result = to.constant(0.0, &[sizes.result()], node.dtype);
        let logarithms = to.constant(f64::NEG_INFINITY, &[sizes.logarithms()], node.dtype);
        Some(to.make(Op::Concat { axis: 0 }, vec![result, logarithms], &node.dims, node.dtype))
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        attention_cases(float)
    }
}

/// The derivative of attention.
pub(super) struct Backward<'a>(pub &'a Attention);

impl<'a> Rule<'a> for Backward<'a> {
    fn arity(&self) -> Option<usize> {
        Some(self.0.operands() + 3)
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        result(graph, node, self.0, true)
    }

    fn kind(&self) -> Kind<'a> {
        Kind::Alone(launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let lost: Vec<_> = (0..at.node().inputs.len()).map(|i| at.none(i)).collect();
        at.computed(&lost)
    }

    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(gradient(self.0, sizes(graph, &node.inputs), operands))
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, walk: Walk) -> Result<Vec<Option<NodeId>>> {
        let c = c.one()?;
        gradient_vjp(graph, y, c, self.0, walk)
    }

    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        let Sizes { t, s, .. } = sizes(to.graph(), &node.inputs);
        (t == 0 || s == 0).then(|| to.constant(0.0, &node.dims, node.dtype))
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        gradient_cases(float)
    }
}

/// Values of an attention, for plain loops.
struct Values<'a> {
    op: &'a Attention,
    sizes: Sizes,
    operands: &'a [&'a [f64]],
}

impl Values<'_> {
    /// Row `row` of head `head` of a tensor `[n, heads, rows, width]`.
    fn row(&self, operand: usize, [n, head, row]: [usize; 3], [heads, rows, width]: [usize; 3]) -> &[f64] {
        &self.operands[operand][((n * heads + head) * rows + row) * width..][..width]
    }

    fn query(&self, n: usize, head: usize, i: usize) -> &[f64] {
        let Sizes { h, t, e, .. } = self.sizes;
        self.row(0, [n, head, i], [h, t, e])
    }

    /// The key that a head of queries meets.
    fn key(&self, n: usize, head: usize, j: usize) -> &[f64] {
        let Sizes { h, g, s, e, .. } = self.sizes;
        self.row(1, [n, head / (h / g), j], [g, s, e])
    }

    fn value(&self, n: usize, head: usize, j: usize) -> &[f64] {
        let Sizes { h, g, s, f, .. } = self.sizes;
        self.row(2, [n, head / (h / g), j], [g, s, f])
    }

    /// The score of a key, if the query sees it.
    fn score(&self, n: usize, head: usize, i: usize, j: usize) -> Option<f64> {
        let Sizes { h, t, s, .. } = self.sizes;
        let [bias, mask, slopes, start] = self.op.extras();
        let first = start.map_or(s as f64 - t as f64, |start| self.operands[start][n]);
        let distance = first + i as f64 - j as f64;
        let hidden = (self.op.causal && distance < 0.0)
            || self.op.window.is_some_and(|window| distance.abs() >= window as f64)
            || mask.is_some_and(|mask| self.operands[mask][((n * h + head) * t + i) * s + j] == 0.0);
        if hidden {
            return None;
        }
        let mut score = self.op.scale * dot(self.query(n, head, i), self.key(n, head, j));
        if let Some(bias) = bias {
            score += self.operands[bias][((n * h + head) * t + i) * s + j];
        }
        if let Some(slopes) = slopes {
            score -= self.operands[slopes][head] * distance.abs();
        }
        (score != f64::NEG_INFINITY).then_some(score)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The result `[n, t, h, f]`, then the logarithms `[n, h, t]`.
fn attention(op: &Attention, sizes: Sizes, operands: &[&[f64]]) -> Vec<f64> {
    let values = Values { op, sizes, operands };
    let Sizes { n, h, t, s, f, .. } = sizes;
    let mut y = vec![0.0; sizes.result() + sizes.logarithms()];
    for (n, head, i) in positions([n, h, t]) {
        let scores: Vec<Option<f64>> = (0..s).map(|j| values.score(n, head, i, j)).collect();
        let greatest = scores.iter().flatten().fold(f64::NEG_INFINITY, |max: f64, x| max.max(*x));
        let weights: Vec<f64> = scores.iter().map(|x| x.map_or(0.0, |x| (x - greatest).exp())).collect();
        let sum: f64 = weights.iter().sum();
        y[sizes.result() + (n * h + head) * t + i] = if sum == 0.0 { f64::NEG_INFINITY } else { greatest + sum.ln() };
        let to = &mut y[((n * t + i) * h + head) * f..][..f];
        for (j, weight) in weights.iter().enumerate().filter(|_| sum != 0.0) {
            to.iter_mut().zip(values.value(n, head, j)).for_each(|(y, v)| *y += weight / sum * v);
        }
    }
    y
}

/// The cotangents of queries, keys and values. The last three operands are the logarithms, the common part of each row,
/// and the cotangent of the result.
fn gradient(op: &Attention, sizes: Sizes, operands: &[&[f64]]) -> Vec<f64> {
    let values = Values { op, sizes, operands };
    let Sizes { n, h, g, t, s, e, f } = sizes;
    let last = op.operands();
    let [dq, dk, dv] = sizes.gradients();
    let mut y = vec![0.0; sizes.gradient_dims().iter().product()];
    let add =
        |y: &mut [f64], (first, sample, row, _): (usize, usize, usize, usize), at: [usize; 4], by: f64, x: &[f64]| {
            let [n, i, head, width] = at;
            let to = &mut y[first + n * sample + i * row + head * width..][..width];
            to.iter_mut().zip(x).for_each(|(y, x)| *y += by * x);
        };
    for (n, head, i) in positions([n, h, t]) {
        let row = (n * h + head) * t + i;
        let c = values.row(last + 2, [n, head, i], [h, t, f]);
        for j in 0..s {
            let Some(score) = values.score(n, head, i, j) else { continue };
            let weight = (score - operands[last][row]).exp();
            let ds = op.scale * weight * (dot(c, values.value(n, head, j)) - operands[last + 1][row]);
            let shared = head / (h / g);
            add(&mut y, dq, [n, i, head, e], ds, values.key(n, head, j));
            add(&mut y, dk, [n, j, shared, e], ds, values.query(n, head, i));
            add(&mut y, dv, [n, j, shared, f], weight, c);
        }
    }
    y
}

fn positions([n, h, t]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..n * h * t).map(move |row| (row / (h * t), row / t % h, row % t))
}

/// The sizes of an attention whose operands begin with queries, keys and values.
fn sizes(graph: &Graph, inputs: &[NodeId]) -> Sizes {
    Sizes::new(&graph[inputs[0]].dims, &graph[inputs[1]].dims, &graph[inputs[2]].dims)
}

/// The result of an attention, or of its derivative, whose operands fit.
fn result(graph: &Graph, node: &Node, op: &Attention, gradient: bool) -> Result<(Vec<usize>, DType), String> {
    let operand = |i: usize| &graph[node.inputs[i]];
    let (q, k, v) = (operand(0), operand(1), operand(2));
    if q.dims.len() != 4 || shapes::attention(&q.dims, &k.dims, &v.dims).is_err() {
        return Err(format!("cannot attend from {:?} to {:?} and {:?}", q.dims, k.dims, v.dims));
    }
    let sizes = sizes(graph, &node.inputs);
    let Sizes { n, h, g, t, s, e, f } = sizes;
    if g == 0 || h % g != 0 || e == 0 || f == 0 {
        return Err(format!("has {h} heads of queries for {g} of keys, and widths {e} and {f}"));
    }
    let float = q.dtype;
    if !float.is_float() {
        return Err(format!("needs real numbers where {float:?} stands"));
    }
    let mut expected: Vec<(Vec<usize>, DType)> = [&q.dims, &k.dims, &v.dims].map(|d| (d.clone(), float)).to_vec();
    let extras = [
        (op.bias, vec![n, h, t, s], float),
        (op.mask, vec![n, h, t, s], DType::Bool),
        (op.slopes, vec![h], float),
        (op.start, vec![n], DType::Index),
    ];
    expected.extend(extras.into_iter().filter(|(given, ..)| *given).map(|(_, dims, dtype)| (dims, dtype)));
    if gradient {
        let own = [vec![n, h, t], vec![n, h, t], vec![n, h, t, f]];
        expected.extend(own.map(|dims| (dims, float)));
    }
    for (i, (dims, dtype)) in expected.iter().enumerate() {
        let found = operand(i);
        if (&found.dims, found.dtype) != (dims, *dtype) {
            return Err(format!("needs {dtype:?}{dims:?} as operand {i} and finds {:?}{:?}", found.dtype, found.dims));
        }
    }
    Ok((if gradient { sizes.gradient_dims() } else { vec![sizes.result() + sizes.logarithms()] }, float))
}

/// Attention written out in other ops: the weights `[n, h, t, s]` and what they are made of.
struct Written {
    sizes: Sizes,
    /// Queries, and keys and values repeated for each head.
    q: NodeId,
    k: NodeId,
    v: NodeId,
    /// How far each key is from each query, positive.
    distance: NodeId,
    /// `softmax`, 0 where a key is hidden.
    weights: NodeId,
}

impl Written {
    /// From the operands of an attention and the logarithms `[n, h, t]`.
    fn new(graph: &mut Graph, op: &Attention, inputs: &[NodeId], logarithms: NodeId) -> Result<Self> {
        let sizes = sizes(graph, inputs);
        let Sizes { n, h, t, s, .. } = sizes;
        let dims = [n, h, t, s];
        let float = graph[inputs[0]].dtype;
        let extra = |i: usize| op.extras()[i].map(|operand| inputs[operand]);
        let (k, v) = (repeated(graph, inputs[1], &sizes)?, repeated(graph, inputs[2], &sizes)?);
        let product = graph.matmul(inputs[0], k, [false, true])?;
        let scale = graph.constant_like(op.scale, product);
        let mut scores = graph.binary(Binary::Mul, product, scale)?;
        let first = match extra(3) {
            Some(start) => {
                let start = graph.cast(start, float);
                graph.broadcast(start, &[1, 2, 3], &dims)?
            }
            None => graph.constant(s as f64 - t as f64, &dims, float),
        };
        let mut difference = graph.iota(&dims, 2)?;
        difference = graph.cast(difference, float);
        difference = graph.binary(Binary::Add, first, difference)?;
        let at = graph.iota(&dims, 3)?;
        let at = graph.cast(at, float);
        difference = graph.binary(Binary::Sub, difference, at)?;
        let distance = graph.unary(Unary::Abs, difference)?;
        if let Some(bias) = extra(0) {
            scores = graph.binary(Binary::Add, scores, bias)?;
        }
        if let Some(slopes) = extra(2) {
            let slopes = graph.broadcast(slopes, &[0, 2, 3], &dims)?;
            let loss = graph.binary(Binary::Mul, slopes, distance)?;
            scores = graph.binary(Binary::Sub, scores, loss)?;
        }
        let logarithms = graph.broadcast(logarithms, &[3], &dims)?;
        let mut exponent = graph.binary(Binary::Sub, scores, logarithms)?;
        let nothing = graph.constant_like(f64::NEG_INFINITY, exponent);
        let mut seen = Vec::new();
        if op.causal {
            let zero = graph.constant_like(0.0, difference);
            seen.push(graph.compare(Compare::Ge, difference, zero)?);
        }
        if let Some(window) = op.window {
            let window = graph.constant_like(window as f64, distance);
            seen.push(graph.compare(Compare::Lt, distance, window)?);
        }
        if let Some(mask) = extra(1) {
            seen.push(mask);
        }
        for seen in seen {
            exponent = graph.select(seen, exponent, nothing)?;
        }
        let weights = graph.unary(Unary::Exp, exponent)?;
        Ok(Written { sizes, q: inputs[0], k, v, distance, weights })
    }

    /// The cotangent of the scores, from the cotangent of the result and the common part of each row.
    fn scores_bar(&self, graph: &mut Graph, common: NodeId, c: NodeId) -> Result<NodeId> {
        let weights_bar = graph.matmul(c, self.v, [false, true])?;
        let dims = graph[weights_bar].dims.clone();
        let common = graph.broadcast(common, &[3], &dims)?;
        let difference = graph.binary(Binary::Sub, weights_bar, common)?;
        graph.binary(Binary::Mul, self.weights, difference)
    }

    /// The cotangents of queries, keys and values.
    fn gradient(&self, graph: &mut Graph, op: &Attention, common: NodeId, c: NodeId) -> Result<[NodeId; 3]> {
        let scores_bar = self.scores_bar(graph, common, c)?;
        let scale = graph.constant_like(op.scale, scores_bar);
        let scaled = graph.binary(Binary::Mul, scores_bar, scale)?;
        let q = graph.matmul(scaled, self.k, [false, false])?;
        let k = graph.matmul(scaled, self.q, [true, false])?;
        let v = graph.matmul(self.weights, c, [true, false])?;
        Ok([q, gathered(graph, k, &self.sizes)?, gathered(graph, v, &self.sizes)?])
    }
}

/// `[n, g, s, e]` as `[n, h, s, e]`, each head repeated for the heads of queries that it serves.
fn repeated(graph: &mut Graph, x: NodeId, sizes: &Sizes) -> Result<NodeId> {
    let Sizes { n, h, g, s, .. } = *sizes;
    let width = graph[x].dims[3];
    let x = graph.broadcast(x, &[2], &[n, g, h / g, s, width])?;
    graph.reshape(x, &[n, h, s, width])
}

/// The sum over the heads of queries that a head of keys serves.
fn gathered(graph: &mut Graph, x: NodeId, sizes: &Sizes) -> Result<NodeId> {
    let Sizes { n, h, g, s, .. } = *sizes;
    let width = graph[x].dims[3];
    let x = graph.reshape(x, &[n, g, h / g, s, width])?;
    graph.sum(x, &[2])
}

/// The cotangents of all operands of an attention.
fn attention_vjp(graph: &mut Graph, y: NodeId, c: NodeId, op: &Attention) -> Result<Vec<Option<NodeId>>> {
    let inputs = graph[y].inputs.clone();
    let [q, k, v] = graph.attention_gradient(y, c)?;
    let mut all = vec![None; inputs.len()];
    (all[0], all[1], all[2]) = (Some(q), Some(k), Some(v));
    let [bias, _, slopes, _] = op.extras();
    if bias.is_some() || slopes.is_some() {
        let sizes = sizes(graph, &inputs);
        let logarithms = graph.attention_logarithms(y, &sizes)?;
        let result = graph.attention_result(y, &sizes)?;
        let (c_result, c_logarithms) = (graph.attention_result(c, &sizes)?, graph.attention_logarithms(c, &sizes)?);
        let product = graph.binary(Binary::Mul, c_result, result)?;
        let common = graph.sum(product, &[3])?;
        let common = graph.binary(Binary::Sub, common, c_logarithms)?;
        let written = Written::new(graph, op, &inputs, logarithms)?;
        let scores_bar = written.scores_bar(graph, common, c_result)?;
        if let Some(bias) = bias {
            all[bias] = Some(scores_bar);
        }
        if let Some(slopes) = slopes {
            let product = graph.binary(Binary::Mul, scores_bar, written.distance)?;
            let sum = graph.sum(product, &[0, 2, 3])?;
            all[slopes] = Some(graph.unary(Unary::Neg, sum)?);
        }
    }
    Ok(all)
}

/// The cotangents of all operands of the derivative: the derivative of its formula.
fn gradient_vjp(graph: &mut Graph, y: NodeId, c: NodeId, op: &Attention, walk: Walk) -> Result<Vec<Option<NodeId>>> {
    let inputs = graph[y].inputs.clone();
    let cotangents = graph.attention_cotangents(c, &sizes(graph, &inputs))?;
    // In a graph of its own, where no operand depends on another.
    let mut own = Graph::new();
    let slots = inputs.iter().chain(&cotangents).enumerate();
    let nodes: Vec<NodeId> = slots.map(|(i, &x)| own.input(format!("x{i}"), &graph[x].dims, graph[x].dtype)).collect();
    let (operands, c) = nodes.split_at(inputs.len());
    let [.., logarithms, common, c_result] = *operands else { unreachable!("the derivative has six operands or more") };
    let written = Written::new(&mut own, op, operands, logarithms)?;
    let results = written.gradient(&mut own, op, common, c_result)?;
    let wrt: Vec<NodeId> = operands.iter().copied().filter(|&x| own[x].dtype.is_float()).collect();
    let pairs = [(results[0], c[0]), (results[1], c[1]), (results[2], c[2])];
    let bars = walk(&mut own, &pairs, &wrt)?;
    let outer: Vec<NodeId> = inputs.iter().chain(&cotangents).copied().collect();
    let renamed = graph.inline(&own, &outer);
    let bar = |x: &NodeId| wrt.iter().position(|w| w == x).map(|i| renamed[bars[i].index()]);
    Ok(operands.iter().map(bar).collect())
}
