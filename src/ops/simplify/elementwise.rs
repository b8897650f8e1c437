//! Rules of elementwise ops: constants, neutral elements, inverse pairs, and functions of repeated values.

use super::Rewriter;
use crate::graph::{Binary, Compare, DType, Node, NodeId, Op, Unary};
use crate::ops::evaluate;

impl Rewriter {
    pub(in crate::ops) fn unary(&mut self, f: Unary, node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        if let Some(value) = self.value(x) {
            return Some(self.folded(Op::Unary(f), &[value], dims, dtype));
        }
        if let Op::Unary(inner) = self.node(x).op {
            let y = self.node(x).inputs[0];
            match (f, inner) {
                (Unary::Neg, Unary::Neg) | (Unary::Recip, Unary::Recip) | (Unary::Ln, Unary::Exp) => return Some(y),
                (Unary::Abs, Unary::Abs | Unary::Square | Unary::Relu | Unary::Exp | Unary::Sigmoid)
                | (Unary::Relu, Unary::Relu | Unary::Abs | Unary::Square | Unary::Exp | Unary::Sigmoid) => {
                    return Some(x);
                }
                (Unary::Abs | Unary::Square, Unary::Neg) | (Unary::Square, Unary::Abs) => {
                    return Some(self.make(Op::Unary(f), vec![y], dims, dtype));
                }
                (Unary::Recip, Unary::Sqrt) => return Some(self.make(Op::Unary(Unary::Rsqrt), vec![y], dims, dtype)),
                (Unary::Recip, Unary::Rsqrt) => return Some(self.make(Op::Unary(Unary::Sqrt), vec![y], dims, dtype)),
                _ => {}
            }
        }
        if f == Unary::Neg
            && let Op::Binary(inner) = self.node(x).op
        {
            let (a, b) = (self.node(x).inputs[0], self.node(x).inputs[1]);
            if inner == Binary::Sub {
                return Some(self.make(Op::Binary(Binary::Sub), vec![b, a], dims, dtype));
            }
            if inner == Binary::Mul
                && let Some(c) = self.value(b)
            {
                return Some(self.scaled(a, -c, dims, dtype));
            }
        }
        self.narrow(Op::Unary(f), &[x], dims, dtype)
    }

