//! Pooling: windows over the last two axes. `Sum` and `Spread` are each other's transpose, and so are `Take` and `Put`,
//! so that derivatives of every order stay among them.

use super::cases::{Case, Domain, each};
use super::causal::{Course, Site};
use super::kind::{Kind, Operands};
use super::rule::{Cotangents, Rule, Walk};
use crate::graph::{DType, Graph, Node, NodeId, Op, Pool, Window};
use crate::kernel::pool as kernel;
use crate::kernel::work::Work;
use crate::{Error, Result};

/// What happens at each window.
pub(super) struct Pooling(pub Pool, pub Window);

impl Graph {
    /// Pools the last two axes by windows; see [`Pool`] for what the operands are.
    ///
    /// # Errors
    /// If the windows do not fit, or an operand has not the shape or element type that they take.
    pub fn pool(&mut self, pool: Pool, window: Window, operands: &[NodeId]) -> Result<NodeId> {
        let operands_like: Vec<(&[usize], DType)> = operands.iter().map(|&x| (&*self[x].dims, self[x].dtype)).collect();
        let (dims, dtype) = pooled(pool, window, &operands_like).map_err(|problem| Error::shape("pooling", problem))?;
        Ok(self.push(Op::Pool { pool, window }, operands.to_vec(), dims, dtype))
    }
}

/// Shape and element type of the result.
fn pooled(pool: Pool, window: Window, operands: &[(&[usize], DType)]) -> Result<(Vec<usize>, DType), String> {
    let &[(dims, dtype), ref rest @ ..] = operands else { return Err("takes at least one operand".into()) };
    let (wide, narrow) = (window.size, window.count()?);
    let (from, to) = if pool.widens() { (narrow, wide) } else { (wide, narrow) };
    let Some((&last, leading)) = dims.split_last_chunk::<2>().map(|(leading, last)| (last, leading)) else {
        return Err(format!("takes at least two axes, not {dims:?}"));
    };
    if last != from {
        return Err(format!("takes planes of {from:?} and is given {last:?}"));
    }
    if !dtype.is_float() {
        return Err(format!("takes real numbers, not {dtype:?}"));
    }
    match (pool.takes_positions(), rest) {
        (false, []) => {}
        (true, &[(positions, DType::Index)]) if *positions == [leading, &narrow].concat() => {}
        _ => return Err(format!("{pool:?} is given other operands than it takes")),
    }
    let dtype = if pool == Pool::ArgMax { DType::Index } else { dtype };
    Ok(([leading, &to].concat(), dtype))
}

impl Rule<'_> for Pooling {
    fn arity(&self) -> Option<usize> {
        Some(1 + usize::from(self.0.takes_positions()))
    }

    fn result(&self, graph: &Graph, node: &Node) -> Result<(Vec<usize>, DType), String> {
        let operands: Vec<_> = node.inputs.iter().map(|&x| (&*graph[x].dims, graph[x].dtype)).collect();
        pooled(self.0, self.1, &operands)
    }

    fn kind(&self) -> Kind<'static> {
        Kind::Alone(launch)
    }

    fn passes(&self) -> usize {
        0
    }

    fn course(&self, at: &Site<'_>) -> Result<Course, String> {
        let leading = |i: usize| {
            let to = at.all(i);
            let planes = to.len().saturating_sub(2);
            to.into_iter().map(|axis| axis.filter(|&axis| axis < planes)).collect()
        };
        at.computed(&(0..at.node().inputs.len()).map(leading).collect::<Vec<_>>())
    }

    fn value(&self, _: &Graph, node: &Node, operands: &[&[f64]]) -> Result<Vec<f64>> {
        Ok(pool(self.0, self.1, operands, node.len()))
    }

    fn vjp(&self, graph: &mut Graph, y: NodeId, c: Cotangents<'_>, _: Walk) -> Result<Vec<Option<NodeId>>> {
        let (inputs, c) = (graph[y].inputs.clone(), c.one()?);
        pool_vjp(graph, self.0, self.1, &inputs, c)
    }

    fn cases(float: DType) -> Result<Vec<Case>> {
        let pools = each!(Pool: Sum Max ArgMax Spread Take Put).iter();
        let cases: Result<Vec<_>> = pools.map(|&pool| pool_cases(pool, float)).collect();
        Ok(cases?.concat())
    }
}

fn launch(graph: &Graph, id: NodeId, operands: &mut Operands<'_>) -> Result<Work, NodeId> {
    let node = &graph[id];
    let Op::Pool { pool, window } = node.op else { return Err(id) };
    Ok(Work::Pooling(kernel::Pooling {
        pool,
        window,
        count: window.count().map_err(|_| id)?,
        planes: node.dims[..node.dims.len() - 2].iter().product(),
        x: operands.dense(graph, node.inputs[0])?,
        positions: node.inputs.get(1).map(|&x| operands.dense(graph, x)).transpose()?,
        y: operands.dense(graph, id)?,
    }))
}

