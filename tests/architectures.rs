//! The models of the library, beside those of others.

mod formula;
mod model_templates;
mod transformers;
mod vision_models;
