//! Files of models in the safetensors format, with PyTorch's names and layouts: the key of a tensor is its path of
//! labels (`fc1.weight`), a linear weight is `[out, in]`.
//!
//! A file is written beside its place and then moved there, so a reader never sees half a file.

mod file;
mod write;
mod shards;
mod mapping;
mod select;
mod model;

pub(super) use file::{TensorFile, stored};
pub use mapping::Mapping;
pub use model::{Load, Loaded, UNREAD, load, load_into, save};
pub(super) use select::name;
pub(super) use write::{Entry, write};
