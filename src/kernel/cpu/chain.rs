//! Runs chains of fused kernels.

use super::limits::MOST_OPERANDS;
use super::math::Real;
use super::tiled::{ALIGN, Prepared};
use super::{Fault, Kernel, Operand, Scratch, parallel};
use crate::chain::{Chain, Link};

/// A chain with all decisions taken.
#[derive(Debug)]
pub struct PreparedChain<T: Real> {
    slabs: usize,
    links: Vec<PreparedLink<T>>,
}

/// A kernel over one slab.
#[derive(Debug)]
struct PreparedLink<T: Real> {
    kernel: Prepared<T>,
    /// What the views of the kernel see.
    operands: Vec<Moving>,
}

/// An operand that moves on with each slab.
#[derive(Clone, Copy, Debug)]
struct Moving {
    operand: usize,
    /// Bytes from slab to slab.
    step: isize,
    /// Elements that a slab reaches over, from its first.
    len: usize,
}

impl<T: Real> PreparedLink<T> {
    fn new(Link { tiled, axis }: &Link, slabs: usize) -> Self {
        let mut slab = tiled.clone();
        slab.dims[*axis] /= slabs;
        let dims = slab.dims.clone();
        let mut operands: Vec<Moving> = Vec::new();
        slab.views_mut(&mut |_, view, _| {
            let reach = dims.iter().zip(&view.strides).map(|(&n, &s)| n.saturating_sub(1) * s.unsigned_abs());
            let len = view.offset + reach.sum::<usize>() + 1;
            let step = view.strides[*axis] * (dims[*axis] * view.element.size()) as isize;
            let alike = |known: &Moving| (known.operand, known.step) == (view.operand, step);
            let number = operands.iter().position(alike).unwrap_or_else(|| {
                operands.push(Moving { operand: view.operand, step, len });
                operands.len() - 1
            });
            operands[number].len = operands[number].len.max(len);
            view.operand = number;
        });
        PreparedLink { kernel: Prepared::new(&slab), operands }
    }
}

impl<T: Real> PreparedChain<T> {
    /// Decides how to run a chain.
    pub fn new(chain: &Chain) -> Self {
        let links = chain.links.iter().map(|link| PreparedLink::new(link, chain.slabs)).collect();
        PreparedChain { slabs: chain.slabs, links }
    }

    fn share(&self) -> usize {
        let most = self.links.iter().map(|link| link.kernel.scratch_alone()).max().unwrap_or(0);
        most.next_multiple_of(ALIGN)
    }
}

impl<T: Real> Kernel<T> for PreparedChain<T> {
    /// Only what does not fit in the cache is chained.
    fn divides(&self) -> bool {
        true
    }

    fn scratch_bytes(&self, most: usize) -> usize {
        self.share() * most.max(1)
    }

    /// A slab is computed by one thread, so the result never depends on their number.
    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        let threads = most.clamp(1, self.slabs.max(1));
        let share = self.share();
        let memory = Memory(scratch.memory(share * threads));
        let (slabs, links) = (self.slabs, &self.links);
        parallel::split(threads, &|i| {
            let mut own = [Operand { pointer: std::ptr::null_mut(), len: 0 }; MOST_OPERANDS];
            for slab in parallel::part(slabs, i, threads) {
                for PreparedLink { kernel, operands: moving } in links {
                    for (own, moving) in own.iter_mut().zip(moving) {
                        let pointer = operands[moving.operand].pointer.wrapping_offset(slab as isize * moving.step);
                        *own = Operand { pointer, len: moving.len };
                    }
                    // SAFETY: as the caller says; every thread has its own share of the scratch memory.
                    unsafe { kernel.run_alone(&own[..moving.len()], memory.part(i * share)) };
                }
            }
        });
        Ok(())
    }
}

/// The start of the scratch memory of a launch.
#[derive(Clone, Copy)]
struct Memory(*mut u8);

// SAFETY: every thread uses its own part.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Safety
    /// The memory has at least `offset` bytes.
    unsafe fn part(self, offset: usize) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { self.0.add(offset) }
    }
}
