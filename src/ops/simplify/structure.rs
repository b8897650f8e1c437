//! Rules of ops that move, repeat or combine elements along axes.

use super::Rewriter;
use crate::graph::{Binary, DType, Node, NodeId, Op, ReduceOp};

impl Rewriter {
    pub(in crate::ops) fn reduce(&mut self, op: ReduceOp, axes: &[usize], node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        let whole = self.node(x).dims.clone();
        if whole.contains(&0) {
            // Only a sum can be over no elements.
            return Some(self.constant(0.0, dims, dtype));
        }
        if axes.iter().all(|&axis| whole[axis] == 1) {
            return Some(self.make(Op::Reshape, vec![x], dims, dtype));
        }
        let count = |axes: &[usize]| axes.iter().map(|&axis| whole[axis]).product::<usize>() as f64;
        if let Some(value) = self.value(x) {
            let value = if op == ReduceOp::Sum { value * count(axes) } else { value };
            return Some(self.constant(value, dims, dtype));
        }
        if op == ReduceOp::Sum
            && let Some(sum) = self.sum(axes, x, dims, dtype)
        {
            return Some(sum);
        }
        let source = self.node(x).inputs.first().copied();
        if let Op::Broadcast { axes: repeated } = &self.node(x).op {
            let (gone, kept): (Vec<usize>, Vec<usize>) = axes.iter().partition(|axis| repeated.contains(axis));
            if gone.is_empty() {
                return None;
            }
            let repeated = repeated.clone();
            let source = source?;
            // Where the axes stand in the source, and the still repeated ones in the result.
            let inside = |axis: &usize| axis - repeated.iter().filter(|r| *r < axis).count();
            let kept: Vec<usize> = kept.iter().map(inside).collect();
            let left: Vec<usize> = repeated
                .iter()
                .filter(|axis| !axes.contains(axis))
                .map(|axis| axis - axes.iter().filter(|a| *a < axis).count())
                .collect();
            let inner = ansatz_shapes::reduce(&self.node(source).dims, &kept).ok()?;
            let mut y = source;
            if !kept.is_empty() {
                y = self.make(Op::Reduce { op, axes: kept }, vec![y], &inner, dtype);
            }
            if op == ReduceOp::Sum {
                let factor = self.constant(count(&gone), &inner, dtype);
                y = self.make(Op::Binary(Binary::Mul), vec![y, factor], &inner, dtype);
            }
            return Some(self.make(Op::Broadcast { axes: left }, vec![y], dims, dtype));
        }
        if let Op::Reduce { op: first, axes: before } = &self.node(x).op
            && *first == op
        {
            let source = source?;
            let rank = self.node(source).dims.len();
            let kept: Vec<usize> = (0..rank).filter(|axis| !before.contains(axis)).collect();
            let mut all: Vec<usize> = before.iter().copied().chain(axes.iter().map(|&axis| kept[axis])).collect();
            all.sort_unstable();
            return Some(self.make(Op::Reduce { op, axes: all }, vec![source], dims, dtype));
        }
        let product = Op::MatMul { transpose_left: true, transpose_right: false };
        if self.node(x).op != product || op != ReduceOp::Sum || !axes.iter().copied().eq(0..whole.len() - 2) {
            return None;
        }

        // The sum of products over a batch is one product over batch and inner axis together.
        let (a, b) = (source?, self.node(x).inputs[1]);
        let fold = |rewriter: &mut Self, x: NodeId| {
            let dims = &rewriter.node(x).dims;
            let (last, leading) = dims.split_last().expect("operands of a product have two axes");
            let dims = [leading.iter().product(), *last];
            rewriter.make(Op::Reshape, vec![x], &dims, dtype)
        };
        let (a, b) = (fold(self, a), fold(self, b));
        Some(self.make(product, vec![a, b], dims, dtype))
    }

    pub(in crate::ops) fn broadcast(&mut self, axes: &[usize], node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        if axes.is_empty() {
            return Some(x);
        }
        if let Some(value) = self.value(x) {
            return Some(self.constant(value, dims, dtype));
        }
        if axes.iter().all(|&axis| dims[axis] == 1) {
            return Some(self.make(Op::Reshape, vec![x], dims, dtype));
        }
        let node = self.node(x);
        let Op::Broadcast { axes: before } = &node.op else { return None };
        let kept: Vec<usize> = (0..dims.len()).filter(|axis| !axes.contains(axis)).collect();
        let mut all: Vec<usize> = axes.iter().copied().chain(before.iter().map(|&axis| kept[axis])).collect();
        all.sort_unstable();
        let source = node.inputs[0];
        Some(self.make(Op::Broadcast { axes: all }, vec![source], dims, dtype))
    }

    pub(in crate::ops) fn reshape(&mut self, node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        let node = self.node(x);
        if node.dims == dims {
            return Some(x);
        }
        if let Op::Constant(value) = node.op {
            return Some(self.constant(value, dims, dtype));
        }
        let source = (node.op == Op::Reshape).then(|| node.inputs[0])?;
        Some(self.make(Op::Reshape, vec![source], dims, dtype))
    }

    pub(in crate::ops) fn permute(&mut self, order: &[usize], node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        if let Some(value) = self.value(x) {
            return Some(self.constant(value, dims, dtype));
        }
        let node = self.node(x);
        if order.iter().filter(|&&axis| node.dims[axis] != 1).is_sorted() {
            return Some(self.make(Op::Reshape, vec![x], dims, dtype));
        }
        let Op::Permute { order: before } = &node.op else { return None };
        let order = order.iter().map(|&axis| before[axis]).collect();
        let source = node.inputs[0];
        Some(self.make(Op::Permute { order }, vec![source], dims, dtype))
    }

