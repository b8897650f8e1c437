//! Programs by their run-time sizes.

use crate::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// The most recently used values by key, at most so many: programs and workspaces by their run-time dimensions.
#[derive(Debug)]
pub struct Cache<K, V> {
    /// The latest used last.
    entries: Vec<(K, V)>,
    capacity: usize,
}

/// A steady loop meets a handful of sizes; a changing one should not fill the memory.
const CAPACITY: usize = 16;

impl<K: PartialEq, V> Cache<K, V> {
    /// An empty cache of 16 values.
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// An empty cache of at least one value.
    pub const fn with_capacity(capacity: usize) -> Self {
        Cache { entries: Vec::new(), capacity: if capacity == 0 { 1 } else { capacity } }
    }

    /// The value of a key, made if it is not there; the one unused for longest goes where there is no room.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_make(&mut self, key: &K, make: impl FnOnce() -> Result<V>) -> Result<&mut V>
    where
        K: Clone,
    {
        match self.entries.iter().position(|(known, _)| known == key) {
            Some(position) => self.entries[position..].rotate_left(1),
            None => {
                let value = make()?;
                if self.entries.len() == self.capacity {
                    self.entries.remove(0);
                }
                self.entries.push((key.clone(), value));
            }
        }
        Ok(&mut self.entries.last_mut().expect("the value stands last").1)
    }

    /// The value of a key, if it is there.
    fn get(&mut self, key: &K) -> Option<&V> {
        let position = self.entries.iter().position(|(known, _)| known == key)?;
        self.entries[position..].rotate_left(1);
        self.entries.last().map(|(_, value)| value)
    }
}

impl<K: PartialEq, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// A cache that threads share. Nothing is locked while a value is made: what makes it may ask for others.
#[derive(Debug)]
pub struct SharedCache<K, V>(Mutex<Cache<K, Arc<V>>>);

impl<K: PartialEq + Clone, V> SharedCache<K, V> {
    /// An empty cache of at least one value.
    pub const fn with_capacity(capacity: usize) -> Self {
        SharedCache(Mutex::new(Cache::with_capacity(capacity)))
    }

    /// The value of a key, made if it is not there. Of two threads that make the same one, the first one's is kept.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_make(&self, key: &K, make: impl FnOnce() -> Result<V>) -> Result<Arc<V>> {
        let cache = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache().get(key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let made = Arc::new(make()?);
        cache().get_or_make(key, || Ok(made)).cloned()
    }
}

impl<K: PartialEq + Clone, V> Default for SharedCache<K, V> {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_unused_for_longest_goes() {
        let mut cache = Cache::with_capacity(2);
        let mut made = Vec::new();
        for key in [1, 2, 1, 3, 1, 2] {
            let make = || {
                made.push(key);
                Ok(key)
            };
            assert_eq!(*cache.get_or_make(&key, make).unwrap(), key);
        }
        assert_eq!(made, [1, 2, 3, 2]);
        assert_eq!(cache.entries.len(), 2);
    }
}
