//! The check of a declared net: the compiled gradient of its loss against finite differences of the compiled loss.

use super::compiled::Compiled;
use super::{Domain, Failure, Input, Passed, Settings, derivative};
use crate::graph::{DType, Graph, NodeId, StateKind};
use crate::kernel::schedule::Home;
use crate::nn::{self, Init, Net, Seeded, Source};
use crate::{Device, Error, Result, grad};
use std::cell::RefCell;

/// How a net is checked.
#[derive(Clone, Debug)]
pub struct NetSettings {
    /// How thorough the check is, for each of the sizes.
    pub settings: Settings,
    /// Run-time dimensions to try, in the order of their first appearance in the declaration; each list is repeated as
    /// often as the net has dimensions.
    pub sizes: Vec<Vec<usize>>,
    /// Where the elements of an input or a parameter come from, by its name or key, if not from the usual: inputs from
    /// [−2, 2], parameters from where they start (constant ones from half around).
    pub domains: Vec<(String, Domain)>,
    /// Where loss and gradient are computed.
    pub device: Device,
}

impl Default for NetSettings {
    /// Sixteen points at each of three small sizes.
    fn default() -> Self {
        NetSettings {
            settings: Settings { cases: 16, ..Settings::default() },
            sizes: vec![vec![1], vec![2, 3], vec![5, 2]],
            domains: vec![],
            device: Device::cpu(),
        }
    }
}

/// So many run-time dimensions a net may have.
const DIMS: usize = 16;

/// Checks the gradient of a net's loss, in f64, as it is trained: with respect to all parameters and float inputs at
/// once, in random directions, the compiled gradient against finite differences of the compiled loss. Indices are drawn
/// within their spaces; buffers and the key of random draws are held.
///
/// The loss is the scalar result named `loss`, or the only result if that is a scalar.
///
/// # Errors
/// Where the gradient is wrong, narrowed down to one element of a parameter or input, the last in the order of the net; or why
/// it could not be judged.
pub fn net<N: Net<f64>>(settings: &NetSettings) -> Result<Passed, Failure> {
    let mut total = Passed { checked: 0, kinks: 0 };
    for sizes in &settings.sizes {
        let dims: Vec<usize> = sizes.iter().copied().cycle().take(DIMS).collect();
        let passed = at_size::<N>(&dims, settings)?;
        total = Passed { checked: total.checked + passed.checked, kinks: total.kinks + passed.kinks };
    }
    Ok(total)
}

/// Declares a test that the gradient of a net is right: `gradcheck!(Risk)`. See [`net`](crate::check::net()).
///
/// The test has the name of the net, which may stand at the end of a path: `gradcheck!(models::Risk)`. After the net may follow run-time sizes to try and domains of inputs and parameters:
///
/// ```
/// # use ansatz::check::Domain;
/// # mod nets { pub struct Risk<E>(E); }
/// # macro_rules! example { ($($t:tt)*) => {} }
/// # example! {
/// ansatz::gradcheck!(Risk, sizes = [[4], [7]], "x" = Domain::reals(0.1, 1.0));
/// # }
/// ```
///
/// `gradcheck!(Risk, device = Device::cuda(0))` checks what a GPU computes; the device comes before all else.
#[macro_export]
macro_rules! gradcheck {
    ($net:ident $($rest:tt)*) => { $crate::gradcheck!(@ [$net] $net $($rest)*); };
    (@ [$($path:tt)*] $_:ident :: $net:ident $($rest:tt)*) => {
        $crate::gradcheck!(@ [$($path)* :: $net] $net $($rest)*);
    };
    (@ [$($path:tt)*] $net:ident $(, device = $device:expr)? $(, sizes = [$([$($size:expr),* $(,)?]),* $(,)?])? $(, $name:literal = $domain:expr)* $(,)?) => {
        #[test]
        #[allow(non_snake_case)]
        fn $net() {
            #[allow(unused_mut)]
            let mut settings = $crate::check::NetSettings::default();
            $(match $device {
                ::core::result::Result::Ok(device) => settings.device = device,
                ::core::result::Result::Err(problem) => ::core::panic!("{problem}"),
            })?
            $(settings.sizes = ::std::vec![$(::std::vec![$($size),*]),*];)?
            $(settings.domains.push(($name.into(), $domain));)*
            if let ::core::result::Result::Err(failure) = $crate::check::net::<$($path)*<f64>>(&settings) {
                ::core::panic!("{failure}");
            }
        }
    };
}

