//! The steady loop of a training allocates next to nothing (under 4 KiB a step in all, and no block of 4 KiB or more),
//! and what it holds is what was announced.

use ansatz::data::digits;
use ansatz::engine::State;
use ansatz::engine::compile;
use ansatz::grad::grad;
use ansatz::graph::{Binary, DType, Distribution, Graph, StateKind, Unary};
use ansatz::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counted.
struct Counted;

static TOTAL: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Only one test counts at a time: other threads would be counted too.
static COUNTING: Mutex<()> = Mutex::new(());

fn count(bytes: usize) {
    TOTAL.fetch_add(bytes, Ordering::Relaxed);
    LARGEST.fetch_max(bytes, Ordering::Relaxed);
    LIVE.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

net! {
    pub dim Pixels = 64;
    pub dim Digit = 10;

    pub net Risk(x: [n, Pixels], y: [n] in Digit) -> [] {
        cross_entropy(x |> fc1: linear(512) |> relu |> dropout(0.1) |> fc2: linear(512) |> relu |> fc3: linear(Digit), y)
    }
}

/// Batches of two sizes, with all that a trainer can do.
#[test]
fn a_steady_training_allocates_next_to_nothing() {
    let _alone = COUNTING.lock();
    let digits = digits::<Pixels, Digit, f32>().expect("the embedded digits");
    let builder = Trainer::<Risk, f32>::builder(Risk::init(1), AdamW::new(1e-3));
    let mut trainer = builder.clip(1.0).average(0.99).accumulate(2).build().expect("well-formed");
    let rows: Vec<u32> = (0..128).collect();
    for step in 0..40 {
        let batch = if step % 4 < 2 { &rows[..] } else { &rows[..22] };
        TOTAL.store(0, Ordering::Relaxed);
        LARGEST.store(0, Ordering::Relaxed);
        trainer.step_on(&digits, batch).expect("a step");
        let (total, largest) = (TOTAL.load(Ordering::Relaxed), LARGEST.load(Ordering::Relaxed));
        // The first four steps compile both programs of both sizes.
        if step >= 4 {
            assert!(total < 4096, "step {step} allocated {total} bytes");
            assert!(largest < 4096, "step {step} allocated a block of {largest} bytes");
        }
    }
}

/// A loop in a loop and its derivative, with draws and products.
#[test]
fn steady_loops_allocate_nothing() -> Result<()> {
    let _alone = COUNTING.lock();
    let mut graph = Graph::new();
    let w = graph.state("w", StateKind::Parameter, &[64, 64], DType::F32)?;
    let first = graph.random(Distribution::Normal, 1, &[64, 64], DType::F32)?;
    let last = graph.repeat(4, &[first], |outer, body, carries| {
        let w = body.lift(outer, w);
        let inner = body.repeat(3, carries, |outer, body, carries| {
            let w = body.lift(outer, w);
            let product = body.matmul(carries[0], w, [false, true])?;
            Ok(vec![body.unary(Unary::Tanh, product)?])
        })?;
        let noise = body.random(Distribution::Uniform, 2, &[64, 64], DType::F32)?;
        Ok(vec![body.binary(Binary::Mul, inner[0], noise)?])
    })?;
    let loss = graph.sum(last[0], &[0, 1])?;
    let gradient = grad(&mut graph, loss, &[w])?;
    graph.output("gradient", gradient[0]);
    let program = compile(&graph)?;
    let state = State::new(program.states());
    let mut workspace = program.workspace(&state)?;
    // The test harness may allocate beside one of the runs.
    let mut least = usize::MAX;
    for _ in 0..8 {
        TOTAL.store(0, Ordering::Relaxed);
        program.evaluate(&state, &[], &mut workspace)?;
        least = least.min(TOTAL.load(Ordering::Relaxed));
    }
    assert_eq!(least, 0);
    Ok(())
}

#[test]
fn a_training_holds_what_it_announced() {
    let _alone = COUNTING.lock();
    let digits = digits::<Pixels, Digit, f32>().expect("the embedded digits");
    let rows: Vec<u32> = (0..128).collect();
    let model = Risk::init(1);
    let before = LIVE.load(Ordering::Relaxed);
    let mut trainer = Trainer::builder(model, AdamW::new(1e-3)).build().expect("well-formed");
    let announced = trainer.memory(&[rows.len()]).expect("the net takes any number of samples");
    for _ in 0..5 {
        trainer.step_on(&digits, &rows).expect("a step");
    }
    // The model was counted before; the trainer has dropped it.
    let model = 4 * Risk::PARAMETERS;
    let held = LIVE.load(Ordering::Relaxed) + model - before;
    let ratio = held as f64 / announced.total() as f64;
    assert!((0.9..1.1).contains(&ratio), "{held} bytes are held, announced were {announced}: {ratio:.3}");
}

/// A checkpoint with a tensor of 4 GiB that the net does not have, and one that holds the net beside it.
#[test]
fn a_foreign_tensor_is_not_read() {
    let _alone = COUNTING.lock();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("large.safetensors");
    let header = r#"{"foreign":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}"#;
    let mut begin = (header.len() as u64).to_le_bytes().to_vec();
    begin.extend(header.bytes());
    std::fs::write(&path, &begin).expect("a temporary file");
    let file = std::fs::File::options().write(true).open(&path).expect("the file");
    file.set_len(begin.len() as u64 + (4 << 30)).expect("a sparse file");
    LARGEST.store(0, Ordering::Relaxed);
    let error = ansatz::train::load::<f32, Risk>(&path).expect_err("another net").to_string();
    assert!(error.contains("`foreign` is in the file, but not in the model"), "{error}");
    assert!(LARGEST.load(Ordering::Relaxed) < 64 << 10, "{}", LARGEST.load(Ordering::Relaxed));
}

/// A checkpoint is written as it lies in memory.
#[test]
fn saving_holds_little_beside_the_model() {
    let _alone = COUNTING.lock();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("training.safetensors");
    let trainer = Trainer::<Risk, f32>::builder(Risk::init(1), AdamW::new(1e-3)).build().expect("well-formed");
    TOTAL.store(0, Ordering::Relaxed);
    trainer.save(&path).expect("it is written");
    let (written, held) = (std::fs::metadata(&path).expect("it is there").len(), TOTAL.load(Ordering::Relaxed));
    assert!(held < 64 << 10 && written > 3 << 20, "{held} bytes to write {written}");
}
