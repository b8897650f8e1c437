//! Programs by their run-time sizes.

use crate::Result;

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
    pub fn with_capacity(capacity: usize) -> Self {
        Cache { entries: Vec::new(), capacity: capacity.max(1) }
    }

    /// The value of a key, made if it is not there; the one unused for longest goes where there is no room.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get_or_make(&mut self, key: &K, make: impl FnOnce() -> Result<V>) -> Result<&mut V>
    where
        K: Clone,
    {
        let mut failed = None;
        let value = self.get_or(key, || make().map_err(|error| failed = Some(error)).ok());
        value.ok_or_else(|| failed.expect("a value that is not there was not made"))
    }

    /// The value of a key, or else the one that `make` gives, if it does.
    pub fn get_or(&mut self, key: &K, make: impl FnOnce() -> Option<V>) -> Option<&mut V>
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
        self.entries.last_mut().map(|(_, value)| value)
    }
}

impl<K: PartialEq, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self::new()
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
