//! Shape rules, each written once and used twice: with numbers when a graph is recorded, and with symbolic terms
//! when `net!` infers shapes at compile time.

mod slide;

pub use slide::{Slide, conv, conv_transpose, windows};

/// The size of an axis: a number at run time, a symbolic term in the macro. Equality must mean *provably the same
/// dimension*: for terms, equal names, not equal numbers.
pub trait Size: Clone + PartialEq {
    /// The size of a literal.
    fn literal(size: usize) -> Self;
    /// `self + other`.
    fn plus(&self, other: &Self) -> Self;
    /// `self * other`.
    fn times(&self, other: &Self) -> Self;

    /// How many windows of `reach` positions, each `stride` after the one before, fit with so much `padding` around:
    /// ⌊(self + padding − reach) / stride⌋ + 1. None if there is surely no room for one.
    fn windows(&self, reach: usize, stride: usize, padding: usize) -> Option<Self>;

    /// How many positions so many windows cover, without the `padding`: (self − 1) stride + reach − padding. None if
    /// that is surely nothing.
    fn covered(&self, reach: usize, stride: usize, padding: usize) -> Option<Self>;

    /// Whether this is a literal 1, which broadcasts.
    fn is_one(&self) -> bool {
        *self == Self::literal(1)
    }
}

impl Size for usize {
    fn literal(size: usize) -> Self {
        size
    }

    // What no machine counts is longer than every axis.
    fn plus(&self, other: &Self) -> Self {
        self.saturating_add(*other)
    }

    fn times(&self, other: &Self) -> Self {
        self.saturating_mul(*other)
    }

    fn windows(&self, reach: usize, stride: usize, padding: usize) -> Option<Self> {
        self.checked_add(padding)?.checked_sub(reach)?.checked_div(stride)?.checked_add(1)
    }

    fn covered(&self, reach: usize, stride: usize, padding: usize) -> Option<Self> {
        let covered = self.checked_sub(1)?.checked_mul(stride)?.checked_add(reach)?;
        covered.checked_sub(padding).filter(|&size| size > 0)
    }
}

/// Why shapes do not fit. The caller knows the op, the names and the place, and phrases the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit<D> {
    /// Axis `axis` (counted from the left of `operand`) should be `expected` and is `found`.
    Size {
        /// Which operand is wrong.
        operand: usize,
        /// Its axis.
        axis: usize,
        /// What would fit.
        expected: D,
        /// What came.
        found: D,
    },
    /// An operand has too few or too many axes.
    Rank {
        /// Which operand is wrong.
        operand: usize,
        /// At least so many (exactly so many where the rule says so).
        expected: usize,
        /// What came.
        found: usize,
    },
    /// An axis number beyond the rank, or given twice.
    Axis {
        /// The axis.
        axis: usize,
        /// The rank.
        rank: usize,
    },
}

/// The result of a rule.
pub type Fit<T, D> = Result<T, Misfit<D>>;

/// How one operand reaches the common shape of an elementwise op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Axes of size 1 in the operand that are dropped first, ascending.
    pub squeezed: Vec<usize>,
    /// Axes of the result along which the operand is then repeated, ascending.
    pub inserted: Vec<usize>,
}

/// Broadcasting by identity: shapes are aligned at the right; each pair of axes is identical, or one is a literal 1.
/// Gives the common shape and how each operand reaches it.
pub fn broadcast<D: Size>(left: &[D], right: &[D]) -> Fit<(Vec<D>, [Spread; 2]), D> {
    let rank = left.len().max(right.len());
    let mut dims = Vec::with_capacity(rank);
    let mut spreads = [Spread { squeezed: vec![], inserted: vec![] }, Spread { squeezed: vec![], inserted: vec![] }];
    for axis in 0..rank {
        let own = |shape: &[D]| (axis + shape.len()).checked_sub(rank);
        match (own(left), own(right)) {
            (Some(l), Some(r)) if left[l] == right[r] => dims.push(left[l].clone()),
            (Some(l), Some(r)) if right[r].is_one() => {
                dims.push(left[l].clone());
                spreads[1].squeezed.push(r);
                spreads[1].inserted.push(axis);
            }
            (Some(l), Some(r)) if left[l].is_one() => {
                dims.push(right[r].clone());
                spreads[0].squeezed.push(l);
                spreads[0].inserted.push(axis);
            }
            (Some(l), Some(r)) => {
                return Err(Misfit::Size { operand: 1, axis: r, expected: left[l].clone(), found: right[r].clone() });
            }
            (Some(l), None) => {
                dims.push(left[l].clone());
                spreads[1].inserted.push(axis);
            }
            (None, Some(r)) => {
                dims.push(right[r].clone());
                spreads[0].inserted.push(axis);
            }
            (None, None) => {
                unreachable!("an axis of the common shape belongs to one of the operands")
            }
        }
    }
    Ok((dims, spreads))
}

