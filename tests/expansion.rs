//! What `net!` expands to, written by hand:
//!
//! ```text
//! pub dim Pixels = 4;
//! pub dim Digit = 3;
//! /// A multi-layer perceptron.
//! pub net Mlp(x: [n, Pixels]) -> [n, Digit] {
//!     x |> fc1: linear(5) |> relu |> dropout(0.1) |> fc3: linear(Digit)
//! }
//! /// The empirical risk.
//! pub net Risk(x: [n, Pixels], y: [n] in Digit) -> (loss: [], correct: []) {
//!     let logits = mlp: Mlp(x);
//!     (loss = cross_entropy(logits, y), correct = mean(argmax(logits, over = Digit) == y))
//! }
//! ```

use ansatz::graph::{Graph, Op};
use ansatz::nn::{self, Model, Net};
use ansatz::tensor::{Feed, Indices, from_vec};

// ---- as generated -----------------------------------------------------------------------------------------------

::ansatz::declare_dim! {
    pub struct Pixels = 4, 1 0 0
}
::ansatz::declare_dim! {
    pub struct Digit = 3, 1 1
}

/// A multi-layer perceptron.
#[derive(Clone, Debug)]
pub struct Mlp<E: ::ansatz::tensor::Float = f32> {
    /// `linear(5)`: [n, Pixels] → [n, 5]
    pub fc1: ::ansatz::nn::Linear<Pixels, ::ansatz::tensor::Const<5>, E>,
    /// `linear(Digit)`: [n, 5] → [n, Digit]
    pub fc3: ::ansatz::nn::Linear<::ansatz::tensor::Const<5>, Digit, E>,
}

impl<E: ::ansatz::tensor::Float> ::ansatz::nn::Model<E> for Mlp<E> {
    const PARAMETERS: usize =
        <::ansatz::nn::Linear<Pixels, ::ansatz::tensor::Const<5>, E> as ::ansatz::nn::Model<E>>::PARAMETERS
            + <::ansatz::nn::Linear<::ansatz::tensor::Const<5>, Digit, E> as ::ansatz::nn::Model<E>>::PARAMETERS;

    fn describe(path: &::ansatz::nn::Path, slots: &mut ::std::vec::Vec<::ansatz::nn::Slot>) {
        <::ansatz::nn::Linear<Pixels, ::ansatz::tensor::Const<5>, E> as ::ansatz::nn::Model<E>>::describe(
            &path.child("fc1"),
            slots,
        );
        <::ansatz::nn::Linear<::ansatz::tensor::Const<5>, Digit, E> as ::ansatz::nn::Model<E>>::describe(
            &path.child("fc3"),
            slots,
        );
    }

    fn build(path: &::ansatz::nn::Path, source: &mut dyn ::ansatz::nn::Source<E>) -> ::ansatz::Result<Self> {
        ::core::result::Result::Ok(Self {
            fc1: ::ansatz::nn::Model::build(&path.child("fc1"), source)?,
            fc3: ::ansatz::nn::Model::build(&path.child("fc3"), source)?,
        })
    }

    fn visit(&self, path: &::ansatz::nn::Path, visitor: &mut dyn ::ansatz::nn::Visitor<E>) -> ::ansatz::Result<()> {
        ::ansatz::nn::Model::visit(&self.fc1, &path.child("fc1"), visitor)?;
        ::ansatz::nn::Model::visit(&self.fc3, &path.child("fc3"), visitor)?;
        ::core::result::Result::Ok(())
    }
}

