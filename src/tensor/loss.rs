//! Losses, as PyTorch defines them.

use super::composite::{all_axes, back, below_greatest, compare_with, log_sum, mean_all, scale};
use super::var::record;
use super::{Dim, EndsWith, Float, In, ReduceShapeTo, Shape, Var, composite};
use crate::graph::{Binary, Compare, Graph, NodeId};
use crate::{Error, Result};

/// The mean of (a − b)² over all elements.
pub fn mse<S: Shape, E: Float>(a: &Var<S, E>, b: &Var<S, E>) -> Var<(), E> {
    record(&[a.erased(), b.erased()], (), &|g, n| composite::mse(g, n[0], n[1]))
}

/// The mean of −t ln σ(x) − (1 − t) ln(1 − σ(x)) over all elements, for logits x and targets t in [0, 1].
pub fn bce_with_logits<S: Shape, E: Float>(logits: &Var<S, E>, targets: &Var<S, E>) -> Var<(), E> {
    record(&[logits.erased(), targets.erased()], (), &|g, n| composite::bce_with_logits(g, n[0], n[1]))
}

/// What [`cross_entropy`] can be told.
#[derive(Debug)]
pub struct CrossEntropy<'a, C: Dim, E: Float> {
    /// A weight for each class. The mean divides by the sum of the targets' weights.
    pub weights: Option<&'a Var<(C,), E>>,
    /// Targets of this class count for nothing.
    pub ignore: Option<usize>,
    /// The share of the target that is spread evenly over all classes, between 0 and 1 (Szegedy et al. 2016).
    pub label_smoothing: f64,
}

impl<C: Dim, E: Float> Default for CrossEntropy<'_, C, E> {
    fn default() -> Self {
        CrossEntropy { weights: None, ignore: None, label_smoothing: 0.0 }
    }
}

/// The mean of `−ln softmax(logits)[y]`. The last axis of `logits` holds the classes `C`, and `y` the right one for each
/// position. The result is NaN if every target is ignored.
///
/// With smoothing ε, weights w and m classes, each position has the loss
/// `−(1 − ε) w[y] ln p[y] − ε/m Σ w[c] ln p[c]`, and the sum is divided by `Σ w[y]`.
pub fn cross_entropy<S, Dst, C, E>(
    logits: &Var<S, E>,
    y: &Var<Dst, In<C>>,
    options: CrossEntropy<'_, C, E>,
) -> Var<(), E>
where
    S: Shape + EndsWith<C> + ReduceShapeTo<Dst, <S as Shape>::LastAxis>,
    Dst: Shape,
    C: Dim,
    E: Float,
{
    let mut operands = vec![logits.erased(), y.erased()];
    operands.extend(options.weights.map(Var::erased));
    let (ignore, smoothing) = (options.ignore, options.label_smoothing);
    record(&operands, (), &|g, n| negative_log_likelihood(g, n[0], n[1], n.get(2).copied(), ignore, smoothing))
}

fn negative_log_likelihood(
    g: &mut Graph,
    logits: NodeId,
    targets: NodeId,
    weights: Option<NodeId>,
    ignore: Option<usize>,
    smoothing: f64,
) -> Result<NodeId> {
    let dims = g[logits].dims.clone();
    let axis = dims.len() - 1;
    let (classes, dtype) = (dims[axis], g[logits].dtype);
    let leading: Vec<usize> = (0..axis).collect();
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(Error::value(format!(
            "the label smoothing of a cross-entropy is {smoothing}; it lies between 0 and 1"
        )));
    }
    if let Some(class) = ignore.filter(|&class| class >= classes) {
        return Err(Error::value(format!(
            "a cross-entropy over {classes} classes is to ignore class {class}, which does not exist"
        )));
    }

    // ln p[c] = shifted[c] − log; only `shifted[y]` is needed of the first unless labels are smoothed.
    let shifted = below_greatest(g, logits, &[axis])?;
    let log = log_sum(g, shifted, &[axis])?;
    let class = g.iota(&dims, axis)?;
    let target = g.broadcast(targets, &[axis], &dims)?;
    let is_target = g.compare(Compare::Eq, class, target)?;
    let zero = g.constant(0.0, &dims, dtype);
    let of_target = |g: &mut Graph, values: NodeId| -> Result<NodeId> {
        let picked = g.select(is_target, values, zero)?;
        g.sum(picked, &[axis])
    };
    let shifted_target = of_target(g, shifted)?;
    let mut loss = g.binary(Binary::Sub, log, shifted_target)?;

    let class_weights = match weights {
        Some(weights) => Some(g.broadcast(weights, &leading, &dims)?),
        None => None,
    };
    let mut target_weight = match class_weights {
        Some(class_weights) => Some(of_target(g, class_weights)?),
        None => None,
    };
    if let Some(weight) = target_weight {
        loss = g.binary(Binary::Mul, loss, weight)?;
    }
    if smoothing > 0.0 {
        let log = back(g, log, logits, &[axis])?;
        let mut surprise = g.binary(Binary::Sub, log, shifted)?;
        if let Some(class_weights) = class_weights {
            surprise = g.binary(Binary::Mul, surprise, class_weights)?;
        }
        let spread = g.sum(surprise, &[axis])?;
        let spread = scale(g, spread, smoothing / classes as f64)?;
        let sharp = scale(g, loss, 1.0 - smoothing)?;
        loss = g.binary(Binary::Add, sharp, spread)?;
    }
    if let Some(class) = ignore {
        let counts = compare_with(g, Compare::Ne, targets, class as f64)?;
        let nothing = g.constant_like(0.0, loss);
        loss = g.select(counts, loss, nothing)?;
        target_weight = Some(match target_weight {
            Some(weight) => g.select(counts, weight, nothing)?,
            None => g.cast(counts, dtype),
        });
    }
    match target_weight {
        None => mean_all(g, loss),
        Some(weight) => {
            let loss = g.sum(loss, &all_axes(g, loss))?;
            let weight = g.sum(weight, &all_axes(g, weight))?;
            g.binary(Binary::Div, loss, weight)
        }
    }
}
