//! From work to the text of kernels: the same rows as on the processor, with the loops of the device.
//!
//! Addresses and offsets are arguments, everything else stands in the text, so that equal layers of a net share their
//! kernels. No kernel adds by atomics: results do not depend on the order in which threads run.

mod attention;
mod chain;
mod flash;
mod fold;
mod merge;
mod point;
mod special;
mod tensor;

pub use merge::Likeness;

use super::blas::{Product, Products};
use crate::view::{DType, View};
use crate::work::Work;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

const PRELUDE: &str = include_str!("../text/prelude.cuh");
const MATH: &str = include_str!("../text/math.cuh");

/// The text of all kernels of some programs over one float type, each once.
#[derive(Debug)]
pub struct Source {
    float: DType,
    /// Whether the device has units that multiply matrices of sixteen bits.
    matrix_units: bool,
    /// The templates that kernels are instances of, in the order of their first use.
    templates: Vec<&'static str>,
    /// What each kernel is called, by its text without a name.
    names: HashMap<String, usize>,
    kernels: String,
    /// The bytes that threads of each kernel share at most.
    shared: Vec<u32>,
    /// The bytes that launches use for themselves while they run.
    scratch: usize,
    /// The library's way of doing products, where there is one.
    products: Option<Products>,
    /// The bytes that threads of a block may share.
    most_shared: usize,
    /// What the addresses of the operands at hand are multiples of, in bytes.
    aligned: Vec<usize>,
}

/// One thing that a device does for a launch of the schedule.
#[derive(Clone, Debug)]
pub enum Task {
    /// It runs a kernel.
    Kernel(Launch),
    /// It sets so many bytes to zero.
    Clear(Place, usize),
    /// It copies so many bytes from the first place to the second.
    Copy(Place, Place, usize),
    /// It has the library multiply the matrices at the first two places, and put the product in the third or add it.
    Product {
        /// How.
        plan: Arc<Product>,
        /// Where the matrices are.
        places: [Place; 3],
        /// Where the memory is that it may use.
        scratch: usize,
        /// Whether to add.
        accumulate: bool,
    },
}

/// How a kernel is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The number of the kernel in its source.
    pub kernel: usize,
    /// How many blocks of threads there are.
    pub grid: u32,
    /// How many threads a block has.
    pub block: u32,
    /// The bytes of memory that the threads of a block share.
    pub shared: u32,
    /// What the kernel is given.
    pub arguments: Vec<Argument>,
    /// How many of these, at the end, are one argument, a table.
    pub table: usize,
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The address of a part of an operand; null if there is none.
    Operand(Option<Place>),
    /// The address of a byte of the memory for launches themselves.
    Scratch(usize),
    /// The address of the record of what went wrong.
    Fault,
    /// A number.
    Value(u64),
}

/// A byte of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the operand.
    pub operand: usize,
    /// How many bytes lie before it.
    pub byte: usize,
}

impl Place {
    /// Where the first element of a view lies.
    fn of(view: &View) -> Self {
        Place { operand: view.operand, byte: view.offset * view.element.size() }
    }
}

/// Threads of a block at most.
const THREADS: usize = 256;
/// Threads that run in step.
const LANES: usize = 32;
/// Blocks of a launch whose threads go over many points each: enough for every device to be busy.
const BLOCKS: usize = 132 * 16;
/// Beyond so many elements their numbers take 64 bits.
const NARROW: usize = 1 << 31;

impl Source {
    /// A text without kernels, over numbers of this type.
    pub fn new(float: DType) -> Self {
        Source {
            float,
            matrix_units: false,
            templates: Vec::new(),
            names: HashMap::new(),
            kernels: String::new(),
            shared: Vec::new(),
            scratch: 0,
            products: None,
            most_shared: 48 << 10,
            aligned: Vec::new(),
        }
    }

    /// The same, with products left to a library where it can do them.
    pub fn with_products(self, products: Products) -> Self {
        Source { products: Some(products), ..self }
    }

    /// The same for a device whose blocks may share so many bytes; every device's may share 48 KiB.
    pub fn with_shared(self, most_shared: usize) -> Self {
        Source { most_shared, ..self }
    }