fn at_size<N: Net<f64>>(dims: &[usize], settings: &NetSettings) -> Result<Passed, Failure> {
    let mut value = nn::trace::<f64, N>(dims, true)?;
    let loss = loss::<N>(&value)?;
    value.outputs.retain(|(_, id)| *id == loss);
    value.outputs.truncate(1);
    // Buffers are held: the check is of a function, not of a step.
    value.states.iter_mut().for_each(|slot| slot.update = None);
    let (arguments, held) = arguments::<N>(&value, settings)?;
    let gradient = gradient(&value, loss, &arguments)?;

    let inputs: Vec<Input> = arguments.iter().map(|argument| argument.input.clone()).collect();
    let (value, gradient) = (
        RefCell::new(Compiled::new(&value, &settings.device)?),
        RefCell::new(Compiled::new(&gradient, &settings.device)?),
    );
    let run = |program: &RefCell<Compiled>, point: &[Vec<f64>]| {
        let mut states = held.clone();
        let mut inputs = Vec::new();
        for (argument, values) in arguments.iter().zip(point) {
            match argument.place {
                Place::State(slot) => states[slot].clone_from(values),
                Place::Input => inputs.push(values.clone()),
            }
        }
        program.borrow_mut().run(&states, &inputs)
    };
    derivative(
        &inputs,
        |point| Ok(run(&value, point)?.concat()),
        |point, cotangent| {
            let mut found = run(&gradient, point)?.into_iter();
            let scaled = |values: Vec<f64>| values.into_iter().map(|d| d * cotangent[0]).collect();
            let real = |argument: &Argument| matches!(argument.input.domain, Domain::Reals { .. });
            Ok(arguments.iter().map(|a| if real(a) { found.next().map_or(vec![], scaled) } else { vec![] }).collect())
        },
        &settings.settings,
    )
}

/// The loss of a net's graph.
fn loss<N: Net<f64>>(graph: &Graph) -> Result<NodeId> {
    let scalar = |id: &NodeId| graph[*id].dims.is_empty() && graph[*id].dtype.is_float();
    let found = match graph.outputs() {
        [(_, only)] => Some(only),
        several => several.iter().find(|(name, _)| name == "loss").map(|(_, id)| id),
    };
    found.copied().filter(scalar).ok_or_else(|| {
        let results: Vec<String> =
            graph.outputs().iter().map(|(name, id)| format!("`{name}` of shape {:?}", graph[*id].dims)).collect();
        Error::value(format!(
            "`{}` has no loss to differentiate, which is its only result or the one named `loss`, and a scalar; its \
             results are {}",
            N::NAME,
            results.join(", ")
        ))
    })
}

/// What the loss is a function of.
struct Argument {
    input: Input,
    place: Place,
    node: NodeId,
}

enum Place {
    State(usize),
    Input,
}

