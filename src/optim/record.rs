//! Writes gradients and updates onto the graph of a net.

use super::Recipe;
use super::fit::{ACCUMULATED, AVERAGED, Fit, Fitted, spread};
use crate::grad::grad;
use crate::graph::{Binary, Compare, DType, Graph, NodeId, ReduceOp, StateKind, Unary};
use crate::nn::Slot;
use crate::{Error, Result};

/// The start of the keys under which the moving average of the parameters stands: `optimiser.average.fc1.weight`.
pub const AVERAGE: &str = "optimiser.average.";

/// What a batch does in a training with accumulated gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Adds its gradients to those of earlier batches.
    Accumulate,
    /// Updates the parameters by its gradients and the accumulated ones. Without accumulation every batch does.
    Update,
}

/// Records, behind the forward pass whose scalar result is `loss`: gradients, clipping, and the update of every fitted
/// parameter. If the recipe guards them, nothing changes in a step whose loss or clipped norm is not finite, and no parameter
/// whose own gradient is not. The others need not wait for it: an update runs while its gradient is in the cache.
///
/// The scalars of the optimiser become inputs of the graph, behind those it has; [`Recipe::scalars`] computes them.
///
/// # Errors
/// If the recipe is wrong, `loss` is no scalar, or no parameter is left to fit.
pub fn record(graph: &mut Graph, loss: NodeId, slots: &[Slot], recipe: &Recipe, phase: Phase) -> Result<Norms> {
    recipe.check()?;
    let fitted = fitted(graph, slots, recipe);
    if fitted.is_empty() {
        return Err(Error::value("no parameter is left to fit: the net has none, or all are frozen"));
    }
    let scalars = declare_scalars(graph, slots, recipe)?;
    let parameters: Vec<NodeId> = fitted.iter().map(|p| p.node).collect();
    let mut gradients = grad(graph, loss, &parameters)?;
    let batch = if recipe.guard { Some(norm(graph, &gradients)?) } else { None };
    let mut norms = Norms { batch, clipped: None };
    let mut finite = vec![None; gradients.len()];
    if recipe.guard {
        for (finite, &gradient) in finite.iter_mut().zip(&gradients) {
            let own = norm(graph, &[gradient])?;
            *finite = Some(are_finite(graph, loss, own)?);
        }
    }

    if recipe.accumulate > 1 {
        for ((p, gradient), &finite) in fitted.iter().zip(&mut gradients).zip(&finite) {
            *gradient = accumulate(graph, p, *gradient, recipe.accumulate, phase, finite)?;
        }
    }
    if phase == Phase::Update {
        if let Some(longest) = recipe.clip {
            let length = clip(graph, &mut gradients, longest)?;
            if let Some(batch) = norms.batch {
                // The sum of several batches may overflow.
                let both = graph.binary(Binary::Add, loss, length)?;
                finite.fill(Some(are_finite(graph, both, batch)?));
            }
            norms.clipped = Some(length);
        }
        for ((p, &gradient), &finite) in fitted.iter().zip(&gradients).zip(&finite) {
            let scalars = &scalars[p.rates.1];
            let mut fit = Fit { graph, fitted: p, gradient, scalars, finite };
            let new = recipe.optimiser.update(&mut fit)?;
            fit.set(p.node, new)?;
            if let Some(share) = recipe.average {
                let dims = fit.dims(p.node);
                let average = fit.slot(AVERAGED, &dims)?;
                let (kept, entering) = (fit.scale(average, share)?, fit.scale(new, 1.0 - share)?);
                let moved = fit.add(kept, entering)?;
                fit.set(average, moved)?;
            }
        }
    }
    if recipe.guard {
        let nothing = graph.constant_like(0.0, loss);
        let finite = are_finite(graph, loss, nothing)?;
        guard_buffers(graph, finite)?;
    }
    Ok(norms)
}

/// Global norms of gradients, where they are computed.
#[derive(Clone, Copy, Debug)]
pub struct Norms {
    /// Of this batch alone: not finite where the step is refused.
    pub batch: Option<NodeId>,
    /// Of what the update follows, before it is clipped.
    pub clipped: Option<NodeId>,
}

/// The parameters that a recipe fits, as nodes with their keys.
pub fn fitted_parameters(graph: &Graph, slots: &[Slot], recipe: &Recipe) -> Vec<(String, NodeId)> {
    fitted(graph, slots, recipe).into_iter().map(|fitted| (fitted.key, fitted.node)).collect()
}

fn fitted(graph: &Graph, slots: &[Slot], recipe: &Recipe) -> Vec<Fitted> {
    let distinct = recipe.distinct_rates(slots);
    let mut fitted = Vec::new();
    for (node, state) in graph.nodes().filter_map(|(id, _)| Some((id, graph.state_of(id)?))) {
        let slot = slots.iter().find(|slot| slot.key == state.key && slot.kind == StateKind::Parameter);
        if let Some(rates) = slot.and_then(|slot| recipe.rates(slot))
            && let Some(place) = distinct.iter().position(|r| *r == rates)
        {
            fitted.push(Fitted { key: state.key.clone(), node, rates: (rates, place) });
        }
    }
    fitted
}

