//! What a launch does, whatever the device.

use super::attention::Attention;
use super::call::Call;
use super::chain::Chain;
use super::conv::Convolution;
use super::gemm::Gemm;
use super::lookup::Lookup;
use super::nest::Nest;
use super::pool::Pooling;
use super::tiled::Tiled;
use super::view::{Access, View};

/// The work of one launch.
#[derive(Clone, Debug)]
pub enum Work {
    /// A fused kernel.
    Fused(Tiled),
    /// Fused kernels, slab after slab.
    Chain(Chain),
    /// Matrix products, one after the other.
    Products(Vec<Gemm>),
    /// Attention or its derivative.
    Attention(Box<Attention>),
    /// Rows by their indices.
    Lookup(Lookup),
    /// Windows over planes.
    Pooling(Pooling),
    /// A convolution or one of its derivatives.
    Convolution(Box<Convolution>),
    /// The steps of a loop, one after the other.
    Loop(Nest),
    /// A key for random draws.
    FoldIn(FoldIn),
    /// A function from outside of the library.
    Call(Box<Call>),
}

/// The key that follows from a key of four words and a number, see [`random::fold_in`](super::random::fold_in).
#[derive(Clone, Debug, PartialEq)]
pub struct FoldIn {
    /// The key.
    pub key: View,
    /// The number folded in.
    pub number: View,
    /// The new key.
    pub to: View,
}

impl Work {
    /// Shows every view of the work with what is done with its elements, and over which extents it is walked.
    pub fn views_mut(&mut self, visit: &mut dyn FnMut(Access, &mut View, &[usize])) {
        match self {
            Work::Fused(tiled) => tiled.views_mut(visit),
            Work::Chain(chain) => chain.views_mut(visit),
            Work::Products(gemms) => gemms.iter_mut().for_each(|gemm| gemm.views_mut(visit)),
            Work::Attention(work) => work.views_mut(visit),
            Work::Lookup(lookup) => lookup.views_mut(visit),
            Work::Pooling(pooling) => pooling.views_mut(visit),
            Work::Convolution(work) => work.views_mut(visit),
            Work::Loop(nest) => nest.views_mut(visit),
            Work::Call(call) => call.views_mut(visit),
            Work::FoldIn(FoldIn { key, number, to }) => {
                visit(Access::Read, key, &[4]);
                visit(Access::Read, number, &[1]);
                visit(Access::Write, to, &[4]);
            }
        }
    }

    /// Whether operand `target`, which the work writes, may lie where operand `source` is, which it reads: it reads
    /// `source` only at the very element of `target` that it writes, or before it writes any.
    pub fn replaces(&self, source: usize, target: usize) -> bool {
        match self {
            Work::Fused(tiled) => tiled.replaces(source, target),
            Work::Chain(chain) => chain.replaces(source, target),
            Work::Lookup(lookup) => lookup.replaces(source, target),
            Work::Loop(nest) => nest.replaces(source, target),
            Work::Products(_)
            | Work::Attention(_)
            | Work::Pooling(_)
            | Work::Convolution(_)
            | Work::FoldIn(_)
            | Work::Call(_) => false,
        }
    }

    /// How many kernels run.
    pub fn launches(&self) -> usize {
        match self {
            Work::Chain(chain) => chain.links.len(),
            Work::Loop(nest) => nest.count * nest.body.launches(),
            _ => 1,
        }
    }
}
