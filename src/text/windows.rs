//! Windows of a stream of tokens: what a language model trains on.

use super::Tokens;
use crate::data::{Dataset, Pass};
use crate::nn::Batch;
use crate::tensor::{Dim, Feed, Indices, Named};
use crate::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Windows of T tokens of a stream and, for each token, the one that follows it: a data set for nets that take
/// `(x: [n, t] in V, y: [n, t] in V)`, with any names, and with a declared `T` or one known at run time.
#[derive(Clone, Debug)]
pub struct Windows<V, T> {
    tokens: Tokens<V>,
    time: T,
    stride: usize,
    jitter: bool,
}

impl<V: Named, T: Dim> Windows<V, T> {
    /// Windows that lie side by side, so that each token is predicted once; a rest shorter than a window is left out.
    ///
    /// # Errors
    /// If the stream is too short for one window, or windows have no token.
    pub fn new(tokens: Tokens<V>, time: T) -> Result<Self> {
        let wanted = time.size() + 1;
        if time.size() == 0 {
            return Err(Error::value("a window has at least one token"));
        }
        if tokens.len() < wanted {
            return Err(Error::value(format!(
                "a stream of {} tokens is too short for windows of {}, which take {wanted} with the token that follows; \
                 take shorter windows or more text",
                tokens.len(),
                time.size()
            )));
        }
        let stride = time.size();
        Ok(Windows { tokens, time, stride, jitter: false })
    }

    /// Windows that begin so many tokens apart (1 or more): with less than T they overlap.
    pub fn stride(self, stride: usize) -> Self {
        Windows { stride: stride.max(1), ..self }
    }

    /// In training, all windows of an epoch begin some tokens later, as seed and epoch say, so that over the epochs a
    /// model meets each token at each place. The last window is left out for it.
    pub fn jitter(self) -> Self {
        Windows { jitter: true, ..self }
    }

    fn count(&self) -> usize {
        let whole = (self.tokens.len() - self.time.size() - 1) / self.stride + 1;
        if self.jitter { (whole - 1).max(1) } else { whole }
    }

    /// How many tokens later the windows of this pass begin.
    fn offset(&self, pass: Pass) -> usize {
        let last = (self.count() - 1) * self.stride + self.time.size() + 1;
        let room = (self.tokens.len() - last).min(self.stride - 1);
        match pass {
            Pass::Training { seed, epoch } if self.jitter => {
                let mut generator = ChaCha8Rng::seed_from_u64(seed);
                // Its own stream, apart from those of the orders of epochs.
                generator.set_stream(epoch | 1 << 63);
                generator.random_range(0..=room)
            }
            _ => 0,
        }
    }
}

#[diagnostic::do_not_recommend]
impl<V: Named, T: Dim, B> Dataset<B> for Windows<V, T>
where
    B: Batch + From<(Indices<(usize, T), V>, Indices<(usize, T), V>)>,
{
    fn len(&self) -> usize {
        self.count()
    }

    fn feed(&self, rows: &[u32], pass: Pass, feed: &mut Feed, dims: &mut Vec<usize>) -> Result<()> {
        if let Some(row) = rows.iter().find(|&&row| row as usize >= self.count()) {
            return Err(Error::value(format!("there is no window {row}; the data set has {}", self.count())));
        }
        let offset = self.offset(pass);
        for shift in [0, 1] {
            feed.write_indices(|tokens| {
                rows.iter().try_for_each(|&row| {
                    let start = row as usize * self.stride + offset + shift;
                    self.tokens.read(start..start + self.time.size(), tokens)
                })
            })?;
        }
        dims.push(rows.len());
        // A dimension known at run time can have any size.
        if T::from_size(0).is_some() && T::from_size(1).is_some() {
            dims.push(self.time.size());
        }
        Ok(())
    }
}
