//! Images with a class each, kept as bytes and made numbers as they are fed.

mod augment;
mod cifar;
#[cfg(feature = "png")]
mod folder;

pub use augment::Augment;
pub use cifar::Part;

use super::idx::Idx;
use super::{Dataset, Pass, split};
use crate::files::read;
use crate::nn::Batch;
use crate::run::Data;
use crate::tensor::{Cpu, Feed, Float, Indices, Named, Tensor, from_vec};
use crate::{Error, Result};
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

/// Images of `C` channels, `H` rows and `W` columns, each with a class of `Y`, as inputs `[n, C, H, W]` and `[n] in Y`
/// of a net. Pixels are from 0 to 1 unless they are normalised. Parts of a data set share its memory.
///
/// ```no_run
/// use ansatz::data::{Augment, Images, Part};
/// use ansatz::tensor::Const;
///
/// type Cifar = Images<Const<3>, Const<32>, Const<32>, Const<10>>;
/// let train = Cifar::cifar10("cifar-10-batches-bin", Part::Train)?;
/// let (mean, deviation) = train.statistics();
/// let train = train.normalise(&mean, &deviation)?.augment(Augment::new().crop(4).flip());
/// let test = Cifar::cifar10("cifar-10-batches-bin", Part::Test)?.normalise(&mean, &deviation)?;
/// # Ok::<(), ansatz::Error>(())
/// ```
pub struct Images<C, H, W, Y, E = f32> {
    all: Arc<All>,
    /// Which of all images these are.
    rows: Vec<u32>,
    /// What each byte becomes, 256 numbers for each channel.
    levels: Vec<E>,
    augment: Augment,
    dims: PhantomData<(C, H, W, Y)>,
}

/// The images in memory.
struct All {
    bytes: Vec<u8>,
    labels: Vec<u32>,
    classes: Vec<String>,
    /// The byte that becomes 1.
    white: f64,
}

impl<C: Named, H: Named, W: Named, Y: Named, E: Float> Images<C, H, W, Y, E> {
    const LEN: usize = C::SIZE * H::SIZE * W::SIZE;

    /// Images in memory: for each of them its channels, rows and columns of bytes (0 is black and 255 white), and its
    /// class.
    ///
    /// # Errors
    /// If there are not C · H · W bytes for each label, or a label is not below the size of `Y`.
    pub fn new(bytes: Vec<u8>, labels: Vec<u32>) -> Result<Self> {
        Self::checked(bytes, labels, 255, Vec::new()).map_err(|problem| Error::value(format!("the data {problem}")))
    }

