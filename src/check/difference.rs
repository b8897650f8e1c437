//! One number against another: a directional derivative and the finite differences of the function along the direction.

use crate::Result;

/// The steps of the differences; from the first, whose error is that of the third derivative, to the last, which is
/// least likely to cross a kink. In f64 the rounding error of the last is 10⁻⁹ of the function.
const STEPS: [f64; 5] = [1e-4, 2.5e-5, 6.25e-6, 1.5625e-6, 3.90625e-7];

/// A function is evaluated to a few units in the last place.
const ROUNDING: f64 = 16.0 * f64::EPSILON;

/// What finite differences say about a claimed directional derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// They agree.
    Agrees,
    /// The function has a kink here, where no derivative is the right one.
    Kink,
    /// They disagree.
    Differs {
        /// What the differences say.
        numeric: f64,
    },
    /// The function has no finite value here.
    NotFinite,
}

/// The value of a function on a line through the point, and the sum of the magnitudes it was added up from.
pub(super) struct Value {
    pub value: f64,
    pub magnitude: f64,
}

/// Compares the claimed derivative φ′(0) with central differences of φ at several steps.
///
/// It is right if it agrees with one of them within `tolerance` of `scale`, the magnitude of the terms that the derivative
/// was added up from, and the rounding error of the difference. Else the function may have a kink at the point: then the
/// differences to the left and to the right do not approach each other as the step shrinks, and the claimed derivative
/// is no further from the central difference than they are from each other.
pub(super) fn compare(
    claimed: f64,
    scale: f64,
    tolerance: f64,
    function: impl Fn(f64) -> Result<Value>,
) -> Result<Verdict> {
    let here = function(0.0)?;
    if !here.value.is_finite() {
        return Ok(Verdict::NotFinite);
    }
    let mut gaps = [0.0; STEPS.len()];
    let mut last = f64::NAN;
    let mut nearest = f64::NAN;
    for (gap, step) in gaps.iter_mut().zip(STEPS) {
        let (right, left) = (function(step)?, function(-step)?);
        let central = (right.value - left.value) / (2.0 * step);
        *gap = ((right.value - 2.0 * here.value + left.value) / step).abs();
        let rounding = ROUNDING * here.magnitude / step;
        if (claimed - central).abs() <= tolerance * scale.max(claimed.abs()).max(central.abs()) + rounding {
            return Ok(Verdict::Agrees);
        }
        if nearest.is_nan() || (claimed - central).abs() < (claimed - nearest).abs() {
            nearest = central;
        }
        last = central;
    }
    if !last.is_finite() {
        return Ok(Verdict::NotFinite);
    }
    let [.., before, after] = gaps;
    // Without a kink the gap shrinks fourfold with the step.
    let kink = after > before / 2.0 && (claimed - last).abs() <= after;
    Ok(if kink { Verdict::Kink } else { Verdict::Differs { numeric: nearest } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(claimed: f64, function: impl Fn(f64) -> f64) -> Verdict {
        compare(claimed, 0.0, 1e-6, |t| Ok(Value { value: function(t), magnitude: function(0.0).abs() })).unwrap()
    }

    #[test]
    fn smooth_functions_agree_to_seven_digits() {
        assert_eq!(verdict(1f64.cos(), |t| (1.0 + t).sin()), Verdict::Agrees);
        assert!(matches!(verdict(1f64.cos() * (1.0 + 1e-5), |t| (1.0 + t).sin()), Verdict::Differs { .. }));
        assert!(matches!(verdict(f64::NAN, |t| t), Verdict::Differs { .. }));
    }

    #[test]
    fn kinks_are_seen_and_only_kinks() {
        assert_eq!(verdict(1.0, f64::abs), Verdict::Kink);
        // Outside of what lies between the two sides, the derivative is wrong at a kink too.
        assert!(matches!(verdict(5.0, f64::abs), Verdict::Differs { .. }));
        // A kink nearby is stepped around.
        assert_eq!(verdict(-1.0, |t| (t - 1e-5).abs()), Verdict::Agrees);
        assert!(matches!(verdict(1.0, |t| (t - 1e-5).abs()), Verdict::Differs { .. }));
        // Strong curvature is no kink.
        assert!(matches!(verdict(0.01, |t| 1e3 * t * t), Verdict::Differs { .. }));
    }

    #[test]
    fn values_that_do_not_exist_are_no_verdict() {
        assert_eq!(verdict(1.0, |t| (t - 1.0).sqrt()), Verdict::NotFinite);
    }
}
