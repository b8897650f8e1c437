//! Convolutions of few results read a copy of some lines of the image with zeros around them. Columns would hold every
//! element once for each tap, and few rows of a product would use them; here microkernels find what a tap sees by its
//! offset, which is the same for all positions (compare Dukhan, "The Indirect Convolution Algorithm", 2019).

use super::columns::{Image, copy, zeros};
use super::{Group, Run, bytes};
use crate::conv::{Convolution, Pass, Phase};
use crate::cpu::gemm::{Kernels, Lines, Source, Taps, WIDTH};
use crate::cpu::math::Real;
use crate::cpu::parallel::part;
use crate::cpu::vectorized::{Instructions, vectorized};
use std::ops::Range;

/// For more results products with columns are as fast.
const FEW: usize = 128;
/// Positions of a block, in bytes of one channel.
const POSITIONS: usize = 1024;
/// Channels and taps of a block, in bytes of one position.
const DEPTH: usize = 2048;
/// Most bytes of the lines that a block reads.
const BAND: usize = 128 << 10;

/// The memory of a thread, in bytes: the offsets of taps, where lines begin, what is read, and the derivatives of results.
#[derive(Clone, Copy)]
pub(super) struct Bands([usize; 4]);

impl Bands {
    /// The memory, if this is the better way.
    pub fn new<T: Real>(work: &Convolution, kernels: &Kernels<T>, threads: usize) -> Option<Self> {
        let [channels, results] = work.channels();
        let weight = work.pass == Pass::Weight;
        // Positions are the columns of tiles, or what is summed.
        let fits = |phase: &Phase| {
            let [height, width] = phase.grid;
            let whole = weight || width.is_multiple_of(kernels.lanes);
            whole && width * size_of::<T>() <= POSITIONS && work.batch * height >= threads
        };
        let [phase] = &*work.phases else { return None };
        if results > FEW || work.conv.kernel == [1, 1] || !fits(phase) {
            return None;
        }
        let step = if work.pass == Pass::Data { [1, 1] } else { work.conv.stride };
        let band = Band::new::<T>(phase, step, channels);
        if band.channel() * size_of::<T>() > BAND {
            return None;
        }
        // A block of rows may begin and end within the taps of a channel.
        let channels = band.channels + usize::from(weight);
        let results = if weight { results.next_multiple_of(kernels.lanes) } else { results };
        Some(Bands([
            bytes::<usize>(channels * phase.taps.len()),
            bytes::<usize>(band.lines),
            bytes::<T>(channels * band.channel()),
            bytes::<T>(if weight { band.lines * phase.grid[1] * results } else { 0 }),
        ]))
    }

    /// Bytes that a thread needs.
    pub fn memory(&self) -> usize {
        self.0.iter().sum()
    }

    fn parts<T>(&self, own: *mut u8) -> (*mut usize, *mut usize, *mut T, *mut T) {
        let [offsets, lines, ..] = self.0;
        let (lines, band) = (own.wrapping_add(offsets), own.wrapping_add(offsets + lines));
        (own.cast(), lines.cast(), band.cast(), band.wrapping_add(self.0[2]).cast())
    }
}

/// What a block reads: for each channel the rows of the image that its taps see, and each row in as many parts as the
/// stride leaves remainders that taps see, so that neighbours in the grid are neighbours in memory.
#[derive(Clone, Copy)]
struct Band {
    /// The row and the column of the image that position `[0, 0]` sees first.
    low: [isize; 2],
    step: [usize; 2],
    /// Most channels, and most lines of the grid.
    channels: usize,
    lines: usize,
    /// From the first row that a position sees to the last.
    reach: usize,
    /// Most rows, the parts of each, and the elements of a part.
    rows: usize,
    parts: usize,
    pitch: usize,
}

impl Band {
    fn new<T>(phase: &Phase, step: [usize; 2], channels: usize) -> Self {
        let [height, width] = phase.grid;
        let offsets = |axis: usize| phase.taps.iter().map(move |tap| tap.offset[axis]);
        let low = [0, 1].map(|axis| offsets(axis).min().unwrap_or(0));
        let beyond = |axis: usize| offsets(axis).map(move |offset| (offset - low[axis]) as usize);
        let reach = beyond(0).max().unwrap_or(0);
        let lines = (POSITIONS / size_of::<T>() / width.max(1)).max(1);
        // Lines of several images share no rows.
        let images = (lines - 1).div_ceil(height.max(1)) + 1;
        let rows = lines * step[0] + images * reach;
        let parts = beyond(1).map(|offset| offset % step[1]).max().unwrap_or(0) + 1;
        let pitch = width + beyond(1).max().unwrap_or(0) / step[1];
        let of_channel = (rows * parts * pitch).max(1) * size_of::<T>();
        let most = (BAND / of_channel).min(DEPTH / size_of::<T>() / phase.taps.len().max(1));
        Band { low, step, channels: most.clamp(1, channels.max(1)), lines, reach, rows, parts, pitch }
    }

