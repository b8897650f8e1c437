//! Where an element of a node lies, as an affine function of the position in a kernel's iteration space.

/// `offset + Σ position[axis] * steps[axis]` over the axes of an iteration space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Affine {
    pub offset: usize,
    pub steps: Vec<usize>,
}

/// Why a position has no quotient and remainder by a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Indivisible {
    /// It has once `axis` of the iteration space is split in two, the second of `inner` positions.
    UntilSplit { axis: usize, inner: usize },
    /// It never has.
    Never,
}

impl Affine {
    pub fn zero(rank: usize) -> Self {
        Affine { offset: 0, steps: vec![0; rank] }
    }

    /// Adds `factor * other`.
    pub fn add(&mut self, factor: usize, other: &Affine) {
        self.offset += factor * other.offset;
        for (step, other) in self.steps.iter_mut().zip(&other.steps) {
            *step += factor * other;
        }
    }

    /// The quotient and remainder by `size`, for positions within `dims`.
    pub fn divide(&self, size: usize, dims: &[usize]) -> Result<(Affine, Affine), Indivisible> {
        let rank = dims.len();
        let mut quotient = Affine { offset: self.offset / size, steps: vec![0; rank] };
        let mut remainder = Affine { offset: self.offset % size, steps: vec![0; rank] };
        let mut greatest = remainder.offset;
        for (axis, (&step, &len)) in self.steps.iter().zip(dims).enumerate() {
            if step == 0 || len == 1 {
                continue;
            }
            if step.is_multiple_of(size) {
                quotient.steps[axis] = step / size;
            } else if step * (len - 1) < size {
                remainder.steps[axis] = step;
                greatest += step * (len - 1);
            } else if size.is_multiple_of(step) && len.is_multiple_of(size / step) {
                return Err(Indivisible::UntilSplit { axis, inner: size / step });
            } else {
                return Err(Indivisible::Never);
            }
        }
        if greatest < size { Ok((quotient, remainder)) } else { Err(Indivisible::Never) }
    }
}

/// Row-major strides.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// The parts of two shapes of equally many elements that correspond: ranges of axes with equal products.
pub(super) fn groups(left: &[usize], right: &[usize]) -> Vec<[std::ops::Range<usize>; 2]> {
    let mut groups = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let (first, second) = (i, j);
        let (mut a, mut b) = (1, 1);
        loop {
            if a == b && (i > first || j > second) {
                break;
            } else if (a <= b && i < left.len()) || j == right.len() {
                a *= left[i];
                i += 1;
            } else {
                b *= right[j];
                j += 1;
            }
        }
        groups.push([first..i, second..j]);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_axis_divides_after_a_split() {
        let whole = Affine { offset: 0, steps: vec![1] };
        assert_eq!(whole.divide(4, &[12]), Err(Indivisible::UntilSplit { axis: 0, inner: 4 }));
        let whole = Affine { offset: 0, steps: vec![4, 1] };
        let (quotient, remainder) = whole.divide(4, &[3, 4]).unwrap();
        assert_eq!((quotient.steps, remainder.steps), (vec![1, 0], vec![0, 1]));
    }

    #[test]
    fn corresponding_axes_have_equal_products() {
        assert_eq!(groups(&[2, 3, 4], &[6, 4]), vec![[0..2, 0..1], [2..3, 1..2]]);
        assert_eq!(groups(&[], &[1]), vec![[0..0, 0..1]]);
        assert_eq!(groups(&[1, 5], &[5]), vec![[0..1, 0..0], [1..2, 0..1]]);
    }
}
