//! Fork and join over a small team of threads.
//!
//! A run is a millisecond of launches, most of which fork for some microseconds. A thread that slept between them would
//! wake too late, so the helpers stay awake while a run lasts, and take parts as soon as they are offered. A part that no
//! helper took in time is run by the thread that offered it; who runs a part does not change its result.

use super::denormal::Denormals;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The number of threads that kernels may use: what the system offers, at most `RAYON_NUM_THREADS` if that is set.
pub fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let offered = std::thread::available_parallelism().map_or(1, |n| n.get());
        let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|s| s.parse().ok()).filter(|&n: &usize| n > 0);
        asked.map_or(offered, |n| n.min(offered)).min(MOST)
    })
}

/// Runs `work` with the help of all threads that help no other run: its calls of `split` fork without sleeping.
pub fn install<R>(work: impl FnOnce() -> R) -> R {
    let helpers = Reserved::take();
    let Some(pool) = pool().filter(|_| helpers.0 > 0 && TEAM.get().is_null()) else { return work() };
    let team = Team::default();
    pool.in_place_scope(|scope| {
        for _ in 0..helpers.0 {
            scope.spawn(|_| team.help());
        }
        let _end = End(&team, helpers.0);
        let _member = Member::enter(&team);
        work()
    })
}

/// Calls `work` with each of `0..parts`, side by side, and returns when all are done. Each part takes denormal numbers as
/// the calling thread does. A fork within a part, or outside of `install`, is no fork: its parts follow one another.
pub fn split(parts: usize, work: &(impl Fn(usize) + Sync)) {
    let team = TEAM.get();
    if parts <= 1 || team.is_null() {
        (0..parts).for_each(work);
        return;
    }
    // A part that forks finds no team.
    let _alone = Member::enter(ptr::null());
    // SAFETY: the team outlives the `Member` that `install` keeps on this thread.
    unsafe { &*team }.share(parts, work);
}

/// The `i`-th of `parts` nearly equal consecutive ranges that make up `0..len`.
pub(crate) fn part(len: usize, i: usize, parts: usize) -> Range<usize> {
    len * i / parts..len * (i + 1) / parts
}

/// More threads than an offer can number would not help.
const MOST: usize = 1 << 12;
/// How often a thread looks again before it lets others run: some ten microseconds.
const PATIENCE: u32 = 500;

thread_local! {
    /// The team whose run this thread leads; null if there is none.
    static TEAM: Cell<*const Team> = const { Cell::new(ptr::null()) };
}

/// Sets the team of this thread until it is dropped.
struct Member(*const Team);

impl Member {
    fn enter(team: *const Team) -> Self {
        Member(TEAM.replace(team))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        TEAM.set(self.0);
    }
}

/// A thread that leads a run, and its helpers.
#[derive(Default)]
struct Team {
    offer: Offer,
    progress: Progress,
    over: AtomicBool,
    /// Helpers that are done.
    left: AtomicUsize,
    /// What is offered; only written while no part of it is open.
    work: UnsafeCell<Option<Work>>,
}

/// Its own cache line, because the leader writes it while the helpers look.
#[derive(Default)]
#[repr(align(64))]
struct Offer {
    /// Which offer it is (32 bits), its number of parts (16 bits), and the next part (16 bits).
    state: AtomicU64,
}

/// The parts that are finished, on a cache line of its own.
#[derive(Default)]
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
        let number = (self.offer.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.offer.state.store(number << 32 | (parts as u64) << 16, Ordering::Release);
        let _finish = Finish(self, parts);
        while let Some(i) = self.take() {
            self.run(i);
        }
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

    /// Takes parts until the run is over.
    fn help(&self) {
        let mut patience = PATIENCE;
        while !self.over.load(Ordering::Acquire) {
            match self.take() {
                Some(i) => {
                    self.run(i);
                    patience = PATIENCE;
                }
                None => pause(&mut patience),
            }
        }
        self.left.fetch_add(1, Ordering::Release);
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

/// Sends the helpers home. They are a moment away from it, which is shorter than to sleep until they are there.
struct End<'t>(&'t Team, usize);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        let mut patience = PATIENCE;
        while patience > 0 && self.0.left.load(Ordering::Acquire) < self.1 {
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

/// Helpers that this run has to itself.
struct Reserved(usize);

impl Reserved {
    fn free() -> &'static AtomicUsize {
        static FREE: OnceLock<AtomicUsize> = OnceLock::new();
        FREE.get_or_init(|| AtomicUsize::new(threads() - 1))
    }

    fn take() -> Self {
        Reserved(Self::free().swap(0, Ordering::AcqRel))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        Self::free().fetch_add(self.0, Ordering::AcqRel);
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
