//! Microkernels: a tile of the product in registers, and packing in the order in which they read.

use super::lanes::Lanes;

/// Most vectors in a row of a tile on any processor.
pub(in crate::cpu) const WIDTH: usize = 3;
/// Most rows of a tile on any processor.
pub(in crate::cpu) const MOST_ROWS: usize = 8;

/// A tile of a product: `c[i, j] = Σ a[i, p] b[p, j]`.
///
/// Rows of `b` are read in whole vectors, side by side; `c` is row-major.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Tile<T> {
    pub k: usize,
    pub a: *const T,
    pub a_row: isize,
    pub a_column: isize,
    pub b: *const T,
    pub b_row: isize,
    pub c: *mut T,
    pub c_row: isize,
    /// How many columns of the last vector belong to `c`.
    pub last: usize,
    /// Whether to add to `c`.
    pub add: bool,
}

/// A tile of a convolution's result: `c[i, j] = Σ a[i, p] b[offsets[p] + j]`, the sum over channels and taps.
///
/// Each vector of columns lies somewhere else: it has a `b` and a `c` of its own.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Taps<T> {
    pub k: usize,
    pub a: *const T,
    pub a_row: isize,
    pub offsets: *const usize,
    pub b: [*const T; WIDTH],
    pub c: [*mut T; WIDTH],
    pub c_row: isize,
    /// Whether to add to `c`.
    pub add: bool,
}

/// A tile of a convolution's derivative by the weights: `c[i, j] += Σ a[rows[i] + lines[l] + x] b[l, x, j]`, the sum over
/// the positions `x` of some lines.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Lines<T> {
    /// The first position of each line.
    pub lines: *const usize,
    pub count: usize,
    /// Positions of a line.
    pub len: usize,
    pub a: *const T,
    pub rows: *const usize,
    pub b: *const T,
    pub c: *mut T,
    pub c_row: isize,
    /// How many columns of the last vector belong to `c`.
    pub last: usize,
}

/// A block of a matrix that is copied into panels.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Source<T> {
    pub from: *const T,
    /// Rows follow one another in the panel.
    pub rows: usize,
    pub columns: usize,
    pub row: isize,
    pub column: isize,
}

/// `Σ x[p] w[i, p]` for the rows of a matrix: `c[i * c_stride]`.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Dots<T> {
    pub n: usize,
    pub k: usize,
    pub x: *const T,
    pub w: *const T,
    pub w_row: isize,
    pub c: *mut T,
    pub c_stride: isize,
    pub add: bool,
}

/// The microkernels of an element type for an instruction set.
pub(in crate::cpu) struct Kernels<T: 'static> {
    /// Numbers in a vector.
    pub lanes: usize,
    /// Rows of a full tile, and its vectors: as many as registers hold besides what each step reads.
    pub rows: usize,
    pub width: usize,
    /// The microkernel for a tile of `i + 1` rows and `j + 1` vectors.
    pub tiles: [[unsafe fn(&Tile<T>); WIDTH]; MOST_ROWS],
    /// The same for convolutions.
    pub taps: [[unsafe fn(&Taps<T>); WIDTH]; MOST_ROWS],
    pub lines: [[unsafe fn(&Lines<T>); WIDTH]; MOST_ROWS],
    /// Copies a block to rows of `stride` numbers, with zeros behind its columns.
    pub pack: unsafe fn(&Source<T>, *mut T, usize),
    /// The products of a vector with the rows of a matrix.
    pub dots: unsafe fn(&Dots<T>),
}

/// # Safety
/// As for `Lanes`; the tile has `R` rows and `W` vectors of columns, the last in part.
#[inline(always)]
pub(super) unsafe fn tile<L: Lanes, const R: usize, const W: usize>(t: &Tile<L::Element>) {
    // SAFETY: inside the matrices, as the caller says.
    unsafe {
        let mut sums = [[L::zero(); W]; R];
        let (mut a, mut b) = (t.a, t.b);
        for _ in 0..t.k {
            let mut row = [L::zero(); W];
            for (j, vector) in row.iter_mut().enumerate() {
                *vector = L::load(b.add(j * L::LANES));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = L::splat(a.offset(i as isize * t.a_row));
                for (sum, vector) in sums.iter_mut().zip(&row) {
                    *sum = L::multiply_add(x, *vector, *sum);
                }
            }
            a = a.offset(t.a_column);
            b = b.offset(t.b_row);
        }
        for (i, sums) in sums.iter().enumerate() {
            let row = t.c.offset(i as isize * t.c_row);
            for (j, sum) in sums.iter().enumerate() {
                put::<L>(row.add(j * L::LANES), *sum, if j + 1 < W { L::LANES } else { t.last }, t.add);
            }
        }
    }
}

