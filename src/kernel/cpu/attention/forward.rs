//! The forward pass.

use super::softmax::Block;
use super::{Attention, COLUMNS, LANES, ROWS, element, line};
use crate::cpu::Operand;
use crate::cpu::gemm::{Kernels, Matrix, Product, Source, multiply};
use crate::cpu::math::Real;
use crate::cpu::vectorized::{Instructions, vectorized};
use crate::view::View;
use std::ops::Range;
use std::slice::from_raw_parts_mut;

/// One thread's part of a forward pass.
pub(super) struct Forward<'a, T: Real> {
    pub a: &'a Attention,
    pub kernels: &'a Kernels<T>,
    pub operands: &'a [Operand],
    pub memory: *mut T,
    pub out: &'a View,
    pub logarithms: &'a View,
}

/// Where a thread's memory begins for each use.
struct Memory<T> {
    /// Blocks of keys, turned: `[width, COLUMNS]` each.
    keys: *mut T,
    /// The values, rows of whole vectors.
    values: *mut T,
    scores: *mut T,
    /// The greatest score and the sum of each row, and how much the weights of earlier blocks shrink.
    rows: *mut T,
    products: *mut T,
}

impl Attention {
    /// Elements of memory that a thread uses.
    pub(super) fn forward_memory<T: Real>(&self, kernels: &Kernels<T>) -> usize {
        self.turned_keys() + self.copied_values() + ROWS * COLUMNS + 3 * ROWS + self.product_memory(kernels)
    }

    /// Elements for the keys of a head. A single query reads them where they lie.
    fn turned_keys(&self) -> usize {
        if self.queries == 1 { 0 } else { self.keys.div_ceil(COLUMNS) * self.width * COLUMNS }
    }

    /// Elements for the values of a head.
    fn copied_values(&self) -> usize {
        if self.queries == 1 { 0 } else { self.keys * line(self.value_width) }
    }
}

