//! Convolutions with kernels of 3×3 taps by Winograd's minimal filtering F(2×2, 3×3): four results of a channel take 16
//! products in place of 36 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Its numbers are
//! halves and sums of few terms, so it rounds hardly more than the direct sum.

mod transforms;

use crate::kernel::conv::{Convolution, Pass};
use crate::kernel::cpu::gemm::{Instructions, Kernels, Matrix, Product, memory, multiply};
use crate::kernel::cpu::math::Real;
use crate::kernel::cpu::parallel::{part, split};
use std::ops::Range;
use transforms::{Block, Collect, Matrices, NUMBERS, Planes, RESULTS, Spread, Sums, lines};

/// Bytes of the matrices of a block: they stay in the second-level cache.
const BLOCK: usize = 512 << 10;
/// Columns of a block: fewer would fill no tile of a product, and `multiply` reads rows of no more where they lie.
const COLUMNS: [usize; 2] = [48, 192];
/// Each thread sums products of at most so many bytes over its own share of the tiles.
const OWN_SUMS: usize = 1 << 20;
/// Channels that products sum over, or the image has, from which on transforms cost less than they save.
const CHANNELS: usize = 8;

impl Convolution {
    /// Whether the convolution is computed by minimal filtering.
    pub(super) fn minimal(&self) -> bool {
        let conv = &self.conv;
        let shape = (conv.kernel, conv.stride, conv.dilation, conv.groups);
        let channels = if self.pass == Pass::Data { self.outputs } else { self.inputs };
        shape == ([3, 3], [1, 1], [1, 1], 1) && channels >= CHANNELS
    }
}

/// Sizes of blocks and memory.
#[derive(Clone, Copy)]
pub(super) struct Plan<T: 'static> {
    threads: usize,
    kernels: &'static Kernels<T>,
    /// Rows and columns of tiles in an image.
    tiles: [usize; 2],
    /// Rows of tiles in a block.
    rows: usize,
    /// Elements of a row of the matrices.
    width: usize,
    /// Whether threads work on one block together, each on some of the matrices.
    together: bool,
}

impl<T: Real> Plan<T> {
    pub fn new(work: &Convolution, threads: usize) -> Self {
        let kernels = T::kernels(Instructions::best());
        let results = if work.pass == Pass::Data { work.conv.size } else { work.count };
        let tiles = results.map(|size| size.div_ceil(RESULTS));
        let together = work.pass == Pass::Weight && NUMBERS * work.inputs * work.outputs * size_of::<T>() > OWN_SUMS;
        let fits = BLOCK / (NUMBERS * (work.inputs + work.outputs) * size_of::<T>());
        let columns = if together { COLUMNS[1] } else { fits.clamp(COLUMNS[0], COLUMNS[1]) };
        let share = (work.batch * tiles[0]).div_ceil(if together { 1 } else { threads });
        let rows = (columns / tiles[1].max(1)).clamp(1, share.max(1));
        let width = (rows * tiles[1]).next_multiple_of(kernels.lanes);
        Plan { threads, kernels, tiles, rows, width, together }
    }

    /// Elements that all threads share: the transformed kernels or the sums, and the matrices of a block that they work
    /// on together.
    fn shared(&self, work: &Convolution) -> [usize; 3] {
        let kernels = NUMBERS * apart::<T>(work.inputs * work.outputs);
        let [images, results] = if self.together { self.matrices(work) } else { [0; 2] };
        let sums = if work.pass == Pass::Weight && !self.together { self.threads } else { 1 };
        [kernels * sums, images, results]
    }

    /// Elements of each thread: the matrices of its block, lines of images, and what products use.
    fn own(&self, work: &Convolution) -> [usize; 4] {
        let [images, results] = if self.together { [0; 2] } else { self.matrices(work) };
        let (n, k) = match work.pass {
            Pass::Forward => (self.width, work.inputs),
            Pass::Data => (self.width, work.outputs),
            Pass::Weight => (work.inputs, self.width),
        };
        let lines = lines(self.rows, self.tiles[1], self.kernels.lanes);
        [images, results, lines, memory(self.kernels, n, k)]
    }

    /// Elements of the matrices of the image and of the result; whole vectors are read at the end.
    fn matrices(&self, work: &Convolution) -> [usize; 2] {
        [work.inputs, work.outputs].map(|channels| NUMBERS * apart::<T>(channels * self.width) + self.kernels.lanes)
    }

    pub fn bytes(&self, work: &Convolution) -> usize {
        let bytes = |sizes: &[usize]| sizes.iter().map(|&size| line::<T>(size)).sum::<usize>();
        (bytes(&self.shared(work)) + self.threads * bytes(&self.own(work))) * size_of::<T>()
    }
}

