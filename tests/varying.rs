//! Layers whose parameters change with time: interpolation, residual networks, and gradients by every method.

use ansatz::nn::{self, Model};
use ansatz::ode;
use ansatz::prelude::*;
use ansatz::tensor::HostTensor;
use proptest::prelude::*;

net! {
    pub dim Plane = 2;

    pub net Block(x: [n, Plane], s: []) -> [n, Plane] { tanh(linear(5)(x) + s) |> linear(Plane) }

    /// Three nodes at s = 0, ½, 1.
    pub net Between(x: [n, Plane], s: []) -> [n, Plane] { varying(x, s, field: [Block; 3]) }
    /// Over another time, labelled from outside.
    pub net Later(x: [n, Plane], s: []) -> [n, Plane] { field: varying(x, s, [Block; 3], span = 2..-2) }
    pub net Parts(x: [n, Plane], s: []) -> [n, Plane] { x |> varying(s, field: [Block; 3], between = constant) }

    /// A residual network, as an equation.
    pub net Residual(x: [n, Plane]) -> [n, Plane] {
        ode(x, s = 0..1, by = euler(10), field: varying([Block; 10], between = constant))
    }
    pub net Pieces(x: [n, Plane]) -> [n, Plane] {
        ode(x, s = 0..1.5, by = rk4(6), |x, s| varying(x, s, field: [Block; 3], between = constant, span = 0..1.5))
    }

    pub net Stored(x: [n, Plane]) -> [] {
        ode(x, s = 0..1, by = rk4(60), field: varying([Block; 3])) |> square |> mean
    }
    pub net Recomputed(x: [n, Plane]) -> [] {
        ode(x, s = 0..1, by = rk4(60), gradient = recompute, field: varying([Block; 3])) |> square |> mean
    }
    pub net Adjoint(x: [n, Plane]) -> [] {
        ode(x, s = 0..1, by = rk4(60), gradient = adjoint, field: varying([Block; 3])) |> square |> mean
    }
    pub net StoredParts(x: [n, Plane]) -> [] {
        ode(x, s = 0..1, by = rk4(60), field: varying([Block; 3], between = constant)) |> square |> mean
    }
    pub net AdjointParts(x: [n, Plane]) -> [] {
        ode(x, s = 0..1, by = rk4(60), gradient = adjoint, field: varying([Block; 3], between = constant))
            |> square |> mean
    }

    /// Layers from outside, and of several kinds; time itself is no constant, and stays between two nodes, for a
    /// difference that reaches over a node says nothing of the slopes on both sides.
    pub net Wide(x: [n, Plane], t: [Plane]) -> [] {
        let shared = linear(4);
        let s = 0.1 + 0.2 * sigmoid(mean(t));
        varying(x, s, field: [|x, s| shared(x) |> layer_norm |> tanh |> linear(Plane) |> freeze(linear(Plane)); 4]) |> square |> mean
    }
    /// A layer of layers that vary.
    pub net Nested(x: [n, Plane], u: [], v: []) -> [] {
        let (s, t) = (0.5 * sigmoid(u), 0.1 + 0.8 * sigmoid(v));
        varying(x, s, outer: [|x| varying(x, t, inner: [linear(Plane); 2]) |> tanh; 3]) |> square |> mean
    }
    /// The density of a flow.
    pub net Likelihood(x: [n, Plane]) -> [] {
        let (z, log_det) = cnf(x, s = 1..0, by = rk4(6), gradient = recompute, field: varying([Block; 3]));
        -mean(normal_log_prob(z, over = Plane) + log_det)
    }
}

/// The numbers of a model, one tensor after the other.
fn numbers<E: ansatz::tensor::Float, M: Model<E>>(model: &M) -> Vec<Vec<f64>> {
    struct All(Vec<Vec<f64>>);
    impl<E: ansatz::tensor::Float> nn::Visitor<E> for All {
        fn tensor(&mut self, _: &nn::Slot, tensor: &dyn HostTensor<E>) -> Result<()> {
            self.0.push(tensor.to_vec().iter().map(|&x| ansatz::tensor::Float::to_f64(x)).collect());
            Ok(())
        }
    }
    let mut all = All(vec![]);
    model.visit(&nn::Path::root(), &mut all).expect("every tensor can be read");
    all.0
}