/// The parameters and inputs of a net, and the values of all its states: buffers where they start, a fixed key, zeros.
fn arguments<N: Net<f64>>(graph: &Graph, settings: &NetSettings) -> Result<(Vec<Argument>, Vec<Vec<f64>>)> {
    let slots = nn::slots::<f64, N>();
    let start = |key: &str| slots.iter().find(|slot| slot.key == key).map(|slot| slot.init.resolved(&slot.dims));
    let chosen = |name: &str| settings.domains.iter().find(|(known, _)| known == name).map(|(_, domain)| *domain);
    let argument = |name: &str, domain: Domain, place: Place, id: NodeId| {
        let input = Input::tensor(name, &graph[id].dims, chosen(name).unwrap_or(domain));
        Argument { input, place, node: id }
    };
    let mut held: Vec<Vec<f64>> = Vec::new();
    for state in graph.states() {
        let len = state.dims.iter().product();
        let slot = slots.iter().find(|slot| slot.key == state.key);
        held.push(match slot {
            Some(slot) => Seeded::new(7).tensor(slot)?,
            None => vec![if state.kind == StateKind::Key { 7.0 } else { 0.0 }; len],
        });
    }
    let mut arguments = Vec::new();
    for (id, node) in graph.nodes() {
        if let Some(Home::State(i)) = node.given()
            && graph.states()[i].kind == StateKind::Parameter
        {
            let key = &graph.states()[i].key;
            let domain = match start(key) {
                Some(Init::Uniform(from, to)) if from < to => Domain::reals(from, to),
                Some(Init::Normal(deviation) | Init::TruncatedNormal(deviation)) if deviation > 0.0 => {
                    Domain::reals(-2.0 * deviation, 2.0 * deviation)
                }
                Some(Init::Constant(value)) => Domain::reals(value - 0.5, value + 0.5),
                _ => Domain::reals(-0.5, 0.5),
            };
            arguments.push(argument(key, domain, Place::State(i), id));
        }
        if let Some(Home::Input(i)) = node.given() {
            let slot = &graph.inputs()[i];
            let domain = match slot.dtype {
                DType::F32 | DType::F64 | DType::Bf16 => Domain::reals(-2.0, 2.0),
                // Without a known space any index is as good as another.
                DType::Index => Domain::Indices(slot.space.unwrap_or(2)),
                DType::Bool => Domain::Bools,
            };
            arguments.push(argument(&slot.name, domain, Place::Input, id));
        }
    }
    // Inputs come in the order of the run, and then parameters in that of the net: what is wrong in one place is wrong for
    // all before it, and the last is nearest to the place.
    arguments.sort_by_key(|argument| {
        if let Some(Home::Input(i)) = graph[argument.node].given() { (0, i) } else { (1, argument.node.index()) }
    });
    Ok((arguments, held))
}

