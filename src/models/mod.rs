//! Architectures in the language, one readable file each, with the keys and layouts that PyTorch's libraries give them: a
//! `state_dict` of torchvision, saved as safetensors, loads as it is, without its counters `num_batches_tracked`
//! ([`UNREAD`](crate::train::UNREAD)).

pub mod lenet;
pub mod alexnet;
pub mod vgg;
pub mod resnet;
pub mod residual;
pub mod gpt2;
pub mod llama;
pub mod bert;
pub mod vit;
pub mod translator;
pub mod particles;
pub mod unet;
