//! Products of a vector and a matrix: what they cost is reading the matrix, once and in order.

use super::math::Real;
use super::vectorized::vectorized;
use pulp::Arch;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// Columns that are computed side by side.
const LANES: usize = 64;

/// Computes `c[j] = Σᵢ x[i] B[i, j]` for `j` in `0..n` and `i` in `0..k`, or adds it to `c`, if the rows
/// of the matrix and `c` are contiguous; else returns false.
///
/// # Safety
/// Vectors with their stride and the matrix with its strides along `k` and `n` are valid, and `c` overlaps neither.
pub(super) unsafe fn run<T: Real>(
    n: usize,
    k: usize,
    (c, c_stride): (*mut T, isize),
    (x, x_stride): (*const T, isize),
    (b, [k_stride, n_stride]): (*const T, [isize; 2]),
    add: bool,
) -> bool {
    if n_stride == 1 && (c_stride == 1 || n == 1) {
        vectorized(
            Arch::new(),
            #[inline(always)]
            || {
                // SAFETY: `n` results, side by side.
                let c = unsafe { from_raw_parts_mut(c, n) };
                let (chunks, rest) = c.as_chunks_mut::<LANES>();
                let first = chunks.len() * LANES;
                for (i, chunk) in chunks.iter_mut().enumerate() {
                    // SAFETY: rows of the matrix, which hold the columns of this chunk.
                    let row =
                        |j: usize| unsafe { from_raw_parts(b.offset(j as isize * k_stride).add(i * LANES), LANES) };
                    let mut sums = Sums(if add { *chunk } else { [T::ZERO; LANES] });
                    for j in 0..k {
                        // SAFETY: an element of the vector.
                        let x = unsafe { *x.offset(j as isize * x_stride) };
                        for (sum, &b) in sums.0.iter_mut().zip(row(j)) {
                            *sum = x.mul_add(b, *sum);
                        }
                    }
                    *chunk = sums.0;
                }
                if !add {
                    rest.fill(T::ZERO);
                }
                for j in 0..k {
                    // SAFETY: an element of the vector, and the last columns of a row.
                    let (x, row) = unsafe {
                        let row = b.offset(j as isize * k_stride).add(first);
                        (*x.offset(j as isize * x_stride), from_raw_parts(row, n - first))
                    };
                    for (c, &b) in rest.iter_mut().zip(row) {
                        *c = x.mul_add(b, *c);
                    }
                }
            },
        );
        true
    } else {
        false
    }
}

/// On a cache line: where the compiler keeps sums in memory, vectors across two lines would take twice the time.
#[repr(C, align(64))]
struct Sums<T>([T; LANES]);
