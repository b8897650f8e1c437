//! The tensors that outlive a run, in one block of memory of a device.

use super::device::{Memory, Part};
use super::{Data, DataMut, Device};
use crate::Result;
use crate::graph::{KEY, StateSlot};
use std::sync::Arc;

/// All tensors that outlive a run, by slot, each beginning on a cache line of one block of memory. Programs with equal keys
/// share them.
#[derive(Debug)]
pub struct State {
    pub(super) layout: Arc<StateLayout>,
    pub(super) memory: Memory,
}

/// Where the tensors of a state lie.
#[derive(Debug, PartialEq)]
pub(super) struct StateLayout {
    pub slots: Vec<StateSlot>,
    pub offsets: Vec<usize>,
    pub device: Device,
}

impl State {
    /// A state of zeros on the processor.
    pub fn new(slots: &[StateSlot]) -> Self {
        Self::on(&Device::cpu(), slots).expect("the processor has memory, or the program ends")
    }

    /// A state of zeros on a device.
    ///
    /// # Errors
    /// If the device has not so much memory.
    pub fn on(device: &Device, slots: &[StateSlot]) -> Result<Self> {
        let mut offsets = Vec::with_capacity(slots.len());
        let mut bytes: usize = 0;
        for slot in slots {
            offsets.push(bytes);
            // More than can be counted is more than there is, and ends at the allocation.
            let len = slot.dims.iter().fold(slot.dtype.size(), |len, &size| len.saturating_mul(size));
            let align = device.limits().align;
            bytes = bytes.saturating_add(len).checked_next_multiple_of(align).unwrap_or(usize::MAX);
        }
        let slots: Vec<StateSlot> = slots.iter().map(|slot| StateSlot { update: None, ..slot.clone() }).collect();
        let memory = Memory::new(device, &slots, &offsets, bytes)?;
        Ok(State { layout: Arc::new(StateLayout { slots, offsets, device: device.clone() }), memory })
    }

    /// The same tensors on a device.
    ///
    /// # Errors
    /// If a device fails, or has not so much memory.
    pub fn moved(self, device: &Device) -> Result<Self> {
        if *device == self.layout.device {
            return Ok(self);
        }
        let mut moved = Self::on(device, self.slots())?;
        for slot in 0..self.slots().len() {
            moved.set(slot, self.get(slot)?);
        }
        Ok(moved)
    }

    /// Where it lies.
    pub fn device(&self) -> &Device {
        &self.layout.device
    }

    /// What the tensors are; `update` is empty, since it belongs to a graph.
    pub fn slots(&self) -> &[StateSlot] {
        &self.layout.slots
    }

    /// The slot of a key.
    pub fn position(&self, key: &str) -> Option<usize> {
        self.layout.slots.iter().position(|slot| slot.key == key)
    }

    /// The elements of a slot.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn get(&self, slot: usize) -> Result<Data<'_>> {
        self.memory.read(self.part(slot))
    }

    /// The elements of a slot, to write to.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn get_mut(&mut self, slot: usize) -> Result<DataMut<'_>> {
        self.memory.write(self.part(slot))
    }

    /// Replaces the elements of a slot; false if these are of another type or number.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn set(&mut self, slot: usize, values: Data<'_>) -> bool {
        let part = self.part(slot);
        let fits = (values.dtype(), values.len()) == (part.dtype, part.len);
        fits && self.memory.replace(part).copy_from(values)
    }

    /// Sets the key of random draws, if the state has one.
    pub fn set_key(&mut self, seed: u64, step: u64) {
        if let Some(slot) = self.position(KEY) {
            let key = [seed as u32, (seed >> 32) as u32, step as u32, (step >> 32) as u32];
            self.set(slot, Data::Index(&key));
        }
    }

    /// The size of its memory.
    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// The same tensors in memory of their own.
    ///
    /// # Errors
    /// If the device has not so much memory.
    pub fn copy(&self) -> Result<Self> {
        Ok(State { layout: Arc::clone(&self.layout), memory: self.memory.copy()? })
    }

    fn part(&self, number: usize) -> Part {
        let slot = &self.layout.slots[number];
        let len = slot.dims.iter().product();
        Part { number, offset: self.layout.offsets[number], len, dtype: slot.dtype }
    }
}
