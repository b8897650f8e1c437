//! Scaled dot-product attention as data.

use super::view::{Access, View};

/// A launch of attention: sizes, who sees whom, and where all operands lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Samples.
    pub batch: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; each serves `heads / shared` heads of queries in a row.
    pub shared: usize,
    /// Queries of a head.
    pub queries: usize,
    /// Keys of a head.
    pub keys: usize,
    /// Numbers of a query and of a key.
    pub width: usize,
    /// Numbers of a value.
    pub value_width: usize,
    /// What scores are multiplied by.
    pub scale: f64,
    /// Whether a query sees no key at a later position.
    pub causal: bool,
    /// Whether a query sees only keys less than so many positions away.
    pub window: Option<usize>,
    /// The queries: sample, head, row, column.
    pub q: View,
    /// The keys.
    pub k: View,
    /// The values.
    pub v: View,
    /// What is added to scores: sample, head, query, key.
    pub bias: Option<View>,
    /// Which keys are seen, one byte each: sample, head, query, key.
    pub mask: Option<View>,
    /// The slope of each head: _, head, _, _.
    pub slopes: Option<View>,
    /// The position of the first query of each sample, `u32`; else the last query stands at the last key.
    pub start: Option<View>,
    /// What is computed.
    pub pass: Pass,
}

/// What a launch of attention computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Pass {
    /// The result, and the logarithms of the sums: sample, head, query.
    Forward {
        /// Sample, head, row, column; columns are contiguous.
        out: View,
        /// Sample, head, row.
        logarithms: View,
    },
    /// The cotangents of queries, keys and values.
    Backward {
        /// Sample, head, row.
        logarithms: View,
        /// What the cotangents of a row of weights have in common, taken off: sample, head, row.
        common: View,
        /// The cotangent of the result.
        c: View,
        /// The cotangent of the queries; columns are contiguous in this and the next.
        dq: View,
        /// The cotangent of the keys.
        dk: View,
        /// The cotangent of the values.
        dv: View,
    },
}

impl Attention {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        let Attention { batch: n, heads: h, shared: g, queries: t, keys: s, width: e, value_width: f, .. } = *self;
        visit(Access::Read, &mut self.q, &[n, h, t, e]);
        visit(Access::Read, &mut self.k, &[n, g, s, e]);
        visit(Access::Read, &mut self.v, &[n, g, s, f]);
        let extras = [
            (&mut self.bias, [n, h, t, s]),
            (&mut self.mask, [n, h, t, s]),
            (&mut self.slopes, [1, h, 1, 1]),
            (&mut self.start, [n, 1, 1, 1]),
        ];
        for (view, extents) in extras {
            if let Some(view) = view {
                visit(Access::Read, view, &extents);
            }
        }
        match &mut self.pass {
            Pass::Forward { out, logarithms } => {
                visit(Access::Write, out, &[n, h, t, f]);
                visit(Access::Write, logarithms, &[n, h, t, 1]);
            }
            Pass::Backward { logarithms, common, c, dq, dk, dv } => {
                visit(Access::Read, logarithms, &[n, h, t, 1]);
                visit(Access::Read, common, &[n, h, t, 1]);
                visit(Access::Read, c, &[n, h, t, f]);
                visit(Access::Write, dq, &[n, h, t, e]);
                visit(Access::Write, dk, &[n, g, s, e]);
                visit(Access::Write, dv, &[n, g, s, f]);
            }
        }
    }
}