type Scalars = Vec<(&'static str, NodeId)>;

/// One input for each scalar of each distinct pair of rates.
fn declare_scalars(graph: &mut Graph, slots: &[Slot], recipe: &Recipe) -> Result<Vec<Scalars>> {
    let dtype = graph.states().iter().find(|s| s.kind == StateKind::Parameter).map_or(DType::F64, |s| s.dtype);
    let mut all = Vec::new();
    for (i, rates) in recipe.distinct_rates(slots).iter().enumerate() {
        let mut scalars = Scalars::new();
        recipe.optimiser.scalars(&rates.at(1.0, 1), &mut |name, _| {
            scalars.push((name, graph.input(format!("optimiser.{name}.{i}"), &[], dtype)));
        });
        let twice =
            scalars.iter().enumerate().find(|(i, (name, _))| scalars[..*i].iter().any(|(other, _)| other == name));
        if let Some((_, (name, _))) = twice {
            return Err(Error::value(format!("the optimiser emits a scalar `{name}` twice; give one another name")));
        }
        all.push(scalars);
    }
    Ok(all)
}

/// Whether two scalars are: of NaN and infinities the sum is not below the greatest number.
fn are_finite(graph: &mut Graph, a: NodeId, b: NodeId) -> Result<NodeId> {
    let scalar = graph.binary(Binary::Add, a, b)?;
    let greatest = if graph[scalar].dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    let size = graph.unary(Unary::Abs, scalar)?;
    let greatest = graph.constant_like(greatest, scalar);
    graph.compare(Compare::Le, size, greatest)
}

/// Adds the share of this batch to the sum of the earlier ones; the update empties it.
fn accumulate(
    graph: &mut Graph,
    p: &Fitted,
    gradient: NodeId,
    batches: usize,
    phase: Phase,
    finite: Option<NodeId>,
) -> Result<NodeId> {
    let mut fit = Fit { graph, fitted: p, gradient, scalars: &[], finite };
    let dims = fit.dims(p.node);
    let sum = fit.slot(ACCUMULATED, &dims)?;
    let share = fit.scale(gradient, 1.0 / batches as f64)?;
    let total = fit.add(sum, share)?;
    let next = match phase {
        Phase::Accumulate => total,
        Phase::Update => fit.graph.constant_like(0.0, sum),
    };
    fit.set(sum, next)?;
    Ok(total)
}

/// √ Σ g² over all elements of all gradients.
fn norm(graph: &mut Graph, gradients: &[NodeId]) -> Result<NodeId> {
    let mut total = None;
    for &gradient in gradients.iter() {
        let axes: Vec<usize> = (0..graph[gradient].dims.len()).collect();
        let square = graph.unary(Unary::Square, gradient)?;
        let sum = graph.reduce(ReduceOp::Sum, square, &axes)?;
        total = Some(match total {
            None => sum,
            Some(total) => graph.binary(Binary::Add, total, sum)?,
        });
    }
    let total = total.ok_or_else(|| Error::value("there are no gradients"))?;
    graph.unary(Unary::Sqrt, total)
}

/// Scales all gradients by min(1, longest / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_`; gives the norm before.
fn clip(graph: &mut Graph, gradients: &mut [NodeId], longest: f64) -> Result<NodeId> {
    let norm = norm(graph, gradients)?;
    let small = graph.constant_like(1e-6, norm);
    let shifted = graph.binary(Binary::Add, norm, small)?;
    let longest = graph.constant_like(longest, norm);
    let ratio = graph.binary(Binary::Div, longest, shifted)?;
    let one = graph.constant_like(1.0, norm);
    let factor = graph.binary(Binary::Min, ratio, one)?;
    for gradient in gradients {
        let dims = graph[*gradient].dims.clone();
        let factor = spread(graph, factor, &dims)?;
        *gradient = graph.binary(Binary::Mul, *gradient, factor)?;
    }
    Ok(norm)
}

/// Buffers (running statistics) that the forward pass updates keep their value too if the step is not finite.
fn guard_buffers(graph: &mut Graph, finite: NodeId) -> Result<()> {
    let buffer = |id| graph.state_of(id).filter(|slot| slot.kind == StateKind::Buffer);
    let buffers: Vec<(NodeId, NodeId)> = graph.nodes().filter_map(|(id, _)| Some((id, buffer(id)?.update?))).collect();
    for (buffer, new) in buffers {
        let dims = graph[buffer].dims.clone();
        let finite = spread(graph, finite, &dims)?;
        let kept = graph.select(finite, new, buffer)?;
        graph.update(buffer, kept)?;
    }
    Ok(())
}