    /// Elements of a channel.
    fn channel(&self) -> usize {
        self.row(self.rows)
    }

    /// Where a row begins.
    fn row(&self, row: usize) -> usize {
        row * self.parts * self.pitch
    }

    /// Writes where taps see a position, from where its line begins: for so many channels and all taps.
    ///
    /// # Safety
    /// There is room for them.
    unsafe fn offsets(&self, phase: &Phase, channels: usize, to: *mut usize) {
        let taps = phase.taps.len();
        for channel in 0..channels {
            for (i, tap) in phase.taps.iter().enumerate() {
                let [down, across] = [0, 1].map(|axis| (tap.offset[axis] - self.low[axis]) as usize);
                let part = across % self.step[1] * self.pitch;
                let offset = channel * self.channel() + self.row(down) + part + across / self.step[1];
                // SAFETY: as the caller says.
                unsafe { *to.add(channel * taps + i) = offset };
            }
        }
    }

    /// Copies the rows that some lines of the grid see of an image, for some channels; returns how many.
    ///
    /// # Safety
    /// The channels, the image and the lines exist; there is room for the rows.
    unsafe fn fill<T: Real>(
        &self,
        source: Image<T>,
        image: usize,
        channels: Range<usize>,
        lines: Range<usize>,
        to: *mut T,
    ) -> usize {
        let rows = (lines.len() - 1) * self.step[0] + self.reach + 1;
        let first = (lines.start * self.step[0]) as isize + self.low[0];
        let [height, width] = source.size.map(|size| size as isize);
        let step = self.step[1] as isize;
        vectorized::<T, _>(
            Instructions::best(),
            #[inline(always)]
            || {
                for part in 0..self.parts {
                    let column = self.low[1] + part as isize;
                    // The elements of the part that lie inside of the image.
                    let bound =
                        |end: isize| (end - column + step - 1).div_euclid(step).clamp(0, self.pitch as isize) as usize;
                    let (low, high) = (bound(0), bound(width).max(bound(0)));
                    for (i, channel) in channels.clone().enumerate() {
                        let plane = source.plane(image, channel).wrapping_offset(column + low as isize * step);
                        for row in 0..rows {
                            let to = to.wrapping_add(i * self.channel() + self.row(row) + part * self.pitch);
                            let y = first + row as isize;
                            let from = plane.wrapping_offset(y * width);
                            // SAFETY: inside the image and the memory.
                            unsafe {
                                if y < 0 || y >= height {
                                    zeros(to, self.pitch);
                                    continue;
                                }
                                zeros(to, low);
                                match step {
                                    1 => copy(from, to.add(low), high - low),
                                    _ => {
                                        (0..high - low).for_each(|j| *to.add(low + j) = *from.offset(j as isize * step))
                                    }
                                }
                                zeros(to.add(high), self.pitch - high);
                            }
                        }
                    }
                }
            },
        );
        rows
    }
}

