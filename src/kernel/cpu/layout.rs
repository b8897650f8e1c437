//! How an iteration space is cut into tiles.

use super::strided::RANK;
use crate::tiled::{Source, Tiled};

/// Bytes of a tile's registers that should stay in the first-level cache.
const CACHE: usize = 24 << 10;
/// A tile's longest and shortest run, in elements.
const LONGEST: usize = 4096;
const SHORTEST: usize = 64;
/// Sides of the blocks in which transposed operands are read: a cache line or more of elements.
const TRANSPOSED: usize = 32;

/// An iteration space in canonical order, and its tiles.
///
/// Axes are ordered kept, reduced, kept, where the last group are those inside all reduced ones. So a tile of
/// points is `[outer, reduced, inner]`, and a result is complete when all tiles over the reduced axes have run.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The sizes of the axes.
    pub dims: Vec<usize>,
    /// The size of a tile along each axis.
    pub block: Vec<usize>,
    /// How many tiles there are along each axis.
    pub counts: Vec<usize>,
    /// The first reduced axis.
    pub reduced: usize,
    /// The first axis of the inner kept ones.
    pub inner: usize,
}

/// The strides of all that walks over the iteration space, along the axes of the layout.
pub(super) struct Walks {
    pub sources: Vec<Vec<isize>>,
    pub stores: Vec<Vec<isize>>,
    pub accumulations: Vec<Vec<isize>>,
}

impl Layout {
    /// `live` is how many tiles of elements of `size` bytes are in use at once.
    pub(super) fn new(kernel: &Tiled, live: usize, size: usize) -> (Self, Walks) {
        let rank = kernel.dims.len();
        let row_major = row_major(&kernel.dims);
        let sources = kernel.sources.iter().map(|source| match source {
            Source::Load(view) => view.strides.clone(),
            Source::Constant(..) => vec![0; rank],
            Source::Position { strides, .. } => strides.clone(),
            Source::Random { .. } => row_major.clone(),
        });
        let stores = kernel.stores.iter().map(|s| s.view.strides.clone());
        let accumulations = kernel.accumulations.iter().map(|a| a.view.strides.clone());
        let mut walks: Vec<Vec<isize>> = sources.chain(stores).chain(accumulations).collect();

        let is_reduced = |axis: &usize| kernel.reduced.get(*axis).copied().unwrap_or(false);
        let last_reduced = (0..rank).rev().find(is_reduced);
        let group = |axis: usize| match last_reduced {
            _ if is_reduced(&axis) => 1,
            Some(last) if axis > last => 2,
            _ => 0,
        };
        let mut axes: Vec<usize> = (0..rank).filter(|&a| kernel.dims[a] != 1).collect();
        axes.sort_by_key(|&a| group(a));

        // Neighbours of one group that everything walks over as over one axis become one.
        let mut dims: Vec<usize> = Vec::new();
        let mut groups: Vec<usize> = Vec::new();
        let mut merged: Vec<Vec<isize>> = vec![Vec::new(); walks.len()];
        for &axis in &axes {
            let size = kernel.dims[axis];
            let joins = groups.last() == Some(&group(axis))
                && walks.iter().zip(&merged).all(|(walk, m)| m.last() == Some(&(walk[axis] * size as isize)));
            if joins {
                let last = dims.len() - 1;
                dims[last] *= size;
            } else {
                dims.push(size);
                groups.push(group(axis));
            }
            for (walk, m) in walks.iter().zip(&mut merged) {
                if joins {
                    m.pop();
                }
                m.push(walk[axis]);
            }
        }
        walks = merged;
        assert!(dims.len() <= RANK, "a fused kernel has at most {RANK} axes that do not merge");

        let points = (CACHE / size / live.max(1)).clamp(SHORTEST, LONGEST);
        let reduced = groups.iter().filter(|&&g| g == 0).count();
        let inner = groups.iter().filter(|&&g| g < 2).count();
        let transposed = transposed(&dims, &walks[..kernel.sources.len() + kernel.stores.len()]);
        let block = match transposed {
            Some(axis) => transposed_block(&dims, axis, points),
            None => block(&dims, points),
        };
        let counts = dims.iter().zip(&block).map(|(d, b)| d.div_ceil(*b)).collect();
        let accumulations = walks.split_off(kernel.sources.len() + kernel.stores.len());
        let stores = walks.split_off(kernel.sources.len());
        (Layout { dims, block, counts, reduced, inner }, Walks { sources: walks, stores, accumulations })
    }

