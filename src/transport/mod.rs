//! Optimal transport between clouds of points on the host: exact distances, entropic ones, and assignments.
//!
//! A cloud is a slice of points; a point is anything that shows its coordinates as `&[f64]`, such as `[f64; 2]` or
//! `Vec<f64>`. All points of a cloud weigh the same.
//!
//! In nets, two distances are losses: [`sinkhorn_divergence`] and [`sliced_wasserstein_loss`].

mod line;
mod sliced;
mod assignment;
mod sinkhorn;
mod pairing;
mod loss;

pub use assignment::{Assignment, assign};
pub use line::wasserstein;
pub use loss::{sinkhorn_divergence, sliced_wasserstein_loss};
pub use pairing::Pairing;
pub use sinkhorn::{Coupling, Sinkhorn};
pub use sliced::{directions, sliced_wasserstein};

use crate::{Error, Result};

/// The number of coordinates of the points of two clouds, both of which have points.
fn dimension<P: AsRef<[f64]>>(x: &[P], y: &[P]) -> Result<usize> {
    let Some(first) = x.first().filter(|_| !y.is_empty()) else {
        return Err(Error::value("a cloud without points has no distance from another; give both at least one"));
    };
    let dimension = first.as_ref().len();
    match x.iter().chain(y).map(|point| point.as_ref()).find(|point| point.len() != dimension) {
        Some(other) => Err(Error::value(format!(
            "the first point has {dimension} coordinates and another {}; all need the same number",
            other.len()
        ))),
        None if x.iter().chain(y).any(|point| point.as_ref().iter().any(|c| !c.is_finite())) => {
            Err(Error::value("a coordinate is not finite; leave such points out"))
        }
        None => Ok(dimension),
    }
}

/// The squared Euclidean distances between two clouds, `[x.len(), y.len()]` row-major.
///
/// # Errors
/// If a cloud is empty, points differ in their number of coordinates, or a coordinate is not finite.
pub fn squared_distances<P: AsRef<[f64]>>(x: &[P], y: &[P]) -> Result<Vec<f64>> {
    dimension(x, y)?;
    let square = |a: &P, b: &P| a.as_ref().iter().zip(b.as_ref()).map(|(a, b)| (a - b) * (a - b)).sum();
    Ok(x.iter().flat_map(|a| y.iter().map(move |b| square(a, b))).collect())
}

#[cfg(all(test, feature = "check"))]
mod tests;