impl<T: Real> Run<'_, T> {
    /// A thread's share of a group of `Forward` or `Data`.
    ///
    /// # Safety
    /// As for the launch.
    pub(super) unsafe fn lines(&self, bands: Bands, group: &Group<T>, thread: usize) {
        let Group { number, phase, source, weights, .. } = *group;
        let [channels, results] = self.work.channels();
        let (kernels, lanes) = (self.plan.kernels, self.plan.kernels.lanes);
        let band = Band::new::<T>(phase, source.step, channels);
        let (offsets, _, memory, _) = bands.parts::<T>(self.own(thread));
        // SAFETY: there is room for the channels of a block.
        unsafe { band.offsets(phase, band.channels, offsets) };
        let [height, width] = phase.grid;
        let (taps, plane) = (phase.taps.len(), height * width);
        let (per_line, strips) = (width / lanes, results.div_ceil(kernels.rows));
        let share = part(self.work.batch * height, thread, self.plan.threads);
        for (image, lines) in blocks(share, band.lines).flat_map(|block| pieces(block, height)) {
            let first = (image * self.work.conv.groups + number) * results * plane + lines.start * width;
            let c = self.y.wrapping_add(first);
            let vectors = lines.len() * per_line;
            let tiles = vectors.div_ceil(kernels.width);
            let mut first = 0;
            while first < channels || first == 0 {
                let block = first..channels.min(first + band.channels);
                // SAFETY: inside the tensors and the scratch memory.
                unsafe {
                    band.fill(source, image, block.clone(), lines.clone(), memory);
                    for vectors in (0..tiles).map(|i| part(vectors, i, tiles)) {
                        let mut t = Taps {
                            k: block.len() * taps,
                            a: weights.first,
                            a_row: weights.row,
                            offsets,
                            b: [memory; WIDTH],
                            c: [c; WIDTH],
                            c_row: plane as isize,
                            add: first > 0,
                        };
                        for (j, vector) in vectors.clone().enumerate() {
                            let (line, x) = (vector / per_line, vector % per_line * lanes);
                            t.b[j] = memory.add(band.row(line * band.step[0]) + x);
                            t.c[j] = c.add(line * width + x);
                        }
                        for rows in (0..strips).map(|i| part(results, i, strips)) {
                            let a = weights.from(rows.start, first * taps).first;
                            let c = t.c.map(|c| c.wrapping_add(rows.start * plane));
                            (kernels.taps[rows.len() - 1][vectors.len() - 1])(&Taps { a, c, ..t });
                        }
                    }
                }
                first += band.channels;
            }
        }
    }

    /// A thread's share of a group of `Weight`: the sums over its lines, or some rows of those over all lines.
    ///
    /// # Safety
    /// As for the launch; the sums are the thread's own.
    pub(super) unsafe fn sum_lines(
        &self,
        bands: Bands,
        group: usize,
        source: Image<T>,
        sums: *mut T,
        rows: Range<usize>,
        thread: usize,
    ) {
        let Convolution { conv, batch, inputs, outputs, .. } = *self.work;
        let phase = &self.work.phases[0];
        let (kernels, lanes) = (self.plan.kernels, self.plan.kernels.lanes);
        let band = Band::new::<T>(phase, source.step, inputs);
        let (offsets, starts, memory, panels) = bands.parts::<T>(self.own(thread));
        // SAFETY: there is room for one channel more than those of a block.
        unsafe { band.offsets(phase, band.channels + 1, offsets) };
        let [height, width] = phase.grid;
        let (taps, positions) = (phase.taps.len(), height * width);
        let vectors = outputs.div_ceil(lanes);
        let count = vectors.div_ceil(kernels.width);
        // The first column of a panel, its columns, and those that exist.
        let panel = |i: usize| {
            let vectors = part(vectors, i, count);
            let (start, stride) = (vectors.start * lanes, vectors.len() * lanes);
            (start, stride, stride.min(outputs - start))
        };
        let all = batch * height;
        let share = if self.plan.own_weights { part(all, thread, self.plan.threads) } else { 0..all };
        for block in blocks(share, band.lines) {
            let k = block.len() * width;
            let mut before = 0;
            for (image, lines) in pieces(block.clone(), height) {
                let len = lines.len() * width;
                for (start, stride, columns) in (0..count).map(panel) {
                    let channel = (image * conv.groups + group) * outputs + start;
                    let from = self.b.wrapping_add(channel * positions + lines.start * width);
                    let source = Source { from, rows: len, columns, row: 1, column: positions as isize };
                    // SAFETY: inside the tensor and the scratch memory.
                    unsafe { (kernels.pack)(&source, panels.add(start * k + before * stride), stride) };
                }
                before += len;
            }
            for first in rows.clone().step_by(band.channels * taps) {
                let end = rows.end.min(first + band.channels * taps);
                let (mut row, mut count_of_lines) = (0, 0);
                for (image, lines) in pieces(block.clone(), height) {
                    let channels = first / taps..end.div_ceil(taps);
                    // SAFETY: as above.
                    unsafe {
                        for line in 0..lines.len() {
                            *starts.add(count_of_lines + line) = band.row(row + line * band.step[0]);
                        }
                        count_of_lines += lines.len();
                        row += band.fill(source, image, channels, lines, memory.add(band.row(row)));
                    }
                }
                let strips = (end - first).div_ceil(kernels.rows);
                for (start, stride, columns) in (0..count).map(panel) {
                    for strip in (0..strips).map(|i| part(end - first, i, strips)) {
                        // SAFETY: as above.
                        unsafe {
                            (kernels.lines[strip.len() - 1][stride / lanes - 1])(&Lines {
                                lines: starts,
                                count: count_of_lines,
                                len: width,
                                a: memory,
                                rows: offsets.add(first % taps + strip.start),
                                b: panels.add(start * k),
                                c: sums.add((first + strip.start) * outputs + start),
                                c_row: outputs as isize,
                                last: columns - (stride - lanes),
                            });
                        }
                    }
                }
            }
        }
    }
}

/// Lines, so many at a time.
fn blocks(lines: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    lines.clone().step_by(most).map(move |first| first..lines.end.min(first + most))
}

/// The lines of each image among lines of all images.
fn pieces(lines: Range<usize>, height: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let images = if lines.is_empty() { 0..0 } else { lines.start / height..lines.end.div_ceil(height) };
    images.map(move |image| {
        let first = image * height;
        (image, lines.start.max(first) - first..lines.end.min(first + height) - first)
    })
}