    pub(in crate::ops) fn slice(&mut self, axis: usize, start: usize, node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        let (len, node) = (dims[axis], self.node(x));
        if node.dims[axis] == len {
            return Some(x);
        }
        let source = node.inputs.first().copied();
        if let Op::Constant(value) = node.op {
            return Some(self.constant(value, dims, dtype));
        }
        if let Op::Slice { axis: same, start: before } = node.op
            && same == axis
        {
            let op = Op::Slice { axis, start: before + start };
            return Some(self.make(op, vec![source?], dims, dtype));
        }
        if let Op::Pad { axis: same, start: before } = node.op
            && same == axis
        {
            let (source, size) = (source?, self.node(source?).dims[axis]);
            if start >= before && start + len <= before + size {
                let op = Op::Slice { axis, start: start - before };
                return Some(self.make(op, vec![source], dims, dtype));
            }
            let outside = start + len <= before || start >= before + size;
            return outside.then(|| self.constant(0.0, dims, dtype));
        }
        if node.op != (Op::Concat { axis }) {
            return None;
        }
        let mut begin = 0;
        for part in node.inputs.clone() {
            let size = self.node(part).dims[axis];
            if start >= begin && start + len <= begin + size {
                let op = Op::Slice { axis, start: start - begin };
                return Some(self.make(op, vec![part], dims, dtype));
            }
            begin += size;
        }
        None
    }

    pub(in crate::ops) fn pad(&mut self, axis: usize, start: usize, node: &Node) -> Option<NodeId> {
        let (x, dims, dtype) = (node.inputs[0], &*node.dims, node.dtype);
        let node = self.node(x);
        if node.dims[axis] == dims[axis] {
            return Some(x);
        }
        if node.dims.contains(&0) || self.value(x) == Some(0.0) {
            return Some(self.constant(0.0, dims, dtype));
        }
        let Op::Pad { axis: same, start: before } = node.op else { return None };
        let source = (same == axis).then(|| node.inputs[0])?;
        Some(self.make(Op::Pad { axis, start: start + before }, vec![source], dims, dtype))
    }

    pub(in crate::ops) fn concat(&mut self, axis: usize, node: &Node) -> Option<NodeId> {
        let (inputs, dims, dtype) = (&node.inputs, &*node.dims, node.dtype);
        let mut parts: Vec<NodeId> = Vec::with_capacity(inputs.len());
        let mut changed = false;
        for &input in inputs {
            let node = self.node(input);
            if node.dims[axis] == 0 {
                changed = true;
                continue;
            }
            if node.op == (Op::Concat { axis }) {
                changed = true;
                parts.extend(&node.inputs);
                continue;
            }
            // Two neighbouring slices of one tensor are one slice.
            if let (Op::Slice { axis: cut, start }, Some(&last)) = (&node.op, parts.last())
                && *cut == axis
                && let (Op::Slice { axis: before, start: first }, source) = (&self.node(last).op, node.inputs[0])
                && *before == axis
                && self.node(last).inputs[0] == source
                && first + self.node(last).dims[axis] == *start
            {
                let mut joined = node.dims.clone();
                joined[axis] += self.node(last).dims[axis];
                let op = Op::Slice { axis, start: *first };
                parts.pop();
                parts.push(self.make(op, vec![source], &joined, dtype));
                changed = true;
                continue;
            }
            parts.push(input);
        }
        if let [single] = parts[..] {
            return Some(single);
        }
        let first = self.value(parts[0]);
        if let Some(value) = first
            && parts.iter().all(|&part| self.value(part) == first)
        {
            return Some(self.constant(value, dims, dtype));
        }
        changed.then(|| self.make(Op::Concat { axis }, parts, dims, dtype))
    }

    /// The sum of tensors that are zero where the other is not, along one axis: the cotangents of parts of a tensor.
    pub(super) fn side_by_side(&mut self, a: NodeId, b: NodeId, dims: &[usize], dtype: DType) -> Option<NodeId> {
        let (axis, mut parts) = self.surrounded(a)?;
        let (other, more) = self.surrounded(b)?;
        if axis != other {
            return None;
        }
        parts.extend(more);
        parts.sort_by_key(|&(start, _)| start);
        let mut operands = Vec::new();
        let mut end = 0;
        for (start, part) in parts {
            if start < end {
                return None;
            }
            self.zeros(&mut operands, dims, axis, start - end, dtype);
            operands.push(part);
            end = start + self.node(part).dims[axis];
        }
        self.zeros(&mut operands, dims, axis, dims[axis] - end, dtype);
        Some(self.make(Op::Concat { axis }, operands, dims, dtype))
    }

    /// What is not constantly zero in a tensor with zeros around or between along an axis: where it begins, and it.
    fn surrounded(&self, id: NodeId) -> Option<(usize, Vec<(usize, NodeId)>)> {
        let node = self.node(id);
        if let Op::Pad { axis, start } = node.op {
            return Some((axis, vec![(start, node.inputs[0])]));
        }
        let Op::Concat { axis } = node.op else { return None };
        let mut begin = 0;
        let mut parts = Vec::new();
        for &part in &node.inputs {
            if self.value(part) != Some(0.0) {
                parts.push((begin, part));
            }
            begin += self.node(part).dims[axis];
        }
        (parts.len() < node.inputs.len()).then_some((axis, parts))
    }

    fn zeros(&mut self, to: &mut Vec<NodeId>, dims: &[usize], axis: usize, len: usize, dtype: DType) {
        if len > 0 {
            let mut own = dims.to_vec();
            own[axis] = len;
            to.push(self.constant(0.0, &own, dtype));
        }
    }
}
