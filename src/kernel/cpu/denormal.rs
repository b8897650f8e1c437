//! Denormal numbers: `f32` programs take them for zero.
//!
//! Arithmetic with denormal numbers takes a processor up to a hundred times as long. In `f32` they begin at 1e-38, which
//! the moments of an optimiser reach soon where a unit is dead; next to any other weight they are zero. In `f64` they
//! begin at 1e-308, and gradual underflow is kept.
//!
//! On x86-64 the setting is in the control register of a thread, MXCSR. The compiler takes it to have its default value,
//! so it may still compute with denormal numbers what it computes itself, before the program runs; kernels leave it
//! nothing to compute.

/// Whether results that are denormal become zero, and operands that are denormal count as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denormals(u32);

/// Flush-to-zero and denormals-are-zero.
#[cfg(target_arch = "x86_64")]
const FLUSH: u32 = 1 << 15 | 1 << 6;
#[cfg(not(target_arch = "x86_64"))]
const FLUSH: u32 = 0;

impl Denormals {
    /// Gradual underflow, as IEEE 754 has it.
    pub const KEPT: Denormals = Denormals(0);
    /// Zero.
    pub const FLUSHED: Denormals = Denormals(FLUSH);

    /// The setting of this thread.
    pub fn current() -> Denormals {
        Denormals(register() & FLUSH)
    }

    /// Runs `work` with this setting and restores the one before, even if `work` panics.
    pub fn during<R>(self, work: impl FnOnce() -> R) -> R {
        let before = Denormals::current();
        if before == self {
            return work();
        }
        self.set();
        let _restore = Restore(before);
        work()
    }

    fn set(self) {
        set_register(register() & !FLUSH | self.0);
    }
}

struct Restore(Denormals);

impl Drop for Restore {
    fn drop(&mut self) {
        self.0.set();
    }
}

#[cfg(target_arch = "x86_64")]
fn register() -> u32 {
    let mut value = 0u32;
    // SAFETY: writes the four bytes of `value`.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack, preserves_flags)) };
    value
}

#[cfg(target_arch = "x86_64")]
fn set_register(value: u32) {
    // SAFETY: a value that was read before, with other bits of `FLUSH`, so that no exception is unmasked.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, preserves_flags)) };
}

#[cfg(not(target_arch = "x86_64"))]
fn register() -> u32 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn set_register(_: u32) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::parallel;
    use std::hint::black_box;

    fn denormal() -> f32 {
        black_box(1e-30_f32) * black_box(1e-10_f32)
    }

    #[test]
    fn the_setting_holds_while_work_runs() {
        assert!(denormal() > 0.0);
        let inside = Denormals::FLUSHED.during(denormal);
        assert!(denormal() > 0.0);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(inside, 0.0);
            assert!(Denormals::FLUSHED.during(|| Denormals::KEPT.during(denormal)) > 0.0);
        }
    }

    #[test]
    fn the_setting_is_restored_after_a_panic() {
        let result = std::panic::catch_unwind(|| Denormals::FLUSHED.during(|| panic!("on purpose")));
        assert!(result.is_err() && Denormals::current() == Denormals::KEPT);
    }

    #[test]
    fn threads_take_over_the_setting_of_who_calls() {
        for setting in [Denormals::FLUSHED, Denormals::KEPT, Denormals::FLUSHED] {
            setting.during(|| {
                parallel::split(8, &|_| assert_eq!(Denormals::current(), setting));
                parallel::install(|| assert_eq!(Denormals::current(), setting));
            });
        }
    }
}
