//! Programs on NVIDIA's devices.

mod merge;
mod plan;
mod engine;
mod tensors;
#[cfg(all(test, feature = "check"))]
mod tests;

pub(super) use engine::Engine;
#[cfg(test)]
pub(super) use plan::Plan;
pub(super) use tensors::Tensors;

use crate::kernel::cuda::driver::Context;
use crate::kernel::limits::{ChainLimits, Limits};
use crate::{Error, Result};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What a device asks of launches.
const LIMITS: Limits = Limits {
    // Positions are computed, not walked, so that axes cost little.
    axes: 12,
    // Registers of a thread.
    rows: 96,
    // What is computed again reads its operands again, which takes longer than storing and reading it.
    dear: 4,
    align: 256,
    late: true,
    // A chain is one kernel, in which a block takes a slab: enough of them keep the device busy.
    chain: ChainLimits { large: 1, slab: 0, largest_slab: 1 << 20, fewest_slabs: 64, views: 64 },
};

/// What launches keep to; in tests over a few elements chains are made of them too.
pub(super) static OWN: Limits = if cfg!(test) { LIMITS.chaining_all() } else { LIMITS };

/// A device, opened.
#[derive(Clone)]
pub(super) struct Device(Arc<Context>);

impl Device {
    /// Opens a device by its number, with libraries from these folders first.
    pub fn open(number: usize, folders: &[PathBuf]) -> Result<Self> {
        Ok(Device(told(Context::open(number, folders))?))
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([major, minor], [driver, revision]) = (self.0.capability(), self.0.driver_version());
        let memory = self.0.bytes() as f64 / f64::from(1 << 30);
        write!(
            f,
            "{}, capability {major}.{minor}, {memory:.0} GiB, driver of CUDA {driver}.{revision}",
            self.0.name()
        )?;
        match self.0.compiler().map(|compiler| compiler.version()) {
            Ok([version, revision]) => write!(f, ", NVRTC {version}.{revision}")?,
            Err(_) => f.write_str(", without NVRTC")?,
        }
        match self.0.blas().map(|blas| blas.version()) {
            Some([version, revision]) => write!(f, ", cuBLASLt {version}.{revision}"),
            None => f.write_str(", without cuBLASLt"),
        }
    }
}

/// A sentence of the driver or the compiler as an error.
fn told<T>(result: Result<T, String>) -> Result<T> {
    result.map_err(Error::Device)
}
