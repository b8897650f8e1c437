//! Work over numbers that are stored with sixteen bits. Fused kernels convert what they load and store; all other kernels
//! know one type of real numbers, and work on copies.

use super::math::Real;
use super::{Fault, Kernel, Operand, Scratch, parallel};
use crate::view::DType;
use crate::work::Work;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// A kernel, and the operands of which it sees copies.
#[derive(Debug)]
pub(super) struct Widened<T: Real> {
    kernel: Box<dyn Kernel<T>>,
    copies: Copies,
}

/// The operands that are stored with sixteen bits, of so many.
#[derive(Debug, Default)]
pub(super) struct Copies {
    copied: Vec<Copied>,
    operands: usize,
}

/// An operand that is stored with sixteen bits.
#[derive(Debug)]
struct Copied {
    operand: usize,
    /// Elements up to the last one that is seen.
    len: usize,
    writes: bool,
}

/// Has the work see copies of what is stored with sixteen bits, and tells of which operands.
pub(super) fn copies<T: Real>(work: &mut Work) -> Copies {
    let mut copies = Copies::default();
    if let Work::Fused(_) | Work::Chain(_) | Work::Loop(_) = work {
        return copies;
    }
    work.views_mut(&mut |access, view, extents| {
        copies.operands = copies.operands.max(view.operand + 1);
        if view.element != DType::Bf16 {
            return;
        }
        view.element = T::ELEMENT;
        let len = if extents.contains(&0) { 0 } else { view.reach(extents).1 as usize + 1 };
        let all = &mut copies.copied;
        let number = all.iter().position(|known| known.operand == view.operand).unwrap_or_else(|| {
            all.push(Copied { operand: view.operand, len: 0, writes: false });
            all.len() - 1
        });
        all[number].len = all[number].len.max(len);
        all[number].writes |= access.writes();
    });
    copies
}

impl Copies {
    /// The kernel over copies, if there are any.
    pub fn around<T: Real>(self, kernel: Box<dyn Kernel<T>>) -> Box<dyn Kernel<T>> {
        if self.copied.is_empty() { kernel } else { Box::new(Widened { kernel, copies: self }) }
    }

    /// The bytes of a list of operands.
    fn list(&self) -> usize {
        (self.operands * size_of::<Operand>()).next_multiple_of(64)
    }

    /// The bytes of such a list and all copies.
    fn bytes<T>(&self) -> usize {
        self.list() + self.copied.iter().map(Copied::bytes::<T>).sum::<usize>()
    }
}

impl Copied {
    fn bytes<T>(&self) -> usize {
        (self.len * size_of::<T>()).next_multiple_of(64)
    }
}

impl<T: Real> Kernel<T> for Widened<T> {
    fn divides(&self) -> bool {
        self.kernel.divides()
    }

    fn scratch_bytes(&self, most: usize) -> usize {
        self.copies.bytes::<T>() + self.kernel.scratch_bytes(most)
    }

    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        scratch.reserve(self.scratch_bytes(most));
        let Copies { copied, operands: count } = &self.copies;
        let first = scratch.keep(self.copies.bytes::<T>());
        let mut at = first.wrapping_add(self.copies.list());
        // SAFETY: so many operands fit at the beginning of the memory, and the copies behind them.
        let seen = unsafe {
            first.cast::<Operand>().copy_from_nonoverlapping(operands[..*count].as_ptr(), *count);
            from_raw_parts_mut(first.cast::<Operand>(), *count)
        };
        for own in copied {
            seen[own.operand] = Operand { pointer: at, len: own.len };
            // SAFETY: the operand holds so many numbers of sixteen bits, the memory has room for as many wide ones. What the
            // launch does not write comes back as it was.
            unsafe { each(operands[own.operand].pointer.cast(), at.cast(), own.len, most, T::from_bf16) };
            at = at.wrapping_add(own.bytes::<T>());
        }
        // SAFETY: as the caller says, for operands of which some are copies.
        let done = unsafe { self.kernel.launch(seen, most, scratch) };
        for own in copied.iter().filter(|own| own.writes) {
            let [from, to] = [seen[own.operand].pointer, operands[own.operand].pointer];
            // SAFETY: as above; this launch alone writes the operand.
            unsafe { each(from.cast(), to.cast(), own.len, most, T::to_bf16) };
        }
        scratch.keep(0);
        done
    }
}

/// Converts so many elements.
///
/// # Safety
/// Both are valid for so many elements and lie apart, and nobody else uses `to`.
unsafe fn each<S: Copy, D: Copy>(from: *const S, to: *mut D, len: usize, most: usize, convert: impl Fn(S) -> D + Sync) {
    let (from, to, threads) = (Shared(from.cast_mut()), Shared(to), most.max(1));
    parallel::split(threads, &|i| {
        let part = parallel::part(len, i, threads);
        // SAFETY: as the caller says; each thread has a part of its own.
        let (from, to) = unsafe {
            (from_raw_parts(from.at(part.start), part.len()), from_raw_parts_mut(to.at(part.start), part.len()))
        };
        for (to, &from) in to.iter_mut().zip(from) {
            *to = convert(from);
        }
    });
}

/// Memory of which threads use parts of their own.
struct Shared<S>(*mut S);

// SAFETY: every thread uses its own part.
unsafe impl<S> Sync for Shared<S> {}

impl<S> Shared<S> {
    /// # Safety
    /// The memory has at least so many elements.
    unsafe fn at(&self, element: usize) -> *mut S {
        // SAFETY: as the caller says.
        unsafe { self.0.add(element) }
    }
}
