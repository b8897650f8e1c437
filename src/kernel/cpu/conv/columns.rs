//! The columns of a convolution: for every position what its taps see.

use crate::conv::{Phase, Tap};
use crate::cpu::math::Real;
use crate::cpu::vectorized::{Instructions, vectorized};
use std::ops::Range;

/// The tensor that taps read, from some channel on.
#[derive(Clone, Copy)]
pub(super) struct Image<T> {
    pub from: *const T,
    /// The channels of an image, all groups together.
    pub channels: usize,
    pub size: [usize; 2],
    /// From one position to the next.
    pub step: [usize; 2],
}

// SAFETY: an address; whoever reads vouches for the memory behind it.
unsafe impl<T> Send for Image<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Image<T> {}

impl<T: Real> Image<T> {
    pub fn at_channel(self, channel: usize) -> Self {
        Image { from: self.from.wrapping_add(channel * self.size[0] * self.size[1]), ..self }
    }

    pub fn plane(self, image: usize, channel: usize) -> *const T {
        self.from.wrapping_add((image * self.channels + channel) * self.size[0] * self.size[1])
    }

    /// Writes some rows, one for each channel and tap, and some columns, one for each image and position, to rows of
    /// `stride` elements.
    ///
    /// # Safety
    /// The channels of the rows and the images of the columns exist; the memory has room for the block.
    pub unsafe fn columns(self, phase: &Phase, rows: Range<usize>, columns: Range<usize>, to: *mut T, stride: usize) {
        let positions = phase.grid[0] * phase.grid[1];
        vectorized::<T, _>(
            Instructions::best(),
            #[inline(always)]
            || {
                for (i, row) in rows.clone().enumerate() {
                    let (channel, tap) = (row / phase.taps.len(), &phase.taps[row % phase.taps.len()]);
                    let mut to = to.wrapping_add(i * stride);
                    let mut first = columns.start;
                    while first < columns.end {
                        let (image, start) = (first / positions, first % positions);
                        let end = positions.min(start + columns.end - first);
                        let plane = self.plane(image, channel);
                        // SAFETY: as the caller says.
                        unsafe {
                            if self.step == [1, 1] && phase.grid[1] == self.size[1] {
                                shifted(plane, self.size[1], tap, start..end, to);
                            } else {
                                self.lines(plane, phase.grid[1], tap, start..end, to);
                            }
                        }
                        to = to.wrapping_add(end - start);
                        first += end - start;
                    }
                }
            },
        );
    }

    /// What a tap sees at some positions of a plane, line by line.
    ///
    /// # Safety
    /// The plane and the positions exist.
    #[inline(always)]
    unsafe fn lines(self, plane: *const T, width: usize, tap: &Tap, positions: Range<usize>, mut to: *mut T) {
        let [step_rows, step] = self.step;
        let (mut y, mut x, mut left) = (positions.start / width, positions.start % width, positions.len());
        while left > 0 {
            let len = (width - x).min(left);
            // SAFETY: the ranges of the tap are those where it lies inside the image.
            unsafe {
                if y < tap.rows[0] || y >= tap.rows[1] {
                    zeros(to, len);
                } else {
                    let (low, high) = (tap.columns[0].clamp(x, x + len), tap.columns[1].clamp(x, x + len));
                    zeros(to, low - x);
                    let line = (y * step_rows) as isize + tap.offset[0];
                    let column = (low * step) as isize + tap.offset[1];
                    let from = plane.wrapping_offset(line * self.size[1] as isize + column);
                    match step {
                        1 => copy(from, to.add(low - x), high - low),
                        _ => (0..high - low).for_each(|j| *to.add(low - x + j) = *from.add(j * step)),
                    }
                    zeros(to.add(high - x), x + len - high);
                }
            }
            to = to.wrapping_add(len);
            left -= len;
            (y, x) = (y + 1, 0);
        }
    }
}

/// What a tap sees of a plane at positions that lie as the plane's own do: the plane, shifted by the tap, with zeros where
/// that reaches beyond the end of a line.
///
/// # Safety
/// The plane and the positions exist.
#[inline(always)]
unsafe fn shifted<T: Real>(plane: *const T, width: usize, tap: &Tap, positions: Range<usize>, to: *mut T) {
    let Range { start, end } = positions;
    let ([top, bottom], [left, right]) = (tap.rows, tap.columns);
    let seen = top < bottom && left < right;
    let low = if seen { (top * width + left).clamp(start, end) } else { end };
    let high = if seen { ((bottom - 1) * width + right).clamp(low, end) } else { end };
    let shift = tap.offset[0] * width as isize + tap.offset[1];
    let at = |position: usize| to.wrapping_add(position - start);
    // SAFETY: from the first to the last position that the tap sees, it reads inside the plane.
    unsafe {
        zeros(to, low - start);
        copy(plane.wrapping_offset(low as isize + shift), at(low), high - low);
        zeros(at(high), end - high);
        if left > 0 || right < width {
            for line in (low / width * width..high).step_by(width) {
                let within = |column: usize| (line + column).clamp(low, high);
                zeros(at(within(0)), within(left) - within(0));
                zeros(at(within(right)), within(width) - within(right));
            }
        }
    }
}

/// # Safety
/// The memory has so many elements.
#[inline(always)]
pub(super) unsafe fn zeros<T: Real>(to: *mut T, len: usize) {
    // SAFETY: as the caller says.
    unsafe {
        match len {
            0 => {}
            1 => *to = T::ZERO,
            _ => std::slice::from_raw_parts_mut(to, len).fill(T::ZERO),
        }
    }
}

/// Copies vectors, of which the last may overlap the one before: lines are short, and calls would take as long.
///
/// # Safety
/// Both have so many elements.
#[inline(always)]
pub(super) unsafe fn copy<T: Real>(from: *const T, to: *mut T, len: usize) {
    const TOGETHER: usize = 8;
    // SAFETY: as the caller says.
    unsafe {
        let some = |j: usize| {
            let x = from.add(j).cast::<[T; TOGETHER]>().read_unaligned();
            to.add(j).cast::<[T; TOGETHER]>().write_unaligned(x);
        };
        let mut j = 0;
        while j + TOGETHER <= len {
            some(j);
            j += TOGETHER;
        }
        if len >= TOGETHER {
            if j < len {
                some(len - TOGETHER);
            }
        } else {
            while j < len {
                *to.add(j) = *from.add(j);
                j += 1;
            }
        }
    }
}
