//! The test of the test: faults that a GPU would show as wrong numbers now and then, or not at all, show here every time.

use crate::blas::*;
use crate::compiler::*;
use crate::device::*;
use crate::driver::*;
use std::ffi::{CStr, CString, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The device is one, and once broken it stays so: each test has it for itself and fresh.
fn fresh() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    with(|device| *device = Device::default());
    alone
}

const WORDS: &str =
    "#include \"host.h\"\n#define KERNEL(threads) extern \"C\" __global__ void __launch_bounds__(threads)\n";

/// A kernel of a text, loaded.
fn kernel(text: &str) -> usize {
    let text = CString::new(format!("{WORDS}{text}")).unwrap();
    let (mut program, mut size, mut module, mut function) = (0, 0, 0, 0);
    let null = std::ptr::null();
    unsafe {
        nvrtcCreateProgram(&mut program, text.as_ptr(), c"k".as_ptr(), 0, null, null);
        assert_eq!(nvrtcCompileProgram(program, 0, null), SUCCESS);
        nvrtcGetCUBINSize(program, &mut size);
        let mut image = vec![0u8; size];
        nvrtcGetCUBIN(program, image.as_mut_ptr());
        let nothing = std::ptr::null_mut();
        assert_eq!(cuModuleLoadDataEx(&mut module, image.as_ptr(), 0, std::ptr::null_mut(), nothing), SUCCESS);
        assert_eq!(cuModuleGetFunction(&mut function, module, c"k".as_ptr()), SUCCESS);
    }
    function
}

fn stream() -> usize {
    let mut stream = 0;
    unsafe { cuStreamCreate(&mut stream, 1) };
    stream
}

fn memory(floats: usize) -> u64 {
    let mut at = 0;
    assert_eq!(unsafe { cuMemAlloc_v2(&mut at, 4 * floats) }, SUCCESS);
    at
}

/// Gives a launch over one operand to a stream.
fn launch(kernel: usize, stream: usize, [blocks, threads]: [u32; 2], operand: u64) -> Code {
    let mut operand = operand;
    let mut places = [std::ptr::from_mut(&mut operand).cast::<c_void>()];
    unsafe {
        cuLaunchKernel(kernel, blocks, 1, 1, threads, 1, 1, 4096, stream, places.as_mut_ptr(), std::ptr::null_mut())
    }
}

fn read(at: u64, floats: usize, stream: usize) -> Vec<f32> {
    let mut values = vec![0.0f32; floats];
    assert_eq!(cuMemcpyDtoHAsync_v2(values.as_mut_ptr().cast(), at, 4 * floats, stream), SUCCESS);
    assert_eq!(cuStreamSynchronize(stream), SUCCESS);
    values
}

