//! Random graphs over all ops, for tests.

use crate::graph::{Attend, Binary, Compare, DType, Distribution, Graph, NodeId, ReduceOp, StateKind, Unary};
use crate::ops::{Domain, binary_domains, jumps, unary_domain};

/// A random graph and values for its inputs and state.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub graph: Graph,
    pub inputs: Vec<Vec<f64>>,
    pub states: Vec<Vec<f64>>,
}

/// The graph that a list of choices describes; every list describes one.
pub(crate) fn sample(choices: &[u16], float: DType) -> Sample {
    let mut maker = Maker { graph: Graph::new(), float, choices, used: 0, nodes: Vec::new() };
    for _ in 0..2 {
        maker.input();
    }
    maker.state();
    while maker.used < choices.len() {
        maker.grow();
    }
    maker.used = 0;
    maker.finish();
    let values = |dtype, dims: &[usize], salt: usize| {
        (0..dims.iter().product::<usize>()).map(|i| value(dtype, i * 7 + salt * 13 + usize::from(choices[0]))).collect()
    };
    let graph = maker.graph;
    let inputs = graph.inputs().iter().enumerate().map(|(i, slot)| values(slot.dtype, &slot.dims, i)).collect();
    let states = graph.states().iter().enumerate().map(|(i, slot)| values(slot.dtype, &slot.dims, i + 5)).collect();
    Sample { graph, inputs, states }
}

/// Eighths between -2 and 2, which sums and products keep exactly.
fn value(dtype: DType, seed: usize) -> f64 {
    let word = (seed.wrapping_mul(0x9e37_79b9) >> 7) % 33;
    match dtype {
        DType::F32 | DType::F64 | DType::Bf16 => word as f64 / 8.0 - 2.0,
        DType::Index => (word % 5) as f64,
        DType::Bool => (word % 2) as f64,
    }
}

/// How many more sums and products keep all digits; ops that jump are only applied to exact values.
type Exact = u32;

struct Maker<'a> {
    graph: Graph,
    float: DType,
    choices: &'a [u16],
    used: usize,
    nodes: Vec<(NodeId, Exact)>,
}

/// Larger graphs take longer and show no more.
const LARGEST: usize = 3000;

