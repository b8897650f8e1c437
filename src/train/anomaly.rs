//! Where numbers that are not finite began: a step is run once more, and every node is looked at.

use super::programs::{Turn, trace};
use crate::grad::grad;
use crate::graph::{Graph, NodeId, ReduceOp, Unary};
use crate::nn::Net;
use crate::ops::obstacle;
use crate::optim::{Recipe, fitted_parameters};
use crate::run::{Data, Precision, State, compile_for};
use crate::tensor::Float;
use crate::{Error, Result};

/// What a step on these inputs says of itself, as a sentence: which gradients are not finite, and where that began.
pub(super) fn told<E: Float, N: Net<E>>(
    dims: &[usize],
    turn: &Turn,
    recipe: &Recipe,
    state: &State,
    inputs: &[Data<'_>],
) -> Result<String> {
    let traced = trace::<E, N>(true, dims, turn)?;
    let (mut graph, loss) = (traced.graph, traced.loss);
    let forward = graph.nodes().count();
    let parameters = fitted_parameters(&graph, &turn.slots, recipe);
    let nodes: Vec<NodeId> = parameters.iter().map(|(_, node)| *node).collect();
    let gradients = grad(&mut graph, loss, &nodes)?;
    // The greatest size of an element, which is NaN if one is.
    let seen: Vec<NodeId> =
        graph.nodes().filter(|(_, node)| node.dtype.is_float() && !node.is_empty()).map(|(id, _)| id).collect();
    let seen: Vec<NodeId> = seen.into_iter().filter(|&id| !graph.is_whole(id)).collect();
    let mut watched = graph.clone();
    watched.forget_updates();
    for &id in &seen {
        let axes: Vec<usize> = (0..watched[id].dims.len()).collect();
        let size = watched.unary(Unary::Abs, id)?;
        let size = watched.reduce(ReduceOp::Max, size, &axes)?;
        watched.output("", size);
    }
    let program = compile_for(&watched, state.device(), Precision::Full)?;
    let (mut state, mut workspace) = (state.copy()?, program.workspace(state)?);
    let inputs =
        inputs.get(..watched.inputs().len()).ok_or_else(|| Error::value("a batch has all inputs of its net"))?;
    program.run(&mut state, inputs, &mut workspace)?;
    let mut sizes = vec![0.0; graph.nodes().count()];
    for (i, &id) in seen.iter().enumerate() {
        let output = program.output(&workspace, i);
        sizes[id.index()] =
            E::slice(&output).and_then(|values| values.first()).map_or(0.0, |&value| Float::to_f64(value));
    }

    let bad: Vec<&str> = parameters
        .iter()
        .zip(&gradients)
        .filter(|(_, id)| !sizes[id.index()].is_finite())
        .map(|((key, _), _)| &**key)
        .collect();
    let what = match &bad[..] {
        [] if sizes[loss.index()].is_finite() => "; the numbers of the update overflow".to_owned(),
        [] => String::new(),
        [one] => format!("; the gradient of `{one}` is not finite"),
        [first, ..] => format!("; the gradients of `{first}` and {} more parameters are not finite", bad.len() - 1),
    };
    let begun = origin(&graph, &sizes, gradients.iter().copied().chain([loss]));
    let Some(id) = begun else { return Ok(what) };
    let at = obstacle(&graph, id, "");
    let behind = at.behind.map_or(String::new(), |key| format!(" behind `{key}`"));
    let part = if id.index() < forward { "of the net" } else { "of the derivative" };
    let number = if sizes[id.index()].is_nan() { "NaN" } else { "an infinity" };
    let of: Vec<String> = graph[id].inputs.iter().map(|&x| obstacle(&graph, x, "").op).collect();
    Ok(format!(
        "{what}; the first such number, {number}, is a result of {}({}){behind}, a part {part}",
        at.op,
        of.join(", ")
    ))
}

/// The first node, among all that some ends need, that makes NaN of finite numbers; or else the first that makes infinity.
fn origin(graph: &Graph, sizes: &[f64], ends: impl Iterator<Item = NodeId>) -> Option<NodeId> {
    let mut needed = vec![false; sizes.len()];
    ends.filter(|id| !sizes[id.index()].is_finite()).for_each(|id| needed[id.index()] = true);
    for (id, node) in graph.nodes().collect::<Vec<_>>().into_iter().rev() {
        if needed[id.index()] {
            node.inputs.iter().for_each(|x| needed[x.index()] = true);
        }
    }
    let made = |wanted: fn(f64) -> bool| {
        graph.nodes().find(|(id, node)| {
            let from_good = node.inputs.iter().all(|x| sizes[x.index()].is_finite());
            needed[id.index()] && from_good && node.constant().is_none() && wanted(sizes[id.index()])
        })
    };
    made(f64::is_nan).or_else(|| made(f64::is_infinite)).map(|(id, _)| id)
}