/// What the device says after a kernel over 64 threads.
fn sentence(text: &str) -> String {
    let (kernel, stream, at) = (kernel(text), stream(), memory(64));
    assert_eq!(launch(kernel, stream, [1, 64], at), SUCCESS);
    assert_eq!(cuStreamSynchronize(stream), LAUNCH_FAILED);
    let mut text = std::ptr::null();
    unsafe { cuGetErrorString(LAUNCH_FAILED, &mut text) };
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Reverses the numbers of a block through shared memory, with or without the barrier that this takes.
fn reversed(barrier: &str) -> Vec<f32> {
    let (kernel, stream, at) = (
        kernel(&format!(
            "KERNEL(64) k(float* x) {{ DYNAMIC_SHARED(memory); float* m = (float*)memory; const int i = threadIdx.x;\n\
             m[i] = i; {barrier} x[i] = m[63 - i]; }}\n"
        )),
        stream(),
        memory(64),
    );
    assert_eq!(launch(kernel, stream, [1, 64], at), SUCCESS);
    read(at, 64, stream)
}

#[test]
fn a_missing_barrier_gives_wrong_numbers() {
    let _alone = fresh();
    let expected: Vec<f32> = (0..64).rev().map(|i| i as f32).collect();
    assert_eq!(reversed("__syncthreads();"), expected);
    let wrong = reversed("");
    // Shared memory is not what it was before.
    assert!(wrong != expected && wrong.iter().any(|x| x.is_nan()), "{wrong:?}");
}

#[test]
fn a_barrier_that_some_threads_miss_is_told() {
    let _alone = fresh();
    let text = sentence("KERNEL(64) k(float* x) { if (threadIdx.x == 40) return; __syncthreads(); x[0] = 1; }\n");
    assert_eq!(text, "block (0, 0, 0): threads wait at a barrier that thread 40, which has returned, misses");
}

#[test]
fn two_barriers_are_not_one() {
    let _alone = fresh();
    let text = sentence(
        "KERNEL(64) k(float* x) {\nif (threadIdx.x < 32) __syncthreads();\nelse __syncthreads();\nx[0] = 1; }\n",
    );
    assert!(text.contains("waits at the barrier of line"), "{text}");
}

#[test]
fn lanes_that_do_not_come_are_told() {
    let _alone = fresh();
    let absent = "KERNEL(64) k(float* x) { if (threadIdx.x % 32 == 7) return; x[0] = __shfl_sync(~0u, 1.0f, 0); }\n";
    let told = sentence(absent);
    assert!(told.ends_with("waits for lane 7, which has returned or never was"), "{told}");
    with(|device| *device = Device::default());
    let apart = "KERNEL(64) k(float* x) { const int i = threadIdx.x % 32; unsigned m = i < 16 ? 0xffffu : ~0u;\n\
                 x[threadIdx.x] = __shfl_xor_sync(m, 1.0f, 1); }\n";
    let text = sentence(apart);
    assert!(
        text.contains("different places or with different masks") || text.contains("no thread can go on"),
        "{text}"
    );
}

/// Copies numbers through shared memory in fours, of which the last is cut off, waits in this way, and turns them round.
fn copied(wait: &str) -> Vec<f32> {
    let (kernel, stream, at) = (
        kernel(&format!(
            "KERNEL(64) k(float* x) {{ DYNAMIC_SHARED(memory); float* m = (float*)memory; const int i = threadIdx.x;\n\
             x[i] = i; __syncthreads(); if (i < 16) copy_async(m + 4 * i, x + 4 * i, 12); copies_commit(); {wait}\n\
             __syncthreads(); x[i] = m[63 - i]; }}\n"
        )),
        stream(),
        memory(64),
    );
    assert_eq!(launch(kernel, stream, [1, 64], at), SUCCESS);
    read(at, 64, stream)
}

#[test]
fn a_copy_that_nobody_has_waited_for_is_nan() {
    let _alone = fresh();
    // What lies behind the valid bytes is 0.
    let expected: Vec<f32> = (0..64).rev().map(|i| if i % 4 == 3 { 0.0 } else { i as f32 }).collect();
    assert_eq!(copied("copies_wait<0>();"), expected);
    assert!(copied("copies_wait<1>();").iter().all(|x| x.is_nan()));
}

#[test]
fn what_matrix_units_take_begins_at_multiples_of_16_bytes() {
    let _alone = fresh();
    let text = sentence("KERNEL(64) k(float* x) { DYNAMIC_SHARED(memory); copy_async(memory + 16, x + 1, 16); }\n");
    assert!(text.ends_with("a copy of 16 bytes begins elsewhere than at a multiple of 16"), "{text}");
    with(|device| *device = Device::default());
    let text =
        sentence("KERNEL(64) k(float* x) { DYNAMIC_SHARED(memory); uint32_t r[4]; load_matrices(r, memory + 8); }\n");
    assert!(text.ends_with("a row of a matrix begins elsewhere than at a multiple of 16 bytes"), "{text}");
}

#[test]
fn what_nobody_has_written_is_nan() {
    let _alone = fresh();
    let (kernel, stream, at) =
        (kernel("KERNEL(64) k(float* x) { if (threadIdx.x < 63) x[threadIdx.x] = 1; }\n"), stream(), memory(64));
    assert_eq!(launch(kernel, stream, [1, 64], at), SUCCESS);
    let values = read(at, 64, stream);
    assert!(values[..63].iter().all(|&x| x == 1.0) && values[63].is_nan());
}

#[test]
fn streams_wait_for_nobody() {
    let _alone = fresh();
    let kernel = kernel("KERNEL(64) k(float* x) { x[threadIdx.x] = x[threadIdx.x] + 1; }\n");
    let (first, second, at) = (stream(), stream(), memory(64));
    let ones = [1.0f32; 64];
    assert_eq!(unsafe { cuMemcpyHtoDAsync_v2(at, ones.as_ptr().cast(), 256, first) }, SUCCESS);
    // Nothing orders the kernel behind the copy.
    assert_eq!(launch(kernel, second, [1, 64], at), SUCCESS);
    assert!(read(at, 64, second).iter().all(|x| x.is_nan()));
    assert_eq!(read(at, 64, first), ones);
}

#[test]
fn pinned_memory_that_changes_too_early_shows() {
    let _alone = fresh();
    let (stream, at) = (stream(), memory(1));
    let mut pinned = std::ptr::null_mut();
    unsafe {
        cuMemHostAlloc(&mut pinned, 4, 0);
        *pinned.cast::<f32>() = 1.0;
        assert_eq!(cuMemcpyHtoDAsync_v2(at, pinned, 4, stream), SUCCESS);
        *pinned.cast::<f32>() = 2.0;
        assert_eq!(read(at, 1, stream), [2.0]);
        cuMemFreeHost(pinned);
    }
}

#[test]
fn a_recording_refuses_what_a_driver_refuses() {
    let _alone = fresh();
    let stream = stream();
    assert_eq!(cuStreamBeginCapture_v2(stream, 1), SUCCESS);
    let mut at = 0;
    assert_eq!(unsafe { cuMemAlloc_v2(&mut at, 16) }, CAPTURE_UNSUPPORTED);
    assert_eq!(cuStreamSynchronize(stream), CAPTURE_UNSUPPORTED);
    let mut graph = 0;
    assert_eq!(unsafe { cuStreamEndCapture(stream, &mut graph) }, SUCCESS);
    assert_eq!(cuStreamSynchronize(stream), SUCCESS);
}

#[test]
fn copies_stay_inside_their_memory_and_launches_inside_their_limits() {
    let _alone = fresh();
    let (kernel, stream, at) = (kernel("KERNEL(64) k(float* x) { x[0] = 1; }\n"), stream(), memory(4));
    assert_eq!(cuMemsetD8Async(at, 0, 17, stream), ILLEGAL_ADDRESS);
    assert_eq!(launch(kernel, stream, [1, 2048], at), INVALID_VALUE);
    assert_eq!(launch(kernel, stream, [0, 64], at), INVALID_VALUE);
    let (mut large, mut free, mut total) = (0, 0, 0);
    assert_eq!(unsafe { cuMemAlloc_v2(&mut large, MEMORY) }, OUT_OF_MEMORY);
    unsafe { cuMemGetInfo_v2(&mut free, &mut total) };
    assert_eq!((free, total), (MEMORY - 16, MEMORY));
}

/// A product of 2 × 3 by 3 × 2 matrices in columns over memory of 64 floats, as far as nothing is wrong with it.
struct Product {
    handle: usize,
    description: usize,
    layouts: [usize; 3],
    places: [u64; 3],
    workspace: u64,
    scales: [f32; 2],
    algorithm: [u64; 8],
    stream: usize,
}

impl Product {
    fn new() -> Self {
        let (stream, at, workspace) = (stream(), memory(64), memory(1024));
        let values: Vec<f32> = (0..64).map(|i| if i < 32 { i as f32 } else { f32::NAN }).collect();
        assert_eq!(unsafe { cuMemcpyHtoDAsync_v2(at, values.as_ptr().cast(), 256, stream) }, SUCCESS);
        let (mut handle, mut description, mut layouts) = (0, 0, [0; 3]);
        unsafe {
            assert_eq!(cublasLtCreate(&mut handle), SUCCESS);
            assert_eq!(cublasLtMatmulDescCreate(&mut description, 68, 0), SUCCESS);
            for (layout, [rows, columns]) in layouts.iter_mut().zip([[2, 3], [3, 2], [2, 2]]) {
                assert_eq!(cublasLtMatrixLayoutCreate(layout, 0, rows, columns, rows as i64), SUCCESS);
            }
        }
        let places = [at, at + 32, at + 128];
        let mut product =
            Product { handle, description, layouts, places, workspace, scales: [1.0, 0.0], algorithm: [0; 8], stream };
        assert_eq!(product.ask(16), SUCCESS);
        product
    }

    /// Asks for an algorithm for matrices that begin at multiples of so many bytes.
    fn ask(&mut self, aligned: u32) -> Code {
        let (mut wish, mut found) = (0, 0);
        let mut answer = Answer { algorithm: [0; 8], workspace: 0, state: 0, waves: 0.0, reserved: [0; 4] };
        let Product { handle, description, layouts: [a, b, c], .. } = *self;
        unsafe {
            cublasLtMatmulPreferenceCreate(&mut wish);
            let bytes = 4096u64;
            cublasLtMatmulPreferenceSetAttribute(wish, 1, (&raw const bytes).cast(), 8);
            for attribute in 5..=8 {
                cublasLtMatmulPreferenceSetAttribute(wish, attribute, (&raw const aligned).cast(), 4);
            }
            let code =
                cublasLtMatmulAlgoGetHeuristic(handle, description, a, b, c, c, wish, 1, &mut answer, &mut found);
            self.algorithm = answer.algorithm;
            code
        }
    }

    fn run(&self) -> Code {
        let Product { handle, description, layouts: [la, lb, lc], places: [a, b, c], ref scales, workspace, .. } =
            *self;
        let scale = |i: usize| (&raw const scales[i]).cast();
        unsafe {
            let algorithm = &raw const self.algorithm;
            cublasLtMatmul(
                handle,
                description,
                scale(0),
                a,
                la,
                b,
                lb,
                scale(1),
                c,
                lc,
                c,
                lc,
                algorithm,
                workspace,
                4096,
                self.stream,
            )
        }
    }
}

#[test]
fn a_product_is_one_and_what_is_wrong_with_it_is_told() {
    let _alone = fresh();
    let mut product = Product::new();
    // [0 2 4; 1 3 5] · [8 11; 9 12; 10 13]; what was there, NaN, is not read.
    assert_eq!(product.run(), SUCCESS);
    assert_eq!(read(product.places[2], 4, product.stream), [58.0, 85.0, 76.0, 112.0]);
    product.scales = [1.0, 1.0];
    assert_eq!(product.run(), SUCCESS);
    assert_eq!(read(product.places[2], 4, product.stream), [116.0, 170.0, 152.0, 224.0]);

    let good = [product.handle, product.description, product.layouts[1]];
    product.handle = 0;
    assert_eq!(product.run(), NOT_INITIALIZED);
    (product.handle, product.description) = (good[0], product.layouts[0]);
    assert_eq!(product.run(), MALFORMED);
    (product.description, product.layouts[1]) = (good[1], product.layouts[0]);
    assert_eq!(product.run(), MALFORMED, "2 × 3 by 2 × 3");
    assert_eq!(product.ask(16), MALFORMED);
    product.layouts[1] = good[2];
    // The algorithm was chosen for addresses that are multiples of 16 bytes.
    product.places[1] += 4;
    assert_eq!(product.run(), MALFORMED);
    assert_eq!(product.ask(4), SUCCESS);
    assert_eq!(product.run(), SUCCESS);
    // Beyond the memory.
    product.places[2] += 120;
    assert_eq!(product.run(), EXECUTION_FAILED);
}

#[test]
fn columns_that_overlap_and_sizes_of_attributes_are_told() {
    let _alone = fresh();
    let mut product = Product::new();
    unsafe { cublasLtMatrixLayoutCreate(&mut product.layouts[0], 0, 2, 3, 1) };
    assert_eq!(product.ask(4), MALFORMED);
    let batch = 1i64;
    let code = unsafe { cublasLtMatrixLayoutSetAttribute(product.layouts[1], 5, (&raw const batch).cast(), 8) };
    assert_eq!(code, MALFORMED, "the number of products is a 32-bit number");
}

#[test]
fn a_product_spoils_its_workspace_and_can_be_recorded() {
    let _alone = fresh();
    let product = Product::new();
    let (mut graph, mut exec, mut handle) = (0, 0, 0);
    assert_eq!(cuStreamBeginCapture_v2(product.stream, 1), SUCCESS);
    assert_eq!(product.run(), SUCCESS);
    assert_eq!(unsafe { cublasLtCreate(&mut handle) }, ALLOCATION_FAILED);
    unsafe {
        cuStreamEndCapture(product.stream, &mut graph);
        cuGraphInstantiateWithFlags(&mut exec, graph, 0);
    }
    let zeros = cuMemsetD8Async(product.workspace, 0, 4096, product.stream);
    assert_eq!((zeros, cuGraphLaunch(exec, product.stream)), (SUCCESS, SUCCESS));
    assert!(read(product.workspace, 1024, product.stream).iter().all(|x| x.is_nan()));
    assert_eq!(read(product.places[2], 4, product.stream), [58.0, 85.0, 76.0, 112.0]);
}
