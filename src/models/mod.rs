//! Architectures in the language, one readable file each, with the keys and layouts that PyTorch's libraries give them: a
//! `state_dict` of torchvision, saved as safetensors, loads as it is, without its counters `num_batches_tracked`
//! ([`UNREAD`](crate::train::UNREAD)).
//!
//! What is named here are templates: `use` in `net!` brings them, and an instance fixes their sizes.
//!
//! ```
//! use ansatz::prelude::*;
//!
//! net! {
//!     use ansatz::models::Gpt2;
//!
//!     pub dim Letter = 27;
//!     pub dim Place = 16;
//!     pub net Names = Gpt2(vocabulary = Letter, places = Place, width = 32, layers = 2, heads = 4);
//! }
//!
//! assert_eq!(Names::PARAMETERS, 26_848);
//! ```

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

pub use alexnet::AlexNet;
pub use bert::{Bert, BertClassifier};
pub use gpt2::Gpt2;
pub use lenet::LeNet;
pub use llama::Llama;
pub use particles::{Move, Particles};
pub use residual::Residual;
pub use resnet::{CifarResNet, ResNet};
pub use translator::Transformer;
pub use unet::UNet;
pub use vgg::{VggA, VggD};
pub use vit::ViT;
