//! Probability paths between noise and data.

use crate::graph::Binary;
use crate::tensor::composite::scale;
use crate::tensor::{self, Float, Shape, Var, record};
use std::f64::consts::FRAC_PI_2;

/// A probability path x_s = α(s) x₁ + σ(s) x₀ from standard normal noise x₀ at s = 0 to data x₁ at s = 1 (Lipman et al. 2023,
/// equation 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// α = s, σ = 1 − s: straight lines, the path of optimal transport between a point and noise (Lipman et al. 2023,
    /// section 4.1; rectified flows, Liu et al. 2023).
    Linear,
    /// α = sin(π s / 2), σ = cos(π s / 2): a diffusion whose variance stays (Nichol, Dhariwal 2021, without their offset).
    Cosine,
    /// α = exp(−½ ∫β), σ² = 1 − α², where β is linear in the time t = 1 − s of the diffusion, from 0.1 to 20 (Ho et al. 2020 in
    /// the limit of many steps; Song et al. 2021, equation 33). At s = 0 there is still α = 0.0066 of the data; σ has an
    /// infinite slope at s = 1, so a velocity is learned and followed up to a time before.
    VariancePreserving,
}

/// A path at a time: its two coefficients and their derivatives by s, numbers or tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At<T> {
    /// α, the share of the data.
    pub alpha: T,
    /// σ, the share of the noise.
    pub sigma: T,
    /// dα/ds
    pub alpha_slope: T,
    /// dσ/ds
    pub sigma_slope: T,
}

/// β at the end of the data and at the end of the noise.
const BETA: [f64; 2] = [0.1, 20.0];

impl Path {
    /// The path at a time between 0 and 1.
    pub fn at(self, s: f64) -> At<f64> {
        self.formula(&s)
    }

    fn formula<T: Real>(self, s: &T) -> At<T> {
        match self {
            Path::Linear => At {
                alpha: s.clone(),
                sigma: s.affine(-1.0, 1.0),
                alpha_slope: s.affine(0.0, 1.0),
                sigma_slope: s.affine(0.0, -1.0),
            },
            Path::Cosine => {
                let angle = s.affine(FRAC_PI_2, 0.0);
                let (alpha, sigma) = (angle.sine(), angle.cosine());
                let (alpha_slope, sigma_slope) = (sigma.affine(FRAC_PI_2, 0.0), alpha.affine(-FRAC_PI_2, 0.0));
                At { alpha, sigma, alpha_slope, sigma_slope }
            }
            Path::VariancePreserving => {
                let [least, greatest] = BETA;
                let t = s.affine(-1.0, 1.0);
                let beta = t.affine(greatest - least, least);
                // −∫β from 0 to t is −t (β(t) + least) / 2.
                let decay = t.times(&beta.affine(-0.5, -0.5 * least));
                let alpha = decay.affine(0.5, 0.0).exponential();
                let sigma = decay.minus_expm1().root();
                let alpha_slope = alpha.times(&beta.affine(0.5, 0.0));
                // α² + σ² = 1 gives σ σ′ = −α α′.
                let sigma_slope = alpha.times(&alpha_slope).over(&sigma).affine(-1.0, 0.0);
                At { alpha, sigma, alpha_slope, sigma_slope }
            }
        }
    }
}

/// α(s), σ(s) and their derivatives as tensors, for points x = α x₁ + σ x₀ of a path and their velocity α′ x₁ + σ′ x₀.
pub fn path<S: Shape, E: Float>(s: &Var<S, E>, path: Path) -> (Var<S, E>, Var<S, E>, Var<S, E>, Var<S, E>) {
    let At { alpha, sigma, alpha_slope, sigma_slope } = path.formula(s);
    (alpha, sigma, alpha_slope, sigma_slope)
}

/// What the formulas are calculated with: numbers and tensors.
trait Real: Clone {
    fn affine(&self, factor: f64, shift: f64) -> Self;
    fn times(&self, other: &Self) -> Self;
    fn over(&self, other: &Self) -> Self;
    fn sine(&self) -> Self;
    fn cosine(&self) -> Self;
    fn exponential(&self) -> Self;
    /// 1 − eˣ
    fn minus_expm1(&self) -> Self;
    fn root(&self) -> Self;
}

impl Real for f64 {
    fn affine(&self, factor: f64, shift: f64) -> f64 {
        self * factor + shift
    }
    fn times(&self, other: &f64) -> f64 {
        self * other
    }
    fn over(&self, other: &f64) -> f64 {
        self / other
    }
    fn sine(&self) -> f64 {
        self.sin()
    }
    fn cosine(&self) -> f64 {
        self.cos()
    }
    fn exponential(&self) -> f64 {
        self.exp()
    }
    fn minus_expm1(&self) -> f64 {
        -self.exp_m1()
    }
    fn root(&self) -> f64 {
        self.sqrt()
    }
}

impl<S: Shape, E: Float> Real for Var<S, E> {
    fn affine(&self, factor: f64, shift: f64) -> Self {
        record(&[&self.erase()], *self.shape(), &|g, n| {
            let shift = g.constant_like(shift, n[0]);
            let scaled = scale(g, n[0], factor)?;
            g.binary(Binary::Add, scaled, shift)
        })
    }
    fn times(&self, other: &Self) -> Self {
        tensor::mul(self, other)
    }
    fn over(&self, other: &Self) -> Self {
        tensor::div(self, other)
    }
    fn sine(&self) -> Self {
        tensor::sin(self)
    }
    fn cosine(&self) -> Self {
        tensor::cos(self)
    }
    fn exponential(&self) -> Self {
        tensor::exp(self)
    }
    fn minus_expm1(&self) -> Self {
        tensor::neg(&tensor::expm1(self))
    }
    fn root(&self) -> Self {
        tensor::sqrt(self)
    }
}
