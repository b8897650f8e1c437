//! Reverse-mode differentiation, from graph to graph: derivatives are further nodes, so they can be differentiated
//! again. The walk names no op; [`ops::vjp`] knows them.

use crate::graph::{Graph, NodeId};
use crate::{Error, Result, ops};

/// The derivatives of a scalar with respect to each node of `wrt`, each of its node's shape; zeros where the scalar does
/// not depend on it. The graph grows by the nodes that compute them.
///
/// Of a node that depends on another node of `wrt`, both derivatives are total ones, as if each were varied alone.
///
/// # Errors
/// If `output` is no scalar, or it or a node of `wrt` does not hold real numbers.
pub fn grad(graph: &mut Graph, output: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    if !graph[output].dims.is_empty() {
        return Err(Error::shape(
            "grad",
            format!(
                "only a scalar has a gradient, and this is of shape {:?}; take its sum or its mean",
                graph[output].dims
            ),
        ));
    }
    expect_float(graph, "the output", output)?;
    let one = graph.constant_like(1.0, output);
    vjp(graph, &[(output, one)], wrt)
}

/// The vector-Jacobian product Σ cᵀ ∂y/∂x over pairs (y, c) of a node and its cotangent, with respect to each node x of
/// `wrt`; zeros where no y depends on x. The graph grows by the nodes that compute them.
///
/// # Errors
/// If a cotangent has not the shape and element type of its node, or a node does not hold real numbers.
pub fn vjp(graph: &mut Graph, outputs: &[(NodeId, NodeId)], wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    for &x in wrt {
        expect_float(graph, "a node of `wrt`", x)?;
    }
    for &(y, c) in outputs {
        expect_float(graph, "an output", y)?;
        let (value, given) = (&graph[y], &graph[c]);
        if (&value.dims, value.dtype) != (&given.dims, given.dtype) {
            let problem = format!(
                "the cotangent of an output {:?}{:?} must be of its shape, and is {:?}{:?}",
                value.dtype, value.dims, given.dtype, given.dims
            );
            return Err(Error::shape("grad", problem));
        }
    }
    let end = outputs.iter().map(|(y, _)| y.index() + 1).max().unwrap_or(0);
    let depends = dependents(graph, wrt, end);
    // What has arrived at each result of each node so far; complete once the walk reaches the node, since all its users
    // stand behind it.
    let mut arrived: Vec<Vec<Vec<NodeId>>> = vec![vec![]; end];
    for &(y, c) in outputs {
        arrive(&mut arrived[y.index()], 0, c);
    }
    let mut found: Vec<Option<NodeId>> = vec![None; wrt.len()];
    for at in (0..end).rev() {
        if !depends[at] {
            continue;
        }
        let cotangents: Vec<Option<NodeId>> =
            arrived[at].iter().map(|terms| ops::total(graph, terms)).collect::<Result<_>>()?;
        if cotangents.iter().all(Option::is_none) {
            continue;
        }
        let node = NodeId(at as u32);
        for (slot, _) in found.iter_mut().zip(wrt).filter(|(_, x)| **x == node) {
            *slot = cotangents[0];
        }
        let inputs = graph[node].inputs.clone();
        if inputs.iter().any(|input| depends[input.index()]) {
            let result = graph[node].part();
            for (input, part) in inputs.iter().zip(ops::vjp(graph, node, &cotangents, vjp)?) {
                if let (true, Some(part)) = (depends[input.index()], part) {
                    arrive(&mut arrived[input.index()], result, part);
                }
            }
        }
    }
    Ok(found.into_iter().zip(wrt).map(|(known, &x)| known.unwrap_or_else(|| graph.constant_like(0.0, x))).collect())
}

fn arrive(at: &mut Vec<Vec<NodeId>>, result: usize, cotangent: NodeId) {
    if at.len() <= result {
        at.resize(result + 1, Vec::new());
    }
    at[result].push(cotangent);
}

/// Which of the first `end` nodes are in `wrt` or computed from one, by way of real numbers alone.
fn dependents(graph: &Graph, wrt: &[NodeId], end: usize) -> Vec<bool> {
    let mut depends = vec![false; end];
    for (id, node) in graph.nodes().take(end) {
        depends[id.index()] =
            node.dtype.is_float() && (wrt.contains(&id) || node.inputs.iter().any(|input| depends[input.index()]));
    }
    depends
}

