//! The closed list of operations. What each one means stands in `ops`.

use super::{Attention, Binary, Compare, Conv, Foreign, Loop, Pass, Pool, Unary, Window};
use std::sync::Arc;

/// What computes a node. Elementwise ops take operands of equal shape; `Broadcast` makes them equal.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The i-th input of the run.
    Input(usize),
    /// The i-th tensor of the state, as it was before the run.
    State(usize),
    /// One number in every element; any shape, any element type.
    Constant(f64),
    /// The position along an axis, as an `Index`.
    Iota {
        /// The axis that is counted.
        axis: usize,
    },
    /// One draw per element, keyed by (seed, step, path, position). Operand: the key.
    Random {
        /// What is drawn.
        distribution: Distribution,
        /// The hash of the label path.
        path: u64,
    },
    /// A function of one real number.
    Unary(Unary),
    /// A function of two real numbers.
    Binary(Binary),
    /// A comparison of two reals or two indices; gives `Bool`.
    Compare(Compare),
    /// `if a { b } else { c }`, elementwise. Operands: `Bool`, then two of the node's type.
    Select,
    /// `Bool` (0 or 1), `Index` or a real as the node's element type. To `Bool`: is it other than zero?
    Cast,
    /// The operand, which the derivative takes for a constant. Once derivatives are taken, it is its operand.
    StopGradient,
    /// Removes axes by combining their elements.
    Reduce {
        /// How elements combine.
        op: ReduceOp,
        /// The axes that go, ascending.
        axes: Vec<usize>,
    },
    /// The position of the greatest element along an axis, the first of equals; gives `Index`.
    ArgMax {
        /// The axis that goes.
        axis: usize,
    },
    /// Inserts axes, repeating the operand along them.
    Broadcast {
        /// Where the new axes stand in the result, ascending.
        axes: Vec<usize>,
    },
    /// The same elements in row-major order under another shape.
    Reshape,
    /// Axis i of the result is axis `order[i]` of the operand.
    Permute {
        /// The order of the axes.
        order: Vec<usize>,
    },
    /// The part of an axis that begins at `start` and is as long as the node's own size there.
    Slice {
        /// The axis that is cut.
        axis: usize,
        /// The first position taken.
        start: usize,
    },
    /// Zeros around the operand along an axis: the operand begins at `start`, the node's own size says where it ends.
    Pad {
        /// The axis that grows.
        axis: usize,
        /// Where the operand begins.
        start: usize,
    },
    /// Operands one after the other along an axis.
    Concat {
        /// The axis that grows.
        axis: usize,
    },
    /// Matrix product over the last two axes; leading axes are equal and run in parallel.
    /// `[.., m, k] · [.., k, n] → [.., m, n]`; a transposed operand is stored as `[.., k, m]` or `[.., n, k]`.
    MatMul {
        /// Whether the left operand is stored transposed.
        transpose_left: bool,
        /// Whether the right operand is stored transposed.
        transpose_right: bool,
    },
    /// Rows of a table by their indices. Operands: the table `[rows, ..]`, indices `[i, ..]`; gives `[i, .., ..]`.
    Gather,
    /// For each row of a table the sum of the values that have its index. Operands: values `[i, .., ..]`, indices
    /// `[i, ..]`; gives `[rows, ..]`.
    ScatterAdd,
    /// A table with some rows replaced; of equal indices the last one's row stays. Operands: the table, indices, the rows.
    Put,
    /// Windows over the last two axes. Operands: the tensor, and for some the positions within each plane.
    Pool {
        /// What happens at each window.
        pool: Pool,
        /// The windows.
        window: Window,
    },
    /// One pass of a convolution over the last two axes, of operands with four.
    Conv {
        /// Which tensor is computed.
        pass: Pass,
        /// The geometry.
        conv: Conv,
    },
    /// Scaled dot-product attention, [`Graph::attention`](super::Graph::attention). One axis: the result as `[n, t, h, f]`,
    /// then the logarithms of the softmax's denominators, `[n, h, t]`.
    Attention(Attention),
    /// Its derivative from those of result and logarithms. One axis: the cotangents of the queries as `[n, t, h, e]`, of
    /// the keys as `[n, s, g, e]`, of the values as `[n, s, g, f]`; where `t = s` these three lie side by side, as
    /// `[n, t, (h + g) e + g f]`.
    AttentionGradient(Attention),
    /// The key that follows from a key and the number of a step. Operands: the key, one `Index`.
    FoldIn,
    /// A body that runs so many times. It has several results, which only `Part` reads.
    Loop(Arc<Loop>),
    /// The i-th result of a loop.
    Part(usize),
    /// An op from outside of the library.
    Custom(Foreign),
}

/// How a reduction combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the reduction of its name
pub enum ReduceOp {
    Sum,
    Max,
    Min,
}

/// What a random draw is distributed as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Standard normal.
    Normal,
    /// Uniform on [0, 1).
    Uniform,
}