/// A block whose parameters are sums of those of others.
fn mixed(blocks: &[Block<f64>], weights: &[f64]) -> Block<f64> {
    struct Given(std::vec::IntoIter<Vec<f64>>);
    impl nn::Source<f64> for Given {
        fn tensor(&mut self, _: &nn::Slot) -> Result<Vec<f64>> {
            Ok(self.0.next().expect("as many tensors"))
        }
    }
    let mut sums: Vec<Vec<f64>> = numbers(&blocks[0]).into_iter().map(|tensor| vec![0.0; tensor.len()]).collect();
    for (block, weight) in blocks.iter().zip(weights) {
        for (sum, tensor) in sums.iter_mut().zip(numbers(block)) {
            sum.iter_mut().zip(tensor).for_each(|(sum, x)| *sum += weight * x);
        }
    }
    Block::build(&nn::Path::root(), &mut Given(sums.into_iter())).expect("the tensors have their lengths")
}

fn points<E: ansatz::tensor::Float>(rows: usize) -> Tensor<(usize, Plane), E, Cpu> {
    let numbers = (0..2 * rows).map(|i| ansatz::tensor::Float::from_f64((1.3 * i as f64 + 0.4).sin())).collect();
    from_vec(numbers, (rows, Plane)).expect("two each")
}

fn time(s: f64) -> Tensor<(), f64, Cpu> {
    from_vec(vec![s], ()).expect("one number")
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * (1.0 + e.abs()), "{f} is not {e}");
    }
}

#[test]
fn keys_and_counts_are_those_of_the_layers() {
    let keys: Vec<String> = nn::slots::<f32, Stored>().into_iter().map(|slot| slot.key).collect();
    assert_eq!(keys[0], "field.0.linear1.weight");
    assert_eq!(keys[11], "field.2.linear2.bias");
    assert_eq!(keys.len(), 12);
    assert_eq!(nn::slots::<f32, Later>()[4].key, "field.1.linear1.weight");
    assert_eq!(Stored::PARAMETERS, 3 * (2 * 5 + 5 + 5 * 2 + 2));
    // One layer is computed at each stage.
    assert_eq!(Stored::multiply_adds(1), 60 * 4 * (2 * 5 + 5 * 2));
}

