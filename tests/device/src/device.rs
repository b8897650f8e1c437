//! The device: memory, streams of work, and what runs when somebody waits.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::Mutex;
use std::thread::ThreadId;

/// What functions of the driver give.
pub type Code = c_int;
pub const SUCCESS: Code = 0;
pub const INVALID_VALUE: Code = 1;
pub const OUT_OF_MEMORY: Code = 2;
pub const INVALID_DEVICE: Code = 101;
pub const INVALID_IMAGE: Code = 200;
pub const NOT_FOUND: Code = 500;
pub const ILLEGAL_ADDRESS: Code = 700;
pub const LAUNCH_FAILED: Code = 719;
pub const CAPTURE_UNSUPPORTED: Code = 900;

/// The bytes of all parameters of a kernel.
pub const MOST_PARAMETERS: usize = 4096;

/// The bytes of device memory.
pub const MEMORY: usize = 4 << 30;

/// Runs all blocks of a kernel, see `HOST_KERNEL`.
pub type HostLaunch =
    unsafe extern "C" fn(*const c_uint, *const c_uint, usize, *mut *mut c_void, c_uint, *mut c_char, usize) -> c_int;

/// One piece of work that a stream was given.
#[derive(Clone)]
pub enum Work {
    Kernel {
        run: HostLaunch,
        grid: [c_uint; 3],
        block: [c_uint; 3],
        shared: usize,
        parameters: Vec<Vec<u64>>,
    },
    Copy {
        to: usize,
        from: usize,
        bytes: usize,
    },
    /// The source was read when the call was made, as the driver does with memory that is not pinned.
    Write {
        to: usize,
        values: Vec<u8>,
    },
    /// A pattern, so many times.
    Set {
        to: usize,
        pattern: Vec<u8>,
        count: usize,
    },
    Graph(usize),
    Product(Matrices),
}

/// Products of matrices in columns, `D = alpha·op(A)·op(B) + beta·D`.
#[derive(Clone, Debug)]
pub struct Matrices {
    /// The number of products, rows and columns of D, and the terms of each element.
    pub sizes: [usize; 4],
    pub transposed: [bool; 2],
    /// Elements from column to column and from matrix to matrix, of A, B and D.
    pub layouts: [[usize; 2]; 3],
    /// The types of the elements of A, B and D, as the library numbers them.
    pub types: [i32; 3],
    /// Whether factors are rounded to 11 bits.
    pub tf32: bool,
    pub places: [usize; 3],
    pub scales: [f64; 2],
    /// Memory that it may use, and its bytes.
    pub workspace: (usize, usize),
}

#[derive(Default)]
pub struct Stream {
    pub waiting: VecDeque<Work>,
    /// What is recorded, and the thread that asked for it.
    pub capturing: Option<(ThreadId, Vec<Work>)>,
}

pub struct Function {
    pub run: HostLaunch,
    /// The bytes of each.
    pub parameters: Vec<usize>,
    pub most_shared: c_int,
}

#[derive(Default)]
pub struct Device {
    /// First byte and size of each allocation.
    pub memory: Vec<(usize, usize)>,
    pub pinned: Vec<(usize, usize)>,
    pub streams: HashMap<usize, Stream>,
    pub graphs: HashMap<usize, Vec<Work>>,
    pub modules: HashMap<usize, usize>,
    pub functions: HashMap<usize, Function>,
    next: usize,
    /// Once a kernel has failed, everything fails, as on a device.
    pub broken: Option<(Code, String)>,
}

static DEVICE: Mutex<Option<Device>> = Mutex::new(None);

/// Does something with the device, alone.
pub fn with<R>(work: impl FnOnce(&mut Device) -> R) -> R {
    let mut device = DEVICE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    work(device.get_or_insert_with(Device::default))
}

impl Device {
    pub fn handle(&mut self) -> usize {
        self.next += 1;
        0x5000 + self.next
    }

    /// Whether an allocation holds so many bytes there.
    pub fn holds(&self, at: usize, bytes: usize) -> bool {
        self.memory.iter().any(|&(first, size)| at >= first && at + bytes <= first + size)
    }

    pub fn used(&self) -> usize {
        self.memory.iter().map(|(_, size)| size).sum()
    }

    /// Whether this thread records: others may do what they want meanwhile.
    pub fn captures(&self) -> bool {
        let own = |(thread, _): &(ThreadId, Vec<Work>)| *thread == std::thread::current().id();
        self.streams.values().any(|stream| stream.capturing.as_ref().is_some_and(own))
    }

    pub fn give(&mut self, stream: usize, work: Work) -> Code {
        if let Some((code, _)) = self.broken {
            return code;
        }
        let Some(stream) = self.streams.get_mut(&stream) else { return INVALID_VALUE };
        match &mut stream.capturing {
            Some((_, graph)) => graph.push(work),
            None => stream.waiting.push_back(work),
        }
        SUCCESS
    }

    fn fail(&mut self, code: Code, text: String) -> Code {
        self.broken.get_or_insert((code, text)).0
    }

    /// Runs a stream to its end.
    pub fn finish(&mut self, id: usize) -> Code {
        while let Some(work) = self.streams.get_mut(&id).and_then(|stream| stream.waiting.pop_front()) {
            let code = self.run(work);
            if code != SUCCESS {
                return code;
            }
        }
        self.broken.as_ref().map_or(SUCCESS, |(code, _)| *code)
    }

    fn run(&mut self, work: Work) -> Code {
        if let Some((code, _)) = self.broken {
            return code;
        }
        match work {
            Work::Kernel { run, grid, block, shared, mut parameters } => {
                let mut places: Vec<*mut c_void> = parameters.iter_mut().map(|p| p.as_mut_ptr().cast()).collect();
                let mut text = [0 as c_char; 512];
                let threads = std::env::var("HOST_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
                let places = places.as_mut_ptr();
                let code = unsafe {
                    run(grid.as_ptr(), block.as_ptr(), shared, places, threads, text.as_mut_ptr(), text.len())
                };
                if code != 0 {
                    let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned();
                    return self.fail(LAUNCH_FAILED, text);
                }
            }
            Work::Copy { to, from, bytes } => unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes) },
            Work::Write { to, values } => unsafe {
                std::ptr::copy_nonoverlapping(values.as_ptr(), to as *mut u8, values.len());
            },
            Work::Set { to, pattern, count } => {
                for i in 0..count {
                    let to = (to + i * pattern.len()) as *mut u8;
                    unsafe { std::ptr::copy_nonoverlapping(pattern.as_ptr(), to, pattern.len()) };
                }
            }
            Work::Product(matrices) => unsafe { matrices.run() },
            Work::Graph(graph) => {
                for work in self.graphs.get(&graph).cloned().unwrap_or_default() {
                    let code = self.run(work);
                    if code != SUCCESS {
                        return code;
                    }
                }
            }
        }
        SUCCESS
    }
}