/// The result for operands of verified shapes.
fn pool(pool: Pool, window: Window, operands: &[&[f64]], len: usize) -> Vec<f64> {
    let Ok(count) = window.count() else { unreachable!("a verified node has windows") };
    let (wide, narrow) = (window.size[0] * window.size[1], count[0] * count[1]);
    let x = operands[0];
    let mut y = vec![if pool == Pool::Max { f64::NEG_INFINITY } else { 0.0 }; len];
    let planes = if wide == 0 { 0 } else { x.len().max(len) / wide.max(narrow) };
    for plane in 0..planes {
        for i in 0..narrow {
            let at = plane * narrow + i;
            match pool {
                Pool::Take => y[at] = x[plane * wide + operands[1][at] as usize],
                Pool::Put => y[plane * wide + operands[1][at] as usize] += x[at],
                _ => {
                    let mut best: Option<(f64, usize)> = None;
                    for position in seen(window, [i / count[1], i % count[1]]) {
                        if pool == Pool::Spread {
                            y[plane * wide + position] += x[at];
                            continue;
                        }
                        let element = x[plane * wide + position];
                        if pool == Pool::Sum {
                            y[at] += element;
                        }
                        let greater =
                            best.is_none_or(|(known, _)| !known.is_nan() && (element > known || element.is_nan()));
                        if greater {
                            best = Some((element, position));
                        }
                    }
                    match (pool, best) {
                        (Pool::Max, Some((greatest, _))) => y[at] = greatest,
                        (Pool::ArgMax, Some((_, position))) => y[at] = position as f64,
                        _ => {}
                    }
                }
            }
        }
    }
    y
}

/// The positions in the plane that a window sees, in row-major order.
fn seen(window: Window, number: [usize; 2]) -> impl Iterator<Item = usize> {
    let Window { size, kernel, stride, padding } = window;
    let along = move |axis: usize| {
        let first = number[axis] * stride[axis];
        (first..first + kernel[axis])
            .filter_map(move |at| at.checked_sub(padding[axis]))
            .filter(move |&at| at < size[axis])
    };
    along(0).flat_map(move |row| along(1).map(move |column| row * size[1] + column))
}

/// By the transpose; the greatest element of a window has all of its derivative.
fn pool_vjp(
    graph: &mut Graph,
    pool: Pool,
    window: Window,
    inputs: &[NodeId],
    c: NodeId,
) -> Result<Vec<Option<NodeId>>> {
    let derivative = match pool {
        Pool::Sum => graph.pool(Pool::Spread, window, &[c])?,
        Pool::Spread => graph.pool(Pool::Sum, window, &[c])?,
        Pool::Max => {
            let positions = graph.pool(Pool::ArgMax, window, &[inputs[0]])?;
            graph.pool(Pool::Put, window, &[c, positions])?
        }
        Pool::Take => graph.pool(Pool::Put, window, &[c, inputs[1]])?,
        Pool::Put => graph.pool(Pool::Take, window, &[c, inputs[1]])?,
        Pool::ArgMax => return Ok(vec![None]),
    };
    Ok([Some(derivative)].into_iter().chain(inputs.iter().skip(1).map(|_| None)).collect())
}

const WINDOWS: [Window; 8] = [
    Window { size: [4, 6], kernel: [2, 2], stride: [2, 2], padding: [0, 0] },
    Window { size: [5, 7], kernel: [2, 2], stride: [2, 2], padding: [0, 0] },
    Window { size: [5, 6], kernel: [3, 3], stride: [2, 2], padding: [1, 1] },
    Window { size: [4, 5], kernel: [3, 2], stride: [1, 1], padding: [1, 1] },
    Window { size: [1, 9], kernel: [1, 3], stride: [1, 2], padding: [0, 0] },
    Window { size: [7, 7], kernel: [2, 1], stride: [3, 4], padding: [1, 0] },
    Window { size: [4, 40], kernel: [3, 5], stride: [3, 5], padding: [0, 2] },
    Window { size: [3, 2], kernel: [3, 2], stride: [1, 1], padding: [0, 0] },
];

