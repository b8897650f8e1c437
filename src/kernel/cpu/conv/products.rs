//! Convolutions as products with columns, written block by block: no more of them than stays in the second-level cache.

use super::columns::Image;
use super::{Group, Run, bytes};
use crate::conv::{Convolution, Pass, Phase};
use crate::cpu::gemm::{Kernels, Matrix, Product, memory, multiply};
use crate::cpu::math::Real;
use crate::cpu::parallel::part;
use std::ops::Range;

/// Bytes of a row of a block of columns.
const ROW: usize = 1024;
/// Bytes between rows, so that those of a panel do not share the same few lines of the first-level cache; `multiply` reads
/// rows so near where they lie.
const GAP: usize = 64;
/// Rows of a block of columns, in bytes of one column: as deep as the blocks of `multiply`.
const DEPTH: usize = 2048;

/// The sizes of blocks.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    /// Columns of a block, in elements, and most rows of one.
    width: usize,
    depth: usize,
    /// Elements from one row of a block to the next.
    pitch: usize,
    /// Bytes of a block, of a tile of results, and of memory for products.
    sizes: [usize; 3],
}

impl Blocks {
    pub fn new<T: Real>(work: &Convolution, kernels: &Kernels<T>) -> Self {
        let positions = |phase: &Phase| work.batch * phase.grid[0] * phase.grid[1];
        let most = work.phases.iter().map(positions).max().unwrap_or(0).max(1);
        let width = (ROW / size_of::<T>()).min(most.next_multiple_of(kernels.lanes));
        let [channels, results] = work.channels();
        let taps = work.phases.iter().map(|phase| phase.taps.len()).max().unwrap_or(0);
        let depth = (DEPTH / size_of::<T>()).min(channels * taps).max(1);
        // Products of fewer rows may have one vector more in a block.
        let (n, k) = if work.pass == Pass::Weight { (work.outputs, width) } else { (width, depth) };
        let pitch = width + GAP / size_of::<T>();
        let sizes = [depth * pitch, results * width, memory(kernels, n, k) + k * kernels.lanes].map(bytes::<T>);
        Blocks { width, depth, pitch, sizes }
    }

    /// Bytes that a thread needs.
    pub fn memory(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// A thread's columns, tile, and memory for products.
    fn parts<T>(&self, own: *mut u8) -> [*mut T; 3] {
        let tile = own.wrapping_add(self.sizes[0]);
        [own, tile, tile.wrapping_add(self.sizes[1])].map(|memory| memory.cast())
    }
}

impl<T: Real> Run<'_, T> {
    /// The next block of columns, not beyond `end`: inside one image where images have many positions.
    fn block(&self, width: usize, first: usize, end: usize, positions: usize) -> Range<usize> {
        if 2 * positions < width {
            return first..end.min(first + width);
        }
        let left = (positions - first % positions).min(end - first);
        let equal = left.div_ceil(left.div_ceil(width)).next_multiple_of(self.plan.kernels.lanes);
        first..first + left.min(equal).min(width)
    }

    /// A thread's share of columns, in whole vectors.
    fn columns(&self, all: usize, thread: usize) -> Range<usize> {
        let lanes = self.plan.kernels.lanes;
        let vectors = part(all.div_ceil(lanes), thread, self.plan.threads);
        (vectors.start * lanes).min(all)..(vectors.end * lanes).min(all)
    }

    /// A thread's share of a group of `Forward` or `Data`.
    ///
    /// # Safety
    /// As for the launch.
    pub(super) unsafe fn products(&self, blocks: Blocks, group: &Group<T>, thread: usize) {
        let Group { number, phase, source, weights, to } = *group;
        let Convolution { conv, batch, .. } = *self.work;
        let [channels, results] = self.work.channels();
        let [block_memory, tile, memory] = blocks.parts(self.own(thread));
        let depth = channels * phase.taps.len();
        let positions = phase.grid[0] * phase.grid[1];
        let all = batch * positions;
        let (columns, rows) = if all < 2 * self.plan.threads * self.plan.kernels.lanes {
            (0..all, part(results, thread, self.plan.threads))
        } else {
            (self.columns(all, thread), 0..results)
        };
        let plane = to[0] * to[1];
        // Positions of the grid are those of the result, in order.
        let in_order = phase.grid == to;
        let untouched = conv.kernel == [1, 1] && source.step == [1, 1] && in_order && source.size == to;
        let mut next = columns.start;
        while next < columns.end && !rows.is_empty() {
            let block = self.block(blocks.width, next, columns.end, positions);
            next = block.end;
            let (image, inside) = (block.start / positions, block.start % positions);
            let in_place = in_order && inside + block.len() <= positions;
            let result = self.y.wrapping_add((image * conv.groups + number) * results * plane + inside);
            let c = match in_place {
                true => Matrix { first: result, row: plane as isize, column: 1 },
                false => Matrix { first: tile, row: block.len() as isize, column: 1 },
            };
            let mut first = 0;
            while first < depth || first == 0 {
                let k = blocks.depth.min(depth - first);
                // SAFETY: inside the tensors and the scratch memory.
                unsafe {
                    let b = if untouched && in_place {
                        let from = source.plane(image, first).wrapping_add(inside).cast_mut();
                        Matrix { first: from, row: plane as isize, column: 1 }
                    } else {
                        source.columns(phase, first..first + k, block.clone(), block_memory, blocks.pitch);
                        Matrix { first: block_memory, row: blocks.pitch as isize, column: 1 }
                    };
                    let a = weights.from(rows.start, first);
                    let c = c.from(rows.start, 0);
                    let p = Product { m: rows.len(), n: block.len(), k, a, b, c, add: first > 0 };
                    multiply(self.plan.kernels, &p, memory);
                }
                first += k.max(1);
            }
            if !in_place {
                // SAFETY: as above.
                unsafe { self.put(group, rows.clone(), block, tile) };
            }
        }
    }

