//! Runs chains of fused kernels.

use super::math::Real;
use super::tiled::{ALIGN, Prepared};
use super::{Operand, Scratch, parallel};
use crate::kernel::chain::{Chain, Moving};

/// More operands than a link may have.
pub const MOST_OPERANDS: usize = 32;

/// A chain with all decisions taken.
#[derive(Clone, Debug)]
pub struct PreparedChain<T: Real> {
    slabs: usize,
    links: Vec<(Prepared<T>, Vec<Moving>)>,
}

impl<T: Real> PreparedChain<T> {
    /// Decides how to run a chain.
    pub fn new(chain: &Chain) -> Self {
        let link = |link: &crate::kernel::chain::Link| (Prepared::new(&link.tiled), link.operands.clone());
        PreparedChain { slabs: chain.slabs, links: chain.links.iter().map(link).collect() }
    }

    /// The scratch memory that a launch on so many threads uses.
    pub fn scratch_bytes(&self, threads: usize) -> usize {
        self.share() * threads.max(1)
    }

    fn share(&self) -> usize {
        let most = self.links.iter().map(|(kernel, _)| kernel.scratch_bytes(1)).max().unwrap_or(0);
        most.next_multiple_of(ALIGN)
    }

    /// Runs the chain on at most `threads` threads. A slab is computed by one of them, so the result never depends on
    /// their number.
    ///
    /// # Safety
    /// As for [`Prepared::launch`], for every link on every slab; what a slab writes no other slab sees.
    pub unsafe fn launch(&self, operands: &[Operand], threads: usize, scratch: &mut Scratch) {
        let threads = threads.clamp(1, self.slabs.max(1));
        let share = self.share();
        let memory = Memory(scratch.memory(share * threads));
        parallel::split(threads, &|i| {
            let mut own = [Operand { pointer: std::ptr::null_mut(), len: 0 }; MOST_OPERANDS];
            for slab in parallel::part(self.slabs, i, threads) {
                for (kernel, moving) in &self.links {
                    for (own, moving) in own.iter_mut().zip(moving) {
                        let bytes = slab * moving.step * moving.bytes.unwrap_or(size_of::<T>());
                        let pointer = operands[moving.operand].pointer.wrapping_add(bytes);
                        *own = Operand { pointer, len: moving.len };
                    }
                    // SAFETY: as the caller says; every thread has its own share of the scratch memory.
                    unsafe { kernel.run_alone(&own[..moving.len()], memory.part(i * share)) };
                }
            }
        });
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
