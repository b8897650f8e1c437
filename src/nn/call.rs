//! One call of a net: its results, or its gradient.

use super::compiled::{Compiled, Purpose, next_step, reals, remembered, state};
use super::{BatchOf, Net, Slot, Source, trace};
use crate::grad::grad;
use crate::graph::{Graph, NodeId, StateKind};
use crate::run::Workspace;
use crate::tensor::{Cpu, Feed, Float, Path, Scope, Tensor};
use crate::{Error, Result};

/// The results of a net, as it is used after training. Programs are remembered from call to call, weights are copied in
/// each; a [`Session`](super::Session) keeps both.
///
/// # Errors
/// If inputs disagree on a dimension, or the net cannot take these dimensions.
pub fn forward<E: Float, M: Net<E>>(model: &M, batch: &impl BatchOf<M>) -> Result<M::Output> {
    let dims = batch.dims()?;
    let compiled = remembered::<M>(Purpose::Forward, &dims, || trace::<E, M>(&dims, false))?;
    let workspace = run(&compiled, model, batch)?;
    compiled.collect(&workspace, M::OUTPUTS.len())
}

/// The loss of a batch and its gradient by every parameter, in training: for hand-written loops. The gradient has the
/// type of the model, so `gradient.mlp.fc1.weight` is that of `model.mlp.fc1.weight`; its buffers are zeros. The loss
/// is the scalar result named `loss`, or the only scalar result. Random draws differ from call to call.
///
/// # Errors
/// If the net has no loss, inputs disagree on a dimension, or the net cannot take these dimensions.
pub fn gradient<E: Float, M: Net<E>>(model: &M, batch: &impl BatchOf<M>) -> Result<(Tensor<(), E, Cpu>, M)> {
    let dims = batch.dims()?;
    let compiled = remembered::<M>(Purpose::Gradient, &dims, || gradient_graph::<E, M>(&dims))?;
    let workspace = run(&compiled, model, batch)?;
    let loss = compiled.collect(&workspace, 1)?;
    let mut source = Gradients { compiled: &compiled, workspace: &workspace };
    Ok((loss, M::build(&Path::root(), &mut source)?))
}

/// The result of a net that is trained: the scalar named `loss`, or the only scalar.
///
/// # Errors
/// If there is none, or several of which none is named `loss`.
pub fn loss<E: Float, M: Net<E>>(graph: &Graph, results: &[NodeId]) -> Result<NodeId> {
    let is_scalar = |id: NodeId| graph[id].dims.is_empty() && graph[id].dtype.is_float();
    let scalars: Vec<(&str, NodeId)> =
        M::OUTPUTS.iter().copied().zip(results.iter().copied()).filter(|&(_, id)| is_scalar(id)).collect();
    match (scalars.iter().find(|(name, _)| *name == "loss"), &scalars[..]) {
        (Some(&(_, loss)), _) | (None, &[(_, loss)]) => Ok(loss),
        _ => Err(Error::value(format!(
            "`{}` cannot be trained: it needs a result `loss: []`, or a single scalar result; it has `{}`",
            M::NAME,
            M::OUTPUTS.join("`, `")
        ))),
    }
}

/// The loss and its gradient by each parameter that it depends on, by key.
fn gradient_graph<E: Float, M: Net<E>>(dims: &[usize]) -> Result<Graph> {
    let scope = Scope::new(true);
    let results = M::trace(&scope, dims);
    let mut graph = scope.finish()?;
    // A call without a state of its own has nothing to keep running statistics in.
    graph.states.iter_mut().for_each(|slot| slot.update = None);
    let loss = loss::<E, M>(&graph, &results)?;
    let (keys, nodes): (Vec<String>, Vec<NodeId>) = parameters(&graph).into_iter().unzip();
    let gradients = grad(&mut graph, loss, &nodes)?;
    graph.output("loss", loss);
    for (key, gradient) in keys.into_iter().zip(gradients) {
        graph.output(key, gradient);
    }
    Ok(graph)
}

/// The parameters that a graph reads.
pub(super) fn parameters(graph: &Graph) -> Vec<(String, NodeId)> {
    let parameter = |id| graph.state_of(id).filter(|slot| slot.kind == StateKind::Parameter);
    graph.nodes().filter_map(|(id, _)| Some((parameter(id)?.key.clone(), id))).collect()
}

fn run<E: Float, M: Net<E>>(compiled: &Compiled, model: &M, batch: &impl BatchOf<M>) -> Result<Workspace> {
    let mut state = state(model)?;
    if compiled.draws {
        state.set_key(0, next_step());
    }
    let mut feed = Feed::default();
    batch.feed(&mut feed);
    let mut workspace = compiled.program.workspace(&state)?;
    compiled.program.evaluate(&state, &feed.data(), &mut workspace)?;
    Ok(workspace)
}

/// The outputs after the first, by the key of the parameter; zeros for what the loss does not depend on.
struct Gradients<'a> {
    compiled: &'a Compiled,
    workspace: &'a Workspace,
}

impl<E: Float> Source<E> for Gradients<'_> {
    fn tensor(&mut self, slot: &Slot) -> Result<Vec<E>> {
        let place = self.compiled.program.outputs().iter().skip(1).position(|output| output.name == slot.key);
        Ok(match place {
            Some(place) => reals::<E>(&self.compiled.value(self.workspace, place + 1).data).to_vec(),
            None => vec![E::default(); slot.dims.iter().product()],
        })
    }
}