    /// Copies a tile, a row of positions for each of some channels, to where they lie in the result.
    unsafe fn put(&self, group: &Group<T>, rows: Range<usize>, block: Range<usize>, tile: *const T) {
        let Group { number, phase, to, .. } = *group;
        let conv = &self.work.conv;
        let [_, results] = self.work.channels();
        let step = if self.work.pass == Pass::Forward { [1, 1] } else { conv.stride };
        let [height, width] = phase.grid;
        for row in rows {
            let mut from = tile.wrapping_add(row * block.len());
            let mut position = block.start;
            while position < block.end {
                let (image, y, x) = (position / (height * width), position / width % height, position % width);
                let len = (width - x).min(block.end - position);
                let plane = (image * conv.groups + number) * results + row;
                let line = (plane * to[0] + phase.first[0] + y * step[0]) * to[1] + phase.first[1] + x * step[1];
                // SAFETY: inside the result and the tile.
                unsafe {
                    let line = self.y.add(line);
                    if step[1] == 1 {
                        std::ptr::copy_nonoverlapping(from, line, len);
                    } else {
                        (0..len).for_each(|i| *line.add(i * step[1]) = *from.add(i));
                    }
                }
                from = from.wrapping_add(len);
                position += len;
            }
        }
    }
    /// A thread's share of a group of `Weight`: the columns of its positions, or some rows of those of all positions.
    ///
    /// # Safety
    /// As for the launch; the sums are the thread's own.
    pub(super) unsafe fn sum_products(
        &self,
        blocks: Blocks,
        group: usize,
        source: Image<T>,
        sums: *mut T,
        rows: Range<usize>,
        thread: usize,
    ) {
        let Convolution { conv, batch, outputs, count, .. } = *self.work;
        let phase = &self.work.phases[0];
        let positions = count[0] * count[1];
        let all = batch * positions;
        let columns = if self.plan.own_weights { self.columns(all, thread) } else { 0..all };
        let [block_memory, tile, memory] = blocks.parts(self.own(thread));
        let mut next = columns.start;
        while next < columns.end {
            let block = self.block(blocks.width, next, columns.end, positions);
            next = block.end;
            let k = block.len();
            let (image, inside) = (block.start / positions, block.start % positions);
            let channel = (image * conv.groups + group) * outputs;
            // SAFETY: inside the tensors and the scratch memory.
            unsafe {
                let b = if inside + k > positions {
                    self.take(group, block.clone(), positions, tile);
                    Matrix { first: tile, row: 1, column: k as isize }
                } else {
                    let first = self.b.add(channel * positions + inside).cast_mut();
                    Matrix { first, row: 1, column: positions as isize }
                };
                for first in rows.clone().step_by(blocks.depth) {
                    let m = blocks.depth.min(rows.end - first);
                    source.columns(phase, first..first + m, block.clone(), block_memory, blocks.pitch);
                    let a = Matrix { first: block_memory, row: blocks.pitch as isize, column: 1 };
                    let c = Matrix { first: sums.add(first * outputs), row: outputs as isize, column: 1 };
                    let p = Product { m, n: outputs, k, a, b, c, add: true };
                    multiply(self.plan.kernels, &p, memory);
                }
            }
        }
    }

    /// Copies the derivative by the result of some positions of several images: a row for each channel.
    unsafe fn take(&self, group: usize, block: Range<usize>, positions: usize, tile: *mut T) {
        let Convolution { conv, outputs, .. } = *self.work;
        for o in 0..outputs {
            let mut to = tile.wrapping_add(o * block.len());
            let mut position = block.start;
            while position < block.end {
                let (image, inside) = (position / positions, position % positions);
                let len = (positions - inside).min(block.end - position);
                let channel = (image * conv.groups + group) * outputs + o;
                // SAFETY: inside the tensor and the tile.
                unsafe { std::ptr::copy_nonoverlapping(self.b.add(channel * positions + inside), to, len) };
                to = to.wrapping_add(len);
                position += len;
            }
        }
    }
}
