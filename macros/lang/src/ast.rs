//! What a program says, as the parser leaves it: names unresolved, every part with the span it came from.

mod says;

use crate::report::{Checked, Place, Reported};
use proc_macro2::{Ident, Span, TokenStream};

/// Everything inside one `net! { … }`.
#[derive(Debug, Default)]
pub struct Program {
    /// The items in source order; items that could not be read are missing here and stand in the report.
    pub items: Vec<Item>,
    /// The tokens of every item, from `dim` or `net` on.
    pub sources: Vec<TokenStream>,
    /// The missing items: to use one is no further error.
    pub broken: Vec<Broken>,
    /// The items that another `net!` declares.
    pub foreign: Vec<Foreign>,
    /// How many expressions have a number.
    pub numbered: usize,
}

/// An item that another `net!` declares.
#[derive(Debug)]
pub struct Foreign {
    /// Its name here.
    pub name: Ident,
    /// Its name everywhere.
    pub id: Ident,
    /// How its type is found.
    pub route: Route,
}

/// How the type of an item of another `net!` is found.
#[derive(Debug)]
pub enum Route {
    /// By its path.
    Path(TokenStream),
    /// By what another item, whose path is known, says about all that it mentions.
    Part {
        /// The path.
        of: TokenStream,
        /// The place among what it mentions.
        position: usize,
    },
    /// By an alias of it or of what is calculated from it, whose path is known.
    Alias {
        /// The path.
        of: TokenStream,
        /// The place among what it mentions.
        position: usize,
    },
    /// Not at all.
    None,
}

/// An item of which only the name could be read.
#[derive(Debug)]
pub struct Broken {
    /// The name.
    pub name: Ident,
    /// `pub`, `pub(crate)` or nothing.
    pub visibility: Visibility,
    /// What it was meant to declare.
    pub kind: BrokenKind,
    /// The error stands in the report, or that of another `net!`.
    pub lost: Reported,
}

/// What a missing item was meant to declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenKind {
    /// A dimension.
    Dim,
    /// A net.
    Net,
    /// Nothing: the name belongs to something outside of this `net!`.
    Foreign,
}

/// A declaration.
#[derive(Debug)]
pub enum Item {
    /// `dim Pixels = 784;`
    Dim(DimItem),
    /// `net Mlp(x: [n, Pixels]) -> [n, Digit] { … }`
    Net(NetItem),
    /// `net Gpt2Small = Gpt2(layers = 12);`
    Alias(AliasItem),
}

impl Item {
    /// The name.
    pub fn name(&self) -> &Ident {
        match self {
            Item::Dim(dim) => &dim.name,
            Item::Net(net) => &net.name,
            Item::Alias(alias) => &alias.name,
        }
    }
}

/// `pub dim Pixels = 784;`
#[derive(Debug)]
pub struct DimItem {
    /// Attributes and doc comments, passed on as they are.
    pub attributes: TokenStream,
    /// `pub`, `pub(crate)` or nothing, passed on as it is.
    pub visibility: Visibility,
    /// The name.
    pub name: Ident,
    /// A literal makes a nominal dimension, anything else a transparent alias.
    pub size: Size,
}

/// `pub net Gpt2Small = Gpt2(layers = 12, heads = 12);`
#[derive(Debug)]
pub struct AliasItem {
    /// Attributes and doc comments, passed on as they are.
    pub attributes: TokenStream,
    /// `pub`, `pub(crate)` or nothing.
    pub visibility: Visibility,
    /// The name.
    pub name: Ident,
    /// A net with its hyper-parameters.
    pub target: Expr,
}

/// What stood before `dim` or `net`.
#[derive(Debug, Clone, Default)]
pub struct Visibility {
    /// The tokens, empty for a private item.
    pub tokens: TokenStream,
}

impl Visibility {
    /// Whether nothing was written.
    pub fn is_private(&self) -> bool {
        self.tokens.is_empty()
    }
}

/// `pub net Mlp(x: [n, Pixels]; width: usize = 256) -> [n, Digit] where … { … }`
#[derive(Debug)]
pub struct NetItem {
    /// Attributes and doc comments, passed on as they are.
    pub attributes: TokenStream,
    /// `pub`, `pub(crate)` or nothing.
    pub visibility: Visibility,
    /// Where `net` or `flow` stands.
    pub word: Span,
    /// The name.
    pub name: Ident,
    /// What it is to the program.
    pub role: Role,
    /// The tensors it takes.
    pub inputs: Vec<Input>,
    /// The hyper-parameters after the `;`.
    pub parameters: Vec<Parameter>,
    /// What it gives back.
    pub result: ResultType,
    /// The facts after `where`.
    pub facts: Vec<Fact>,
    /// The body, unless it could not be read (the signature still stands).
    pub body: Checked<Block>,
    /// Whether the head held a mistake that was mended: a body that disagrees with it may be right.
    pub mended: Option<Reported>,
    /// Whether the body holds a mistake already: that a name seems unused then says nothing.
    pub damaged: bool,
    /// Whether its body chooses at compile time: one instance does not see all of it then.
    pub chooses: bool,
}

