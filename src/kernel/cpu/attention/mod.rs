//! Scaled dot-product attention, forward and backward, block by block: the matrix of scores is never in memory.
//!
//! Dao, "FlashAttention-2" (2023), for a processor with vectors: a block of queries meets blocks of keys, whose scores
//! stay in the first-level cache; the greatest score and the sum of a row are kept up to date from block to block. The
//! backward pass computes the scores again from the logarithms of the sums. Memory grows with the length of the sequences,
//! not with its square.

mod backward;
mod forward;
mod softmax;

use super::gemm::{Kernels, memory};
use super::math::Real;
use super::vectorized::Instructions;
use super::{Fault, Kernel, Operand, Scratch, parallel};
use crate::attention::{Attention, Pass};
use crate::view::View;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Queries of a block.
const ROWS: usize = 32;
/// Keys of a block.
const COLUMNS: usize = 128;
/// Rows of scores are cut and filled up to a multiple of so many.
const LANES: usize = 16;
/// Fewer multiply-adds stay on one thread.
const WORTH_A_FORK: usize = 1 << 19;
/// So many tasks a thread even out differences between them.
const TASKS: usize = 4;

/// The element of a view at a position.
///
/// # Safety
/// The position is inside, and elements are of type `S`.
unsafe fn element<S>(view: &View, operands: &[Operand], position: [usize; 4]) -> *mut S {
    let steps = position.iter().zip(&view.strides).map(|(&position, &stride)| position as isize * stride);
    let number = view.offset as isize + steps.sum::<isize>();
    // SAFETY: as the caller says.
    unsafe { operands[view.operand].pointer.cast::<S>().offset(number) }
}

impl<T: Real> Kernel<T> for Attention {
    fn divides(&self) -> bool {
        self.threads(2) > 1
    }

    fn scratch_bytes(&self, most: usize) -> usize {
        let threads = self.threads(most);
        let kernels = T::kernels(Instructions::best());
        let (own, common) = match self.pass {
            Pass::Forward { .. } => (self.forward_memory(kernels), 0),
            Pass::Backward { .. } => (self.backward_memory(kernels), self.partial_queries(threads)),
        };
        (threads * own + common) * size_of::<T>()
    }

    /// For equal `most` the result is always the same.
    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        let threads = self.threads(most);
        let kernels = T::kernels(Instructions::best());
        let memory = Shared(scratch.memory(Kernel::<T>::scratch_bytes(self, threads)).cast::<T>());
        // SAFETY: as the caller says; each task writes its own part and each thread has its own memory.
        unsafe {
            match &self.pass {
                Pass::Forward { out, logarithms } => {
                    let cuts = self.cuts(threads);
                    self.each(threads, self.batch * self.shared * cuts, &|thread, task| {
                        let memory = memory.part(thread * self.forward_memory(kernels));
                        let rows = self.rows_of(task % cuts, cuts);
                        let run = forward::Forward { a: self, kernels, operands, memory, out, logarithms };
                        run.task(task / cuts / self.shared, task / cuts % self.shared, rows);
                    });
                }
                Pass::Backward { .. } => {
                    let (own, parts) = (self.backward_memory(kernels), self.parts(threads));
                    let partial = Shared(memory.part(threads * own));
                    let run = |thread: usize| {
                        let memory = memory.part(thread * own);
                        backward::Backward::new(self, kernels, operands, memory, partial.part(0), parts)
                    };
                    self.each(threads, self.batch * self.shared * parts, &|thread, task| {
                        let (n, head) = (task / parts / self.shared, task / parts % self.shared);
                        run(thread).task(n, head, task % parts);
                    });
                    if parts > 1 {
                        self.each(threads, self.batch * self.heads, &|thread, task| {
                            run(thread).add_up(task / self.heads, task % self.heads);
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

impl Attention {
    /// On how many threads the launch is worth running.
    fn threads(&self, most: usize) -> usize {
        let pairs = self.batch * self.heads * self.queries * self.keys;
        if pairs * (self.width + self.value_width) < WORTH_A_FORK { 1 } else { most.max(1) }
    }

    /// Calls `work` with the number of a thread and each of `0..tasks`, which go to threads as these are free.
    fn each(&self, threads: usize, tasks: usize, work: &(impl Fn(usize, usize) + Sync)) {
        let next = AtomicUsize::new(0);
        parallel::split(threads, &|thread| {
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    return;
                }
                work(thread, task);
            }
        });
    }

    /// In how many tasks the queries of a head are cut.
    fn cuts(&self, threads: usize) -> usize {
        let blocks = self.queries.div_ceil(ROWS);
        // Keys are laid out anew for each task, so that it should have some queries.
        (TASKS * threads).div_ceil((self.batch * self.shared).max(1)).min(blocks.div_ceil(4)).max(1)
    }

    /// The queries of a task.
    fn rows_of(&self, cut: usize, cuts: usize) -> Range<usize> {
        let blocks = parallel::part(self.queries.div_ceil(ROWS), cut, cuts);
        (blocks.start * ROWS).min(self.queries)..(blocks.end * ROWS).min(self.queries)
    }

    /// In how many tasks the keys of a head are cut in the backward pass: only where there are fewer heads than threads.
    fn parts(&self, threads: usize) -> usize {
        let heads = (self.batch * self.shared).max(1);
        threads.div_ceil(heads).min(self.keys.div_ceil(COLUMNS)).max(1)
    }

    /// Elements for the cotangents of queries of all tasks of a head but the first.
    fn partial_queries(&self, threads: usize) -> usize {
        (self.parts(threads) - 1) * self.batch * self.heads * self.queries * self.width
    }

    /// Heads of queries that a head of keys serves.
    fn group(&self, shared: usize) -> Range<usize> {
        let each = self.heads / self.shared;
        shared * each..(shared + 1) * each
    }

    /// The position of the first query of a sample.
    ///
    /// # Safety
    /// As for `launch`.
    unsafe fn first_position(&self, operands: &[Operand], n: usize) -> isize {
        match &self.start {
            // SAFETY: as the caller says.
            Some(start) => unsafe { *element::<u32>(start, operands, [n, 0, 0, 0]) as isize },
            None => self.keys as isize - self.queries as isize,
        }
    }

    /// The keys that some query at these positions, both included, may see, apart from masks.
    fn seen(&self, first: isize, last: isize) -> Range<usize> {
        let clamp = |at: isize| at.clamp(0, self.keys as isize) as usize;
        let reach = self.window.map(|window| window as isize - 1);
        let low = reach.map_or(0, |reach| clamp(first.saturating_sub(reach)));
        let high = match (self.causal, reach) {
            (true, _) => clamp(last + 1),
            (false, Some(reach)) => clamp(last.saturating_add(reach).saturating_add(1)),
            (false, None) => self.keys,
        };
        low..high.max(low)
    }

    /// Elements that products of this launch use.
    fn product_memory<T: Real>(&self, kernels: &Kernels<T>) -> usize {
        let widths = self.width.max(self.value_width);
        let wide = memory(kernels, COLUMNS, widths).max(memory(kernels, widths, COLUMNS));
        line(wide.max(memory(kernels, widths, ROWS)).max(memory(kernels, LANES, widths)))
    }
}

/// Elements that begin on a cache line whatever their type.
fn line(elements: usize) -> usize {
    elements.next_multiple_of(LANES)
}

/// The memory that threads share.
struct Shared<T>(*mut T);

// SAFETY: threads use disjoint parts.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// Inside the memory.
    unsafe fn part(&self, first: usize) -> *mut T {
        // SAFETY: as the caller says.
        unsafe { self.0.add(first) }
    }
}