    /// Reads images and labels from IDX files, as MNIST is distributed (`train-images-idx3-ubyte`,
    /// `train-labels-idx1-ubyte`). The axes of an image are rows and columns, before which channels may stand.
    ///
    /// # Errors
    /// If a file cannot be read, is no IDX file, is shorter or longer than it says, the two files differ in length, an
    /// image has other sizes, or a label is not below the size of `Y`.
    pub fn idx(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self> {
        let (images, labels) = (images.as_ref(), labels.as_ref());
        let (image_bytes, label_bytes) = (read(images)?, read(labels)?);
        Self::paired(&Idx::parse(images, &image_bytes)?, &Idx::parse(labels, &label_bytes)?, 255)
    }

    /// The handwritten digits of [`digits`](super::digits()) as images of one channel, `[1, 8, 8]`.
    ///
    /// # Errors
    /// If `C`, `H` and `W` are not 1, 8 and 8, or `Y` is not of size 10.
    pub fn digits() -> Result<Self> {
        let (images, labels) = super::digits::files()?;
        Self::paired(&images, &labels, 16)
    }

    fn paired(images: &Idx<'_>, labels: &Idx<'_>, white: u8) -> Result<Self> {
        images.pairs_with(labels)?;
        let sizes = match images.dims[1..] {
            [h, w] => [1, h, w],
            [c, h, w] => [c, h, w],
            _ => return Err(images.error(format!("holds {} axes; images have three or four", images.dims.len()))),
        };
        if sizes != [C::SIZE, H::SIZE, W::SIZE] {
            return Err(images.error(Self::other_size(sizes)));
        }
        let classes = labels.bytes.iter().map(|&byte| u32::from(byte)).collect();
        let read = Self::checked(images.bytes.to_vec(), classes, white, Vec::new());
        read.map_err(|problem| labels.error(problem))
    }

    /// The error is a sentence about the file that the images come from; no class names stand for the numbers.
    fn checked(bytes: Vec<u8>, labels: Vec<u32>, white: u8, classes: Vec<String>) -> Result<Self, String> {
        if bytes.len() != labels.len() * Self::LEN {
            return Err(format!(
                "has {} bytes for {} images, which take {} each",
                bytes.len(),
                labels.len(),
                Self::LEN
            ));
        }
        if let Some((at, label)) = labels.iter().enumerate().find(|(_, label)| **label as usize >= Y::SIZE) {
            let (name, size) = (Y::NAME, Y::SIZE);
            return Err(format!("has the label {label} at image {at}, which is no index into `{name}` of size {size}"));
        }
        let classes = if classes.is_empty() { (0..Y::SIZE).map(|y| y.to_string()).collect() } else { classes };
        let rows = (0..labels.len() as u32).collect();
        let white = f64::from(white);
        let mut images = Images {
            all: Arc::new(All { bytes, labels, classes, white }),
            rows,
            levels: Vec::new(),
            augment: Augment::new(),
            dims: PhantomData,
        };
        images.set_levels(|_, level| level);
        Ok(images)
    }

    /// The sentence about images of these sizes where others were asked for.
    fn other_size([c, h, w]: [usize; 3]) -> String {
        let asked = [C::SIZE, H::SIZE, W::SIZE];
        format!("holds images of [channels, rows, columns] = [{c}, {h}, {w}], but {asked:?} was asked for")
    }

    fn set_levels(&mut self, level: impl Fn(usize, f64) -> f64) {
        let levels = (0..C::SIZE).flat_map(|c| (0..256).map(move |byte| (c, f64::from(byte))));
        self.levels = levels.map(|(c, byte)| <E as Float>::from_f64(level(c, byte / self.all.white))).collect();
    }

    /// Mean and standard deviation of each channel over all pixels of these images, as they are from 0 to 1.
    pub fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let pixels = H::SIZE * W::SIZE;
        let mut counts = vec![[0u64; 256]; C::SIZE];
        for &row in &self.rows {
            for (c, counts) in counts.iter_mut().enumerate() {
                let start = row as usize * Self::LEN + c * pixels;
                self.all.bytes[start..start + pixels].iter().for_each(|&byte| counts[usize::from(byte)] += 1);
            }
        }
        let total = (self.rows.len() * pixels).max(1) as f64;
        let mean_of = |counts: &[u64; 256], value: &dyn Fn(f64) -> f64| {
            let sum: f64 = (0u32..).zip(counts).map(|(b, &n)| n as f64 * value(f64::from(b) / self.all.white)).sum();
            sum / total
        };
        let moments = counts.iter().map(|counts| {
            let mean = mean_of(counts, &|x| x);
            (mean, mean_of(counts, &|x| (x - mean).powi(2)).sqrt())
        });
        moments.unzip()
    }

    /// The same images, of whose pixels `mean` is subtracted, and which are divided by `deviation`, in each channel.
    ///
    /// # Errors
    /// If there is not one number for each channel, or a deviation is not positive.
    pub fn normalise(mut self, mean: &[f64], deviation: &[f64]) -> Result<Self> {
        if mean.len() != C::SIZE || deviation.len() != C::SIZE {
            let (means, deviations, channels) = (mean.len(), deviation.len(), C::SIZE);
            return Err(Error::value(format!(
                "{channels} channels are normalised by as many means and deviations, not by {means} and {deviations}"
            )));
        }
        if let Some(wrong) = deviation.iter().find(|&&d| !(d > 0.0 && d.is_finite())) {
            return Err(Error::value(format!("a channel is normalised by a positive deviation, not by {wrong}")));
        }
        self.set_levels(|c, level| (level - mean[c]) / deviation[c]);
        Ok(self)
    }

