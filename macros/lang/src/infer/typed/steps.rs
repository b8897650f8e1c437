//! A body as a list of steps.

use super::Kernel;
use crate::ast::TensorType;
use crate::report::Place;
use crate::terms::Term;
use proc_macro2::Ident;

/// A body in single steps.
#[derive(Debug)]
pub struct Body {
    /// The steps in order.
    pub steps: Vec<Step>,
    /// The results.
    pub results: Vec<ValueId>,
}

/// The inverse of a flow.
#[derive(Debug)]
pub struct Inverse {
    /// From what the flow gives to what it takes.
    pub body: Body,
    /// Its multiply-adds, in the net's dimensions.
    pub multiply_adds: Term,
}

/// The position of a value in [`TypedNet::values`](super::TypedNet::values).
pub type ValueId = usize;

/// What a layer is told besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    /// A real number.
    Number(f64),
    /// A whole number.
    Count(usize),
    /// The shape of the result.
    Shape,
    /// How a kernel slides.
    Kernel(Kernel),
    /// Which elements of a point the features on one side of a masked layer know of.
    Degrees(Degrees),
}

/// Which elements of a point features know of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Degrees {
    /// Each of itself: they are the elements.
    Elements,
    /// Of the first ones, in turn 1, 2, … up to so many.
    Hidden(usize),
    /// Of those before the element that they belong to, so many to each.
    Results(usize),
}

/// One step: it makes the values `results`.
#[derive(Clone, Debug)]
pub struct Step {
    /// The values it makes (one, except for updates and for what has several results).
    pub results: Vec<ValueId>,
    /// What it does.
    pub operation: Operation,
    /// Where it stands in the source.
    pub span: Place,
}

