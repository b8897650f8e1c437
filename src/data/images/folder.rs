//! Folders of PNG files, one for each class.

use super::Images;
use crate::files::read;
use crate::tensor::{Float, Named};
use crate::{Error, Result};
use png::{ColorType, Decoder, Limits, Transformations};
use std::path::{Path, PathBuf};

impl<C: Named, H: Named, W: Named, Y: Named, E: Float> Images<C, H, W, Y, E> {
    /// Reads every `.png` file of a folder that has one folder for each class; classes are numbered in the order of
    /// their names, images stand in the order of class and name. With one channel colours become the luma of ITU-R 601
    /// as in Pillow, with three grey values are repeated; transparency counts with two or four channels only.
    ///
    /// # Errors
    /// If a folder or file cannot be read, a file is no PNG image or of another size, or there are not as many classes
    /// as `Y` says.
    pub fn folder(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let error = |problem: String| Error::Data { path: path.to_owned(), problem };
        if !(1..=4).contains(&C::SIZE) {
            return Err(error(format!("a PNG image has one to four channels; {} were asked for", C::SIZE)));
        }
        let folders: Vec<PathBuf> = sorted(path)?.into_iter().filter(|entry| entry.is_dir()).collect();
        if folders.len() != Y::SIZE {
            let (name, size, found) = (Y::NAME, Y::SIZE, folders.len());
            return Err(error(format!(
                "holds {found} folders, one for each class, but `{name}` of size {size} was asked for"
            )));
        }
        let (mut bytes, mut labels, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for (class, folder) in folders.iter().enumerate() {
            classes.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
            let is_png = |file: &PathBuf| file.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
            for file in sorted(folder)?.into_iter().filter(is_png) {
                let error = |problem: String| Error::Data { path: file.clone(), problem };
                let image = decode(&read(&file)?, [H::SIZE, W::SIZE]).map_err(error)?;
                labels.push(class as u32);
                image.append(C::SIZE, &mut bytes);
            }
            if labels.last() != Some(&(class as u32)) {
                return Err(Error::Data { path: folder.clone(), problem: "holds no file `*.png`".into() });
            }
        }
        Self::checked(bytes, labels, 255, classes).map_err(error)
    }
}

/// The entries of a folder by name.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    let paths: Result<Vec<PathBuf>> =
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(|e| Error::io("read", folder, e))).collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}

/// Pixels in the order of the file: rows, columns, channels.
struct Image {
    channels: usize,
    pixels: Vec<u8>,
}

/// No image is larger than this, whatever its header says.
const LIMIT: usize = 1 << 30;

fn decode(file: &[u8], [height, width]: [usize; 2]) -> Result<Image, String> {
    let sentence = |e: png::DecodingError| format!("cannot be read as a PNG image: {e}");
    let mut decoder = Decoder::new_with_limits(file, Limits { bytes: LIMIT });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(sentence)?;
    let info = reader.info();
    if [info.height as usize, info.width as usize] != [height, width] {
        return Err(format!(
            "is an image of {} rows and {} columns, but {height} and {width} were asked for; scale it first",
            info.height, info.width
        ));
    }
    let size = reader.output_buffer_size();
    if size > LIMIT {
        return Err(format!("is an image of {size} bytes, more than {LIMIT}"));
    }
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(sentence)?;
    pixels.truncate(info.buffer_size());
    let channels = match info.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return Err("has a palette that was not resolved".into()),
    };
    Ok(Image { channels, pixels })
}

impl Image {
    /// The pixels as so many planes.
    fn append(&self, channels: usize, bytes: &mut Vec<u8>) {
        for c in 0..channels {
            bytes.extend(self.pixels.chunks_exact(self.channels).map(|pixel| channel(pixel, channels, c)));
        }
    }
}

