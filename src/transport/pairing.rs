//! Who goes with whom: noise and data of a batch, paired before a path is drawn between them.

use super::{Sinkhorn, assign, squared_distances};
use crate::kernel::cpu::random;
use crate::{Error, Result};

/// How the points of two clouds of one size are paired, where flow matching draws a path from noise to data. Pairs by optimal
/// transport make paths that cross less, so they are straighter and vary less ("minibatch OT", Tong et al. 2024).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pairing {
    /// As they come.
    Independent,
    /// So that the sum of the squared distances is least, exactly.
    Exact,
    /// Each point of the first cloud with one drawn from its row of the entropic coupling; of the second cloud, some may
    /// come twice and others never.
    Entropic(Sinkhorn),
}

impl Pairing {
    /// For each point of the first cloud the place of its partner in the second. Draws depend on the seed alone.
    ///
    /// ```
    /// use ansatz::transport::Pairing;
    ///
    /// let partners = Pairing::Exact.partners(&[[0.0], [5.0]], &[[4.0], [1.0]], 0)?;
    /// assert_eq!(partners, [1, 0]);
    /// # Ok::<(), ansatz::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the clouds differ in size; those of [`assign`] and [`Sinkhorn::couple`].
    pub fn partners<P: AsRef<[f64]>>(self, x: &[P], y: &[P], seed: u64) -> Result<Vec<usize>> {
        let (n, m) = (x.len(), y.len());
        if n != m {
            return Err(Error::value(format!("{n} points cannot be paired with {m}; give as many of both")));
        }
        match self {
            Pairing::Independent => Ok((0..n).collect()),
            Pairing::Exact => Ok(assign(&squared_distances(x, y)?, m)?.columns),
            Pairing::Entropic(sinkhorn) => {
                let plan = sinkhorn.couple(x, y)?.plan;
                let key = [seed as u32, (seed >> 32) as u32, 0, 0];
                let partner = |(row, weights): (usize, &[f64])| {
                    let total: f64 = weights.iter().sum();
                    let mut left = total * random::uniform(key, DRAWS, row as u64);
                    // Rounding may leave something over behind the last.
                    let found = weights.iter().position(|weight| {
                        left -= weight;
                        left < 0.0
                    });
                    found.unwrap_or(m - 1)
                };
                Ok(plan.chunks_exact(m).enumerate().map(partner).collect())
            }
        }
    }
}

/// Sets these draws apart from others with the same seed.
const DRAWS: u64 = 0x7061_6972_696e_6700;
