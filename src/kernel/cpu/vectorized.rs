//! Loops compiled for the vector instructions of the processor at hand.

use pulp::{Arch, Simd, WithSimd};

/// Runs `work`, compiled for the vector instructions that `arch` stands for. Closures must be `#[inline(always)]`.
///
/// The processor's features apply only to what is inlined. A closure given to `Arch::dispatch` itself is called
/// through a shim that the compiler may leave out of line, where each `mul_add` is a call.
#[inline(always)]
pub(super) fn vectorized<R>(arch: Arch, work: impl FnMut() -> R) -> R {
    arch.dispatch(Work(work))
}

struct Work<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}
