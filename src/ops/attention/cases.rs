//! Attention with all that may follow queries, keys and values, and its derivative.

use super::super::cases::{Case, Domain};
use super::{Attend, sizes};
use crate::Result;
use crate::graph::{DType, NodeId, Op};

/// A case: shapes of queries, keys and values, and what else is there.
type Shape = ([usize; 4], [usize; 4], usize);

const SHAPES: [Shape; 4] = [
    ([2, 2, 3, 4], [2, 2, 3, 4], 4),
    ([1, 4, 2, 3], [1, 2, 5, 3], 2),
    ([2, 1, 5, 2], [2, 1, 3, 2], 3),
    ([1, 3, 1, 2], [1, 1, 4, 2], 2),
];

/// Attention with all that may follow queries, keys and values: name, settings, and which operands there are.
fn variants() -> Vec<(&'static str, Attend, [bool; 4])> {
    let plain = Attend::default();
    let causal = Attend { causal: true, ..plain.clone() };
    vec![
        ("plain", plain.clone(), [false; 4]),
        ("scaled", Attend { scale: Some(-0.7), ..plain.clone() }, [false; 4]),
        ("causal", causal.clone(), [false; 4]),
        ("in a window", Attend { window: Some(2), ..plain.clone() }, [false; 4]),
        ("causal in a window", Attend { window: Some(2), ..causal.clone() }, [false; 4]),
        ("with bias", plain.clone(), [true, false, false, false]),
        ("with mask", plain, [false, true, false, false]),
        ("causal with slopes", causal.clone(), [false, false, true, false]),
        ("causal from a start", causal.clone(), [false, false, false, true]),
        ("causal with all", causal, [true; 4]),
    ]
}

fn inputs((q, k, width): Shape, extras: [bool; 4]) -> Vec<(Vec<usize>, Domain)> {
    let all = Domain::reals(-2.0, 2.0);
    let v = [k[0], k[1], k[2], width];
    let mut inputs = vec![(q.to_vec(), all), (k.to_vec(), all), (v.to_vec(), all)];
    let optional = [
        (vec![q[0], q[1], q[2], k[2]], all),
        (vec![q[0], q[1], q[2], k[2]], Domain::Bools),
        (vec![q[1]], Domain::reals(0.0, 1.0)),
        (vec![q[0]], Domain::Indices(4)),
    ];
    inputs.extend(optional.into_iter().zip(extras).filter(|(_, given)| *given).map(|(input, _)| input));
    inputs
}

/// The settings with the optional operands of a case.
fn filled(how: &Attend, extras: [bool; 4], x: &[NodeId]) -> Attend {
    let mut next = x[3..].iter().copied();
    let [bias, mask, slopes, start] = extras.map(|given| given.then(|| next.next()).flatten());
    Attend { bias, mask, slopes, start, ..how.clone() }
}

pub(super) fn attention_cases(float: DType) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for shape in SHAPES {
        for (name, how, extras) in variants() {
            let inputs = inputs(shape, extras);
            let inputs: Vec<(&[usize], Domain)> = inputs.iter().map(|(dims, domain)| (&dims[..], *domain)).collect();
            let name = format!("Attention {name}, {:?} by {:?}", shape.0, shape.1);
            cases.push(Case::new(name, float, &inputs, |graph, x| {
                graph.attention(x[0], x[1], x[2], &filled(&how, extras, x))
            })?);
        }
    }
    Ok(cases)
}

/// The derivative for any logarithms, common parts and cotangents, not only those of a result.
pub(super) fn gradient_cases(float: DType) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for shape in &SHAPES[..2] {
        for (name, how, extras) in variants() {
            let mut inputs = inputs(*shape, extras);
            let ([n, h, t, _], _, f) = *shape;
            let own = inputs.len();
            inputs.push((vec![n, h, t], Domain::reals(0.0, 2.0)));
            inputs.push((vec![n, h, t], Domain::reals(-2.0, 2.0)));
            inputs.push((vec![n, h, t, f], Domain::reals(-2.0, 2.0)));
            let inputs: Vec<(&[usize], Domain)> = inputs.iter().map(|(dims, domain)| (&dims[..], *domain)).collect();
            let name = format!("AttentionGradient {name}, {:?} by {:?}", shape.0, shape.1);
            cases.push(Case::new(name, float, &inputs, |graph, x| {
                // The settings as the op holds them.
                let value = graph.attention(x[0], x[1], x[2], &filled(&how, extras, &x[..own]))?;
                let mut node = value;
                while !matches!(graph[node].op, Op::Attention(_)) {
                    node = graph[node].inputs[0];
                }
                let Op::Attention(op) = graph[node].op else { unreachable!("found above") };
                let dims = sizes(graph, x).gradient_dims();
                Ok(graph.push(Op::AttentionGradient(op), x.to_vec(), dims, float))
            })?);
        }
    }
    Ok(cases)
}
