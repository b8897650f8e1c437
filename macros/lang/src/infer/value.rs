//! What an expression is while a net is inferred.

use super::arguments::Given;
use super::block::Standing;
use super::typed::{Constant, Naming, ValueId};
use super::types::Type;
use crate::ast::{Expr, Pattern};
use crate::functions::Function;
use crate::report::{Place, Reported};
use crate::terms::Term;
use proc_macro2::Ident;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The value of an expression.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// A tensor.
    Tensor(Tensor),
    /// A number known at compile time; `integer` if it was written without point and exponent.
    Number {
        /// Its value.
        value: f64,
        /// The whole number, if it is one.
        integer: Option<i128>,
    },
    /// `true`, `false`
    Flag(bool),
    /// `"tanh"`
    Text(Rc<str>),
    /// A dimension as a value: `Digit`, `3 * d`.
    Size(Term),
    /// A layer, a net, a function or a closure that waits for its tensors.
    Layer(Rc<LayerValue<'a>>),
    /// A hyper-parameter that is a layer: every use makes one of its own.
    Maker(Rc<Maker<'a>>),
    /// Several values, with names where they have them.
    Tuple(Vec<(Option<String>, Value<'a>)>),
    /// `[n, 1]`
    List(Vec<Value<'a>>),
    /// Holds an error that was reported; whatever uses it is no further error.
    Error(Reported),
}

/// A tensor: where it is made, and how it came about.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its place among the values of the net.
    pub id: ValueId,
    /// Its type, labels included.
    pub ty: Type,
    /// `x : [n, 784]`, `fc1: linear(256) : [n, 256]`: the pipeline so far.
    pub trail: Rc<Vec<String>>,
}

/// Something that can be applied to tensors.
#[derive(Debug)]
pub struct LayerValue<'a> {
    /// What it is.
    pub kind: Callable<'a>,
    /// Where it was made: all its uses share one set of parameters.
    pub site: Site,
    /// Its label.
    pub label: Option<Label>,
    /// The scope that it was made in, by its position among the layers.
    pub scope: Option<usize>,
    /// How it reads: `linear(64)`.
    pub text: String,
    /// Where it was made.
    pub span: Place,
}

impl LayerValue<'_> {
    /// How it reads with its label: `fc1: linear(64)`.
    pub fn shown(&self) -> String {
        match &self.label {
            Some(label) if label.written => format!("{}: {}", label.name, self.text),
            _ => self.text.clone(),
        }
    }
}

/// What can be called.
#[derive(Clone, Debug)]
pub enum Callable<'a> {
    /// A function of the language with its parameters.
    Function(&'static Function, Rc<Given<'a>>),
    /// A net with hyper-parameters.
    Net(Rc<Chosen<'a>>),
    /// A flow with its conditions, inside of another: its points come through the body.
    Conditioned(Rc<Chosen<'a>>, Vec<(Tensor, Place)>),
    /// A pattern with what is in scope.
    Pattern(&'a Pattern, Environment<'a>),
    /// A closure.
    Closure(Rc<Closure<'a>>),
    /// A layer bound by `let`.
    Bound(Rc<LayerValue<'a>>),
    /// What a layer or a flow has by this name: the projection of an embedding, the density of a flow.
    Member(Rc<LayerValue<'a>>, String),
    /// One layer after the other.
    Chain(Vec<Rc<LayerValue<'a>>>),
    /// `[layer; 6]`
    Repeat(Rc<Repeated<'a>>),
}

/// A layer so many times in sequence, each with parameters of its own.
#[derive(Debug)]
pub struct Repeated<'a> {
    /// How the layer is written.
    pub layer: &'a Expr,
    /// How often.
    pub times: usize,
    /// The scope of the list.
    pub(super) list: Standing,
    /// Where the list is written.
    pub site: Site,
    /// What the layer mentions.
    pub environment: Environment<'a>,
}

/// A net that is used, with the hyper-parameters it is given.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// Its position.
    pub net: usize,
    /// The name under which it is used: its own, or that of an alias.
    pub name: Ident,
    /// The hyper-parameters that are given, by their positions.
    pub given: BTreeMap<usize, Value<'a>>,
    /// The dimensions that are given by name.
    pub dims: BTreeMap<String, Term>,
}

/// A layer that is not made yet.
#[derive(Debug)]
pub struct Maker<'a> {
    /// How it is written.
    pub expr: &'a Expr,
    /// What it mentions.
    pub environment: Environment<'a>,
    /// How it reads, with what it mentions.
    pub text: String,
}

/// A closure with what it can see.
#[derive(Debug)]
pub struct Closure<'a> {
    /// The names of its parameters.
    pub parameters: &'a [Ident],
    /// Its body.
    pub body: &'a Expr,
    /// What was in scope where it was written.
    pub environment: Environment<'a>,
    /// The scope that it was written in.
    pub scope: Option<usize>,
    /// Tells the places in its body from those of other closures.
    pub frame: usize,
}

/// A place in the source, in a closure or outside: layers made there are made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// The closure, 0 outside.
    pub frame: usize,
    /// The number of the expression.
    pub expression: usize,
    /// Whether it is the scope around what is made there.
    pub around: bool,
}

/// The name of a part.
#[derive(Clone, Debug)]
pub struct Label {
    /// The name.
    pub name: Ident,
    /// Whether it was written before a colon; else it comes from a `let`.
    pub written: bool,
}

/// A name with its value.
#[derive(Debug)]
pub struct Binding<'a> {
    /// The name.
    pub name: Ident,
    /// The value.
    pub value: Value<'a>,
    /// Whether it was used.
    pub used: Cell<bool>,
}

/// The names in scope, the innermost first.
#[derive(Clone, Debug, Default)]
pub struct Environment<'a>(Option<Rc<(Rc<Binding<'a>>, Environment<'a>)>>);

impl<'a> Environment<'a> {
    /// The same with one more name.
    pub fn with(&self, binding: Rc<Binding<'a>>) -> Self {
        Environment(Some(Rc::new((binding, self.clone()))))
    }

    /// The same without a name.
    pub fn without(&self, name: &Ident) -> Self {
        let kept: Vec<_> = self.iter().filter(|binding| binding.name != *name).collect();
        kept.into_iter().rev().fold(Self::default(), |environment, binding| environment.with(binding.clone()))
    }

    /// The innermost binding of a name, which counts as used.
    pub fn find(&self, name: &Ident) -> Option<Rc<Binding<'a>>> {
        let found = self.iter().find(|binding| binding.name == *name)?;
        found.used.set(true);
        Some(found.clone())
    }

    /// All bindings, the innermost first.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Binding<'a>>> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let (binding, outer) = &**rest.0.as_ref()?;
            rest = outer;
            Some(binding)
        })
    }
}