/// Both operands have the same shape.
pub fn same<D: Size>(left: &[D], right: &[D]) -> Fit<Vec<D>, D> {
    if left.len() != right.len() {
        return Err(Misfit::Rank { operand: 1, expected: left.len(), found: right.len() });
    }
    match left.iter().zip(right).position(|(l, r)| l != r) {
        None => Ok(left.to_vec()),
        Some(axis) => Err(Misfit::Size { operand: 1, axis, expected: left[axis].clone(), found: right[axis].clone() }),
    }
}

/// Removes axes, given in any order.
pub fn reduce<D: Size>(dims: &[D], axes: &[usize]) -> Fit<Vec<D>, D> {
    let mut gone = vec![false; dims.len()];
    for &axis in axes {
        match gone.get_mut(axis) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                return Err(Misfit::Axis { axis, rank: dims.len() });
            }
        }
    }
    Ok(dims.iter().zip(gone).filter(|(_, gone)| !gone).map(|(d, _)| d.clone()).collect())
}

/// Goes over one axis; the shape stays.
pub fn along<D: Size>(dims: &[D], axis: usize) -> Fit<Vec<D>, D> {
    if axis < dims.len() { Ok(dims.to_vec()) } else { Err(Misfit::Axis { axis, rank: dims.len() }) }
}

/// `x · Wᵀ`: the last axis must be `inputs` and becomes `outputs`.
pub fn linear<D: Size>(dims: &[D], inputs: &D, outputs: &D) -> Fit<Vec<D>, D> {
    match dims.split_last() {
        None => Err(Misfit::Rank { operand: 0, expected: 1, found: 0 }),
        Some((last, _)) if last != inputs => {
            Err(Misfit::Size { operand: 0, axis: dims.len() - 1, expected: inputs.clone(), found: last.clone() })
        }
        Some((_, leading)) => Ok(leading.iter().chain([outputs]).cloned().collect()),
    }
}

/// `[.., m, k] · [.., k, n] → [.., m, n]`, either operand stored transposed.
pub fn matmul<D: Size>(left: &[D], right: &[D], transposed: [bool; 2]) -> Fit<Vec<D>, D> {
    for (operand, dims) in [left, right].into_iter().enumerate() {
        if dims.len() < 2 {
            return Err(Misfit::Rank { operand, expected: 2, found: dims.len() });
        }
    }
    if left.len() != right.len() {
        return Err(Misfit::Rank { operand: 1, expected: left.len(), found: right.len() });
    }
    let batch = left.len() - 2;
    if let Some(axis) = (0..batch).find(|&i| left[i] != right[i]) {
        return Err(Misfit::Size { operand: 1, axis, expected: left[axis].clone(), found: right[axis].clone() });
    }
    let (m, k) = if transposed[0] { (batch + 1, batch) } else { (batch, batch + 1) };
    let (inner, n) = if transposed[1] { (batch + 1, batch) } else { (batch, batch + 1) };
    if left[k] != right[inner] {
        return Err(Misfit::Size { operand: 1, axis: inner, expected: left[k].clone(), found: right[inner].clone() });
    }
    Ok(left[..batch].iter().chain([&left[m], &right[n]]).cloned().collect())
}

