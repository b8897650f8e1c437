//! Matrix products and fused elementwise code, as a program runs them.

use ansatz::engine::compile;
use ansatz::engine::{Data, State};
use ansatz::grad::{grad, vjp};
use ansatz::graph::{Attend, Binary, DType, Graph, NodeId, StateKind, Unary};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Compiles the graph that `build` records over one input of `dims` and times its runs.
fn bench_graph(
    c: &mut Criterion,
    group: &str,
    name: &str,
    throughput: Throughput,
    dims: &[usize],
    build: impl Fn(&mut Graph, NodeId) -> ansatz::Result<NodeId>,
) {
    let mut graph = Graph::new();
    let x = graph.input("x", dims, DType::F32);
    let y = build(&mut graph, x).expect("the graph is well-formed");
    graph.output("y", y);
    let program = compile(&graph).expect("the graph compiles");
    let state = State::new(program.states());
    let mut workspace = program.workspace(&state).expect("the state is the program's own");
    let input: Vec<f32> = (0..dims.iter().product()).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut group = c.benchmark_group(group);
    group.throughput(throughput);
    group.bench_function(BenchmarkId::from_parameter(name), |b| {
        b.iter(|| program.evaluate(&state, &[Data::F32(&input)], &mut workspace).expect("the input fits"));
    });
    group.finish();
}

/// `x · Wᵀ` as a linear layer does it; throughput in floating-point operations.
fn matmul(c: &mut Criterion) {
    for (m, k, n) in [(1, 784, 512), (128, 784, 512), (256, 64, 64), (1024, 1024, 1024)] {
        let operations = Throughput::Elements(2 * (m * k * n) as u64);
        bench_graph(c, "matmul", &format!("{m}x{k}x{n}"), operations.clone(), &[m, k], |graph, x| {
            let weight = graph.state("weight", StateKind::Parameter, &[n, k], DType::F32)?;
            graph.matmul(x, weight, [false, true])
        });
        crate_gemm(c, [m, k, n], operations);
    }
}

/// The same product by the crate `gemm`, on one thread; compare with `RAYON_NUM_THREADS=1`.
fn crate_gemm(c: &mut Criterion, [m, k, n]: [usize; 3], operations: Throughput) {
    let (x, weight, mut y) = (vec![0.5_f32; m * k], vec![0.5_f32; n * k], vec![0.0_f32; m * n]);
    let mut group = c.benchmark_group("matmul of the crate gemm, one thread");
    group.throughput(operations);
    group.bench_function(BenchmarkId::from_parameter(format!("{m}x{k}x{n}")), |b| {
        let [rows, depth] = [n as isize, k as isize];
        let (y, x, weight) = (y.as_mut_ptr(), x.as_ptr(), weight.as_ptr());
        let one = gemm::Parallelism::None;
        // SAFETY: the strides of row-major matrices, the second transposed, of these sizes.
        b.iter(|| unsafe {
            gemm::gemm(m, n, k, y, 1, rows, false, x, 1, depth, weight, depth, 1, 0.0, 1.0, false, false, false, one);
        });
    });
    group.finish();
}

/// Chains of elementwise ops, with and without a reduction; throughput in elements.
fn elementwise(c: &mut Criterion) {
    let dims = [512, 1024];
    let elements = Throughput::Elements(dims.iter().product::<usize>() as u64);
    for (name, op) in [("exp", Unary::Exp), ("tanh", Unary::Tanh), ("erf", Unary::Erf), ("ln", Unary::Ln)] {
        bench_graph(c, "elementwise", name, elements.clone(), &dims, |graph, x| graph.unary(op, x));
    }
    bench_graph(c, "elementwise", "silu", elements.clone(), &dims, |graph, x| {
        let gate = graph.unary(Unary::Sigmoid, x)?;
        graph.binary(Binary::Mul, x, gate)
    });
    bench_graph(c, "elementwise", "sum of squares by row", elements, &dims, |graph, x| {
        let square = graph.unary(Unary::Square, x)?;
        graph.sum(square, &[1])
    });
}

