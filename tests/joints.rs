//! Numbers at their joints: where a function bends, where rounding bites, where sizes end.

use ansatz::flow::spline;
use ansatz::grad::grad;
use ansatz::nn::init;
use ansatz::ops::interpret;
use ansatz::prelude::*;
use ansatz::tensor::{Float, Scope, Shape, Var, clamp, elu, flip, leaky_relu, mul, relu, sum};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The derivative of a function of one number at each of some.
fn slopes(x: &[f64], f: impl Fn(&Var<(usize,), f64>) -> Var<(usize,), f64>) -> Vec<f64> {
    let scope = Scope::new(true);
    let input = scope.input("x", (x.len(),));
    let y = f(&input);
    let total = sum::<(usize,), (), <(usize,) as Shape>::AllAxes, f64>(&y);
    let mut graph = scope.finish().unwrap();
    let gradient = grad(&mut graph, total.id(), &[input.id()]).unwrap()[0];
    graph.output("d", gradient);
    interpret(&graph, &[], &[x.to_vec()]).unwrap().outputs[0].clone()
}

/// As PyTorch has them at the points where a function bends.
#[test]
fn derivatives_at_joints() {
    let zeros = [0.0, -0.0];
    assert_eq!(slopes(&zeros, |x| elu(x, 1.0)), [1.0, 1.0]);
    assert_eq!(slopes(&zeros, |x| elu(x, 1.3)), [1.3, 1.3]);
    assert_eq!(slopes(&zeros, relu), [0.0, 0.0]);
    assert_eq!(slopes(&zeros, |x| leaky_relu(x, 0.1)), [0.1, 0.1]);
    assert_eq!(slopes(&[-2.0, -1.0, 0.5, 3.0, 4.0], |x| clamp(x, -1.0, 3.0)), [0.0, 1.0, 1.0, 1.0, 0.0]);
    // What overflows beyond a joint does not reach the other side.
    assert_eq!(slopes(&[1e4, f64::INFINITY], |x| elu(x, 1.0)), [1.0, 1.0]);
    assert_eq!(slopes(&[f64::NEG_INFINITY], |x| elu(x, 1.0)), [0.0]);
}