/// Axis i of the result is axis `order[i]` of the operand; every axis occurs once.
pub fn permute<D: Size>(dims: &[D], order: &[usize]) -> Fit<Vec<D>, D> {
    if order.len() != dims.len() {
        return Err(Misfit::Rank { operand: 0, expected: order.len(), found: dims.len() });
    }
    reduce(dims, order)?;
    Ok(order.iter().map(|&axis| dims[axis].clone()).collect())
}

/// Operands one after the other along `axis`; all other axes agree.
pub fn concat<D: Size>(operands: &[&[D]], axis: usize) -> Fit<Vec<D>, D> {
    let Some((first, rest)) = operands.split_first() else {
        return Err(Misfit::Rank { operand: 0, expected: 1, found: 0 });
    };
    if axis >= first.len() {
        return Err(Misfit::Axis { axis, rank: first.len() });
    }
    let mut dims = first.to_vec();
    for (i, other) in rest.iter().enumerate() {
        if other.len() != first.len() {
            return Err(Misfit::Rank { operand: i + 1, expected: first.len(), found: other.len() });
        }
        if let Some(at) = (0..first.len()).find(|&at| at != axis && other[at] != first[at]) {
            let (expected, found) = (first[at].clone(), other[at].clone());
            return Err(Misfit::Size { operand: i + 1, axis: at, expected, found });
        }
        dims[axis] = dims[axis].plus(&other[axis]);
    }
    Ok(dims)
}

/// `len` positions of `axis` from `start` on. `reaches(end, size)` says whether an axis of this size has so many.
pub fn slice<D: Size>(dims: &[D], axis: usize, start: &D, len: &D, reaches: impl Fn(&D, &D) -> bool) -> Fit<Vec<D>, D> {
    let mut result = dims.to_vec();
    let Some(size) = result.get_mut(axis) else { return Err(Misfit::Axis { axis, rank: dims.len() }) };
    let end = start.plus(len);
    if !reaches(&end, size) {
        return Err(Misfit::Size { operand: 0, axis, expected: end, found: size.clone() });
    }
    *size = len.clone();
    Ok(result)
}

/// So many zeros before and behind `axis`.
pub fn pad<D: Size>(dims: &[D], axis: usize, before: &D, behind: &D) -> Fit<Vec<D>, D> {
    let mut result = dims.to_vec();
    let Some(size) = result.get_mut(axis) else { return Err(Misfit::Axis { axis, rank: dims.len() }) };
    *size = before.plus(size).plus(behind);
    Ok(result)
}

/// Rows of a table by indices: `[rows, ..]` at `[i, ..]` gives `[i, .., ..]`.
pub fn gather<D: Size>(table: &[D], index: &[D]) -> Fit<Vec<D>, D> {
    match table.split_first() {
        None => Err(Misfit::Rank { operand: 0, expected: 1, found: 0 }),
        Some((_, row)) => Ok(index.iter().chain(row).cloned().collect()),
    }
}

/// A table of so many rows from values `[i, .., ..]` that go to the rows `[i, ..]`.
pub fn scatter<D: Size>(rows: &D, values: &[D], index: &[D]) -> Fit<Vec<D>, D> {
    if values.len() < index.len() {
        return Err(Misfit::Rank { operand: 0, expected: index.len(), found: values.len() });
    }
    let (leading, row) = values.split_at(index.len());
    same(leading, index)?;
    Ok([rows].into_iter().chain(row).cloned().collect())
}

