//! Matrix products.

use super::Operand;
use super::math::Real;
use super::parallel;
use super::vector_product;
use std::ops::Range;

/// Products of fewer multiply-adds stay on one thread. One thread needs about 11 µs for as many, two threads 7.
const WORTH_A_FORK: usize = 1 << 20;
/// Products of a vector and a matrix of fewer elements stay on one thread, which reads as many in 10 µs.
const WORTH_A_FORK_FOR_VECTORS: usize = 300_000;
/// Heights and widths of the microkernels divide this.
const UNIT: usize = 48;

/// `C = A·B`, or `C += A·B`, for a batch of matrices with any strides: `A` is `[m, k]`, `B` `[k, n]`, `C` `[m, n]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// The number of products.
    pub batch: usize,
    /// Rows of `A` and `C`.
    pub m: usize,
    /// Columns of `B` and `C`.
    pub n: usize,
    /// Columns of `A`, rows of `B`.
    pub k: usize,
    /// The left factor.
    pub a: MatrixView,
    /// The right factor.
    pub b: MatrixView,
    /// The product.
    pub c: MatrixView,
    /// Whether to add to `C` instead of replacing it.
    pub accumulate: bool,
}

/// A batch of matrices in an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixView {
    /// Which operand of the launch holds them.
    pub operand: usize,
    /// The first element.
    pub offset: usize,
    /// Elements between matrices.
    pub batch_stride: isize,
    /// Elements between rows.
    pub row_stride: isize,
    /// Elements between columns.
    pub column_stride: isize,
}

/// Computes the product on at most `threads` threads.
///
/// # Safety
/// The views stay inside their operands, which hold aligned elements of type `T`; `C` overlaps neither `A` nor `B` nor
/// itself and is not used elsewhere during the call.
pub unsafe fn gemm<T: Real>(g: &Gemm, operands: &[Operand], threads: usize) {
    let work = g.batch * g.m * g.n * g.k;
    let worth = if g.m == 1 || g.n == 1 { WORTH_A_FORK_FOR_VECTORS } else { WORTH_A_FORK };
    let threads = if work < worth { 1 } else { threads.max(1) };
    // SAFETY: as the caller says.
    unsafe { gemm_on::<T>(g, operands, threads) };
}

/// As `gemm`, on so many threads wherever there are so many rows, columns or matrices.
///
/// The `gemm` crate's own threads are slow on small matrices, so it runs on one thread for each share.
///
/// # Safety
/// As for `gemm`.
unsafe fn gemm_on<T: Real>(g: &Gemm, operands: &[Operand], threads: usize) {
    let base = |view: &MatrixView| {
        // SAFETY: inside the operand.
        Pointer(unsafe { operands[view.operand].pointer.cast::<T>().add(view.offset) })
    };
    let bases = [base(&g.a), base(&g.b), base(&g.c)];
    // SAFETY: ranges inside the views.
    let run = |batch: Range<usize>, rows: Range<usize>, columns: Range<usize>| unsafe {
        for i in batch {
            block(g, bases, i, rows.clone(), columns.clone());
        }
    };
    if g.batch >= threads {
        parallel::split(threads, &|i| run(parallel::part(g.batch, i, threads), 0..g.m, 0..g.n));
    } else if g.m >= g.n {
        parallel::split(threads, &|i| run(0..g.batch, part(g.m, i, threads), 0..g.n));
    } else {
        parallel::split(threads, &|i| run(0..g.batch, 0..g.m, part(g.n, i, threads)));
    }
}

/// A share of rows or columns, in multiples of what microkernels compute at once.
fn part(len: usize, i: usize, parts: usize) -> Range<usize> {
    let units = parallel::part(len.div_ceil(UNIT), i, parts);
    (units.start * UNIT).min(len)..(units.end * UNIT).min(len)
}

/// Some rows and columns of the `i`-th product, on this thread.
///
/// # Safety
/// As for `gemm`.
unsafe fn block<T: Real>(g: &Gemm, [a, b, c]: [Pointer<T>; 3], i: usize, rows: Range<usize>, columns: Range<usize>) {
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let at = |p: Pointer<T>, view: &MatrixView, row: usize, column: usize| {
        let offset = i as isize * view.batch_stride;
        // SAFETY: inside the operand.
        unsafe { p.0.offset(offset + row as isize * view.row_stride + column as isize * view.column_stride) }
    };
    let (m, n) = (rows.len(), columns.len());
    let c_block = at(c, &g.c, rows.start, columns.start);
    let a_block = at(a, &g.a, rows.start, 0).cast_const();
    let b_block = at(b, &g.b, 0, columns.start).cast_const();
    // SAFETY: as the caller says; `T` is f32 or f64, which the crate knows. A column is a row of the transposed product.
    unsafe {
        let (a, b, c) = (&g.a, &g.b, &g.c);
        let by_vector = if m == 1 {
            let (c, a) = ((c_block, c.column_stride), (a_block, a.column_stride));
            vector_product::run(n, g.k, c, a, (b_block, [b.row_stride, b.column_stride]), g.accumulate)
        } else if n == 1 {
            let (c, b) = ((c_block, c.row_stride), (b_block, b.row_stride));
            vector_product::run(m, g.k, c, b, (a_block, [a.column_stride, a.row_stride]), g.accumulate)
        } else {
            false
        };
        if !by_vector {
            ::gemm::gemm(
                m,
                n,
                g.k,
                c_block,
                c.column_stride,
                c.row_stride,
                g.accumulate,
                a_block,
                a.column_stride,
                a.row_stride,
                b_block,
                b.column_stride,
                b.row_stride,
                T::ONE,
                T::ONE,
                false,
                false,
                false,
                ::gemm::Parallelism::None,
            );
        }
    }
}