#[test]
fn an_axis_in_the_opposite_order() {
    let scope = Scope::new(false);
    let x: Var<(usize, Const<3>), f64> = scope.input("x", (2, Const));
    let (rows, columns) = (flip::<_, ansatz::tensor::Axis<0>, _>(&x), flip::<_, ansatz::tensor::Axis<1>, _>(&x));
    let mut graph = scope.finish().unwrap();
    graph.output("rows", rows.id());
    graph.output("columns", columns.id());
    let found = interpret(&graph, &[], &[vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]).unwrap().outputs;
    assert_eq!(found[0], [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
    assert_eq!(found[1], [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    assert_eq!(slopes(&[1.0, 2.0, 3.0], |x| mul(x, &flip::<_, ansatz::tensor::Axis<0>, _>(x))), [6.0, 4.0, 2.0]);
}

net! {
    pub net Sinkhorn(x: [n, 2], y: [n, 2]) -> [] { sinkhorn_divergence(x, y, epsilon = 0.1, turns = 40) }
    pub net Slices(x: [n, 2], y: [n, 2]) -> [] { sliced_wasserstein(x, y, directions = 16) }
}

#[test]
fn distances_do_not_depend_on_where_the_clouds_are() {
    // Multiples of 1/64, which are exact far from the origin too.
    let cloud = |shift: f32, seed: usize| {
        let values = (0..64).map(|i| (((i * 37 + seed * 101) % 256) as f32 - 128.0) / 64.0 + shift).collect();
        from_vec(values, (32, Const)).unwrap()
    };
    macro_rules! compare {
        ($net:ident, $batch:ident) => {{
            let at = |shift: f32| {
                let batch = $batch { x: cloud(shift, 0), y: cloud(shift, 1) };
                let session = Session::new(&init::<f32, $net>(1)).unwrap().with_seed(7);
                f64::from(to_vec(&session.run(&batch).unwrap())[0])
            };
            let near = at(0.0);
            for shift in [10.0, 1000.0, 10_000.0, -10_000.0] {
                let far = at(shift);
                assert!(
                    (far - near).abs() <= 2e-4 * near.abs() + 1e-6,
                    "{}: {near} and {far} at {shift}",
                    stringify!($net)
                );
            }
        }};
    }
    compare!(Sinkhorn, SinkhornBatch);
    compare!(Slices, SlicesBatch);
}

/// A spline and its inverse after it, compiled.
fn there_and_back<E: Float>(x: &[f64], parameters: &[f64], bins: usize, bound: f64) -> Vec<[f64; 3]> {
    let scope = Scope::new(false);
    let (n, each) = (x.len(), 3 * bins - 1);
    let (input, numbers): (Var<(usize,), E>, Var<(usize, usize), E>) =
        (scope.input("x", (n,)), scope.input("p", (n, each)));
    let (y, forth) = spline(&input, &numbers, bound, false);
    let (back, _) = spline(&y, &numbers, bound, true);
    let (inverse, slope) = spline(&input, &numbers, bound, true);
    let mut graph = scope.finish().unwrap();
    for (name, id) in
        [("y", y.id()), ("back", back.id()), ("inverse", inverse.id()), ("slope", slope.id()), ("f", forth.id())]
    {
        graph.output(name, id);
    }
    let program = ansatz::engine::compile(&graph).unwrap();
    let state = ansatz::engine::State::new(program.states());
    let mut workspace = program.workspace(&state).unwrap();
    let values = |v: &[f64]| v.iter().map(|&x| <E as Float>::from_f64(x)).collect::<Vec<E>>();
    let (x, parameters) = (values(x), values(parameters));
    program.evaluate(&state, &[E::data(&x), E::data(&parameters)], &mut workspace).unwrap();
    let read = |i: usize| {
        E::slice(&program.output(&workspace, i)).unwrap().iter().map(|&x| Float::to_f64(x)).collect::<Vec<f64>>()
    };
    let (y, back, inverse, slope, forth) = (read(0), read(1), read(2), read(3), read(4));
    assert!(slope.iter().chain(&forth).all(|s| s.is_finite()), "slopes {slope:?} {forth:?}");
    (0..n).map(|i| [y[i], back[i], inverse[i]]).collect()
}

#[test]
fn splines_are_inverted_over_wide_parameters() {
    let (bins, bound, n) = (8, 5.0, 400);
    let each = 3 * bins - 1;
    let mut state = 1u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for size in [0.0, 1.0, 5.0, 20.0, 60.0] {
        let x: Vec<f64> =
            (0..n)
                .map(|i| {
                    if i % 20 == 0 { [bound, -bound, 0.0, 4.999_999][i / 20 % 4] } else { bound * (2.2 * draw() - 1.1) }
                })
                .collect();
        let parameters: Vec<f64> = (0..n * each).map(|_| size * (2.0 * draw() - 1.0)).collect();
        let single = there_and_back::<f32>(&x, &parameters, bins, bound);
        let double = there_and_back::<f64>(&x, &parameters, bins, bound);
        for (i, (single, double)) in single.iter().zip(&double).enumerate() {
            let inside = x[i].abs() < bound;
            for value in single.iter().chain(double) {
                assert!(value.is_finite(), "{size}: {single:?}, {double:?} of {}", x[i]);
                assert!(!inside || value.abs() <= bound, "{size}: {single:?}, {double:?} of {}", x[i]);
            }
            assert!((double[1] - x[i]).abs() < 1e-6 * (1.0 + size), "{size}: {double:?} of {}", x[i]);
            // A slope of a thousand loses three digits.
            assert!((single[0] - double[0]).abs() < 5e-2, "{size}: {single:?} and {double:?} of {}", x[i]);
        }
    }
}

#[test]
fn more_bins_than_there_is_room_for_are_refused() {
    let scope = Scope::new(false);
    let (x, p): (Var<(usize,), f32>, Var<(usize, usize), f32>) =
        (scope.input("x", (1,)), scope.input("p", (1, 3 * 1000 - 1)));
    spline(&x, &p, 1.0, false);
    let error = scope.finish().map(drop).expect_err("too many").to_string();
    assert!(error.contains("1000 bins leave no room between knots"), "{error}");
}

net! {
    pub net Inner(x: [n, 2]) -> [n, 2] { x |> linear(2) }
    /// A step of Rust that runs a net while it is recorded.
    pub net Outer(x: [n, 2]) -> [n, 2] { x |> crate::joints::scaled_by_a_net -> [n, 2] |> linear(2) }
    pub net Judged(x: [n, 2]) -> [] { x |> outer: Outer |> square |> mean }
}

fn scaled_by_a_net<S: Shape, E: Float>(x: &Var<S, E>) -> Var<S, E> {
    let inner: Inner = init(3);
    let found = inner.forward(from_vec(vec![1.0, 2.0], (1, Const)).unwrap()).unwrap();
    ansatz::tensor::powf(x, 1.0 + f64::from(to_vec(&found)[0] != 0.0))
}

#[test]
fn a_step_of_rust_may_run_nets_while_it_is_recorded() {
    let (done, finished) = channel();
    std::thread::spawn(move || {
        let x = || from_vec(vec![1.0, 2.0], (1, Const)).unwrap();
        let outer: Outer = init(1);
        outer.forward(x()).unwrap();
        let judged: Judged = init(1);
        judged.gradient(&JudgedBatch { x: x() }).unwrap();
        Session::new(&outer).unwrap().run(&OuterBatch { x: x() }).unwrap();
        done.send(()).unwrap();
    });
    finished.recv_timeout(Duration::from_secs(120)).expect("a lock is held while a net is recorded");
}

#[test]
fn sizes_that_cannot_be_counted_are_errors() {
    const HALF: usize = 1 << 32;
    let error = from_vec::<_, f32>(vec![], (HALF, HALF)).map(drop).expect_err("2⁶⁴ elements").to_string();
    assert!(error.contains("more elements than can be counted"), "{error}");
    assert!(
        from_vec::<_, f32>(vec![], (HALF, HALF, 0usize)).is_err()
            || from_vec::<_, f32>(vec![], (0usize, 3usize)).is_ok()
    );
    use ansatz::graph::{Binary, DType, Graph};
    for dims in [vec![HALF, HALF, 4], vec![1 << 62], vec![HALF, HALF], vec![1 << 31, 1 << 31, 4]] {
        let mut graph = Graph::new();
        let x = graph.input("x", &dims, DType::F32);
        let y = graph.binary(Binary::Add, x, x).unwrap();
        graph.output("y", y);
        let error = ansatz::engine::compile(&graph).map(drop).expect_err("no memory holds it").to_string();
        assert!(error.contains("more than any memory holds"), "{error}");
    }
    // What can be counted, and is not there.
    let mut graph = Graph::new();
    let x = graph.input("x", &[], DType::F32);
    let x = graph.broadcast(x, &[0], &[1 << 50]).unwrap();
    let i = graph.iota(&[1 << 50], 0).unwrap();
    let i = graph.cast(i, DType::F32);
    let y = graph.binary(Binary::Add, x, i).unwrap();
    graph.output("y", y);
    let program = ansatz::engine::compile(&graph).unwrap();
    let error = program.workspace(&ansatz::engine::State::new(&[])).map(drop).expect_err("a petabyte").to_string();
    assert!(error.contains("bytes, which the system does not give"), "{error}");
}

net! { pub dim Letter = 65; pub dim Word = 40000; }

#[test]
fn token_files_of_another_width_are_told_apart() {
    use ansatz::text::Tokens;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.bin");
    let letters: Vec<u32> = (0..200).map(|i| i * 7 % 65).collect();
    // As nanoGPT writes them, whatever the vocabulary.
    let bytes: Vec<u8> = letters.iter().flat_map(|&token| (token as u16).to_le_bytes()).collect();
    std::fs::write(&path, &bytes).unwrap();
    let error = Tokens::<Letter>::open(&path).map(drop).expect_err("two bytes each").to_string();
    assert!(error.contains("looks like tokens of two bytes each"), "{error}");
    let tokens = Tokens::<Letter>::open_with_width(&path, 2).unwrap();
    let mut found = vec![];
    tokens.read(0..200, &mut found).unwrap();
    assert_eq!(found, letters);
    assert_eq!(Tokens::<Letter>::open_with_width(&path, 1).unwrap().len(), 400);
    assert!(Tokens::<Letter>::open_with_width(&path, 3).is_err());
    // A text.
    std::fs::write(&path, "To be, or not to be, that is the question:\n".repeat(200)).unwrap();
    let error = Tokens::<Word>::open(&path).map(drop).expect_err("a text").to_string();
    assert!(error.contains("looks like a text"), "{error}");
    // Its own bytes are the file of a text.
    net! { pub dim Byte = 256; }
    assert!(Tokens::<Byte>::open(&path).is_ok());
}

net! {
    /// Windows that see nothing but what is laid around an image, and back through them.
    pub net Around(x: [n, 2, h, w]) -> [] { x |> conv: conv2d(3, padding = 2, bias = false) |> square |> sum }
    pub net Sliding(x: [n, 2, h, w]) -> [] {
        x |> conv: conv2d(3, padding = 1) |> conv_transpose2d(2, kernel = 3) |> max_pool2d(2) |> square |> sum
    }
    pub net Pooled(x: [n, 2, h, w]) -> [] { x |> avg_pool2d(2, stride = 1, padding = 1) |> sum }
}

#[test]
fn images_without_a_row_a_column_or_a_sample() {
    let images = |[n, h, w]: [usize; 3]| from_vec(vec![], (n, Const, h, w)).unwrap();
    let (around, sliding, pooled): (Around, Sliding, Pooled) = (init(1), init(1), init(1));
    let refused = |sum: Result<_>, problem: &str| {
        let error = sum.map(drop).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    };
    for dims in [[1, 0, 4], [2, 4, 0], [0, 4, 4], [1, 0, 0], [0, 0, 3]] {
        let (sum, gradient) = around.gradient(&AroundBatch { x: images(dims) }).unwrap();
        assert_eq!(to_vec(&sum), [0.0], "{dims:?}");
        assert!(to_vec(&gradient.conv.weight).iter().all(|&g| g == 0.0), "{dims:?}");
        let slid = sliding.gradient(&SlidingBatch { x: images(dims) }).map(|(sum, _)| sum);
        let pooled = pooled.gradient(&PooledBatch { x: images(dims) }).map(|(sum, _)| sum);
        if dims == [0, 4, 4] {
            assert_eq!([to_vec(&slid.unwrap()), to_vec(&pooled.unwrap())], [[0.0], [0.0]]);
        } else {
            refused(slid, "kernel reaches over 3 positions, and the image with its padding has 2");
            refused(pooled, "there is nothing to pool where an image has no row or no column");
        }
    }
}