/// Writes the first numbers of a vector of sums.
///
/// # Safety
/// As for `Lanes`; there is room for so many.
#[inline(always)]
unsafe fn put<L: Lanes>(to: *mut L::Element, sum: L::Vector, len: usize, add: bool) {
    // SAFETY: as the caller says.
    unsafe {
        if len == L::LANES {
            L::store(to, if add { L::add(sum, L::load(to)) } else { sum });
        } else {
            L::store_first(to, if add { L::add(sum, L::load_first(to, len)) } else { sum }, len);
        }
    }
}

/// # Safety
/// As for `Lanes`; the tile has `R` rows and `W` vectors of columns.
#[inline(always)]
pub(super) unsafe fn taps<L: Lanes, const R: usize, const W: usize>(t: &Taps<L::Element>) {
    // SAFETY: inside the tensors, as the caller says.
    unsafe {
        let mut sums = [[L::zero(); W]; R];
        let (mut a, b) = (t.a, t.b);
        for p in 0..t.k {
            let offset = *t.offsets.add(p);
            let mut row = [L::zero(); W];
            for (vector, b) in row.iter_mut().zip(&b) {
                *vector = L::load(b.add(offset));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let x = L::splat(a.offset(i as isize * t.a_row));
                for (sum, vector) in sums.iter_mut().zip(&row) {
                    *sum = L::multiply_add(x, *vector, *sum);
                }
            }
            a = a.add(1);
        }
        for (i, sums) in sums.iter().enumerate() {
            for (sum, c) in sums.iter().zip(&t.c) {
                put::<L>(c.offset(i as isize * t.c_row), *sum, L::LANES, t.add);
            }
        }
    }
}

/// # Safety
/// As for `Lanes`; the tile has `R` rows and `W` vectors of columns, the last in part; rows of `b` are as wide.
#[inline(always)]
pub(super) unsafe fn lines<L: Lanes, const R: usize, const W: usize>(t: &Lines<L::Element>) {
    // SAFETY: inside the tensors, as the caller says.
    unsafe {
        let mut sums = [[L::zero(); W]; R];
        let mut rows = [t.a; R];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = t.a.add(*t.rows.add(i));
        }
        let mut b = t.b;
        for l in 0..t.count {
            let first = *t.lines.add(l);
            for x in first..first + t.len {
                let mut row = [L::zero(); W];
                for (j, vector) in row.iter_mut().enumerate() {
                    *vector = L::load(b.add(j * L::LANES));
                }
                for (sums, from) in sums.iter_mut().zip(&rows) {
                    let x = L::splat(from.add(x));
                    for (sum, vector) in sums.iter_mut().zip(&row) {
                        *sum = L::multiply_add(x, *vector, *sum);
                    }
                }
                b = b.add(W * L::LANES);
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let row = t.c.offset(i as isize * t.c_row);
            for (j, sum) in sums.iter().enumerate() {
                put::<L>(row.add(j * L::LANES), *sum, if j + 1 < W { L::LANES } else { t.last }, true);
            }
        }
    }
}

