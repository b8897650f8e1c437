//! A block of memory that begins on a cache line.

use crate::graph::DType;
use crate::run::{Data, DataMut};
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Zeroed memory that begins on a cache line.
#[derive(Debug)]
pub(in crate::run) struct Arena {
    pointer: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the arena owns its memory, as a `Vec` does.
unsafe impl Send for Arena {}
// SAFETY: shared references only read, as with a `Vec`.
unsafe impl Sync for Arena {}

impl Arena {
    pub fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or_else(|| handle_alloc_error(layout(bytes)))
    }

    /// None if the system does not give so much memory.
    pub fn try_new(bytes: usize) -> Option<Self> {
        let layout = layout(bytes);
        // SAFETY: the layout is not empty.
        let pointer = NonNull::new(unsafe { if bytes < HUGE { alloc_zeroed(layout) } else { alloc(layout) } })?;
        if bytes >= HUGE {
            // Before the first touch, which decides the pages.
            ask_for_huge_pages(pointer, bytes);
            // SAFETY: so many bytes were allocated.
            unsafe { pointer.write_bytes(0, bytes) };
        }
        Some(Arena { pointer, bytes })
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn pointer(&self) -> *mut u8 {
        self.pointer.as_ptr()
    }

    /// `len` elements that begin at byte `offset`, a multiple of their size.
    pub fn read(&self, offset: usize, len: usize, dtype: DType) -> Data<'_> {
        self.check(offset, len, dtype);
        // SAFETY: inside the arena, aligned, and only shared references to it are left.
        unsafe { Data::at(self.pointer().add(offset), len, dtype) }
    }

    /// The same, to write to.
    pub fn write(&mut self, offset: usize, len: usize, dtype: DType) -> DataMut<'_> {
        self.check(offset, len, dtype);
        // SAFETY: inside the arena, aligned, borrowed alone, and any bits are a number.
        unsafe {
            let first = self.pointer().add(offset);
            match dtype {
                DType::F32 => DataMut::F32(std::slice::from_raw_parts_mut(first.cast(), len)),
                DType::F64 => DataMut::F64(std::slice::from_raw_parts_mut(first.cast(), len)),
                DType::Index => DataMut::Index(std::slice::from_raw_parts_mut(first.cast(), len)),
                DType::Bool => DataMut::Bool(std::slice::from_raw_parts_mut(first, len)),
                DType::Bf16 => unreachable!("no node of a graph is stored with sixteen bits, see `compile`"),
            }
        }
    }

    fn check(&self, offset: usize, len: usize, dtype: DType) {
        let end = len.checked_mul(dtype.size()).and_then(|bytes| offset.checked_add(bytes));
        assert!(offset.is_multiple_of(64) && end.is_some_and(|end| end <= self.bytes), "a tensor lies in its arena");
    }
}

impl Clone for Arena {
    fn clone(&self) -> Self {
        let copy = Arena::new(self.bytes);
        // SAFETY: both have so many bytes, and the copy is new.
        unsafe { std::ptr::copy_nonoverlapping(self.pointer(), copy.pointer(), self.bytes) };
        copy
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.pointer(), layout(self.bytes)) };
    }
}

/// The size of a huge page on most systems. Memory in small ones costs a walk through tables every few rows of a tensor,
/// and the processor reads ahead to the end of a page only.
const HUGE: usize = 2 << 20;

/// A hint; without it, or where the system has no such pages, all works as well, but slower.
fn ask_for_huge_pages(pointer: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: whole pages inside an allocation; the advice does not change what they hold.
    unsafe {
        libc::madvise(pointer.as_ptr().cast(), bytes / HUGE * HUGE, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (pointer, bytes);
}

fn layout(bytes: usize) -> Layout {
    let align = if bytes < HUGE { 64 } else { HUGE };
    Layout::from_size_align(bytes.max(64), align).expect("a program is smaller than the address space")
}