    /// Points of a full tile.
    pub(super) fn tile(&self) -> usize {
        self.block.iter().product()
    }

    /// Results of a full tile.
    pub(super) fn results(&self) -> usize {
        self.block[..self.reduced].iter().chain(&self.block[self.inner..]).product()
    }

    /// Tiles over the kept axes.
    pub(super) fn units(&self) -> usize {
        self.counts[..self.reduced].iter().chain(&self.counts[self.inner..]).product()
    }

    /// Tiles over the kept axes inside the reduced ones.
    pub(super) fn beside(&self) -> usize {
        self.counts[self.inner..].iter().product()
    }

    /// Tiles over the reduced axes.
    pub(super) fn steps(&self) -> usize {
        self.counts[self.reduced..self.inner].iter().product()
    }

    /// Whether the points of every tile, cut short or not, are dense in memory under these strides.
    pub(super) fn dense(&self, strides: &[isize]) -> bool {
        let mut expected = 1;
        let mut cut = false;
        for axis in (0..self.dims.len()).rev().filter(|&a| self.block[a] > 1) {
            if cut || strides[axis] != expected {
                return false;
            }
            cut = self.block[axis] != self.dims[axis];
            expected *= self.block[axis] as isize;
        }
        true
    }

    /// Whether every tile sees one element under these strides.
    pub(super) fn single(&self, strides: &[isize]) -> bool {
        (0..self.dims.len()).all(|a| self.block[a] <= 1 || strides[a] == 0)
    }

    /// Whether every tile sees the same elements under these strides, and one cut short the first of them.
    pub(super) fn invariant(&self, strides: &[isize]) -> bool {
        let still = (0..self.dims.len()).all(|a| self.counts[a] <= 1 || strides[a] == 0);
        let splat = self.single(strides);
        // A tile cut along another than its outermost axis is not the first part of a full one.
        let mut long = (0..self.dims.len()).filter(|&a| self.block[a] > 1);
        long.next();
        still && (splat || long.all(|a| self.block[a] == self.dims[a]))
    }
}

fn row_major(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis].max(1) as isize;
    }
    strides
}

/// Inner axes whole, as many as fit; the next in equal parts.
fn block(dims: &[usize], points: usize) -> Vec<usize> {
    let mut block = vec![1; dims.len()];
    let mut room = points;
    for axis in (0..dims.len()).rev() {
        let size = dims[axis].max(1);
        if size <= room {
            block[axis] = size;
            room /= size;
        } else {
            let part = size.div_ceil(size.div_ceil(room));
            block[axis] = if axis + 1 == dims.len() { part.next_multiple_of(16).min(room) } else { part };
            break;
        }
    }
    block
}

/// The axis along which an operand is contiguous that is not contiguous along the last.
fn transposed(dims: &[usize], walks: &[Vec<isize>]) -> Option<usize> {
    let last = dims.len().checked_sub(1)?;
    let long = TRANSPOSED / 2;
    if dims[last] < long {
        return None;
    }
    let crosses = |w: &&Vec<isize>| w[last].unsigned_abs() > 1;
    walks.iter().filter(crosses).find_map(|w| (0..last).find(|&a| w[a] == 1 && dims[a] >= long))
}

fn transposed_block(dims: &[usize], axis: usize, points: usize) -> Vec<usize> {
    let mut block = vec![1; dims.len()];
    let last = dims.len() - 1;
    block[last] = dims[last].min(TRANSPOSED);
    block[axis] = dims[axis].min((points / block[last]).clamp(1, TRANSPOSED));
    block
}
