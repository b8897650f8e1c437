//! Fork and join over a small pool of threads.

use super::denormal::Denormals;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::OnceLock;

/// The number of threads that kernels may use: what the system offers, at most `RAYON_NUM_THREADS` if that is set.
pub fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let offered = std::thread::available_parallelism().map_or(1, |n| n.get());
        let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|s| s.parse().ok()).filter(|&n: &usize| n > 0);
        asked.map_or(offered, |n| n.min(offered))
    })
}

/// Runs `work` inside the pool, where forks do not allocate. A loop of many launches belongs inside.
pub fn install<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => {
            let denormals = Denormals::current();
            pool.install(|| denormals.during(work))
        }
        None => work(),
    }
}

/// Calls `work` with each of `0..parts`, side by side, and returns when all are done. Each part takes denormal numbers as
/// the calling thread does.
pub fn split(parts: usize, work: &(impl Fn(usize) + Sync)) {
    if parts <= 1 || pool().is_none() {
        (0..parts).for_each(work);
    } else if rayon::current_thread_index().is_some() {
        // A thread may wait for its own part by running one of another program.
        let denormals = Denormals::current();
        halve(0, parts, &|i| denormals.during(|| work(i)));
    } else {
        install(|| split(parts, work));
    }
}

/// The `i`-th of `parts` nearly equal consecutive ranges that make up `0..len`.
pub(crate) fn part(len: usize, i: usize, parts: usize) -> std::ops::Range<usize> {
    len * i / parts..len * (i + 1) / parts
}

fn halve(first: usize, end: usize, work: &(impl Fn(usize) + Sync)) {
    if end - first == 1 {
        work(first);
    } else {
        let middle = first + (end - first) / 2;
        rayon::join(|| halve(first, middle, work), || halve(middle, end, work));
    }
}

/// None where one thread is all there is, or where the system refuses to start others.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| match threads() {
        1 => None,
        n => ThreadPoolBuilder::new().num_threads(n).thread_name(|i| format!("ansatz-{i}")).build().ok(),
    })
    .as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_part_runs_once() {
        for parts in 0..9 {
            let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            split(parts, &|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1), "{parts} parts");
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
}
