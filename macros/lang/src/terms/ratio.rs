//! Coefficients: exact fractions.

use std::cmp::Ordering;

/// A fraction in lowest terms. Where a number leaves 2¹²⁷, far beyond any size, it stays at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ratio {
    /// The sign is here.
    pub(super) over: i128,
    /// At least 1.
    pub(super) under: i128,
}

impl Ratio {
    pub(super) const ZERO: Self = Ratio { over: 0, under: 1 };
    pub(super) const ONE: Self = Ratio { over: 1, under: 1 };

    pub(super) fn integer(over: i128) -> Self {
        Ratio { over: over.max(-i128::MAX), under: 1 }
    }

    /// `over / under`, where `under` is not 0.
    fn new(over: i128, under: i128) -> Self {
        let common = gcd(over, under).max(1) * under.signum();
        Ratio { over: over / common, under: under / common }
    }

    pub(super) fn as_integer(self) -> Option<i128> {
        (self.under == 1).then_some(self.over)
    }

    pub(super) fn floor(self) -> i128 {
        self.over.div_euclid(self.under)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let common = gcd(self.under, other.under);
        let (left, right) = (other.under / common, self.under / common);
        let sum = self.over.saturating_mul(left).saturating_add(other.over.saturating_mul(right));
        Self::new(sum.max(-i128::MAX), self.under.saturating_mul(left))
    }

    pub(super) fn times(self, other: Self) -> Self {
        // Lowest terms first: that keeps the products small.
        let (a, b) = (Self::new(self.over, other.under), Self::new(other.over, self.under));
        let over = a.over.saturating_mul(b.over).max(-i128::MAX);
        Ratio { over, under: a.under.saturating_mul(b.under) }
    }

    /// `None` of 0.
    pub(super) fn inverse(self) -> Option<Self> {
        (self.over != 0).then(|| Ratio { over: self.under * self.over.signum(), under: self.over.abs() })
    }

    pub(super) fn power(self, exponent: i32) -> Option<Self> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        Some((0..exponent.unsigned_abs()).fold(Self::ONE, |product, _| product.times(base)))
    }

    pub(super) fn is_negative(self) -> bool {
        self.over < 0
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        self.plus(other.times(Self::integer(-1))).over.cmp(&0)
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

pub(super) fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.saturating_abs(), b.saturating_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
