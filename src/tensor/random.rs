//! Random draws. Each is keyed by (seed, step, label path), so neither fusion nor the number of threads changes it.

use super::composite::{back, compare_with, scale};
use super::var::record;
use super::{Float, Scope, Shape, Var};
use crate::Error;
use crate::graph::{Compare, Distribution};

/// Standard normal draws.
pub fn normal<S: Shape, E: Float>(scope: &Scope, shape: S) -> Var<S, E> {
    scope.draw(Distribution::Normal, shape)
}

/// Draws uniform on [0, 1).
pub fn uniform<S: Shape, E: Float>(scope: &Scope, shape: S) -> Var<S, E> {
    scope.draw(Distribution::Uniform, shape)
}

/// Ones with probability `p`, else zeros.
pub fn bernoulli<S: Shape, E: Float>(scope: &Scope, shape: S, p: f64) -> Var<S, E> {
    expect_probability(scope, "bernoulli", p);
    let draws: Var<S, E> = uniform(scope, shape);
    record(&[draws.erased()], shape, &|g, n| {
        let one = compare_with(g, Compare::Lt, n[0], p)?;
        Ok(g.cast(one, E::DTYPE))
    })
}

/// In training, each element is 0 with probability `p` and else divided by 1 − `p`, so that its mean stays
/// (Srivastava et al. 2014). Outside training, `x` itself.
pub fn dropout<S: Shape, E: Float>(scope: &Scope, x: &Var<S, E>, p: f64) -> Var<S, E> {
    expect_probability(scope, "dropout", p);
    if !scope.training() || p == 0.0 {
        return x.clone();
    }
    let draws: Var<S, E> = uniform(scope, *x.shape());
    record(&[x.erased(), draws.erased()], *x.shape(), &|g, n| {
        let zero = g.constant_like(0.0, n[0]);
        if p == 1.0 {
            return Ok(zero);
        }
        let keep = compare_with(g, Compare::Ge, n[1], p)?;
        let scaled = scale(g, n[0], 1.0 / (1.0 - p))?;
        g.select(keep, scaled, zero)
    })
}

/// [`dropout`] of whole channels: one draw for each position on the first two axes (`torch.nn.Dropout2d`).
pub fn dropout2d<S: Shape, E: Float>(scope: &Scope, x: &Var<S, E>, p: f64) -> Var<S, E> {
    expect_probability(scope, "dropout2d", p);
    if !scope.training() || p == 0.0 {
        return x.clone();
    }
    let dims = x.shape().concrete();
    let sizes: Vec<usize> = (0..S::NUM_DIMS).map(|axis| dims[axis]).collect();
    let &[n, channels, ..] = &sizes[..] else {
        scope.fail(Error::shape("dropout2d", format!("takes channels on axis 1, and {sizes:?} has no such axis")));
        return x.clone();
    };
    let draws: Var<(usize, usize), E> = uniform(scope, (n, channels));
    record(&[x.erased(), draws.erased()], *x.shape(), &|g, operands| {
        let zero = g.constant_like(0.0, operands[0]);
        if p == 1.0 {
            return Ok(zero);
        }
        let keep = compare_with(g, Compare::Ge, operands[1], p)?;
        let keep = back(g, keep, operands[0], &(2..sizes.len()).collect::<Vec<_>>())?;
        let scaled = scale(g, operands[0], 1.0 / (1.0 - p))?;
        g.select(keep, scaled, zero)
    })
}

fn expect_probability(scope: &Scope, op: &'static str, p: f64) {
    if !(0.0..=1.0).contains(&p) {
        scope
            .fail(Error::value(format!("{op} at `{}` is given {p}; a probability lies between 0 and 1", scope.path())));
    }
}