/// What a net is to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Declared with `net`.
    Net,
    /// Declared with `flow`: its body is made of bijections.
    Flow,
    /// The inverse of a flow, which comes with it.
    Inverse,
    /// The density of a flow, which comes with it.
    LogProb,
}

impl Role {
    /// Whether it comes with a flow.
    pub fn is_companion(self) -> bool {
        matches!(self, Role::Inverse | Role::LogProb)
    }
}

/// `x: [n, Pixels]`
#[derive(Debug)]
pub struct Input {
    /// The name.
    pub name: Ident,
    /// The type.
    pub ty: TensorType,
}

/// `width: usize`, `stride: usize = 1`, `block = Basic`
#[derive(Debug)]
pub struct Parameter {
    /// The name.
    pub name: Ident,
    /// What it is, where that is written.
    pub kind: Option<ParameterKind>,
    /// What it is unless it is given.
    pub default: Option<Expr>,
}

/// The kinds of hyper-parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// `usize`: a whole number or a dimension.
    Whole,
    /// `f64`: a real number.
    Real,
    /// `bool`
    Flag,
    /// `str`
    Text,
    /// `layer`: a layer, a net, a function or a closure.
    Layer,
}

/// `-> [n, Digit]` or `-> (loss: [], correct: [])`.
#[derive(Debug)]
pub enum ResultType {
    /// One tensor.
    One(TensorType),
    /// Several named tensors.
    Named(Vec<Input>),
}

/// `[n, Pixels]` or `[n] in Digit`.
#[derive(Debug, Clone)]
pub struct TensorType {
    /// The axes.
    pub axes: Vec<AxisType>,
    /// The index space after `in`.
    pub space: Option<Size>,
    /// From `[` to `]`.
    pub span: Span,
    /// `[` and `]`.
    pub ends: [Span; 2],
}

/// One axis of a type: a size, with a label where one is written (`h = 32`).
#[derive(Debug, Clone)]
pub struct AxisType {
    /// The label.
    pub label: Option<Ident>,
    /// The size.
    pub size: Size,
}

/// The size of an axis.
#[derive(Debug, Clone)]
pub enum Size {
    /// `784`
    Literal(usize, Span),
    /// `Pixels` or `n`
    Name(Ident),
    /// `_`: to be inferred
    Infer(Span),
    /// `3 * d`, `a + b`
    Arithmetic {
        /// `+`, `-`, `*`, `/`
        op: char,
        /// Left and right.
        operands: Box<[Size; 2]>,
        /// The operator's place.
        span: Span,
    },
    /// `ceil_div(h, stride)`, `floor_div(a, b)`
    Call {
        /// The function.
        name: Ident,
        /// Its arguments.
        arguments: Vec<Size>,
    },
}