/// The graph whose outputs are the derivatives of the loss with respect to each real argument, in order.
fn gradient(graph: &Graph, loss: NodeId, arguments: &[Argument]) -> Result<Graph> {
    let mut graph = graph.clone();
    let real = |argument: &&Argument| matches!(argument.input.domain, Domain::Reals { .. });
    let wrt: Vec<&Argument> = arguments.iter().filter(real).collect();
    let nodes: Vec<NodeId> = wrt.iter().map(|argument| argument.node).collect();
    let derivatives = grad::grad(&mut graph, loss, &nodes)?;
    graph.outputs.clear();
    for (argument, d) in wrt.iter().zip(derivatives) {
        graph.output(argument.input.name.clone(), d);
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Batch, BatchOf, Linear, Model, Path, Visitor};
    use crate::tensor::{
        Const, Cpu, CrossEntropy, Feed, In, Scope, Tensor, cross_entropy, dropout, relu, stop_gradient,
    };

    /// A multi-layer perceptron with a cross-entropy loss; if `CUT`, without the derivative of its hidden layer.
    struct Risk<const CUT: bool> {
        fc1: Linear<Const<3>, Const<6>, f64>,
        fc2: Linear<Const<6>, Const<4>, f64>,
    }

    struct Nothing;

    impl Batch for Nothing {
        fn dims(&self) -> Result<Vec<usize>> {
            Ok(vec![])
        }

        fn feed(&self, _: &mut Feed) {}
    }

    impl<const CUT: bool> BatchOf<Risk<CUT>> for Nothing {}

    impl<const CUT: bool> Model<f64> for Risk<CUT> {
        const PARAMETERS: usize = 3 * 6 + 6 + 6 * 4 + 4;

        fn describe(path: &Path, slots: &mut Vec<nn::Slot>) {
            Linear::<Const<3>, Const<6>, f64>::describe(&path.child("fc1"), slots);
            Linear::<Const<6>, Const<4>, f64>::describe(&path.child("fc2"), slots);
        }

        fn build(path: &Path, source: &mut dyn Source<f64>) -> Result<Self> {
            Ok(Risk { fc1: Model::build(&path.child("fc1"), source)?, fc2: Model::build(&path.child("fc2"), source)? })
        }

        fn visit(&self, path: &Path, visitor: &mut dyn Visitor<f64>) -> Result<()> {
            self.fc1.visit(&path.child("fc1"), visitor)?;
            self.fc2.visit(&path.child("fc2"), visitor)
        }
    }

    impl<const CUT: bool> Net<f64> for Risk<CUT> {
        const NAME: &'static str = "Risk";
        const INPUTS: &'static [&'static str] = &["x", "y"];
        const OUTPUTS: &'static [&'static str] = &["loss", "logits"];
        type Batch = Nothing;
        type Output = Tensor<(), f64, Cpu>;
        type Loss = crate::nn::HasLoss;

        fn trace(scope: &Scope, dims: &[usize]) -> Vec<NodeId> {
            let x = scope.input::<(usize, Const<3>), f64>("x", (dims[0], Const));
            let y = scope.input::<(usize,), In<Const<4>>>("y", (dims[0],));
            let hidden = relu(&Linear::<Const<3>, Const<6>, f64>::record(&scope.child("fc1"), &x));
            let hidden = dropout(&scope.child("dropout1"), &hidden, 0.3);
            let hidden = if CUT { stop_gradient(&hidden) } else { hidden };
            let logits = Linear::<Const<6>, Const<4>, f64>::record(&scope.child("fc2"), &hidden);
            let loss = cross_entropy(&logits, &y, CrossEntropy::default());
            vec![loss.id(), logits.id()]
        }
    }

    #[test]
    fn the_gradient_of_a_right_net_passes_at_all_sizes() {
        let passed = net::<Risk<false>>(&NetSettings::default()).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(passed.checked, 48);
    }

    #[test]
    fn a_wrong_gradient_is_found_and_named() {
        let failure = net::<Risk<true>>(&NetSettings::default()).expect_err("the first layer has no derivative");
        let Failure::Derivative { name, analytic, numeric, .. } = &failure else { panic!("{failure}") };
        assert!(name.starts_with("fc1."), "{failure}");
        assert!(*analytic == 0.0 && *numeric != 0.0, "{failure}");
    }

    #[test]
    fn a_net_without_a_loss_is_told_so() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2], DType::F64);
        graph.output("a", x);
        graph.output("b", x);
        assert_eq!(
            loss::<Risk<false>>(&graph).unwrap_err().to_string(),
            "`Risk` has no loss to differentiate, which is its only result or the one named `loss`, and a scalar; its \
             results are `a` of shape [2], `b` of shape [2]"
        );
    }

    #[test]
    fn indices_stay_within_their_space_and_parameters_where_they_start() {
        let graph = nn::trace::<f64, Risk<false>>(&[5], true).unwrap();
        let settings = NetSettings { domains: vec![("x".into(), Domain::reals(0.0, 1.0))], ..Default::default() };
        let (arguments, held) = arguments::<Risk<false>>(&graph, &settings).expect("buffers start");
        let domain = |name: &str| arguments.iter().find(|a| a.input.name == name).map(|a| a.input.domain);
        assert_eq!(domain("y"), Some(Domain::Indices(4)));
        assert_eq!(domain("x"), Some(Domain::reals(0.0, 1.0)));
        let bound = 1.0 / 3f64.sqrt();
        assert_eq!(domain("fc1.bias"), Some(Domain::reals(-bound, bound)));
        assert_eq!(domain("key"), None);
        assert_eq!(held.len(), graph.states().len());
    }
}
