//! Equal layers in sequence: `[layer; N]`.

use super::{Model, Slot, Source, Visitor};
use crate::Result;
use crate::tensor::{Float, Path};
use std::ops::{Deref, DerefMut};

/// `[layer; N]`: N models of one type, keyed `0`, `1`, …; a slice of them in Rust.
///
/// ```
/// use ansatz::prelude::*;
///
/// net! {
///     pub dim Embed = 8;
///
///     pub net Block(x: [n, Embed]) -> [n, Embed] { x + (x |> linear(16) |> gelu |> linear(Embed)) }
///     pub net Stack(x: [n, Embed]) -> [n, Embed] { x |> blocks: [Block; 4] }
/// }
///
/// let stack: Stack = Stack::init(0);
/// assert_eq!(stack.blocks.len(), 4);
/// let bias = &stack.blocks[3].linear2.bias; // Tensor<(Embed,), f32, Cpu>, keyed `blocks.3.linear2.bias`
/// # let _ = bias;
/// ```
#[derive(Clone, Debug)]
pub struct Repeat<M, const N: usize>(Box<[M]>);

impl<M, const N: usize> From<[M; N]> for Repeat<M, N> {
    fn from(models: [M; N]) -> Self {
        Repeat(Box::new(models))
    }
}

impl<M, const N: usize> Deref for Repeat<M, N> {
    type Target = [M];

    fn deref(&self) -> &[M] {
        &self.0
    }
}

impl<M, const N: usize> DerefMut for Repeat<M, N> {
    fn deref_mut(&mut self) -> &mut [M] {
        &mut self.0
    }
}

impl<M: Model<E>, E: Float, const N: usize> Model<E> for Repeat<M, N> {
    const PARAMETERS: usize = N * M::PARAMETERS;

    fn describe(path: &Path, slots: &mut Vec<Slot>) {
        for i in 0..N {
            M::describe(&path.child(&i.to_string()), slots);
        }
    }

    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self> {
        (0..N).map(|i| M::build(&path.child(&i.to_string()), source)).collect::<Result<_>>().map(Repeat)
    }

    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()> {
        self.iter().enumerate().try_for_each(|(i, model)| model.visit(&path.child(&i.to_string()), visitor))
    }
}
