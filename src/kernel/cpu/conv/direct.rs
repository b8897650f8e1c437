//! Convolutions of single channels, row by row: there is nothing that a product could use twice.

use super::Run;
use crate::conv::{Convolution, Pass, Tap};
use crate::cpu::math::Real;
use crate::cpu::parallel::{part, split};
use crate::cpu::vectorized::{Instructions, vectorized};

/// Sums that are kept side by side.
const SUMS: usize = 16;

impl<T: Real> Run<'_, T> {
    /// # Safety
    /// As for the launch.
    pub(super) unsafe fn direct(&self) {
        let Convolution { pass, conv, batch, inputs, outputs, .. } = *self.work;
        let arch = Instructions::best();
        let (threads, groups) = (self.plan.threads, conv.groups);
        // A thread has its own planes of the result, or its own groups of the weights.
        let parts = match pass {
            Pass::Forward => batch * groups * outputs,
            Pass::Data => batch * groups * inputs,
            Pass::Weight => groups * outputs,
        };
        split(threads, &|thread| {
            for number in part(parts, thread, threads) {
                vectorized::<T, _>(
                    arch,
                    #[inline(always)]
                    // SAFETY: as the caller says.
                    || unsafe {
                        match pass {
                            Pass::Weight => self.weight_plane(number),
                            _ => self.plane(number),
                        }
                    },
                );
            }
        });
    }

    /// One plane of the result of `Forward` or `Data`.
    #[inline(always)]
    unsafe fn plane(&self, number: usize) {
        let Convolution { pass, conv, inputs, outputs, count, .. } = *self.work;
        let forward = pass == Pass::Forward;
        let (from, to) = if forward { (conv.size, count) } else { (count, conv.size) };
        let (channels, results) = if forward { (inputs, outputs) } else { (outputs, inputs) };
        let (step, steps) = if forward { (conv.stride, [1, 1]) } else { ([1, 1], conv.stride) };
        let kernel = conv.kernel[0] * conv.kernel[1];
        let (group, image) = (number / results % conv.groups, number / results / conv.groups);
        // SAFETY: inside the tensors.
        unsafe {
            let y = self.y.add(number * to[0] * to[1]);
            std::slice::from_raw_parts_mut(y, to[0] * to[1]).fill(T::ZERO);
            for channel in 0..channels {
                let x = self.a.add(((image * conv.groups + group) * channels + channel) * from[0] * from[1]);
                let (o, i) = if forward { (number % results, channel) } else { (channel, number % results) };
                let weights = self.b.add(((group * outputs + o) * inputs + i) * kernel);
                for phase in &self.work.phases {
                    for row in 0..phase.grid[0] {
                        let y = y.add((phase.first[0] + row * steps[0]) * to[1] + phase.first[1]);
                        for tap in phase.taps.iter().filter(|tap| tap.rows[0] <= row && row < tap.rows[1]) {
                            let weight = *weights.add(tap.number);
                            let (x, len) = line(x, from[1], tap, row, step);
                            let y = y.add(tap.columns[0] * steps[1]);
                            if step[1] == 1 && steps[1] == 1 {
                                for j in 0..len {
                                    *y.add(j) = (*x.add(j)).mul_add(weight, *y.add(j));
                                }
                            } else {
                                for j in 0..len {
                                    let y = y.add(j * steps[1]);
                                    *y = (*x.add(j * step[1])).mul_add(weight, *y);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The weights of one channel of the result.
    #[inline(always)]
    unsafe fn weight_plane(&self, number: usize) {
        let Convolution { conv, inputs, outputs, count, batch, .. } = *self.work;
        let [phase] = &*self.work.phases else { unreachable!("only transposed convolutions have several phases") };
        let kernel = conv.kernel[0] * conv.kernel[1];
        let group = number / outputs;
        for i in 0..inputs {
            for tap in &phase.taps {
                let mut sums = [T::ZERO; SUMS];
                for image in 0..batch {
                    // SAFETY: inside the tensors.
                    unsafe {
                        let channel = (image * conv.groups + group) * inputs + i;
                        let x = self.a.add(channel * conv.size[0] * conv.size[1]);
                        let c = self.b.add((image * conv.groups * outputs + number) * count[0] * count[1]);
                        for row in tap.rows[0]..tap.rows[1] {
                            let (x, len) = line(x, conv.size[1], tap, row, conv.stride);
                            let c = c.add(row * count[1] + tap.columns[0]);
                            let whole = if conv.stride[1] == 1 { len / SUMS * SUMS } else { 0 };
                            for j in (0..whole).step_by(SUMS) {
                                for (k, sum) in sums.iter_mut().enumerate() {
                                    *sum = (*x.add(j + k)).mul_add(*c.add(j + k), *sum);
                                }
                            }
                            for j in whole..len {
                                let sum = &mut sums[j % SUMS];
                                *sum = (*x.add(j * conv.stride[1])).mul_add(*c.add(j), *sum);
                            }
                        }
                    }
                }
                let total = sums.into_iter().fold(T::ZERO, |total, sum| total + sum);
                // SAFETY: inside the weights.
                unsafe { *self.y.add((number * inputs + i) * kernel + tap.number) = total };
            }
        }
    }
}

/// What a tap reads in one row of positions, and for how many.
///
/// # Safety
/// The row lies inside for the tap.
#[inline(always)]
unsafe fn line<T>(x: *const T, width: usize, tap: &Tap, row: usize, step: [usize; 2]) -> (*const T, usize) {
    let at_row = (row * step[0]) as isize + tap.offset[0];
    let column = (tap.columns[0] * step[1]) as isize + tap.offset[1];
    (x.wrapping_offset(at_row * width as isize + column), tap.columns[1] - tap.columns[0])
}
