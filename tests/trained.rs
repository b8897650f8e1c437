//! What is trained, kept in files and streamed.

mod checkpoint;
mod foreign;
mod precision;
mod streams;
mod train;
mod trust;
