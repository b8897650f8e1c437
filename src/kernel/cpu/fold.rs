//! Folds of tiles `[outer, reduced, inner]` over the middle axis.

use super::math::Real;
use super::vectorized::{Instructions, vectorized};
use crate::tiled::Fold;

/// Partial results that run side by side, so that the processor need not wait for each addition.
const LANES: usize = 64;

/// On a cache line: where the compiler keeps lanes in memory, vectors across two lines would take twice the time.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Lanes<T>([T; LANES]);

impl<T: Real> Lanes<T> {
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // by iterators it measured 1.3 times slower
    fn combine(&mut self, chunk: &[T; LANES], f: impl Fn(T, T) -> T + Copy) {
        for i in 0..LANES {
            self.0[i] = f(self.0[i], chunk[i]);
        }
    }
}

/// The result for no elements.
pub(super) fn identity<T: Real>(fold: Fold) -> T {
    match fold {
        Fold::Sum => T::ZERO,
        Fold::Max | Fold::ArgMax => -T::INFINITY,
        Fold::Min => T::INFINITY,
    }
}

/// Folds a tile `[outer, reduced, inner]` with `reduced ≥ 1` to `out`, `[outer, inner]`. For `ArgMax`, `out` is the
/// greatest and `index` its position, counted from `first`. Other folds go on from what `out` holds if they are `onto` it.
#[allow(clippy::too_many_arguments)]
pub(super) fn tile<T: Real>(
    arch: Instructions,
    fold: Fold,
    [outer, reduced, inner]: [usize; 3],
    tile: &[T],
    out: &mut [T],
    index: &mut [u32],
    first: u32,
    onto: bool,
) {
    let size = reduced * inner;
    for i in 0..outer {
        let (tile, out) = (&tile[i * size..][..size], &mut out[i * inner..][..inner]);
        match fold {
            Fold::Sum => one(
                arch,
                tile,
                out,
                onto,
                T::ZERO,
                #[inline(always)]
                |x, y| x + y,
            ),
            Fold::Max => one(
                arch,
                tile,
                out,
                onto,
                -T::INFINITY,
                #[inline(always)]
                |x, y| x.nan_max(y),
            ),
            Fold::Min => one(
                arch,
                tile,
                out,
                onto,
                T::INFINITY,
                #[inline(always)]
                |x, y| x.nan_min(y),
            ),
            Fold::ArgMax => argmax(arch, tile, out, &mut index[i * inner..][..inner], first),
        }
    }
}

/// Combines the results `[value, correction]` of all tiles so far with those of one more. A sum is the value minus
/// the correction (Kahan), so that it is as good for many tiles as for one.
pub(super) fn merge<T: Real>(
    arch: Instructions,
    fold: Fold,
    [value, correction]: [&mut [T]; 2],
    index: &mut [u32],
    next: &[T],
    next_index: &[u32],
) {
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || match fold {
            Fold::Sum => {
                for ((value, correction), &next) in value.iter_mut().zip(correction.iter_mut()).zip(next) {
                    let next = next - *correction;
                    let sum = *value + next;
                    let lost = (sum - *value) - next;
                    *value = sum;
                    // An infinite sum has no correction.
                    *correction = if lost.abs() <= T::GREATEST { lost } else { T::ZERO };
                }
            }
            Fold::Max => value.iter_mut().zip(next).for_each(|(value, &next)| *value = value.nan_max(next)),
            Fold::Min => value.iter_mut().zip(next).for_each(|(value, &next)| *value = value.nan_min(next)),
            Fold::ArgMax => {
                for (((value, index), &next), &next_index) in
                    value.iter_mut().zip(index.iter_mut()).zip(next).zip(next_index)
                {
                    let greater = (next > *value) | (next.is_nan() & !value.is_nan());
                    *index = if greater { next_index } else { *index };
                    *value = if greater { next } else { *value };
                }
            }
        },
    );
}