/// Scaled dot-product attention: `q [.., h, t, e]`, `k [.., g, s, e]`, `v [.., g, s, f]` → `[.., h, t, f]`. The caller
/// checks that `g` divides `h`.
pub fn attention<D: Size>(q: &[D], k: &[D], v: &[D]) -> Fit<Vec<D>, D> {
    let rank = q.len();
    if rank < 3 {
        return Err(Misfit::Rank { operand: 0, expected: 3, found: rank });
    }
    for (operand, dims) in [(1, k), (2, v)] {
        if dims.len() != rank {
            return Err(Misfit::Rank { operand, expected: rank, found: dims.len() });
        }
    }
    let lead = rank - 3;
    let same = |operand, axis: usize, expected: &D, found: &D| match expected == found {
        true => Ok(()),
        false => Err(Misfit::Size { operand, axis, expected: expected.clone(), found: found.clone() }),
    };
    for axis in 0..lead {
        same(1, axis, &q[axis], &k[axis])?;
        same(2, axis, &q[axis], &v[axis])?;
    }
    same(1, lead + 2, &q[lead + 2], &k[lead + 2])?;
    same(2, lead, &k[lead], &v[lead])?;
    same(2, lead + 1, &k[lead + 1], &v[lead + 1])?;
    Ok(q[..lead + 2].iter().chain([&v[lead + 2]]).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_aligns_at_the_right() {
        let (dims, [left, right]) = broadcast(&[5, 3], &[3]).unwrap();
        assert_eq!(dims, [5, 3]);
        assert_eq!((left.inserted, right.inserted), (vec![], vec![0]));
        assert!(broadcast(&[5, 3], &[5]).is_err());
    }

    #[test]
    fn ones_are_squeezed_and_then_repeated() {
        let (dims, [left, right]) = broadcast(&[4, 1], &[4, 7]).unwrap();
        assert_eq!(dims, [4, 7]);
        assert_eq!((left.squeezed, left.inserted), (vec![1], vec![1]));
        assert_eq!((right.squeezed, right.inserted), (vec![], vec![]));
    }

    #[test]
    fn rows_go_where_their_indices_say() {
        assert_eq!(gather(&[65, 384], &[8, 256]), Ok(vec![8, 256, 384]));
        assert_eq!(scatter(&65, &[8, 256, 384], &[8, 256]), Ok(vec![65, 384]));
        assert!(gather::<usize>(&[], &[8]).is_err());
        assert!(scatter(&65, &[8, 255, 384], &[8, 256]).is_err());
    }

    #[test]
    fn parts_lie_inside_and_zeros_around() {
        let part = |start: usize, len: usize| slice(&[4, 7], 1, &start, &len, |end, size| end <= size);
        assert_eq!((part(2, 5), part(7, 0)), (Ok(vec![4, 5]), Ok(vec![4, 0])));
        assert_eq!(part(3, 5), Err(Misfit::Size { operand: 0, axis: 1, expected: 8, found: 7 }));
        assert_eq!(pad(&[4, 7], 0, &1, &2), Ok(vec![7, 7]));
        assert_eq!(pad(&[4, 7], 2, &1, &2), Err(Misfit::Axis { axis: 2, rank: 2 }));
    }

    #[test]
    fn sizes_beyond_all_numbers_fit_nowhere() {
        const HUGE: usize = usize::MAX - 1;
        assert_eq!((7.windows(3, 1, HUGE), 7.windows(HUGE, 1, 4), 7.windows(3, 0, 4)), (None, None, None));
        assert_eq!((HUGE.covered(3, 2, 0), 7.covered(HUGE, 1, 0), 0.covered(3, 1, 0)), (None, None, None));
        assert!(slice(&[4], 0, &3, &HUGE, |end, size| end <= size).is_err());
    }

    #[test]
    fn matmul_knows_transposed_operands() {
        assert_eq!(matmul(&[2, 3, 4], &[2, 5, 4], [false, true]), Ok(vec![2, 3, 5]));
        assert_eq!(matmul(&[4, 3], &[4, 5], [true, false]), Ok(vec![3, 5]));
        assert!(matmul(&[3, 4], &[5, 6], [false, false]).is_err());
    }

    #[test]
    fn attention_takes_its_width_from_the_values() {
        let (q, k, v) = ([2, 6, 5, 8], [2, 3, 7, 8], [2, 3, 7, 4]);
        assert_eq!(attention(&q, &k, &v), Ok(vec![2, 6, 5, 4]));
        let narrow = attention(&q, &[2, 3, 7, 9], &v);
        assert_eq!(narrow, Err(Misfit::Size { operand: 1, axis: 3, expected: 8, found: 9 }));
        let short = attention(&q, &k, &[2, 3, 6, 4]);
        assert_eq!(short, Err(Misfit::Size { operand: 2, axis: 2, expected: 7, found: 6 }));
    }
}
