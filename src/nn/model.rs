//! What every layer and every declared net is: a tree of named tensors.

use super::Init;
use crate::Result;
use crate::graph::StateKind;
use crate::tensor::{ConstShape, Cpu, Float, HostTensor, Path, Tensor, from_vec};

/// One named tensor of a model.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The path of labels, the key in a checkpoint: `fc1.weight`.
    pub key: String,
    /// Parameter or buffer.
    pub kind: StateKind,
    /// The size of each axis.
    pub dims: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// Whether weight decay acts on it by default: on weights, not on biases and scales.
    pub decay: bool,
}

impl Slot {
    /// The tensor of this name at this path, of the shape `S`.
    pub fn new<S: ConstShape>(path: &Path, name: &str, kind: StateKind, init: Init, decay: bool) -> Self {
        let dims = S::default().concrete().into();
        Slot { key: path.child(name).as_str().to_owned(), kind, dims, init, decay }
    }

    /// The tensor, from a source.
    ///
    /// # Errors
    /// If the source has no such tensor or gives another number of elements.
    pub fn build<S: ConstShape, E: Float>(&self, source: &mut dyn Source<E>) -> Result<Tensor<S, E, Cpu>> {
        from_vec(source.tensor(self)?, S::default())
    }
}

/// Where the tensors of a model come from: an initialiser, a checkpoint, a running program.
pub trait Source<E: Float> {
    /// The elements of the tensor, row-major.
    ///
    /// # Errors
    /// If the source has no such tensor or it does not fit.
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>>;
}

/// What looks at the tensors of a model: a checkpoint writer, a running program.
pub trait Visitor<E: Float> {
    /// Called once for each tensor, in the order of [`Model::describe`].
    ///
    /// # Errors
    /// Whatever keeps the visitor from going on.
    fn tensor(&mut self, slot: &Slot, tensor: &dyn HostTensor<E>) -> Result<()>;
}

/// A tree of named tensors over the element type `E`. `net!` and the layers implement it.
pub trait Model<E: Float>: Sized + 'static {
    /// The number of parameters (buffers are not counted).
    const PARAMETERS: usize;

    /// Lists the tensors, in the order of declaration.
    fn describe(path: &Path, slots: &mut Vec<Slot>);

    /// Makes a model from the tensors of a source.
    ///
    /// # Errors
    /// The source's.
    fn build(path: &Path, source: &mut dyn Source<E>) -> Result<Self>;

    /// Shows every tensor to a visitor.
    ///
    /// # Errors
    /// The visitor's.
    fn visit(&self, path: &Path, visitor: &mut dyn Visitor<E>) -> Result<()>;
}

/// The tensors of a model type, in the order of declaration.
pub fn slots<E: Float, M: Model<E>>() -> Vec<Slot> {
    let mut slots = Vec::new();
    M::describe(&Path::root(), &mut slots);
    slots
}
