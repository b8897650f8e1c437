//! What the driver owns, each with its end, and every call checked.

use super::blas::Blas;
use super::library::Driver;
use super::nvrtc::{Compiler, Image, Target};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A device, opened: all that follows is made on it.
pub struct Context {
    driver: Driver,
    ordinal: c_int,
    handle: usize,
    name: String,
    capability: [i32; 2],
    bytes: usize,
    shared: usize,
    folders: Vec<PathBuf>,
    /// Found when kernels are first compiled.
    compiler: OnceLock<Result<Compiler, String>>,
    /// Found when a product is first planned.
    blas: OnceLock<Option<Blas>>,
}

/// Attributes of devices and functions, by the driver's numbers.
const MAJOR: c_int = 75;
const MINOR: c_int = 76;
const MOST_SHARED: c_int = 8;
const SHARED_OF_BLOCK: c_int = 97;
/// The shared memory that a kernel has without asking.
const SHARED: u32 = 48 << 10;

impl Context {
    /// Opens a device by its number, with libraries from these folders first.
    ///
    /// # Errors
    /// A sentence, if there is no driver or no such device.
    pub fn open(ordinal: usize, folders: &[PathBuf]) -> Result<Arc<Self>, String> {
        let driver = Driver::find(folders)?;
        let [mut device, mut count, mut major, mut minor, mut shared] = [0; 5];
        let (mut handle, mut bytes) = (0, 0);
        let mut name = [0 as c_char; 128];
        // SAFETY: places to write to; a name is as long as it may be.
        unsafe {
            check(&driver, (driver.cuInit)(0), "the driver cannot begin")?;
            check(&driver, (driver.cuDeviceGetCount)(&raw mut count), "devices cannot be counted")?;
            if usize::try_from(count).is_ok_and(|count| ordinal >= count) {
                let many = if count == 1 { "is 1 device".into() } else { format!("are {count} devices") };
                return Err(format!("there is no CUDA device {ordinal}: there {many}, counted from 0"));
            }
            let number = c_int::try_from(ordinal).map_err(|_| format!("there is no CUDA device {ordinal}"))?;
            check(&driver, (driver.cuDeviceGet)(&raw mut device, number), "the device cannot be opened")?;
            check(&driver, (driver.cuDeviceGetName)(name.as_mut_ptr(), 128, device), "the device has no name")?;
            for (to, attribute) in [(&mut major, MAJOR), (&mut minor, MINOR), (&mut shared, SHARED_OF_BLOCK)] {
                check(&driver, (driver.cuDeviceGetAttribute)(to, attribute, device), "the device has no capability")?;
            }
            check(&driver, (driver.cuDeviceTotalMem_v2)(&raw mut bytes, device), "the device tells no memory")?;
            check(&driver, (driver.cuDevicePrimaryCtxRetain)(&raw mut handle, device), "the device cannot be used")?;
            let name = CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned();
            Ok(Arc::new(Context {
                driver,
                ordinal: device,
                handle,
                name,
                capability: [major, minor],
                bytes,
                shared: usize::try_from(shared).unwrap_or(0),
                folders: folders.to_vec(),
                compiler: OnceLock::new(),
                blas: OnceLock::new(),
            }))
        }
    }

    /// What the vendor calls the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The compute capability.
    pub fn capability(&self) -> [i32; 2] {
        self.capability
    }

    /// The bytes of its memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes that the threads of a block may share.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// The version of the driver's interface, as 13 and 0.
    pub fn driver_version(&self) -> [i32; 2] {
        let mut version = 0;
        // SAFETY: a place to write to.
        unsafe { (self.driver.cuDriverGetVersion)(&raw mut version) };
        [version / 1000, version % 1000 / 10]
    }

    /// The compiler of kernels.
    ///
    /// # Errors
    /// A sentence, if it is missing.
    pub fn compiler(&self) -> Result<&Compiler, String> {
        self.compiler.get_or_init(|| Compiler::find(&self.folders)).as_ref().map_err(Clone::clone)
    }

    /// The library of products, if there is one that serves this device.
    pub fn blas(&self) -> Option<&Blas> {
        self.blas.get_or_init(|| self.enter().ok().and_then(|()| Blas::find(&self.folders))).as_ref()
    }

