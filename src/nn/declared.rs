//! Parts that start otherwise than their layer says, and parts that are not trained.

use super::{Init, Model, Slot, Source, Visitor};
use crate::Result;
use crate::graph::StateKind;
use crate::tensor::{Float, HostTensor, Path};

/// What a net says of a part besides its type, as `linear(64, init = normal(0.02))` and `freeze(…)` do.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// How tensors start, by their names within their layers.
    pub starts: &'static [(&'static str, Init)],
    /// Whether the part keeps its values in training. Its parameters are then buffers, of which no gradient is computed and
    /// the optimiser keeps nothing.
    pub frozen: bool,
}

impl Declared {
    /// [`Model::describe`] of the part.
    pub fn describe<E: Float, M: Model<E>>(self, path: &Path, slots: &mut Vec<Slot>) {
        let first = slots.len();
        M::describe(path, slots);
        slots[first..].iter_mut().for_each(|slot| self.apply(slot));
    }

    /// [`Model::build`] of the part.
    ///
    /// # Errors
    /// The source's.
    pub fn build<E: Float, M: Model<E>>(self, path: &Path, source: &mut dyn Source<E>) -> Result<M> {
        M::build(path, &mut Through { declared: self, inner: source })
    }

    /// [`Model::visit`] of the part.
    ///
    /// # Errors
    /// The visitor's.
    pub fn visit<E: Float, M: Model<E>>(self, model: &M, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        model.visit(path, &mut Through { declared: self, inner: visitor })
    }

    fn apply(self, slot: &mut Slot) {
        let name = slot.key.rsplit('.').next().unwrap_or_default();
        if let Some((_, init)) = self.starts.iter().find(|(known, _)| *known == name) {
            slot.init = *init;
        }
        if self.frozen && slot.kind == StateKind::Parameter {
            slot.kind = StateKind::Buffer;
        }
    }
}

/// Sees the slots as they are declared, and passes them on.
struct Through<'a, T: ?Sized> {
    declared: Declared,
    inner: &'a mut T,
}

impl<E: Float> Source<E> for Through<'_, dyn Source<E> + '_> {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>> {
        let mut slot = slot.clone();
        self.declared.apply(&mut slot);
        self.inner.tensor(&slot)
    }
}

impl<E: Float> Visitor<E> for Through<'_, dyn Visitor<E> + '_> {
    fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
        let mut slot = slot.clone();
        self.declared.apply(&mut slot);
        self.inner.tensor(&slot, tensor)
    }
}