impl Maker<'_> {
    fn choose(&mut self, below: usize) -> usize {
        let choice = self.choices[self.used % self.choices.len()] as usize;
        self.used += 1;
        (choice + self.used / self.choices.len()) % below.max(1)
    }

    fn dims(&mut self) -> Vec<usize> {
        const SIZES: [usize; 9] = [1, 2, 3, 4, 5, 2, 17, 1, 0];
        const LIVELY: usize = 8;
        let rank = self.choose(4);
        // Empty tensors are rare, or nothing else would be.
        let sizes = if self.choose(12) == 0 { SIZES.len() } else { LIVELY };
        (0..rank).map(|_| SIZES[self.choose(sizes)]).collect()
    }

    fn dtype(&mut self) -> DType {
        [self.float, self.float, self.float, DType::Bool, DType::Index][self.choose(5)]
    }

    fn input(&mut self) {
        let (dims, dtype) = (self.dims(), self.dtype());
        let name = format!("x{}", self.graph.inputs().len());
        let id = self.graph.input(name, &dims, dtype);
        self.nodes.push((id, 3));
    }

    fn state(&mut self) {
        let dims = self.dims();
        let key = format!("s{}", self.graph.states().len());
        let id = self.graph.state(key, StateKind::Parameter, &dims, self.float).unwrap();
        self.nodes.push((id, 0));
    }

    fn any(&mut self) -> (NodeId, Exact) {
        let choice = self.choose(self.nodes.len());
        self.nodes[choice]
    }

    fn real(&mut self) -> (NodeId, Exact) {
        let (id, exact) = self.any();
        let id = self.graph.cast(id, self.float);
        (id, exact)
    }

    /// Another node of the shape and type of `x`, or `x` itself.
    fn like(&mut self, x: NodeId) -> (NodeId, Exact) {
        let alike =
            |id: NodeId| self.graph[id].dims == self.graph[x].dims && self.graph[id].dtype == self.graph[x].dtype;
        let known: Vec<(NodeId, Exact)> = self.nodes.iter().copied().filter(|&(id, _)| alike(id)).collect();
        if known.is_empty() { (x, 0) } else { known[self.choose(known.len())] }
    }

    fn axis(&mut self, x: NodeId) -> Option<usize> {
        let rank = self.graph[x].dims.len();
        (rank > 0).then(|| self.choose(rank))
    }

    fn grow(&mut self) {
        if let Some((id, exact)) = self.node()
            && self.graph[id].len() <= LARGEST
        {
            self.nodes.push((id, exact));
        }
    }

    fn node(&mut self) -> Option<(NodeId, Exact)> {
        match self.choose(27) {
            0 => self.unary(),
            1..=3 => self.arithmetic(),
            4 => {
                let (a, exact) = self.any();
                let (b, other) = self.like(a);
                let op = Compare::ALL[self.choose(Compare::ALL.len())];
                (exact.min(other) > 0).then(|| (self.graph.compare(op, a, b).unwrap(), 3))
            }
            5 => {
                let (yes, first) = self.any();
                let (no, second) = self.like(yes);
                let dims = self.graph[yes].dims.clone();
                let condition = self
                    .nodes
                    .iter()
                    .find(|(id, _)| self.graph[*id].dtype == DType::Bool && self.graph[*id].dims == dims);
                let (condition, _) = *condition?;
                Some((self.graph.select(condition, yes, no).unwrap(), first.min(second)))
            }
            6 => {
                let (x, exact) = self.any();
                let dtype = self.dtype();
                if dtype == DType::Index {
                    // Indices are not negative.
                    let real = self.graph.cast(x, self.float);
                    let size = self.graph.unary(Unary::Abs, real).unwrap();
                    return (exact > 0).then(|| (self.graph.cast(size, dtype), 3));
                }
                let exact = if dtype == DType::Bool && exact == 0 { return None } else { exact };
                Some((self.graph.cast(x, dtype), exact))
            }
            7 | 8 => {
                let (x, exact) = self.real();
                let op = [ReduceOp::Sum, ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min][self.choose(4)];
                let mask = self.choose(64);
                let axes: Vec<usize> = (0..self.graph[x].dims.len()).filter(|axis| mask >> axis & 1 == 1).collect();
                Some((self.graph.reduce(op, x, &axes).ok()?, exact.saturating_sub(1)))
            }
            9 => {
                let (x, exact) = self.real();
                let axis = self.axis(x)?;
                if exact == 0 { None } else { Some((self.graph.argmax(x, axis).ok()?, 3)) }
            }
            10 | 11 => {
                let (x, exact) = self.any();
                let mut dims = self.graph[x].dims.clone();
                if dims.len() >= 5 {
                    return None;
                }
                let (axis, size) = (self.choose(dims.len() + 1), [2, 3, 1, 7][self.choose(4)]);
                dims.insert(axis, size);
                (dims.iter().product::<usize>() <= LARGEST)
                    .then(|| (self.graph.broadcast(x, &[axis], &dims).unwrap(), exact))
            }
            12 | 13 => {
                let (x, exact) = self.any();
                let dims = self.other_shape(x);
                Some((self.graph.reshape(x, &dims).unwrap(), exact))
            }
            26 => {
                let (x, exact) = self.any();
                let axis = self.axis(x)?;
                Some((self.graph.flip(x, axis).unwrap(), exact))
            }
            14 => {
                let (x, exact) = self.any();
                let mut order: Vec<usize> = (0..self.graph[x].dims.len()).collect();
                let turn = self.choose(order.len());
                order.rotate_left(turn);
                if self.choose(2) == 0 {
                    order.reverse();
                }
                Some((self.graph.permute(x, &order).unwrap(), exact))
            }
            15 | 16 => {
                let (x, exact) = self.any();
                let axis = self.axis(x)?;
                let size = self.graph[x].dims[axis];
                let start = self.choose(size + 1);
                let len = self.choose(size - start + 1);
                Some((self.graph.slice(x, axis, start, len).unwrap(), exact))
            }
            17 => {
                let (x, exact) = self.any();
                let axis = self.axis(x)?;
                let start = self.choose(3);
                let len = self.graph[x].dims[axis] + start + self.choose(3);
                Some((self.graph.pad(x, axis, start, len).unwrap(), exact))
            }
            18 => {
                let (x, exact) = self.any();
                let axis = self.axis(x)?;
                let (y, other) = self.like(x);
                let (z, third) = self.like(x);
                Some((self.graph.concat(&[x, y, z], axis).unwrap(), exact.min(other).min(third)))
            }
            19 => self.product(),
            20 => {
                let dims = self.dims();
                if self.choose(2) == 0 {
                    let axis = self.choose(dims.len());
                    return Some((self.graph.iota(&dims, axis).ok()?, 3));
                }
                let distribution = [Distribution::Normal, Distribution::Uniform][self.choose(2)];
                let path = self.choose(3) as u64;
                Some((self.graph.random(distribution, path, &dims, self.float).unwrap(), 0))
            }
            21 => self.nest(),
            22 | 23 => self.lookup(),
            _ => {
                match self.choose(3) {
                    0 => self.input(),
                    1 => self.state(),
                    _ => {
                        let (x, _) = self.any();
                        let number = [0.0, 1.0, 2.0, -0.5][self.choose(4)];
                        let dtype = self.graph[x].dtype;
                        let number = if dtype.is_float() { number } else { f64::abs(number).trunc() };
                        let number = if dtype == DType::Bool { number.min(1.0) } else { number };
                        let id = self.graph.constant_like(number, x);
                        self.nodes.push((id, 3));
                    }
                }
                None
            }
        }
    }

    fn unary(&mut self) -> Option<(NodeId, Exact)> {
        let (x, exact) = self.real();
        let op = Unary::ALL[self.choose(Unary::ALL.len())];
        let exact = match op {
            Unary::Neg | Unary::Abs | Unary::Relu => exact,
            Unary::Square => exact.saturating_sub(1),
            // What jumps is only applied to exact values.
            _ if jumps(op) && exact == 0 => return None,
            _ if jumps(op) => 3,
            _ => {
                let x = self.within(x, unary_domain(op));
                return Some((self.graph.unary(op, x).unwrap(), 0));
            }
        };
        Some((self.graph.unary(op, x).unwrap(), exact))
    }

    fn arithmetic(&mut self) -> Option<(NodeId, Exact)> {
        let (a, first) = self.real();
        let (b, second) = self.like(a);
        let op = Binary::ALL[self.choose(Binary::ALL.len())];
        let exact = match op {
            Binary::Min | Binary::Max => first.min(second),
            Binary::Add | Binary::Sub | Binary::Mul => first.min(second).saturating_sub(1),
            Binary::Pow => {
                let base = self.graph.unary(Unary::Sigmoid, a).unwrap();
                let exponent = [0.0, 0.5, 1.0, 2.0, 3.0, -1.0, 1.7][self.choose(7)];
                let exponent = self.graph.constant_like(exponent, a);
                return Some((self.graph.binary(op, base, exponent).unwrap(), 0));
            }
            _ => {
                let own = binary_domains(op);
                let (a, b) = (self.within(a, own[0]), self.within(b, own[1]));
                return Some((self.graph.binary(op, a, b).unwrap(), 0));
            }
        };
        Some((self.graph.binary(op, a, b).unwrap(), exact))
    }

    /// Reals as numbers of a domain, at a distance from what it avoids.
    fn within(&mut self, x: NodeId, domain: Domain) -> NodeId {
        let Domain::Reals { low, high, avoid } = domain else { return x };
        let low = avoid.map_or(low, |point| point + (high - point) / 8.0);
        let wave = self.graph.unary(Unary::Sin, x).unwrap();
        let (half, middle) = ((high - low) / 2.0, (high + low) / 2.0);
        let (half, middle) = (self.graph.constant_like(half, x), self.graph.constant_like(middle, x));
        let wave = self.graph.binary(Binary::Mul, wave, half).unwrap();
        self.graph.binary(Binary::Add, wave, middle).unwrap()
    }

    fn other_shape(&mut self, x: NodeId) -> Vec<usize> {
        let mut dims = self.graph[x].dims.clone();
        let Some(axis) = self.axis(x) else { return vec![1] };
        match self.choose(4) {
            0 if axis + 1 < dims.len() => {
                let inner = dims.remove(axis + 1);
                dims[axis] *= inner;
            }
            1 if dims.len() < 5 => {
                let size = dims[axis];
                let inner = (2..=size).find(|&inner| size.is_multiple_of(inner)).unwrap_or(1);
                dims[axis] = size / inner;
                dims.insert(axis + 1, inner);
            }
            2 => return vec![dims.iter().product()],
            // Regroups, as [4, 6] to [6, 4].
            _ => dims.reverse(),
        }
        dims
    }

    fn product(&mut self) -> Option<(NodeId, Exact)> {
        let (x, exact) = self.real();
        if self.graph[x].dims.len() < 2 {
            return None;
        }
        let (y, other) = self.like(x);
        if self.graph[x].dims.len() > 2 && self.choose(2) == 0 {
            let (z, _) = self.like(x);
            let how = [0, 1].map(|_| self.choose(2) == 1);
            let how = Attend { causal: how[0], window: how[1].then_some(2), ..Attend::default() };
            return Some((self.graph.attention(x, y, z, &how).ok()?, 0));
        }
        let transposed = [[false, true], [true, false]][self.choose(2)];
        let id = self.graph.matmul(x, y, transposed).unwrap();
        Some((id, exact.min(other).saturating_sub(2)))
    }

    /// Rows of a table at indices that are found in the graph.
    fn lookup(&mut self) -> Option<(NodeId, Exact)> {
        let (x, exact) = self.real();
        let (table, other) = self.like(x);
        let dims = self.graph[x].dims.clone();
        let row = dims.get(1..)?.to_vec();
        let len = row.iter().product::<usize>();
        if exact == 0 || row.len() > 2 || dims[0] == 0 || len * len > LARGEST {
            return None;
        }
        let index = self.graph.argmax(x, 0).unwrap();
        let taken = self.graph.gather(table, index).unwrap();
        let (id, exact) = match self.choose(3) {
            0 => (taken, other),
            1 => (self.graph.scatter_add(taken, index, dims[0]).unwrap(), other.saturating_sub(2)),
            _ => {
                let values = self.graph.unary(Unary::Neg, taken).unwrap();
                (self.graph.put(table, index, values).unwrap(), other)
            }
        };
        Some((id, exact))
    }

    /// A loop over two carries of one shape, which reads a captured value, its own draws and a stack.
    fn nest(&mut self) -> Option<(NodeId, Exact)> {
        let (x, _) = self.real();
        let (y, _) = self.like(x);
        let (w, _) = self.like(x);
        let dims = self.graph[x].dims.clone();
        if dims.len() >= 5 {
            return None;
        }
        let (count, form, result) = (self.choose(4), self.choose(8), self.choose(4));
        let stack = self.graph.broadcast(w, &[0], &[&[count][..], &dims].concat()).unwrap();
        let float = self.float;
        let looped = self.graph.scan(count, &[x, y], &[stack], |outer, body, carries, slices| {
            let w = body.lift(outer, w);
            let mut a = body.binary(Binary::Add, carries[0], if form & 1 == 0 { w } else { slices[0] })?;
            if form & 2 == 0 {
                let noise = body.random(Distribution::Uniform, 5, &dims, float)?;
                a = body.binary(Binary::Mul, a, noise)?;
            }
            let a = body.unary(Unary::Sin, a)?;
            let next = if form & 4 == 0 { vec![carries[1], a] } else { vec![a, carries[1]] };
            Ok((next, vec![carries[0], a]))
        });
        let looped = looped.unwrap();
        let results = [looped.carries, looped.stacks].concat();
        Some((results[result], 0))
    }

    fn finish(&mut self) {
        for i in 0..1 + self.choose(3) {
            let last = self.nodes.len() - 1 - self.choose(self.nodes.len().min(6));
            let (id, _) = self.nodes[last];
            self.graph.output(format!("y{i}"), id);
        }
        let states: Vec<NodeId> = self
            .graph
            .nodes()
            .filter(|(_, node)| matches!(node.op, crate::graph::Op::State(_)))
            .map(|(id, _)| id)
            .collect();
        for state in states {
            if self.graph[state].dtype == self.float && self.choose(3) > 0 {
                let (value, _) = self.like(state);
                self.graph.update(state, value).unwrap();
            }
        }
    }
}
