//! The builder: one method for each op, which checks its operands and appends a node.

use super::*;
use crate::{Error, Result};
use ansatz_shapes::{self as shapes, Misfit};

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// All nodes with their ids, in topological order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i as u32), node))
    }

    /// The tensors that outlive a run.
    pub fn states(&self) -> &[StateSlot] {
        &self.states
    }

    /// The tensor of the state that a node reads, if it reads one.
    pub fn state_of(&self, node: NodeId) -> Option<&StateSlot> {
        if let Op::State(slot) = self[node].op { Some(&self.states[slot]) } else { None }
    }

    /// The tensors given to each run.
    pub fn inputs(&self) -> &[InputSlot] {
        &self.inputs
    }

    /// The named results.
    pub fn outputs(&self) -> &[(String, NodeId)] {
        &self.outputs
    }

    /// A tensor that each run is given.
    pub fn input(&mut self, name: impl Into<String>, dims: &[usize], dtype: DType) -> NodeId {
        self.inputs.push(InputSlot { name: name.into(), dims: dims.to_vec(), dtype, space: None });
        self.push(Op::Input(self.inputs.len() - 1), vec![], dims.to_vec(), dtype)
    }

    /// Indices below `space` that each run is given.
    pub fn index_input(&mut self, name: impl Into<String>, dims: &[usize], space: usize) -> NodeId {
        self.inputs.push(InputSlot { name: name.into(), dims: dims.to_vec(), dtype: DType::Index, space: Some(space) });
        self.push(Op::Input(self.inputs.len() - 1), vec![], dims.to_vec(), DType::Index)
    }

    /// A tensor that outlives the run. The same key twice is the same tensor.
    ///
    /// # Errors
    /// If the key is already taken by a tensor of another shape, kind or element type.
    pub fn state(&mut self, key: impl Into<String>, kind: StateKind, dims: &[usize], dtype: DType) -> Result<NodeId> {
        let key = key.into();
        if let Some(i) = self.states.iter().position(|s| s.key == key) {
            let slot = &self.states[i];
            if slot.dims != dims || slot.kind != kind || slot.dtype != dtype {
                return Err(Error::shape(
                    "state",
                    format!("`{key}` is used as {dims:?} and as {:?}; give one of them another label", slot.dims),
                ));
            }
            let known = self.nodes().find(|(_, node)| node.op == Op::State(i)).map(|(id, _)| id);
            if let Some(id) = known {
                return Ok(id);
            }
            return Ok(self.push(Op::State(i), vec![], dims.to_vec(), dtype));
        }
        self.states.push(StateSlot { key, kind, dims: dims.to_vec(), dtype, update: None });
        Ok(self.push(Op::State(self.states.len() - 1), vec![], dims.to_vec(), dtype))
    }

    /// The key that random draws of this graph are taken from (one per graph).
    pub fn key(&mut self) -> Result<NodeId> {
        self.state(KEY, StateKind::Key, &[4], DType::Index)
    }

    /// A named result.
    pub fn output(&mut self, name: impl Into<String>, node: NodeId) {
        self.outputs.push((name.into(), node));
    }

    /// Sets the value that a tensor of the state has after the run.
    ///
    /// # Errors
    /// If `state` is no state node or the new value has another shape or element type.
    pub fn update(&mut self, state: NodeId, value: NodeId) -> Result<()> {
        let (Op::State(slot), same) =
            (self[state].op.clone(), self[state].dims == self[value].dims && self[state].dtype == self[value].dtype)
        else {
            return Err(Error::shape("update", "only a tensor of the state can be updated"));
        };
        if !same {
            let (old, new) = (&self[state], &self[value]);
            return Err(Error::shape("update", format!("a state of shape {:?} is given {:?}", old.dims, new.dims)));
        }
        self.states[slot].update = Some(value);
        Ok(())
    }

    /// One number in every element.
    pub fn constant(&mut self, value: f64, dims: &[usize], dtype: DType) -> NodeId {
        self.push(Op::Constant(value), vec![], dims.to_vec(), dtype)
    }

    /// A constant of the shape and element type of another node.
    pub fn constant_like(&mut self, value: f64, like: NodeId) -> NodeId {
        let (dims, dtype) = (self[like].dims.clone(), self[like].dtype);
        self.push(Op::Constant(value), vec![], dims, dtype)
    }

    /// The position along `axis`, as an index.
    pub fn iota(&mut self, dims: &[usize], axis: usize) -> Result<NodeId> {
        if axis >= dims.len() {
            return Err(Error::shape("iota", format!("{dims:?} has no axis {axis}")));
        }
        Ok(self.push(Op::Iota { axis }, vec![], dims.to_vec(), DType::Index))
    }

    /// One draw per element.
    pub fn random(&mut self, distribution: Distribution, path: u64, dims: &[usize], dtype: DType) -> Result<NodeId> {
        let key = self.key()?;
        Ok(self.push(Op::Random { distribution, path }, vec![key], dims.to_vec(), dtype))
    }

    /// A function of one real number.
    pub fn unary(&mut self, op: Unary, x: NodeId) -> Result<NodeId> {
        self.expect_float("an elementwise function", x)?;
        Ok(self.push_like(Op::Unary(op), vec![x], x))
    }

    /// A function of two real numbers; operands of equal shape.
    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.expect_float("an arithmetic operation", a)?;
        self.expect_same("an arithmetic operation", a, b)?;
        Ok(self.push_like(Op::Binary(op), vec![a, b], a))
    }

    /// A comparison of two reals, indices or truth values; operands of equal shape.
    pub fn compare(&mut self, op: Compare, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.expect_same("a comparison", a, b)?;
        let dims = self[a].dims.clone();
        Ok(self.push(Op::Compare(op), vec![a, b], dims, DType::Bool))
    }

    /// `if condition { yes } else { no }`, elementwise.
    pub fn select(&mut self, condition: NodeId, yes: NodeId, no: NodeId) -> Result<NodeId> {
        self.expect_same("select", yes, no)?;
        if self[condition].dtype != DType::Bool || self[condition].dims != self[yes].dims {
            let found = &self[condition];
            return Err(Error::shape(
                "select",
                format!(
                    "the condition must be truth values of shape {:?}, and is {:?} of shape {:?}",
                    self[yes].dims, found.dtype, found.dims
                ),
            ));
        }
        Ok(self.push_like(Op::Select, vec![condition, yes, no], yes))
    }

    /// The same values as another element type.
    pub fn cast(&mut self, x: NodeId, dtype: DType) -> NodeId {
        if self[x].dtype == dtype {
            return x;
        }
        let dims = self[x].dims.clone();
        self.push(Op::Cast, vec![x], dims, dtype)
    }

    /// The value of `x`, which the derivative takes for a constant.
    pub fn stop_gradient(&mut self, x: NodeId) -> NodeId {
        self.push_like(Op::StopGradient, vec![x], x)
    }

    /// Combines the elements along `axes`, which go.
    pub fn reduce(&mut self, op: ReduceOp, x: NodeId, axes: &[usize]) -> Result<NodeId> {
        self.expect_float("a reduction", x)?;
        let dims = shapes::reduce(&self[x].dims, axes).map_err(misfit("a reduction"))?;
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        if op != ReduceOp::Sum && axes.iter().any(|&a| self[x].dims[a] == 0) {
            return Err(Error::shape("a reduction", "the greatest and least of no elements do not exist"));
        }
        let dtype = self[x].dtype;
        Ok(self.push(Op::Reduce { op, axes }, vec![x], dims, dtype))
    }

    /// The sum along `axes`, which go.
    pub fn sum(&mut self, x: NodeId, axes: &[usize]) -> Result<NodeId> {
        self.reduce(ReduceOp::Sum, x, axes)
    }

    /// The position of the greatest element along `axis`, which goes.
    pub fn argmax(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        self.expect_float("argmax", x)?;
        let dims = shapes::reduce(&self[x].dims, &[axis]).map_err(misfit("argmax"))?;
        if self[x].dims[axis] == 0 {
            return Err(Error::shape("argmax", "no element is the greatest of none"));
        }
        Ok(self.push(Op::ArgMax { axis }, vec![x], dims, DType::Index))
    }

    /// Repeats `x` along the new axes `axes` of the result shape `dims`.
    pub fn broadcast(&mut self, x: NodeId, axes: &[usize], dims: &[usize]) -> Result<NodeId> {
        let kept = shapes::reduce(dims, axes).map_err(misfit("broadcast"))?;
        if kept != self[x].dims {
            return Err(Error::shape(
                "broadcast",
                format!("{:?} does not reach {dims:?} by new axes {axes:?}", self[x].dims),
            ));
        }
        if axes.is_empty() {
            return Ok(x);
        }
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        let dtype = self[x].dtype;
        Ok(self.push(Op::Broadcast { axes }, vec![x], dims.to_vec(), dtype))
    }

    /// The same elements in row-major order under another shape.
    pub fn reshape(&mut self, x: NodeId, dims: &[usize]) -> Result<NodeId> {
        if self[x].dims == dims {
            return Ok(x);
        }
        if self[x].len() != dims.iter().product::<usize>() {
            return Err(Error::shape(
                "reshape",
                format!("{:?} and {dims:?} differ in their number of elements", self[x].dims),
            ));
        }
        let dtype = self[x].dtype;
        Ok(self.push(Op::Reshape, vec![x], dims.to_vec(), dtype))
    }

    /// Axis i of the result is axis `order[i]` of `x`.
    pub fn permute(&mut self, x: NodeId, order: &[usize]) -> Result<NodeId> {
        let dims = shapes::permute(&self[x].dims, order).map_err(misfit("permute"))?;
        let dtype = self[x].dtype;
        Ok(self.push(Op::Permute { order: order.to_vec() }, vec![x], dims, dtype))
    }

    /// `len` positions of `axis`, beginning at `start`.
    pub fn slice(&mut self, x: NodeId, axis: usize, start: usize, len: usize) -> Result<NodeId> {
        let own = &self[x].dims;
        let refused = |_| Error::shape("slice", format!("{len} positions from {start} of axis {axis} of {own:?}"));
        let dims = shapes::slice(own, axis, &start, &len, usize::le).map_err(refused)?;
        let dtype = self[x].dtype;
        Ok(self.push(Op::Slice { axis, start }, vec![x], dims, dtype))
    }

    /// Zeros around `x` so that `axis` becomes `len` long and `x` begins at `start`.
    pub fn pad(&mut self, x: NodeId, axis: usize, start: usize, len: usize) -> Result<NodeId> {
        let own = &self[x].dims;
        let refused = || Error::shape("pad", format!("{own:?} at {start} of an axis {axis} of {len}"));
        let end = own.get(axis).and_then(|size| start.checked_add(*size));
        let behind = end.and_then(|end| len.checked_sub(end)).ok_or_else(refused)?;
        let dims = shapes::pad(own, axis, &start, &behind).map_err(|_| refused())?;
        let dtype = self[x].dtype;
        Ok(self.push(Op::Pad { axis, start }, vec![x], dims, dtype))
    }

    /// Operands one after the other along `axis`.
    pub fn concat(&mut self, operands: &[NodeId], axis: usize) -> Result<NodeId> {
        let shapes: Vec<&[usize]> = operands.iter().map(|&x| &*self[x].dims).collect();
        let dims = shapes::concat(&shapes, axis).map_err(misfit("concat"))?;
        let dtype = self[operands[0]].dtype;
        if operands.iter().any(|&x| self[x].dtype != dtype) {
            return Err(Error::shape("concat", "the operands have different element types"));
        }
        Ok(self.push(Op::Concat { axis }, operands.to_vec(), dims, dtype))
    }

    /// Matrix product over the last two axes; see [`Op::MatMul`].
    pub fn matmul(&mut self, a: NodeId, b: NodeId, transposed: [bool; 2]) -> Result<NodeId> {
        self.expect_float("a matrix product", a)?;
        if self[a].dtype != self[b].dtype {
            return Err(Error::shape("a matrix product", "the operands have different element types"));
        }
        let dims = shapes::matmul(&self[a].dims, &self[b].dims, transposed).map_err(misfit("a matrix product"))?;
        let dtype = self[a].dtype;
        let [transpose_left, transpose_right] = transposed;
        Ok(self.push(Op::MatMul { transpose_left, transpose_right }, vec![a, b], dims, dtype))
    }

    pub(crate) fn push(&mut self, op: Op, inputs: Vec<NodeId>, dims: Vec<usize>, dtype: DType) -> NodeId {
        self.nodes.push(Node { op, inputs, dims, dtype });
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn push_like(&mut self, op: Op, inputs: Vec<NodeId>, like: NodeId) -> NodeId {
        let (dims, dtype) = (self[like].dims.clone(), self[like].dtype);
        self.push(op, inputs, dims, dtype)
    }

    pub(super) fn expect_float(&self, op: &'static str, x: NodeId) -> Result<()> {
        let found = self[x].dtype;
        if found.is_float() { Ok(()) } else { Err(Error::shape(op, format!("takes real numbers, not {found:?}"))) }
    }

    fn expect_same(&self, op: &'static str, a: NodeId, b: NodeId) -> Result<()> {
        shapes::same(&self[a].dims, &self[b].dims).map_err(misfit(op))?;
        if self[a].dtype != self[b].dtype {
            let (a, b) = (self[a].dtype, self[b].dtype);
            return Err(Error::shape(op, format!("the operands have element types {a:?} and {b:?}")));
        }
        Ok(())
    }
}

pub(super) fn misfit(op: &'static str) -> impl Fn(Misfit<usize>) -> Error {
    move |misfit| {
        Error::shape(
            op,
            match misfit {
                Misfit::Size { operand, axis, expected, found } => {
                    format!("axis {axis} of operand {operand} should be {expected} and is {found}")
                }
                Misfit::Rank { operand, expected, found } => {
                    format!("operand {operand} should have {expected} axes and has {found}")
                }
                Misfit::Axis { axis, rank } => {
                    format!("axis {axis} of {rank} does not exist or is given twice")
                }
            },
        )
    }
}
