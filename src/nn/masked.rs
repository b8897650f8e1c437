//! Linear layers some of whose weights are 0: the layers of an autoregressive net.

use super::linear::{Linear, affine};
use super::{Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::{Binary, Compare, DType, Graph, NodeId};
use crate::tensor::{ConstDim, Cpu, EndsWith, Float, Path, Scope, Tensor, Var, record};

/// How many elements of the input the features of a layer may depend on (Germain et al. 2015, "MADE").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degrees {
    /// The elements themselves: feature i is element i.
    Elements,
    /// Hidden features: feature k depends on the first 1 + k mod `count` elements.
    Hidden {
        /// One less than the number of elements.
        count: usize,
    },
    /// Results, `each` for an element: those of element i depend on the elements before it.
    Results {
        /// How many there are for an element.
        each: usize,
    },
}

impl Degrees {
    /// The number that two layers are compared by, of each of so many features.
    fn numbers(self, g: &mut Graph, features: usize) -> Result<NodeId> {
        match self {
            Degrees::Elements => g.iota(&[features], 0),
            Degrees::Hidden { count } => {
                let rows = features.div_ceil(count);
                let all = g.iota(&[rows, count], 1)?;
                let all = g.reshape(all, &[rows * count])?;
                g.slice(all, 0, 0, features)
            }
            Degrees::Results { each } => {
                let all = g.iota(&[features / each, each], 0)?;
                g.reshape(all, &[features])
            }
        }
    }
}

/// A linear layer between features that know of the first elements of a point: x (W ⊙ M)ᵀ + b over the last axis, where M is
/// 1 where the feature that is given knows of all elements that the one that is taken knows of. Keyed and initialised as
/// [`Linear`].
#[derive(Clone, Debug)]
pub struct MaskedLinear<I: ConstDim, O: ConstDim, E: Float = f32> {
    /// The weights W `[O, I]`, of which those where M is 0 do nothing.
    pub weight: Tensor<(O, I), E, Cpu>,
    /// The bias b `[O]`.
    pub bias: Tensor<(O,), E, Cpu>,
}

impl<I: ConstDim, O: ConstDim, E: Float> MaskedLinear<I, O, E> {
    /// Records the layer; every leading axis is kept.
    pub fn record<S: EndsWith<I>>(scope: &Scope, x: &Var<S, E>, taken: Degrees, given: Degrees) -> Var<S::With<O>, E> {
        let weight = scope.parameter::<(O, I), E>("weight", Default::default());
        let bias = scope.parameter::<(O,), E>("bias", Default::default());
        record(&[&x.erase(), &weight.erase(), &bias.erase()], x.shape().with(O::default()), &|g, n| {
            let mask = mask(g, [taken, given], [I::SIZE, O::SIZE], E::DTYPE)?;
            let weight = g.binary(Binary::Mul, n[1], mask)?;
            affine(g, &[n[0], weight, n[2]])
        })
    }
}

/// `[O, I]`: an element is known from the next hidden degree on, and a result knows of the elements before its own.
fn mask(g: &mut Graph, [taken, given]: [Degrees; 2], [inputs, outputs]: [usize; 2], dtype: DType) -> Result<NodeId> {
    let dims = [outputs, inputs];
    let (taken, from) = (taken.numbers(g, inputs)?, given.numbers(g, outputs)?);
    let (taken, from) = (g.broadcast(taken, &[0], &dims)?, g.broadcast(from, &[1], &dims)?);
    let op = if matches!(given, Degrees::Results { .. }) { Compare::Lt } else { Compare::Le };
    let known = g.compare(op, taken, from)?;
    Ok(g.cast(known, dtype))
}

impl<I: ConstDim, O: ConstDim, E: Float> Model<E> for MaskedLinear<I, O, E> {
    const PARAMETERS: usize = <Linear<I, O, E> as Model<E>>::PARAMETERS;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        Linear::<I, O, E>::describe(path, slots);
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        let Linear { weight, bias } = Linear::build(path, source)?;
        Ok(MaskedLinear { weight, bias })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        Linear { weight: self.weight.clone(), bias: self.bias.clone() }.visit(path, visitor)
    }
}
