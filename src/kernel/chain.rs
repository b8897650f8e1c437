//! Fused kernels that run slab after slab, as data.

use super::tiled::Tiled;

/// Kernels that agree on an axis none of them reduces. Each slab of it goes through all of them before the next, so that
/// what one has read or written is still in the cache for the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// How many slabs there are.
    pub slabs: usize,
    /// The kernels, each over one slab.
    pub links: Vec<Link>,
}

/// A kernel over one slab.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The kernel. The operands of its views are numbers of `operands`.
    pub tiled: Tiled,
    /// What the kernel's views see.
    pub operands: Vec<Moving>,
}

/// An operand that moves on with each slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The operand of the launch.
    pub operand: usize,
    /// Elements from slab to slab.
    pub step: usize,
    /// Bytes of an element; none for the kernel's float type.
    pub bytes: Option<usize>,
    /// Elements that a slab reaches over, from its first.
    pub len: usize,
    /// Whether no two slabs see the same element.
    pub apart: bool,
}