fn expect_float(graph: &Graph, what: &str, node: NodeId) -> Result<()> {
    let dtype = graph[node].dtype;
    if dtype.is_float() {
        Ok(())
    } else {
        Err(Error::shape("grad", format!("{what} holds {dtype:?}; only real numbers have derivatives")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Binary, Compare, DType, Unary};
    use crate::ops::interpret;

    fn scalar(graph: &mut Graph) -> NodeId {
        graph.input("x", &[], DType::F64)
    }

    fn value(graph: &Graph, node: NodeId, x: f64) -> f64 {
        interpret(graph, &[], &[vec![x]]).unwrap().value(node)[0]
    }

    #[test]
    fn derivatives_compose_to_any_order() {
        let mut graph = Graph::new();
        let x = scalar(&mut graph);
        let mut y = graph.unary(Unary::Sin, x).unwrap();
        let expected = [f64::sin, f64::cos, |x| -f64::sin(x), |x| -f64::cos(x), f64::sin];
        for derivative in expected {
            assert!((value(&graph, y, 0.7) - derivative(0.7)).abs() < 1e-15);
            y = grad(&mut graph, y, &[x]).unwrap()[0];
        }
    }

    #[test]
    fn cotangents_of_all_users_are_added() {
        // y = x·x·x + x, as products of one node.
        let mut graph = Graph::new();
        let x = scalar(&mut graph);
        let square = graph.binary(Binary::Mul, x, x).unwrap();
        let cube = graph.binary(Binary::Mul, square, x).unwrap();
        let y = graph.binary(Binary::Add, cube, x).unwrap();
        let [dx, dsquare] = grad(&mut graph, y, &[x, square]).unwrap()[..] else { panic!("two derivatives") };
        assert_eq!((value(&graph, dx, 2.0), value(&graph, dsquare, 2.0)), (13.0, 2.0));
    }

    #[test]
    fn what_is_unconnected_has_zeros_and_no_nodes() {
        let mut graph = Graph::new();
        let x = scalar(&mut graph);
        let other = graph.input("other", &[3], DType::F64);
        let doubled = graph.unary(Unary::Exp, other).unwrap();
        let sum = graph.sum(doubled, &[0]).unwrap();
        let y = graph.binary(Binary::Add, sum, x).unwrap();
        let before = graph.nodes().count();
        let zero = graph.input("unused", &[2], DType::F64);
        let d = grad(&mut graph, y, &[zero, x]).unwrap();
        assert_eq!(graph[d[0]].dims, [2]);
        // The input, the cotangent 1, the two parts of the sum and the zeros: `exp` is not on a path from `x`.
        assert!(graph.nodes().count() <= before + 5, "{graph}");
        let result = interpret(&graph, &[], &[vec![1.0], vec![0.0; 3], vec![0.0; 2]]).unwrap();
        assert_eq!((result.value(d[0]), result.value(d[1])), (&[0.0, 0.0][..], &[1.0][..]));
    }

    #[test]
    fn steps_have_no_derivative() {
        let mut graph = Graph::new();
        let x = scalar(&mut graph);
        let zero = graph.constant_like(0.0, x);
        let positive = graph.compare(Compare::Gt, x, zero).unwrap();
        let y = graph.cast(positive, DType::F64);
        let d = grad(&mut graph, y, &[x]).unwrap()[0];
        assert_eq!(value(&graph, d, 2.0), 0.0);
    }

    #[test]
    fn equals_share_the_derivative_of_an_extreme() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[4], DType::F64);
        let y = graph.reduce(crate::graph::ReduceOp::Max, x, &[0]).unwrap();
        let d = grad(&mut graph, y, &[x]).unwrap()[0];
        let result = interpret(&graph, &[], &[vec![2.0, 5.0, 5.0, 1.0]]).unwrap();
        assert_eq!(result.value(d), [0.0, 0.5, 0.5, 0.0]);
    }

    #[test]
    fn derivatives_of_a_loop_share_its_stored_carries() {
        let mut graph = Graph::new();
        let x = scalar(&mut graph);
        let y = graph.repeat(3, &[x], |_, body, c| Ok(vec![body.unary(Unary::Sin, c[0])?])).unwrap()[0];
        let whole = graph[y].inputs[0];
        assert_eq!(graph[whole].results(), 1);
        for _ in 0..2 {
            let d = grad(&mut graph, y, &[x]).unwrap()[0];
            assert_eq!(graph[whole].results(), 2);
            let expected = 0.7f64.cos() * 0.7f64.sin().cos() * 0.7f64.sin().sin().cos();
            assert!((value(&graph, d, 0.7) - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[2], DType::F64);
        let i = graph.input("i", &[], DType::Index);
        assert_eq!(
            grad(&mut graph, x, &[x]).unwrap_err().to_string(),
            "grad: only a scalar has a gradient, and this is of shape [2]; take its sum or its mean"
        );
        assert_eq!(
            grad(&mut graph, i, &[x]).unwrap_err().to_string(),
            "grad: the output holds Index; only real numbers have derivatives"
        );
    }
}
