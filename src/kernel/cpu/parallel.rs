//! Fork and join over a small team of threads.
//!
//! A run is a millisecond of launches, most of which fork for some microseconds. A thread that slept between them would
//! wake too late, so the helpers stay awake while a run lasts and a little longer, and take parts as soon as they are
//! offered. A part that no helper took in time is run by the thread that offered it; who runs a part does not change its
//! result.

use super::denormal::Denormals;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The number of threads that kernels may use: what the system offers, at most `RAYON_NUM_THREADS` if that is set.
pub fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let offered = std::thread::available_parallelism().map_or(1, |n| n.get());
        let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|s| s.parse().ok()).filter(|&n: &usize| n > 0);
        asked.map_or(offered, |n| n.min(offered)).min(MOST)
    })
}

/// Runs `work` with the help of the other threads, unless they help another run: its calls of `split` fork without
/// sleeping.
pub fn install<R>(work: impl FnOnce() -> R) -> R {
    let Some(_lead) = pool().and_then(Lead::take) else { return work() };
    let _forks = Forks::set(true);
    work()
}

/// Calls `work` with each of `0..parts`, side by side, and returns when all are done. Each part takes denormal numbers as
/// the calling thread does. A fork within a part, or outside of `install`, is no fork: its parts follow one another.
pub fn split(parts: usize, work: &Part<'_>) {
    if parts <= 1 || !FORKS.get() {
        (0..parts).for_each(work);
    } else {
        // A part that forks does so in place.
        let _forks = Forks::set(false);
        for first in (0..parts).step_by(OFFERED) {
            TEAM.share(OFFERED.min(parts - first), &|i| work(first + i));
        }
    }
}

/// The `i`-th of `parts` nearly equal consecutive ranges that make up `0..len`.
pub(crate) fn part(len: usize, i: usize, parts: usize) -> Range<usize> {
    len * i / parts..len * (i + 1) / parts
}

/// The most parts that an offer can number.
const OFFERED: usize = 0xffff;
/// More threads than an offer can number would not help.
const MOST: usize = 1 << 12;
/// How often a thread looks again before it lets others run: some ten microseconds.
const PATIENCE: u32 = 500;

/// How long helpers stay awake after a run: the next step of a training follows sooner.
const LINGER: Duration = Duration::from_micros(100);

thread_local! {
    /// Whether this thread leads a run and may fork.
    static FORKS: Cell<bool> = const { Cell::new(false) };
}

/// Sets whether this thread may fork, until it is dropped.
struct Forks(bool);

impl Forks {
    fn set(forks: bool) -> Self {
        Forks(FORKS.replace(forks))
    }
}

impl Drop for Forks {
    fn drop(&mut self) {
        FORKS.set(self.0);
    }
}

/// The thread that leads a run, and the helpers: there is one such run at a time, and others do without helpers.
static TEAM: Team = Team {
    led: AtomicBool::new(false),
    awake: AtomicUsize::new(0),
    panicked: AtomicBool::new(false),
    offer: Offer { state: AtomicU64::new(0) },
    progress: Progress { finished: AtomicUsize::new(0) },
    work: UnsafeCell::new(None),
};

struct Team {
    /// Whether a run has the helpers.
    led: AtomicBool,
    /// Helpers that look for parts.
    awake: AtomicUsize,
    /// Whether a part of the offer has panicked.
    panicked: AtomicBool,
    offer: Offer,
    progress: Progress,
    /// What is offered; only written by the leader while no part of it is open.
    work: UnsafeCell<Option<Work>>,
}

/// The right to offer parts to the team.
struct Lead;

impl Lead {
    /// Wakes the helpers, if no other run has them.
    fn take(pool: &'static ThreadPool) -> Option<Self> {
        TEAM.led.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        for _ in TEAM.awake.load(Ordering::Relaxed)..threads() - 1 {
            TEAM.awake.fetch_add(1, Ordering::Relaxed);
            pool.spawn(|| TEAM.help());
        }
        Some(Lead)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        TEAM.led.store(false, Ordering::Release);
    }
}

/// Its own cache line, because the leader writes it while the helpers look.
#[repr(align(64))]
struct Offer {
    /// Which offer it is (32 bits), its number of parts (16 bits), and the next part (16 bits).
    state: AtomicU64,
}

/// The parts that are finished, on a cache line of its own.
#[repr(align(64))]
struct Progress {
    finished: AtomicUsize,
}

type Part<'w> = dyn Fn(usize) + Sync + 'w;

#[derive(Clone, Copy)]
struct Work {
    /// In truth it lives until the offer is finished.
    part: *const Part<'static>,
    denormals: Denormals,
}

// SAFETY: `work` is written before an offer is published, and read by those who took a part of it, before it is finished.
unsafe impl Sync for Team {}

