//! Batch after batch of a data set, prepared on this thread or ahead on another.

use super::trainer::Trainer;
use crate::data::{Dataset, Pass};
use crate::nn::Net;
use crate::tensor::{Feed, Float};
use crate::{Error, Result};
use std::slice::Chunks;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

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
        let read = |rows: &[u32], ready: &mut Ready| data.feed(rows, pass, &mut ready.feed, &mut ready.dims);
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