/// The first element of an operand.
#[derive(Clone, Copy)]
struct Pointer<T>(*mut T);

// SAFETY: threads write disjoint parts of the product.
unsafe impl<T> Send for Pointer<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Pointer<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A view of matrices `[rows, columns]`, row by row, column by column, or with gaps, and its number of elements.
    fn view(operand: usize, layout: usize, batch: usize, rows: usize, columns: usize) -> (MatrixView, usize) {
        let (row_stride, column_stride) = match layout {
            0 => (columns, 1),
            1 => (1, rows),
            2 => (columns + 3, 1),
            _ => (2, 2 * rows + 1),
        };
        let size = rows * row_stride.max(1) + columns * column_stride.max(1);
        let [row_stride, column_stride] = [row_stride, column_stride].map(|s| s as isize);
        let view = MatrixView { operand, offset: layout, batch_stride: size as isize, row_stride, column_stride };
        (view, layout + batch * size)
    }

    fn check<T: Real>(sizes: [usize; 4], layouts: [usize; 3], accumulate: bool, threads: usize, unit: f64) {
        let [batch, m, n, k] = sizes;
        let (a, a_len) = view(0, layouts[0], batch, m, k);
        let (b, b_len) = view(1, layouts[1], batch, k, n);
        let (c, c_len) = view(2, layouts[2], batch, m, n);
        let g = Gemm { batch, m, n, k, a, b, c, accumulate };
        let fill = |len: usize, seed: usize| -> Vec<T> {
            (0..len).map(|i| T::from_f64(((i * 37 + seed) % 101) as f64 / 50.0 - 1.0)).collect()
        };
        let mut memory = [fill(a_len, 1), fill(b_len, 2), fill(c_len, 3)];
        let before = memory[2].clone();
        let operands = memory.each_mut().map(|v| Operand { pointer: v.as_mut_ptr().cast(), len: v.len() });
        // SAFETY: `view` sizes the operands.
        unsafe { gemm_on::<T>(&g, &operands, threads) };
        let at = |view: &MatrixView, i: usize, row: usize, column: usize| {
            let offset = i as isize * view.batch_stride + row as isize * view.row_stride;
            view.offset + (offset + column as isize * view.column_stride) as usize
        };
        let mut written = vec![false; c_len];
        for i in 0..batch {
            for row in 0..m {
                for column in 0..n {
                    let product = |j| memory[0][at(&a, i, row, j)].to_f64() * memory[1][at(&b, i, j, column)].to_f64();
                    let place = at(&c, i, row, column);
                    let start = if accumulate { before[place].to_f64() } else { 0.0 };
                    let exact = start + (0..k).map(product).sum::<f64>();
                    let found = memory[2][place].to_f64();
                    // The bound for sums in any order (Higham, "Accuracy and Stability of Numerical Algorithms", 3.5),
                    // for ours and, in f64, for the naive one.
                    let magnitude = start.abs() + (0..k).map(|j| product(j).abs()).sum::<f64>();
                    let bound = 2.0 * (k + 1) as f64 * unit * magnitude;
                    assert!((found - exact).abs() <= bound, "{g:?} {found} {exact}");
                    written[place] = true;
                }
            }
        }
        assert!((0..c_len).all(|i| written[i] || memory[2][i] == before[i]), "{g:?} writes elsewhere");
    }

    proptest! {
        #[test]
        fn products_agree_with_naive_sums(
            batch in 0usize..4,
            m in prop_oneof![Just(1), 0usize..150],
            n in prop_oneof![Just(1), 0usize..150],
            k in 0usize..150,
            layouts in [0usize..4, 0..4, 0..4],
            accumulate: bool,
            threads in 1usize..4,
        ) {
            check::<f32>([batch, m, n, k], layouts, accumulate, threads, f64::from(f32::EPSILON) / 2.0);
            check::<f64>([batch, m, n, k], layouts, accumulate, threads, f64::EPSILON / 2.0);
        }
    }
}
