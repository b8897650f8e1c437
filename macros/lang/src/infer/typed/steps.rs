//! A body as a list of steps.

use super::{Argument, Call, Key};
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
    /// A function of the runtime crate.
    Call(Call),
    /// A layer or a net.
    Layer {
        /// Its position in [`TypedNet::layers`](super::TypedNet::layers).
        layer: usize,
        /// What is asked of it: `record`, `record_inverse`, `project`.
        method: &'static str,
        /// The tensors it takes.
        inputs: Vec<ValueId>,
        /// What it takes after them.
        settings: Vec<Argument>,
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
    /// A layer whose derivative computes it again.
    Checkpoint {
        /// The tensor it takes.
        input: ValueId,
        /// The layer in single steps.
        body: Vec<Step>,
        /// What it gives.
        result: ValueId,
    },
    /// Equal layers in sequence.
    Loop {
        /// The tensor that the first takes.
        input: ValueId,
        /// The layer and how often it is.
        how: Box<Loop>,
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

/// Equal layers in sequence, each of which gives what the next one takes.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The list of the layers, by its position in [`TypedNet::layers`](super::TypedNet::layers).
    pub list: usize,
    /// How many there are.
    pub times: usize,
    /// The value that a layer takes.
    pub value: ValueId,
    /// The first layer in single steps.
    pub body: Vec<Step>,
    /// What it gives.
    pub result: ValueId,
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

/// How the trace of a derivative comes about.
#[derive(Clone, Debug)]
pub enum Trace {
    /// In full.
    Exact,
    /// Estimated along directions whose draw this keys.
    Hutchinson(Key),
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
