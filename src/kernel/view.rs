//! Where the elements of a launch lie.

/// The type of an element in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// 16-bit floating point, see [`bf16`](super::bf16): how programs of `f32` may store what lies between their launches. No
    /// node of a graph has this type.
    Bf16,
    /// A position in an index space, stored as `u32`.
    Index,
    /// A truth value, stored as one byte, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::F32 | DType::Index => 4,
            DType::F64 => 8,
            DType::Bf16 => 2,
            DType::Bool => 1,
        }
    }

    /// Whether the elements are real numbers, which alone have derivatives.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::Bf16)
    }
}

/// Elements of an operand, seen from an iteration space: element = `offset + Σ position[axis] * strides[axis]`. Every
/// kind of work says over which extents its views are walked, see [`Work::views_mut`](super::work::Work::views_mut).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Which operand of the launch holds the elements.
    pub operand: usize,
    /// The first element.
    pub offset: usize,
    /// Elements between neighbours along each axis; 0 where the axis is broadcast.
    pub strides: Vec<isize>,
    /// The type of the elements.
    pub element: DType,
}

/// What a launch does with the elements of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads them.
    Read,
    /// It writes each of them, and reads none before it has written it.
    Write,
    /// It reads and writes them.
    Update,
    /// It keeps there what it needs while it runs.
    Scratch,
}

impl Access {
    /// Whether elements change.
    pub fn writes(self) -> bool {
        self != Access::Read
    }
}

impl View {
    /// Elements that lie one after the other.
    pub fn dense(operand: usize, offset: usize, element: DType) -> Self {
        View { operand, offset, strides: vec![1], element }
    }

    /// Whether both see the same element at every position, whatever their operands.
    pub fn sees_as(&self, other: &View) -> bool {
        (self.offset, &self.strides, self.element) == (other.offset, &other.strides, other.element)
    }

    /// The first and the last element that it sees over extents of which none is 0.
    pub fn reach(&self, extents: &[usize]) -> (isize, isize) {
        let steps = || extents.iter().zip(&self.strides).map(|(&n, &stride)| (n as isize - 1) * stride);
        let ends =
            [isize::min, isize::max].map(|end| self.offset as isize + steps().map(|step| end(step, 0)).sum::<isize>());
        (ends[0], ends[1])
    }

    /// The stride along an axis, if positions of the axis see parts of their own: whatever the other axes do, the
    /// element's number divided by the stride has the position for its remainder by the axis' size.
    pub fn apart(&self, extents: &[usize], axis: usize) -> Option<usize> {
        let stride = usize::try_from(self.strides[axis]).ok().filter(|&stride| stride > 0)?;
        let period = stride * extents[axis];
        let mut reach = self.offset % period;
        for (other, (&size, &step)) in extents.iter().zip(&self.strides).enumerate() {
            let step = usize::try_from(step).ok()?;
            if other != axis && size > 1 && !step.is_multiple_of(period) {
                reach += step * (size - 1);
            }
        }
        (reach < stride).then_some(stride)
    }
}
