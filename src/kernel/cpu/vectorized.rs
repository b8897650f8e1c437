//! The vector instructions of the processor at hand, and loops compiled for them.

use super::math::Real;
use std::sync::OnceLock;

/// Vector instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions(Set);

/// The sets of instructions that loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// What every processor has.
    Portable,
    /// AVX2 and FMA of x86.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 of x86, as servers have it: F, BW, CD, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    /// What every processor has.
    pub const PORTABLE: Self = Instructions(Set::Portable);

    /// All sets that this processor has, the best last.
    pub fn available() -> &'static [Instructions] {
        static AVAILABLE: OnceLock<Vec<Instructions>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            #[allow(unused_mut)]
            let mut all = vec![Self::PORTABLE];
            #[cfg(target_arch = "x86_64")]
            {
                macro_rules! has {
                    ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* };
                }
                if has!("avx2" "bmi1" "bmi2" "fma" "lzcnt" "popcnt") {
                    all.push(Instructions(Set::Avx2));
                    if has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl") {
                        all.push(Instructions(Set::Avx512));
                    }
                }
            }
            all
        })
    }

    /// The best that this processor has.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::PORTABLE)
    }

    pub(super) fn set(self) -> Set {
        self.0
    }
}

/// Runs `work` over numbers of type `T`, compiled for these instructions. Closures must be `#[inline(always)]`: the processor's features apply only
/// to what is inlined.
#[inline(always)]
pub(super) fn vectorized<T: Real, R>(instructions: Instructions, work: impl FnOnce() -> R) -> R {
    match instructions.0 {
        // SAFETY: there are only `Instructions` that the processor has.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 if const { T::WIDEST } => unsafe { with_avx512(work) },
        // SAFETY: as above; where there is AVX-512, there is AVX2.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 | Set::Avx512 => unsafe { with_avx2(work) },
        Set::Portable => portably(work),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,fma,lzcnt,popcnt")]
fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,fma,lzcnt,popcnt")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Out of line, as the others are.
#[inline(never)]
fn portably<R>(work: impl FnOnce() -> R) -> R {
    work()
}
