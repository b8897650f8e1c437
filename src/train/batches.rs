//! Batch after batch of a data set, prepared on this thread or ahead on another.

use super::trainer::Trainer;
use crate::data::{Dataset, Pass};
use crate::nn::{Batch, Net};
use crate::tensor::{Feed, Float};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::Chunks;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

/// Feeds samples of a data set, whose panics are errors: another crate's fault ends no training without a word.
pub(super) fn fed<B: Batch>(
    data: &dyn Dataset<B>,
    rows: &[u32],
    pass: Pass,
    feed: &mut Feed,
    dims: &mut Vec<usize>,
) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| data.feed(rows, pass, feed, dims))).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(|text| &**text));
        let (first, last) = (rows.first().unwrap_or(&0), rows.last().unwrap_or(&0));
        let told = told.unwrap_or("without a message");
        Err(Error::value(format!(
            "the data set panicked while it made a batch of {} samples, {first} to {last} in its order: {told}",
            rows.len()
        )))
    })
}

/// How many samples a data set has.
///
/// # Errors
/// If they are more than a u32 counts.
pub(super) fn countable<B: Batch>(data: &dyn Dataset<B>) -> Result<u32> {
    u32::try_from(data.len()).map_err(|_| {
        let problem = format!("a data set of {} samples is more than the 2³² − 1 that are counted", data.len());
        Error::value(format!("{problem}; make it of parts"))
    })
}

impl<E: Float, N: Net<E>> Trainer<N, E> {
    /// Feeds batch after batch and calls `then` for each, until that gives false. Gives whether all were taken.
    ///
    /// # Errors
    /// The first of the data set or of `then`; batches before it have been taken.
    pub(super) fn each_batch(
        &mut self,
        data: &dyn Dataset<N::Batch>,
        pass: Pass,
        batches: Chunks<'_, u32>,
        mut then: impl FnMut(&mut Self, &[u32]) -> Result<bool>,
    ) -> Result<bool> {
        let ahead = self.settings.prefetch;
        if ahead == 0 {
            for rows in batches {
                self.feed_rows(data, pass, rows)?;
                if !then(self, rows)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let read = |rows: &[u32], ready: &mut Ready| fed(data, rows, pass, &mut ready.feed, &mut ready.dims);
        read_ahead(ahead, batches, &read, &mut |rows, ready, used| {
            let feed = std::mem::replace(&mut self.feed, ready.feed);
            let dims = std::mem::replace(&mut self.dims, ready.dims);
            used(Ready { feed, dims });
            then(self, rows)
        })
    }
}

/// A batch in memory that later ones are written to again.
#[derive(Default)]
struct Ready {
    feed: Feed,
    dims: Vec<usize>,
}

type Read<'a> = dyn Fn(&[u32], &mut Ready) -> Result<()> + Sync + 'a;
type Take<'a> = dyn FnMut(&[u32], Ready, &mut dyn FnMut(Ready)) -> Result<bool> + 'a;

/// Reads batches on another thread, so many ahead, and gives `take` one after the other, with a way to give memory back, until
/// that gives false. It knows no net, so that crates with nets need not compile it again.
fn read_ahead(ahead: usize, batches: Chunks<'_, u32>, read: &Read<'_>, take: &mut Take<'_>) -> Result<bool> {
    thread::scope(|scope| {
        let (ready, prepared) = sync_channel::<Result<Ready>>(ahead);
        let (used, empty) = channel::<Ready>();
        let to_prepare = batches.clone();
        scope.spawn(move || {
            for rows in to_prepare {
                let mut next = empty.try_recv().unwrap_or_default();
                next.feed.clear();
                next.dims.clear();
                let result = read(rows, &mut next);
                let failed = result.is_err();
                // Nobody listens any more once the other side has stopped.
                if ready.send(result.map(|()| next)).is_err() || failed {
                    return;
                }
            }
        });
        for rows in batches {
            let next = prepared.recv();
            let next = next.map_err(|_| Error::value("the thread that prepares batches has stopped"))??;
            // The other side may be done already.
            let more = take(rows, next, &mut |memory| drop(used.send(memory)))?;
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
    })
}