    /// Compiles kernels for this device and loads them.
    ///
    /// # Errors
    /// A sentence, if the compiler is missing or the driver refuses its code.
    pub fn module(self: &Arc<Self>, text: &str, flush: bool) -> Result<Module, String> {
        let Image { code, .. } =
            self.compiler()?.compile(text, Target { capability: self.capability, flush }, false)?;
        self.enter()?;
        let mut handle = 0;
        let null = std::ptr::null_mut();
        // SAFETY: an image of the compiler.
        let code =
            unsafe { (self.driver.cuModuleLoadDataEx)(&raw mut handle, code.as_ptr(), 0, null, std::ptr::null_mut()) };
        self.check(code, "the kernels cannot be loaded")?;
        Ok(Module { context: Arc::clone(self), handle })
    }

    /// Makes the device that of this thread, as every call needs.
    ///
    /// # Errors
    /// What the driver says.
    pub fn enter(&self) -> Result<(), String> {
        // SAFETY: a context of the driver.
        self.check(unsafe { (self.driver.cuCtxSetCurrent)(self.handle) }, "the device cannot be used")
    }

    fn check(&self, code: c_int, what: &str) -> Result<(), String> {
        check(&self.driver, code, what)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.ordinal)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.blas.take();
        // SAFETY: it was retained, and nothing of it is left.
        unsafe { (self.driver.cuDevicePrimaryCtxRelease_v2)(self.ordinal) };
    }
}

/// An error of the driver, in its own words.
fn check(driver: &Driver, code: c_int, what: &str) -> Result<(), String> {
    if code == 0 {
        return Ok(());
    }
    let mut text = std::ptr::null();
    // SAFETY: a place to write to; the driver's texts live as long as it does.
    let text = unsafe {
        (driver.cuGetErrorString)(code, &raw mut text);
        if text.is_null() { "unknown".into() } else { CStr::from_ptr(text).to_string_lossy() }
    };
    Err(format!("{what}: the CUDA driver says: {text} (error {code})"))
}

/// Memory of the device.
#[derive(Debug)]
pub struct Memory {
    context: Arc<Context>,
    at: u64,
    bytes: usize,
}

impl Memory {
    /// So many bytes, which hold anything.
    ///
    /// # Errors
    /// A sentence, if there are not so many.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, String> {
        context.enter()?;
        let mut at = 0;
        const OUT_OF_MEMORY: c_int = 2;
        // SAFETY: a place to write to.
        let code = unsafe { (context.driver.cuMemAlloc_v2)(&raw mut at, bytes.max(1)) };
        if code == OUT_OF_MEMORY {
            let (mut free, mut total) = (0, 0);
            // SAFETY: two places to write to.
            unsafe { (context.driver.cuMemGetInfo_v2)(&raw mut free, &raw mut total) };
            return Err(format!(
                "{} has no {bytes} bytes left: {free} of its {total} bytes are free; take a smaller batch, or a smaller net",
                context.name
            ));
        }
        context.check(code, "memory of the device cannot be had")?;
        Ok(Memory { context: Arc::clone(context), at, bytes })
    }

    /// The address of its first byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated, and whoever uses it has waited.
        unsafe {
            (self.context.driver.cuCtxSetCurrent)(self.context.handle);
            (self.context.driver.cuMemFree_v2)(self.at);
        }
    }
}

/// Memory of the host that the device reads and writes by itself.
#[derive(Debug)]
pub struct Pinned {
    context: Arc<Context>,
    at: *mut u8,
}

// SAFETY: it owns its memory, as a `Vec` does.
unsafe impl Send for Pinned {}
// SAFETY: shared references only read.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// So many bytes of zeros, on a page.
    ///
    /// # Errors
    /// A sentence, if the system has not so many.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, String> {
        context.enter()?;
        let mut at = std::ptr::null_mut();
        // SAFETY: a place to write to.
        let code = unsafe { (context.driver.cuMemHostAlloc)(&raw mut at, bytes.max(1), 0) };
        context.check(code, &format!("the host has no {bytes} bytes that the device could read"))?;
        // SAFETY: so many bytes were allocated.
        unsafe { at.cast::<u8>().write_bytes(0, bytes) };
        Ok(Pinned { context: Arc::clone(context), at: at.cast() })
    }

    /// Its first byte.
    pub fn pointer(&self) -> *mut u8 {
        self.at
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: it was allocated, and the device has done with it.
        unsafe {
            (self.context.driver.cuCtxSetCurrent)(self.context.handle);
            (self.context.driver.cuMemFreeHost)(self.at.cast());
        }
    }
}

