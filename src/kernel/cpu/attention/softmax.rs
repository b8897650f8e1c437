//! What happens to a block of scores: who is hidden, and the softmax of rows that are not complete yet.

use super::{Attention, LANES, element};
use crate::cpu::Operand;
use crate::cpu::math::Real;
use std::ops::Range;
use std::slice::from_raw_parts_mut;

/// Scores of some queries of a head and some keys: rows of `stride`, of which `columns` are used, a multiple of `LANES`.
#[derive(Clone, Copy)]
pub(super) struct Block<T> {
    pub scores: *mut T,
    pub stride: usize,
    pub columns: usize,
    /// Sample, head and first query.
    pub at: [usize; 3],
    pub rows: usize,
    /// The position of the first query.
    pub position: isize,
    /// The first key.
    pub key: usize,
}

impl<T: Real> Block<T> {
    /// # Safety
    /// The block is valid and borrowed once at a time.
    pub unsafe fn row<'r>(&self, row: usize) -> &'r mut [T] {
        // SAFETY: as the caller says.
        unsafe { from_raw_parts_mut(self.scores.add(row * self.stride), self.columns) }
    }

    /// Scales the scores where more than scaling is to be done, and gives hidden keys −∞. Gives the scale that is left.
    ///
    /// # Safety
    /// As for a launch of `a`; the block is valid.
    #[inline(always)]
    pub unsafe fn finish(&self, a: &Attention, operands: &[Operand]) -> T {
        let scale = T::from_f64(a.scale);
        let [n, head, first] = self.at;
        // SAFETY: positions inside the operands, as the caller says.
        unsafe {
            let slope = a.slopes.as_ref().map(|slopes| *element::<T>(slopes, operands, [n, head, 0, 0]));
            // −∞ times a scale shall be −∞.
            let changed = slope.is_some() || a.bias.is_some() || a.scale <= 0.0;
            // Behind the last key there is nothing.
            let keys = self.columns.min(a.keys - self.key);
            for r in 0..self.rows {
                let row = self.row(r);
                let position = self.position + r as isize;
                if changed {
                    row.iter_mut().for_each(|x| *x = *x * scale);
                }
                if let Some(bias) = &a.bias {
                    let from = element::<T>(bias, operands, [n, head, first + r, self.key]);
                    match bias.strides[3] {
                        1 => (0..keys).for_each(|j| row[j] = row[j] + *from.add(j)),
                        step => (0..keys).for_each(|j| row[j] = row[j] + *from.offset(j as isize * step)),
                    }
                }
                if let Some(slope) = slope {
                    let distance = position - self.key as isize;
                    for (j, x) in row[..keys].iter_mut().enumerate() {
                        *x = *x - slope * T::from_f64((distance - j as isize).unsigned_abs() as f64);
                    }
                }
                if let Some(mask) = &a.mask {
                    let from = element::<u8>(mask, operands, [n, head, first + r, self.key]);
                    let step = mask.strides[3];
                    for (j, x) in row[..keys].iter_mut().enumerate() {
                        *x = if *from.offset(j as isize * step) == 0 { -T::INFINITY } else { *x };
                    }
                }
                let Range { start, end } = a.seen(position, position);
                let start = start.clamp(self.key, self.key + self.columns) - self.key;
                let end = end.clamp(self.key + start, self.key + self.columns) - self.key;
                row[..start].fill(-T::INFINITY);
                row[end..].fill(-T::INFINITY);
            }
            if changed { T::ONE } else { scale }
        }
    }

    /// Makes weights of scores, relative to the greatest of their row so far, which is brought up to date, as is the sum
    /// of the row. `shrink` becomes what the weights of earlier blocks count now. Gives whether any of those changed.
    ///
    /// # Safety
    /// The block is valid.
    #[inline(always)]
    pub unsafe fn weights(&self, scale: T, greatest: &mut [T], sums: &mut [T], shrink: &mut [T]) -> bool {
        let mut shrinks = false;
        for r in 0..self.rows {
            // SAFETY: as the caller says.
            let row = unsafe { self.row(r) };
            let mut lanes = [-T::INFINITY; LANES];
            for chunk in row.as_chunks::<LANES>().0 {
                for (most, &x) in lanes.iter_mut().zip(chunk) {
                    let x = x * scale;
                    *most = if x > *most { x } else { *most };
                }
            }
            let before = greatest[r];
            let most = folded(lanes, |a, b| if b > a { b } else { a });
            let now = if most > before { most } else { before };
            // Nothing is seen yet: all weights are 0.
            let base = if now == -T::INFINITY { T::ZERO } else { now };
            let mut lanes = [T::ZERO; LANES];
            for chunk in row.as_chunks_mut::<LANES>().0 {
                for (sum, x) in lanes.iter_mut().zip(chunk) {
                    let weight = x.mul_add(scale, -base).exp();
                    *x = weight;
                    *sum = *sum + weight;
                }
            }
            let less = if now == before { T::ONE } else { (before - base).exp() };
            shrinks |= less != T::ONE;
            greatest[r] = now;
            sums[r] = sums[r] * less + folded(lanes, |a, b| a + b);
            shrink[r] = less;
        }
        shrinks
    }

    /// Makes weights of scores, given the logarithms of the sums of their rows; and of the cotangents of weights those of
    /// the products of queries and keys, which are `factor` times those of the scores.
    ///
    /// # Safety
    /// Both blocks are valid and of one form.
    #[inline(always)]
    pub unsafe fn gradients(&self, scale: T, factor: T, bars: &Self, logarithms: &[T], common: &[T]) {
        for r in 0..self.rows {
            // SAFETY: as the caller says.
            let (row, bars) = unsafe { (self.row(r), bars.row(r)) };
            let base = if logarithms[r] == -T::INFINITY { T::ZERO } else { logarithms[r] };
            for (chunk, bars) in row.as_chunks_mut::<LANES>().0.iter_mut().zip(bars.as_chunks_mut::<LANES>().0) {
                for (x, bar) in chunk.iter_mut().zip(bars) {
                    let weight = x.mul_add(scale, -base).exp();
                    *x = weight;
                    *bar = factor * weight * (*bar - common[r]);
                }
            }
        }
    }
}

#[inline(always)]
fn folded<T: Real>(mut lanes: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}
