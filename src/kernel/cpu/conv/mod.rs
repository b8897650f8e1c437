//! Convolutions as matrix products whose columns are read from the image block by block: no more of the columns is ever
//! written than stays in the second-level cache (Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014).
//! Groups of single channels are summed directly.

mod columns;
mod direct;

use super::gemm::{Instructions, Kernels, Matrix, Product, Source, memory, multiply};
use super::math::Real;
use super::parallel::{part, split};
use super::{Operand, Scratch};
use crate::kernel::conv::{Convolution, Pass, Phase};
use columns::Image;
use std::ops::Range;

/// Bytes of a row of a block of columns.
const ROW: usize = 1024;
/// Bytes between rows, so that those of a panel do not share the same few lines of the first-level cache; `multiply` reads
/// rows so near where they lie.
const GAP: usize = 64;
/// Rows of a block of columns, in bytes of one column: as deep as the blocks of `multiply`.
const DEPTH: usize = 2048;
/// Multiply-adds from which on a second thread helps.
const WORTH_A_FORK: usize = 1 << 19;
/// Weights of at most so many bytes are summed by each thread on its own share of the images.
const OWN_WEIGHTS: usize = 512 << 10;
/// Channels of a group, before times after, that are summed directly.
const DIRECT: usize = 2;

impl Convolution {
    fn weights_of_group(&self) -> usize {
        self.inputs * self.outputs * self.conv.kernel.iter().product::<usize>()
    }

    /// On how many threads the launch is worth dividing.
    pub(crate) fn threads(&self, most: usize) -> usize {
        let positions = self.batch * self.count[0] * self.count[1];
        let work = positions * self.weights_of_group() * self.conv.groups;
        if work < WORTH_A_FORK { 1 } else { most.max(1) }
    }

    /// The scratch memory that a launch on so many threads uses.
    pub fn scratch_bytes<T: Real>(&self, threads: usize) -> usize {
        let plan = Plan::<T>::new(self, self.threads(threads));
        plan.shared + plan.own * plan.threads
    }

    /// Runs on at most `most` threads. For equal `most` the result is always the same.
    ///
    /// # Safety
    /// The operands hold the tensors that the launch describes, aligned; the result overlaps no operand and is not used
    /// elsewhere during the call.
    pub unsafe fn launch<T: Real>(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) {
        let plan = Plan::<T>::new(self, self.threads(most));
        let memory = scratch.memory(plan.shared + plan.own * plan.threads);
        let at = |span: crate::kernel::pool::Span| operands[span.operand].pointer.cast::<T>().wrapping_add(span.offset);
        let run = Run {
            work: self,
            plan,
            a: at(self.operands[0]),
            b: at(self.operands[1]),
            y: at(self.result),
            shared: memory.cast(),
        };
        // SAFETY: as the caller says.
        unsafe {
            if self.inputs * self.outputs <= DIRECT {
                run.direct();
            } else if self.pass == Pass::Weight {
                run.weights();
            } else {
                run.images();
            }
        }
    }
}

/// Sizes of blocks and memory.
#[derive(Clone, Copy)]
struct Plan<T: 'static> {
    threads: usize,
    kernels: &'static Kernels<T>,
    /// Columns of a block, in elements, and most rows of one.
    width: usize,
    depth: usize,
    /// Elements from one row of a block to the next.
    pitch: usize,
    /// Bytes that the threads share, then those of each.
    shared: usize,
    own: usize,
    /// Elements of a thread's tile of results, behind its columns.
    tile: usize,
    /// Whether each thread sums all weights over its share of the positions.
    own_weights: bool,
}