/// Folds `[reduced, inner]` to `[inner]`.
#[inline(always)]
fn one<T: Real>(arch: Instructions, tile: &[T], out: &mut [T], onto: bool, identity: T, f: impl Fn(T, T) -> T + Copy) {
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || match out {
            [out] if onto => *out = f(*out, row(tile, identity, f)),
            [out] => *out = row(tile, identity, f),
            _ if tile.len() == out.len() => match onto {
                true => out.iter_mut().zip(tile).for_each(|(out, &x)| *out = f(*out, x)),
                false => out.copy_from_slice(tile),
            },
            _ => {
                if !onto {
                    out.fill(identity);
                }
                columns(tile, out, identity, f);
            }
        },
    );
}

/// So many elements are added one after the other to a lane, then lanes are combined: rounding errors stay small however
/// long a tile is.
pub(super) const BLOCK: usize = 16;

#[inline(always)]
fn row<T: Real>(row: &[T], identity: T, f: impl Fn(T, T) -> T + Copy) -> T {
    if row.len() < LANES / 2 {
        return row.iter().fold(identity, |x, &y| f(x, y));
    }
    let mut total = identity;
    for block in row.chunks(BLOCK * LANES) {
        let mut lanes = Lanes([identity; LANES]);
        let (chunks, rest) = block.as_chunks::<LANES>();
        for chunk in chunks {
            lanes.combine(chunk, f);
        }
        let Lanes(mut lanes) = lanes;
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane = f(*lane, x);
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] = f(lanes[i], lanes[i + width]);
            }
        }
        total = f(total, lanes[0]);
    }
    total
}

#[inline(always)]
fn columns<T: Real>(tile: &[T], out: &mut [T], identity: T, f: impl Fn(T, T) -> T + Copy) {
    let inner = out.len();
    if inner <= LANES / 2 {
        // Several rows side by side fill the lanes.
        let width = LANES / inner * inner;
        for block in tile.chunks(BLOCK * width) {
            let mut lanes = Lanes([identity; LANES]);
            for chunk in block.chunks(width) {
                for (lane, &x) in lanes.0.iter_mut().zip(chunk) {
                    *lane = f(*lane, x);
                }
            }
            let mut rows = width / inner;
            while rows > 1 {
                let kept = rows.div_ceil(2);
                for i in 0..(rows - kept) * inner {
                    lanes.0[i] = f(lanes.0[i], lanes.0[i + kept * inner]);
                }
                rows = kept;
            }
            for (out, &x) in out.iter_mut().zip(&lanes.0) {
                *out = f(*out, x);
            }
        }
        return;
    }
    for block in tile.chunks(BLOCK * inner) {
        let mut first = 0;
        while first + LANES <= inner {
            let mut lanes = Lanes([identity; LANES]);
            for row in block.chunks_exact(inner) {
                if let Some(chunk) = row[first..].first_chunk() {
                    lanes.combine(chunk, f);
                }
            }
            for (out, &x) in out[first..first + LANES].iter_mut().zip(&lanes.0) {
                *out = f(*out, x);
            }
            first += LANES;
        }
        let mut rest = Lanes([identity; LANES]);
        for row in block.chunks_exact(inner) {
            for (lane, &x) in rest.0.iter_mut().zip(&row[first..]) {
                *lane = f(*lane, x);
            }
        }
        for (out, &x) in out[first..].iter_mut().zip(&rest.0) {
            *out = f(*out, x);
        }
    }
}

/// NaN counts as greatest.
fn argmax<T: Real>(arch: Instructions, tile: &[T], out: &mut [T], index: &mut [u32], first: u32) {
    if let ([out], [index]) = (&mut *out, &mut *index) {
        *out = vectorized::<T, _>(
            arch,
            #[inline(always)]
            || row(tile, -T::INFINITY, |x, y| x.nan_max(y)),
        );
        let greatest = *out;
        let position = tile.iter().position(|&x| x == greatest || x.is_nan()).unwrap_or(0);
        *index = first + position as u32;
        return;
    }
    let inner = out.len();
    vectorized::<T, _>(
        arch,
        #[inline(always)]
        || {
            out.copy_from_slice(&tile[..inner]);
            index.fill(first);
            for (i, row) in tile.chunks_exact(inner).enumerate().skip(1) {
                for ((out, index), &x) in out.iter_mut().zip(index.iter_mut()).zip(row) {
                    let greater = (x > *out) | (x.is_nan() & !out.is_nan());
                    *index = if greater { first + i as u32 } else { *index };
                    *out = if greater { x } else { *out };
                }
            }
        },
    );
}
