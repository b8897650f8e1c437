//! What happens to a tile before and after its products. Tiles that are neighbours in a row are the lanes of a vector;
//! number (i, j) of all transformed tiles is a matrix of its own, a row for each channel.

use crate::kernel::cpu::gemm::{Lanes, OnLanes};
use crate::kernel::cpu::math::Real;
use std::ops::Range;

/// Numbers along a side of a transformed tile.
const SIDE: usize = 4;
/// Numbers of a transformed tile.
pub(super) const NUMBERS: usize = SIDE * SIDE;
/// Results along a side of a tile.
pub(super) const RESULTS: usize = 2;
/// Taps of a kernel.
pub(super) const TAPS: usize = 9;
/// No vector has more lanes.
const MOST_LANES: usize = 16;

/// Some rows of tiles, all images together, as columns of the matrices.
#[derive(Clone)]
pub(super) struct Block {
    pub rows: Range<usize>,
    /// Rows and columns of tiles in an image.
    pub tiles: [usize; 2],
}

/// The rows of tiles of a block that lie in one image.
struct Segment {
    image: usize,
    first: usize,
    rows: usize,
    /// The first column of the matrices.
    column: usize,
}

impl Block {
    pub fn columns(&self) -> usize {
        self.rows.len() * self.tiles[1]
    }

    fn segments(&self) -> impl Iterator<Item = Segment> {
        let Block { rows, tiles } = self.clone();
        let mut next = rows.start;
        std::iter::from_fn(move || {
            let (image, first) = (next / tiles[0], next % tiles[0]);
            let count = (tiles[0] - first).min(rows.end - next);
            let segment = Segment { image, first, rows: count, column: (next - rows.start) * tiles[1] };
            next += count;
            (count > 0).then_some(segment)
        })
    }
}

/// The planes of a tensor of channels.
#[derive(Clone, Copy)]
pub(super) struct Planes<T> {
    pub first: *mut T,
    /// Channels of an image.
    pub channels: usize,
    /// Rows and columns.
    pub size: [usize; 2],
}

// SAFETY: addresses; whoever uses them vouches for the memory behind them.
unsafe impl<T> Sync for Planes<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Matrices<T> {}

impl<T> Planes<T> {
    fn plane(&self, image: usize, channel: usize) -> *mut T {
        self.first.wrapping_add((image * self.channels + channel) * self.size[0] * self.size[1])
    }
}

/// The matrices of transformed tiles.
#[derive(Clone, Copy)]
pub(super) struct Matrices<T> {
    pub first: *mut T,
    /// Elements between rows, and between matrices.
    pub row: usize,
    pub matrix: usize,
}

impl<T> Matrices<T> {
    fn at(&self, row: usize, column: usize) -> *mut T {
        self.first.wrapping_add(row * self.row + column)
    }
}

/// Transforms the tiles of some channels: Bᵀ d B of 4×4 numbers of the image, or A d Aᵀ of 2×2 of the derivative.
pub(super) struct Spread<'a, T, const DERIVATIVE: bool> {
    pub from: Planes<T>,
    pub channels: Range<usize>,
    /// Zeros before the first row and column, fewer than none where the first ones are not seen.
    pub before: [isize; 2],
    pub block: &'a Block,
    pub to: Matrices<T>,
    /// Memory for `lines` elements.
    pub lines: *mut T,
}

/// Elements of memory that `Spread` uses for blocks of so many rows and columns of tiles.
pub(super) fn lines(rows: usize, columns: usize, lanes: usize) -> usize {
    RESULTS * SIDE * line(rows, columns, lanes)
}

/// Elements of all half transformed rows of a plane that are even, or odd; vectors may reach beyond.
fn line(rows: usize, columns: usize, lanes: usize) -> usize {
    ((rows + 1) * columns).next_multiple_of(lanes) + lanes
}

