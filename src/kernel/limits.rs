//! What a device asks of the launches that are made for it.

/// Sizes by which the compiler decides what becomes a launch; each device has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most axes of a fused kernel that do not merge.
    pub axes: usize,
    /// The most rows of a fused kernel, so that its registers stay near.
    pub rows: usize,
    /// The most passes over a tile that a node used twice may cost before it is rather stored and read.
    pub dear: usize,
    /// Buffers begin at multiples of so many bytes.
    pub align: usize,
    /// Whether updates of the state wait for the end of a run, where those that are alike become one launch. Else each runs
    /// as soon as it can, while what it reads is near.
    pub late: bool,
    /// What chains must keep to.
    pub chain: ChainLimits,
}

/// When kernels run slab after slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLimits {
    /// A tensor of fewer bytes stays near anyway, so that nothing is won by a chain over it.
    pub large: usize,
    /// The bytes that a slab should touch at most.
    pub slab: usize,
    /// A slab that cannot but touch more bytes is no better than a whole tensor.
    pub largest_slab: usize,
    /// Fewer slabs divide badly.
    pub fewest_slabs: usize,
    /// The most views of a kernel.
    pub views: usize,
}

impl Limits {
    /// These with chains of even the smallest tensors, so that tests over a few elements see them.
    pub const fn chaining_all(self) -> Self {
        Limits { chain: ChainLimits { large: 1, slab: 16, fewest_slabs: 2, ..self.chain }, ..self }
    }
}