/// What a name does where it stands.
#[derive(Clone, Debug)]
pub enum Naming {
    /// A tensor gets the name.
    Tensor(ValueId),
    /// A constant gets the name.
    Constant(Constant),
    /// It stands for what got the name before.
    Use,
    /// It stands for the part of the net with this label.
    Part,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A layer or a net.
    Layer {
        /// Its position in [`TypedNet::layers`](super::TypedNet::layers).
        layer: usize,
        /// The tensors it takes.
        inputs: Vec<ValueId>,
        /// The numbers it takes after them.
        settings: Vec<Setting>,
    },
    /// A name of the program, where an editor finds what it stands for. It makes no value.
    Name {
        /// The name.
        name: Ident,
        /// What it does there.
        does: Naming,
    },
    /// A tensor that is declared by hand.
    Own {
        /// Its position in [`TypedNet::layers`](super::TypedNet::layers).
        layer: usize,
    },
    /// A state has another value after the step.
    Update {
        /// The position of the state in [`TypedNet::layers`](super::TypedNet::layers).
        layer: usize,
        /// Its new value.
        value: ValueId,
    },
    /// x · Wᵀ with the table of an embedding.
    Project {
        /// The embedding, by its position in [`TypedNet::layers`](super::TypedNet::layers).
        layer: usize,
        /// The tensor.
        input: ValueId,
    },
    /// Rows of a table.
    Gather {
        /// The table.
        table: ValueId,
        /// Which rows.
        index: ValueId,
    },
    /// The position along the last axis.
    Positions,
    /// A layer whose derivative computes it again.
    Checkpoint {
        /// The tensor it takes.
        input: ValueId,
        /// The layer in single steps.
        body: Vec<Step>,
        /// What it gives.
        result: ValueId,
    },
    /// A function on tensors of one shape, with numbers after them.
    Map {
        /// The function.
        function: &'static str,
        /// The tensors.
        inputs: Vec<ValueId>,
        /// The numbers.
        numbers: Vec<f64>,
    },
    /// One number everywhere, in the shape of a value.
    Constant {
        /// The value whose shape and element type it takes.
        like: ValueId,
        /// The number.
        value: Scalar,
    },
    /// Repeats along new axes of the result.
    Broadcast {
        /// The tensor.
        input: ValueId,
        /// The new axes, ascending.
        axes: Vec<usize>,
    },
    /// Drops axes of size 1.
    Squeeze {
        /// The tensor.
        input: ValueId,
        /// The axes, ascending.
        axes: Vec<usize>,
    },
    /// A reduction.
    Reduce {
        /// The function.
        function: &'static str,
        /// The tensor.
        input: ValueId,
        /// The axes that go, ascending.
        axes: Vec<usize>,
        /// For `var`: whether to divide by one less.
        unbiased: Option<bool>,
    },
    /// The index of the largest.
    Argmax {
        /// The tensor.
        input: ValueId,
        /// The axis that goes.
        axis: usize,
    },
    /// `softmax`, `log_softmax`
    Along {
        /// The function.
        function: &'static str,
        /// The tensor.
        input: ValueId,
        /// The axis.
        axis: usize,
    },
    /// Truth values as 0 and 1.
    ToReal {
        /// The tensor.
        input: ValueId,
    },
    /// Windows over the last axes.
    Pool {
        /// `max_pool`, `avg_pool`
        function: &'static str,
        /// The tensor.
        input: ValueId,
        /// The size of a window along each axis.
        kernel: Vec<usize>,
        /// From one window to the next.
        stride: Vec<usize>,
        /// How far the windows reach over the edge.
        padding: Vec<usize>,
        /// For `avg_pool`: whether what lies outside counts.
        count_padding: Option<bool>,
    },
    /// More rows and columns.
    Upsample {
        /// `upsample_nearest`, `upsample_bilinear`
        function: &'static str,
        /// The tensor.
        input: ValueId,
        /// How many times as many.
        factor: usize,
    },
    /// Zeroes elements in training.
    Dropout {
        /// `dropout`, `dropout2d`
        function: &'static str,
        /// The tensor.
        input: ValueId,
        /// The probability.
        p: f64,
        /// The label that keys the draw.
        label: String,
    },
    /// The loss of classification.
    CrossEntropy {
        /// The scores.
        logits: ValueId,
        /// The classes.
        target: ValueId,
        /// A weight per class.
        weights: Option<ValueId>,
        /// A class that does not count.
        ignore: Option<u64>,
        /// How much of the target is spread over all classes.
        label_smoothing: f64,
    },
    /// Scaled dot-product attention.
    Attention {
        /// Queries, keys and values.
        inputs: [ValueId; 3],
        /// Whether a query sees no key at a later position.
        causal: bool,
        /// What scores are multiplied by.
        scale: Option<f64>,
        /// How many positions a query sees.
        window: Option<u64>,
        /// Truth values or reals for the scores.
        mask: Option<ValueId>,
        /// How many keys each sample has.
        lengths: Option<ValueId>,
        /// At which position the queries of each sample begin.
        start: Option<ValueId>,
        /// Whether scores fall with the distance.
        alibi: bool,
    },
    /// Pairs of numbers turned by their position.
    Rotary {
        /// The tensor.
        input: ValueId,
        /// The slowest pair turns once in about so many positions, times 2π.
        base: f64,
        /// Whether the numbers of a pair are neighbours.
        interleaved: bool,
        /// At which position each sample begins.
        start: Option<ValueId>,
    },
    /// A random tensor.
    Draw {
        /// The function.
        function: &'static str,
        /// For `bernoulli`.
        p: Option<f64>,
        /// The label that keys the draw.
        label: String,
    },
    /// The solution of a differential equation.
    Ode {
        /// Where it begins.
        input: ValueId,
        /// The equation and how it is solved.
        flow: Box<Flow>,
    },
    /// A layer whose parameters lie between those of equal layers.
    Varying {
        /// The time.
        time: ValueId,
        /// The list of the layers, by its position in [`TypedNet::layers`](super::TypedNet::layers).
        list: usize,
        /// The layer and how it varies.
        how: Box<Varying>,
    },
    /// Splits axes into parts, moves and repeats the parts, and merges them.
    Rearrange {
        /// The tensor.
        input: ValueId,
        /// The sizes of its parts.
        split: Vec<Term>,
        /// Which part stands where.
        order: Vec<usize>,
        /// The places of new axes among the parts of the result.
        new: Vec<usize>,
        /// The sizes of the parts of the result.
        full: Vec<Term>,
    },
    /// A sum of products over axes with labels.
    Einsum {
        /// The tensors.
        inputs: Vec<ValueId>,
        /// The labels of their axes.
        labels: Vec<Vec<usize>>,
        /// The labels of the axes of the result.
        result: Vec<usize>,
    },
    /// A part along an axis, of the size of the result.
    Slice {
        /// The tensor.
        input: ValueId,
        /// The axis.
        axis: usize,
        /// Where it begins.
        start: Term,
    },
    /// Zeros around it along an axis.
    Pad {
        /// The tensor.
        input: ValueId,
        /// The axis.
        axis: usize,
        /// How many zeros come before it.
        start: Term,
    },
    /// The same elements under the shape of the result.
    Reshape {
        /// The tensor.
        input: ValueId,
    },
    /// Indices as rows with a single 1.
    OneHot {
        /// The tensor.
        input: ValueId,
    },
    /// A distance between clouds of points.
    Clouds {
        /// The clouds.
        inputs: [ValueId; 2],
        /// How it is measured.
        by: Distance,
    },
    /// The coefficients of a path from noise to data, and their derivatives.
    Path {
        /// The time.
        time: ValueId,
        /// Which path.
        kind: &'static str,
    },
    /// A monotone map of each element by parameters.
    Transform {
        /// The tensor.
        input: ValueId,
        /// The parameters.
        parameters: ValueId,
        /// For a spline: where it ends; else the map is affine.
        bound: Option<f64>,
        /// Whether it is the inverse.
        inverse: bool,
    },
    /// A function of Rust.
    Rust {
        /// Its path.
        path: Vec<Ident>,
        /// The tensors, each with its place in the source.
        inputs: Vec<(ValueId, Place)>,
        /// What it is given behind them.
        constants: Vec<Constant>,
        /// The type of its result as it is written.
        result: TensorType,
    },
    /// A function of each element, with the logarithm of its slope.
    Elementwise {
        /// The tensor.
        input: ValueId,
        /// The variant of `ansatz::flow::Elementwise`.
        function: &'static str,
        /// Its number, if it has one.
        number: Option<f64>,
        /// Whether it is the inverse.
        inverse: bool,
    },
    /// The elements along the last axis in another order.
    Permute {
        /// The tensor.
        input: ValueId,
        /// Which element comes where.
        order: Vec<usize>,
    },
    /// The inverse of a bijection with parameters, or of a flow.
    Inverse {
        /// Its position in [`TypedNet::layers`](super::TypedNet::layers).
        layer: usize,
        /// The tensors it takes.
        inputs: Vec<ValueId>,
    },
    /// One after the other along an axis.
    Concat {
        /// The tensors.
        inputs: Vec<ValueId>,
        /// The axis.
        axis: usize,
    },
}