impl Team {
    /// Offers the parts, runs those that nobody else takes, and waits for the others.
    fn share<'w>(&self, parts: usize, work: &'w Part<'w>) {
        // SAFETY: only the lifetime changes; `Finish` waits for all parts before this function returns or unwinds.
        let part = unsafe { std::mem::transmute::<*const Part<'w>, *const Part<'static>>(ptr::from_ref(work)) };
        // SAFETY: the last offer is finished, so nobody reads.
        unsafe { *self.work.get() = Some(Work { part, denormals: Denormals::current() }) };
        self.progress.finished.store(0, Ordering::Relaxed);
        self.panicked.store(false, Ordering::Relaxed);
        let number = (self.offer.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.offer.state.store(number << 32 | (parts as u64) << 16, Ordering::Release);
        let finish = Finish(self, parts);
        while let Some(i) = self.take() {
            self.run(i);
        }
        drop(finish);
        assert!(!self.panicked.load(Ordering::Relaxed), "a part of a kernel panicked on another thread");
    }

    /// The next part of the offer, if one is left.
    fn take(&self) -> Option<usize> {
        let mut state = self.offer.state.load(Ordering::Acquire);
        loop {
            let (parts, next) = (state >> 16 & 0xffff, state & 0xffff);
            if next >= parts {
                return None;
            }
            match self.offer.state.compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(next as usize),
                Err(now) => state = now,
            }
        }
    }

    /// Runs a part that was taken.
    fn run(&self, i: usize) {
        /// Counts the part even if it panics.
        struct Count<'t>(&'t Team);
        impl Drop for Count<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.panicked.store(true, Ordering::Relaxed);
                }
                self.0.progress.finished.fetch_add(1, Ordering::Release);
            }
        }
        let _count = Count(self);
        // SAFETY: this part is not finished, so neither is the offer.
        if let Some(Work { part, denormals }) = unsafe { *self.work.get() } {
            // SAFETY: as above.
            denormals.during(|| unsafe { (*part)(i) });
        }
    }

    /// Takes parts until there was none for a while and no run has the helpers.
    fn help(&self) {
        let (mut patience, mut idle) = (PATIENCE, None);
        loop {
            if let Some(i) = self.take() {
                // Its message has been printed; the leader panics in its place.
                let _ = catch_unwind(AssertUnwindSafe(|| self.run(i)));
                (patience, idle) = (PATIENCE, None);
            } else {
                pause(&mut patience);
                if patience == 0 {
                    let since = *idle.get_or_insert_with(Instant::now);
                    if since.elapsed() > LINGER && !self.led.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        }
        self.awake.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for every part of an offer; after a panic of the leader, without running those that are open.
struct Finish<'t>(&'t Team, usize);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let Finish(team, parts) = *self;
        while team.take().is_some() {
            team.progress.finished.fetch_add(1, Ordering::Relaxed);
        }
        let mut patience = PATIENCE;
        while team.progress.finished.load(Ordering::Acquire) < parts {
            pause(&mut patience);
        }
    }
}

/// Looks again soon, and after a while lets other threads run in between.
fn pause(patience: &mut u32) {
    if *patience > 0 {
        *patience -= 1;
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// The threads of the helpers; none where one thread is all there is, or where the system refuses to start others.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| match threads() {
        1 => None,
        n => ThreadPoolBuilder::new().num_threads(n - 1).thread_name(|i| format!("ansatz-{i}")).build().ok(),
    })
    .as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_part_of_every_fork_runs_once() {
        for parts in 0..9 {
            let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            let count = |i: usize| {
                // A fork within a part runs its parts in place.
                split(3, &|_| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
            };
            install(|| {
                split(parts, &count);
                split(parts, &count);
            });
            split(parts, &count);
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 9), "{parts} parts");
        }
    }

    #[test]
    fn more_parts_than_an_offer_can_number_all_run() {
        for parts in [OFFERED, OFFERED + 1, 2 * OFFERED + 7] {
            let (count, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
            install(|| {
                split(parts, &|i| {
                    count.fetch_add(1, Ordering::Relaxed);
                    sum.fetch_add(i, Ordering::Relaxed);
                });
            });
            assert_eq!((count.into_inner(), sum.into_inner()), (parts, parts * (parts - 1) / 2));
        }
    }

    #[test]
    fn parts_cover_the_range() {
        for len in [0, 1, 7, 64] {
            for parts in 1..5 {
                let all: Vec<usize> = (0..parts).flat_map(|i| part(len, i, parts)).collect();
                assert_eq!(all, (0..len).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn runs_side_by_side_finish() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let sum = AtomicUsize::new(0);
                        install(|| {
                            for _ in 0..5 {
                                split(4, &|i| {
                                    sum.fetch_add(i + round, Ordering::Relaxed);
                                });
                            }
                        });
                        assert_eq!(sum.load(Ordering::Relaxed), 5 * (6 + 4 * round));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_of_a_part_reaches_the_caller() {
        for bad in 0..2 {
            let caught = std::panic::catch_unwind(|| install(|| split(2, &|i| assert_ne!(i, bad))));
            assert!(caught.is_err(), "part {bad}");
        }
        // The helpers are free again.
        assert_eq!(install(|| 7), 7);
    }
}