impl<T: Real, const DERIVATIVE: bool> OnLanes<T> for Spread<'_, T, DERIVATIVE> {
    #[inline(always)]
    unsafe fn run<L: Lanes<Element = T>>(self) {
        let columns = self.block.tiles[1];
        let line = line(self.block.rows.len(), columns, L::LANES);
        let more = if DERIVATIVE { 0 } else { 2 };
        // SAFETY: inside the tensors and the memory, as the caller says.
        unsafe {
            for channel in self.channels.clone() {
                for segment in self.block.segments() {
                    let plane = self.from.plane(segment.image, channel);
                    for row in 0..RESULTS * segment.rows + more {
                        let y = (RESULTS * segment.first + row) as isize - self.before[0];
                        let to = self.lines.add(row % 2 * SIDE * line + row / 2 * columns);
                        if y < 0 || y >= self.from.size[0] as isize {
                            for j in 0..SIDE {
                                std::slice::from_raw_parts_mut(to.add(j * line), columns).fill(T::ZERO);
                            }
                        } else {
                            self.half::<L>(plane.offset(y * self.from.size[1] as isize), to, line);
                        }
                    }
                    let to = self.to.at(channel, segment.column);
                    let count = segment.rows * columns;
                    for t in (0..count).step_by(L::LANES) {
                        for j in 0..SIDE {
                            let from = self.lines.add(j * line + t);
                            let odd = from.add(SIDE * line);
                            let [a, b] = [L::load(from), L::load(odd)];
                            let [c, d] = [L::load(from.add(columns)), L::load(odd.add(columns))];
                            for (i, x) in along::<L, DERIVATIVE>([a, b, c, d]).into_iter().enumerate() {
                                put::<L>(to.add((i * SIDE + j) * self.to.matrix + t), x, count - t);
                            }
                        }
                    }
                }
            }
        }
    }
}

impl<T: Real, const DERIVATIVE: bool> Spread<'_, T, DERIVATIVE> {
    /// One row of the image, transformed along its columns.
    #[inline(always)]
    unsafe fn half<L: Lanes<Element = T>>(&self, from: *const T, to: *mut T, line: usize) {
        let width = self.from.size[1] as isize;
        // SAFETY: inside the row and the memory; what vectors write beyond the row is written again or not read.
        unsafe {
            for t in (0..self.block.tiles[1]).step_by(L::LANES) {
                let first = (RESULTS * t) as isize - self.before[1];
                let (a, b) = pairs::<L>(from, first, width);
                let (c, d) = pairs::<L>(from, first + RESULTS as isize, width);
                for (j, x) in along::<L, DERIVATIVE>([a, b, c, d]).into_iter().enumerate() {
                    L::store(to.add(j * line + t), x);
                }
            }
        }
    }
}

/// Numbers at even and at odd places of a row from a place on, and zeros outside of the row.
#[inline(always)]
unsafe fn pairs<L: Lanes>(row: *const L::Element, first: isize, width: isize) -> (L::Vector, L::Vector) {
    // SAFETY: as the caller says.
    unsafe {
        let lanes = L::LANES as isize;
        if first >= 0 && first + 2 * lanes <= width {
            let from = row.offset(first);
            return L::unzip(L::load(from), L::load(from.offset(lanes)));
        }
        L::unzip(inside::<L>(row, first, width), inside::<L>(row, first + lanes, width))
    }
}

/// A vector of a row from a place on, with zeros outside of the row.
#[inline(always)]
unsafe fn inside<L: Lanes>(row: *const L::Element, first: isize, width: isize) -> L::Vector {
    let low = (-first).clamp(0, L::LANES as isize);
    let high = (width - first).clamp(low, L::LANES as isize);
    // SAFETY: as the caller says.
    unsafe { L::load_between(row.wrapping_offset(first), low.unsigned_abs()..high.unsigned_abs()) }
}

