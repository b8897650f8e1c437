//! What a model of a text is measured against.

use crate::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// The bits that a model needs for a byte of text: `loss` is the mean of −ln p over the tokens that make up a text of so
/// many bytes.
///
/// ```
/// // Bytes that are all alike likely take eight bits each.
/// let bits = ansatz::text::bits_per_byte(256f64.ln(), 1000, 1000);
/// assert!((bits - 8.0).abs() < 1e-12);
/// ```
pub fn bits_per_byte(loss: f64, tokens: usize, bytes: usize) -> f64 {
    loss / std::f64::consts::LN_2 * tokens as f64 / bytes as f64
}

/// The bits that gzip needs for a byte of the held-out text when it knows the training text: the compressed size of the
/// one behind the other, less that of the training text alone, at the highest level.
///
/// # Errors
/// If the held-out text is empty.
pub fn gzip_bits_per_byte(training: &[u8], held_out: &[u8]) -> Result<f64> {
    if held_out.is_empty() {
        return Err(Error::value("an empty text has no bytes to count bits for"));
    }
    let (before, after) = (compressed(&[training]), compressed(&[training, held_out]));
    Ok(8.0 * after.saturating_sub(before) as f64 / held_out.len() as f64)
}

fn compressed(parts: &[&[u8]]) -> usize {
    let mut encoder = GzEncoder::new(Counter(0), Compression::best());
    let written = parts.iter().try_for_each(|part| encoder.write_all(part));
    let end = written.and_then(|()| encoder.finish());
    end.expect("a counter takes everything").0
}

/// Counts what is written.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
