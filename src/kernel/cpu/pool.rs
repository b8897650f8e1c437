//! Pooling: down the columns of a window first, a row of the plane at a time, then along the rows.

use super::math::Real;
use super::vectorized::{Instructions, vectorized};
use super::{Fault, Kernel, Operand, Scratch, parallel};
use crate::pool::{Pool, Pooling, Window};
use crate::view::View;
use std::ops::Range;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// Nanoseconds for an element of the plane, and that from which on a second thread helps.
const ELEMENT: f64 = 0.3;
const WORTH_A_FORK: f64 = 10_000.0;

impl<T: Real> Kernel<T> for Pooling {
    fn divides(&self) -> bool {
        self.threads(2) > 1
    }

    fn scratch_bytes(&self, most: usize) -> usize {
        self.line_bytes::<T>() * most.max(1)
    }

    /// Each plane is computed by one thread, so the result never depends on their number.
    unsafe fn launch(&self, operands: &[Operand], most: usize, scratch: &mut Scratch) -> Result<(), Fault> {
        let threads = self.threads(most);
        let bytes = self.line_bytes::<T>();
        let memory = Shared(scratch.memory(bytes * threads));
        let arch = Instructions::best();
        parallel::split(threads, &|i| {
            // SAFETY: every thread has its own lines; planes are disjoint.
            unsafe {
                let lines = memory.part(i * bytes);
                let values = from_raw_parts_mut(lines.cast::<T>(), self.line());
                let positions = lines.add((self.line() * size_of::<T>()).next_multiple_of(64)).cast::<u32>();
                let positions = from_raw_parts_mut(positions, self.line());
                self.planes(arch, operands, parallel::part(self.planes, i, threads), values, positions);
            }
        });
        Ok(())
    }
}

impl Pooling {
    /// On how many threads the launch is worth dividing.
    fn threads(&self, most: usize) -> usize {
        let [h, w] = self.window.size;
        let cost = (self.planes * h * w) as f64 * ELEMENT;
        if cost < WORTH_A_FORK { 1 } else { most.clamp(1, self.planes.max(1)) }
    }

    /// A line of values and one of positions, with the padding on both sides.
    fn line_bytes<T>(&self) -> usize {
        let values = (self.line() * size_of::<T>()).next_multiple_of(64);
        values + (self.line() * size_of::<u32>()).next_multiple_of(64)
    }

    fn line(&self) -> usize {
        self.window.size[1] + 2 * self.window.padding[1]
    }

    /// # Safety
    /// As for `launch`.
    unsafe fn planes<T: Real>(
        &self,
        arch: Instructions,
        operands: &[Operand],
        planes: Range<usize>,
        values: &mut [T],
        positions: &mut [u32],
    ) {
        let narrow = self.count[0] * self.count[1];
        let [from, to] = self.sizes();
        for plane in planes {
            // SAFETY: as the caller says.
            unsafe {
                let x: &[T] = from_raw_parts(first::<T>(operands, &self.x).add(plane * from), from);
                let at = self
                    .positions
                    .as_ref()
                    .map(|view| from_raw_parts(first::<u32>(operands, view).add(plane * narrow), narrow));
                let at: &[u32] = at.unwrap_or(&[]);
                if self.pool == Pool::ArgMax {
                    let y: &mut [u32] = from_raw_parts_mut(first::<u32>(operands, &self.y).add(plane * to), to);
                    self.argmax(arch, x, y, values, positions);
                    continue;
                }
                let y: &mut [T] = from_raw_parts_mut(first::<T>(operands, &self.y).add(plane * to), to);
                match self.pool {
                    Pool::Sum => self.fold(arch, x, y, values, T::ZERO, |a, b| a + b),
                    Pool::Max => self.fold(arch, x, y, values, -T::INFINITY, T::nan_max),
                    Pool::Spread => self.spread(arch, x, y, values),
                    Pool::Take => {
                        for (y, &at) in y.iter_mut().zip(at) {
                            *y = x[at as usize];
                        }
                    }
                    Pool::Put => {
                        y.fill(T::ZERO);
                        for (&x, &at) in x.iter().zip(at) {
                            let y = &mut y[at as usize];
                            *y = *y + x;
                        }
                    }
                    Pool::ArgMax => unreachable!("the positions of the greatest were written above"),
                }
            }
        }
    }

