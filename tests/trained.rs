//! What is trained, kept in files and streamed.

mod checkpoint;
mod files;
mod foreign;
mod precision;
mod streams;
mod train;
mod trust;
