//! Convolutions as matrix products whose columns, what the taps see at each position, are never written as a whole
//! (Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014): block by block where many channels use them,
//! and not at all where few do: then microkernels read a copy of some lines with zeros around them. Groups of single
//! channels are summed directly.

mod columns;
mod products;
mod lines;
mod direct;

use super::gemm::{Kernels, Matrix, Source};
use super::math::Real;
use super::parallel::{part, split};
use super::vectorized::Instructions;
use super::{Fault, Kernel, Operand, Scratch};
use crate::conv::{Convolution, Pass, Phase};
use crate::view::View;
use columns::Image;
use lines::Bands;
use products::Blocks;

/// Multiply-adds from which on a second thread helps.
const WORTH_A_FORK: usize = 1 << 19;
/// Weights of at most so many bytes are summed by each thread on its own share of the images.
const OWN_WEIGHTS: usize = 512 << 10;
/// Channels of a group, before times after, that are summed directly.
const DIRECT: usize = 2;

impl Convolution {
    /// Channels of a group that a position reads, and those that are computed there.
    fn channels(&self) -> [usize; 2] {
        match self.pass {
            Pass::Forward | Pass::Weight => [self.inputs, self.outputs],
            Pass::Data => [self.outputs, self.inputs],
        }
    }

    fn weights_of_group(&self) -> usize {
        self.inputs * self.outputs * self.conv.kernel.iter().product::<usize>()
    }

    /// On how many threads the launch is worth dividing.
    fn threads(&self, most: usize) -> usize {
        let positions = self.batch * self.count[0] * self.count[1];
        let work = positions * self.weights_of_group() * self.conv.groups;
        if work < WORTH_A_FORK { 1 } else { most.max(1) }
    }
}

impl<T: Real> Kernel<T> for Convolution {
    fn divides(&self) -> bool {
        self.threads(2) > 1
    }

    fn scratch_bytes(&self, most: usize) -> usize {
        let plan = Plan::<T>::new(self, self.threads(most));
        plan.shared + plan.own * plan.threads
    }

    /// For equal `most` the result is always the same.
    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        let plan = Plan::<T>::new(self, self.threads(most));
        let memory = scratch.memory(plan.shared + plan.own * plan.threads);
        let at = |view: &View| operands[view.operand].pointer.cast::<T>().wrapping_add(view.offset);
        let run = Run {
            work: self,
            plan,
            a: at(&self.operands[0]),
            b: at(&self.operands[1]),
            y: at(&self.result),
            shared: memory.cast(),
        };
        // SAFETY: as the caller says.
        unsafe {
            match (plan.way, self.pass) {
                (Way::Direct, _) => run.direct(),
                (_, Pass::Weight) => run.weights(),
                (_, Pass::Forward | Pass::Data) => run.images(),
            }
        }
        Ok(())
    }
}

/// How a launch is computed, and with what memory.
#[derive(Clone, Copy)]
struct Plan<T: 'static> {
    threads: usize,
    kernels: &'static Kernels<T>,
    way: Way,
    /// Bytes that the threads share, then those of each.
    shared: usize,
    own: usize,
    /// Whether each thread sums all weights over its share of the positions.
    own_weights: bool,
}

#[derive(Clone, Copy)]
enum Way {
    Direct,
    Lines(Bands),
    Columns(Blocks),
}

impl<T: Real> Plan<T> {
    fn new(work: &Convolution, threads: usize) -> Self {
        let kernels = T::kernels(Instructions::best());
        let weights = work.weights_of_group() * work.conv.groups;
        let own_weights = weights * size_of::<T>() <= OWN_WEIGHTS;
        let shared = match work.pass {
            Pass::Forward => 0,
            Pass::Data => weights,
            Pass::Weight => weights * if own_weights { threads } else { 1 },
        };
        let (way, shared, own) = if work.inputs * work.outputs <= DIRECT {
            (Way::Direct, 0, 0)
        } else if let Some(bands) = Bands::new(work, kernels, threads) {
            (Way::Lines(bands), bytes::<T>(shared), bands.memory())
        } else {
            let blocks = Blocks::new(work, kernels);
            (Way::Columns(blocks), bytes::<T>(shared), blocks.memory())
        };
        Plan { threads, kernels, way, shared, own, own_weights }
    }
}