/// # Safety
/// As for `Lanes`; the block is valid, and so are `stride` numbers for each of its rows.
#[inline(always)]
pub(super) unsafe fn pack<L: Lanes>(block: &Source<L::Element>, to: *mut L::Element, stride: usize) {
    let Source { from, rows, columns, row, column } = *block;
    // SAFETY: inside the block and the panel, as the caller says.
    unsafe {
        let whole = columns / L::LANES;
        if column == 1 && columns == 8 && stride == 8 {
            // A strip of full height.
            for i in 0..rows {
                std::ptr::copy_nonoverlapping(from.offset(i as isize * row), to.add(i * 8), 8);
            }
            return;
        }
        if column == 1 {
            let rest = columns - whole * L::LANES;
            for i in 0..rows {
                let (from, to) = (from.offset(i as isize * row), to.add(i * stride));
                for j in 0..whole {
                    L::store(to.add(j * L::LANES), L::load(from.add(j * L::LANES)));
                }
                let mut filled = whole * L::LANES;
                if rest > 0 && stride - filled >= L::LANES {
                    L::store(to.add(filled), L::load_first(from.add(filled), rest));
                    filled += L::LANES;
                } else if rest > 0 {
                    L::store_first(to.add(filled), L::load_first(from.add(filled), rest), rest);
                    filled += rest;
                }
                for j in filled..stride {
                    *to.add(j) = zero::<L>();
                }
            }
            return;
        }
        let sides = if row == 1 { (rows / L::SIDE * L::SIDE, columns / L::SIDE * L::SIDE) } else { (0, 0) };
        // Short stretches of rows, so that what is written of them stays in the first-level cache.
        for first in (0..sides.0).step_by(STRETCH) {
            let end = sides.0.min(first + STRETCH);
            for j in (0..sides.1).step_by(L::SIDE) {
                for i in (first..end).step_by(L::SIDE) {
                    L::transpose(from.offset(i as isize + j as isize * column), column, to.add(i * stride + j), stride);
                }
            }
        }
        for i in 0..rows {
            let (from, to) = (from.offset(i as isize * row), to.add(i * stride));
            for j in if i < sides.0 { sides.1 } else { 0 }..columns {
                *to.add(j) = *from.offset(j as isize * column);
            }
            for j in columns..stride {
                *to.add(j) = zero::<L>();
            }
        }
    }
}

/// Rows that are transposed at a time.
const STRETCH: usize = 64;

/// # Safety
/// As for `Lanes`.
#[inline(always)]
unsafe fn zero<L: Lanes>() -> L::Element {
    // SAFETY: a vector begins with its first number.
    unsafe { std::mem::transmute_copy(&L::zero()) }
}

/// # Safety
/// As for `Lanes`; the vectors and the matrix are valid.
#[inline(always)]
pub(super) unsafe fn dots<L: Lanes>(d: &Dots<L::Element>)
where
    L::Element: std::ops::Add<Output = L::Element>,
{
    const TOGETHER: usize = 8;
    // SAFETY: as the caller says.
    unsafe {
        let mut i = 0;
        while i + TOGETHER <= d.n {
            some_dots::<L, TOGETHER>(d, i);
            i += TOGETHER;
        }
        while i < d.n {
            some_dots::<L, 1>(d, i);
            i += 1;
        }
    }
}

/// # Safety
/// As for `dots`, for `R` rows from `first`.
#[inline(always)]
unsafe fn some_dots<L: Lanes, const R: usize>(d: &Dots<L::Element>, first: usize)
where
    L::Element: std::ops::Add<Output = L::Element>,
{
    // SAFETY: as the caller says.
    unsafe {
        let w = d.w.offset(first as isize * d.w_row);
        let mut sums = [L::zero(); R];
        let mut p = 0;
        while p + L::LANES <= d.k {
            let x = L::load(d.x.add(p));
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = L::multiply_add(L::load(w.offset(i as isize * d.w_row).add(p)), x, *sum);
            }
            p += L::LANES;
        }
        if p < d.k {
            let x = L::load_first(d.x.add(p), d.k - p);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = L::multiply_add(L::load_first(w.offset(i as isize * d.w_row).add(p), d.k - p), x, *sum);
            }
        }
        for (i, &sum) in sums.iter().enumerate() {
            let mut parts = [zero::<L>(); 16];
            L::store(parts.as_mut_ptr(), sum);
            let mut half = L::LANES / 2;
            while half > 0 {
                for j in 0..half {
                    parts[j] = parts[j] + parts[j + half];
                }
                half /= 2;
            }
            let to = d.c.offset((first + i) as isize * d.c_stride);
            *to = if d.add { *to + parts[0] } else { parts[0] };
        }
    }
}