impl<T: Real> Plan<T> {
    fn new(work: &Convolution, threads: usize) -> Self {
        let kernels = T::kernels(Instructions::best());
        let bytes = |elements: usize| (elements * size_of::<T>()).next_multiple_of(64);
        let positions = |phase: &Phase| work.batch * phase.grid[0] * phase.grid[1];
        let most = work.phases.iter().map(positions).max().unwrap_or(0).max(1);
        let width = (ROW / size_of::<T>()).min(most.next_multiple_of(kernels.lanes));
        let (channels, results) = match work.pass {
            Pass::Forward | Pass::Weight => (work.inputs, work.outputs),
            Pass::Data => (work.outputs, work.inputs),
        };
        let taps = work.phases.iter().map(|phase| phase.taps.len()).max().unwrap_or(0);
        let depth = (DEPTH / size_of::<T>()).min(channels * taps).max(1);
        // Products of fewer rows may have one vector more in a block.
        let (n, k) = if work.pass == Pass::Weight { (work.outputs, width) } else { (width, depth) };
        let weights = work.weights_of_group() * work.conv.groups;
        let own_weights = weights * size_of::<T>() <= OWN_WEIGHTS;
        let shared = match work.pass {
            Pass::Forward => 0,
            Pass::Data => weights,
            Pass::Weight => weights * if own_weights { threads } else { 1 },
        };
        let tile = results * width;
        let pitch = width + GAP / size_of::<T>();
        let own = bytes(depth * pitch) + bytes(tile) + bytes(memory(kernels, n, k) + k * kernels.lanes);
        let direct = work.inputs * work.outputs <= DIRECT;
        let (shared, own) = if direct { (0, 0) } else { (bytes(shared), own) };
        Plan { threads, kernels, width, depth, pitch, shared, own, tile, own_weights }
    }
}

/// A launch with the addresses of its tensors.
#[derive(Clone, Copy)]
struct Run<'a, T: 'static> {
    work: &'a Convolution,
    plan: Plan<T>,
    a: *const T,
    b: *const T,
    y: *mut T,
    shared: *mut T,
}

// SAFETY: threads write disjoint parts of the result and of the scratch memory.
unsafe impl<T> Send for Run<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Run<'_, T> {}

