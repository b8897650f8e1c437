//! The tensors that outlive a run, in one arena.

use super::cpu::Arena;
use super::{Data, DataMut};
use crate::graph::{DType, KEY, StateSlot};
use std::sync::Arc;

/// All tensors that outlive a run, by slot, each beginning on a cache line of one arena. Programs with equal keys share
/// them.
#[derive(Debug)]
pub struct State {
    pub(super) layout: Arc<StateLayout>,
    pub(super) arena: Arena,
}

/// Where the tensors of a state lie.
#[derive(Debug, PartialEq)]
pub(super) struct StateLayout {
    pub slots: Vec<StateSlot>,
    pub offsets: Vec<usize>,
}

impl State {
    /// A state of zeros.
    pub fn new(slots: &[StateSlot]) -> Self {
        let mut offsets = Vec::with_capacity(slots.len());
        let mut bytes: usize = 0;
        for slot in slots {
            offsets.push(bytes);
            // More than can be counted is more than there is, and ends at the allocation.
            let len = slot.dims.iter().fold(slot.dtype.size(), |len, &size| len.saturating_mul(size));
            bytes = bytes.saturating_add(len).checked_next_multiple_of(64).unwrap_or(usize::MAX);
        }
        let slots = slots.iter().map(|slot| StateSlot { update: None, ..slot.clone() }).collect();
        State { layout: Arc::new(StateLayout { slots, offsets }), arena: Arena::new(bytes) }
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
    /// # Panics
    /// If there is no such slot.
    pub fn get(&self, slot: usize) -> Data<'_> {
        let (dtype, len) = self.shape(slot);
        self.arena.read(self.layout.offsets[slot], len, dtype)
    }

    /// The elements of a slot, to write to.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn get_mut(&mut self, slot: usize) -> DataMut<'_> {
        let (dtype, len) = self.shape(slot);
        self.arena.write(self.layout.offsets[slot], len, dtype)
    }

    /// Sets the key of random draws, if the state has one.
    pub fn set_key(&mut self, seed: u64, step: u64) {
        if let Some(slot) = self.position(KEY)
            && let DataMut::Index(key) = self.get_mut(slot)
        {
            key.copy_from_slice(&[seed as u32, (seed >> 32) as u32, step as u32, (step >> 32) as u32]);
        }
    }

    /// The size of the arena.
    pub fn bytes(&self) -> usize {
        self.arena.bytes()
    }

    fn shape(&self, slot: usize) -> (DType, usize) {
        let slot = &self.layout.slots[slot];
        (slot.dtype, slot.dims.iter().product())
    }
}

impl Clone for State {
    fn clone(&self) -> Self {
        State { layout: Arc::clone(&self.layout), arena: self.arena.clone() }
    }
}
