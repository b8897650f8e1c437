//! Which microkernels run: those of the best instruction set that the processor has.

use super::lanes::Portable;
use super::tile::{Dots, Kernels, Lines, Source, Taps, Tile, dots, lines, pack, taps, tile};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::cpu::vectorized::{Instructions, Set};

/// Element types that there are microkernels for.
pub trait Factor: Copy + 'static {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn kernels(instructions: Instructions) -> &'static Kernels<Self>;
}

macro_rules! kernels {
    ($lanes:ty, $float:ty, ($rows:literal, $width:literal, [$($row:literal)*]) $(, $feature:literal)?) => {{
        $(#[target_feature(enable = $feature)])?
        unsafe fn one<const R: usize, const W: usize>(t: &Tile<$float>) {
            // SAFETY: as the caller says.
            unsafe { tile::<$lanes, R, W>(t) }
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn by_taps<const R: usize, const W: usize>(t: &Taps<$float>) {
            // SAFETY: as the caller says.
            unsafe { taps::<$lanes, R, W>(t) }
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn by_lines<const R: usize, const W: usize>(t: &Lines<$float>) {
            // SAFETY: as the caller says.
            unsafe { lines::<$lanes, R, W>(t) }
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn copy(block: &Source<$float>, to: *mut $float, stride: usize) {
            // SAFETY: as the caller says.
            unsafe { pack::<$lanes>(block, to, stride) }
        }
        $(#[target_feature(enable = $feature)])?
        unsafe fn by_vector(d: &Dots<$float>) {
            // SAFETY: as the caller says.
            unsafe { dots::<$lanes>(d) }
        }
        static KERNELS: Kernels<$float> = Kernels {
            lanes: <$lanes as super::lanes::Lanes>::LANES,
            rows: $rows,
            width: $width,
            tiles: [$([one::<$row, 1>, one::<$row, 2>, one::<$row, $width>]),*],
            taps: [$([by_taps::<$row, 1>, by_taps::<$row, 2>, by_taps::<$row, $width>]),*],
            lines: [$([by_lines::<$row, 1>, by_lines::<$row, 2>, by_lines::<$row, $width>]),*],
            pack: copy,
            dots: by_vector,
        };
        &KERNELS
    }};
}

/// The rows of a full tile, its vectors, and the microkernel's rows for each number of rows: with 32 registers, with sixteen.
macro_rules! factor {
    ($float:ty, $most:tt, $few:tt) => {
        impl Factor for $float {
            #[allow(private_interfaces)]
            fn kernels(instructions: Instructions) -> &'static Kernels<$float> {
                match instructions.set() {
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx512 => kernels!(Avx512<$float>, $float, $most, "avx512f,avx2,fma"),
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx2 => kernels!(Avx2<$float>, $float, $few, "avx2,fma"),
                    Set::Portable => kernels!(Portable<$float>, $float, $few),
                }
            }
        }
    };
}

// Sixteen registers hold the sums of six rows of two vectors, these vectors and a factor; four rows of three would need all of
// them, and compilers then keep a sum in memory.
factor!(f32, (8, 3, [1 2 3 4 5 6 7 8]), (6, 2, [1 2 3 4 5 6 6 6]));
// Four rows of two vectors are as many sums as keep two multipliers busy.
factor!(f64, (4, 2, [1 2 3 4 4 4 4 4]), (4, 2, [1 2 3 4 4 4 4 4]));
