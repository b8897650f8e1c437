//! Comparisons, choices, conversions between element types, and constants to the derivative.

use super::cases::{Case, Domain};
use crate::Result;
use crate::graph::{Binary, Compare, DType, Graph, NodeId, Unary};

/// A number as another element type: truth is being other than zero; indices are cut towards zero into 0..2³²
/// (NaN becomes 0); reals stay as they are, whatever their precision.
pub(super) fn converted(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::F64 => x,
        DType::Index => f64::from(x as u32),
        DType::Bool => f64::from(x != 0.0),
    }
}

/// The cotangent goes to the operand that was taken; the other gets zeros.
pub(super) fn select_vjp(graph: &mut Graph, condition: NodeId, c: NodeId) -> Result<[NodeId; 2]> {
    let zero = graph.constant_like(0.0, c);
    Ok([graph.select(condition, c, zero)?, graph.select(condition, zero, c)?])
}

/// Between real types the cotangent is converted back; indices and truth values have no derivative.
pub(super) fn cast_vjp(graph: &mut Graph, x: NodeId, c: NodeId) -> Option<NodeId> {
    let dtype = graph[x].dtype;
    dtype.is_float().then(|| graph.cast(c, dtype))
}

pub(super) fn compare_cases(op: Compare, float: DType) -> Result<Vec<Case>> {
    let indices = Domain::Indices(3);
    [("reals", Domain::reals(-1.0, 1.0)), ("indices", indices), ("truth values", Domain::Bools)]
        .into_iter()
        .map(|(of, domain)| {
            Case::new(format!("{op:?} of {of}"), float, &[(&[4, 3], domain), (&[4, 3], domain)], |graph, x| {
                graph.compare(op, x[0], x[1])
            })
        })
        .collect()
}

pub(super) fn select_cases(float: DType) -> Result<Vec<Case>> {
    [("reals", Domain::reals(-2.0, 2.0)), ("indices", Domain::Indices(9)), ("truth values", Domain::Bools)]
        .into_iter()
        .map(|(of, domain)| {
            let inputs: [(&[usize], _); 3] = [(&[4, 3], Domain::Bools), (&[4, 3], domain), (&[4, 3], domain)];
            Case::new(format!("Select of {of}"), float, &inputs, |graph, x| graph.select(x[0], x[1], x[2]))
        })
        .collect()
}

pub(super) fn cast_cases(float: DType) -> Result<Vec<Case>> {
    let (reals, other) = (Domain::reals(0.0, 5.0), if float == DType::F32 { DType::F64 } else { DType::F32 });
    [
        (reals, other),
        (reals, DType::Index),
        (reals, DType::Bool),
        (Domain::Indices(5), float),
        (Domain::Indices(3), DType::Bool),
        (Domain::Bools, float),
        (Domain::Bools, DType::Index),
    ]
    .into_iter()
    .map(|(domain, dtype)| {
        Case::new(format!("Cast of {domain:?} to {dtype:?}"), float, &[(&[4, 3], domain)], |graph, x| {
            Ok(graph.cast(x[0], dtype))
        })
    })
    .collect()
}

pub(super) fn stop_gradient_cases(float: DType) -> Result<Vec<Case>> {
    // The derivative takes the shift s for a constant, which is right where s cancels: ln(exp(x − s)) + s = x.
    let shift = Case::new("StopGradient of a shift", float, &[(&[4, 3], Domain::reals(-2.0, 2.0))], |graph, x| {
        let doubled = graph.binary(Binary::Add, x[0], x[0])?;
        let shift = graph.stop_gradient(doubled);
        let shifted = graph.binary(Binary::Sub, x[0], shift)?;
        let exponential = graph.unary(Unary::Exp, shifted)?;
        let logarithm = graph.unary(Unary::Ln, exponential)?;
        graph.binary(Binary::Add, logarithm, shift)
    });
    Ok(vec![shift?])
}