    /// The same for a device of this capability.
    pub fn on(self, capability: [i32; 2]) -> Self {
        Source { matrix_units: capability[0] >= 8, ..self }
    }

    /// What a device does for work whose views name operands that share no memory, and of which each begins at a multiple of
    /// so many bytes; loops and calls are not kernels.
    ///
    /// # Errors
    /// A sentence, if the work is larger than a launch may be.
    pub fn tasks(&mut self, work: &Work, aligned: Vec<usize>) -> Result<Vec<Task>, String> {
        self.aligned = aligned;
        match work {
            Work::Fused(tiled) => self.tiled(tiled),
            Work::Chain(chain) => {
                if let Some(task) = self.chain(chain)? {
                    return Ok(vec![task]);
                }
                // No slab sees what another has written, so one link after the other gives the same.
                let links: Result<Vec<_>, _> = chain.links.iter().map(|link| self.tiled(&link.tiled)).collect();
                Ok(links?.concat())
            }
            Work::Products(gemms) => gemms.iter().filter_map(|gemm| self.product(gemm).transpose()).collect(),
            Work::Attention(attention) => self.attention(attention),
            Work::Lookup(lookup) => self.lookup(lookup),
            Work::Pooling(pooling) => self.pooling(pooling),
            Work::Convolution(convolution) => self.convolution(convolution),
            Work::FoldIn(fold_in) => Ok(vec![self.fold_in(fold_in)]),
            Work::Loop(_) | Work::Call(_) => Ok(Vec::new()),
        }
    }

    /// The type of its real numbers.
    pub fn float(&self) -> DType {
        self.float
    }

    /// The whole text.
    pub fn text(&self) -> String {
        let real = self.real();
        let templates = self.templates.concat();
        format!("typedef {real} real;\n{PRELUDE}{MATH}{templates}{}", self.kernels)
    }

    /// The name of a kernel.
    pub fn name(kernel: usize) -> String {
        format!("k{kernel}")
    }

    /// The bytes that threads of each kernel share at most.
    pub fn shared(&self) -> &[u32] {
        &self.shared
    }

    /// Whether denormal numbers count as zero, as in the programs of the processor.
    pub fn flush(&self) -> bool {
        self.float == DType::F32
    }

    /// The bytes of memory that launches use for themselves.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch
    }

    /// What real numbers are called.
    fn real(&self) -> &'static str {
        if self.float == DType::F64 { "double" } else { "float" }
    }

    /// A real number, to the bit.
    fn literal(&self, value: f64) -> String {
        match self.float {
            DType::F64 => format!("of_bits64({:#x}ull)", value.to_bits()),
            _ => format!("of_bits({:#x}u)", (value as f32).to_bits()),
        }
    }

    /// A launch of the kernel with these parameters and this body.
    fn launch(
        &mut self,
        parameters: &str,
        body: &str,
        sizes: [usize; 3],
        arguments: Vec<Argument>,
    ) -> Result<Task, String> {
        self.bounded(&sizes[1].to_string(), parameters, body, sizes, arguments, 0)
    }

    /// The same of a kernel with these bounds: the most threads of a block, and how many blocks a multiprocessor should have
    /// at least, by which the compiler decides what a thread has of its registers. So many arguments at the end are a table.
    fn bounded(
        &mut self,
        bounds: &str,
        parameters: &str,
        body: &str,
        [grid, block, shared]: [usize; 3],
        arguments: Vec<Argument>,
        table: usize,
    ) -> Result<Task, String> {
        let limits = grid < NARROW && arguments.len() <= super::driver::MOST_ARGUMENTS;
        let grid = u32::try_from(grid).ok().filter(|_| limits).ok_or_else(|| {
            format!("a launch of {grid} blocks with {} arguments is larger than a device takes", arguments.len())
        })?;
        let text = format!("KERNEL({bounds}) NAME({parameters}) {{\n{body}}}\n");
        let next = self.names.len();
        let kernel = *self.names.entry(text).or_insert_with_key(|text| {
            self.kernels += &text.replacen("NAME", &Self::name(next), 1);
            self.shared.push(0);
            next
        });
        self.shared[kernel] = self.shared[kernel].max(shared as u32);
        Ok(Task::Kernel(Launch { kernel, grid, block: block as u32, shared: shared as u32, arguments, table }))
    }

    /// Has the text contain a template.
    fn template(&mut self, text: &'static str) {
        if !self.templates.contains(&text) {
            self.templates.push(text);
        }
    }
}

