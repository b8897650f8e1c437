//! What inference leaves: every net as a list of steps, each with its type, and the layers it owns.

mod call;
mod reading;
mod steps;

pub use call::{Argument, Call, Degrees};
pub use reading::Reading;
pub use steps::{Body, Constant, Flow, Inverse, Loop, Method, Naming, Operation, Step, Trace, ValueId, Varying};

use super::facts::Assumption;
use super::types::Type;
use crate::ast::{NetItem, Visibility};
use crate::report::{Checked, Need};
use crate::terms::Term;
use proc_macro2::{Ident, Span, TokenStream};

/// A net whose shapes are known.
#[derive(Debug)]
pub struct TypedNet<'a> {
    /// The declaration.
    pub item: &'a NetItem,
    /// The name of the struct.
    pub name: Ident,
    /// How far it is seen.
    pub visibility: Visibility,
    /// Attributes and doc comments.
    pub attributes: TokenStream,
    /// Who can name it.
    pub reach: Reach,
    /// What has to be known before it is whole.
    pub needs: Vec<Need>,
    /// What is asked of run-time dimensions and checked at run time.
    pub assumed: Vec<Assumption>,
    /// The run-time dimensions: those that an input has as an axis by itself in the order of their first appearance, then
    /// those that follow from the size of an axis.
    pub run_time: Vec<Ident>,
    /// The inputs' types, where the signature holds no error.
    pub inputs: Vec<Checked<Type>>,
    /// The results' types, where they could be inferred.
    pub results: Vec<Checked<Type>>,
    /// The layers, in order of creation.
    pub layers: Vec<Layer>,
    /// How many parts it has with all those of the nets inside of it, and whether one of them has parameters or state.
    pub whole: Whole,
    /// The values in the order in which they are made: the inputs first.
    pub values: Vec<Type>,
    /// The body in single steps, unless it holds an error.
    pub body: Checked<Body>,
    /// For a flow: the other way.
    pub inverse: Option<Inverse>,
    /// For every part that is `[layer; 6]` with equal layers that have parameters: the first, by its position, and how
    /// many there are.
    pub repeats: Vec<Option<(usize, usize)>>,
}

/// What a net is made of, down to the last part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole {
    /// All parts.
    pub parts: usize,
    /// Those with parameters or state.
    pub own: usize,
    /// The numbers in its parameters.
    pub parameters: usize,
}

/// Who can name an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody: no net that is used contains it.
    Unused,
    /// The nets that contain it.
    Part,
    /// The user, by the name of the net or of an alias.
    Named,
    /// The user too, but another `net!` has the struct.
    Abroad,
}

