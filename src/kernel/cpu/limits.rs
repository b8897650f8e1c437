//! What the processor asks of launches.

use super::strided::RANK;
use crate::limits::{ChainLimits, Limits};

/// The most views of a kernel in a chain.
pub(super) const MOST_OPERANDS: usize = 32;

/// The limits of the processor.
pub const LIMITS: Limits = Limits {
    axes: RANK,
    // A kernel's registers should fit in the first-level cache.
    rows: 96,
    dear: 4,
    // Cache lines.
    align: 64,
    late: false,
    chain: ChainLimits {
        large: 128 << 10,
        // A part of the second-level cache.
        slab: 192 << 10,
        largest_slab: 4 << 20,
        fewest_slabs: 4,
        views: MOST_OPERANDS,
    },
};