/// A condition after `where`.
#[derive(Debug, Clone)]
pub enum Fact {
    /// `heads | d`
    Divides(Size, Size),
    /// `a == b`, `width >= 8`, `parameters <= 1_000_000`; the operator as written
    Relation(Size, &'static str, Size),
}

/// `{ let …; param …; result }`
#[derive(Debug)]
pub struct Block {
    /// The bindings.
    pub statements: Vec<Statement>,
    /// The value of the block.
    pub result: Box<Expr>,
    /// From `{` to `}`.
    pub span: Span,
}

/// What stands before the value of a block.
#[derive(Debug)]
pub enum Statement {
    /// `let logits = …;`
    Let(Let),
    /// `param w: [d, k] = normal(0.02);`
    Own(Own),
    /// `update running = …;`
    Update(Update),
}

/// `param w: [d, k] = normal(0.02);`, `state running: [d] = zeros;`
#[derive(Debug)]
pub struct Own {
    /// Whether it is a state, which training updates by hand, and no parameter.
    pub state: bool,
    /// The name.
    pub name: Ident,
    /// The type.
    pub ty: TensorType,
    /// How it starts.
    pub start: Expr,
}

/// `update running = 0.9 * running + 0.1 * mean(x, over = n);`
#[derive(Debug)]
pub struct Update {
    /// The state.
    pub name: Ident,
    /// Its new value.
    pub value: Expr,
}

/// `let logits = …;` or `let (q, k) = …;`
#[derive(Debug)]
pub struct Let {
    /// The names bound.
    pub pattern: LetPattern,
    /// The value.
    pub value: Expr,
}

/// The left side of a `let`.
#[derive(Debug)]
pub enum LetPattern {
    /// `logits`
    Name(Ident),
    /// `(q, k, v)`
    Tuple(Vec<Ident>),
}

/// An expression with its place: the span covers its most telling token (the function's name, the operator).
#[derive(Debug)]
pub struct Expr {
    /// Tells it from all others of the program, equal ones included.
    pub number: usize,
    /// What it says.
    pub kind: ExprKind,
    /// Where an error about it should point.
    pub span: Place,
}

/// The forms of expressions.
#[derive(Debug)]
pub enum ExprKind {
    /// `x`, `relu` (a bare layer or function in a pipeline), `Digit`
    Name(Ident),
    /// `my_blocks::Attention`
    Path(Vec<Ident>),
    /// `0.5`, `3`, `-1e-5` has a unary minus around it
    Number {
        /// The value.
        value: f64,
        /// Set for a literal without point or exponent.
        integer: Option<u64>,
    },
    /// `true`, `false`
    Bool(bool),
    /// `"tanh"`
    Str(String),
    /// `linear(256, bias = false)`, `Mlp(x)`, `f(x)`
    Call {
        /// The thing called.
        callee: Box<Expr>,
        /// The arguments in order.
        arguments: Vec<Argument>,
    },
    /// `my::op(3) -> [n, d]`: a function of Rust, whose result is written.
    Rust {
        /// The path, or its call with what it is given behind the tensors.
        call: Box<Expr>,
        /// What it gives.
        result: TensorType,
    },
    /// `wte.project`
    Member {
        /// The layer.
        of: Box<Expr>,
        /// What of it.
        name: Ident,
    },
    /// `fc1: linear(256)`, `velocity: Velocity(x, s)`, `head: ( … )`
    Label {
        /// The label.
        label: Ident,
        /// What it names.
        inner: Box<Expr>,
    },
    /// `x |> f |> g` as stages: the first is a value, the others are applied
    Pipeline(Vec<Expr>),
    /// `a + b`; the operator as written: `+ - * / == != < <= > >= && ||`
    Binary {
        /// The operator.
        op: &'static str,
        /// Left and right.
        operands: Box<[Expr; 2]>,
    },
    /// `0..1`
    Range(Box<[Expr; 2]>),
    /// `-a`, `!a`
    Unary {
        /// `-` or `!`
        op: char,
        /// The operand.
        operand: Box<Expr>,
    },
    /// `|q, k| …`
    Closure {
        /// The parameters.
        parameters: Vec<Ident>,
        /// The body.
        body: Box<Expr>,
    },
    /// `(a, b)`, and `(loss = …, correct = …)` with names
    Tuple(Vec<(Option<Ident>, Expr)>),
    /// `[n, 1]` as an argument (a shape), or a list of layers
    List(Vec<Expr>),
    /// `[layer; 6]`, `[linear(64 * i); i in 1..4]`
    Repeat {
        /// The layer.
        layer: Box<Expr>,
        /// How often.
        times: Times,
    },
    /// `[n, t, (heads e)] -> [n, heads, t, e]`
    Pattern(Pattern),
    /// `einsum(q[n, i, e], k[n, j, e] -> [n, i, j])`
    Einsum {
        /// The tensors with their axes.
        operands: Vec<Operand>,
        /// The axes of the result.
        result: Vec<PatternAxis>,
    },
    /// `if width == 8 { … } else { … }`
    If {
        /// The compile-time condition.
        condition: Box<Expr>,
        /// Then.
        yes: Block,
        /// Else.
        no: Block,
    },
    /// `{ … }` as a value, and `( … )` after a label
    Block(Block),
    /// Could not be read; already reported. Its type is unknown and causes no further error.
    Error(Reported),
}

/// Which axes of a tensor go where.
#[derive(Debug)]
pub struct Pattern {
    /// The axes as they come.
    pub from: Vec<PatternAxis>,
    /// The axes as they go.
    pub to: Vec<PatternAxis>,
}

/// `heads`, `3`, `(heads e)`
#[derive(Debug)]
pub struct PatternAxis {
    /// Names and numbers, of which the size of the axis is the product.
    pub parts: Vec<Size>,
    /// Whether they stand in parentheses.
    pub grouped: bool,
    /// Where it stands.
    pub span: Span,
}

/// `q[n, i, e]`
#[derive(Debug)]
pub struct Operand {
    /// The tensor.
    pub tensor: Expr,
    /// Its axes.
    pub axes: Vec<PatternAxis>,
}

/// How often a layer is repeated.
#[derive(Debug)]
pub enum Times {
    /// `6`
    Count(Size),
    /// `i in 1..4`
    Range {
        /// The name of the number, which differs from layer to layer.
        index: Ident,
        /// The first number, and the one after the last.
        bounds: Box<[Size; 2]>,
    },
}

/// `x`, or `over = Digit`, or the shorthand `stride`
#[derive(Debug)]
pub struct Argument {
    /// The name before `=`.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}
