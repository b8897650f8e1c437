//! Memory that kernels use while they run.

/// Memory that kernels use while they run, reused from launch to launch.
#[derive(Default)]
pub struct Scratch {
    lines: Vec<Line>,
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
        self.reserve(bytes);
        self.lines.as_mut_ptr().cast()
    }
}
