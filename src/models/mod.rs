//! Architectures in the language, one readable file each, with the keys and layouts that PyTorch's libraries give them.

pub mod unet;
