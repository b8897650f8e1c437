//! What every op answers for itself, and the one place that leads from an op to its answers.

use super::cases::Case;
use super::causal::{Course, Site};
use super::{attention, conv, leaf, logic, lookup, matmul, nest, pool, reduce, structure};
use crate::graph::{Binary, Compare, DType, Foreign, Graph, Loop, Node, NodeId, Op, Unary};
use crate::{Error, Result};

/// The reverse walk over a graph: the vector-Jacobian product of pairs (node, cotangent) with respect to some nodes.
pub type Walk = fn(&mut Graph, &[(NodeId, NodeId)], &[NodeId]) -> Result<Vec<NodeId>>;

/// What an op means. No method has a default body, so that an answer that was forgotten does not compile.
pub(super) trait Rule {
    /// How many operands it takes; one or more if it does not say.
    fn arity(&self) -> Option<usize>;

    /// The shape and element type that a node of the op has. What operands do not tell, as the length of a slice, is the
    /// node's own, and is looked at.
    ///
    /// # Errors
    /// What is wrong with the operands, or with what the node says of itself.
    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String>;

    /// How programs come by its values.
    fn kind(&self) -> Kind;

    /// What an element costs where it is computed, in passes over a tile of registers, roughly.
    fn passes(&self) -> usize;

    /// Where the positions of a text that is read piece by piece are found in its values, given where they are in its
    /// operands.
    ///
    /// # Errors
    /// If it makes what it gives at a position of others, of which nothing is kept.
    fn course(&self, at: &Site<'_>) -> Result<Course, String>;

    /// The elements of a verified node, from those of its operands.
    ///
    /// # Errors
    /// If an index is beyond its table.
    fn value(&self, graph: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>>;

    /// For each operand the cotangent cᵀ ∂y/∂x, from that of the node `y`, as further nodes.
    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, walk: Walk) -> Result<Vec<Option<NodeId>>>;

    /// Small graphs that show it, for the tests of derivatives and kernels to walk.
    fn cases(float: DType) -> Result<Vec<Case>>
    where
        Self: Sized;
}

/// The cotangents of the results of a node; of a loop those that there are.
#[derive(Clone, Copy)]
pub(super) struct Cotangents<'a>(pub &'a [Option<NodeId>]);

impl Cotangents<'_> {
    /// That of the one result.
    pub fn one(self) -> Result<NodeId> {
        self.0
            .first()
            .copied()
            .flatten()
            .ok_or_else(|| Error::value("a node has a cotangent where it is differentiated"))
    }
}

/// How programs come by the values of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They are given to the run, or kept from the one before.
    Stored,
    /// They are those of the operand, seen in another order or several times.
    View,
    /// They are computed wherever they are read.
    Fused,
    /// A fused kernel computes them from its operands, and others read them from memory.
    Boundary,
    /// A launch of its own computes them.
    Alone,
    /// The steps of a body compute them, several results at once.
    Loop,
    /// They are one result of several.
    Part,
}

macro_rules! rules {
    ($($pattern:pat => $type:ty: $rule:expr;)*) => {
        /// Calls `then` with the answers of an op.
        pub(super) fn with<R>(op: &Op, then: impl FnOnce(&dyn Rule) -> R) -> R {
            match op {
                $($pattern => then(&$rule),)*
            }
        }

        /// Every op's own test cases, with reals of type `float`.
        ///
        /// # Errors
        /// If `float` is not a type of real numbers.
        pub fn cases(float: DType) -> Result<Vec<Case>> {
            if !float.is_float() {
                return Err(Error::value(format!("cases are for real numbers, not for {float:?}")));
            }
            let mut all = Vec::new();
            $(all.extend(<$type as Rule>::cases(float)?);)*
            Ok(all)
        }
    };
}

rules! {
    Op::Input(i) => leaf::Input: leaf::Input(*i);
    Op::State(i) => leaf::State: leaf::State(*i);
    Op::Constant(value) => leaf::Constant: leaf::Constant(*value);
    Op::Iota { axis } => leaf::Iota: leaf::Iota(*axis);
    Op::Random { distribution, path } => leaf::Random: leaf::Random(*distribution, *path);
    Op::Unary(f) => Unary: *f;
    Op::Binary(f) => Binary: *f;
    Op::Compare(f) => Compare: *f;
    Op::Select => logic::Select: logic::Select;
    Op::Cast => logic::Cast: logic::Cast;
    Op::StopGradient => logic::StopGradient: logic::StopGradient;
    Op::Reduce { op, axes } => reduce::Reduce<'_>: reduce::Reduce { op: *op, axes };
    Op::ArgMax { axis } => reduce::ArgMax: reduce::ArgMax(*axis);
    Op::Broadcast { axes } => structure::Broadcast<'_>: structure::Broadcast(axes);
    Op::Reshape => structure::Reshape: structure::Reshape;
    Op::Permute { order } => structure::Permute<'_>: structure::Permute(order);
    Op::Slice { axis, start } => structure::Slice: structure::Slice { axis: *axis, start: *start };
    Op::Pad { axis, start } => structure::Pad: structure::Pad { axis: *axis, start: *start };
    Op::Concat { axis } => structure::Concat: structure::Concat(*axis);
    Op::MatMul { transpose_left, transpose_right } => matmul::MatMul: matmul::MatMul([*transpose_left, *transpose_right]);
    Op::Gather => lookup::Gather: lookup::Gather;
    Op::ScatterAdd => lookup::ScatterAdd: lookup::ScatterAdd;
    Op::Put => lookup::Put: lookup::Put;
    Op::Pool { pool, window } => pool::Pooling: pool::Pooling(*pool, *window);
    Op::Conv { pass, conv } => conv::Convolution: conv::Convolution(*pass, *conv);
    Op::Attention(how) => attention::Forward<'_>: attention::Forward(how);
    Op::AttentionGradient(how) => attention::Backward<'_>: attention::Backward(how);
    Op::FoldIn => nest::FoldIn: nest::FoldIn;
    Op::Loop(nest) => Loop: **nest;
    Op::Part(i) => nest::Part: nest::Part(*i);
    Op::Custom(op) => Foreign: *op;
}

impl Op {
    /// How programs come by its values.
    pub(crate) fn kind(&self) -> Kind {
        with(self, |rule| rule.kind())
    }

    /// What an element costs where it is computed, in passes over a tile of registers, roughly.
    pub(crate) fn passes(&self) -> usize {
        with(self, |rule| rule.passes())
    }
}
