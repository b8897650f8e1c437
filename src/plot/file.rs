//! Pixels as a file.

use crate::files;
use crate::{Error, Result};
use png::{ColorType, Compression, Encoder, FilterType};
use std::path::Path;

/// Writes red, green and blue of all pixels, row by row from the top, as a PNG file.
pub(super) fn write(path: &Path, width: u32, height: u32, pixels: &[u8]) -> Result<()> {
    let mut bytes = Vec::new();
    encode(&mut bytes, width, height, pixels).map_err(|e| Error::io("write", path, std::io::Error::other(e)))?;
    files::replace(path, |file| file.write_all(&bytes))
}

fn encode(bytes: &mut Vec<u8>, width: u32, height: u32, pixels: &[u8]) -> Result<(), png::EncodingError> {
    let mut encoder = Encoder::new(bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    // Figures are flat areas, in which deflate finds more than a filter would.
    encoder.set_filter(FilterType::NoFilter);
    encoder.set_compression(Compression::Best);
    encoder.write_header()?.write_image_data(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_its_pixels() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pixels.png");
        let pixels: Vec<u8> = (0..7 * 5 * 3).map(|i| (i * 37 % 251) as u8).collect();
        write(&path, 7, 5, &pixels).expect("the file is written");
        let file = std::fs::File::open(&path).expect("the file is there");
        let mut reader = png::Decoder::new(file).read_info().expect("it is a PNG");
        let mut read = vec![0; reader.output_buffer_size()];
        let frame = reader.next_frame(&mut read).expect("it has an image");
        assert_eq!((frame.width, frame.height, frame.color_type), (7, 5, ColorType::Rgb));
        assert_eq!(read, pixels);
    }
}