impl<E: ::ansatz::tensor::Float> Mlp<E> {
    /// Records the net on a graph.
    pub fn record<N: ::ansatz::tensor::Dim>(
        scope: &::ansatz::tensor::Scope,
        x: &::ansatz::tensor::Var<(N, Pixels), E>,
    ) -> ::ansatz::tensor::Var<(N, Digit), E> {
        let __1: ::ansatz::tensor::Var<(N, ::ansatz::tensor::Const<5>), E> =
            <::ansatz::nn::Linear<Pixels, ::ansatz::tensor::Const<5>, E>>::record(&scope.child("fc1"), x);
        let __2: ::ansatz::tensor::Var<(N, ::ansatz::tensor::Const<5>), E> = ::ansatz::tensor::relu(&__1);
        let __3: ::ansatz::tensor::Var<(N, ::ansatz::tensor::Const<5>), E> =
            ::ansatz::tensor::dropout(&scope.child("dropout1"), &__2, 0.1);
        let __4: ::ansatz::tensor::Var<(N, Digit), E> =
            <::ansatz::nn::Linear<::ansatz::tensor::Const<5>, Digit, E>>::record(&scope.child("fc3"), &__3);
        __4
    }

    /// Multiply-adds of one forward pass.
    pub fn multiply_adds(n: usize) -> u64 {
        n as u64
            * (<::ansatz::nn::Linear<Pixels, ::ansatz::tensor::Const<5>, E>>::MULTIPLY_ADDS
                + <::ansatz::nn::Linear<::ansatz::tensor::Const<5>, Digit, E>>::MULTIPLY_ADDS)
    }

    /// A net with initial parameters.
    pub fn init(seed: u64) -> Self {
        ::ansatz::nn::init(seed)
    }
}

/// The inputs of [`Mlp`].
#[derive(Clone, Debug)]
pub struct MlpBatch<E: ::ansatz::tensor::Float = f32, N: ::ansatz::tensor::Dim = usize> {
    pub x: ::ansatz::tensor::Tensor<(N, Pixels), E, ::ansatz::tensor::Cpu>,
}

impl<E: ::ansatz::tensor::Float, N: ::ansatz::tensor::Dim> ::ansatz::nn::BatchOf<Mlp<E>> for MlpBatch<E, N> {}

impl<E: ::ansatz::tensor::Float, N: ::ansatz::tensor::Dim> ::ansatz::nn::Batch for MlpBatch<E, N> {
    fn dims(&self) -> ::ansatz::Result<::std::vec::Vec<usize>> {
        let mut bindings = ::ansatz::nn::Bindings::default();
        bindings.bind("n", "x", ::ansatz::tensor::Dim::size(&::ansatz::tensor::HasShape::shape(&self.x).0))?;
        ::core::result::Result::Ok(bindings.sizes())
    }

    fn feed(&self, feed: &mut ::ansatz::tensor::Feed) {
        feed.tensor(&self.x);
    }
}

impl<E: ::ansatz::tensor::Float> ::ansatz::nn::Net<E> for Mlp<E> {
    const NAME: &'static str = "Mlp";
    const INPUTS: &'static [&'static str] = &["x"];
    const OUTPUTS: &'static [&'static str] = &["output"];
    type Batch = MlpBatch<E>;
    type Output = ::ansatz::tensor::Tensor<(usize, Digit), E, ::ansatz::tensor::Cpu>;

    fn trace(scope: &::ansatz::tensor::Scope, dims: &[usize]) -> ::std::vec::Vec<::ansatz::graph::NodeId> {
        let n = dims[0];
        let x = scope.input::<(usize, Pixels), E>("x", (n, Pixels));
        let output = Self::record(scope, &x);
        ::std::vec![output.id()]
    }
}

/// The empirical risk.
#[derive(Clone, Debug)]
pub struct Risk<E: ::ansatz::tensor::Float = f32> {
    /// `Mlp`: [n, Pixels] → [n, Digit]
    pub mlp: Mlp<E>,
}

impl<E: ::ansatz::tensor::Float> ::ansatz::nn::Model<E> for Risk<E> {
    const PARAMETERS: usize = <Mlp<E> as ::ansatz::nn::Model<E>>::PARAMETERS;

    fn describe(path: &::ansatz::nn::Path, slots: &mut ::std::vec::Vec<::ansatz::nn::Slot>) {
        <Mlp<E> as ::ansatz::nn::Model<E>>::describe(&path.child("mlp"), slots);
    }

