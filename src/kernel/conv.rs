//! Convolution as data: a kernel that slides over the last two axes of a tensor of channels.

use super::pool::windows;
use super::view::{Access, View};
use ansatz_shapes::Slide;

/// A kernel that slides over images of `size` rows and columns: position `[i, j]` of the result sees
/// `[i, j] · stride − before + tap · dilation` for every tap of the kernel, and zeros outside of the image
/// (cross-correlation, as in PyTorch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Rows and columns of the image.
    pub size: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// From one position to the next.
    pub stride: [usize; 2],
    /// From one tap to the next.
    pub dilation: [usize; 2],
    /// Zeros before the first row and column.
    pub before: [usize; 2],
    /// Zeros behind the last row and column.
    pub after: [usize; 2],
    /// Parts of the channels that are convolved each by itself.
    pub groups: usize,
}

impl Conv {
    /// Rows and columns of the result.
    ///
    /// # Errors
    /// A sentence, if the kernel is larger than the image with its zeros.
    pub fn count(&self) -> Result<[usize; 2], String> {
        if self.groups == 0 {
            return Err("channels have at least one group".into());
        }
        let slide = |axis: usize| {
            let zeros = [self.before[axis], self.after[axis]];
            let slide = Slide::kernel(self.kernel[axis], self.dilation[axis], self.stride[axis], zeros);
            slide.ok_or("a kernel, its stride and its dilation have at least size 1")
        };
        let slides = [slide(0)?, slide(1)?];
        windows(self.size, slides, |axis| {
            let Slide { reach, padding, .. } = slides[axis];
            let room = self.size[axis] + padding;
            format!("the kernel reaches over {reach} positions, and the image with its padding has {room}")
        })
    }
}

/// Which of three tensors follows from the other two: the image x `[n, g · i, h, w]`, the weights w `[g · o, i, kh, kw]`
/// and the result y `[n, g · o, h', w']`. Each pass is bilinear, and Σ y · conv(x, w) is the same sum for all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// y from x and w.
    Forward,
    /// The derivative by x, from that by y and w: the transposed convolution.
    Data,
    /// The derivative by w, from x and the derivative by y.
    Weight,
}

/// A tap of the kernel as the columns of a product see it: position `[i, j]` of the grid reads
/// `[i, j] · step + offset` of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Its number in the kernel, row-major.
    pub number: usize,
    /// Where it reads for position 0.
    pub offset: [isize; 2],
    /// The rows of the grid for which it lies inside.
    pub rows: [usize; 2],
    /// The columns of the grid for which it lies inside.
    pub columns: [usize; 2],
}

/// Positions of the result that see the same taps: all of them, or for a transposed convolution those of equal
/// remainder by the stride.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Rows and columns of positions.
    pub grid: [usize; 2],
    /// The first of them in the result.
    pub first: [usize; 2],
    /// The taps.
    pub taps: Vec<Tap>,
}

/// One launch. Its views are dense.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Which tensor is computed.
    pub pass: Pass,
    /// The geometry.
    pub conv: Conv,
    /// Rows and columns of y.
    pub count: [usize; 2],
    /// The number of images.
    pub batch: usize,
    /// Channels of the image in a group.
    pub inputs: usize,
    /// Channels of the result in a group.
    pub outputs: usize,
    /// The positions that are computed together.
    pub phases: Vec<Phase>,
    /// The operands: x and w, the derivative by y and w, or x and the derivative by y.
    pub operands: [View; 2],
    /// The result.
    pub result: View,
}

impl Convolution {
    pub(super) fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        let Convolution { conv: Conv { size, kernel, groups, .. }, count, batch, inputs, outputs, .. } = *self;
        let image = batch * groups * inputs * size[0] * size[1];
        let weights = groups * inputs * outputs * kernel[0] * kernel[1];
        let result = batch * groups * outputs * count[0] * count[1];
        let (from, to) = match self.pass {
            Pass::Forward => ([image, weights], result),
            Pass::Data => ([result, weights], image),
            Pass::Weight => ([image, result], weights),
        };
        for (view, len) in self.operands.iter_mut().zip(from) {
            visit(Access::Read, view, &[len]);
        }
        visit(Access::Write, &mut self.result, &[to]);
    }
}

/// The phases of a pass whose y has `count` rows and columns.
pub fn phases(pass: Pass, conv: &Conv, count: [usize; 2]) -> Vec<Phase> {
    let Conv { size, kernel, stride, dilation, before, .. } = *conv;
    let transposed = pass == Pass::Data;
    // For each axis and remainder: how many positions, the first, and the taps with their offsets and ranges.
    let along = |axis: usize| -> Vec<(usize, usize, Vec<(usize, isize, [usize; 2])>)> {
        let remainders = if transposed { stride[axis].min(size[axis]) } else { 1 };
        let phase = |first: usize| {
            let (grid, step, source) = match transposed {
                true => ((size[axis] - first).div_ceil(stride[axis]), 1, count[axis]),
                false => (count[axis], stride[axis], size[axis]),
            };
            let tap = |tap: usize| {
                let reach = (tap * dilation[axis]) as isize - before[axis] as isize;
                let offset = match transposed {
                    // Position p of the image is seen by the position (p − reach) / stride of the result.
                    true if (first as isize - reach).rem_euclid(stride[axis] as isize) != 0 => return None,
                    true => (first as isize - reach).div_euclid(stride[axis] as isize),
                    false => reach,
                };
                let position = |bound: isize| (bound - offset).max(0).unsigned_abs().div_ceil(step).min(grid);
                let low = position(0);
                Some((tap, offset, [low, position(source as isize).max(low)]))
            };
            (grid, first, (0..kernel[axis]).filter_map(tap).collect())
        };
        (0..remainders).map(phase).collect()
    };
    let (down, across) = (along(0), along(1));
    let mut phases = Vec::new();
    for (rows, first_row, row_taps) in &down {
        for (columns, first_column, column_taps) in &across {
            let taps = row_taps.iter().flat_map(|&(i, y, rows)| {
                column_taps.iter().map(move |&(j, x, columns)| Tap {
                    number: i * kernel[1] + j,
                    offset: [y, x],
                    rows,
                    columns,
                })
            });
            let taps = taps.collect();
            phases.push(Phase { grid: [*rows, *columns], first: [*first_row, *first_column], taps });
        }
    }
    phases
}