impl TypedNet<'_> {
    /// The instances that it contains, by their positions.
    pub fn nets(&self) -> Vec<usize> {
        let net = |layer: &Layer| match layer.kind {
            LayerKind::Net(net) => Some(net),
            _ => None,
        };
        self.layers.iter().filter_map(net).collect()
    }

    /// Where a run-time dimension is read off that no input has as an axis by itself.
    pub fn reading(&self, name: &Ident) -> Option<Reading> {
        let known = self.run_time.iter().take_while(|known| *known != name).map(ToString::to_string);
        Reading::find(&name.to_string(), &known.collect::<Vec<_>>(), self.inputs.iter().map(|ty| ty.as_ref().ok()))
    }

    /// Whether the types of all inputs and results are known.
    pub fn is_typed(&self) -> bool {
        self.inputs.iter().chain(&self.results).all(Result::is_ok)
    }

    /// The path of a part below the net.
    pub fn key(&self, layer: &Layer) -> String {
        key(&self.layers, layer.scope, &layer.label)
    }

    /// The parts that stand in a scope and have parameters, with their positions, in the order of creation.
    pub fn parts(&self, scope: Option<usize>) -> Vec<(usize, &Layer)> {
        let own = self.layers.iter().enumerate().filter(|(_, layer)| layer.scope == scope);
        // A scope is made where its first part is: it is opened before anything inside of it is applied.
        let mut parts: Vec<_> = own.filter_map(|(i, layer)| Some((self.first_part(i)?, i, layer))).collect();
        parts.sort_by_key(|(first, ..)| *first);
        parts.into_iter().map(|(_, i, layer)| (i, layer)).collect()
    }

    /// The same with its repeats found.
    pub fn with_repeats(self) -> Self {
        let repeats = (0..self.layers.len()).map(|scope| self.repeated(scope)).collect();
        TypedNet { repeats, ..self }
    }

    fn repeated(&self, scope: usize) -> Option<(usize, usize)> {
        let LayerKind::Scope { times: Some(times), folded } = self.layers[scope].kind else { return None };
        let parts = self.parts(Some(scope));
        let &(first, _) = parts.first()?;
        if folded {
            return Some((first, times));
        }
        let in_order = parts.iter().enumerate().all(|(i, (_, part))| key_part(&part.label) == i.to_string());
        let alike = parts.iter().all(|&(part, _)| self.alike(first, part));
        (parts.len() == times && in_order && alike).then_some((first, times))
    }

    /// Whether two parts have the same parameters under the same keys.
    fn alike(&self, a: usize, b: usize) -> bool {
        let [left, right] = [&self.layers[a], &self.layers[b]];
        if left.kind != right.kind || left.starts != right.starts || left.frozen != right.frozen {
            return false;
        }
        let (left, right) = (self.parts(Some(a)), self.parts(Some(b)));
        let mut pairs = left.iter().zip(&right);
        left.len() == right.len() && pairs.all(|((i, a), (j, b))| a.label == b.label && self.alike(*i, *j))
    }

    fn first_part(&self, layer: usize) -> Option<usize> {
        match self.layers[layer].kind {
            LayerKind::Scope { .. } => {
                let inside = self.layers.iter().enumerate().filter(|(_, part)| part.scope == Some(layer));
                inside.filter_map(|(i, _)| self.first_part(i)).min()
            }
            _ => Some(layer),
        }
    }
}

/// The path of a part below the net: `head.linear1`.
pub fn key(layers: &[Layer], scope: Option<usize>, label: &Ident) -> String {
    key_with(layers, scope, label, &mut |_| None)
}

/// The same, where the parts of a list, by its position, may be called otherwise.
pub fn key_with(
    layers: &[Layer],
    scope: Option<usize>,
    label: &Ident,
    called: &mut dyn FnMut(usize) -> Option<String>,
) -> String {
    let Some(list) = scope else { return key_part(label) };
    let outer = key_with(layers, layers[list].scope, &layers[list].label, called);
    format!("{outer}.{}", called(list).unwrap_or_else(|| key_part(label)))
}

/// How many parts one stands for: it may be the first of a list of equal ones, or lie in such.
pub fn copies(layers: &[Layer], scope: Option<usize>) -> usize {
    let outer = std::iter::successors(scope, |&scope| layers[scope].scope);
    outer.map(|scope| layers[scope].folds().unwrap_or(1)).fold(1, usize::saturating_mul)
}

/// The path of a part or of a draw below the net: a label in a scope.
#[derive(Clone, Debug)]
pub struct Key {
    /// The scope, by its position in [`TypedNet::layers`].
    pub scope: Option<usize>,
    /// The label.
    pub label: Ident,
}

/// What a label adds to a path. A place in a list is `_0` as a field and `0` in keys.
pub fn key_part(label: &Ident) -> String {
    let label = label.to_string().replace("r#", "");
    match label.strip_prefix('_') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.to_owned(),
        _ => label,
    }
}

/// A part of a net with parameters of its own: a field of the struct.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its label, the name of the field.
    pub label: Ident,
    /// The scope that it stands in, by its position; `None` for the net itself.
    pub scope: Option<usize>,
    /// What it is.
    pub kind: LayerKind,
    /// How it reads in the source: `linear(256)`.
    pub text: String,
    /// Where that stands.
    pub at: Span,
    /// What errors call it: its label if it has one, else how it reads.
    pub shown: String,
    /// The type it took and the type it gave at its first use.
    pub signature: (String, String),
    /// The multiply-adds of all its uses, in the net's dimensions.
    pub multiply_adds: Term,
    /// How its tensors start, by their names, where that is not as the layer says.
    pub starts: Vec<(&'static str, Start)>,
    /// Whether it keeps its values in training.
    pub frozen: bool,
}

