//! Pooling as data: windows that slide over the last two axes of a tensor.

use super::view::{Access, View};
use ansatz_shapes::{Misfit, Slide};

/// Windows over planes of `size` rows and columns. Window `[i, j]` covers the positions `[i, j] · stride − padding` and
/// the `kernel` that follow; of these it sees those inside the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Rows and columns of the plane.
    pub size: [usize; 2],
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// From one window to the next.
    pub stride: [usize; 2],
    /// How far the first windows reach over the edge.
    pub padding: [usize; 2],
}

impl Window {
    /// Windows next to each other, without padding.
    pub fn blocks(size: [usize; 2], kernel: [usize; 2]) -> Self {
        Window { size, kernel, stride: kernel, padding: [0, 0] }
    }

    /// Rows and columns of windows.
    ///
    /// # Errors
    /// A sentence, if there is no window, or one that sees nothing of the plane.
    pub fn count(&self) -> Result<[usize; 2], String> {
        for (axis, &kernel) in self.kernel.iter().enumerate() {
            if kernel == 0 || self.stride[axis] == 0 {
                return Err("a window and its stride have at least size 1".into());
            }
            if self.padding[axis] > kernel / 2 {
                return Err(format!("the padding {} is more than half of the window {kernel}", self.padding[axis]));
            }
            if self.size[axis] == 0 {
                return Err("there is nothing to pool where an image has no row or no column".into());
            }
        }
        let slide = |axis: usize| Slide {
            reach: self.kernel[axis],
            stride: self.stride[axis],
            padding: 2 * self.padding[axis],
        };
        windows(self.size, [slide(0), slide(1)], |axis| {
            let (size, kernel, padding) = (self.size[axis], self.kernel[axis], self.padding[axis]);
            format!("the window {kernel} is larger than the {size} positions with padding {padding}")
        })
    }
}

/// Rows and columns of places on a plane, or what `problem` says about the first axis on which nothing fits.
pub(super) fn windows(
    size: [usize; 2],
    slides: [Slide; 2],
    problem: impl Fn(usize) -> String,
) -> Result<[usize; 2], String> {
    match ansatz_shapes::windows(&size, &slides).as_deref() {
        Ok(&[rows, columns]) => Ok([rows, columns]),
        Err(&Misfit::Size { axis, .. }) => Err(problem(axis)),
        _ => Err("there are two axes".into()),
    }
}

/// What happens at each window. The plane is the wide side, the windows are the narrow side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Wide to narrow: the sum of what the window sees.
    Sum,
    /// Wide to narrow: the greatest of what the window sees; NaN if any is NaN.
    Max,
    /// Wide to narrow: the row-major position in the plane of the greatest, the first of equals; the first NaN is the
    /// greatest of all.
    ArgMax,
    /// Narrow to wide: each element at every position that its window sees, added up. The transpose of `Sum`.
    Spread,
    /// Wide and positions to narrow: the elements at the positions.
    Take,
    /// Narrow and positions to wide: each element at its position, added up. The transpose of `Take`.
    Put,
}

impl Pool {
    /// Whether a second operand holds positions.
    pub fn takes_positions(self) -> bool {
        matches!(self, Pool::Take | Pool::Put)
    }

    /// Whether the first operand is the narrow side and the result the wide one.
    pub fn widens(self) -> bool {
        matches!(self, Pool::Spread | Pool::Put)
    }
}

/// One launch: all planes of a tensor. Its views are dense.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooling {
    /// What happens.
    pub pool: Pool,
    /// The windows of each plane.
    pub window: Window,
    /// Rows and columns of windows.
    pub count: [usize; 2],
    /// How many planes there are.
    pub planes: usize,
    /// The first operand.
    pub x: View,
    /// The positions, if it takes them.
    pub positions: Option<View>,
    /// The result.
    pub y: View,
}

impl Pooling {
    /// Elements of a plane of the first operand, and of one of the result.
    pub fn sizes(&self) -> [usize; 2] {
        let wide = self.window.size[0] * self.window.size[1];
        let narrow = self.count[0] * self.count[1];
        if self.pool.widens() { [narrow, wide] } else { [wide, narrow] }
    }

    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        let [from, to] = self.sizes().map(|size| size * self.planes);
        let narrow = self.count[0] * self.count[1] * self.planes;
        visit(Access::Read, &mut self.x, &[from]);
        if let Some(positions) = &mut self.positions {
            visit(Access::Read, positions, &[narrow]);
        }
        visit(Access::Write, &mut self.y, &[to]);
    }
}
