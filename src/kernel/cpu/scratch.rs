//! Memory that kernels use while they run.

/// Memory that kernels use while they run, reused from launch to launch.
#[derive(Default)]
pub struct Scratch {
    lines: Vec<Line>,
    /// Of these, those at the beginning that are in use.
    kept: usize,
}

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Scratch {
    /// Without memory; it grows on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grows to at least `bytes`, so that launches which need no more do not allocate.
    pub fn reserve(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(64);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0; 64]));
        }
    }

    /// The bytes it has.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// The first byte, on a cache line, of at least `bytes`.
    pub(crate) fn memory(&mut self, bytes: usize) -> *mut u8 {
        let lines = self.kept + bytes.div_ceil(64);
        // What is kept would move.
        assert!(self.kept == 0 || lines <= self.lines.len(), "a kernel uses no more scratch memory than it says");
        self.reserve(64 * lines);
        self.lines.as_mut_ptr().wrapping_add(self.kept).cast()
    }

    /// The first byte, on a cache line, of so many that stay in use while others ask for memory, until this is called again.
    pub(crate) fn keep(&mut self, bytes: usize) -> *mut u8 {
        self.kept = 0;
        let first = self.memory(bytes);
        self.kept = bytes.div_ceil(64);
        first
    }
}
