//! Numbers and slices: what the processor executes. Knows no graph and no ops.

pub mod cpu;
pub mod pool;
pub mod tiled;
