//! Work made ready to run.

use super::widened::copies;
use super::{Kernel, Prepared, PreparedChain, Real};
use crate::nest::Nest;
use crate::work::Work;

/// Decides how to run the work. A loop is given back, since its body is a list of launches.
pub(super) fn prepare<T: Real>(mut work: Work) -> Result<Box<dyn Kernel<T>>, Box<Nest>> {
    let copies = copies::<T>(&mut work);
    let kernel: Box<dyn Kernel<T>> = match work {
        Work::Fused(tiled) => Box::new(Prepared::new(&tiled)),
        Work::Chain(chain) => Box::new(PreparedChain::new(&chain)),
        Work::Products(gemms) => Box::new(gemms),
        Work::Attention(work) => work,
        Work::Lookup(lookup) => Box::new(lookup),
        Work::Pooling(pooling) => Box::new(pooling),
        Work::Convolution(work) => work,
        Work::FoldIn(work) => Box::new(work),
        Work::Call(call) => call,
        Work::Loop(nest) => return Err(Box::new(nest)),
    };
    Ok(copies.around(kernel))
}