impl Value<'_> {
    /// A size, which is a number where no name occurs.
    pub fn of_size(term: Term) -> Self {
        match term.as_integer() {
            Some(integer) => Value::Number { value: integer as f64, integer: Some(integer) },
            None => Value::Size(term),
        }
    }

    /// What a name does that is bound to it, if that is known here.
    pub fn naming(&self) -> Option<Naming> {
        match self {
            Value::Tensor(tensor) => Some(Naming::Tensor(tensor.id)),
            other => other.constant().map(Naming::Constant),
        }
    }

    /// The constant of Rust that it is.
    pub fn constant(&self) -> Option<Constant> {
        match self {
            Value::Number { integer: Some(integer), .. } if *integer >= 0 => {
                usize::try_from(*integer).ok().map(Constant::Whole)
            }
            Value::Number { value, .. } => Some(Constant::Real(*value)),
            Value::Size(term) => term.number().map(Constant::Whole),
            Value::Flag(flag) => Some(Constant::Flag(*flag)),
            Value::Text(text) => Some(Constant::Text(text.to_string())),
            _ => None,
        }
    }

    /// The number that it is, if it is one that is known.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number { value, .. } => Some(*value),
            Value::Size(term) => term.whole().map(|number| number as f64),
            _ => None,
        }
    }

    /// The error that it holds.
    pub fn lost(&self) -> Option<Reported> {
        match self {
            Value::Error(lost) => Some(*lost),
            _ => None,
        }
    }

    /// What it is, as a sentence says it.
    pub fn what(&self) -> String {
        match self {
            Value::Tensor(tensor) => format!("a tensor {}", tensor.ty),
            Value::Number { value, .. } => format!("the number {value}"),
            Value::Flag(flag) => format!("`{flag}`"),
            Value::Text(text) => format!("the text {text:?}"),
            Value::Size(term) => format!("the dimension {term}"),
            Value::Layer(layer) => format!("the layer `{}`", layer.text),
            Value::Maker(maker) => format!("the layer `{}`", maker.text),
            Value::Tuple(items) => format!("a tuple of {}", items.len()),
            Value::List(_) => "a list".to_owned(),
            Value::Error(_) => "an error".to_owned(),
        }
    }
}
