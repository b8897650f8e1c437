//! The steady loop of a training allocates next to nothing: under 4 KiB a step in all, and no block of 4 KiB or more.

use ansatz::data::{Samples, digits};
use ansatz::optim::AdamW;
use ansatz::prelude::*;
use ansatz::train::Trainer;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counted.
struct Counted;

static TOTAL: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    TOTAL.fetch_add(bytes, Ordering::Relaxed);
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

net! {
    pub dim Pixels = 64;
    pub dim Digit = 10;

    /// On one thread.
    pub net Small(x: [n, Pixels], y: [n] in Digit) -> [] {
        cross_entropy(x |> dropout(0.1) |> fc: linear(Digit), y)
    }

    /// Products on two threads, in packed blocks.
    pub net Large(x: [n, Pixels], y: [n] in Digit) -> [] {
        cross_entropy(x |> fc1: linear(512) |> relu |> dropout(0.1) |> fc2: linear(512) |> relu |> fc3: linear(Digit), y)
    }
}

/// Trains on batches of `full` and of `part` samples, with all that a trainer can do.
fn steady<N: Net<f32>>(model: N, samples: &Samples<N::Batch>, full: usize, part: usize) {
    let builder = Trainer::<N, f32>::builder(model, AdamW::new(1e-3));
    let mut trainer = builder.clip(1.0).average(0.99).accumulate(2).build().expect("well-formed");
    let rows: Vec<u32> = (0..full as u32).collect();
    for step in 0..40 {
        let batch = if step % 4 < 2 { &rows[..] } else { &rows[..part] };
        TOTAL.store(0, Ordering::Relaxed);
        LARGEST.store(0, Ordering::Relaxed);
        trainer.step_on(samples, batch).expect("a step");
        let (total, largest) = (TOTAL.load(Ordering::Relaxed), LARGEST.load(Ordering::Relaxed));
        // The first four steps compile both programs of both sizes.
        if step >= 4 {
            assert!(total < 4096, "step {step} allocated {total} bytes");
            assert!(largest < 4096, "step {step} allocated a block of {largest} bytes");
        }
    }
}

/// The only test of this file: other threads would be counted too.
#[test]
fn a_steady_training_allocates_next_to_nothing() {
    let digits = digits::<Pixels, Digit, f32>().expect("the embedded digits");
    let samples = Samples::new(&SmallBatch { x: digits.features(), y: digits.labels() }).expect("rows of digits");
    steady(Small::init(1), &samples, 16, 5);
    let samples = Samples::new(&LargeBatch { x: digits.features(), y: digits.labels() }).expect("rows of digits");
    steady(Large::init(1), &samples, 128, 22);
}
