//! One thread's product: blocks that stay in the caches, cut into panels and strips for the microkernels.
//!
//! Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008), with the roles chosen for wide
//! vectors: a block of `B` is packed in panels of up to three vectors and stays in the second-level cache; a strip of a
//! few rows of `A` meets all its panels and stays in the first-level cache. Strips are read where they lie unless rows
//! of `A` are scattered.

use super::tile::{Dots, Kernels, MOST_ROWS, Source, Tile, WIDTH};
use crate::cpu::math::Real;
use crate::cpu::parallel::part;
use std::ops::Range;

/// Bytes of a row of a strip.
const ROW: usize = 2048;
/// Bytes of a packed block of `B`.
const BLOCK: usize = 512 << 10;
/// Rows of `B` that are packed at a time.
const STRETCH: usize = 16;
/// Rows of `B` this many bytes apart are read where they lie.
const NEAR: usize = 1088;

/// A matrix: its first element and the elements between rows and between columns.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Matrix<T> {
    pub first: *mut T,
    pub row: isize,
    pub column: isize,
}

impl<T> Matrix<T> {
    /// The matrix from this row and column.
    ///
    /// # Safety
    /// They are inside.
    pub unsafe fn from(self, row: usize, column: usize) -> Self {
        let offset = row as isize * self.row + column as isize * self.column;
        // SAFETY: as the caller says.
        Matrix { first: unsafe { self.first.offset(offset) }, ..self }
    }

    pub fn transposed(self) -> Self {
        Matrix { row: self.column, column: self.row, ..self }
    }
}

/// `C = A·B`, or `C += A·B`, with `A` `[m, k]` and `B` `[k, n]`.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Product<T> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Matrix<T>,
    pub b: Matrix<T>,
    pub c: Matrix<T>,
    pub add: bool,
}

/// The sizes of blocks for a product of `k` and `n` columns: how many of each, rounded up to vectors.
fn blocks<T: Real>(kernels: &Kernels<T>, n: usize, k: usize) -> (usize, usize) {
    let depth = k.div_ceil(k.div_ceil(ROW / size_of::<T>()).max(1)).max(1);
    let width = BLOCK / size_of::<T>() / depth / kernels.lanes;
    let vectors = n.div_ceil(kernels.lanes).max(1);
    (depth, vectors.div_ceil(vectors.div_ceil(width.max(kernels.width))))
}

/// Elements of memory that `multiply` uses for products of at most `n` columns.
pub(in crate::cpu) fn memory<T: Real>(kernels: &Kernels<T>, n: usize, k: usize) -> usize {
    // Blocks are smaller for some smaller `n`, never larger than the limit and one panel.
    let (depth, _) = blocks(kernels, n, k);
    let vectors = n.div_ceil(kernels.lanes).min((BLOCK / size_of::<T>() / depth / kernels.lanes).max(WIDTH));
    depth * vectors * kernels.lanes + depth * MOST_ROWS + MOST_ROWS * WIDTH * kernels.lanes
}

