//! Random changes of images in training.

use crate::data::Pass;
use crate::kernel::cpu::random;

/// What is changed in an image each time a training sees it. Draws are keyed by seed, epoch and image, so they do not
/// depend on batches, threads or where a training was resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    padding: usize,
    flip: bool,
}

/// One change: pixel `[y, x]` comes from `[y + down, x + right]`, and then the line may be mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub down: isize,
    pub right: isize,
    pub mirrored: bool,
}

/// The path of the draws ("augment" in ASCII): no label of a net has such a hash by rule.
const PATH: u64 = 0x61_75_67_6d_65_6e_74;

impl Augment {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Surrounds the image by so many black pixels and takes a random part of its first size, as
    /// `torchvision.transforms.RandomCrop(size, padding)` does.
    pub fn crop(self, padding: usize) -> Self {
        Augment { padding, ..self }
    }

    /// Mirrors left and right every other time, at random.
    pub fn flip(self) -> Self {
        Augment { flip: true, ..self }
    }

    /// The change of an image in a pass over the data.
    pub(super) fn change(&self, pass: Pass, image: u32) -> Change {
        let Pass::Training { seed, epoch } = pass else { return Change::NONE };
        let draw = |i: u64| {
            let key = [seed as u32, (seed >> 32) as u32, epoch as u32, (epoch >> 32) as u32];
            random::uniform(key, PATH, 3 * u64::from(image) + i)
        };
        let shift = |i| (draw(i) * (2 * self.padding + 1) as f64) as isize - self.padding as isize;
        let (down, right) = if self.padding > 0 { (shift(0), shift(1)) } else { (0, 0) };
        Change { down, right, mirrored: self.flip && draw(2) < 0.5 }
    }
}

impl Change {
    pub const NONE: Self = Change { down: 0, right: 0, mirrored: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_epoch_and_image_alone() {
        let augment = Augment::new().crop(4).flip();
        let of = |seed, epoch| (0..200).map(|i| augment.change(Pass::Training { seed, epoch }, i)).collect::<Vec<_>>();
        assert_eq!(of(1, 0), of(1, 0));
        assert_ne!(of(1, 0), of(1, 1));
        assert_ne!(of(1, 0), of(2, 0));
        assert_eq!(augment.change(Pass::Evaluation, 7), Change::NONE);
    }

    #[test]
    fn every_shift_is_about_equally_likely() {
        let augment = Augment::new().crop(2).flip();
        let (mut counts, mut mirrored) = ([[0u32; 5]; 5], 0);
        for image in 0..25_000 {
            let change = augment.change(Pass::Training { seed: 3, epoch: 5 }, image);
            counts[(change.down + 2) as usize][(change.right + 2) as usize] += 1;
            mirrored += u32::from(change.mirrored);
        }
        // Binomial with mean 1000 and standard deviation 31, and 12 500 and 79: five of them.
        assert!(counts.iter().flatten().all(|&n| n.abs_diff(1000) < 156), "{counts:?}");
        assert!(mirrored.abs_diff(12_500) < 396, "{mirrored}");
    }
}