    /// The same images, changed at random each time a training sees them; evaluation sees them as they are.
    pub fn augment(mut self, augment: Augment) -> Self {
        self.augment = augment;
        self
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names of the classes: those of the folders or the data set, or numbers.
    pub fn classes(&self) -> &[String] {
        &self.all.classes
    }

    /// The images as they are evaluated, `[images, C, H, W]`.
    pub fn pixels(&self) -> Tensor<(usize, C, H, W), E, Cpu> {
        let mut pixels = vec![E::default(); self.len() * Self::LEN];
        for (&row, pixels) in self.rows.iter().zip(pixels.chunks_exact_mut(Self::LEN.max(1))) {
            self.image(row, &augment::Change::NONE, pixels);
        }
        from_vec(pixels, (self.len(), C::default(), H::default(), W::default())).expect("all images have one size")
    }

    /// The classes, `[images] in Y`.
    pub fn labels(&self) -> Indices<(usize,), Y> {
        let labels: Vec<u32> = self.rows.iter().map(|&row| self.all.labels[row as usize]).collect();
        Indices::new(labels, (self.len(),)).expect("the labels were checked when the images were made")
    }

    /// The images at these positions, in this order.
    ///
    /// # Errors
    /// If a position is beyond the images.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        self.check(rows)?;
        let rows = rows.iter().map(|&row| self.rows[row as usize]).collect();
        Ok(Images { rows, ..self.clone() })
    }

    /// Two parts by a fixed shuffle: the share `first`, and the rest.
    ///
    /// # Errors
    /// Never for data sets in memory of less than 2³² images.
    pub fn split(&self, first: f64, seed: u64) -> Result<(Self, Self)> {
        let (left, right) = split(self.len(), first, seed);
        Ok((self.select(&left)?, self.select(&right)?))
    }

    fn check(&self, rows: &[u32]) -> Result<()> {
        match rows.iter().find(|&&row| row as usize >= self.len()) {
            None => Ok(()),
            Some(row) => Err(Error::value(format!("there is no image {row}; the data set has {}", self.len()))),
        }
    }

    /// Writes one of all images, shifted by the change (what comes from outside is black) and then mirrored.
    fn image(&self, row: u32, change: &augment::Change, pixels: &mut [E]) {
        let [h, w] = [H::SIZE, W::SIZE];
        let start = row as usize * Self::LEN;
        let bytes = &self.all.bytes[start..start + Self::LEN];
        for (line, pixels) in pixels.chunks_exact_mut(w.max(1)).enumerate() {
            let (c, y) = (line / h, line % h);
            let levels = &self.levels[256 * c..256 * (c + 1)];
            let from = y.checked_add_signed(change.down).filter(|&y| y < h);
            let Some(from) = from else {
                pixels.fill(levels[0]);
                continue;
            };
            let bytes = &bytes[(c * h + from) * w..][..w];
            // The part of the line that comes from inside the image.
            let first = (-change.right).clamp(0, w as isize) as usize;
            let last = (w as isize - change.right).clamp(first as isize, w as isize) as usize;
            pixels[..first].fill(levels[0]);
            pixels[last..].fill(levels[0]);
            let inside = first.wrapping_add_signed(change.right);
            for (pixel, &byte) in pixels[first..last].iter_mut().zip(&bytes[inside.min(w)..]) {
                *pixel = levels[usize::from(byte)];
            }
            if change.mirrored {
                pixels.reverse();
            }
        }
    }
}

/// For every net that takes images and their classes, in this order.
#[diagnostic::do_not_recommend]
impl<C: Named, H: Named, W: Named, Y: Named, E: Float, B> Dataset<B> for Images<C, H, W, Y, E>
where
    B: Batch + From<(Tensor<(usize, C, H, W), E, Cpu>, Indices<(usize,), Y>)>,
{
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn feed(&self, rows: &[u32], pass: Pass, feed: &mut Feed, dims: &mut Vec<usize>) -> Result<()> {
        self.check(rows)?;
        let pixels = feed.reals::<E>(rows.len() * Self::LEN);
        for (&row, pixels) in rows.iter().zip(pixels.chunks_exact_mut(Self::LEN.max(1))) {
            let image = self.rows[row as usize];
            self.image(image, &self.augment.change(pass, image), pixels);
        }
        feed.rows(Data::Index(&self.all.labels), 1, rows.iter().map(|&row| self.rows[row as usize] as usize));
        dims.push(rows.len());
        Ok(())
    }
}

