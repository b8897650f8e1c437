//! Matrix products.

use super::Operand;
use super::math::Real;
use super::parallel;
use std::ops::Range;

/// Fewer multiply-adds than this stay on one thread.
const WORTH_A_FORK: usize = 1 << 20;

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
    let base = |view: &MatrixView| {
        // SAFETY: inside the operand.
        Pointer(unsafe { operands[view.operand].pointer.cast::<T>().add(view.offset) })
    };
    let (a, b, c) = (base(&g.a), base(&g.b), base(&g.c));
    let work = g.batch * g.m * g.n * g.k;
    let threads = if work < WORTH_A_FORK { 1 } else { threads };
    // SAFETY: ranges inside the views.
    let block = |batch: Range<usize>, rows: Range<usize>, columns: Range<usize>| unsafe {
        for i in batch {
            block(g, [a, b, c], i, rows.clone(), columns.clone());
        }
    };
    if g.batch >= threads {
        parallel::split(threads, &|i| block(parallel::part(g.batch, i, threads), 0..g.m, 0..g.n));
    } else if g.m >= g.n {
        parallel::split(threads, &|i| block(0..g.batch, part(g.m, i, threads), 0..g.n));
    } else {
        parallel::split(threads, &|i| block(0..g.batch, 0..g.m, part(g.n, i, threads)));
    }
}

/// A share of rows or columns in multiples of 48, the height of the microkernel.
fn part(len: usize, i: usize, parts: usize) -> Range<usize> {
    const UNIT: usize = 48;
    let units = parallel::part(len.div_ceil(UNIT), i, parts);
    (units.start * UNIT).min(len)..(units.end * UNIT).min(len)
}

/// One matrix's rows and columns, on this thread.
///
/// # Safety
/// As for `gemm`.
unsafe fn block<T: Real>(g: &Gemm, [a, b, c]: [Pointer<T>; 3], i: usize, rows: Range<usize>, columns: Range<usize>) {
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let at = |p: Pointer<T>, view: &MatrixView, row: usize, column: usize| {
        let offset =
            i as isize * view.batch_stride + row as isize * view.row_stride + column as isize * view.column_stride;
        // SAFETY: inside the operand.
        unsafe { p.0.offset(offset) }
    };
    // SAFETY: as the caller says; `T` is f32 or f64, which the crate knows.
    unsafe {
        ::gemm::gemm(
            rows.len(),
            columns.len(),
            g.k,
            at(c, &g.c, rows.start, columns.start),
            g.c.column_stride,
            g.c.row_stride,
            g.accumulate,
            at(a, &g.a, rows.start, 0).cast_const(),
            g.a.column_stride,
            g.a.row_stride,
            at(b, &g.b, 0, columns.start).cast_const(),
            g.b.column_stride,
            g.b.row_stride,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// The first element of an operand.
#[derive(Clone, Copy)]
struct Pointer<T>(*mut T);

// SAFETY: threads write disjoint parts of the product.
unsafe impl<T> Send for Pointer<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Pointer<T> {}