/// What a step of a solver does.
#[derive(Clone, Debug)]
pub enum Method {
    /// One of the library: its name in the language, and how often a step evaluates the field.
    Known(&'static str, usize),
    /// A table of the user's, by its path in Rust.
    Own(Vec<Ident>),
}

/// A differential equation and how it is solved.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The method.
    pub method: Method,
    /// The number of steps.
    pub steps: usize,
    /// From where to where the time runs.
    pub span: (f64, f64),
    /// How the gradient comes by the values between.
    pub gradient: &'static str,
    /// The time that the field takes.
    pub time: ValueId,
    /// The value that the field takes.
    pub value: ValueId,
    /// The field in single steps.
    pub body: Vec<Step>,
    /// What it gives.
    pub slope: ValueId,
    /// What it gives besides, to be integrated along the path.
    pub rate: Option<ValueId>,
    /// For `cnf`: how the trace of its derivative comes about.
    pub trace: Option<Trace>,
}

/// A layer and how its parameters vary with time.
#[derive(Clone, Debug)]
pub struct Varying {
    /// The number of layers that it lies between.
    pub layers: usize,
    /// What holds between them.
    pub between: &'static str,
    /// The time over which they are spread.
    pub span: (f64, f64),
    /// The first of them in single steps.
    pub body: Vec<Step>,
    /// What it gives.
    pub result: ValueId,
}

/// How the distance of two clouds is measured.
#[derive(Clone, Debug)]
pub enum Distance {
    /// The Sinkhorn divergence.
    Sinkhorn {
        /// The strength of the entropy.
        epsilon: f64,
        /// How often both potentials are renewed.
        turns: usize,
    },
    /// The sliced Wasserstein distance.
    Sliced {
        /// The number of directions.
        directions: usize,
        /// The label that keys their draw.
        label: String,
    },
}

/// How the trace of a derivative comes about.
#[derive(Clone, Debug)]
pub enum Trace {
    /// In full.
    Exact,
    /// Estimated along directions whose draw this label keys.
    Hutchinson(String),
}

/// A number in a graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Known now.
    Number(f64),
    /// The size of a dimension.
    Size(Term),
}

/// What a function of Rust is given at compile time.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A whole number: `usize`.
    Whole(usize),
    /// A real number: `f64`.
    Real(f64),
    /// `bool`
    Flag(bool),
    /// `&str`
    Text(String),
}
