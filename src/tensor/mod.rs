//! The typed front: handles over dfdx shapes that record a graph.
//!
//! A [`Scope`] is where a net is recorded; a [`Var`] is a recorded tensor whose type carries its shape, so rustc checks
//! shapes again after `net!` has inferred them. Every typed function here only adds the types to one function over
//! graph nodes. Models, inputs and results on the host are dfdx's own [`Tensor`]s.

mod path;
mod scope;
mod var;
mod elementwise;
mod arrange;
mod attention;
mod einsum;
mod lookup;
mod cache;
mod checkpoint;
mod custom;
mod repeat;
mod varying;
mod reduce;
mod random;
mod window;
mod loss;
pub(crate) mod composite;
mod dims;
mod facts;
mod element;
mod host;
mod indices;
mod feed;

pub use arrange::{broadcast, concat, one_hot, pad, rearrange, reshape, slice, squeeze};
pub use attention::{Attention, attention, rotary};
pub use checkpoint::checkpoint;
pub use custom::custom;
pub use dims::{Append, Calculates, EndsWith, HasDim, HasNumber, Named};
pub use einsum::einsum;
pub use element::{Element, Float, In};
pub use elementwise::*;
pub use facts::{Divides, Product, SameSize};
pub(crate) use feed::Rows;
pub use feed::{Feed, Inputs};
pub use host::{HostTensor, copy_into, cpu, from_vec, realize, to_vec};
pub use indices::Indices;
pub use lookup::{gather, positions};
pub use loss::{CrossEntropy, bce_with_logits, cross_entropy, mse};
pub use path::Path;
pub use random::{bernoulli, dropout, dropout2d, normal, uniform};
pub use reduce::{argmax, flip, log_softmax, logsumexp, max, mean, min, normal_log_prob, softmax, sum, var};
pub use repeat::repeat;
pub use scope::Scope;
pub use var::{Erased, Var};
pub use varying::{Between, Varying};
pub use window::{Windows, avg_pool, instance_norm, max_pool, upsample_bilinear, upsample_nearest};

pub use crate::run::{Data, DataMut};

#[doc(no_inline)]
pub use dfdx::shapes::{
    Axes, Axes2, Axes3, Axes4, Axes5, Axes6, Axis, BroadcastShapeTo, Const, ConstDim, ConstShape, Dim, HasAxes,
    HasShape, ReduceShape, ReduceShapeTo, Shape,
};
#[doc(no_inline)]
pub use dfdx::tensor::{Cpu, NoneTape, OwnedTape, Tape, Tensor};
#[doc(no_inline)]
pub use typenum;

pub(crate) use var::{record, record_two};
