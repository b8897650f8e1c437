//! Writes gradients and updates onto the graph of a net.

use super::Recipe;
use super::fit::{ACCUMULATED, AVERAGED, Fit, Fitted, is_zero, spread};
use crate::grad::grad;
use crate::graph::{Binary, DType, Graph, NodeId, ReduceOp, StateKind, Unary};
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
/// parameter. If the recipe guards them, nothing changes in a step whose loss or clipped norm is not finite, and no number
/// becomes one that is not. The others need not wait for that: an update runs while its gradient is in the cache.
///
/// The scalars of the optimiser become inputs of the graph, behind those it has; [`Recipe::scalars`] computes them.
///
/// # Errors
/// If the recipe is wrong, `loss` is no scalar, or no parameter is left to fit.
pub fn record(graph: &mut Graph, loss: NodeId, slots: &[Slot], recipe: &Recipe, phase: Phase) -> Result<Recorded> {
    recipe.check()?;
    let fitted = fitted(graph, slots, recipe);
    if fitted.is_empty() {
        return Err(Error::value("no parameter is left to fit: the net has none, or all are frozen"));
    }
    let scalars = declare_scalars(graph, slots, recipe)?;
    let parameters: Vec<NodeId> = fitted.iter().map(|p| p.node).collect();
    let mut gradients = grad(graph, loss, &parameters)?;
    // 0, or NaN where the loss is not finite.
    let nothing = graph.constant_like(0.0, loss);
    let of_loss = if recipe.guard { Some(graph.binary(Binary::Mul, loss, nothing)?) } else { None };
    let mut guard = of_loss;
    let mut told = Vec::from_iter(of_loss);
    let mut news = vec![Vec::new(); fitted.len()];
    if recipe.accumulate > 1 {
        for ((p, gradient), news) in fitted.iter().zip(&mut gradients).zip(&mut news) {
            let mut fit = Fit { graph, fitted: p, gradient: *gradient, scalars: &[], news: Vec::new() };
            *gradient = accumulate(&mut fit, recipe.accumulate, phase)?;
            *news = fit.news;
        }
    }
    let mut clipped = None;
    if let (Phase::Update, Some(longest)) = (phase, recipe.clip) {
        let length = clip(graph, &mut gradients, longest)?;
        // One bad gradient scales all others.
        let of_length = graph.binary(Binary::Mul, length, nothing)?;
        guard = guard.map(|of_loss| graph.binary(Binary::Add, of_loss, of_length)).transpose()?;
        clipped = Some(length);
    }
    for ((p, &gradient), news) in fitted.iter().zip(&gradients).zip(news) {
        let mut fit = Fit { graph, fitted: p, gradient, scalars: &scalars[p.rates.1], news };
        if phase == Phase::Update {
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
        fit.write(guard, &mut told)?;
    }
    if let Some(of_loss) = of_loss {
        let finite = is_zero(graph, of_loss)?;
        guard_buffers(graph, finite)?;
    }
    // The greatest, which is NaN if one is.
    let mut told = told.into_iter();
    let first = told.next();
    let good = first.map(|first| told.try_fold(first, |all, one| graph.binary(Binary::Max, all, one))).transpose()?;
    Ok(Recorded { good, clipped })
}

/// Scalars that tell of a step.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// 0 where every new number is taken, else NaN; if someone looks.
    pub good: Option<NodeId>,
    /// The global norm of the gradients before they are clipped, if they are.
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

/// Adds the share of this batch to the sum of the earlier ones; the update empties it.
fn accumulate(fit: &mut Fit<'_>, batches: usize, phase: Phase) -> Result<NodeId> {
    let dims = fit.dims(fit.parameter());
    let sum = fit.slot(ACCUMULATED, &dims)?;
    let share = fit.scale(fit.gradient(), 1.0 / batches as f64)?;
    let total = fit.add(sum, share)?;
    let next = match phase {
        Phase::Accumulate => total,
        Phase::Update => fit.graph().constant_like(0.0, sum),
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
