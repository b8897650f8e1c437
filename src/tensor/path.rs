//! Paths of labels: the names of tensors in checkpoints and the keys of random draws.

/// A path of labels, written with dots as in PyTorch: `mlp.fc1`. The root is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// The empty path, where a model begins.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of a part of this one.
    pub fn child(&self, label: &str) -> Self {
        if self.0.is_empty() { Path(label.to_owned()) } else { Path(format!("{}.{label}", self.0)) }
    }

    /// What follows behind the path of a whole of which this is a part.
    pub(crate) fn below(&self, whole: &Path) -> Option<&str> {
        self.0.strip_prefix(&whole.0)?.strip_prefix('.')
    }

    /// The path with dots.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as a number, which keys random draws: FNV-1a with 64 bits
    /// (Fowler, Noll, Vo, <http://www.isthe.com/chongo/tech/comp/fnv/>).
    pub fn hash(&self) -> u64 {
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn labels_are_joined_by_dots() {
        assert_eq!(Path::root().child("mlp").child("fc1").as_str(), "mlp.fc1");
    }

    /// Published test vectors of FNV-1a.
    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(Path::root().hash(), 0xcbf29ce484222325);
        assert_eq!(Path::root().child("a").hash(), 0xaf63dc4c8601ec8c);
        assert_eq!(Path::root().child("foobar").hash(), 0x85944171f73967e8);
    }
}
