//! The tensors of a state in memory of a device, with copies on the host of what is read and written there.

use super::{Device, told};
use crate::Result;
use crate::graph::StateSlot;
use crate::kernel::cuda::driver::{Memory, Stream};
use crate::run::cpu::Arena;
use crate::run::device::Part;
use crate::run::{Data, DataMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Tensors on a device.
#[derive(Debug)]
pub(in crate::run) struct Tensors {
    stream: Stream,
    memory: Memory,
    mirrors: Vec<Mirror>,
    /// Held while mirrors are copied to the device.
    pushing: Mutex<()>,
}

/// A tensor as the host sees it.
#[derive(Debug)]
struct Mirror {
    /// Where it begins on the device, and its bytes.
    offset: usize,
    bytes: usize,
    host: OnceLock<Arena>,
    /// Whether the host has written what the device has not yet.
    newer: AtomicBool,
}

impl Tensors {
    /// Zeros.
    pub fn new(device: &Device, slots: &[StateSlot], offsets: &[usize], bytes: usize) -> Result<Self> {
        let stream = told(Stream::new(&device.0))?;
        let memory = told(Memory::new(&device.0, bytes))?;
        // SAFETY: memory of its own.
        told(unsafe { stream.clear(memory.at(), bytes) })?;
        told(stream.wait())?;
        let mirror = |(slot, &offset): (&StateSlot, &usize)| Mirror {
            offset,
            bytes: slot.dims.iter().product::<usize>() * slot.dtype.size(),
            host: OnceLock::new(),
            newer: AtomicBool::new(false),
        };
        let mirrors = slots.iter().zip(offsets).map(mirror).collect();
        Ok(Tensors { stream, memory, mirrors, pushing: Mutex::default() })
    }

    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// The tensors in memory of their own.
    pub fn copy(&self) -> Result<Self> {
        let first = self.push()?;
        let memory = told(Memory::new(self.stream.context(), self.memory.bytes()))?;
        let stream = told(Stream::new(self.stream.context()))?;
        // SAFETY: two blocks of so many bytes.
        told(unsafe { stream.copy(memory.at(), first, memory.bytes()) })?;
        told(stream.wait())?;
        let mirror = |known: &Mirror| Mirror { host: OnceLock::new(), newer: AtomicBool::new(false), ..*known };
        Ok(Tensors { stream, memory, mirrors: self.mirrors.iter().map(mirror).collect(), pushing: Mutex::default() })
    }

    /// A tensor as it is on the device.
    pub fn read(&self, part: Part) -> Result<Data<'_>> {
        Ok(self.mirror(part.number)?.read(0, part.len, part.dtype))
    }

    /// A tensor to change on the host; the device has it when the next program runs.
    pub fn write(&mut self, part: Part) -> Result<DataMut<'_>> {
        self.mirror(part.number)?;
        Ok(self.replace(part))
    }

    /// The same, if all elements are replaced.
    pub fn replace(&mut self, part: Part) -> DataMut<'_> {
        let mirror = &mut self.mirrors[part.number];
        mirror.newer = AtomicBool::new(true);
        let bytes = mirror.bytes;
        mirror.host.get_or_init(|| Arena::new(bytes));
        let host = mirror.host.get_mut().expect("it was made above");
        host.write(0, part.len, part.dtype)
    }

    /// What is on the device was changed there.
    pub fn updated(&mut self) {
        for mirror in &mut self.mirrors {
            // What did not reach the device has not been updated there.
            if !*mirror.newer.get_mut() {
                mirror.host.take();
            }
        }
    }

    /// The address of the first tensor on the device, where all have what the host has written.
    pub fn push(&self) -> Result<u64> {
        let _alone = self.pushing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pushed = false;
        for mirror in self.mirrors.iter().filter(|mirror| mirror.newer.load(Ordering::Acquire)) {
            if let Some(host) = mirror.host.get() {
                told(self.stream.context().enter())?;
                // SAFETY: the tensor has so many bytes in both memories.
                told(unsafe {
                    self.stream.upload(self.memory.at() + mirror.offset as u64, host.pointer(), host.bytes())
                })?;
                pushed = true;
            }
        }
        if pushed {
            told(self.stream.wait())?;
            self.mirrors.iter().for_each(|mirror| mirror.newer.store(false, Ordering::Release));
        }
        Ok(self.memory.at())
    }

    fn mirror(&self, number: usize) -> Result<&Arena> {
        let mirror = &self.mirrors[number];
        if let Some(host) = mirror.host.get() {
            return Ok(host);
        }
        let host = Arena::new(mirror.bytes);
        told(self.stream.context().enter())?;
        // SAFETY: the tensor has so many bytes in both memories, and the new one is of this call alone.
        told(unsafe { self.stream.download(host.pointer(), self.memory.at() + mirror.offset as u64, mirror.bytes) })?;
        told(self.stream.wait())?;
        Ok(mirror.host.get_or_init(|| host))
    }
}
