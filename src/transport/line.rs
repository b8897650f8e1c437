//! The exact distance on the line, where the quantile functions are all it takes.

use crate::{Error, Result};

/// The Wasserstein distance of order `order` ≥ 1 between two samples of numbers, which may differ in size:
/// (∫₀¹ |F⁻¹(u) − G⁻¹(u)|ᵖ du)^(1/p) with the quantile functions F⁻¹ and G⁻¹ (Villani 2003, theorem 2.18).
///
/// ```
/// let distance = ansatz::transport::wasserstein(&[0.0, 1.0, 3.0], &[5.0, 6.0, 8.0], 1.0)?;
/// assert_eq!(distance, 5.0);
/// # Ok::<(), ansatz::Error>(())
/// ```
///
/// # Errors
/// If a sample is empty, a number is not finite, or the order is below 1.
pub fn wasserstein(x: &[f64], y: &[f64], order: f64) -> Result<f64> {
    check_order(order)?;
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    if x.is_empty() || y.is_empty() {
        return Err(Error::value("a sample without numbers has no distance from another; give both at least one"));
    }
    if x.iter().chain(y).any(|value| !value.is_finite()) {
        return Err(Error::value("a number is not finite; leave such samples out"));
    }
    Ok(between_sorted(&sorted(x), &sorted(y), order).powf(order.recip()))
}

pub(super) fn check_order(order: f64) -> Result<()> {
    if order >= 1.0 && order.is_finite() {
        return Ok(());
    }
    Err(Error::value(format!("a Wasserstein distance has an order of at least 1, not {order}")))
}

/// ∫₀¹ |F⁻¹ − G⁻¹|ᵖ du for sorted samples that are not empty.
pub(super) fn between_sorted(x: &[f64], y: &[f64], order: f64) -> f64 {
    let cost = |a: f64, b: f64| power((a - b).abs(), order);
    if x.len() == y.len() {
        return x.iter().zip(y).map(|(&a, &b)| cost(a, b)).sum::<f64>() / x.len() as f64;
    }
    // Levels in units of 1/(x.len()·y.len()), so that they are exact.
    let (n, m) = (x.len() as u64, y.len() as u64);
    let (mut i, mut j, mut level, mut sum) = (0, 0, 0, 0.0);
    while i < n && j < m {
        let next = ((i + 1) * m).min((j + 1) * n);
        sum += (next - level) as f64 * cost(x[i as usize], y[j as usize]);
        level = next;
        i += u64::from((i + 1) * m == next);
        j += u64::from((j + 1) * n == next);
    }
    sum / (n * m) as f64
}

fn power(base: f64, exponent: f64) -> f64 {
    match exponent {
        1.0 => base,
        2.0 => base * base,
        _ => base.powf(exponent),
    }
}
