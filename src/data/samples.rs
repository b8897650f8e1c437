//! What a training draws its batches from.

use super::split;
use crate::nn::Batch;
use crate::tensor::{Feed, Rows};
use crate::{Error, Result};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Why samples are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// To train on them, in this epoch (from 0) of a training with this seed: what is drawn at random depends on both.
    Training {
        /// The seed of the training.
        seed: u64,
        /// The epoch, from 0.
        epoch: u64,
    },
    /// To judge by them: nothing is drawn.
    Evaluation,
}

/// A numbered collection of samples, any of which can be fed to a net whose inputs are a `B`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no samples of `{B}`",
    label = "the inputs of the net are of other dimensions, elements or kinds",
    note = "the dimensions of a data set are those of the inputs, in their order: `Labelled<Pixels, Digit, f32>` for `x: [n, Pixels], y: [n] in Digit`"
)]
pub trait Dataset<B: Batch>: Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Feeds the samples at `rows`: every input of the net, in order. A data set that changes its samples at random
    /// does so by what `pass` says. Pushes the run-time dimensions of this batch, in
    /// the order of [`Batch::dims`]. A data set that makes batches one by one ends with
    /// `batch.feed(feed); dims.extend(batch.dims()?)`.
    ///
    /// # Errors
    /// If a row does not exist or cannot be read.
    fn feed(&self, rows: &[u32], pass: Pass, feed: &mut Feed, dims: &mut Vec<usize>) -> Result<()>;
}

/// Samples in memory: one large batch, of which any rows can be taken. Copies of rows allocate nothing once the buffers
/// of the feed have their size; parts share the memory of the whole.
pub struct Samples<B> {
    all: Arc<Feed>,
    /// The run-time dimensions of the large batch; the first counts the samples.
    dims: Arc<[usize]>,
    rows: Vec<u32>,
    batch: PhantomData<fn() -> B>,
}

impl<B: Batch> Samples<B> {
    /// The rows of a batch: the first axis of its inputs is the net's first run-time dimension. An input whose shape is known
    /// at compile time, such as a weight for each class, is the same for all samples, and goes whole into every batch.
    ///
    /// # Errors
    /// If the inputs disagree on a dimension, or one of them has no row for each sample.
    pub fn new(batch: &B) -> Result<Self> {
        let dims = batch.dims()?;
        let mut all = Feed::default();
        batch.feed(&mut all);
        let Some(&len) = dims.first() else {
            return Err(Error::value("the net has no run-time dimension, so its batch has no rows to draw from"));
        };
        for (input, (data, rows)) in all.data().iter().zip(all.known_rows()).enumerate() {
            let problem = match *rows {
                Rows::Shared => continue,
                Rows::First(rows) if rows != len => format!("has {rows} rows"),
                Rows::Behind => "counts no samples along its first axis, whose size is fixed".to_owned(),
                _ if data.len() % len.max(1) != 0 => format!("has {} elements, which are no equal rows", data.len()),
                _ => continue,
            };
            return Err(Error::value(format!(
                "input {input} of the batch {problem}, where the first run-time dimension of the net is {len}: samples are \
                 counted along it, so it comes first in every input that has a part for each sample"
            )));
        }
        Ok(Samples { all: Arc::new(all), dims: dims.into(), rows: (0..len as u32).collect(), batch: PhantomData })
    }

    /// The samples at these positions, in this order.
    ///
    /// # Errors
    /// If a position is beyond the samples.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        let rows = rows.iter().map(|&row| self.row(row)).collect::<Result<_>>()?;
        Ok(Samples { all: self.all.clone(), dims: self.dims.clone(), rows, batch: PhantomData })
    }

    /// Two parts by a fixed shuffle: the share `first`, and the rest.
    ///
    /// # Errors
    /// Never for data sets of less than 2³² samples.
    pub fn split(&self, first: f64, seed: u64) -> Result<(Self, Self)> {
        let (left, right) = split(self.rows.len(), first, seed);
        Ok((self.select(&left)?, self.select(&right)?))
    }

    /// The row of the large batch.
    fn row(&self, row: u32) -> Result<u32> {
        self.rows
            .get(row as usize)
            .copied()
            .ok_or_else(|| Error::value(format!("there is no sample {row}; the data set has {}", self.rows.len())))
    }
}

#[diagnostic::do_not_recommend]
impl<B: Batch> Dataset<B> for Samples<B> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn feed(&self, rows: &[u32], _: Pass, feed: &mut Feed, dims: &mut Vec<usize>) -> Result<()> {
        for &row in rows {
            self.row(row)?;
        }
        for (data, known) in self.all.data().iter().zip(self.all.known_rows()) {
            if *known == Rows::Shared {
                feed.rows(*data, data.len(), std::iter::once(0));
                continue;
            }
            let width = data.len() / self.dims[0].max(1);
            feed.rows(*data, width, rows.iter().map(|&row| self.rows[row as usize] as usize));
        }
        dims.push(rows.len());
        dims.extend_from_slice(&self.dims[1..]);
        Ok(())
    }
}

impl<B> Clone for Samples<B> {
    fn clone(&self) -> Self {
        Samples { all: self.all.clone(), dims: self.dims.clone(), rows: self.rows.clone(), batch: PhantomData }
    }
}

impl<B> fmt::Debug for Samples<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").field("len", &self.rows.len()).finish_non_exhaustive()
    }
}