fn pool_cases(pool: Pool, float: DType) -> Result<Vec<Case>> {
    let all = Domain::reals(-3.0, 3.0);
    let mut cases = Vec::new();
    for window in WINDOWS {
        let count = window.count().expect("the windows above fit");
        let (narrow, wide) = ([2, 3, count[0], count[1]], [2, 3, window.size[0], window.size[1]]);
        let name = format!("Pool {pool:?} {window:?}");
        cases.push(match pool {
            Pool::Sum | Pool::Max | Pool::ArgMax => {
                Case::new(name, float, &[(&wide, all)], |graph, x| graph.pool(pool, window, x))?
            }
            Pool::Spread => Case::new(name, float, &[(&narrow, all)], |graph, x| graph.pool(pool, window, x))?,
            Pool::Take => Case::new(name, float, &[(&wide, all), (&wide, all)], |graph, x| {
                let positions = graph.pool(Pool::ArgMax, window, &[x[1]])?;
                graph.pool(pool, window, &[x[0], positions])
            })?,
            Pool::Put => Case::new(name, float, &[(&narrow, all), (&wide, all)], |graph, x| {
                let positions = graph.pool(Pool::ArgMax, window, &[x[1]])?;
                graph.pool(pool, window, &[x[0], positions])
            })?,
        });
    }
    if pool == Pool::ArgMax {
        let window = Window { size: [6, 8], kernel: [3, 3], stride: [1, 2], padding: [1, 1] };
        cases.push(Case::new("Pool ArgMax of equals", float, &[(&[2, 6, 8], Domain::Indices(2))], |graph, x| {
            let x = graph.cast(x[0], float);
            graph.pool(pool, window, &[x])
        })?);
    }
    Ok(cases)
}

#[cfg(all(test, feature = "check"))]
mod tests {
    use super::*;
    use crate::ops::interpret;
    use crate::run::compile;
    use crate::run::{Data, State};
    use proptest::prelude::*;

    fn windows() -> impl Strategy<Value = Window> {
        let axis = (1usize..5, 1usize..5, 1usize..40)
            .prop_flat_map(|(kernel, stride, size)| (Just(kernel), Just(stride), Just(size), 0..=kernel / 2));
        let fits = |(kernel, _, size, padding): &(usize, usize, usize, usize)| size + 2 * padding >= *kernel;
        let axis = axis.prop_filter("a window is larger than the plane", fits);
        (axis.clone(), axis).prop_map(|(a, b)| Window {
            size: [a.2, b.2],
            kernel: [a.0, b.0],
            stride: [a.1, b.1],
            padding: [a.3, b.3],
        })
    }

    /// Values with ties, infinities and NaN.
    fn elements(len: usize, seed: u64) -> Vec<f64> {
        let special = |x: f64| match x as i64 {
            0 => f64::NAN,
            1 => f64::NEG_INFINITY,
            2 => f64::INFINITY,
            _ => (x / 4.0).floor() / 8.0,
        };
        Domain::reals(0.0, 90.0).sample(len, seed).into_iter().map(special).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn kernels_agree_with_the_interpreter(window in windows(), planes in 1usize..5, seed in any::<u64>()) {
            let mut graph = Graph::new();
            let count = window.count().expect("it was chosen to fit");
            let (wide, narrow) = ([planes, window.size[0], window.size[1]], [planes, count[0], count[1]]);
            let (x, c) = (graph.input("x", &wide, DType::F32), graph.input("c", &narrow, DType::F32));
            let at = graph.pool(Pool::ArgMax, window, &[x]).expect("it fits");
            graph.output("ArgMax", at);
            for (pool, operands) in [
                (Pool::Sum, vec![x]), (Pool::Max, vec![x]), (Pool::Spread, vec![c]), (Pool::Take, vec![x, at]),
                (Pool::Put, vec![c, at]),
            ] {
                let y = graph.pool(pool, window, &operands).expect("it fits");
                graph.output(format!("{pool:?}"), y);
            }
            let values = [elements(wide.iter().product(), seed), elements(narrow.iter().product(), seed ^ 1)];
            let expected = interpret(&graph, &[], &values).expect("well-formed").outputs;
            let program = compile(&graph).expect("one float type");
            let state = State::new(&[]);
            let mut workspace = program.workspace(&state).expect("no state");
            let given = values.map(|v| v.iter().map(|&x| x as f32).collect::<Vec<_>>());
            program.evaluate(&state, &[Data::F32(&given[0]), Data::F32(&given[1])], &mut workspace).expect("it runs");
            for (i, expected) in expected.iter().enumerate() {
                // Multiples of an eighth are added exactly.
                let found = program.output(&workspace, i).to_f64();
                let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
                prop_assert!(
                    found.iter().zip(expected).all(same), "{}: {found:?}, not {expected:?}", program.outputs()[i].name
                );
            }
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2, 4, 4], DType::F32);
        let window = Window::blocks([4, 4], [2, 2]);
        let mut error = |window, operands: &[NodeId]| graph.pool(Pool::Max, window, operands).unwrap_err().to_string();
        for (window, part) in [
            (Window { size: [4, 5], ..window }, "takes planes of [4, 5] and is given [4, 4]"),
            (Window { kernel: [2, 5], ..window }, "the window 5 is larger than the 4 positions"),
            (Window { padding: [0, 2], ..window }, "the padding 2 is more than half of the window 2"),
            (Window { stride: [0, 1], ..window }, "at least size 1"),
        ] {
            let found = error(window, &[x]);
            assert!(found.contains(part), "{found}");
        }
        assert!(error(window, &[x, x]).contains("other operands"));
    }
}