/// A hundred small residual steps, as a loop and written out.
fn loops(c: &mut Criterion) {
    let step = |graph: &mut Graph, h: NodeId, w: NodeId| {
        let product = graph.matmul(h, w, [false, true])?;
        let y = graph.unary(Unary::Tanh, product)?;
        graph.binary(Binary::Add, h, y)
    };
    let weight = |graph: &mut Graph| graph.state("weight", StateKind::Parameter, &[8, 8], DType::F32);
    let steps = Throughput::Elements(100);
    bench_graph(c, "100 steps", "loop", steps.clone(), &[8, 8], |graph, x| {
        let w = weight(graph)?;
        let last = graph.repeat(100, &[x], |outer, body, carries| {
            let w = body.lift(outer, w);
            Ok(vec![step(body, carries[0], w)?])
        });
        Ok(last?[0])
    });
    bench_graph(c, "100 steps", "written out", steps, &[8, 8], |graph, x| {
        let w = weight(graph)?;
        (0..100).try_fold(x, |h, _| step(graph, h, w))
    });
}

/// Causal attention of eight sequences in six heads of 64, forward and with its derivative; throughput in multiply-adds of
/// the forward pass, without what is hidden.
fn attention(c: &mut Criterion) {
    let (n, t, h, e) = (8, 256, 6, 64);
    let work = Throughput::Elements((n * h * t * (t + 1) * e) as u64);
    let attend = |graph: &mut Graph, x: NodeId| {
        let mut parts = Vec::new();
        for i in 0..3 {
            let part = graph.slice(x, 2, i * h * e, h * e)?;
            let part = graph.reshape(part, &[n, t, h, e])?;
            parts.push(graph.permute(part, &[0, 2, 1, 3])?);
        }
        graph.attention(parts[0], parts[1], parts[2], &Attend { causal: true, ..Attend::default() })
    };
    let dims = [n, t, 3 * h * e];
    bench_graph(c, "attention", "forward", work.clone(), &dims, attend);
    bench_graph(c, "attention", "with derivative", work, &dims, |graph, x| {
        let y = attend(graph, x)?;
        Ok(vjp(graph, &[(y, y)], &[x])?[0])
    });
}

/// A training step of so many equal layers, y = tanh(x·W + b): its time to compile should grow as its text does.
fn compiling(c: &mut Criterion) {
    let step = |layers: usize| -> ansatz::Result<Graph> {
        let mut graph = Graph::new();
        let mut x = graph.input("x", &[16, 64], DType::F32);
        let mut parameters = Vec::new();
        for layer in 0..layers {
            let weight = graph.state(format!("{layer}.weight"), StateKind::Parameter, &[64, 64], DType::F32)?;
            let bias = graph.state(format!("{layer}.bias"), StateKind::Parameter, &[64], DType::F32)?;
            let product = graph.matmul(x, weight, [false, true])?;
            let wide = graph.broadcast(bias, &[0], &[16, 64])?;
            let sum = graph.binary(Binary::Add, product, wide)?;
            x = graph.unary(Unary::Tanh, sum)?;
            parameters.extend([weight, bias]);
        }
        let square = graph.unary(Unary::Square, x)?;
        let loss = graph.sum(square, &[0, 1])?;
        let gradients = grad(&mut graph, loss, &parameters)?;
        for (&parameter, gradient) in parameters.iter().zip(gradients) {
            let rate = graph.constant_like(0.01, gradient);
            let change = graph.binary(Binary::Mul, rate, gradient)?;
            let next = graph.binary(Binary::Sub, parameter, change)?;
            graph.update(parameter, next)?;
        }
        graph.output("loss", loss);
        Ok(graph)
    };
    let mut group = c.benchmark_group("compiling a training step of equal layers");
    group.sample_size(10);
    for layers in [10, 100, 1000] {
        let graph = step(layers).expect("the graph is well-formed");
        group.throughput(Throughput::Elements(layers as u64));
        group.bench_function(BenchmarkId::from_parameter(layers), |b| b.iter(|| compile(&graph).expect("one type")));
    }
    group.finish();
}

criterion_group!(benches, matmul, elementwise, attention, loops, compiling);
criterion_main!(benches);