impl<C, H, W, Y, E: Clone> Clone for Images<C, H, W, Y, E> {
    fn clone(&self) -> Self {
        let Images { all, rows, levels, augment, dims } = self;
        Images { all: all.clone(), rows: rows.clone(), levels: levels.clone(), augment: *augment, dims: *dims }
    }
}

impl<C: Named, H: Named, W: Named, Y: Named, E> fmt::Debug for Images<C, H, W, Y, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images")
            .field("len", &self.rows.len())
            .field("size", &[C::SIZE, H::SIZE, W::SIZE])
            .field("classes", &self.all.classes)
            .field("augment", &self.augment)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Const, to_vec};

    type Small = Images<Const<2>, Const<2>, Const<3>, Const<2>, f64>;

    fn small() -> Small {
        Small::new((0..24).collect(), vec![1, 0]).expect("well-formed")
    }

    #[test]
    fn pixels_are_from_0_to_1_and_normalised_by_their_statistics() {
        let images = small();
        assert_eq!(to_vec(&images.pixels()), (0..24).map(|b| f64::from(b) / 255.0).collect::<Vec<_>>());
        assert_eq!(images.labels().values(), [1, 0]);
        assert_eq!(images.classes(), ["0", "1"]);
        let (mean, deviation) = images.statistics();
        let pixels = to_vec(&images.normalise(&mean, &deviation).expect("two channels").pixels());
        for channel in 0..2 {
            let of = [0, 1].map(|image| &pixels[12 * image + 6 * channel..][..6]).concat();
            assert!(of.iter().sum::<f64>().abs() < 1e-12);
            assert!((of.iter().map(|x| x * x).sum::<f64>() / 12.0 - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn parts_share_the_memory_of_the_whole() {
        let images = small();
        let (left, right) = images.split(0.5, 3).expect("two parts");
        assert_eq!((left.len(), right.len()), (1, 1));
        assert!(Arc::ptr_eq(&left.all, &right.all));
        let second = images.select(&[1]).expect("there are two");
        assert_eq!(to_vec(&second.pixels()), to_vec(&images.pixels())[12..]);
        assert_eq!(images.select(&[2]).unwrap_err().to_string(), "there is no image 2; the data set has 2");
    }

    #[test]
    fn shifts_and_mirrors_move_pixels() {
        let images = Images::<Const<1>, Const<2>, Const<3>, Const<1>, f64>::new(vec![1, 2, 3, 4, 5, 6], vec![0]);
        let images = images.expect("well-formed");
        let moved = |down, right, mirrored| {
            let mut pixels = vec![f64::NAN; 6];
            images.image(0, &augment::Change { down, right, mirrored }, &mut pixels);
            pixels.iter().map(|x| (x * 255.0).round()).collect::<Vec<_>>()
        };
        assert_eq!(moved(0, 0, true), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(moved(1, 1, false), [5.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(moved(-1, -2, false), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(moved(0, -1, true), [2.0, 1.0, 0.0, 5.0, 4.0, 0.0]);
        assert_eq!(moved(0, 5, false), [0.0; 6]);
        assert_eq!(moved(0, -5, true), [0.0; 6]);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |result: Result<Small>| result.expect_err("wrong").to_string();
        assert!(error(Small::new(vec![0; 23], vec![0, 0])).contains("23 bytes for 2 images, which take 12 each"));
        assert!(error(Small::new(vec![0; 12], vec![2])).contains("label 2 at image 0"));
        assert!(error(small().normalise(&[0.5], &[1.0])).contains("2 channels are normalised by as many means"));
        assert!(error(small().normalise(&[0.5; 2], &[1.0, 0.0])).contains("positive deviation, not by 0"));
        let digits = Images::<Const<1>, Const<8>, Const<7>, Const<10>>::digits().expect_err("8 columns").to_string();
        assert!(digits.contains("[1, 8, 8], but [1, 8, 7] was asked for"), "{digits}");
    }

    #[test]
    fn digits_are_the_flat_ones() {
        let images = Images::<Const<1>, Const<8>, Const<8>, Const<10>, f64>::digits().expect("the embedded digits");
        let flat = crate::data::digits::<Const<64>, Const<10>, f64>().expect("the embedded digits");
        assert_eq!(to_vec(&images.pixels()), to_vec(&flat.features()));
        assert_eq!(images.labels(), flat.labels());
    }
}