    /// The rows of the plane that the windows of row `i` see.
    fn rows(&self, i: usize) -> Range<usize> {
        let Window { size, kernel, stride, padding } = self.window;
        let first = (i * stride[0]).saturating_sub(padding[0]);
        first..(i * stride[0] + kernel[0] - padding[0]).min(size[0])
    }

    #[inline(always)]
    fn fold<T: Real>(
        &self,
        arch: Instructions,
        x: &[T],
        y: &mut [T],
        line: &mut [T],
        identity: T,
        f: impl Fn(T, T) -> T + Copy,
    ) {
        let Window { size: [_, w], kernel: [_, kernel], stride: [_, stride], padding: [_, padding] } = self.window;
        vectorized::<T, _>(
            arch,
            #[inline(always)]
            || {
                line[..padding].fill(identity);
                line[padding + w..].fill(identity);
                for (i, y) in y.chunks_exact_mut(self.count[1]).enumerate() {
                    let rows = self.rows(i);
                    let middle = &mut line[padding..padding + w];
                    middle.copy_from_slice(&x[rows.start * w..][..w]);
                    for row in rows.skip(1) {
                        for (line, &x) in middle.iter_mut().zip(&x[row * w..][..w]) {
                            *line = f(*line, x);
                        }
                    }
                    match stride {
                        1 => along::<T, 1>(line, y, kernel, f),
                        2 => along::<T, 2>(line, y, kernel, f),
                        3 => along::<T, 3>(line, y, kernel, f),
                        4 => along::<T, 4>(line, y, kernel, f),
                        _ => {
                            for (j, y) in y.iter_mut().enumerate() {
                                *y = line[j * stride..][1..kernel].iter().fold(line[j * stride], |y, &x| f(y, x));
                            }
                        }
                    }
                }
            },
        );
    }

    fn argmax<T: Real>(&self, arch: Instructions, x: &[T], y: &mut [u32], values: &mut [T], positions: &mut [u32]) {
        let Window { size: [_, w], kernel: [_, kernel], stride: [_, stride], padding: [_, padding] } = self.window;
        vectorized::<T, _>(
            arch,
            #[inline(always)]
            || {
                // What lies outside is behind everything that lies inside, −∞ included.
                values[..padding].fill(-T::INFINITY);
                values[padding + w..].fill(-T::INFINITY);
                positions.fill(u32::MAX);
                for (i, y) in y.chunks_exact_mut(self.count[1]).enumerate() {
                    let rows = self.rows(i);
                    let (best, at) = (&mut values[padding..padding + w], &mut positions[padding..padding + w]);
                    best.copy_from_slice(&x[rows.start * w..][..w]);
                    for (at, position) in at.iter_mut().zip((rows.start * w) as u32..) {
                        *at = position;
                    }
                    for row in rows.skip(1) {
                        let x = &x[row * w..][..w];
                        for (((best, at), &x), position) in
                            best.iter_mut().zip(at.iter_mut()).zip(x).zip((row * w) as u32..)
                        {
                            let greater = (x > *best) | (x.is_nan() & !best.is_nan());
                            *at = if greater { position } else { *at };
                            *best = if greater { x } else { *best };
                        }
                    }
                    match stride {
                        1 => argmax_along::<T, 1>(values, positions, y, kernel),
                        2 => argmax_along::<T, 2>(values, positions, y, kernel),
                        _ => {
                            for (j, y) in y.iter_mut().enumerate() {
                                let first = (values[j * stride], positions[j * stride]);
                                let next = (j * stride..j * stride + kernel).map(|k| (values[k], positions[k]));
                                *y = next.fold(first, greater).1;
                            }
                        }
                    }
                }
            },
        );
    }

