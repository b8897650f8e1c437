//! How the functions of the runtime crate are called.

/// A function of the runtime crate and how a call of it reads.
#[derive(Debug)]
pub struct Runtime {
    /// The module that it stands in.
    pub module: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// The type arguments, where they are written.
    pub types: &'static [TypeSlot],
    /// The arguments in order.
    pub arguments: &'static [Slot],
    /// Whether the source calls it by this name: an editor that looks the name up finds the function.
    pub spoken: bool,
}

/// A type argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeSlot {
    /// `_`
    Inferred,
    /// The shape of the result.
    Shape,
    /// The axes that the call goes over: `Axis<1>`.
    Axes,
    /// The type of the elements of the net.
    Element,
}

/// Arguments of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// References to all tensors.
    Tensors,
    /// The tensor without its type.
    Erased,
    /// All tensors without their types, as one slice.
    List,
    /// The shape of the result.
    Shape,
    /// The scope of the net.
    Scope,
    /// The scope that keys a draw.
    Draw,
    /// Of the values of the call the next ones, so many, as the fields of a struct.
    Fields(&'static str, usize),
    /// A variant of an enum, by the next value.
    Variant(&'static str),
    /// All values that are left.
    Values,
}

use Slot::{Draw, Erased, Fields, List, Scope, Shape, Tensors, Values, Variant};
use TypeSlot::{Axes, Element, Inferred};

impl Runtime {
    /// A function of the module `tensor` that is given its tensors and its values.
    pub(super) const fn new(name: &'static str) -> Self {
        Runtime { module: "tensor", name, types: &[], arguments: &[Tensors, Values], spoken: true }
    }

    /// One that no name of the source stands for.
    const fn inner(name: &'static str, types: &'static [TypeSlot], arguments: &'static [Slot]) -> Self {
        Runtime { types, arguments, spoken: false, ..Runtime::new(name) }
    }

    const fn flow(name: &'static str, arguments: &'static [Slot]) -> Self {
        Runtime { module: "flow", ..Runtime::inner(name, &[], arguments) }
    }
}

/// How the functions of one shape rule are called.
pub(super) mod forms {
    use super::*;

    pub const REDUCE: &[TypeSlot] = &[Inferred, TypeSlot::Shape, Axes, Inferred];
    pub const ARGMAX: &[TypeSlot] = &[Inferred, TypeSlot::Shape, Axes, Inferred, Inferred];
    pub const ALONG: &[TypeSlot] = &[Inferred, Axes, Inferred];
    pub const SHAPED: &[Slot] = &[Tensors, Shape];
    pub const ERASED: &[Slot] = &[Erased, Shape];
    pub const CUT: &[Slot] = &[Erased, Values, Shape];
    pub const LIST: &[Slot] = &[List, Values, Shape];
    pub const POSITIONS: &[Slot] = &[Scope, Shape];
    pub const DRAWN: &[Slot] = &[Draw, Shape, Values];
    pub const DROPPED: &[Slot] = &[Draw, Tensors, Values];
    pub const WINDOWS: &[Slot] = &[Tensors, Shape, Fields("tensor::Windows", 3), Values];
    pub const ATTENTION: &[Slot] = &[Tensors, Shape, Fields("tensor::Attention", 7)];
    pub const CROSS_ENTROPY: &[Slot] = &[Tensors, Fields("tensor::CrossEntropy", 3)];
    pub const PATH: &[Slot] = &[Tensors, Variant("flow::Path")];
}

/// The operators, as far as they act on tensors.
static OPERATORS: &[(&str, Runtime)] = &[
    ("+", Runtime::inner("add", &[], &[Tensors])),
    ("-", Runtime::inner("sub", &[], &[Tensors])),
    ("*", Runtime::inner("mul", &[], &[Tensors])),
    ("/", Runtime::inner("div", &[], &[Tensors])),
    ("==", Runtime::inner("equal", &[], &[Tensors])),
    ("!=", Runtime::inner("not_equal", &[], &[Tensors])),
    ("<", Runtime::inner("less", &[], &[Tensors])),
    ("<=", Runtime::inner("less_equal", &[], &[Tensors])),
    (">", Runtime::inner("greater", &[], &[Tensors])),
    (">=", Runtime::inner("greater_equal", &[], &[Tensors])),
    ("&&", Runtime::inner("and", &[], &[Tensors])),
    ("||", Runtime::inner("or", &[], &[Tensors])),
];

/// An operator of the table.
pub fn operator(op: &str) -> &'static Runtime {
    OPERATORS.iter().find(|(own, _)| *own == op).map(|(_, runtime)| runtime).expect("the table has it")
}

/// `-x`
pub static NEG: Runtime = Runtime::inner("neg", &[], &[Tensors]);
/// `!x`
pub static NOT: Runtime = Runtime::inner("not", &[], &[Tensors]);
/// A power with a number as exponent.
pub static POWF: Runtime = Runtime::inner("powf", &[], &[Tensors, Values]);
/// One number everywhere, in the shape of a tensor.
pub static CONSTANT: Runtime = Runtime::inner("constant_like", &[], &[Tensors, Values]);
/// Repeats along new axes.
pub static BROADCAST: Runtime = Runtime::inner("broadcast", &[Inferred, Inferred, Axes, Inferred], forms::SHAPED);
/// Drops axes of size 1.
pub static SQUEEZE: Runtime = Runtime::inner("squeeze", forms::REDUCE, &[Tensors]);
/// Truth values as 0 and 1, indices as their numbers.
pub static TO_FLOAT: Runtime = Runtime::inner("to_float", &[Inferred, Inferred, Element], &[Tensors]);
/// The same elements under another shape.
pub static RESHAPE: Runtime = Runtime::inner("reshape", &[], forms::SHAPED);
/// Splits axes into parts, moves and repeats the parts, and merges them.
pub static REARRANGE: Runtime = Runtime::inner("rearrange", &[], forms::CUT);
/// A sum of products over axes with labels.
pub static EINSUM: Runtime = Runtime { arguments: forms::LIST, ..Runtime::new("einsum") };
/// Rows and columns by repetition.
pub static UPSAMPLE_NEAREST: Runtime = Runtime::inner("upsample_nearest", &[], &[Tensors, Shape, Values]);
/// Rows and columns by linear interpolation.
pub static UPSAMPLE_BILINEAR: Runtime = Runtime::inner("upsample_bilinear", &[], &[Tensors, Shape, Values]);
/// A monotone map of each element by a spline, with the logarithm of its slope.
pub static SPLINE: Runtime = Runtime::flow("spline", &[Tensors, Values]);
/// The same by an affine map.
pub static AFFINE: Runtime = Runtime::flow("affine", &[Tensors, Values]);
/// A function of each element, with the logarithm of its slope.
pub static ELEMENTWISE: Runtime = Runtime::flow("elementwise", &[Tensors, Variant("flow::Elementwise"), Values]);
/// The elements along the last axis in another order.
pub static PERMUTE: Runtime = Runtime::flow("permute", &[Tensors, Values]);