    fn build(path: &::ansatz::nn::Path, source: &mut dyn ::ansatz::nn::Source<E>) -> ::ansatz::Result<Self> {
        ::core::result::Result::Ok(Self { mlp: ::ansatz::nn::Model::build(&path.child("mlp"), source)? })
    }

    fn visit(&self, path: &::ansatz::nn::Path, visitor: &mut dyn ::ansatz::nn::Visitor<E>) -> ::ansatz::Result<()> {
        ::ansatz::nn::Model::visit(&self.mlp, &path.child("mlp"), visitor)?;
        ::core::result::Result::Ok(())
    }
}

impl<E: ::ansatz::tensor::Float> Risk<E> {
    /// Records the net on a graph.
    #[allow(clippy::type_complexity)]
    pub fn record<N: ::ansatz::tensor::Dim>(
        scope: &::ansatz::tensor::Scope,
        x: &::ansatz::tensor::Var<(N, Pixels), E>,
        y: &::ansatz::tensor::Var<(N,), ::ansatz::tensor::In<Digit>>,
    ) -> (::ansatz::tensor::Var<(), E>, ::ansatz::tensor::Var<(), E>) {
        let logits: ::ansatz::tensor::Var<(N, Digit), E> = <Mlp<E>>::record(&scope.child("mlp"), x);
        let __1: ::ansatz::tensor::Var<(), E> =
            ::ansatz::tensor::cross_entropy(&logits, y, ::ansatz::tensor::CrossEntropy::default());
        let __2: ::ansatz::tensor::Var<(N,), ::ansatz::tensor::In<Digit>> =
            ::ansatz::tensor::argmax::<_, _, ::ansatz::tensor::Axis<1>, _, _>(&logits);
        let __3: ::ansatz::tensor::Var<(N,), bool> = ::ansatz::tensor::equal(&__2, y);
        let __4: ::ansatz::tensor::Var<(N,), E> = ::ansatz::tensor::to_float(&__3);
        let __5: ::ansatz::tensor::Var<(), E> = ::ansatz::tensor::mean::<_, _, ::ansatz::tensor::Axis<0>, _>(&__4);
        (__1, __5)
    }

    /// A net with initial parameters.
    pub fn init(seed: u64) -> Self {
        ::ansatz::nn::init(seed)
    }
}

/// The inputs of [`Risk`].
#[derive(Clone, Debug)]
pub struct RiskBatch<E: ::ansatz::tensor::Float = f32, N: ::ansatz::tensor::Dim = usize> {
    pub x: ::ansatz::tensor::Tensor<(N, Pixels), E, ::ansatz::tensor::Cpu>,
    pub y: ::ansatz::tensor::Indices<(N,), Digit>,
}

impl<E: ::ansatz::tensor::Float, N: ::ansatz::tensor::Dim> ::ansatz::nn::BatchOf<Risk<E>> for RiskBatch<E, N> {}

impl<E: ::ansatz::tensor::Float, N: ::ansatz::tensor::Dim> ::ansatz::nn::Batch for RiskBatch<E, N> {
    fn dims(&self) -> ::ansatz::Result<::std::vec::Vec<usize>> {
        let mut bindings = ::ansatz::nn::Bindings::default();
        bindings.bind("n", "x", ::ansatz::tensor::Dim::size(&::ansatz::tensor::HasShape::shape(&self.x).0))?;
        bindings.bind("n", "y", ::ansatz::tensor::Dim::size(&self.y.shape().0))?;
        ::core::result::Result::Ok(bindings.sizes())
    }

    fn feed(&self, feed: &mut ::ansatz::tensor::Feed) {
        feed.tensor(&self.x);
        feed.indices(&self.y);
    }
}

/// The results of [`Risk`].
#[derive(Clone, Debug)]
pub struct RiskOutput<E: ::ansatz::tensor::Float = f32> {
    pub loss: ::ansatz::tensor::Tensor<(), E, ::ansatz::tensor::Cpu>,
    pub correct: ::ansatz::tensor::Tensor<(), E, ::ansatz::tensor::Cpu>,
}

