//! Where programs run.

use super::cpu::{self, Arena};
#[cfg(feature = "cuda")]
use super::cuda;
use super::{Data, DataMut};
#[cfg(test)]
use crate::compile::LIMITS;
use crate::compile::Program;
use crate::graph::{DType, StateSlot};
use crate::kernel::cpu::Fault;
#[cfg(not(test))]
use crate::kernel::cpu::LIMITS;
use crate::kernel::limits::Limits;
use crate::{Error, Result};
use std::fmt;
#[cfg(feature = "cuda")]
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a net is trained or used: on this processor, or on a GPU of NVIDIA's. Its `Display` tells what it is.
///
/// ```
/// use ansatz::Device;
///
/// let device = Device::cuda(0).unwrap_or_else(|problem| {
///     eprintln!("{problem}");
///     Device::cpu()
/// });
/// println!("training on {device}");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device(Kind);

#[derive(Clone, Debug, Default, PartialEq)]
enum Kind {
    #[default]
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda(cuda::Device),
}

impl Device {
    /// This processor.
    pub fn cpu() -> Self {
        Device(Kind::Cpu)
    }

    /// A GPU of NVIDIA's by its number, counted from 0. The driver's library and that of the compiler NVRTC are looked
    /// for when the program runs: in the folders that `ANSATZ_CUDA` names, in the toolkit's, in those of a virtual
    /// environment, and where the system's loader looks. So is cuBLASLt, for matrix products; without it they are slower.
    ///
    /// # Errors
    /// If there is no driver or no such device, or the library was built without the feature `cuda`.
    pub fn cuda(number: usize) -> Result<Self> {
        #[cfg(feature = "cuda")]
        return Self::cuda_with(number, &[]);
        #[cfg(not(feature = "cuda"))]
        Err(Error::Device(format!(
            "no CUDA device {number}: ansatz was built without the feature `cuda`; add it in Cargo.toml, or use \
             `Device::cpu()`"
        )))
    }

    /// The same, with libraries that are looked for in these folders first.
    ///
    /// # Errors
    /// As for [`Device::cuda`].
    #[cfg(feature = "cuda")]
    pub fn cuda_with(number: usize, folders: &[&Path]) -> Result<Self> {
        let own = folders.iter().map(|folder| folder.to_path_buf());
        let folders: Vec<PathBuf> = own.chain(crate::kernel::cuda::folders()).collect();
        Ok(Device(Kind::Cuda(cuda::Device::open(number, &folders)?)))
    }

    /// What launches must keep to there.
    pub(crate) fn limits(&self) -> &'static Limits {
        match &self.0 {
            Kind::Cpu => &LIMITS,
            #[cfg(feature = "cuda")]
            Kind::Cuda(_) => &cuda::OWN,
        }
    }
}

#[cfg(all(test, feature = "cuda"))]
impl Device {
    /// Compiles the kernels of several programs together; of products too, if they are to be printed.
    pub(crate) fn prepare(&self, programs: &[&Program], printed: bool) -> Result<()> {
        match &self.0 {
            Kind::Cpu => Ok(()),
            Kind::Cuda(device) => cuda::Plan::prepare(device, programs, printed),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cpu => f.write_str("this processor"),
            #[cfg(feature = "cuda")]
            Kind::Cuda(device) => device.fmt(f),
        }
    }
}

/// What the system says to too large a wish.
fn refused(what: &str, bytes: usize) -> Error {
    Error::value(format!(
        "{what} take {bytes} bytes, which the system does not give; take smaller batches or a smaller net"
    ))
}

/// The memory of a state.
#[derive(Debug)]
pub(super) enum Memory {
    Cpu(Arena),
    #[cfg(feature = "cuda")]
    Cuda(Box<cuda::Tensors>),
}

/// A tensor of a state or an output of a program: its number, where it begins, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    #[cfg_attr(not(feature = "cuda"), allow(dead_code))] // the processor goes by the offset
    pub number: usize,
    pub offset: usize,
    pub len: usize,
    pub dtype: DType,
}

impl Memory {
    /// Zeros for these tensors, which begin at these bytes.
    pub fn new(device: &Device, slots: &[StateSlot], offsets: &[usize], bytes: usize) -> Result<Self> {
        let _ = (slots, offsets);
        match &device.0 {
            Kind::Cpu => Arena::try_new(bytes).map(Memory::Cpu).ok_or_else(|| refused("the tensors of a state", bytes)),
            #[cfg(feature = "cuda")]
            Kind::Cuda(device) => Ok(Memory::Cuda(Box::new(cuda::Tensors::new(device, slots, offsets, bytes)?))),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Memory::Cpu(arena) => arena.bytes(),
            #[cfg(feature = "cuda")]
            Memory::Cuda(tensors) => tensors.bytes(),
        }
    }

