//! The functions of the driver.

use crate::device::*;
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::io::Write;
use std::sync::Mutex;

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(_: c_uint) -> Code {
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Code {
    unsafe { *version = 13000 };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Code {
    unsafe { *count = 1 };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Code {
    unsafe { *device = ordinal };
    if ordinal == 0 { SUCCESS } else { INVALID_DEVICE }
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, room: c_int, _: c_int) -> Code {
    let text = c"the processor in place of a GPU";
    unsafe { libc::strncpy(name, text.as_ptr(), room as usize) };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, _: c_int) -> Code {
    unsafe {
        *value = match attribute {
            // The compute capability.
            75 => 9,
            76 => 0,
            // Multiprocessors.
            16 => 132,
            // Shared memory of a block: at most, and without asking.
            97 => 227 << 10,
            8 => 48 << 10,
            // Threads of a block.
            1 => 1024,
            _ => 0,
        }
    };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, _: c_int) -> Code {
    unsafe { *bytes = MEMORY };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut usize, _: c_int) -> Code {
    unsafe { *context = 1 };
    SUCCESS
}
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(_: c_int) -> Code {
    SUCCESS
}
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(_: usize) -> Code {
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Code {
    unsafe { (*free, *total) = (MEMORY - with(|device| device.used()), MEMORY) };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(at: *mut u64, bytes: usize) -> Code {
    with(|device| {
        if device.captures() {
            return CAPTURE_UNSUPPORTED;
        }
        if bytes > MEMORY - device.used() {
            return OUT_OF_MEMORY;
        }
        let memory = unsafe { libc::aligned_alloc(512, bytes.next_multiple_of(512).max(512)) };
        if memory.is_null() {
            return OUT_OF_MEMORY;
        }
        // Fresh device memory holds anything: NaNs show what reads it.
        unsafe { std::ptr::write_bytes(memory.cast::<u8>(), 0xff, bytes) };
        device.memory.push((memory as usize, bytes));
        unsafe { *at = memory as u64 };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(at: u64) -> Code {
    with(|device| {
        let Some(i) = device.memory.iter().position(|&(first, _)| first == at as usize) else { return INVALID_VALUE };
        device.memory.swap_remove(i);
        unsafe { libc::free(at as *mut c_void) };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(at: *mut *mut c_void, bytes: usize, _: c_uint) -> Code {
    with(|device| {
        let memory = unsafe { libc::aligned_alloc(4096, bytes.next_multiple_of(4096).max(4096)) };
        device.pinned.push((memory as usize, bytes));
        unsafe { *at = memory };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(at: *mut c_void) -> Code {
    with(|device| device.pinned.retain(|&(first, _)| first != at as usize));
    unsafe { libc::free(at) };
    SUCCESS
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: usize) -> Code {
    with(|device| {
        let (to, from) = (to as usize, from as usize);
        if !device.holds(to, bytes) {
            return ILLEGAL_ADDRESS;
        }
        let pinned = device.pinned.iter().any(|&(first, size)| from >= first && from + bytes <= first + size);
        let work = match pinned {
            true => Work::Copy { to, from, bytes },
            false => {
                Work::Write { to, values: unsafe { std::slice::from_raw_parts(from as *const u8, bytes) }.to_vec() }
            }
        };
        device.give(stream, work)
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: usize) -> Code {
    with(|device| match device.holds(from as usize, bytes) {
        true => device.give(stream, Work::Copy { to: to as usize, from: from as usize, bytes }),
        false => ILLEGAL_ADDRESS,
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) -> Code {
    with(|device| match device.holds(from as usize, bytes) && device.holds(to as usize, bytes) {
        true => device.give(stream, Work::Copy { to: to as usize, from: from as usize, bytes }),
        false => ILLEGAL_ADDRESS,
    })
}
fn set(to: u64, pattern: &[u8], count: usize, stream: usize) -> Code {
    with(|device| match device.holds(to as usize, count * pattern.len()) {
        true => device.give(stream, Work::Set { to: to as usize, pattern: pattern.to_vec(), count }),
        false => ILLEGAL_ADDRESS,
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(to: u64, value: u8, count: usize, stream: usize) -> Code {
    set(to, &[value], count, stream)
}
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD32Async(to: u64, value: c_uint, count: usize, stream: usize) -> Code {
    if !to.is_multiple_of(4) {
        return INVALID_VALUE;
    }
    set(to, &value.to_le_bytes(), count, stream)
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut usize, _: c_uint) -> Code {
    with(|device| {
        let handle = device.handle();
        device.streams.insert(handle, Stream::default());
        unsafe { *stream = handle };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: usize) -> Code {
    with(|device| {
        device.finish(stream);
        device.streams.remove(&stream).map_or(INVALID_VALUE, |_| SUCCESS)
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: usize) -> Code {
    with(|device| match device.streams.get(&stream).is_some_and(|stream| stream.capturing.is_some()) {
        true => CAPTURE_UNSUPPORTED,
        false => device.finish(stream),
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamBeginCapture_v2(stream: usize, _: c_uint) -> Code {
    with(|device| match device.streams.get_mut(&stream) {
        Some(stream) => {
            stream.capturing = Some((std::thread::current().id(), Vec::new()));
            SUCCESS
        }
        None => INVALID_VALUE,
    })
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamEndCapture(stream: usize, graph: *mut usize) -> Code {
    with(|device| {
        let works = device.streams.get_mut(&stream).and_then(|stream| stream.capturing.take());
        let Some((_, works)) = works else { return INVALID_VALUE };
        let handle = device.handle();
        device.graphs.insert(handle, works);
        unsafe { *graph = handle };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphInstantiateWithFlags(exec: *mut usize, graph: usize, _: u64) -> Code {
    with(|device| {
        let Some(works) = device.graphs.get(&graph).cloned() else { return INVALID_VALUE };
        let handle = device.handle();
        device.graphs.insert(handle, works);
        unsafe { *exec = handle };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(exec: usize, stream: usize) -> Code {
    with(|device| match device.graphs.contains_key(&exec) {
        true => device.give(stream, Work::Graph(exec)),
        false => INVALID_VALUE,
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuGraphDestroy(graph: usize) -> Code {
    with(|device| device.graphs.remove(&graph).map_or(INVALID_VALUE, |_| SUCCESS))
}
#[unsafe(no_mangle)]
pub extern "C" fn cuGraphExecDestroy(graph: usize) -> Code {
    cuGraphDestroy(graph)
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut usize,
    image: *const u8,
    _: c_uint,
    _: *mut c_int,
    _: *mut *mut c_void,
) -> Code {
    // What the stand-in's compiler gave: its name, a length, then a shared library.
    let head = unsafe { std::slice::from_raw_parts(image, 16) };
    let Some(&length) = head[8..].first_chunk::<8>().filter(|_| &head[..8] == b"STANDIN\0") else {
        return INVALID_IMAGE;
    };
    let library = unsafe { std::slice::from_raw_parts(image.add(16), u64::from_le_bytes(length) as usize) };
    let file = unsafe { libc::memfd_create(c"kernels".as_ptr(), 0) };
    let mut open = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(file) };
    if open.write_all(library).is_err() {
        return INVALID_IMAGE;
    }
    let path = CString::new(format!("/proc/self/fd/{file}")).unwrap_or_default();
    let loaded = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if loaded.is_null() {
        eprintln!("stand-in: {:?}", unsafe { CStr::from_ptr(libc::dlerror()) });
        return INVALID_IMAGE;
    }
    // The loader knows files by their numbers, so this one stays open as long as its library may be loaded.
    std::mem::forget(open);
    with(|device| {
        let handle = device.handle();
        device.modules.insert(handle, loaded as usize);
        unsafe { *module = handle };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: usize) -> Code {
    with(|device| device.modules.remove(&module).map_or(INVALID_VALUE, |_| SUCCESS))
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(function: *mut usize, module: usize, name: *const c_char) -> Code {
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    with(|device| {
        let Some(&library) = device.modules.get(&module) else { return INVALID_VALUE };
        let symbol = |prefix: &str| {
            let name = CString::new(format!("{prefix}{name}")).unwrap_or_default();
            unsafe { libc::dlsym(library as *mut c_void, name.as_ptr()) }
        };
        let (run, sizes) = (symbol("host_launch_"), symbol("host_sizes_"));
        if run.is_null() || sizes.is_null() {
            return NOT_FOUND;
        }
        let run: HostLaunch = unsafe { std::mem::transmute(run) };
        let sizes: unsafe extern "C" fn() -> *const usize = unsafe { std::mem::transmute(sizes) };
        let first = unsafe { sizes() };
        let sizes = (0..).map(|i| unsafe { *first.add(i) }).take_while(|&bytes| bytes > 0).collect();
        let handle = device.handle();
        device.functions.insert(handle, Function { run, parameters: sizes, most_shared: 48 << 10 });
        unsafe { *function = handle };
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: usize, attribute: c_int, value: c_int) -> Code {
    const MOST_SHARED: c_int = 8;
    with(|device| {
        let Some(function) = device.functions.get_mut(&function) else { return INVALID_VALUE };
        if attribute == MOST_SHARED {
            if value > 227 << 10 {
                return INVALID_VALUE;
            }
            function.most_shared = value;
        }
        SUCCESS
    })
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: usize,
    gx: c_uint,
    gy: c_uint,
    gz: c_uint,
    bx: c_uint,
    by: c_uint,
    bz: c_uint,
    shared: c_uint,
    stream: usize,
    parameters: *mut *mut c_void,
    _: *mut *mut c_void,
) -> Code {
    with(|device| {
        let Some(f) = device.functions.get(&function) else { return INVALID_VALUE };
        let fits = gx > 0 && gy > 0 && gz > 0 && gx < 1 << 31 && gy < 65536 && gz < 65536;
        if !fits || bx * by * bz == 0 || bx * by * bz > 1024 || shared as c_int > f.most_shared {
            return INVALID_VALUE;
        }
        // Parameters are copied now: numbers of up to eight bytes, and tables of such.
        let value = |(i, bytes): (usize, &usize)| {
            let first = unsafe { *parameters.add(i) }.cast::<u64>();
            (0..bytes.div_ceil(8)).map(|word| unsafe { first.add(word).read_unaligned() }).collect()
        };
        let values: Vec<Vec<u64>> = f.parameters.iter().enumerate().map(value).collect();
        if values.iter().map(Vec::len).sum::<usize>() > MOST_PARAMETERS / 8 {
            return INVALID_VALUE;
        }
        let (grid, block) = ([gx, gy, gz], [bx, by, bz]);
        let work = Work::Kernel { run: f.run, grid, block, shared: shared as usize, parameters: values };
        device.give(stream, work)
    })
}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(error: Code, text: *mut *const c_char) -> Code {
    static KEPT: Mutex<Option<HashSet<CString>>> = Mutex::new(None);
    let sentence =
        with(|device| device.broken.as_ref().filter(|broken| broken.0 == error).map(|broken| broken.1.clone()));
    let sentence = sentence.unwrap_or_else(|| match error {
        OUT_OF_MEMORY => "out of memory".into(),
        CAPTURE_UNSUPPORTED => "operation not permitted when stream is capturing".into(),
        _ => format!("error {error}"),
    });
    let sentence = CString::new(sentence).unwrap_or_default();
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    kept.insert(sentence.clone());
    unsafe { *text = kept.get(&sentence).map_or(c"?".as_ptr(), |kept| kept.as_ptr()) };
    SUCCESS
}