impl<T: Real> Forward<'_, T> {
    /// Computes some rows of the heads that a head of keys serves.
    ///
    /// # Safety
    /// As for `Attention::launch`; the memory has `forward_memory` elements on a cache line.
    pub unsafe fn task(&self, n: usize, shared: usize, rows: Range<usize>) {
        // SAFETY: all parts are inside the memory; rows and keys are inside the operands.
        unsafe {
            let values = self.memory.add(self.a.turned_keys());
            let scores = values.add(self.a.copied_values());
            let stats = scores.add(ROWS * COLUMNS);
            let memory = Memory { keys: self.memory, values, scores, rows: stats, products: stats.add(3 * ROWS) };
            let first = self.a.first_position(self.operands, n);
            if rows.is_empty() {
                return;
            }
            let seen = self.a.seen(first + rows.start as isize, first + rows.end as isize - 1);
            if self.a.queries > 1 {
                self.lay_out(n, shared, &seen, &memory);
            }
            for head in self.a.group(shared) {
                for start in rows.clone().step_by(ROWS) {
                    let count = ROWS.min(rows.end - start);
                    self.block([n, head, start], shared, count, first + start as isize, &memory);
                }
            }
        }
    }

    /// Copies the keys and values that are seen.
    ///
    /// # Safety
    /// As for `task`.
    unsafe fn lay_out(&self, n: usize, shared: usize, seen: &Range<usize>, memory: &Memory<T>) {
        let Attention { ref k, ref v, width, value_width, keys, .. } = *self.a;
        for start in (seen.start / COLUMNS * COLUMNS..seen.end).step_by(COLUMNS) {
            let count = COLUMNS.min(keys - start);
            // SAFETY: inside the operands and the memory.
            unsafe {
                let from = element::<T>(k, self.operands, [n, shared, start, 0]);
                let (row, column) = (k.strides[3], k.strides[2]);
                let turned = Source { from, rows: width, columns: count, row, column };
                (self.kernels.pack)(&turned, memory.keys.add(start * width), COLUMNS);
                let from = element::<T>(v, self.operands, [n, shared, start, 0]);
                let (row, column) = (v.strides[2], v.strides[3]);
                let copied = Source { from, rows: count, columns: value_width, row, column };
                (self.kernels.pack)(&copied, memory.values.add(start * line(value_width)), line(value_width));
            }
        }
    }

    /// Computes up to `ROWS` rows of a head.
    ///
    /// # Safety
    /// As for `task`.
    unsafe fn block(&self, at: [usize; 3], shared: usize, rows: usize, position: isize, memory: &Memory<T>) {
        let Attention { ref q, ref k, ref v, width, value_width, queries, .. } = *self.a;
        let [n, head, first] = at;
        let arch = Instructions::best();
        // SAFETY: all positions are inside their operands, and the memory is this thread's.
        unsafe {
            let [greatest, sums, shrink] = [0, 1, 2].map(|i| from_raw_parts_mut(memory.rows.add(i * ROWS), rows));
            greatest.fill(-T::INFINITY);
            sums.fill(T::ZERO);
            let (out, out_row) =
                (element::<T>(self.out, self.operands, [n, head, first, 0]), self.out.strides[2].unsigned_abs());
            let seen = self.a.seen(position, position + rows as isize - 1);
            let mut begun = false;
            let mut block_start = seen.start / COLUMNS * COLUMNS;
            while block_start < seen.end {
                let key = seen.start.max(block_start) / LANES * LANES;
                let end = seen.end.min(block_start + COLUMNS);
                let (count, columns) = (end - key, (end - key).next_multiple_of(LANES));
                let single = queries == 1;
                let b = match single {
                    true => Matrix {
                        first: element::<T>(k, self.operands, [n, shared, key, 0]),
                        row: k.strides[3],
                        column: k.strides[2],
                    },
                    false => Matrix {
                        first: memory.keys.add(block_start * width + (key - block_start)),
                        row: COLUMNS as isize,
                        column: 1,
                    },
                };
                let a = Matrix {
                    first: element::<T>(q, self.operands, [n, head, first, 0]),
                    row: q.strides[2],
                    column: q.strides[3],
                };
                let c = Matrix { first: memory.scores, row: COLUMNS as isize, column: 1 };
                let n_columns = if single { count } else { columns };
                let scores = Product { m: rows, n: n_columns, k: width, a, b, c, add: false };
                multiply(self.kernels, &scores, memory.products);
                let block = Block { scores: memory.scores, stride: COLUMNS, columns, at, rows, position, key };
                vectorized::<T, _>(
                    arch,
                    #[inline(always)]
                    || {
                        let scale = block.finish(self.a, self.operands);
                        if block.weights(scale, greatest, sums, shrink) && begun {
                            for (r, &less) in shrink.iter().enumerate() {
                                let row = from_raw_parts_mut(out.add(r * out_row), value_width);
                                row.iter_mut().for_each(|x| *x = *x * less);
                            }
                        }
                    },
                );
                let b = match single {
                    true => Matrix {
                        first: element::<T>(v, self.operands, [n, shared, key, 0]),
                        row: v.strides[2],
                        column: v.strides[3],
                    },
                    false => Matrix {
                        first: memory.values.add(key * line(value_width)),
                        row: line(value_width) as isize,
                        column: 1,
                    },
                };
                let c = Matrix { first: out, row: out_row as isize, column: 1 };
                let result = Product { m: rows, n: value_width, k: count, a: c_as_a(memory.scores), b, c, add: begun };
                multiply(self.kernels, &result, memory.products);
                begun = true;
                block_start += COLUMNS;
            }
            let logarithms = element::<T>(self.logarithms, self.operands, [n, head, first, 0]);
            vectorized::<T, _>(
                arch,
                #[inline(always)]
                || {
                    for r in 0..rows {
                        let row = from_raw_parts_mut(out.add(r * out_row), value_width);
                        if sums[r] == T::ZERO {
                            row.fill(T::ZERO);
                        } else {
                            let share = T::ONE / sums[r];
                            row.iter_mut().for_each(|x| *x = *x * share);
                        }
                        *logarithms.offset(r as isize * self.logarithms.strides[2]) = greatest[r] + sums[r].ln();
                    }
                },
            );
        }
    }
}

/// Weights as the left factor of a product.
fn c_as_a<T>(scores: *mut T) -> Matrix<T> {
    Matrix { first: scores, row: COLUMNS as isize, column: 1 }
}
