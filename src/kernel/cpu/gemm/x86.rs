//! Vectors of AVX2 with FMA and of AVX-512.

use super::lanes::Lanes;
use std::arch::x86_64::*;

/// Eight `f32` or four `f64`.
pub(super) struct Avx2<T>(std::marker::PhantomData<T>);
/// Sixteen `f32` or eight `f64`.
pub(super) struct Avx512<T>(std::marker::PhantomData<T>);

/// Lanes with a sliding window over this are the mask of the first `n` lanes, from `8 - n`.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
/// The same for 64 bits, from `4 - n`.
static FIRST_WIDE: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

/// # Safety
/// AVX; `n` is at most 8.
#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    // SAFETY: inside the table.
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - n).cast()) }
}

/// # Safety
/// AVX; `n` is at most 4.
#[inline(always)]
unsafe fn first_wide(n: usize) -> __m256i {
    // SAFETY: inside the table.
    unsafe { _mm256_loadu_si256(FIRST_WIDE.as_ptr().add(4 - n).cast()) }
}

/// Transposes 8×8 numbers. Halves of rows are joined by loads, so that only the shuffles within halves are left.
///
/// # Safety
/// AVX; all rows are valid.
#[inline(always)]
unsafe fn transpose_single(from: *const f32, stride: isize, to: *mut f32, to_stride: usize) {
    // SAFETY: as the caller says.
    unsafe {
        for half in 0..2 {
            let row = |i: isize| {
                let near = from.offset(i * stride + 4 * half);
                let far = from.offset((i + 4) * stride + 4 * half);
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(near)), _mm_loadu_ps(far))
            };
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let to = to.add(4 * half as usize * to_stride);
            _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(ab_low, cd_low));
            _mm256_storeu_ps(to.add(to_stride), _mm256_shuffle_ps::<0xEE>(ab_low, cd_low));
            _mm256_storeu_ps(to.add(2 * to_stride), _mm256_shuffle_ps::<0x44>(ab_high, cd_high));
            _mm256_storeu_ps(to.add(3 * to_stride), _mm256_shuffle_ps::<0xEE>(ab_high, cd_high));
        }
    }
}

/// Transposes 4×4 numbers.
///
/// # Safety
/// AVX; all rows are valid.
#[inline(always)]
unsafe fn transpose_double(from: *const f64, stride: isize, to: *mut f64, to_stride: usize) {
    // SAFETY: as the caller says.
    unsafe {
        for half in 0..2 {
            let row = |i: isize| {
                let near = from.offset(i * stride + 2 * half);
                let far = from.offset((i + 2) * stride + 2 * half);
                _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(_mm_loadu_pd(near)), _mm_loadu_pd(far))
            };
            let (a, b) = (row(0), row(1));
            let to = to.add(2 * half as usize * to_stride);
            _mm256_storeu_pd(to, _mm256_unpacklo_pd(a, b));
            _mm256_storeu_pd(to.add(to_stride), _mm256_unpackhi_pd(a, b));
        }
    }
}

macro_rules! lanes {
    (
        $name:ident, $float:ty, $vector:ty, $lanes:literal, $side:literal, $zero:ident, $splat:ident, $load:ident,
        $store:ident, $fma:ident, $add:ident, $transpose:ident, $load_first:expr, $store_first:expr
    ) => {
        // SAFETY: the instructions of the set, which callers vouch for; unaligned accesses.
        unsafe impl Lanes for $name<$float> {
            type Element = $float;
            type Vector = $vector;
            const LANES: usize = $lanes;
            const SIDE: usize = $side;

            #[inline(always)]
            unsafe fn zero() -> $vector {
                // SAFETY: as the caller says.
                unsafe { $zero() }
            }

            #[inline(always)]
            unsafe fn splat(from: *const $float) -> $vector {
                // SAFETY: as the caller says.
                unsafe { $splat(*from) }
            }

            #[inline(always)]
            unsafe fn load(from: *const $float) -> $vector {
                // SAFETY: as the caller says.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(to: *mut $float, x: $vector) {
                // SAFETY: as the caller says.
                unsafe { $store(to, x) }
            }

            #[inline(always)]
            unsafe fn load_first(from: *const $float, n: usize) -> $vector {
                // SAFETY: as the caller says.
                unsafe { $load_first(from, n) }
            }

            #[inline(always)]
            unsafe fn store_first(to: *mut $float, x: $vector, n: usize) {
                // SAFETY: as the caller says.
                unsafe { $store_first(to, x, n) }
            }

            #[inline(always)]
            unsafe fn multiply_add(a: $vector, b: $vector, c: $vector) -> $vector {
                // SAFETY: as the caller says.
                unsafe { $fma(a, b, c) }
            }

            #[inline(always)]
            unsafe fn add(a: $vector, b: $vector) -> $vector {
                // SAFETY: as the caller says.
                unsafe { $add(a, b) }
            }

            #[inline(always)]
            unsafe fn transpose(from: *const $float, stride: isize, to: *mut $float, to_stride: usize) {
                // SAFETY: as the caller says.
                unsafe { $transpose(from, stride, to, to_stride) }
            }
        }
    };
}

lanes!(
    Avx2,
    f32,
    __m256,
    8,
    8,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    transpose_single,
    |from, n| _mm256_maskload_ps(from, first(n)),
    |to, x, n| _mm256_maskstore_ps(to, first(n), x)
);
lanes!(
    Avx2,
    f64,
    __m256d,
    4,
    4,
    _mm256_setzero_pd,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_fmadd_pd,
    _mm256_add_pd,
    transpose_double,
    |from, n| _mm256_maskload_pd(from, first_wide(n)),
    |to, x, n| _mm256_maskstore_pd(to, first_wide(n), x)
);
lanes!(
    Avx512,
    f32,
    __m512,
    16,
    8,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    transpose_single,
    |from, n| _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, from),
    |to, x, n| _mm512_mask_storeu_ps(to, ((1u32 << n) - 1) as u16, x)
);
lanes!(
    Avx512,
    f64,
    __m512d,
    8,
    4,
    _mm512_setzero_pd,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_fmadd_pd,
    _mm512_add_pd,
    transpose_double,
    |from, n| _mm512_maskz_loadu_pd(((1u32 << n) - 1) as u8, from),
    |to, x, n| _mm512_mask_storeu_pd(to, ((1u32 << n) - 1) as u8, x)
);