/// Work in order.
#[derive(Debug)]
pub struct Stream {
    context: Arc<Context>,
    handle: usize,
}

impl Stream {
    /// A stream without work, which waits for no other.
    ///
    /// # Errors
    /// What the driver says.
    pub fn new(context: &Arc<Context>) -> Result<Self, String> {
        const NON_BLOCKING: u32 = 1;
        context.enter()?;
        let mut handle = 0;
        // SAFETY: a place to write to.
        let code = unsafe { (context.driver.cuStreamCreate)(&raw mut handle, NON_BLOCKING) };
        context.check(code, "no stream of work can be made")?;
        Ok(Stream { context: Arc::clone(context), handle })
    }

    /// The device.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn handle(&self) -> usize {
        self.handle
    }

    /// Begins to copy bytes to the device.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// There is memory for so many bytes at both addresses; if it is pinned, nobody changes it before the stream was waited
    /// for.
    pub unsafe fn upload(&self, to: u64, from: *const u8, bytes: usize) -> Result<(), String> {
        let driver = &self.context.driver;
        // SAFETY: as the caller says. Memory that is not pinned is read before the call returns.
        let code = unsafe { (driver.cuMemcpyHtoDAsync_v2)(to, from.cast(), bytes, self.handle) };
        self.context.check(code, "numbers cannot be copied to the device")
    }

    /// Begins to copy bytes from the device, which are there after [`Stream::wait`].
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// There is memory for so many bytes at both addresses, which nobody else uses before the stream was waited for.
    pub unsafe fn download(&self, to: *mut u8, from: u64, bytes: usize) -> Result<(), String> {
        // SAFETY: as the caller says.
        let code = unsafe { (self.context.driver.cuMemcpyDtoHAsync_v2)(to.cast(), from, bytes, self.handle) };
        self.context.check(code, "numbers cannot be copied from the device")
    }

    /// Copies bytes within the device.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// There is memory of the device at both addresses; the parts do not overlap.
    pub unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), String> {
        // SAFETY: as the caller says.
        let code = unsafe { (self.context.driver.cuMemcpyDtoDAsync_v2)(to, from, bytes, self.handle) };
        self.context.check(code, "numbers cannot be copied on the device")
    }

    /// Sets bytes to zero.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// There is memory of the device for so many bytes at the address.
    pub unsafe fn clear(&self, at: u64, bytes: usize) -> Result<(), String> {
        // SAFETY: as the caller says.
        let code = unsafe { (self.context.driver.cuMemsetD8Async)(at, 0, bytes, self.handle) };
        self.context.check(code, "memory of the device cannot be cleared")
    }

    /// Writes a number.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// The address is one of the device's, and a multiple of four.
    pub unsafe fn write(&self, at: u64, value: u32) -> Result<(), String> {
        // SAFETY: as the caller says.
        let code = unsafe { (self.context.driver.cuMemsetD32Async)(at, value, 1, self.handle) };
        self.context.check(code, "a number cannot be written on the device")
    }

    /// Launches a kernel in so many blocks of so many threads, which share so many bytes.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// The arguments are those of the kernel, each in up to eight bytes, but that so many at the end are one table; addresses
    /// are those of memory that holds what the kernel takes it to hold.
    pub unsafe fn launch(
        &self,
        kernel: &Function,
        [grid, block, shared]: [u32; 3],
        arguments: &mut [u64],
        table: usize,
    ) -> Result<(), String> {
        let mut places = [std::ptr::null_mut::<c_void>(); MOST_ARGUMENTS];
        assert!(arguments.len() <= MOST_ARGUMENTS, "the printer bounds the arguments of a kernel");
        let single = arguments.len() - table;
        // One place more leads to all of the table.
        for (number, place) in places[..single + table.min(1)].iter_mut().enumerate() {
            *place = arguments.as_mut_ptr().wrapping_add(number).cast();
        }
        let Function(handle) = *kernel;
        // SAFETY: as the caller says.
        let code = unsafe {
            let (places, null) = (places.as_mut_ptr(), std::ptr::null_mut());
            (self.context.driver.cuLaunchKernel)(handle, grid, 1, 1, block, 1, 1, shared, self.handle, places, null)
        };
        self.context.check(code, "a kernel cannot be launched")
    }

    /// What `work` gives the stream, to be run as one.
    ///
    /// # Errors
    /// Those of `work`, and what the driver says.
    pub fn capture<E: From<String>>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<Graph, E> {
        /// Other threads may do what they want meanwhile.
        const THREAD_LOCAL: u32 = 1;
        let driver = &self.context.driver;
        let (mut graph, mut handle) = (0, 0);
        // SAFETY: a stream of the driver, and places to write to; the graph is given back.
        unsafe {
            let code = (driver.cuStreamBeginCapture_v2)(self.handle, THREAD_LOCAL);
            self.context.check(code, "the work of a step cannot be recorded")?;
            let done = work();
            let code = (driver.cuStreamEndCapture)(self.handle, &raw mut graph);
            done?;
            self.context.check(code, "the work of a step cannot be recorded")?;
            let code = (driver.cuGraphInstantiateWithFlags)(&raw mut handle, graph, 0);
            (driver.cuGraphDestroy)(graph);
            self.context.check(code, "the work of a step cannot be made ready")?;
        }
        Ok(Graph { context: Arc::clone(&self.context), handle })
    }

    /// Launches work that was captured.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// All addresses of the work are still those of the memory that it was captured for.
    pub unsafe fn replay(&self, graph: &Graph) -> Result<(), String> {
        // SAFETY: as the caller says.
        let code = unsafe { (self.context.driver.cuGraphLaunch)(graph.handle, self.handle) };
        self.context.check(code, "a step cannot be launched")
    }

    /// Waits until all work is done.
    ///
    /// # Errors
    /// What the driver says, of any work before.
    pub fn wait(&self) -> Result<(), String> {
        // SAFETY: a stream of the driver.
        let code = unsafe { (self.context.driver.cuStreamSynchronize)(self.handle) };
        self.context.check(code, "the device has failed")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: it was made by the driver.
        unsafe {
            (self.context.driver.cuCtxSetCurrent)(self.context.handle);
            (self.context.driver.cuStreamDestroy_v2)(self.handle);
        }
    }
}