#[test]
fn at_a_node_it_is_the_layer_of_the_node() -> Result<()> {
    let (net, later): (Between<f64>, Later<f64>) = (Between::init(3), Later::init(4));
    for (i, s) in [0.0, 0.5, 1.0].into_iter().enumerate() {
        let expected = to_vec(&net.field[i].forward(points(4), time(s))?);
        assert_eq!(to_vec(&net.forward(points(4), time(s))?), expected);
        // The other way round, from 2 to −2.
        let s = 2.0 - 4.0 * s;
        let expected = to_vec(&later.field[i].forward(points(4), time(s))?);
        assert_eq!(to_vec(&later.forward(points(4), time(s))?), expected);
    }
    let net = Parts { field: net.field };
    for (i, s) in [(0, -3.0), (0, 0.0), (0, 0.33), (1, 0.34), (1, 0.66), (2, 0.67), (2, 1.0), (2, 9.0)] {
        let expected = to_vec(&net.field[i].forward(points(4), time(s))?);
        assert_eq!(to_vec(&net.forward(points(4), time(s))?), expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn between_nodes_parameters_lie_on_a_line(seed in 0u64..1000, s in -0.5f64..1.5) {
        let net: Between<f64> = Between::init(seed);
        let at = 2.0 * s.clamp(0.0, 1.0);
        let weights = [(1.0 - at).max(0.0), 1.0 - (at - 1.0).abs(), (at - 1.0).max(0.0)];
        let expected = mixed(&net.field, &weights).forward(points(3), time(s))?;
        assert_near(&to_vec(&net.forward(points(3), time(s))?), &to_vec(&expected), 1e-12);
    }
}

#[test]
fn steps_of_euler_over_as_many_layers_are_a_residual_network() -> Result<()> {
    let net: Residual<f32> = Residual::init(5);
    let mut x = points::<f32>(4);
    for (i, block) in net.field.iter().enumerate() {
        let step = to_vec(&block.forward(x.clone(), from_vec(vec![0.1 * i as f32], ())?)?);
        x = from_vec(to_vec(&x).iter().zip(step).map(|(x, step)| x + 0.1 * step).collect(), (4, Plane))?;
    }
    let wide = |x: Vec<f32>| x.into_iter().map(f64::from).collect::<Vec<_>>();
    assert_near(&wide(to_vec(&net.forward(points(4))?)), &wide(to_vec(&x)), 1e-6);
    Ok(())
}

#[test]
fn a_step_sees_one_layer() -> Result<()> {
    let net: Pieces<f64> = Pieces::init(6);
    let mut x = to_vec(&points::<f64>(4));
    for (i, block) in net.field.iter().enumerate() {
        let field = |s: f64, x: &[f64], slope: &mut [f64]| {
            slope.copy_from_slice(&to_vec(&block.forward(from_vec(x.to_vec(), (4, Plane))?, time(s))?));
            Ok(())
        };
        x = ode::rk4(2).solve(field, 0.5 * i as f64..0.5 * (i + 1) as f64, &x)?.y;
    }
    assert_near(&to_vec(&net.forward(points(4))?), &x, 1e-12);
    Ok(())
}

/// Each way to the gradient, for every node.
#[test]
fn the_adjoint_gradient_is_the_discrete_one() -> Result<()> {
    let near = |found: Vec<Vec<f64>>, expected: Vec<Vec<f64>>, tolerance| {
        assert_eq!(expected.len(), 12);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(expected.iter().any(|x| x.abs() > 1e-4), "{expected:?}");
            assert_near(found, expected, tolerance);
        }
    };
    let (loss, stored) = Stored::<f64>::init(2).gradient(&StoredBatch { x: points(5) })?;
    let (same, recomputed) = Recomputed::<f64>::init(2).gradient(&RecomputedBatch { x: points(5) })?;
    let (again, adjoint) = Adjoint::<f64>::init(2).gradient(&AdjointBatch { x: points(5) })?;
    assert_near(&[to_vec(&same), to_vec(&again)].concat(), &[to_vec(&loss), to_vec(&loss)].concat(), 1e-14);
    near(numbers(&recomputed), numbers(&stored), 1e-13);
    near(numbers(&adjoint), numbers(&stored), 1e-7);
    let (loss, stored) = StoredParts::<f64>::init(2).gradient(&StoredPartsBatch { x: points(5) })?;
    let (same, adjoint) = AdjointParts::<f64>::init(2).gradient(&AdjointPartsBatch { x: points(5) })?;
    assert_near(&to_vec(&same), &to_vec(&loss), 1e-14);
    near(numbers(&adjoint), numbers(&stored), 1e-7);
    Ok(())
}

/// The weights of a layer of layers are products.
#[test]
fn layers_that_vary_may_hold_others() -> Result<()> {
    let net: Nested<f64> = Nested::init(7);
    assert_eq!(nn::slots::<f32, Nested>()[3].key, "outer.0.inner.1.bias");
    let mix = |get: &dyn Fn(usize, usize) -> Vec<f64>| -> Vec<f64> {
        let weights = [(0, 0, 0.15), (0, 1, 0.35), (1, 0, 0.15), (1, 1, 0.35)];
        let parts = weights.map(|(i, j, weight)| get(i, j).into_iter().map(|x| weight * x).collect::<Vec<_>>());
        (0..parts[0].len()).map(|i| parts.iter().map(|part| part[i]).sum()).collect()
    };
    let weight = mix(&|i, j| to_vec(&net.outer[i].inner[j].weight));
    let bias = mix(&|i, j| to_vec(&net.outer[i].inner[j].bias));
    let x = to_vec(&points::<f64>(3));
    let y =
        x.chunks(2).flat_map(|x| [0, 1].map(|o| (weight[2 * o] * x[0] + weight[2 * o + 1] * x[1] + bias[o]).tanh()));
    let expected = y.map(|y| y * y).sum::<f64>() / 6.0;
    // So s is ¼, and t is 0.7.
    let found = to_vec(&net.forward(points(3), time(0.0), time(3f64.ln()))?)[0];
    assert_near(&[found], &[expected], 1e-12);
    Ok(())
}

ansatz::gradcheck!(Stored);
ansatz::gradcheck!(Recomputed);
ansatz::gradcheck!(StoredParts);
ansatz::gradcheck!(Wide);
ansatz::gradcheck!(Nested);
ansatz::gradcheck!(Likelihood);
