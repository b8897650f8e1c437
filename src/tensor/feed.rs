//! The inputs of a run, copied from host tensors into buffers that are reused from step to step.

/// The inputs of a run, in order.
#[derive(Debug, Default)]
pub struct Feed {}