    pub fn read(&self, part: Part) -> Result<Data<'_>> {
        match self {
            Memory::Cpu(arena) => Ok(arena.read(part.offset, part.len, part.dtype)),
            #[cfg(feature = "cuda")]
            Memory::Cuda(tensors) => tensors.read(part),
        }
    }

    /// To change some elements.
    pub fn write(&mut self, part: Part) -> Result<DataMut<'_>> {
        match self {
            Memory::Cpu(arena) => Ok(arena.write(part.offset, part.len, part.dtype)),
            #[cfg(feature = "cuda")]
            Memory::Cuda(tensors) => tensors.write(part),
        }
    }

    /// To replace all elements; what they hold before is not told.
    pub fn replace(&mut self, part: Part) -> DataMut<'_> {
        match self {
            Memory::Cpu(arena) => arena.write(part.offset, part.len, part.dtype),
            #[cfg(feature = "cuda")]
            Memory::Cuda(tensors) => tensors.replace(part),
        }
    }

    /// What a program has updated is to be read anew.
    pub fn updated(&mut self) {
        match self {
            Memory::Cpu(_) => {}
            #[cfg(feature = "cuda")]
            Memory::Cuda(tensors) => tensors.updated(),
        }
    }

    /// The same elements in memory of their own.
    pub fn copy(&self) -> Result<Self> {
        match self {
            Memory::Cpu(arena) => Ok(Memory::Cpu(arena.clone())),
            #[cfg(feature = "cuda")]
            Memory::Cuda(tensors) => Ok(Memory::Cuda(Box::new(tensors.copy()?))),
        }
    }
}

/// A program made ready for a device.
#[derive(Debug)]
pub(super) enum Engine {
    Cpu(cpu::Engine),
    #[cfg(feature = "cuda")]
    Cuda(Box<cuda::Engine>),
}

/// Why a run has ended.
pub(super) enum Trouble {
    /// What a launch could not do.
    Fault(Fault),
    /// What a device could not do.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code))] // the processor does not fail
    Device(Error),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble::Fault(fault)
    }
}

/// What a device says.
#[cfg(feature = "cuda")]
impl From<String> for Trouble {
    fn from(problem: String) -> Self {
        Trouble::Device(Error::Device(problem))
    }
}

impl Engine {
    /// The tensors of the program's state begin at these bytes of the state's memory.
    pub fn new(device: &Device, program: &Program, states: Vec<usize>) -> Result<Self> {
        match &device.0 {
            Kind::Cpu => {
                let engine = cpu::Engine::new(program, states).map(Engine::Cpu);
                engine.ok_or_else(|| refused("intermediate values", program.workspace_bytes()))
            }
            #[cfg(feature = "cuda")]
            Kind::Cuda(device) => Ok(Engine::Cuda(Box::new(cuda::Engine::new(device, program, states)?))),
        }
    }

    /// Runs all launches.
    ///
    /// # Errors
    /// What could not be done.
    ///
    /// # Safety
    /// The schedule is verified; the inputs are as many and as long as it says; the state lies on the device of the
    /// engine and has the layout that it was made for, and nothing else uses it if the schedule writes to it.
    pub unsafe fn run(&mut self, state: &Memory, inputs: &[Data<'_>]) -> Result<(), Trouble> {
        // SAFETY: as the caller says.
        match (self, state) {
            (Engine::Cpu(engine), Memory::Cpu(arena)) => Ok(unsafe { engine.run(arena.pointer(), inputs) }?),
            #[cfg(feature = "cuda")]
            (Engine::Cuda(engine), Memory::Cuda(tensors)) => unsafe { engine.run(tensors, inputs) },
            #[cfg(feature = "cuda")]
            _ => unreachable!("the state lies on the device of the engine"),
        }
    }

    /// The elements of an output.
    pub fn output(&self, part: Part) -> Data<'_> {
        match self {
            Engine::Cpu(engine) => engine.read(part.offset, part.len, part.dtype),
            #[cfg(feature = "cuda")]
            Engine::Cuda(engine) => engine.output(part),
        }
    }

    /// The bytes of its memory: intermediate values at their peak, and what the kernels use while they run.
    pub fn bytes(&self) -> usize {
        match self {
            Engine::Cpu(engine) => engine.bytes(),
            #[cfg(feature = "cuda")]
            Engine::Cuda(engine) => engine.bytes(),
        }
    }

    /// Starts to measure what each launch takes.
    pub fn start_clock(&mut self) {
        match self {
            Engine::Cpu(engine) => engine.start_clock(),
            #[cfg(feature = "cuda")]
            Engine::Cuda(engine) => engine.start_clock(),
        }
    }

    /// Stops to measure. What each launch has taken, those within a loop after the loop.
    pub fn stop_clock(&mut self) -> Vec<Duration> {
        match self {
            Engine::Cpu(engine) => engine.stop_clock(),
            #[cfg(feature = "cuda")]
            Engine::Cuda(engine) => engine.stop_clock(),
        }
    }
}
