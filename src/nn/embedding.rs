//! Embeddings: a vector for each index.

use super::linear::affine;
use super::{Init, Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::StateKind;
use crate::tensor::{Append, ConstDim, Cpu, EndsWith, Float, In, Path, Scope, Tensor, Var, gather, record};

/// `embedding(D)`: for each index into V its row of the table `[V, D]`, keyed `weight`. It starts standard normal
/// (`torch.nn.Embedding`).
#[derive(Clone, Debug)]
pub struct Embedding<V: ConstDim, D: ConstDim, E: Float = f32> {
    /// The table.
    pub weight: Tensor<(V, D), E, Cpu>,
}

impl<V: ConstDim, D: ConstDim, E: Float> Embedding<V, D, E> {
    /// Records the layer, `[..] in V` → `[.., D]`.
    pub fn record<S: Append<D>>(scope: &Scope, x: &Var<S, In<V>>) -> Var<S::Appended, E> {
        let weight = scope.parameter::<(V, D), E>("weight", Default::default());
        gather(&weight, x, x.shape().append(D::default()))
    }

    /// Records x · Wᵀ with the same table, `[.., D]` → `[.., V]`: tied output weights (Press, Wolf 2017).
    pub fn project<S: EndsWith<D>>(scope: &Scope, x: &Var<S, E>) -> Var<S::With<V>, E> {
        let weight = scope.parameter::<(V, D), E>("weight", Default::default());
        record(&[&x.erase(), &weight.erase()], x.shape().with(V::default()), &affine)
    }

    /// Multiply-adds of [`Embedding::project`] for one position of the leading axes; the lookup has none.
    pub const MULTIPLY_ADDS: u64 = V::SIZE as u64 * D::SIZE as u64;
}

impl<V: ConstDim, D: ConstDim, E: Float> Model<E> for Embedding<V, D, E> {
    const PARAMETERS: usize = V::SIZE * D::SIZE;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        slots.push(weight_slot::<V, D>(path));
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        Ok(Embedding { weight: weight_slot::<V, D>(path).build(source)? })
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        visitor.tensor(&weight_slot::<V, D>(path), &self.weight)
    }
}

fn weight_slot<V: ConstDim, D: ConstDim>(path: &Path) -> Slot {
    Slot::new::<(V, D)>(path, "weight", StateKind::Parameter, Init::Normal(1.0), true)
}
