//! The backward pass: with weights P = exp(S − logarithms) and the cotangent C of the result,
//! V̄ = Pᵀ C, S̄ = P ∘ (C Vᵀ − common), Q̄ = scale S̄ K and K̄ = scale S̄ᵀ Q.

use super::softmax::Block;
use super::{Attention, COLUMNS, LANES, Pass, ROWS, element, line};
use crate::cpu::Operand;
use crate::cpu::gemm::{Kernels, Matrix, Product, Source, multiply};
use crate::cpu::math::Real;
use crate::cpu::vectorized::{Instructions, vectorized};
use crate::view::View;
use std::slice::from_raw_parts_mut;

/// One thread's part of a backward pass.
pub(super) struct Backward<'a, T: Real> {
    a: &'a Attention,
    kernels: &'a Kernels<T>,
    operands: &'a [Operand],
    memory: *mut T,
    /// Cotangents of queries of all tasks of a head but the first: part, sample, head, row, column.
    partial: *mut T,
    parts: usize,
    views: [&'a View; 6],
}

impl Attention {
    /// Elements of memory that a thread uses.
    pub(super) fn backward_memory<T: Real>(&self, kernels: &Kernels<T>) -> usize {
        let turned = (self.width + self.value_width) * COLUMNS;
        let scores = 2 * ROWS * COLUMNS + 2 * ROWS;
        turned + line(self.width) * COLUMNS + scores + self.product_memory(kernels)
    }
}

/// A matrix of rows.
fn rows<T>(first: *mut T, row: usize) -> Matrix<T> {
    Matrix { first, row: row as isize, column: 1 }
}

impl<'a, T: Real> Backward<'a, T> {
    pub fn new(
        a: &'a Attention,
        kernels: &'a Kernels<T>,
        operands: &'a [Operand],
        memory: *mut T,
        partial: *mut T,
        parts: usize,
    ) -> Self {
        let Pass::Backward { logarithms, common, c, dq, dk, dv } = &a.pass else {
            unreachable!("a forward pass runs in `forward`");
        };
        Backward { a, kernels, operands, memory, partial, parts, views: [logarithms, common, c, dq, dk, dv] }
    }

    /// Where a task adds up the cotangents of queries of a head: its first element and the elements between rows.
    ///
    /// # Safety
    /// As for `task`.
    unsafe fn queries(&self, n: usize, head: usize, part: usize) -> (*mut T, usize) {
        let Attention { batch, heads, queries, width, .. } = *self.a;
        let dq = self.views[3];
        // SAFETY: as the caller says.
        unsafe {
            match part {
                0 => (element::<T>(dq, self.operands, [n, head, 0, 0]), dq.strides[2].unsigned_abs()),
                _ => (self.partial.add((((part - 1) * batch + n) * heads + head) * queries * width), width),
            }
        }
    }

    /// Computes the cotangents of a part of the keys and values of a head, and what they add to those of queries.
    ///
    /// # Safety
    /// As for `Attention::launch`; the memory has `backward_memory` elements on a cache line.
    pub unsafe fn task(&self, n: usize, shared: usize, part: usize) {
        let Attention { keys, queries, width, value_width, .. } = *self.a;
        let [.., dk, dv] = self.views;
        // SAFETY: rows inside the operands and the memory, which no other task writes.
        unsafe {
            for head in self.a.group(shared) {
                let (first, row) = self.queries(n, head, part);
                (0..queries).for_each(|i| from_raw_parts_mut(first.add(i * row), width).fill(T::ZERO));
            }
            // Each task takes every so-many-th block, since later keys are seen by fewer queries.
            for start in (0..keys).step_by(COLUMNS).skip(part).step_by(self.parts) {
                let count = COLUMNS.min(keys - start);
                for (view, width) in [(dk, width), (dv, value_width)] {
                    let first = element::<T>(view, self.operands, [n, shared, start, 0]);
                    let row = |j: usize| from_raw_parts_mut(first.offset(j as isize * view.strides[2]), width);
                    (0..count).for_each(|j| row(j).fill(T::ZERO));
                }
                self.keys(n, shared, start, count, part);
            }
        }
    }

