//! Numbers of sixteen bits as they lie in memory: bfloat16, the upper half of an `f32`. They are only stored; whoever reads
//! one computes with the `f32` that it is.

/// The number that is stored as these bits.
#[inline(always)]
pub fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// How a number is stored: the nearest of those with sixteen bits, of two equally near ones the even one. What lies beyond
/// the greatest becomes infinite, and NaN stays NaN.
#[inline(always)]
pub fn narrow(x: f32) -> u16 {
    let bits = x.to_bits();
    // Half of a last place, a little less where the last place is even; the carry goes into the exponent as it should.
    let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    if x.is_nan() { NAN } else { rounded }
}

/// What every NaN is stored as, as NVIDIA's devices do.
const NAN: u16 = 0x7fff;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pattern_comes_back() {
        for bits in 0..=u16::MAX {
            let x = widen(bits);
            match x.is_nan() {
                true => assert!(widen(narrow(x)).is_nan()),
                false => assert_eq!(narrow(x), bits),
            }
        }
    }

    /// The value of a pattern by the definition of the format: a sign, eight bits of exponent, seven of fraction.
    fn value(bits: u16) -> f64 {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let (exponent, fraction) = (i32::from(bits >> 7 & 0xff), f64::from(bits & 0x7f) / 128.0);
        sign * match exponent {
            0 => fraction * 2f64.powi(-126),
            _ => (1.0 + fraction) * 2f64.powi(exponent - 127),
        }
    }

    /// The nearest pattern by the distances to its neighbours, in f64, where all of them are exact. The pattern of the
    /// infinite numbers counts as the power of two that would follow, as IEEE 754 rounds.
    fn nearest(x: f32) -> u16 {
        let magnitude = f64::from(x.abs());
        let above = (0..=0x7f80u16).collect::<Vec<_>>().partition_point(|&bits| value(bits) < magnitude) as u16;
        let above = above.min(0x7f80);
        let below = above.saturating_sub(1);
        let (down, up) = (magnitude - value(below), value(above) - magnitude);
        let even = if above & 1 == 0 { above } else { below };
        let bits = if down < up {
            below
        } else if up < down {
            above
        } else {
            even
        };
        bits | if x.is_sign_negative() { 0x8000 } else { 0 }
    }

    #[test]
    fn halves_between_neighbours_go_to_the_even_one() {
        for bits in (0..0x7f80u16).step_by(37).chain([0, 0x7f, 0x80, 0x7f7f]) {
            // Exact: one bit more than the format has.
            let middle = ((value(bits) + value(bits + 1)) / 2.0) as f32;
            for x in [middle, middle.next_up(), middle.next_down(), -middle] {
                assert_eq!(narrow(x), nearest(x), "{x:e}");
            }
        }
        assert_eq!(narrow(f32::MAX), narrow(f32::INFINITY));
        assert_eq!(narrow(f32::NEG_INFINITY), 0xff80);
    }

    proptest! {
        #[test]
        fn rounding_gives_the_nearest(bits: u32) {
            let x = f32::from_bits(bits);
            match x.is_nan() {
                true => prop_assert!(widen(narrow(x)).is_nan()),
                false if x.is_infinite() => prop_assert_eq!(widen(narrow(x)), x),
                false => prop_assert_eq!(narrow(x), nearest(x)),
            }
        }
    }
}
