//! Vectors of the instruction sets that products are compiled for.

/// A vector of numbers and what microkernels do with it.
///
/// # Safety
/// A method may only be called where the processor has the instructions, and inlined into a function that enables them.
pub(super) unsafe trait Lanes {
    /// The numbers.
    type Element: Copy;
    /// The vector.
    type Vector: Copy;
    /// Numbers in a vector.
    const LANES: usize;
    /// Numbers along each side of the blocks that `transpose` takes.
    const SIDE: usize;

    unsafe fn zero() -> Self::Vector;
    unsafe fn splat(from: *const Self::Element) -> Self::Vector;
    unsafe fn load(from: *const Self::Element) -> Self::Vector;
    unsafe fn store(to: *mut Self::Element, x: Self::Vector);
    /// The first `n` numbers, then zeros.
    unsafe fn load_first(from: *const Self::Element, n: usize) -> Self::Vector;
    /// Only the first `n` numbers.
    unsafe fn store_first(to: *mut Self::Element, x: Self::Vector, n: usize);
    /// `a * b + c`
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Writes the transpose of a block of `SIDE` rows and columns; strides are those of rows.
    unsafe fn transpose(from: *const Self::Element, stride: isize, to: *mut Self::Element, to_stride: usize);
}

/// Four numbers that any processor can work on; what the compiler makes of loops over arrays.
pub(super) struct Portable<T>(std::marker::PhantomData<T>);

macro_rules! portable {
    ($float:ty) => {
        // SAFETY: plain loops.
        unsafe impl Lanes for Portable<$float> {
            type Element = $float;
            type Vector = [$float; 4];
            const LANES: usize = 4;
            const SIDE: usize = 4;

            #[inline(always)]
            unsafe fn zero() -> [$float; 4] {
                [0.0; 4]
            }

            #[inline(always)]
            unsafe fn splat(from: *const $float) -> [$float; 4] {
                // SAFETY: as the caller says.
                [unsafe { *from }; 4]
            }

            #[inline(always)]
            unsafe fn load(from: *const $float) -> [$float; 4] {
                // SAFETY: as the caller says.
                unsafe { from.cast::<[$float; 4]>().read() }
            }

            #[inline(always)]
            unsafe fn store(to: *mut $float, x: [$float; 4]) {
                // SAFETY: as the caller says.
                unsafe { to.cast::<[$float; 4]>().write(x) }
            }

            #[inline(always)]
            unsafe fn load_first(from: *const $float, n: usize) -> [$float; 4] {
                let mut x = [0.0; 4];
                for (i, x) in x.iter_mut().enumerate().take(n) {
                    // SAFETY: as the caller says.
                    *x = unsafe { *from.add(i) };
                }
                x
            }

            #[inline(always)]
            unsafe fn store_first(to: *mut $float, x: [$float; 4], n: usize) {
                for (i, x) in x.into_iter().enumerate().take(n) {
                    // SAFETY: as the caller says.
                    unsafe { *to.add(i) = x };
                }
            }

            #[inline(always)]
            unsafe fn multiply_add(a: [$float; 4], b: [$float; 4], mut c: [$float; 4]) -> [$float; 4] {
                for i in 0..4 {
                    // Rounding once would be a slow call where there is no such instruction.
                    c[i] = match cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                        true => a[i].mul_add(b[i], c[i]),
                        false => a[i] * b[i] + c[i],
                    };
                }
                c
            }

            #[inline(always)]
            unsafe fn add(mut a: [$float; 4], b: [$float; 4]) -> [$float; 4] {
                for i in 0..4 {
                    a[i] += b[i];
                }
                a
            }

            #[inline(always)]
            unsafe fn transpose(from: *const $float, stride: isize, to: *mut $float, to_stride: usize) {
                // SAFETY: as the caller says.
                unsafe {
                    let rows: [[$float; 4]; 4] = std::array::from_fn(|i| Self::load(from.offset(i as isize * stride)));
                    for j in 0..4 {
                        Self::store(to.add(j * to_stride), std::array::from_fn(|i| rows[i][j]));
                    }
                }
            }
        }
    };
}

portable!(f32);
portable!(f64);