impl<T: Real> Run<'_, T> {
    /// A thread's columns, tile, and memory for products.
    fn own(&self, thread: usize) -> [*mut T; 3] {
        let bytes = |elements: usize| (elements * size_of::<T>()).next_multiple_of(64);
        let first = self.shared.cast::<u8>().wrapping_add(self.plan.shared + thread * self.plan.own);
        let tile = first.wrapping_add(bytes(self.plan.depth * self.plan.pitch));
        [first, tile, tile.wrapping_add(bytes(self.plan.tile))].map(|memory| memory.cast())
    }

    /// The next block of columns, not beyond `end`: inside one image where images have many positions.
    fn block(&self, first: usize, end: usize, positions: usize) -> Range<usize> {
        let width = self.plan.width;
        if 2 * positions < width {
            return first..end.min(first + width);
        }
        let left = (positions - first % positions).min(end - first);
        let equal = left.div_ceil(left.div_ceil(width)).next_multiple_of(self.plan.kernels.lanes);
        first..first + left.min(equal).min(width)
    }

    /// `Forward` and `Data`: weights times columns.
    unsafe fn images(&self) {
        let Convolution { pass, conv, batch, inputs, outputs, count, .. } = *self.work;
        let taps = conv.kernel[0] * conv.kernel[1];
        let forward = pass == Pass::Forward;
        let (channels, results) = if forward { (inputs, outputs) } else { (outputs, inputs) };
        let (from, to, step) = if forward { (conv.size, count, conv.stride) } else { (count, conv.size, [1, 1]) };
        let threads = self.plan.threads;
        if !forward {
            // SAFETY: the shared memory has room for all weights.
            split(threads, &|thread| unsafe { self.turn_weights(thread) });
        }
        let source = Image { from: self.a, channels: channels * conv.groups, size: from, step };
        let mut weights_before = 0;
        for phase in &self.work.phases {
            let positions = phase.grid[0] * phase.grid[1];
            let depth = channels * phase.taps.len();
            let all = batch * positions;
            let lanes = self.plan.kernels.lanes;
            let by_rows = all < 2 * threads * lanes;
            split(threads, &|thread| {
                let run: &Self = self;
                let (columns, rows) = if by_rows {
                    (0..all, part(results, thread, threads))
                } else {
                    let blocks = part(all.div_ceil(lanes), thread, threads);
                    ((blocks.start * lanes).min(all)..(blocks.end * lanes).min(all), 0..results)
                };
                for group in 0..conv.groups {
                    let first = if forward {
                        run.b.wrapping_add(group * outputs * inputs * taps)
                    } else {
                        run.shared.wrapping_add(weights_before + group * results * depth).cast_const()
                    };
                    let weights = Matrix { first: first.cast_mut(), row: depth as isize, column: 1 };
                    // SAFETY: every thread has its own columns or rows of the result.
                    unsafe { run.products(thread, phase, source, group, columns.clone(), rows.clone(), weights, to) };
                }
            });
            weights_before += conv.groups * results * depth;
        }
    }

    /// The rows and columns of one group that a thread computes.
    #[allow(clippy::too_many_arguments)]
    unsafe fn products(
        &self,
        thread: usize,
        phase: &Phase,
        source: Image<T>,
        group: usize,
        columns: Range<usize>,
        rows: Range<usize>,
        weights: Matrix<T>,
        to: [usize; 2],
    ) {
        let Convolution { pass, conv, .. } = *self.work;
        let [block_memory, tile, memory] = self.own(thread);
        let results = if pass == Pass::Forward { self.work.outputs } else { self.work.inputs };
        let channels = source.channels / conv.groups;
        let depth = channels * phase.taps.len();
        let positions = phase.grid[0] * phase.grid[1];
        let plane = to[0] * to[1];
        // Positions of the grid are those of the result, in order.
        let in_order = phase.grid == to;
        let untouched = conv.kernel == [1, 1] && source.step == [1, 1] && in_order && source.size == to;
        let mut next = columns.start;
        while next < columns.end && !rows.is_empty() {
            let block = self.block(next, columns.end, positions);
            next = block.end;
            let (image, inside) = (block.start / positions, block.start % positions);
            let in_place = in_order && inside + block.len() <= positions;
            let result = self.y.wrapping_add((image * conv.groups + group) * results * plane + inside);
            let c = match in_place {
                true => Matrix { first: result, row: plane as isize, column: 1 },
                false => Matrix { first: tile, row: block.len() as isize, column: 1 },
            };
            let mut first = 0;
            while first < depth || first == 0 {
                let k = self.plan.depth.min(depth - first);
                // SAFETY: inside the tensors and the scratch memory.
                unsafe {
                    let b = if untouched && in_place {
                        let channel = (image * source.channels + group * channels + first) * plane;
                        Matrix { first: source.from.add(channel + inside).cast_mut(), row: plane as isize, column: 1 }
                    } else {
                        let from = source.at_channel(group * channels);
                        from.columns(phase, first..first + k, block.clone(), block_memory, self.plan.pitch);
                        Matrix { first: block_memory, row: self.plan.pitch as isize, column: 1 }
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
                unsafe { self.put(phase, group, results, rows.clone(), block, tile, to) };
            }
        }
    }

    /// Copies a tile to where its positions lie in the result.
    #[allow(clippy::too_many_arguments)]
    unsafe fn put(
        &self,
        phase: &Phase,
        group: usize,
        results: usize,
        rows: Range<usize>,
        block: Range<usize>,
        tile: *const T,
        to: [usize; 2],
    ) {
        let conv = &self.work.conv;
        let step = if self.work.pass == Pass::Forward { [1, 1] } else { conv.stride };
        let [height, width] = phase.grid;
        for row in rows {
            let mut from = tile.wrapping_add(row * block.len());
            let mut position = block.start;
            while position < block.end {
                let (image, y, x) = (position / (height * width), position / width % height, position % width);
                let len = (width - x).min(block.end - position);
                let plane = (image * conv.groups + group) * results + row;
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

    /// A thread's share of the weights `[o, i, taps]` as `[i, o · taps]` for each phase and group.
    unsafe fn turn_weights(&self, thread: usize) {
        const TOGETHER: usize = 8;
        let Convolution { conv, inputs, outputs, .. } = *self.work;
        let all = conv.kernel[0] * conv.kernel[1];
        let mut before = 0;
        for phase in &self.work.phases {
            let taps = phase.taps.len();
            let in_order = taps == all;
            for group in 0..conv.groups {
                let to = self.shared.wrapping_add(before + group * inputs * outputs * taps);
                for first in part(outputs.div_ceil(TOGETHER), thread, self.plan.threads).map(|block| block * TOGETHER) {
                    for i in 0..inputs {
                        for o in first..outputs.min(first + TOGETHER) {
                            // SAFETY: inside the weights and the memory for them.
                            unsafe {
                                let from = self.b.add(((group * outputs + o) * inputs + i) * all);
                                let to = to.add((i * outputs + o) * taps);
                                if in_order {
                                    (0..taps).for_each(|tap| *to.add(tap) = *from.add(tap));
                                } else {
                                    let numbers = phase.taps.iter().map(|tap| tap.number);
                                    numbers.enumerate().for_each(|(tap, number)| *to.add(tap) = *from.add(number));
                                }
                            }
                        }
                    }
                }
            }
            before += conv.groups * inputs * outputs * taps;
        }
    }

    /// `Weight`: columns times the derivative by the result, so that the large factor is read where it lies.
    unsafe fn weights(&self) {
        let Convolution { conv, batch, inputs, outputs, count, .. } = *self.work;
        let [phase] = &*self.work.phases else { unreachable!("only transposed convolutions have several phases") };
        let positions = count[0] * count[1];
        let (all, depth) = (batch * positions, inputs * phase.taps.len());
        let threads = self.plan.threads;
        let weights = conv.groups * depth * outputs;
        let source = Image { from: self.a, channels: inputs * conv.groups, size: conv.size, step: conv.stride };
        split(threads, &|thread| {
            let run: &Self = self;
            let lanes = run.plan.kernels.lanes;
            let (columns, rows, sums) = if run.plan.own_weights {
                let blocks = part(all.div_ceil(lanes), thread, threads);
                let columns = (blocks.start * lanes).min(all)..(blocks.end * lanes).min(all);
                (columns, 0..depth, run.shared.wrapping_add(thread * weights))
            } else {
                (0..all, part(depth, thread, threads), run.shared)
            };
            let [block_memory, tile, memory] = run.own(thread);
            for group in 0..conv.groups {
                let sums = sums.wrapping_add(group * depth * outputs);
                // SAFETY: every thread has its own sums or rows of them; the rest is inside the tensors and the memory.
                unsafe {
                    std::slice::from_raw_parts_mut(sums.add(rows.start * outputs), rows.len() * outputs).fill(T::ZERO);
                    let mut next = columns.start;
                    while next < columns.end {
                        let block = run.block(next, columns.end, positions);
                        next = block.end;
                        let k = block.len();
                        let (image, inside) = (block.start / positions, block.start % positions);
                        let channel = (image * conv.groups + group) * outputs;
                        let mut b = Matrix {
                            first: run.b.add(channel * positions + inside).cast_mut(),
                            row: 1,
                            column: positions as isize,
                        };
                        if inside + k > positions {
                            run.take(group, block.clone(), positions, tile);
                            b = Matrix { first: tile, row: 1, column: k as isize };
                        }
                        let from = source.at_channel(group * inputs);
                        for first in rows.clone().step_by(run.plan.depth) {
                            let m = run.plan.depth.min(rows.end - first);
                            from.columns(phase, first..first + m, block.clone(), block_memory, run.plan.pitch);
                            let a = Matrix { first: block_memory, row: run.plan.pitch as isize, column: 1 };
                            let c = Matrix { first: sums.add(first * outputs), row: outputs as isize, column: 1 };
                            let p = Product { m, n: outputs, k, a, b, c, add: true };
                            multiply(run.plan.kernels, &p, memory);
                        }
                    }
                }
            }
        });
        // SAFETY: as above; the sums are complete.
        split(threads, &|thread| unsafe { self.finish_weights(thread, depth) });
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

    /// Adds the threads' sums and turns a share of them.
    unsafe fn finish_weights(&self, thread: usize, depth: usize) {
        let Convolution { conv, outputs, .. } = *self.work;
        let weights = conv.groups * depth * outputs;
        let rows = part(depth, thread, self.plan.threads);
        for group in 0..conv.groups {
            let first = (group * depth + rows.start) * outputs;
            // SAFETY: inside the sums and the result; every thread has its own rows.
            unsafe {
                let sums = self.shared.add(first);
                if self.plan.own_weights {
                    let len = rows.len() * outputs;
                    let total = std::slice::from_raw_parts_mut(sums, len);
                    for other in 1..self.plan.threads {
                        let other = std::slice::from_raw_parts(self.shared.add(other * weights + first), len);
                        total.iter_mut().zip(other).for_each(|(total, &x)| *total = *total + x);
                    }
                }
                let source =
                    Source { from: sums, rows: outputs, columns: rows.len(), row: 1, column: outputs as isize };
                turn(&source, self.y.add(group * outputs * depth + rows.start), depth);
            }
        }
    }
}

/// Copies a matrix whose columns are contiguous to rows of a given distance, in squares that stay in the cache.
unsafe fn turn<T: Real>(source: &Source<T>, to: *mut T, stride: usize) {
    const SQUARE: usize = 16;
    for first in (0..source.rows).step_by(SQUARE) {
        for column in (0..source.columns).step_by(SQUARE) {
            for i in first..source.rows.min(first + SQUARE) {
                for j in column..source.columns.min(column + SQUARE) {
                    // SAFETY: inside both matrices.
                    unsafe {
                        let from = source.from.offset(i as isize * source.row + j as isize * source.column);
                        *to.add(i * stride + j) = *from;
                    }
                }
            }
        }
    }
}