/// Along one axis: Bᵀ of four numbers, or A of the first two.
#[inline(always)]
unsafe fn along<L: Lanes, const DERIVATIVE: bool>([a, b, c, d]: [L::Vector; SIDE]) -> [L::Vector; SIDE] {
    // SAFETY: as the caller says.
    unsafe {
        match DERIVATIVE {
            true => [a, L::add(a, b), L::sub(a, b), L::sub(L::zero(), b)],
            false => [L::sub(a, c), L::add(b, c), L::sub(c, b), L::sub(b, d)],
        }
    }
}

/// Transforms tiles back to 2×2 results: Aᵀ m A.
pub(super) struct Collect<'a, T> {
    pub from: Matrices<T>,
    pub block: &'a Block,
    pub to: Planes<T>,
}

impl<T: Real> OnLanes<T> for Collect<'_, T> {
    #[inline(always)]
    unsafe fn run<L: Lanes<Element = T>>(self) {
        let [height, width] = self.to.size;
        let columns = self.block.tiles[1];
        // SAFETY: inside the matrices and the tensor, as the caller says.
        unsafe {
            for channel in 0..self.to.channels {
                for segment in self.block.segments() {
                    let plane = self.to.plane(segment.image, channel);
                    for row in 0..segment.rows {
                        let from = self.from.at(channel, segment.column + row * columns);
                        let y = RESULTS * (segment.first + row);
                        for t in (0..columns).step_by(L::LANES) {
                            let mut down = [[L::zero(); RESULTS]; SIDE];
                            for (j, down) in down.iter_mut().enumerate() {
                                let mut x = [L::zero(); SIDE];
                                for (i, x) in x.iter_mut().enumerate() {
                                    *x = L::load(from.add((i * SIDE + j) * self.from.matrix + t));
                                }
                                *down = back::<L>(x);
                            }
                            let [a, b, c, d] = down;
                            for i in 0..RESULTS.min(height - y) {
                                let [even, odd] = back::<L>([a[i], b[i], c[i], d[i]]);
                                let (low, high) = L::zip(even, odd);
                                let (to, left) = (plane.add((y + i) * width + RESULTS * t), width - RESULTS * t);
                                put::<L>(to, low, left);
                                if left > L::LANES {
                                    put::<L>(to.add(L::LANES), high, left - L::LANES);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Aᵀ along one axis.
#[inline(always)]
unsafe fn back<L: Lanes>([a, b, c, d]: [L::Vector; SIDE]) -> [L::Vector; RESULTS] {
    // SAFETY: as the caller says.
    unsafe { [L::add(a, L::add(b, c)), L::sub(L::sub(b, c), d)] }
}

/// Transforms kernels to tiles: G g Gᵀ.
pub(super) struct Kernels<T> {
    pub from: *const T,
    /// Whether taps are in reverse.
    pub reverse: bool,
    pub rows: Range<usize>,
    pub columns: usize,
    pub to: Matrices<T>,
}

impl<T: Real> OnLanes<T> for Kernels<T> {
    #[inline(always)]
    unsafe fn run<L: Lanes<Element = T>>(self) {
        // SAFETY: inside the tensor and the matrices, as the caller says.
        unsafe {
            let mut taps = [[T::ZERO; MOST_LANES]; TAPS];
            for row in self.rows.clone() {
                for column in (0..self.columns).step_by(L::LANES) {
                    let left = self.columns - column;
                    for lane in 0..left.min(L::LANES) {
                        let from = self.from.add((row * self.columns + column + lane) * TAPS);
                        for (tap, lanes) in taps.iter_mut().enumerate() {
                            lanes[lane] = *from.add(if self.reverse { TAPS - 1 - tap } else { tap });
                        }
                    }
                    let to = self.to.at(row, column);
                    let mut down = [[L::zero(); 3]; SIDE];
                    for j in 0..3 {
                        let [a, b, c] = [&taps[j], &taps[3 + j], &taps[6 + j]];
                        let x = kernel::<L>([L::load(a.as_ptr()), L::load(b.as_ptr()), L::load(c.as_ptr())]);
                        for (i, x) in x.into_iter().enumerate() {
                            down[i][j] = x;
                        }
                    }
                    for (i, x) in down.into_iter().enumerate() {
                        for (j, x) in kernel::<L>(x).into_iter().enumerate() {
                            put::<L>(to.add((i * SIDE + j) * self.to.matrix), x, left);
                        }
                    }
                }
            }
        }
    }
}

/// Adds sums of products and transforms them to the derivative by the kernels: Gᵀ m G.
pub(super) struct Sums<T> {
    pub from: Matrices<T>,
    /// How many sums there are, one behind the other.
    pub count: usize,
    pub rows: Range<usize>,
    pub columns: usize,
    pub to: *mut T,
}

impl<T: Real> OnLanes<T> for Sums<T> {
    #[inline(always)]
    unsafe fn run<L: Lanes<Element = T>>(self) {
        // SAFETY: inside the matrices and the tensor, as the caller says.
        unsafe {
            let mut taps = [[T::ZERO; MOST_LANES]; TAPS];
            for row in self.rows.clone() {
                for column in (0..self.columns).step_by(L::LANES) {
                    let left = self.columns - column;
                    let from = self.from.at(row, column);
                    let mut down = [[L::zero(); 3]; SIDE];
                    for (j, down) in down.iter_mut().enumerate() {
                        let mut x = [L::zero(); SIDE];
                        for (i, x) in x.iter_mut().enumerate() {
                            for copy in 0..self.count {
                                let number = copy * NUMBERS + i * SIDE + j;
                                *x = L::add(*x, get::<L>(from.add(number * self.from.matrix), left));
                            }
                        }
                        *down = gradient::<L>(x);
                    }
                    let [a, b, c, d] = down;
                    for i in 0..3 {
                        let x = gradient::<L>([a[i], b[i], c[i], d[i]]);
                        for (j, x) in x.into_iter().enumerate() {
                            L::store(taps[3 * i + j].as_mut_ptr(), x);
                        }
                    }
                    let to = self.to.add((row * self.columns + column) * TAPS);
                    for lane in 0..left.min(L::LANES) {
                        for (tap, lanes) in taps.iter().enumerate() {
                            *to.add(lane * TAPS + tap) = lanes[lane];
                        }
                    }
                }
            }
        }
    }
}

/// G along one axis.
#[inline(always)]
unsafe fn kernel<L: Lanes>([a, b, c]: [L::Vector; 3]) -> [L::Vector; SIDE]
where
    L::Element: Real,
{
    // SAFETY: as the caller says.
    unsafe {
        let half = L::splat(&L::Element::from_f64(0.5));
        let middle = L::multiply_add(half, b, L::zero());
        let outer = L::multiply_add(half, L::add(a, c), L::zero());
        [a, L::add(outer, middle), L::sub(outer, middle), c]
    }
}

/// Gᵀ along one axis.
#[inline(always)]
unsafe fn gradient<L: Lanes>([a, b, c, d]: [L::Vector; SIDE]) -> [L::Vector; 3]
where
    L::Element: Real,
{
    // SAFETY: as the caller says.
    unsafe {
        let half = L::splat(&L::Element::from_f64(0.5));
        let (sum, difference) = (L::add(b, c), L::sub(b, c));
        let middle = L::multiply_add(half, difference, L::zero());
        [L::multiply_add(half, sum, a), middle, L::multiply_add(half, sum, d)]
    }
}

/// A vector, or its first `left` numbers and zeros.
#[inline(always)]
unsafe fn get<L: Lanes>(from: *const L::Element, left: usize) -> L::Vector {
    // SAFETY: as the caller says.
    unsafe { if left >= L::LANES { L::load(from) } else { L::load_first(from, left) } }
}

/// Writes a vector, or its first `left` numbers.
#[inline(always)]
unsafe fn put<L: Lanes>(to: *mut L::Element, x: L::Vector, left: usize) {
    // SAFETY: as the caller says.
    unsafe { if left >= L::LANES { L::store(to, x) } else { L::store_first(to, x, left) } }
}