/// The bytes of so many elements, in whole cache lines.
fn bytes<T>(elements: usize) -> usize {
    (elements * size_of::<T>()).next_multiple_of(64)
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

/// One group and one phase of `Forward` or `Data`.
#[derive(Clone, Copy)]
struct Group<'a, T> {
    number: usize,
    phase: &'a Phase,
    /// What the group's taps read.
    source: Image<T>,
    /// A row for each channel of the result.
    weights: Matrix<T>,
    /// Rows and columns of the result.
    to: [usize; 2],
}

impl<T: Real> Run<'_, T> {
    /// The memory of a thread.
    fn own(&self, thread: usize) -> *mut u8 {
        self.shared.cast::<u8>().wrapping_add(self.plan.shared + thread * self.plan.own)
    }

    /// `Forward` and `Data`: weights times columns.
    unsafe fn images(&self) {
        let Convolution { pass, conv, inputs, outputs, count, .. } = *self.work;
        let taps = conv.kernel[0] * conv.kernel[1];
        let forward = pass == Pass::Forward;
        let [channels, results] = self.work.channels();
        let (from, to, step) = if forward { (conv.size, count, conv.stride) } else { (count, conv.size, [1, 1]) };
        let threads = self.plan.threads;
        if !forward {
            // SAFETY: the shared memory has room for all weights.
            split(threads, &|thread| unsafe { self.turn_weights(thread) });
        }
        let source = Image { from: self.a, channels: channels * conv.groups, size: from, step };
        let mut weights_before = 0;
        for phase in &self.work.phases {
            let depth = channels * phase.taps.len();
            split(threads, &|thread| {
                let run: &Self = self;
                for number in 0..conv.groups {
                    let first = if forward {
                        run.b.wrapping_add(number * outputs * inputs * taps)
                    } else {
                        run.shared.wrapping_add(weights_before + number * results * depth).cast_const()
                    };
                    let weights = Matrix { first: first.cast_mut(), row: depth as isize, column: 1 };
                    let group = Group { number, phase, source: source.at_channel(number * channels), weights, to };
                    // SAFETY: every thread has its own part of the result and its own memory.
                    unsafe {
                        match run.plan.way {
                            Way::Lines(bands) => run.lines(bands, &group, thread),
                            Way::Columns(blocks) => run.products(blocks, &group, thread),
                            Way::Direct => unreachable!("is computed by itself"),
                        }
                    }
                }
            });
            weights_before += conv.groups * results * depth;
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
        let Convolution { conv, inputs, outputs, .. } = *self.work;
        let [phase] = &*self.work.phases else { unreachable!("only transposed convolutions have several phases") };
        let depth = inputs * phase.taps.len();
        let threads = self.plan.threads;
        let weights = conv.groups * depth * outputs;
        let source = Image { from: self.a, channels: inputs * conv.groups, size: conv.size, step: conv.stride };
        split(threads, &|thread| {
            let run: &Self = self;
            let own = run.plan.own_weights;
            let sums = run.shared.wrapping_add(if own { thread * weights } else { 0 });
            let rows = if own { 0..depth } else { part(depth, thread, threads) };
            for group in 0..conv.groups {
                let source = source.at_channel(group * inputs);
                let sums = sums.wrapping_add(group * depth * outputs);
                // SAFETY: every thread has its own sums or rows of them, and its own memory.
                unsafe {
                    std::slice::from_raw_parts_mut(sums.add(rows.start * outputs), rows.len() * outputs).fill(T::ZERO);
                    match run.plan.way {
                        Way::Lines(bands) => run.sum_lines(bands, group, source, sums, rows.clone(), thread),
                        Way::Columns(blocks) => run.sum_products(blocks, group, source, sums, rows.clone(), thread),
                        Way::Direct => unreachable!("is computed by itself"),
                    }
                }
            }
        });
        // SAFETY: as above; the sums are complete.
        split(threads, &|thread| unsafe { self.finish_weights(thread, depth) });
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
