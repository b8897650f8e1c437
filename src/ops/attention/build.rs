//! The builder of attention: who sees whom, and how the parts of its packed results are read.

use crate::graph::{Binary, DType, Graph, NodeId, Op, ReduceOp, misfit};
use crate::{Error, Result};
use ansatz_shapes as shapes;

/// Which keys a query sees and how scores are weighted; which operands follow queries, keys and values, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// What scores are multiplied by.
    pub scale: f64,
    /// Whether a query sees no key at a later position.
    pub causal: bool,
    /// Whether a query sees only keys that are less than so many positions away.
    pub window: Option<usize>,
    /// Whether `[n, h, t, s]` is added to the scores.
    pub bias: bool,
    /// Whether `[n, h, t, s]` says which keys are seen.
    pub mask: bool,
    /// Whether each head `[h]` lowers its scores by a slope times the distance (Press et al. 2022, "ALiBi").
    pub slopes: bool,
    /// Whether `[n]` says at which position each sample's queries begin; else the last query stands at the last key.
    pub start: bool,
}

impl Attention {
    /// Which operands are bias, mask, slopes and start.
    pub(crate) fn extras(&self) -> [Option<usize>; 4] {
        let mut next = 3;
        [self.bias, self.mask, self.slopes, self.start].map(|given| {
            next += usize::from(given);
            given.then(|| next - 1)
        })
    }

    /// How many operands there are.
    pub(crate) fn operands(&self) -> usize {
        3 + self.extras().iter().flatten().count()
    }
}

/// What [`Graph::attention`] takes beside queries, keys and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attend {
    /// What scores are multiplied by; 1/√e if not given.
    pub scale: Option<f64>,
    /// Whether a query sees no key at a later position.
    pub causal: bool,
    /// Whether a query sees only keys that are less than so many positions away, itself included.
    pub window: Option<usize>,
    /// Added to the scores: `[.., h, t, s]`, reals.
    pub bias: Option<NodeId>,
    /// Which keys are seen: `[.., s]` or `[.., h, t, s]`, truth values.
    pub mask: Option<NodeId>,
    /// A slope for each head, `[h]`: scores are lowered by it times the distance (Press et al. 2022, "ALiBi").
    pub slopes: Option<NodeId>,
    /// The position of the first query among the keys: `[..]`, indices; s − t if not given.
    pub start: Option<NodeId>,
}

/// The sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Samples.
    pub n: usize,
    /// Heads of queries.
    pub h: usize,
    /// Heads of keys and values, a divisor of `h`.
    pub g: usize,
    /// Queries.
    pub t: usize,
    /// Keys.
    pub s: usize,
    /// Numbers of a query and of a key.
    pub e: usize,
    /// Numbers of a value.
    pub f: usize,
}

impl Sizes {
    /// From the shapes of queries, keys and values, which fit.
    pub fn new(q: &[usize], k: &[usize], v: &[usize]) -> Self {
        Sizes { n: q[0], h: q[1], g: k[1], t: q[2], s: k[2], e: q[3], f: v[3] }
    }

    /// Elements of the result.
    pub fn result(&self) -> usize {
        self.n * self.t * self.h * self.f
    }

    /// Elements of the logarithms.
    pub fn logarithms(&self) -> usize {
        self.n * self.h * self.t
    }

    /// First position, heads and width of the cotangents of queries, keys and values within a row `[.., h, e]`.
    pub fn columns(&self) -> [(usize, usize, usize); 3] {
        let Sizes { h, g, e, f, .. } = *self;
        [(0, h, e), (h * e, g, e), ((h + g) * e, g, f)]
    }

    /// First element, elements between samples and between rows, and rows of each of the three cotangents.
    pub fn gradients(&self) -> [(usize, usize, usize, usize); 3] {
        let Sizes { n, t, s, .. } = *self;
        let whole = (self.h + self.g) * self.e + self.g * self.f;
        let mut first = 0;
        self.columns().map(|(column, heads, width)| {
            if t == s {
                return (column, t * whole, whole, t);
            }
            let rows = if column == 0 { t } else { s };
            let (own, start) = (heads * width, first);
            first += n * rows * own;
            (start, rows * own, own, rows)
        })
    }

    /// The shape of the derivative's node.
    pub fn gradient_dims(&self) -> Vec<usize> {
        let Sizes { n, h, g, t, s, e, f } = *self;
        match t == s {
            true => vec![n, t, (h + g) * e + g * f],
            false => vec![n * (t * h * e + s * g * (e + f))],
        }
    }
}

