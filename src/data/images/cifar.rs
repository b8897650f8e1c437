//! The binary files of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of labels and 3 × 32 × 32 bytes.

use super::Images;
use crate::files::read;
use crate::tensor::{Float, Named};
use crate::{Error, Result};
use std::path::Path;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What is trained on.
    Train,
    /// What is kept for judging.
    Test,
}

/// The bytes of an image.
const PIXELS: usize = 3 * 32 * 32;

const CIFAR10: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

impl<C: Named, H: Named, W: Named, Y: Named, E: Float> Images<C, H, W, Y, E> {
    /// Reads CIFAR-10 from the folder of its binary version (`data_batch_1.bin` to `data_batch_5.bin`,
    /// `test_batch.bin`).
    ///
    /// # Errors
    /// If a file cannot be read or is no whole number of records, a label is not below 10, or the images asked for are
    /// not `[3, 32, 32]` in 10 classes.
    pub fn cifar10(folder: impl AsRef<Path>, part: Part) -> Result<Self> {
        let names: &[&str] = match part {
            Part::Train => {
                &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"]
            }
            Part::Test => &["test_batch.bin"],
        };
        Self::records(folder.as_ref(), names, 1, CIFAR10.map(str::to_owned).to_vec())
    }

    /// Reads CIFAR-100 with its fine labels from the folder of its binary version (`train.bin`, `test.bin`). Classes
    /// have the names that stand in `fine_label_names.txt`, if it is there.
    ///
    /// # Errors
    /// If a file cannot be read or is no whole number of records, a label is not below 100, or the images asked for
    /// are not `[3, 32, 32]` in 100 classes.
    pub fn cifar100(folder: impl AsRef<Path>, part: Part) -> Result<Self> {
        let folder = folder.as_ref();
        let names = std::fs::read_to_string(folder.join("fine_label_names.txt")).unwrap_or_default();
        let names: Vec<String> = names.lines().map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect();
        let names = if names.len() == 100 { names } else { (0..100).map(|class| class.to_string()).collect() };
        let file = if part == Part::Train { "train.bin" } else { "test.bin" };
        Self::records(folder, &[file], 2, names)
    }

    /// Records of `labels` bytes, the last of which is the class, and an image.
    fn records(folder: &Path, files: &[&str], labels: usize, names: Vec<String>) -> Result<Self> {
        let (mut bytes, mut classes) = (Vec::new(), Vec::new());
        for name in files {
            let path = folder.join(name);
            let error = |problem: String| Error::Data { path: path.clone(), problem };
            if [C::SIZE, H::SIZE, W::SIZE] != [3, 32, 32] {
                return Err(error(Self::other_size([3, 32, 32])));
            }
            if Y::SIZE != names.len() {
                let (class, size, classes) = (Y::NAME, Y::SIZE, names.len());
                return Err(error(format!("has {classes} classes, but `{class}` of size {size} was asked for")));
            }
            let file = read(&path)?;
            let record = labels + PIXELS;
            if file.is_empty() || file.len() % record != 0 {
                return Err(error(format!(
                    "has {} bytes, which are no whole records of {record}; download it again",
                    file.len()
                )));
            }
            for (i, record) in file.chunks_exact(record).enumerate() {
                let (label, image) = record.split_at(labels);
                let class = u32::from(label[labels - 1]);
                if class as usize >= Y::SIZE {
                    let classes = Y::SIZE;
                    return Err(error(format!(
                        "has the label {class} at image {i}, but there are {classes} classes; is it a CIFAR-{classes} file?"
                    )));
                }
                classes.push(class);
                bytes.extend_from_slice(image);
            }
        }
        Self::checked(bytes, classes, 255, names).map_err(Error::value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Const, to_vec};

    type Cifar<const N: usize> = Images<Const<3>, Const<32>, Const<32>, Const<N>, f64>;

    fn record(labels: &[u8], seed: usize) -> Vec<u8> {
        labels.iter().copied().chain((0..PIXELS).map(|i| (i * 7 + seed) as u8)).collect()
    }

    #[test]
    fn records_of_all_files_are_read_in_order() -> Result<()> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
        for i in 1..=5 {
            let records = [record(&[i], usize::from(i)), record(&[9 - i], 50)].concat();
            write(&format!("data_batch_{i}.bin"), &records);
        }
        write("test_batch.bin", &record(&[3], 99));
        let train = Cifar::<10>::cifar10(folder.path(), Part::Train)?;
        assert_eq!(train.labels().values(), [1, 8, 2, 7, 3, 6, 4, 5, 5, 4]);
        assert_eq!(train.classes()[3], "cat");
        let pixels = to_vec(&train.pixels());
        assert_eq!(pixels[2 * PIXELS + 40], f64::from((40 * 7 + 2) as u8) / 255.0);
        assert_eq!(Cifar::<10>::cifar10(folder.path(), Part::Test)?.labels().values(), [3]);

        write("train.bin", &[record(&[4, 99], 0), record(&[19, 0], 1)].concat());
        let hundred = Cifar::<100>::cifar100(folder.path(), Part::Train)?;
        assert_eq!(hundred.labels().values(), [99, 0]);
        assert_eq!(hundred.classes()[12], "12");
        let names: Vec<String> = (0..100).map(|i| format!("class {i}")).collect();
        write("fine_label_names.txt", names.join("\n").as_bytes());
        assert_eq!(Cifar::<100>::cifar100(folder.path(), Part::Train)?.classes()[12], "class 12");
        Ok(())
    }

    #[test]
    fn each_malformed_file_has_its_message() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let message = |bytes: &[u8]| {
            std::fs::write(folder.path().join("test_batch.bin"), bytes).expect("a file");
            Cifar::<10>::cifar10(folder.path(), Part::Test).expect_err("malformed").to_string()
        };
        assert!(message(&[]).contains("test_batch.bin: has 0 bytes"));
        assert!(message(&record(&[3], 0)[1..]).contains("no whole records of 3073"));
        assert!(message(&[record(&[3], 0), record(&[10], 0)].concat()).contains("label 10 at image 1"));
        let missing = Cifar::<10>::cifar10(folder.path(), Part::Train).expect_err("no file").to_string();
        assert!(missing.contains("cannot read") && missing.contains("data_batch_1.bin"), "{missing}");
        let other = Cifar::<9>::cifar10(folder.path(), Part::Test).expect_err("ten classes").to_string();
        assert!(other.contains("10 classes, but `9` of size 9"), "{other}");
        let other = Images::<Const<3>, Const<32>, Const<28>, Const<10>>::cifar10(folder.path(), Part::Test);
        let other = other.expect_err("32 columns").to_string();
        assert!(other.contains("[3, 32, 32], but [3, 32, 28]"), "{other}");
    }
}
