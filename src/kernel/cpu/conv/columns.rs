//! The columns of a convolution: for every position what its taps see.

use crate::kernel::conv::Phase;
use crate::kernel::cpu::math::Real;
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

    /// Writes some rows, one for each channel and tap, and some columns, one for each image and position, to rows of
    /// `stride` elements.
    ///
    /// # Safety
    /// The channels of the rows and the images of the columns exist; the memory has room for the block.
    pub unsafe fn columns(self, phase: &Phase, rows: Range<usize>, columns: Range<usize>, to: *mut T, stride: usize) {
        let [height, width] = phase.grid;
        let [h, w] = self.size;
        let [step_rows, step] = self.step;
        let (image, y, x) = (columns.start / (height * width), columns.start / width % height, columns.start % width);
        for (i, row) in rows.enumerate() {
            let (channel, tap) = (row / phase.taps.len(), &phase.taps[row % phase.taps.len()]);
            let mut plane = self.from.wrapping_add((image * self.channels + channel) * h * w);
            let (mut y, mut x, mut left) = (y, x, columns.len());
            let mut to = to.wrapping_add(i * stride);
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
                        let from = plane.wrapping_offset(line * w as isize + column);
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
                if y == height {
                    y = 0;
                    plane = plane.wrapping_add(self.channels * h * w);
                }
            }
        }
    }
}

/// # Safety
/// The memory has so many elements.
#[inline(always)]
unsafe fn zeros<T: Real>(to: *mut T, len: usize) {
    for j in 0..len {
        // SAFETY: as the caller says.
        unsafe { *to.add(j) = T::ZERO };
    }
}

/// # Safety
/// Both have so many elements.
#[inline(always)]
unsafe fn copy<T: Real>(from: *const T, to: *mut T, len: usize) {
    // SAFETY: as the caller says.
    unsafe { std::ptr::copy_nonoverlapping(from, to, len) };
}