impl Graph {
    /// `softmax(scale · q kᵀ) v`, without the matrix of scores in memory: `q [.., h, t, e]`, `k [.., g, s, e]` and
    /// `v [.., g, s, f]` give `[.., h, t, f]`. Where g is less than h, each head of keys serves h / g heads of queries in a
    /// row. The queries stand at the last positions of the keys unless `start` says otherwise. A query that sees no key
    /// gets zeros.
    ///
    /// # Errors
    /// If the shapes do not fit, g does not divide h, a width is 0 or the scale is not finite.
    pub fn attention(&mut self, q: NodeId, k: NodeId, v: NodeId, how: &Attend) -> Result<NodeId> {
        const NAME: &str = "attention";
        let refuse = |problem: String| Err(Error::shape(NAME, problem));
        for x in [q, k, v] {
            self.expect_float(NAME, x)?;
            if self[x].dtype != self[q].dtype {
                return refuse("the operands have different element types".into());
            }
        }
        let dims = shapes::attention(&self[q].dims, &self[k].dims, &self[v].dims).map_err(misfit(NAME))?;
        let lead = dims.len() - 3;
        let whole = |graph: &mut Self, x: NodeId| {
            let dims = graph[x].dims.clone();
            graph.reshape(x, &[&[dims[..lead].iter().product()], &dims[lead..]].concat())
        };
        let (q, k, v) = (whole(self, q)?, whole(self, k)?, whole(self, v)?);
        let sizes = Sizes::new(&self[q].dims, &self[k].dims, &self[v].dims);
        let Sizes { n, h, g, t, s, e, f } = sizes;
        if g == 0 || h % g != 0 {
            return refuse(format!("{g} heads of keys and values do not divide {h} heads of queries"));
        }
        if e == 0 || f == 0 {
            return refuse("queries, keys and values have a width of at least 1".into());
        }
        let scale = how.scale.unwrap_or(1.0 / (e as f64).sqrt());
        if !scale.is_finite() || how.window == Some(0) {
            return refuse("the scale is a finite number, and a window reaches over 1 position at least".into());
        }
        let mut inputs = vec![q, k, v];
        let whole = [&dims[..lead], &[h, t, s]].concat();
        let mask = match how.mask {
            Some(mask) if self[mask].dims.len() == lead + 1 => Some(self.broadcast(mask, &[lead, lead + 1], &whole)?),
            mask => mask,
        };
        let float = self[q].dtype;
        let extras = [
            (how.bias, "the bias", [&dims[..lead], &[h, t, s]].concat(), vec![n, h, t, s], float),
            (mask, "the mask", [&dims[..lead], &[h, t, s]].concat(), vec![n, h, t, s], DType::Bool),
            (how.slopes, "the slopes", vec![h], vec![h], float),
            (how.start, "the start", dims[..lead].to_vec(), vec![n], DType::Index),
        ];
        for (x, name, expected, whole, dtype) in extras {
            let Some(x) = x else { continue };
            if self[x].dims != expected || self[x].dtype != dtype {
                let found = &self[x];
                return refuse(format!(
                    "{name} should be {dtype:?}{expected:?} and is {:?}{:?}",
                    found.dtype, found.dims
                ));
            }
            inputs.push(self.reshape(x, &whole)?);
        }
        let op = Attention {
            scale,
            causal: how.causal,
            window: how.window,
            bias: how.bias.is_some(),
            mask: how.mask.is_some(),
            slopes: how.slopes.is_some(),
            start: how.start.is_some(),
        };
        let whole = self.push(Op::Attention(op), inputs, vec![sizes.result() + sizes.logarithms()], float);
        let result = self.attention_result(whole, &sizes)?;
        self.reshape(result, &dims)
    }

    /// The result `[n, h, t, f]` that an attention node holds.
    pub(crate) fn attention_result(&mut self, whole: NodeId, sizes: &Sizes) -> Result<NodeId> {
        let rows = self.slice(whole, 0, 0, sizes.result())?;
        let rows = self.reshape(rows, &[sizes.n, sizes.t, sizes.h, sizes.f])?;
        self.permute(rows, &[0, 2, 1, 3])
    }

    /// The logarithms `[n, h, t]` that an attention node holds.
    pub(crate) fn attention_logarithms(&mut self, whole: NodeId, sizes: &Sizes) -> Result<NodeId> {
        let rows = self.slice(whole, 0, sizes.result(), sizes.logarithms())?;
        self.reshape(rows, &[sizes.n, sizes.h, sizes.t])
    }

    /// The cotangents of queries, keys and values of an attention node, from that of the node itself.
    pub(crate) fn attention_gradient(&mut self, node: NodeId, cotangent: NodeId) -> Result<[NodeId; 3]> {
        let Op::Attention(op) = self[node].op else {
            return Err(Error::shape("attention", "only attention has this derivative"));
        };
        let mut inputs = self[node].inputs.clone();
        let dims = |i: usize| &*self[inputs[i]].dims;
        let sizes = Sizes::new(dims(0), dims(1), dims(2));
        let (result, logarithms) = (self.attention_result(node, &sizes)?, self.attention_logarithms(node, &sizes)?);
        let c = self.attention_result(cotangent, &sizes)?;
        let c_logarithms = self.attention_logarithms(cotangent, &sizes)?;
        // The part of the scores' cotangent that a row has in common.
        let product = self.binary(Binary::Mul, c, result)?;
        let sum = self.reduce(ReduceOp::Sum, product, &[3])?;
        let common = self.binary(Binary::Sub, sum, c_logarithms)?;
        inputs.extend([logarithms, common, c]);
        let dtype = self[node].dtype;
        let whole = self.push(Op::AttentionGradient(op), inputs, sizes.gradient_dims(), dtype);
        self.attention_cotangents(whole, &sizes)
    }

    /// The cotangents of queries `[n, h, t, e]`, keys and values that the derivative of an attention holds.
    pub(crate) fn attention_cotangents(&mut self, whole: NodeId, sizes: &Sizes) -> Result<[NodeId; 3]> {
        let mut parts = Vec::with_capacity(3);
        for ((column, heads, width), (first, _, own, rows)) in sizes.columns().into_iter().zip(sizes.gradients()) {
            let part = match sizes.t == sizes.s {
                true => self.slice(whole, 2, column, heads * width)?,
                false => self.slice(whole, 0, first, sizes.n * rows * own)?,
            };
            let part = self.reshape(part, &[sizes.n, rows, heads, width])?;
            parts.push(self.permute(part, &[0, 2, 1, 3])?);
        }
        Ok([parts[0], parts[1], parts[2]])
    }
}
