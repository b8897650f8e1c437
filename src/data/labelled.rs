//! Samples of features with a class each.

use super::{Dataset, Pass, split};
use crate::nn::Batch;
use crate::run::Data;
use crate::tensor::{Cpu, Feed, Float, Indices, Named, Tensor, from_vec};
use crate::{Error, Result};
use std::marker::PhantomData;

/// Samples of `X` features, each with a class of `Y`.
#[derive(Clone, Debug)]
pub struct Labelled<X, Y, E> {
    features: Vec<E>,
    labels: Vec<u32>,
    dims: PhantomData<(X, Y)>,
}

impl<X: Named, Y: Named, E: Float> Labelled<X, Y, E> {
    /// Samples from rows of `width` features each; the error is a sentence about the file they came from.
    pub(super) fn new(width: usize, features: Vec<E>, labels: Vec<u32>) -> Result<Self, String> {
        if width != X::SIZE {
            let (name, size) = (X::NAME, X::SIZE);
            return Err(format!("has {width} features a sample, but `{name}` of size {size} was asked for"));
        }
        if let Some((at, label)) = labels.iter().enumerate().find(|(_, label)| **label as usize >= Y::SIZE) {
            let (name, size) = (Y::NAME, Y::SIZE);
            return Err(format!(
                "has the label {label} at sample {at}, which is no index into `{name}` of size {size}"
            ));
        }
        Ok(Labelled { features, labels, dims: PhantomData })
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The features, `[samples, X]`.
    pub fn features(&self) -> Tensor<(usize, X), E, Cpu> {
        from_vec(self.features.clone(), (self.len(), X::default())).expect("every sample has as many features")
    }

    /// The classes, `[samples] in Y`.
    pub fn labels(&self) -> Indices<(usize,), Y> {
        Indices::new(self.labels.clone(), (self.len(),)).expect("the labels were checked when the samples were made")
    }

    /// The samples at these positions, in this order.
    ///
    /// # Errors
    /// If a position is beyond the samples.
    pub fn select(&self, rows: &[u32]) -> Result<Self> {
        self.check(rows)?;
        let mut features = Vec::with_capacity(rows.len() * X::SIZE);
        for &row in rows {
            let start = row as usize * X::SIZE;
            features.extend_from_slice(&self.features[start..start + X::SIZE]);
        }
        let labels = rows.iter().map(|&row| self.labels[row as usize]).collect();
        Ok(Labelled { features, labels, dims: PhantomData })
    }

    fn check(&self, rows: &[u32]) -> Result<()> {
        match rows.iter().find(|&&row| row as usize >= self.len()) {
            None => Ok(()),
            Some(row) => Err(Error::value(format!("there is no sample {row}; the data set has {}", self.len()))),
        }
    }

    /// Two parts by a fixed shuffle: the share `first`, and the rest.
    ///
    /// # Errors
    /// Never for data sets in memory of less than 2³² samples.
    pub fn split(&self, first: f64, seed: u64) -> Result<(Self, Self)> {
        let (left, right) = split(self.len(), first, seed);
        Ok((self.select(&left)?, self.select(&right)?))
    }
}

/// For every net that takes features and labels, in this order.
#[diagnostic::do_not_recommend]
impl<X: Named, Y: Named, E: Float, B> Dataset<B> for Labelled<X, Y, E>
where
    B: Batch + From<(Tensor<(usize, X), E, Cpu>, Indices<(usize,), Y>)>,
{
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn feed(&self, rows: &[u32], _: Pass, feed: &mut Feed, dims: &mut Vec<usize>) -> Result<()> {
        self.check(rows)?;
        let positions = || rows.iter().map(|&row| row as usize);
        feed.rows(E::data(&self.features), X::SIZE, positions());
        feed.rows(Data::Index(&self.labels), 1, positions());
        dims.push(rows.len());
        Ok(())
    }
}