/// Threads of the blocks that go over so many points.
fn threads(points: usize) -> usize {
    points.next_multiple_of(LANES).clamp(LANES, THREADS)
}

/// What elements of a view are called in memory.
fn element(element: DType) -> &'static str {
    match element {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::Bf16 => "bf16",
        DType::Index => "uint32_t",
        DType::Bool => "uint8_t",
    }
}

/// The parameters of a generated kernel: each view by its address, those that see the same memory once.
struct Parameters<'a> {
    known: Vec<(Argument, &'static str, String)>,
    written: &'a [usize],
    /// Operands that have names of their own, and those that stand for a place.
    named: HashMap<usize, String>,
    placed: HashMap<usize, Place>,
}

impl<'a> Parameters<'a> {
    /// Parameters of a kernel that writes these operands.
    fn new(written: &'a [usize]) -> Self {
        Parameters { known: Vec::new(), written, named: HashMap::new(), placed: HashMap::new() }
    }

    /// The name of the parameter that points to the first element of a view.
    fn view(&mut self, view: &View) -> String {
        if let Some(name) = self.named.get(&view.operand) {
            return name.clone();
        }
        // What nobody writes may be read through the cache that does not see writes.
        let kept = !self.written.contains(&view.operand);
        let [before, after] = if kept { ["const ", "* __restrict__"] } else { ["", "*"] };
        let place = self.placed.get(&view.operand).copied().unwrap_or_else(|| Place::of(view));
        let argument = Argument::Operand(Some(place));
        self.add(argument, element(view.element), format!("{before}{}{after}", element(view.element)))
    }

    /// The name of the parameter that points to memory of the launch's own.
    fn scratch(&mut self, byte: usize, element: &'static str) -> String {
        self.add(Argument::Scratch(byte), element, format!("{element}*"))
    }

    fn add(&mut self, argument: Argument, element: &'static str, text: String) -> String {
        let same = |(known, of, _): &(Argument, &'static str, String)| (*known, *of) == (argument, element);
        let number = self.known.iter().position(same).unwrap_or_else(|| {
            self.known.push((argument, element, text));
            self.known.len() - 1
        });
        format!("p{number}")
    }

    fn text(&self) -> String {
        let one = |(number, (_, _, text)): (usize, &(Argument, &'static str, String))| format!("{text} p{number}");
        self.known.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    }

    fn arguments(&self) -> Vec<Argument> {
        self.known.iter().map(|(argument, ..)| *argument).collect()
    }
}

/// Declares positions along axes of these sizes from the row-major number of a point; `axes` are the names.
fn positions(out: &mut String, point: &str, axes: &[(usize, usize)], indent: &str) {
    let mut after: usize = axes.iter().map(|(_, size)| size).product();
    for (number, (axis, size)) in axes.iter().enumerate() {
        after /= (*size).max(1);
        let quotient = if after == 1 { point.to_owned() } else { format!("{point} / {after}u") };
        // The first axis needs no remainder.
        let rest = if number == 0 { String::new() } else { format!(" % {size}u") };
        let _ = writeln!(out, "{indent}const int64_t q{axis} = {quotient}{rest};");
    }
}

/// `Σ q · stride`
fn offset(strides: &[isize]) -> String {
    let terms = strides.iter().enumerate().filter(|(_, stride)| **stride != 0);
    let terms: Vec<String> = terms
        .map(|(axis, stride)| if *stride == 1 { format!("q{axis}") } else { format!("q{axis} * {stride}") })
        .collect();
    if terms.is_empty() { "0".into() } else { terms.join(" + ") }
}
