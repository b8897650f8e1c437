//! A fused elementwise kernel as data: a short list of rows over an iteration space.
//!
//! The processor runs it tile by tile, one dispatch per row and tile; other devices print it as source.
//! All registers hold the kernel's float type; `Index` and `Bool` elements are converted when loaded and stored.

use super::elementwise::{Binary, Compare, Unary};

/// A fused kernel: loads fill registers `0..sources.len()`, rows compute further registers, stores and
/// accumulations write them out.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiled {
    /// The iteration space, row-major; adjacent axes are already merged where every operand allows it.
    pub dims: Vec<usize>,
    /// Register `i` of each point is filled by `sources[i]`.
    pub sources: Vec<Source>,
    /// Row `j` fills register `sources.len() + j`.
    pub rows: Vec<Row>,
    /// Registers written at every point.
    pub stores: Vec<Store>,
    /// Which axes of `dims` the accumulations remove; empty when there are none.
    pub reduced: Vec<bool>,
    /// Registers combined over the reduced axes.
    pub accumulations: Vec<Accumulation>,
}

/// The number of a register.
pub type Register = u16;

/// How elements lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// The kernel's float type.
    Float,
    /// `u32`.
    Index,
    /// One byte, 0 or 1.
    Bool,
}

/// A buffer seen from the iteration space: element = `offset + Σ position[axis] * strides[axis]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Which operand of the launch holds the elements.
    pub operand: usize,
    /// The first element.
    pub offset: usize,
    /// Elements between neighbours along each axis of the iteration space; 0 where the axis is broadcast.
    pub strides: Vec<isize>,
    /// How the elements lie in memory.
    pub cell: Cell,
}

/// Where the values of a register come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Memory.
    Load(View),
    /// One number for all points.
    Constant(f64),
    /// The position along an axis of the iteration space, in steps: `Σ position[axis] * strides[axis] + offset`.
    Position {
        /// Weight of each axis.
        strides: Vec<isize>,
        /// The value at the origin.
        offset: isize,
    },
    /// A draw keyed by the four words of operand `key` (seed low, seed high, step low, step high), the path, and the
    /// row-major position in the iteration space.
    Random {
        /// The operand that holds the key.
        key: usize,
        /// The hash of the label path.
        path: u64,
        /// Standard normal if true, else uniform on [0, 1).
        normal: bool,
    },
}

/// One instruction: `code` applied to earlier registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// What is computed.
    pub code: Code,
    /// The registers it reads; unused ones are 0.
    pub args: [Register; 3],
}

/// What a row computes. Truth values are 1 and 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A function of one register.
    Unary(Unary),
    /// A function of two registers.
    Binary(Binary),
    /// A comparison of two registers.
    Compare(Compare),
    /// `a * b + c`
    MulAdd,
    /// `if a != 0 { b } else { c }`
    Select,
}

/// A register written to memory at every point.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// What is written.
    pub register: Register,
    /// Where; no stride is 0 unless the axis has size 1.
    pub view: View,
}

/// A register combined over the reduced axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Accumulation {
    /// How elements combine.
    pub fold: Fold,
    /// What is combined.
    pub register: Register,
    /// Where the result goes; strides of reduced axes are 0.
    pub view: View,
}

/// How an accumulation combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// The sum.
    Sum,
    /// The greatest; NaN if any is NaN.
    Max,
    /// The least; NaN if any is NaN.
    Min,
    /// The position of the greatest along the one reduced axis, the first of equals.
    ArgMax,
}