impl<E: ::ansatz::tensor::Float> ::ansatz::nn::Outputs for RiskOutput<E> {
    fn collect(values: &[::ansatz::nn::Value<'_>]) -> ::ansatz::Result<Self> {
        ::core::result::Result::Ok(Self {
            loss: ::ansatz::nn::Outputs::collect(&values[0..=0])?,
            correct: ::ansatz::nn::Outputs::collect(&values[1..=1])?,
        })
    }
}

impl<E: ::ansatz::tensor::Float> ::ansatz::nn::Net<E> for Risk<E> {
    const NAME: &'static str = "Risk";
    const INPUTS: &'static [&'static str] = &["x", "y"];
    const OUTPUTS: &'static [&'static str] = &["loss", "correct"];
    type Batch = RiskBatch<E>;
    type Output = RiskOutput<E>;

    fn trace(scope: &::ansatz::tensor::Scope, dims: &[usize]) -> ::std::vec::Vec<::ansatz::graph::NodeId> {
        let n = dims[0];
        let x = scope.input::<(usize, Pixels), E>("x", (n, Pixels));
        let y = scope.input::<(usize,), ::ansatz::tensor::In<Digit>>("y", (n,));
        let (loss, correct) = Self::record(scope, &x, &y);
        ::std::vec![loss.id(), correct.id()]
    }
}

// ---- what it does ------------------------------------------------------------------------------------------------

fn count(graph: &Graph, which: impl Fn(&Op) -> bool) -> usize {
    graph.nodes().filter(|(_, node)| which(&node.op)).count()
}

#[test]
fn the_model_is_a_tree_of_named_tensors() {
    assert_eq!(<Risk as Model<f32>>::PARAMETERS, 4 * 5 + 5 + 5 * 3 + 3);
    assert_eq!(<Mlp>::multiply_adds(7), 7 * (4 * 5 + 5 * 3));
    let slots = nn::slots::<f32, Risk>();
    let listed: Vec<(&str, &[usize], bool)> = slots.iter().map(|s| (&*s.key, &*s.dims, s.decay)).collect();
    assert_eq!(
        listed,
        [
            ("mlp.fc1.weight", &[5, 4][..], true),
            ("mlp.fc1.bias", &[5][..], false),
            ("mlp.fc3.weight", &[3, 5][..], true),
            ("mlp.fc3.bias", &[3][..], false),
        ]
    );
}

#[test]
fn the_net_records_a_graph() {
    let graph = nn::trace::<f32, Risk>(&[6], false).expect("the net is well-formed");
    assert_eq!(graph.outputs().iter().map(|(name, _)| &**name).collect::<Vec<_>>(), Risk::<f32>::OUTPUTS);
    assert_eq!(graph.inputs().iter().map(|i| &*i.name).collect::<Vec<_>>(), Risk::<f32>::INPUTS);
    assert_eq!(count(&graph, |op| matches!(op, Op::MatMul { .. })), 2);
    assert_eq!(count(&graph, |op| matches!(op, Op::Random { .. })), 0);

    let training = nn::trace::<f32, Risk>(&[6], true).expect("the net is well-formed");
    assert_eq!(count(&training, |op| matches!(op, Op::Random { .. })), 1);
}

#[test]
fn inputs_that_disagree_are_named() {
    use ansatz::nn::Batch;
    let x = from_vec(vec![0.0f32; 8], (2, Pixels)).expect("eight values");
    let y = Indices::new(vec![0, 1, 2], (3,)).expect("digits");
    let batch = RiskBatch { x, y };
    let message = batch.dims().expect_err("2 and 3").to_string();
    assert_eq!(message, "`n` is 2 in `x` and 3 in `y`; all inputs of a batch must agree");
    let mut feed = Feed::default();
    batch.feed(&mut feed);
    assert_eq!(feed.data().len(), 2);
}