    fn spread<T: Real>(&self, arch: Instructions, x: &[T], y: &mut [T], line: &mut [T]) {
        let Window { size: [h, w], kernel: [_, kernel], stride: [_, stride], padding: [_, padding] } = self.window;
        vectorized::<T, _>(
            arch,
            #[inline(always)]
            || {
                let mut done = 0;
                for (i, x) in x.chunks_exact(self.count[1]).enumerate() {
                    if kernel != stride || kernel > 2 {
                        line.fill(T::ZERO);
                    }
                    match (kernel, stride) {
                        (1, 1) => line[padding..][..x.len()].copy_from_slice(x),
                        (2, 2) => {
                            let (pairs, _) = line.as_chunks_mut::<2>();
                            for (pair, &x) in pairs.iter_mut().zip(x) {
                                *pair = [x, x];
                            }
                            line[2 * x.len()..].fill(T::ZERO);
                        }
                        (_, 1) => spread_along::<T, 1>(line, x, kernel),
                        (_, 2) => spread_along::<T, 2>(line, x, kernel),
                        _ => {
                            for (j, &x) in x.iter().enumerate() {
                                line[j * stride..][..kernel].iter_mut().for_each(|y| *y = *y + x);
                            }
                        }
                    }
                    let middle = &line[padding..padding + w];
                    let rows = self.rows(i);
                    if done < rows.start {
                        y[done * w..rows.start * w].fill(T::ZERO);
                    }
                    for row in rows.clone() {
                        let y = &mut y[row * w..][..w];
                        if row < done {
                            y.iter_mut().zip(middle).for_each(|(y, &x)| *y = *y + x);
                        } else {
                            y.copy_from_slice(middle);
                        }
                    }
                    done = done.max(rows.end);
                }
                y[done * w..h * w].fill(T::ZERO);
            },
        );
    }
}

/// Every window of a line: a pass for each of its columns.
#[inline(always)]
fn along<T: Real, const STRIDE: usize>(line: &[T], y: &mut [T], kernel: usize, f: impl Fn(T, T) -> T) {
    for (y, &x) in y.iter_mut().zip(line.iter().step_by(STRIDE)) {
        *y = x;
    }
    for k in 1..kernel {
        for (y, &x) in y.iter_mut().zip(line[k..].iter().step_by(STRIDE)) {
            *y = f(*y, x);
        }
    }
}

#[inline(always)]
fn spread_along<T: Real, const STRIDE: usize>(line: &mut [T], x: &[T], kernel: usize) {
    for k in 0..kernel {
        for (y, &x) in line[k..].iter_mut().step_by(STRIDE).zip(x) {
            *y = *y + x;
        }
    }
}

/// Windows in blocks whose best values and positions stay in registers.
#[inline(always)]
fn argmax_along<T: Real, const STRIDE: usize>(values: &[T], positions: &[u32], y: &mut [u32], kernel: usize) {
    const BLOCK: usize = 16;
    for (block, y) in y.chunks_mut(BLOCK).enumerate() {
        let first = block * BLOCK * STRIDE;
        let (mut best, mut at) = ([-T::INFINITY; BLOCK], [u32::MAX; BLOCK]);
        for k in 0..kernel {
            let (x, p) = (&values[first + k..], &positions[first + k..]);
            for j in 0..y.len() {
                (best[j], at[j]) = greater((best[j], at[j]), (x[j * STRIDE], p[j * STRIDE]));
            }
        }
        y.copy_from_slice(&at[..y.len()]);
    }
}

/// The greater of two elements with their positions; of equals the first.
#[inline(always)]
fn greater<T: Real>((a, p): (T, u32), (b, q): (T, u32)) -> (T, u32) {
    let second = (b > a) | (b.is_nan() & !a.is_nan()) | ((q < p) & ((a == b) | (a.is_nan() & b.is_nan())));
    (if second { b } else { a }, if second { q } else { p })
}

/// # Safety
/// The view lies inside its operand, which holds elements of type `S`.
unsafe fn first<S>(operands: &[Operand], view: &View) -> *mut S {
    // SAFETY: as the caller says.
    unsafe { operands[view.operand].pointer.cast::<S>().add(view.offset) }
}

/// The start of the scratch memory of a launch.
#[derive(Clone, Copy)]
struct Shared(*mut u8);

// SAFETY: every thread uses its own part.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// The memory has at least `offset` bytes.
    unsafe fn part(self, offset: usize) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { self.0.add(offset) }
    }
}