/// Computes the product on this thread.
///
/// # Safety
/// The processor has the instructions of `kernels`; the matrices are valid and `C` overlaps neither `A` nor `B` nor
/// itself; `scratch` has room for `memory` elements and begins on a cache line.
pub(in crate::cpu) unsafe fn multiply<T: Real>(kernels: &Kernels<T>, p: &Product<T>, scratch: *mut T) {
    let Product { m, n, k, a, b, c, .. } = *p;
    if m == 1 && a.column == 1 && b.row == 1 {
        // What it costs is reading `B`, which lies in order.
        let dots = Dots { n, k, x: a.first, w: b.first, w_row: b.column, c: c.first, c_stride: c.column, add: p.add };
        // SAFETY: as the caller says.
        return unsafe { (kernels.dots)(&dots) };
    }
    let lanes = kernels.lanes;
    let (depth, width) = blocks(kernels, n, k);
    // SAFETY: parts of the scratch memory.
    let (strip, tile, panels) = unsafe {
        let tile = scratch.add(depth * MOST_ROWS);
        (scratch, tile, tile.add(MOST_ROWS * WIDTH * lanes))
    };
    let direct = b.column == 1 && (m <= 2 * kernels.rows || (0..=(NEAR / size_of::<T>()) as isize).contains(&b.row));
    let strips = m.div_ceil(kernels.rows);
    let mut first_k = 0;
    while first_k < k || first_k == 0 {
        let k = depth.min(k - first_k);
        let add = p.add || first_k > 0;
        for first_n in (0..n).step_by(width * lanes) {
            let n = (width * lanes).min(n - first_n);
            let vectors = n.div_ceil(lanes);
            let count = vectors.div_ceil(kernels.width);
            let panel = |i: usize| part(vectors, i, count);
            // SAFETY: inside the matrices and the scratch memory.
            unsafe {
                let (b, c) = (b.from(first_k, first_n), c.from(0, first_n));
                let packed = |i: usize| !direct || panel(i).end * lanes > n;
                // Rows that are contiguous are read a few at a time, in full length.
                let stretch = if b.column == 1 { STRETCH } else { k.max(1) };
                for row in (0..k).step_by(stretch) {
                    let rows = stretch.min(k - row);
                    for i in (0..count).filter(|&i| packed(i)) {
                        let columns = panel(i);
                        let (start, stride) = (columns.start * lanes, columns.len() * lanes);
                        let from = b.from(row, start).first;
                        let columns = stride.min(n - start);
                        let source = Source { from, rows, columns, row: b.row, column: b.column };
                        (kernels.pack)(&source, panels.add(start * k + row * stride), stride);
                    }
                }
                let meet = |a: Matrix<T>, rows: Range<usize>, j: usize| {
                    let columns = panel(j);
                    let (start, stride) = (columns.start * lanes, columns.len() * lanes);
                    let (b, b_row) = match packed(j) {
                        true => (panels.add(start * k), stride as isize),
                        false => (b.from(0, start).first, b.row),
                    };
                    let c = c.from(rows.start, start);
                    let columns_of_c = stride.min(n - start);
                    let last = columns_of_c - (stride - lanes);
                    let kernel = kernels.tiles[rows.len() - 1][columns.len() - 1];
                    let (a, a_row, a_column) = (a.first, a.row, a.column);
                    if c.column == 1 {
                        let (c, c_row) = (c.first, c.row);
                        kernel(&Tile { k, a, a_row, a_column, b, b_row, c, c_row, last, add });
                    } else {
                        let c_row = stride as isize;
                        kernel(&Tile { k, a, a_row, a_column, b, b_row, c: tile, c_row, last, add: false });
                        scatter(tile, stride, rows.len(), columns_of_c, c, add);
                    }
                };
                if a.column == 1 {
                    // A panel stays in the first-level cache while all strips pass.
                    for j in 0..count {
                        for rows in (0..strips).map(|i| part(m, i, strips)) {
                            meet(a.from(rows.start, first_k), rows, j);
                        }
                    }
                } else {
                    for rows in (0..strips).map(|i| part(m, i, strips)) {
                        let Matrix { first, row, column } = a.from(rows.start, first_k);
                        let source = Source { from: first, rows: k, columns: rows.len(), row: column, column: row };
                        (kernels.pack)(&source, strip, rows.len());
                        let a = Matrix { first: strip, row: 1, column: rows.len() as isize };
                        (0..count).for_each(|j| meet(a, rows.clone(), j));
                    }
                }
            }
        }
        first_k += depth;
    }
}

/// Copies or adds a row-major tile to where the elements of a matrix lie.
///
/// # Safety
/// The matrix has so many rows and columns, the tile too.
unsafe fn scatter<T: Real>(tile: *const T, stride: usize, rows: usize, columns: usize, c: Matrix<T>, add: bool) {
    for i in 0..rows {
        for j in 0..columns {
            // SAFETY: as the caller says.
            unsafe {
                let (to, x) = (c.from(i, j).first, *tile.add(i * stride + j));
                *to = if add { *to + x } else { x };
            }
        }
    }
}
