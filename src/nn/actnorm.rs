//! `actnorm`: an affine map of each feature that starts from the statistics of the first batch.

use super::{Init, Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::{Binary, Compare, StateKind, Unary};
use crate::tensor::composite::{back, compare_with, moments};
use crate::tensor::{ConstDim, Cpu, EndsWith, Float, Path, Scope, Tensor, Var, record, record_two};

/// Keeps the division finite where a feature of the first batch does not vary.
const LEAST: f64 = 1e-6;

/// `actnorm`: e^w (x − mean) / deviation + b of each feature along the last axis (Kingma, Dhariwal 2018, "Glow"). The mean
/// and the deviation are those of the first batch of the training; weight w and bias b start as 0 and are fitted, so
/// that training begins with outputs of mean 0 and variance 1. Before any training it is the identity. Keyed `weight`,
/// `bias`, and the buffers `mean`, `deviation` and `seen`, which is 1 once a batch has been seen.
#[derive(Clone, Debug)]
pub struct ActNorm<D: ConstDim, E: Float = f32> {
    /// The logarithm of the factor of each feature.
    pub weight: Tensor<(D,), E, Cpu>,
    /// What is added to each feature.
    pub bias: Tensor<(D,), E, Cpu>,
    /// The mean of each feature over the first batch.
    pub mean: Tensor<(D,), E, Cpu>,
    /// The standard deviation of each feature over the first batch.
    pub deviation: Tensor<(D,), E, Cpu>,
    /// Whether there was a first batch.
    pub seen: Tensor<(), E, Cpu>,
}

impl<D: ConstDim, E: Float> ActNorm<D, E> {
    /// Records the layer and the logarithm of its slope.
    pub fn record<S: EndsWith<D>>(scope: &Scope, x: &Var<S, E>) -> (Var<S, E>, Var<S, E>) {
        let mut statistics = Self::statistics(scope);
        // One point has no deviation.
        if scope.training() && x.shape().num_elements() > D::SIZE {
            let seen = scope.buffer::<(), E>("seen", ());
            // Of no use but in the first step, which has no statistics yet.
            for (i, (name, value)) in ["mean", "deviation"].into_iter().zip(&mut statistics).enumerate() {
                let chosen = record(&[x.erased(), value.erased(), seen.erased()], (D::default(),), &|g, n| {
                    let leading: Vec<usize> = (0..g[n[0]].dims.len() - 1).collect();
                    let (mean, _, variance) = moments(g, n[0], &leading)?;
                    let least = g.constant_like(LEAST * LEAST, variance);
                    let variance = g.binary(Binary::Add, variance, least)?;
                    let deviation = g.unary(Unary::Sqrt, variance)?;
                    let first = compare_with(g, Compare::Eq, n[2], 0.0)?;
                    let dims = g[n[1]].dims.clone();
                    let first = g.broadcast(first, &[0], &dims)?;
                    g.select(first, if i == 0 { mean } else { deviation }, n[1])
                });
                scope.update(name, &chosen);
                *value = chosen;
            }
            let one: Var<(), E> = record(&[seen.erased()], (), &|g, n| Ok(g.constant_like(1.0, n[0])));
            scope.update("seen", &one);
        }
        Self::map(scope, x, &statistics, false)
    }

    /// Records the inverse and the logarithm of its slope.
    pub fn record_inverse<S: EndsWith<D>>(scope: &Scope, y: &Var<S, E>) -> (Var<S, E>, Var<S, E>) {
        Self::map(scope, y, &Self::statistics(scope), true)
    }

    fn statistics(scope: &Scope) -> [Var<(D,), E>; 2] {
        ["mean", "deviation"].map(|name| scope.buffer(name, (D::default(),)))
    }

    fn map<S: EndsWith<D>>(
        scope: &Scope,
        x: &Var<S, E>,
        [mean, deviation]: &[Var<(D,), E>; 2],
        inverse: bool,
    ) -> (Var<S, E>, Var<S, E>) {
        let parameter = |name| scope.parameter::<(D,), E>(name, Default::default());
        let (weight, bias) = (parameter("weight"), parameter("bias"));
        let operands = [x.erased(), weight.erased(), bias.erased(), mean.erased(), deviation.erased()];
        record_two(&operands, *x.shape(), &|g, operands| {
            let &[x, weight, bias, mean, deviation] = operands else { unreachable!("five operands are recorded") };
            let leading: Vec<usize> = (0..g[x].dims.len() - 1).collect();
            let spread = g.unary(Unary::Ln, deviation)?;
            let mut slope = g.binary(Binary::Sub, weight, spread)?;
            let (mut before, mut after) = (mean, bias);
            if inverse {
                slope = g.unary(Unary::Neg, slope)?;
                (before, after) = (bias, mean);
            }
            let factor = g.unary(Unary::Exp, slope)?;
            let (before, after) = (back(g, before, x, &leading)?, back(g, after, x, &leading)?);
            let (factor, slope) = (back(g, factor, x, &leading)?, back(g, slope, x, &leading)?);
            let centred = g.binary(Binary::Sub, x, before)?;
            let scaled = g.binary(Binary::Mul, centred, factor)?;
            Ok([g.binary(Binary::Add, scaled, after)?, slope])
        })
    }
}

impl<D: ConstDim, E: Float> Model<E> for ActNorm<D, E> {
    const PARAMETERS: usize = 2 * D::SIZE;

    fn describe(path: &Path, all: &mut Vec<Slot>) {
        all.extend(slots::<D>(path));
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        let [weight, bias, mean, deviation, seen] = slots::<D>(path);
        Ok(ActNorm {
            weight: weight.build(source)?,
            bias: bias.build(source)?,
            mean: mean.build(source)?,
            deviation: deviation.build(source)?,
            seen: seen.build(source)?,
        })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        let [weight, bias, mean, deviation, seen] = slots::<D>(path);
        visitor.tensor(&weight, &self.weight)?;
        visitor.tensor(&bias, &self.bias)?;
        visitor.tensor(&mean, &self.mean)?;
        visitor.tensor(&deviation, &self.deviation)?;
        visitor.tensor(&seen, &self.seen)
    }
}

fn slots<D: ConstDim>(path: &Path) -> [Slot; 5] {
    let vector = |name, kind, start| Slot::new::<(D,)>(path, name, kind, Init::Constant(start), false);
    [
        vector("weight", StateKind::Parameter, 0.0),
        vector("bias", StateKind::Parameter, 0.0),
        vector("mean", StateKind::Buffer, 0.0),
        vector("deviation", StateKind::Buffer, 1.0),
        Slot::new::<()>(path, "seen", StateKind::Buffer, Init::Constant(0.0), false),
    ]
}
