//! What every op answers for itself.

use super::cases::Case;
use super::causal::{Course, Site};
use super::kind::Kind;
use super::simplify::Rewriter;
use crate::graph::{DType, Graph, Node, NodeId, Op};
use crate::{Error, Result};

/// The reverse walk over a graph: the vector-Jacobian product of pairs (node, cotangent) with respect to some nodes.
pub type Walk = fn(&mut Graph, &[(NodeId, NodeId)], &[NodeId]) -> Result<Vec<NodeId>>;

/// What an op means. But for `simpler` no method has a default body, so that an answer that was forgotten does not compile.
pub(super) trait Rule<'a> {
    /// How many operands it takes; one or more if it does not say.
    fn arity(&self) -> Option<usize>;

    /// The shape and element type that a node of the op has. What operands do not tell, as the length of a slice, is the
    /// node's own, and is looked at.
    ///
    /// # Errors
    /// What is wrong with the operands, or with what the node says of itself.
    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String>;

    /// How programs come by its values.
    fn kind(&self) -> Kind<'a>;

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

    /// An equal node that costs less, if there is one; the operands of the node are simple already.
    fn simpler(&self, to: &mut Rewriter, node: &Node) -> Option<NodeId> {
        let _ = (to, node);
        None
    }

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

/// The list of ops, a row each: documentation, name and numbers of the op, the type of its rule, and the rule from the numbers.
macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident $(($number:ident: $type:ty))?
        $({ $($(#[$about:meta])* $field:ident: $kind:ty),* })? => $rule:ty: $value:expr;)*) => {
        /// What computes a node. Elementwise ops take operands of equal shape; `Broadcast` makes them equal.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $op $(($type))? $({ $($(#[$about])* $field: $kind),* })?,)*
        }

        impl Op {
            /// Calls `then` with the answers of the op.
            fn with<'a, R>(&'a self, then: impl FnOnce(&dyn Rule<'a>) -> R) -> R {
                match self {
                    $(Op::$op $(($number))? $({ $($field),* })? => then(&$value),)*
                }
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
            $(all.extend(<$rule as Rule>::cases(float)?);)*
            Ok(all)
        }
    };
}

pub(super) use ops;

impl Op {
    /// How programs come by its values.
    pub(crate) fn kind(&self) -> Kind<'_> {
        self.with(|rule| rule.kind())
    }

    /// What an element costs where it is computed, in passes over a tile of registers, roughly.
    pub(crate) fn passes(&self) -> usize {
        self.with(|rule| rule.passes())
    }
}
