//! The sliced distance: the mean over directions of distances on the line.

use super::dimension;
use super::line::{between_sorted, check_order};
use crate::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

/// Directions for [`sliced_wasserstein`], uniform on the unit sphere; they depend on the seed alone.
pub fn directions(count: usize, dimension: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || {
        let (u, v): (f64, f64) = (generator.random(), generator.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    let mut direction = || loop {
        let direction: Vec<f64> = (0..dimension).map(|_| normal()).collect();
        let length = direction.iter().map(|c| c * c).sum::<f64>().sqrt();
        if length > 0.0 || dimension == 0 {
            return direction.into_iter().map(|c| c / length).collect();
        }
    };
    (0..count).map(|_| direction()).collect()
}

/// The sliced Wasserstein distance of order p between two clouds, which may differ in size: the p-th root of the mean of
/// Wₚᵖ between their projections on the directions (Bonneel et al. 2015).
///
/// # Errors
/// If there is no direction, a cloud is empty, numbers of coordinates differ, a coordinate is not finite, or the order
/// is below 1.
pub fn sliced_wasserstein<P, D>(x: &[P], y: &[P], directions: &[D], order: f64) -> Result<f64>
where
    P: AsRef<[f64]> + Sync,
    D: AsRef<[f64]> + Sync,
{
    check_order(order)?;
    let dimension = dimension(x, y)?;
    if directions.is_empty() {
        return Err(Error::value("the sliced distance is a mean over directions; give at least one"));
    }
    if let Some(other) = directions.iter().find(|d| d.as_ref().len() != dimension) {
        let found = other.as_ref().len();
        return Err(Error::value(format!("a direction has {found} coordinates and the points have {dimension}")));
    }
    let projected = |cloud: &[P], direction: &[f64]| {
        let dot = |point: &P| point.as_ref().iter().zip(direction).map(|(a, b)| a * b).sum::<f64>();
        let mut values: Vec<f64> = cloud.iter().map(dot).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let along = |d: &D| between_sorted(&projected(x, d.as_ref()), &projected(y, d.as_ref()), order);
    // Collected before they are added up, so that the sum does not depend on the threads.
    let costs: Vec<f64> = directions.par_iter().map(along).collect();
    Ok((costs.iter().sum::<f64>() / directions.len() as f64).powf(order.recip()))
}