    /// One block of keys.
    ///
    /// # Safety
    /// As for `task`.
    unsafe fn keys(&self, n: usize, shared: usize, start: usize, count: usize, part: usize) {
        let Attention { ref k, ref v, width, value_width, queries, .. } = *self.a;
        // SAFETY: as the caller says.
        unsafe {
            let turned_values = self.memory.add(width * COLUMNS);
            let copied_keys = turned_values.add(value_width * COLUMNS);
            let key = element::<T>(k, self.operands, [n, shared, start, 0]);
            let value = element::<T>(v, self.operands, [n, shared, start, 0]);
            let [row, column] = [k.strides[2], k.strides[3]];
            let turned = Source { from: key, rows: width, columns: count, row: column, column: row };
            (self.kernels.pack)(&turned, self.memory, COLUMNS);
            let copied = Source { from: key, rows: count, columns: width, row, column };
            (self.kernels.pack)(&copied, copied_keys, line(width));
            let [row, column] = [v.strides[2], v.strides[3]];
            let turned = Source { from: value, rows: value_width, columns: count, row: column, column: row };
            (self.kernels.pack)(&turned, turned_values, COLUMNS);
            let position = self.a.first_position(self.operands, n);
            for head in self.a.group(shared) {
                for first in (0..queries).step_by(ROWS) {
                    let rows = ROWS.min(queries - first);
                    let position = position + first as isize;
                    let seen = self.a.seen(position, position + rows as isize - 1);
                    let (key, end) = (seen.start.max(start) / LANES * LANES, seen.end.min(start + count));
                    if key < end {
                        self.block([n, head, first], rows, position, [shared, part, start, key, end]);
                    }
                }
            }
        }
    }

    /// One block of queries and the keys `key..end` of a block that begins at `start`.
    ///
    /// # Safety
    /// As for `task`.
    unsafe fn block(&self, at: [usize; 3], count: usize, position: isize, [shared, part, start, key, end]: [usize; 5]) {
        let Attention { ref q, width, value_width, scale, .. } = *self.a;
        let [logarithms, common, c, _, dk, dv] = self.views;
        let [n, head, first] = at;
        let skipped = key - start;
        let (keys, columns) = (end - key, (end - key).next_multiple_of(LANES));
        // SAFETY: as the caller says.
        unsafe {
            let turned_values = self.memory.add(width * COLUMNS);
            let copied_keys = turned_values.add(value_width * COLUMNS);
            let weights = copied_keys.add(line(width) * COLUMNS);
            let bars = weights.add(ROWS * COLUMNS);
            let stats = bars.add(ROWS * COLUMNS);
            let products = stats.add(2 * ROWS);
            let view = |view: &View| Matrix {
                first: element::<T>(view, self.operands, [n, head, first, 0]),
                row: view.strides[2],
                column: view.strides[3],
            };
            let (queries, c) = (view(q), view(c));
            let product = |[m, n, k]: [usize; 3], a, b, c, add| {
                multiply(self.kernels, &Product { m, n, k, a, b, c, add }, products);
            };
            let turned_keys = rows(self.memory.add(skipped), COLUMNS);
            product([count, columns, width], queries, turned_keys, rows(weights, COLUMNS), false);
            let turned_values = rows(turned_values.add(skipped), COLUMNS);
            product([count, columns, value_width], c, turned_values, rows(bars, COLUMNS), false);
            let [logarithms, common] = [(0, logarithms), (1, common)].map(|(i, view)| {
                let own = from_raw_parts_mut(stats.add(i * ROWS), count);
                let from = element::<T>(view, self.operands, [n, head, first, 0]);
                own.iter_mut().enumerate().for_each(|(r, x)| *x = *from.offset(r as isize * view.strides[2]));
                own
            });
            let block = Block { scores: weights, stride: COLUMNS, columns, at, rows: count, position, key };
            vectorized::<T, _>(
                Instructions::best(),
                #[inline(always)]
                || {
                    let left = block.finish(self.a, self.operands);
                    let bars = Block { scores: bars, ..block };
                    block.gradients(left, T::from_f64(scale), &bars, logarithms, common);
                },
            );
            let to = |view: &View| {
                rows(element::<T>(view, self.operands, [n, shared, key, 0]), view.strides[2].unsigned_abs())
            };
            let (weights, bars) = (rows(weights, COLUMNS), rows(bars, COLUMNS));
            product([keys, value_width, count], weights.transposed(), c, to(dv), true);
            product([keys, width, count], bars.transposed(), queries, to(dk), true);
            let copied_keys = rows(copied_keys.add(skipped * line(width)), line(width));
            let (dq, row) = self.queries(n, head, part);
            product([count, width, keys], bars, copied_keys, rows(dq.add(first * row), row), true);
        }
    }

    /// Adds the parts of the cotangents of a head's queries.
    ///
    /// # Safety
    /// As for `task`, after all tasks.
    pub unsafe fn add_up(&self, n: usize, head: usize) {
        let Attention { queries, width, .. } = *self.a;
        // SAFETY: as the caller says.
        unsafe {
            let (to, to_row) = self.queries(n, head, 0);
            for part in 1..self.parts {
                let (from, row) = self.queries(n, head, part);
                for i in 0..queries {
                    let to = from_raw_parts_mut(to.add(i * to_row), width);
                    let from = from_raw_parts_mut(from.add(i * row), width);
                    to.iter_mut().zip(from).for_each(|(to, x)| *to = *to + *x);
                }
            }
        }
    }
}
