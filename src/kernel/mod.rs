//! Numbers and slices: what the processor executes. Knows no graph and no ops.

pub mod call;
pub mod chain;
pub mod cpu;
pub mod pool;
pub mod conv;
pub mod elementwise;
pub mod tiled;
