//! Matrix products.

mod lanes;
mod tile;
mod dispatch;
mod block;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(test)]
mod tests;

pub use dispatch::Factor;

/// What other kernels build on: products on the thread at hand.
pub(super) use block::{Matrix, Product, memory, multiply};
pub(super) use tile::{Kernels, Lines, Source, Taps, WIDTH};

use super::math::Real;
use super::vectorized::Instructions;
use super::{Fault, Kernel, Operand, Scratch, parallel};
use crate::gemm::Gemm;
use crate::view::View;
use std::ops::Range;

/// Products of fewer multiply-adds stay on one thread. One thread needs about 11 µs for as many, two threads 7.
const WORTH_A_FORK: usize = 1 << 20;
/// Products of a vector and a matrix of fewer elements stay on one thread.
const WORTH_A_FORK_FOR_VECTORS: usize = 100_000;

/// On how many threads a product is worth computing.
fn threads(g: &Gemm, most: usize) -> usize {
    let work = g.batch * g.m * g.n * g.k;
    let worth = if g.m == 1 || g.n == 1 { WORTH_A_FORK_FOR_VECTORS } else { WORTH_A_FORK };
    if work < worth { 1 } else { most.max(1) }
}

impl<T: Real> Kernel<T> for Vec<Gemm> {
    fn divides(&self) -> bool {
        self.iter().any(|g| threads(g, 2) > 1)
    }

    fn scratch_bytes(&self, most: usize) -> usize {
        let kernels = T::kernels(Instructions::best());
        let bytes = |g: &Gemm| {
            // Either side may become the columns.
            let columns = memory(kernels, g.n, g.k).max(memory(kernels, g.m, g.k));
            threads(g, most) * share::<T>(columns)
        };
        self.iter().map(bytes).max().unwrap_or(0)
    }

    /// For equal `most` the result is always the same.
    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        for g in self {
            // SAFETY: as the caller says; the processor has its best instructions.
            unsafe { gemm_on(g, operands, threads(g, most), T::kernels(Instructions::best()), scratch) };
        }
        Ok(())
    }
}

/// Computes a product on so many threads wherever there are so many rows, columns or matrices.
///
/// # Safety
/// As for [`Kernel::launch`]; the processor has the instructions of `kernels`.
unsafe fn gemm_on<T: Real>(
    g: &Gemm,
    operands: &[Operand],
    threads: usize,
    kernels: &Kernels<T>,
    scratch: &mut Scratch,
) {
    let matrix = |view: &View| Matrix {
        // SAFETY: inside the operand.
        first: unsafe { operands[view.operand].pointer.cast::<T>().add(view.offset) },
        row: view.strides[1],
        column: view.strides[2],
    };
    let (mut p, mut steps) = (
        Product { m: g.m, n: g.n, k: g.k, a: matrix(&g.a), b: matrix(&g.b), c: matrix(&g.c), add: g.accumulate },
        [&g.a, &g.b, &g.c].map(|view| view.strides[0]),
    );
    // Rows of the product shall be contiguous: else compute its transpose, `Bᵀ·Aᵀ`. The left of two vectors is one row.
    if p.m != 1 && (p.n == 1 || (p.c.column != 1 && p.c.row == 1)) {
        p = Product { m: p.n, n: p.m, a: p.b.transposed(), b: p.a.transposed(), c: p.c.transposed(), ..p };
        steps.swap(0, 1);
    }
    let bytes = share::<T>(memory(kernels, p.n, p.k));
    let all = Shared { p, memory: scratch.memory(bytes * threads) };
    // SAFETY: ranges inside the matrices; each thread has its own share of the scratch memory.
    let run = |thread: usize, batch: Range<usize>, rows: Range<usize>, columns: Range<usize>| unsafe {
        let all = &all;
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        for i in batch {
            let at = |matrix: Matrix<T>, step: isize, row: usize, column: usize| {
                let first = matrix.first.offset(i as isize * step);
                Matrix { first, ..matrix }.from(row, column)
            };
            let p = Product {
                m: rows.len(),
                n: columns.len(),
                a: at(all.p.a, steps[0], rows.start, 0),
                b: at(all.p.b, steps[1], 0, columns.start),
                c: at(all.p.c, steps[2], rows.start, columns.start),
                ..all.p
            };
            multiply(kernels, &p, all.memory.add(thread * bytes).cast());
        }
    };
    let vectors = p.n.div_ceil(kernels.lanes);
    if g.batch >= threads {
        parallel::split(threads, &|i| run(i, parallel::part(g.batch, i, threads), 0..p.m, 0..p.n));
    } else if (2 * p.m < p.n && vectors >= 2 * threads) || p.m < kernels.rows * threads {
        // Every thread packs its own columns of `B`.
        parallel::split(threads, &|i| run(i, 0..g.batch, 0..p.m, share_of(p.n, kernels.lanes, i, threads)));
    } else {
        parallel::split(threads, &|i| run(i, 0..g.batch, share_of(p.m, kernels.rows, i, threads), 0..p.n));
    }
}

/// A share of rows or columns, in multiples of what microkernels compute at once.
fn share_of(len: usize, unit: usize, i: usize, parts: usize) -> Range<usize> {
    let units = parallel::part(len.div_ceil(unit), i, parts);
    (units.start * unit).min(len)..(units.end * unit).min(len)
}

/// Bytes of the scratch memory of a thread.
fn share<T>(elements: usize) -> usize {
    (elements * size_of::<T>()).next_multiple_of(64)
}

/// What threads share.
struct Shared<T> {
    p: Product<T>,
    memory: *mut u8,
}

// SAFETY: threads write disjoint parts of the product and of the memory.
unsafe impl<T> Sync for Shared<T> {}