/// Work that was captured.
#[derive(Debug)]
pub struct Graph {
    context: Arc<Context>,
    handle: usize,
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: it was made by the driver, and its last launch has ended.
        unsafe {
            (self.context.driver.cuCtxSetCurrent)(self.context.handle);
            (self.context.driver.cuGraphExecDestroy)(self.handle);
        }
    }
}

/// The most arguments of a kernel: 4 KiB, as every device takes them.
pub const MOST_ARGUMENTS: usize = 512;

/// Loaded kernels.
#[derive(Debug)]
pub struct Module {
    context: Arc<Context>,
    handle: usize,
}

/// A kernel of a module, to be used while that lives.
#[derive(Clone, Copy, Debug)]
pub struct Function(usize);

impl Module {
    /// A kernel by its name, for launches whose threads share at most so many bytes.
    ///
    /// # Errors
    /// What the driver says.
    pub fn function(&self, name: &str, shared: u32) -> Result<Function, String> {
        self.context.enter()?;
        let driver = &self.context.driver;
        let mut handle = 0;
        let symbol = CString::new(name).map_err(|_| "the name of a kernel holds a zero".to_owned())?;
        // SAFETY: a module of the driver.
        let code = unsafe { (driver.cuModuleGetFunction)(&raw mut handle, self.handle, symbol.as_ptr()) };
        self.context.check(code, &format!("the kernel `{name}` is not there"))?;
        if shared > SHARED {
            // SAFETY: a function of the driver.
            let code = unsafe { (driver.cuFuncSetAttribute)(handle, MOST_SHARED, shared as c_int) };
            self.context.check(code, &format!("the kernel `{name}` has no {shared} bytes of shared memory"))?;
        }
        Ok(Function(handle))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: it was loaded, and its kernels have ended.
        unsafe {
            (self.context.driver.cuCtxSetCurrent)(self.context.handle);
            (self.context.driver.cuModuleUnload)(self.handle);
        }
    }
}
