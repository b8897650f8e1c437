//! The typed front: handles over dfdx shapes that record a graph.

mod element;
mod feed;
mod scope;

pub use element::{Element, Float, In};
pub use feed::Feed;
pub use scope::Scope;