/// Channel `c` of `channels` of a pixel that may have others: grey, grey and alpha, colours, colours and alpha.
fn channel(pixel: &[u8], channels: usize, c: usize) -> u8 {
    let alpha = channels.is_multiple_of(2) && c == channels - 1;
    match *pixel {
        [_, alpha_value] | [_, _, _, alpha_value] if alpha => alpha_value,
        _ if alpha => 255,
        [grey] | [grey, _] => grey,
        [r, g, b] | [r, g, b, _] if channels < 3 => {
            let weighted = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
            ((weighted + 0x8000) >> 16) as u8
        }
        _ => pixel[c],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Const, to_vec};

    fn png(width: u32, height: u32, color: ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().expect("a header").write_image_data(pixels).expect("an image");
        file
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        }
        folder
    }

    #[test]
    fn folders_are_classes_and_planes_are_channels() -> Result<()> {
        let folder = folder(&[
            ("dog/a.png", png(2, 1, ColorType::Rgb, &[10, 20, 30, 40, 50, 60])),
            ("cat/2.PNG", png(2, 1, ColorType::Grayscale, &[7, 8])),
            ("cat/1.png", png(2, 1, ColorType::Rgba, &[1, 2, 3, 99, 4, 5, 6, 98])),
            ("cat/readme.txt", b"not an image".to_vec()),
            ("notes.txt", b"not a class".to_vec()),
        ]);
        let bytes = |pixels: Vec<f64>| pixels.iter().map(|x| (x * 255.0).round() as u8).collect::<Vec<_>>();
        let three = Images::<Const<3>, Const<1>, Const<2>, Const<2>, f64>::folder(folder.path())?;
        assert_eq!(three.classes(), ["cat", "dog"]);
        assert_eq!(three.labels().values(), [0, 0, 1]);
        let expected = [1, 4, 2, 5, 3, 6, 7, 8, 7, 8, 7, 8, 10, 40, 20, 50, 30, 60];
        assert_eq!(bytes(to_vec(&three.pixels())), expected);
        // `Image.convert("L")` of Pillow gives 2, 5, 18 and 48 for the colours.
        let one = Images::<Const<1>, Const<1>, Const<2>, Const<2>, f64>::folder(folder.path())?;
        assert_eq!(bytes(to_vec(&one.pixels())), [2, 5, 7, 8, 18, 48]);
        let four = Images::<Const<4>, Const<1>, Const<2>, Const<2>, f64>::folder(folder.path())?;
        assert_eq!(bytes(to_vec(&four.pixels()))[6..10], [99, 98, 7, 8]);
        Ok(())
    }

    #[test]
    fn each_malformed_folder_has_its_message() {
        let good = png(2, 1, ColorType::Grayscale, &[7, 8]);
        let mut corrupt = png(2, 1, ColorType::Grayscale, &[7, 8]);
        let at = corrupt.len() - 20;
        corrupt[at] ^= 0x55;
        for (files, part) in [
            (vec![("a/1.png", good.clone())], "holds 1 folders"),
            (vec![("a/1.png", good.clone()), ("b/1.txt", vec![])], "b: holds no file"),
            (vec![("a/1.png", good.clone()), ("b/1.png", b"hello".to_vec())], "1.png: cannot be read as a PNG"),
            (vec![("a/1.png", good.clone()), ("b/1.png", good[..40].to_vec())], "1.png: cannot be read as a PNG"),
            (vec![("a/1.png", good.clone()), ("b/1.png", corrupt)], "1.png: cannot be read as a PNG"),
            (
                vec![("a/1.png", good.clone()), ("b/1.png", png(1, 2, ColorType::Grayscale, &[7, 8]))],
                "is an image of 2 rows and 1 columns, but 1 and 2",
            ),
        ] {
            let folder = folder(&files);
            let read = Images::<Const<1>, Const<1>, Const<2>, Const<2>>::folder(folder.path());
            let found = read.expect_err(part).to_string();
            assert!(found.contains(part), "{found}");
        }
        let missing = Images::<Const<1>, Const<1>, Const<2>, Const<2>>::folder("no such folder");
        assert!(missing.expect_err("nothing there").to_string().contains("cannot read no such folder"));
        let seven = Images::<Const<7>, Const<1>, Const<2>, Const<2>>::folder(".").expect_err("too many channels");
        assert!(seven.to_string().contains("one to four channels; 7"), "{seven}");
    }
}