impl Layer {
    /// For a list whose first layer stands for all: how many there are.
    pub fn folds(&self) -> Option<usize> {
        match self.kind {
            LayerKind::Scope { times, folded: true } => times,
            _ => None,
        }
    }

    /// A part of a scope, of which nothing else is known.
    pub fn new(label: Ident, scope: Option<usize>, kind: LayerKind) -> Self {
        let (at, shown, text, signature) = (label.span(), label.to_string(), String::new(), Default::default());
        let (multiply_adds, starts, frozen) = (Term::integer(0), vec![], false);
        Layer { label, scope, kind, text, at, shown, signature, multiply_adds, starts, frozen }
    }
}

/// How a tensor starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The variant of `ansatz::nn::Init`.
    pub name: &'static str,
    /// Its numbers.
    pub numbers: Vec<f64>,
    /// The variant of `ansatz::nn::Fan`, where it takes one.
    pub fan: Option<&'static str>,
    /// For a function of the user's: its path, and what it takes behind the tensor.
    pub own: Option<(Vec<Ident>, Vec<Constant>)>,
}

impl Start {
    /// A start of the library.
    pub fn known(name: &'static str, numbers: Vec<f64>) -> Self {
        Start { name, numbers, fan: None, own: None }
    }
}

/// The kinds of parts.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    /// A layer of `ansatz::nn`. A new one is a row in [`crate::functions`], a rule in `infer::units`,
    /// and a struct with `record` and `Model` there.
    Unit {
        /// The struct: `Linear`.
        name: &'static str,
        /// The dimensions that the struct is generic over: what it takes, and what it gives if that differs.
        sizes: Vec<Term>,
        /// Where it acts.
        acts: Acts,
        /// The number of its parameters.
        parameters: usize,
        /// The multiply-adds for each element it takes; of a convolution, for each element it gives.
        work: Term,
    },
    /// A tensor that is declared by hand.
    Tensor {
        /// The size of each axis.
        sizes: Vec<Term>,
        /// Whether it is a state, and no parameter.
        state: bool,
        /// How it starts.
        start: Start,
    },
    /// An instance of a net, by its position.
    Net(usize),
    /// `label: ( … )`, or a list: what is made inside has a key below the label.
    Scope {
        /// For `[layer; 6]`: how often.
        times: Option<usize>,
        /// Whether its first layer stands for all of them.
        folded: bool,
    },
}

impl LayerKind {
    /// The number of its own parameters; those of a net are its layers'.
    pub fn parameters(&self) -> usize {
        match self {
            LayerKind::Unit { parameters, .. } => *parameters,
            LayerKind::Tensor { sizes, state: false, .. } => sizes.iter().filter_map(Term::number).product(),
            LayerKind::Tensor { .. } | LayerKind::Net(_) | LayerKind::Scope { .. } => 0,
        }
    }
}

/// Where a layer acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acts {
    /// On the last axis, which is of the first size of the layer, and becomes the second where there is one.
    OnLast,
    /// On axis 1, which is of the first size of the layer; the shape stays.
    OnChannels,
    /// On images of channels, as the kernel says.
    OnImages(Kernel),
    /// On indices into the first size of the layer, each of which becomes an axis of the second.
    ByIndex,
}

/// How a kernel slides over rows and columns. Over one axis it slides along a single row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The axes that it slides over: one or two.
    pub axes: usize,
    /// Rows and columns of the kernel.
    pub size: [usize; 2],
    /// From one position to the next.
    pub stride: [usize; 2],
    /// From one tap to the next.
    pub dilation: [usize; 2],
    /// Zeros before the first row and column.
    pub before: [usize; 2],
    /// Zeros behind the last ones.
    pub after: [usize; 2],
    /// Parts of the channels that are convolved each by itself.
    pub groups: usize,
    /// For a transposed convolution: the positions behind that no place of the kernel covers by itself.
    pub behind: Option<[usize; 2]>,
}
