//! Which microkernels run: those of the best instruction set that the processor has.

use super::lanes::Portable;
use super::tile::{Dots, Kernels, Lines, Source, Taps, Tile, dots, lines, pack, taps, tile};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use std::sync::OnceLock;

/// The instruction sets that microkernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// What every processor has.
    Portable,
    /// AVX2 and FMA of x86.
    Avx2,
    /// AVX-512F of x86.
    Avx512,
}

impl Instructions {
    /// Those that this processor has, the best last.
    pub fn available() -> &'static [Instructions] {
        static AVAILABLE: OnceLock<Vec<Instructions>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            #[allow(unused_mut)]
            let mut all = vec![Instructions::Portable];
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Instructions::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    all.push(Instructions::Avx512);
                }
            }
            all
        })
    }

    /// The best that this processor has.
    pub fn best() -> Instructions {
        Self::available().last().copied().unwrap_or(Instructions::Portable)
    }
}

/// Element types that there are microkernels for.
pub trait Factor: Copy + 'static {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn kernels(instructions: Instructions) -> &'static Kernels<Self>;
}

macro_rules! kernels {
    ($lanes:ty, $float:ty, $rows:literal, $width:literal, [$($row:literal)*] $(, $feature:literal)?) => {{
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
            tiles: [$([one::<$row, 1>, one::<$row, 2>, one::<$row, 3>]),*],
            taps: [$([by_taps::<$row, 1>, by_taps::<$row, 2>, by_taps::<$row, 3>]),*],
            lines: [$([by_lines::<$row, 1>, by_lines::<$row, 2>, by_lines::<$row, 3>]),*],
            pack: copy,
            dots: by_vector,
        };
        &KERNELS
    }};
}

macro_rules! factor {
    ($float:ty) => {
        impl Factor for $float {
            #[allow(private_interfaces)]
            fn kernels(instructions: Instructions) -> &'static Kernels<$float> {
                // Sixteen registers hold the sums of six rows of two vectors, these vectors and a factor; four rows of three
                // would need all of them, and compilers then keep a sum in memory.
                match instructions {
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx512 => kernels!(Avx512<$float>, $float, 8, 3, [1 2 3 4 5 6 7 8], "avx512f,avx2,fma"),
                    #[cfg(target_arch = "x86_64")]
                    Instructions::Avx2 => kernels!(Avx2<$float>, $float, 6, 2, [1 2 3 4 5 6 6 6], "avx2,fma"),
                    _ => kernels!(Portable<$float>, $float, 6, 2, [1 2 3 4 5 6 6 6]),
                }
            }
        }
    };
}

factor!(f32);
factor!(f64);