/// Elements between matrices of so many: an odd number of cache lines, so that equal places of all matrices do not share
/// the same lines of the first-level cache.
fn apart<T>(elements: usize) -> usize {
    let line = 64 / size_of::<T>();
    (elements.div_ceil(line) | 1) * line
}

/// So many elements or a few more, that end on a cache line.
fn line<T>(elements: usize) -> usize {
    elements.next_multiple_of(64 / size_of::<T>())
}

/// A launch with the addresses of its tensors and its scratch memory.
pub(super) struct Run<'a, T: 'static> {
    pub work: &'a Convolution,
    pub plan: Plan<T>,
    pub a: *const T,
    pub b: *const T,
    pub y: *mut T,
    pub memory: *mut T,
}

// SAFETY: threads write disjoint parts of the result and of the scratch memory.
unsafe impl<T> Sync for Run<'_, T> {}

/// Memory for the matrices of a block and what it takes to fill and multiply them.
#[derive(Clone, Copy)]
struct Own<T> {
    /// Matrices of the image, then of the result, where channels are those of x and y.
    matrices: [Matrices<T>; 2],
    lines: *mut T,
    products: *mut T,
}

impl<T: Real> Run<'_, T> {
    /// # Safety
    /// As for the launch; the memory has the plan's bytes.
    pub unsafe fn launch(&self) {
        // SAFETY: as the caller says.
        unsafe {
            match self.work.pass {
                Pass::Weight => self.weights(),
                _ => self.images(),
            }
        }
    }

    fn own(&self, thread: usize) -> Own<T> {
        let (shared, own) = (self.plan.shared(self.work), self.plan.own(self.work));
        let sum = |sizes: &[usize]| sizes.iter().map(|&size| line::<T>(size)).sum::<usize>();
        let first = sum(&shared) + thread * sum(&own);
        let (images, results) = match self.plan.together {
            true => (sum(&shared[..1]), sum(&shared[..2])),
            false => (first, first + sum(&own[..1])),
        };
        let at = |element: usize| self.memory.wrapping_add(element);
        let matrices = |element: usize, channels: usize| Matrices {
            first: at(element),
            row: self.plan.width,
            matrix: apart::<T>(channels * self.plan.width),
        };
        Own {
            matrices: [matrices(images, self.work.inputs), matrices(results, self.work.outputs)],
            lines: at(first + sum(&own[..2])),
            products: at(first + sum(&own[..3])),
        }
    }

    /// Blocks of some rows of tiles.
    fn blocks(&self, rows: Range<usize>) -> impl Iterator<Item = Block> {
        let Plan { rows: most, tiles, .. } = self.plan;
        let end = rows.end;
        rows.step_by(most).map(move |first| Block { rows: first..end.min(first + most), tiles })
    }

    /// `Forward` and `Data`: kernels times tiles. `Data` is a convolution with the kernels in reverse.
    unsafe fn images(&self) {
        let Convolution { pass, conv, batch, inputs, outputs, count, .. } = *self.work;
        let threads = self.plan.threads;
        let forward = pass == Pass::Forward;
        let (channels, results) = if forward { (inputs, outputs) } else { (outputs, inputs) };
        let before = conv.before.map(|zeros| if forward { zeros as isize } else { 2 - zeros as isize });
        let (size, to) = if forward { (conv.size, count) } else { (count, conv.size) };
        let from = Planes { first: self.a.cast_mut(), channels, size };
        let to = Planes { first: self.y, channels: results, size: to };
        let kernels = Matrices { first: self.memory, row: inputs, matrix: apart::<T>(inputs * outputs) };
        split(threads, &|thread| {
            let (run, kernels) = (self, &kernels);
            let work = transforms::Kernels {
                from: run.b,
                reverse: !forward,
                rows: part(outputs, thread, threads),
                columns: inputs,
                to: *kernels,
            };
            // SAFETY: every thread has its own rows of the matrices.
            unsafe { T::on_lanes(Instructions::best(), work) };
        });
        split(threads, &|thread| {
            let run: &Self = self;
            let Own { matrices: [x, y], lines, products } = run.own(thread);
            let (x, y) = if forward { (x, y) } else { (y, x) };
            for block in run.blocks(part(batch * run.plan.tiles[0], thread, threads)) {
                let spread = Spread::<T, false> { from, channels: 0..channels, before, block: &block, to: x, lines };
                // SAFETY: every thread has its own memory and its own tiles of the result.
                unsafe {
                    T::on_lanes(Instructions::best(), spread);
                    for number in 0..NUMBERS {
                        let matrix = |of: Matrices<T>| Matrix {
                            first: of.first.add(number * of.matrix),
                            row: of.row as isize,
                            column: 1,
                        };
                        let n = block.columns().next_multiple_of(run.plan.kernels.lanes);
                        let (kernels, b, c) = (matrix(kernels), matrix(x), matrix(y));
                        let a = if forward { kernels } else { kernels.transposed() };
                        let p = Product { m: results, n, k: channels, a, b, c, add: false };
                        multiply(run.plan.kernels, &p, products);
                    }
                    T::on_lanes(Instructions::best(), Collect { from: y, block: &block, to });
                }
            }
        });
    }

    /// `Weight`: the tiles of the derivative by the result times those of the image.
    unsafe fn weights(&self) {
        let Convolution { batch, inputs, outputs, .. } = *self.work;
        let Plan { threads, tiles, together, .. } = self.plan;
        let kernels = NUMBERS * apart::<T>(inputs * outputs);
        let all = 0..batch * tiles[0];
        if together {
            for (i, block) in self.blocks(all).enumerate() {
                // SAFETY: every thread has its own channels, then its own matrices.
                unsafe {
                    split(threads, &|thread| {
                        let channels = [inputs, outputs].map(|channels| part(channels, thread, threads));
                        self.spread(&block, channels, self.own(thread));
                    });
                    split(threads, &|thread| {
                        let numbers = part(NUMBERS, thread, threads);
                        self.products(&block, numbers, self.own(thread), self.memory, i > 0);
                    });
                }
            }
        } else {
            split(threads, &|thread| {
                let run: &Self = self;
                let (own, sums) = (run.own(thread), run.memory.wrapping_add(thread * kernels));
                let rows = part(all.end, thread, threads);
                // SAFETY: every thread has its own memory.
                unsafe {
                    if rows.is_empty() {
                        std::slice::from_raw_parts_mut(sums, kernels).fill(T::ZERO);
                    }
                    for (i, block) in run.blocks(rows).enumerate() {
                        run.spread(&block, [0..inputs, 0..outputs], own);
                        run.products(&block, 0..NUMBERS, own, sums, i > 0);
                    }
                }
            });
        }
        split(threads, &|thread| {
            let run: &Self = self;
            let work = Sums {
                from: Matrices { first: run.memory, row: inputs, matrix: apart::<T>(inputs * outputs) },
                count: if together { 1 } else { threads },
                rows: part(outputs, thread, threads),
                columns: inputs,
                to: run.y,
            };
            // SAFETY: every thread has its own rows of the result.
            unsafe { T::on_lanes(Instructions::best(), work) };
        });
    }

    /// Transforms the tiles of some channels of the image and of the derivative by the result.
    unsafe fn spread(&self, block: &Block, [images, results]: [Range<usize>; 2], own: Own<T>) {
        let Convolution { conv, inputs, outputs, count, .. } = *self.work;
        let Own { matrices: [x, y], lines, .. } = own;
        let before = conv.before.map(|zeros| zeros as isize);
        let from = Planes { first: self.a.cast_mut(), channels: inputs, size: conv.size };
        let image = Spread::<T, false> { from, channels: images, before, block, to: x, lines };
        let from = Planes { first: self.b.cast_mut(), channels: outputs, size: count };
        let result = Spread::<T, true> { from, channels: results, before: [0, 0], block, to: y, lines };
        // SAFETY: as the caller says.
        unsafe {
            T::on_lanes(Instructions::best(), image);
            T::on_lanes(Instructions::best(), result);
        }
    }

    /// Adds the products of some matrices of a block to the sums, or replaces them.
    unsafe fn products(&self, block: &Block, numbers: Range<usize>, own: Own<T>, sums: *mut T, add: bool) {
        let Convolution { inputs, outputs, .. } = *self.work;
        let Own { matrices: [x, y], products, .. } = own;
        for number in numbers {
            // SAFETY: as the caller says.
            unsafe {
                let a = Matrix { first: y.first.add(number * y.matrix), row: y.row as isize, column: 1 };
                let b = Matrix { first: x.first.add(number * x.matrix), row: 1, column: x.row as isize };
                let c =
                    Matrix { first: sums.add(number * apart::<T>(inputs * outputs)), row: inputs as isize, column: 1 };
                multiply(
                    self.plan.kernels,
                    &Product { m: outputs, n: inputs, k: block.columns(), a, b, c, add },
                    products,
                );
            }
        }
    }
}