    pub(in crate::ops) fn binary(&mut self, f: Binary, node: &Node) -> Option<NodeId> {
        let (a, b, dims, dtype) = (node.inputs[0], node.inputs[1], &*node.dims, node.dtype);
        let commutes = matches!(f, Binary::Add | Binary::Mul | Binary::Min | Binary::Max);
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => return Some(self.folded(Op::Binary(f), &[x, y], dims, dtype)),
            (Some(_), None) if commutes => return Some(self.make(Op::Binary(f), vec![b, a], dims, dtype)),
            _ => {}
        }
        let known = match f {
            Binary::Add => self.add(a, b, dims, dtype),
            Binary::Sub => self.subtract(a, b, dims, dtype),
            Binary::Mul => self.multiply(a, b, dims, dtype),
            Binary::Div => self.divide(a, b, dims, dtype),
            Binary::Pow => self.power(a, b, dims, dtype),
            Binary::Min | Binary::Max => (a == b).then_some(a),
            // Of the others no law is known.
            _ => None,
        };
        known.or_else(|| self.narrow(Op::Binary(f), &[a, b], dims, dtype))
    }

    fn add(&mut self, a: NodeId, b: NodeId, dims: &[usize], dtype: DType) -> Option<NodeId> {
        if let Some(c) = self.value(b) {
            if c == 0.0 {
                return Some(a);
            }
            if let Some((inner, d)) = self.with_constant(Binary::Add, a) {
                let sum = self.constant(c + d, dims, dtype);
                return Some(self.make(Op::Binary(Binary::Add), vec![inner, sum], dims, dtype));
            }
        }
        if let Some(y) = self.negated(b) {
            return Some(self.make(Op::Binary(Binary::Sub), vec![a, y], dims, dtype));
        }
        if let Some(y) = self.negated(a) {
            return Some(self.make(Op::Binary(Binary::Sub), vec![b, y], dims, dtype));
        }
        self.side_by_side(a, b, dims, dtype)
    }

    fn subtract(&mut self, a: NodeId, b: NodeId, dims: &[usize], dtype: DType) -> Option<NodeId> {
        if let Some(c) = self.value(b) {
            let opposite = self.constant(-c, dims, dtype);
            return Some(self.make(Op::Binary(Binary::Add), vec![a, opposite], dims, dtype));
        }
        if self.value(a) == Some(0.0) {
            return Some(self.make(Op::Unary(Unary::Neg), vec![b], dims, dtype));
        }
        let y = self.negated(b)?;
        Some(self.make(Op::Binary(Binary::Add), vec![a, y], dims, dtype))
    }

    fn multiply(&mut self, a: NodeId, b: NodeId, dims: &[usize], dtype: DType) -> Option<NodeId> {
        if let Some(c) = self.value(b) {
            if c == 1.0 {
                return Some(a);
            }
            if c == -1.0 {
                return Some(self.make(Op::Unary(Unary::Neg), vec![a], dims, dtype));
            }
            if let Some((inner, d)) = self.with_constant(Binary::Mul, a)
                && representable(c * d, dtype)
            {
                return Some(self.scaled(inner, c * d, dims, dtype));
            }
            if let Some(y) = self.negated(a) {
                return Some(self.scaled(y, -c, dims, dtype));
            }
        }
        if a == b {
            return Some(self.make(Op::Unary(Unary::Square), vec![a], dims, dtype));
        }
        let (x, y) = (self.negated(a)?, self.negated(b)?);
        Some(self.make(Op::Binary(Binary::Mul), vec![x, y], dims, dtype))
    }

    fn divide(&mut self, a: NodeId, b: NodeId, dims: &[usize], dtype: DType) -> Option<NodeId> {
        if let Some(c) = self.value(b)
            && representable(1.0 / c, dtype)
        {
            return Some(self.scaled(a, 1.0 / c, dims, dtype));
        }
        (self.value(a) == Some(1.0)).then(|| self.make(Op::Unary(Unary::Recip), vec![b], dims, dtype))
    }

    fn power(&mut self, a: NodeId, b: NodeId, dims: &[usize], dtype: DType) -> Option<NodeId> {
        let exponent = self.value(b)?;
        if exponent == 0.0 {
            return Some(self.constant(1.0, dims, dtype));
        }
        let mut of = |f: Unary, x: NodeId| self.make(Op::Unary(f), vec![x], dims, dtype);
        Some(match exponent {
            0.5 => of(Unary::Sqrt, a),
            1.0 => a,
            2.0 => of(Unary::Square, a),
            3.0 => {
                let square = of(Unary::Square, a);
                self.make(Op::Binary(Binary::Mul), vec![square, a], dims, dtype)
            }
            4.0 => {
                let square = of(Unary::Square, a);
                of(Unary::Square, square)
            }
            -0.5 => of(Unary::Rsqrt, a),
            -1.0 => of(Unary::Recip, a),
            -2.0 => {
                let square = of(Unary::Square, a);
                of(Unary::Recip, square)
            }
            _ => return None,
        })
    }

    pub(in crate::ops) fn compare(&mut self, f: Compare, node: &Node) -> Option<NodeId> {
        let (a, b, dims) = (node.inputs[0], node.inputs[1], &*node.dims);
        if let (Some(x), Some(y)) = (self.value(a), self.value(b)) {
            return Some(self.folded(Op::Compare(f), &[x, y], dims, DType::Bool));
        }
        if let (Compare::Ne, Some(0.0), Op::Cast) = (f, self.value(b), &self.node(a).op) {
            let source = self.node(a).inputs[0];
            if self.node(source).dtype == DType::Bool {
                return Some(source);
            }
        }
        self.narrow(Op::Compare(f), &[a, b], dims, DType::Bool)
    }

    pub(in crate::ops) fn select(&mut self, node: &Node) -> Option<NodeId> {
        let (inputs, dims, dtype) = (&*node.inputs, &*node.dims, node.dtype);
        let [condition, yes, no] = *inputs else { return None };
        if yes == no {
            return Some(yes);
        }
        if let Some(c) = self.value(condition) {
            return Some(if c != 0.0 { yes } else { no });
        }
        if self.value(yes) == Some(1.0) && self.value(no) == Some(0.0) {
            return Some(self.make(Op::Cast, vec![condition], dims, dtype));
        }
        self.narrow(Op::Select, inputs, dims, dtype)
    }

    pub(in crate::ops) fn cast(&mut self, node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        let from = self.node(x).dtype;
        if from == dtype {
            return Some(x);
        }
        if let Some(value) = self.value(x) {
            return Some(self.folded(Op::Cast, &[value], dims, dtype));
        }
        if self.node(x).op == Op::Cast {
            let source = self.node(x).inputs[0];
            let origin = self.node(source).dtype;
            // Truth values survive every element type; an index survives only those with enough digits.
            if origin == DType::Bool || (origin == DType::Index && from == DType::F64) {
                return Some(self.make(Op::Cast, vec![source], dims, dtype));
            }
        }
        self.narrow(Op::Cast, &[x], dims, dtype)
    }

    /// The constant that an elementwise op makes of constants.
    fn folded(&mut self, op: Op, values: &[f64], dims: &[usize], dtype: DType) -> NodeId {
        let operands: Vec<&[f64]> = values.iter().map(std::slice::from_ref).collect();
        let scalar = Node { op, inputs: Vec::new(), dims: Vec::new(), dtype };
        let value = evaluate(&self.graph, &scalar, &operands).expect("an elementwise op goes by no index")[0];
        self.constant(value, dims, dtype)
    }

    /// A function of repeated values is the repeated function of the values.
    fn narrow(&mut self, op: Op, inputs: &[NodeId], dims: &[usize], dtype: DType) -> Option<NodeId> {
        let mut common: Option<(Vec<usize>, Vec<usize>)> = None;
        for &input in inputs {
            if self.value(input).is_some() {
                continue;
            }
            let Op::Broadcast { axes } = &self.node(input).op else { return None };
            let source = self.node(input).inputs[0];
            match &common {
                Some((known, _)) if known != axes => return None,
                Some(_) => {}
                None => common = Some((axes.clone(), self.node(source).dims.clone())),
            }
        }
        let (axes, inner) = common?;
        let inputs = inputs
            .iter()
            .map(|&input| match (self.value(input), self.node(input).dtype) {
                (Some(value), dtype) => self.constant(value, &inner, dtype),
                (None, _) => self.node(input).inputs[0],
            })
            .collect();
        let small = self.make(op, inputs, &inner, dtype);
        Some(self.make(Op::Broadcast { axes }, vec![small], dims, dtype))
    }

    fn scaled(&mut self, x: NodeId, factor: f64, dims: &[usize], dtype: DType) -> NodeId {
        let factor = self.constant(factor, dims, dtype);
        self.make(Op::Binary(Binary::Mul), vec![x, factor], dims, dtype)
    }

    fn negated(&self, id: NodeId) -> Option<NodeId> {
        (self.node(id).op == Op::Unary(Unary::Neg)).then(|| self.node(id).inputs[0])
    }

    /// The operands of `x f c` with a constant `c`, which stands right.
    fn with_constant(&self, f: Binary, id: NodeId) -> Option<(NodeId, f64)> {
        let node = self.node(id);
        if node.op != Op::Binary(f) {
            return None;
        }
        Some((node.inputs[0], self.value(node.inputs[1])?))
    }
}

/// Whether a factor is neither infinite nor too small to keep all digits.
fn representable(value: f64, dtype: DType) -> bool {
    let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    let greatest = if dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    (least..=greatest).contains(&value.abs())
}
