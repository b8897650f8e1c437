//! Batch after batch of a data set, prepared on this thread or ahead on another.

use super::trainer::Trainer;
use crate::data::{Dataset, Pass};
use crate::nn::Net;
use crate::tensor::{Feed, Float};
use crate::{Error, Result};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

/// A batch that is ready, or why it is not.
struct Prepared {
    feed: Feed,
    dims: Vec<usize>,
    result: Result<()>,
}

impl<E: Float, N: Net<E>> Trainer<N, E> {
    /// Feeds batch after batch and calls `then` for each, until that gives false. Gives whether all were taken.
    ///
    /// # Errors
    /// The first of the data set or of `then`; batches before it have been taken.
    pub(super) fn each_batch<'r>(
        &mut self,
        data: &dyn Dataset<N::Batch>,
        pass: Pass,
        batches: impl Iterator<Item = &'r [u32]> + Clone + Send,
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
        thread::scope(|scope| {
            let (ready, prepared) = sync_channel::<Prepared>(ahead);
            let (used, empty) = channel::<(Feed, Vec<usize>)>();
            let to_prepare = batches.clone();
            scope.spawn(move || {
                for rows in to_prepare {
                    let (mut feed, mut dims) = empty.try_recv().unwrap_or_default();
                    feed.clear();
                    dims.clear();
                    let result = data.feed(rows, pass, &mut feed, &mut dims);
                    let failed = result.is_err();
                    // Nobody listens any more once the other side has stopped.
                    if ready.send(Prepared { feed, dims, result }).is_err() || failed {
                        return;
                    }
                }
            });
            for rows in batches {
                let next = prepared.recv();
                let Prepared { feed, dims, result } =
                    next.map_err(|_| Error::value("the thread that prepares batches has stopped"))?;
                result?;
                let feed = std::mem::replace(&mut self.feed, feed);
                let dims = std::mem::replace(&mut self.dims, dims);
                // The other side may be done already.
                let _ = used.send((feed, dims));
                if !then(self, rows)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}
